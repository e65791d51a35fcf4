//! Any bytes as the payload of a token with a good signature: nothing panics, and what is accepted
//! is right by a second, plainer reading.
#![no_main]

use std::collections::HashMap;
use std::sync::LazyLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use tower_access::identity::Subject;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::token::keys::KeySet;
use tower_access::token::verify;
use tower_access_fuzz::VECTORS;

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::new);

/// Signs what [`SigningKey::sign`] would not: payloads that are no JSON. A new key each time, since
/// no payload depends on it.
struct Signer {
    pair: RsaKeyPair,
    header: String,
    keys: KeySet,
}

impl Signer {
    fn new() -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = SigningKey::from_pkcs8_der(pair.as_der().unwrap().as_ref()).unwrap();
        let published = PublishedKeys::new(&key, &[], &VECTORS.issuer, VECTORS.now()).unwrap();
        let header = format!(r#"{{"alg":"RS256","kid":"{}","typ":"JWT"}}"#, key.key_id());
        Self { pair, header: URL_SAFE_NO_PAD.encode(header), keys: published.key_set().clone() }
    }

    fn sign(&self, payload: &[u8]) -> String {
        let message = format!("{}.{}", self.header, URL_SAFE_NO_PAD.encode(payload));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fuzz_target!(|payload: &[u8]| {
    let token = SIGNER.sign(payload);
    let Ok(claims) = verify(&token, &SIGNER.keys, VECTORS.expected(), VECTORS.now()) else {
        return;
    };
    let plain = read(payload);
    check(&plain);
    let text = |name: &str| plain[name].as_str().filter(|text| !text.is_empty());
    match claims.subject() {
        Ok(Subject::User { .. }) => {
            assert!(text("email").is_some() && text("sub").is_some(), "{plain}");
            assert!(text("common_name").is_none(), "{plain}");
        }
        Ok(Subject::IncompleteUser { email, id }) => {
            assert!(email.is_none() || id.is_none(), "{plain}");
            assert!(plain["email"].is_string() || text("sub").is_some(), "{plain}");
            assert!(text("common_name").is_none(), "{plain}");
            assert_eq!(text("sub"), id.as_deref(), "{plain}");
        }
        Ok(Subject::Service { client_id }) => {
            assert_eq!(text("common_name"), Some(&*client_id), "{plain}");
            assert!(plain["email"].is_null() && text("sub").is_none(), "{plain}");
        }
        Ok(other) => panic!("{other:?} of {plain}"),
        Err(_) => {}
    }
});

/// The claims that somebody reads. The others are skipped and may be what a plain reading refuses:
/// not UTF-8, half a surrogate pair, a number beyond all bounds, nested without end.
fn read(payload: &[u8]) -> Value {
    let text = String::from_utf8_lossy(payload);
    let members: HashMap<String, &RawValue> =
        serde_json::from_str(&text).expect("accepted, but no JSON");
    let known = ["iss", "type", "aud", "exp", "iat", "nbf", "sub", "email", "common_name"];
    let read = |name: &&str| {
        let value = members.get(*name)?;
        let value: Value = serde_json::from_str(value.get()).expect("accepted, but no JSON");
        Some(((*name).to_owned(), value))
    };
    Value::Object(known.iter().filter_map(read).collect())
}

fn check(plain: &Value) {
    // A time may have a fraction; it is rounded towards a shorter life.
    let fraction = |name: &str| {
        let seconds = plain[name].as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(if name == "exp" { seconds.floor() } else { seconds.ceil() } as u64)
    };
    let seconds = |name: &str| {
        plain[name].as_u64().or_else(|| fraction(name)).expect("accepted, but no time")
    };
    let has_audience = match &plain["aud"] {
        Value::String(audience) => audience == VECTORS.audience,
        Value::Array(list) => list.iter().any(|entry| *entry == VECTORS.audience),
        _ => false,
    };
    assert_eq!(plain["iss"], *VECTORS.issuer, "{plain}");
    assert_eq!(plain["type"], "app", "{plain}");
    assert!(has_audience, "{plain}");
    let (now, leeway) = (u128::from(VECTORS.now), u128::from(VECTORS.leeway));
    let (issued, expires) = (u128::from(seconds("iat")), u128::from(seconds("exp")));
    assert!(now < expires + leeway, "{plain}");
    assert!(issued <= now + leeway, "{plain}");
    assert!(expires <= issued + 366 * 86_400, "{plain}");
    if plain.get("nbf").is_some() {
        assert!(u128::from(seconds("nbf")) <= now + leeway, "{plain}");
    }
}
