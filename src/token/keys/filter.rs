//! Selects the usable keys of a published key set.

use std::collections::HashMap;
use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    EcdsaVerificationAlgorithm, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, EllipticCurve, EllipticCurveKeyParameters, Jwk, KeyOperations,
    OctetKeyPairParameters, PublicKeyUse, RSAKeyParameters,
};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;

use super::{KeySet, PublicKey};
use crate::token::algorithm::{Algorithm, Algorithms, KeyAlgorithm, KeyAlgorithms};
use crate::token::jws::MAX_KEY_ID_BYTES;

impl KeySet {
    /// Reads a JWK set (RFC 7517) and keeps the keys that may verify RS256 signatures.
    ///
    /// Left out with a warning: keys without an id, keys that share an id, symmetric keys, keys
    /// for encryption or another algorithm, RSA keys under 2048 or over 8192 bits or with an unfit
    /// exponent, and entries that cannot be parsed. At most 1,024 entries are read, and 64 keys
    /// kept.
    ///
    /// # Errors
    ///
    /// If the text is not a JWK set, or contains no usable key.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        Self::from_jwks_for(json, Algorithms::default())
    }

    /// As [`from_jwks`](Self::from_jwks), and keeps keys of the other allowed algorithms, too.
    ///
    /// A key is for the algorithm in its `alg`; without one an RSA key is for RS256, a P-256 key
    /// for ES256, an Ed25519 key for EdDSA.
    ///
    /// # Errors
    ///
    /// If the text is not a JWK set, or contains no usable key.
    pub fn from_jwks_for(json: &[u8], algorithms: Algorithms) -> Result<Self, KeySetError> {
        Self::from_published(json, KeyAlgorithms::Allowed(algorithms))
    }

    /// As [`from_jwks_for`](Self::from_jwks_for). Keys of identity providers may also be for the longer
    /// hash functions; without `alg` a P-384 key is for ES384, and a P-521 key for ES512.
    pub(crate) fn from_published(
        json: &[u8],
        algorithms: KeyAlgorithms,
    ) -> Result<Self, KeySetError> {
        let Document { keys: Entries(entries) } =
            serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        let mut keys: HashMap<Box<str>, Option<PublicKey>> = HashMap::new();
        for (index, entry) in entries.into_iter().enumerate() {
            match usable(entry, algorithms) {
                Ok((key_id, key)) => {
                    if keys.len() >= MAX_KEYS && !keys.contains_key(&key_id) {
                        tracing::warn!(index, "a key set has more than {MAX_KEYS} keys: cut");
                        break;
                    }
                    // Two keys with one id are ambiguous, so neither is used.
                    keys.entry(key_id).and_modify(|known| *known = None).or_insert(Some(key));
                }
                Err(reason) => tracing::warn!(index, reason, "a published key is left out"),
            }
        }
        let set = Self::from_keys(keys.into_iter().filter_map(|(id, key)| Some((id, key?))));
        if set.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(set) }
    }
}

/// The error for an unusable published key set.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not JSON with a list `keys`.
    #[error("not a JWK set: expected a JSON object with a list `keys`")]
    NotAKeySet,
    /// It contains no usable key.
    #[error("the key set contains no usable key; expected RS256 or another allowed algorithm")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Entries,
}

/// The first entries of a list, however long it is.
struct Entries(Vec<Value>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while entries.len() < MAX_ENTRIES {
                    let Some(entry) = list.next_element()? else { return Ok(Entries(entries)) };
                    entries.push(entry);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

fn usable(
    mut entry: Value,
    algorithms: KeyAlgorithms,
) -> Result<(Box<str>, PublicKey), &'static str> {
    let stated = match entry.as_object_mut().and_then(|members| members.remove("alg")) {
        None => None,
        Some(Value::String(name)) => {
            Some(KeyAlgorithm::from_name(&name).ok_or("for another algorithm")?)
        }
        Some(_) => return Err("`alg` is not a string"),
    };
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| "not a JWK")?;
    let key_id = jwk.common.key_id.as_deref().filter(|id| !id.is_empty()).ok_or("missing kid")?;
    if key_id.len() > MAX_KEY_ID_BYTES {
        return Err("kid over 256 bytes");
    }
    if jwk.common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
        return Err("not for signatures");
    }
    if jwk
        .common
        .key_operations
        .as_ref()
        .is_some_and(|operations| !operations.contains(&KeyOperations::Verify))
    {
        return Err("not for verifying");
    }
    let usual = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => KeyAlgorithm::Common(Algorithm::Rs256),
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => KeyAlgorithm::Common(Algorithm::Es256),
            EllipticCurve::P384 => KeyAlgorithm::Es384,
            EllipticCurve::P521 => KeyAlgorithm::Es512,
            _ => return Err("of another curve"),
        },
        AlgorithmParameters::OctetKeyPair(_) => KeyAlgorithm::Common(Algorithm::EdDsa),
        AlgorithmParameters::OctetKey(_) => return Err("a symmetric key"),
        _ => return Err("key type and algorithm do not match"),
    };
    let algorithm = stated.unwrap_or(usual);
    if !algorithms.allows(algorithm) {
        return Err("for an algorithm that is not allowed");
    }
    let parsed = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => rsa(key, algorithm),
        // Each curve has one algorithm (RFC 7518, section 3.4).
        AlgorithmParameters::EllipticCurve(key) if algorithm == usual => elliptic(key),
        AlgorithmParameters::OctetKeyPair(key) if algorithm == usual => ed25519(key),
        _ => Err("key type and algorithm do not match"),
    };
    Ok((key_id.into(), PublicKey::new(algorithm, parsed?)))
}

fn rsa(key: &RSAKeyParameters, algorithm: KeyAlgorithm) -> Result<ParsedPublicKey, &'static str> {
    let verification: &'static RsaParameters = match algorithm {
        KeyAlgorithm::Common(Algorithm::Rs256) => &RSA_PKCS1_2048_8192_SHA256,
        KeyAlgorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        KeyAlgorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        KeyAlgorithm::Common(Algorithm::Ps256) => &RSA_PSS_2048_8192_SHA256,
        KeyAlgorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        KeyAlgorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        KeyAlgorithm::Common(Algorithm::Es256 | Algorithm::EdDsa)
        | KeyAlgorithm::Es384
        | KeyAlgorithm::Es512 => return Err("key type and algorithm do not match"),
    };
    let n = decode(&key.n)?;
    let e = decode(&key.e)?;
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("RSA key under 2048 or over 8192 bits");
    }
    let next = |e: u64, byte: &u8| e.saturating_mul(256).saturating_add(u64::from(*byte));
    let exponent = e.iter().fold(0, next);
    if !(3..1 << 33).contains(&exponent) || exponent % 2 == 0 {
        return Err("unfit RSA exponent");
    }
    let der = PublicKeyComponents { n: &n, e: &e }.as_der().map_err(|_| "unfit RSA key")?;
    ParsedPublicKey::new(verification, der.as_ref()).map_err(|_| "unfit RSA key")
}

fn elliptic(key: &EllipticCurveKeyParameters) -> Result<ParsedPublicKey, &'static str> {
    let (verification, length): (&'static EcdsaVerificationAlgorithm, _) = match key.curve {
        EllipticCurve::P256 => (&ECDSA_P256_SHA256_FIXED, 32),
        EllipticCurve::P384 => (&ECDSA_P384_SHA384_FIXED, 48),
        EllipticCurve::P521 => (&ECDSA_P521_SHA512_FIXED, 66),
        _ => return Err("of another curve"),
    };
    let (x, y) = (decode(&key.x)?, decode(&key.y)?);
    if x.len() != length || y.len() != length {
        return Err("a coordinate of the wrong length");
    }
    let point = [[UNCOMPRESSED].as_slice(), &x, &y].concat();
    ParsedPublicKey::new(verification, point).map_err(|_| "not a point on the curve")
}

fn ed25519(key: &OctetKeyPairParameters) -> Result<ParsedPublicKey, &'static str> {
    if key.curve != EllipticCurve::Ed25519 {
        return Err("of another curve");
    }
    ParsedPublicKey::new(&ED25519, decode(&key.x)?).map_err(|_| "unfit Ed25519 key")
}

fn decode(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "a number that is not base64url")
}

/// The first byte of an uncompressed SEC 1 point.
const UNCOMPRESSED: u8 = 4;
const MAX_ENTRIES: usize = 1024;
const MAX_KEYS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn published() -> Value {
        let text = include_str!("../../../tests/vectors/jwt.json");
        serde_json::from_str::<Value>(text).unwrap()["jwks"].clone()
    }

    fn load(document: &Value) -> Result<KeySet, KeySetError> {
        KeySet::from_jwks(document.to_string().as_bytes())
    }

    #[test]
    fn key_06_a_set_without_a_usable_key_is_an_error() {
        assert_eq!(load(&json!({"keys": []})).unwrap_err(), KeySetError::NoUsableKey);
        for text in ["", "<html>", "[]", "{}", "{\"keys\": 3}"] {
            assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), KeySetError::NotAKeySet);
        }
    }

    #[test]
    fn key_07_one_bad_key_does_not_lose_the_others() {
        let good = published()["keys"][0].clone();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut key = good.clone();
            key["kid"] = json!("other");
            change(&mut key);
            load(&json!({"keys": [good, key]})).unwrap().len()
        };
        assert_eq!(with(&|_| ()), 2);
        assert_eq!(with(&|key| key["use"] = json!("enc")), 1);
        assert_eq!(with(&|key| key["alg"] = json!("RSA-OAEP")), 1);
        assert_eq!(with(&|key| key["alg"] = json!("RS512")), 1);
        assert_eq!(with(&|key| key["kty"] = json!("oct")), 1);
        assert_eq!(with(&|key| *key = json!({"kty": "oct", "k": "AAAA", "kid": "s"})), 1);
        assert_eq!(with(&|key| key["key_ops"] = json!(["sign"])), 1);
        assert_eq!(with(&|key| key["n"] = json!("AQAB")), 1);
        for exponent in [[1].as_slice(), &[2], &[0], &[1, 0, 0], &[3, 0, 0, 0, 1], &[0xff; 100]] {
            assert_eq!(with(&|key| key["e"] = json!(URL_SAFE_NO_PAD.encode(exponent))), 1);
        }
        assert_eq!(with(&|key| key["e"] = json!("")), 1);
        assert_eq!(with(&|key| key["alg"] = json!(7)), 1);
        assert_eq!(with(&|key| key["alg"] = json!("PS256")), 1);
        assert_eq!(with(&|key| key["kid"] = json!("k".repeat(257))), 1);
        assert_eq!(with(&|key| key["kid"] = json!("")), 1);
        assert_eq!(with(&|key| *key = json!("nothing")), 1);
    }

    #[test]
    fn jwt_09_two_keys_under_one_id_are_both_left_out() {
        let keys = published()["keys"].clone();
        let mut second = keys[1].clone();
        second["kid"] = keys[0]["kid"].clone();
        assert_eq!(
            load(&json!({"keys": [keys[0], second]})).unwrap_err(),
            KeySetError::NoUsableKey
        );
    }

    #[test]
    fn jwt_03_jwt_04_other_algorithms_count_when_they_are_allowed_and_belong_to_the_key() {
        let rsa = published()["keys"][0].clone();
        let pss = json!({"kid": "pss", "kty": "RSA", "alg": "PS256", "n": rsa["n"], "e": rsa["e"]});
        // The examples of RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
        let p256 = json!({
            "kid": "ec", "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        });
        let ed25519 = json!({
            "kid": "ed", "kty": "OKP", "crv": "Ed25519",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        let all = json!({"keys": [rsa, pss, p256, ed25519]}).to_string();
        let loaded = |algorithms| {
            let set = KeySet::from_jwks_for(all.as_bytes(), algorithms).unwrap();
            ["pss", "ec", "ed"].map(|id| match set.get(id).map(PublicKey::algorithm)? {
                KeyAlgorithm::Common(algorithm) => Some(algorithm),
                other => panic!("{other:?}"),
            })
        };
        let none = Algorithms::default();
        assert_eq!(loaded(none), [None; 3]);
        let [ps, es, ed] = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
        assert_eq!(loaded(none.allow(ps)), [Some(ps), None, None]);
        assert_eq!(loaded(none.allow(es)), [None, Some(es), None]);
        assert_eq!(loaded(none.allow(ed)), [None, None, Some(ed)]);

        let unfit = |base: &Value, change: &dyn Fn(&mut Value)| {
            let mut key = base.clone();
            change(&mut key);
            let document = json!({"keys": [key]}).to_string();
            let everything = none.allow(ps).allow(es).allow(ed);
            KeySet::from_jwks_for(document.as_bytes(), everything).is_err()
        };
        assert!(!unfit(&p256, &|_| ()) && !unfit(&ed25519, &|_| ()));
        assert!(unfit(&p256, &|key| key["alg"] = json!("RS256")));
        assert!(unfit(&p256, &|key| key["alg"] = json!("ES384")));
        assert!(unfit(&p256, &|key| key["crv"] = json!("P-384")));
        assert!(unfit(&p256, &|key| key["x"] = key["y"].clone()));
        assert!(unfit(&p256, &|key| key["x"] = json!("AQAB")));
        assert!(unfit(&ed25519, &|key| key["alg"] = json!("ES256")));
        assert!(unfit(&ed25519, &|key| key["crv"] = json!("X25519")));
        assert!(unfit(&ed25519, &|key| key["x"] = json!("AQAB")));
    }

    #[test]
    fn key_07_the_number_of_keys_and_of_entries_is_bounded() {
        let key = published()["keys"][0].clone();
        let keys: Vec<_> = (0..100)
            .map(|number| {
                let mut key = key.clone();
                key["kid"] = json!(format!("k{number}"));
                key
            })
            .collect();
        assert_eq!(load(&json!({"keys": keys})).unwrap().len(), MAX_KEYS);
        let mut behind_junk = vec![json!(0); MAX_ENTRIES];
        behind_junk.push(key);
        assert_eq!(load(&json!({"keys": behind_junk})).unwrap_err(), KeySetError::NoUsableKey);
        behind_junk.swap(0, MAX_ENTRIES);
        assert_eq!(load(&json!({"keys": behind_junk})).unwrap().len(), 1);
    }

    #[test]
    fn jwt_05_short_rsa_keys_are_left_out() {
        let mut key = published()["keys"][0].clone();
        key["n"] = json!(URL_SAFE_NO_PAD.encode([0xff_u8; 128]));
        assert_eq!(load(&json!({"keys": [key]})).unwrap_err(), KeySetError::NoUsableKey);
    }
}
