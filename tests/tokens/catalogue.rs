//! Tokens that somebody else made, and key sets with odd entries.

use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tower_access::clock::Timestamp;
use tower_access::identity::Subject;
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::token::keys::KeySet;
use tower_access::token::{
    Algorithm, Algorithms, Expected, TokenError, TokenErrorKind, TokenKind, verify,
};

use crate::support::{self, NOW, person};

const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn judged(token: &str, keys: &KeySet) -> Result<Subject, TokenError> {
    let expected = Expected::new(ISSUER, &[AUDIENCE], TokenKind::Application)
        .with_leeway(Duration::from_secs(60));
    verify(token, keys, expected, now()).and_then(|claims| claims.subject())
}

fn document(key: &SigningKey) -> Value {
    serde_json::from_slice(&PublishedKeys::new(key, &[], ISSUER, now()).unwrap().json()).unwrap()
}

fn keys(jwks: &Value) -> KeySet {
    KeySet::from_jwks(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    serde_json::to_value(person(ISSUER, AUDIENCE, "ada@example.com")).unwrap()
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn rsa(key: &SigningKey) -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(&key.to_pkcs8_der().unwrap()).unwrap()
}

fn signed(header: &Value, claims: &Value, key: &RsaKeyPair) -> String {
    let text = unsigned(header, claims);
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The public key in every form in which a library could take it for a shared secret.
#[test]
fn jwt_02_a_public_key_is_no_shared_secret() {
    let key = SigningKey::generate().unwrap();
    let published = document(&key)["keys"][0].clone();
    let set =
        keys(&json!([published, { "kty": "oct", "kid": "oct", "alg": "HS256", "k": "AAAA" }]));
    assert!(!set.contains("oct"));
    assert!(judged(&key.sign(&claims()).unwrap(), &set).is_ok());
    let pkcs1 = rsa(&key).public_key().as_ref().to_vec();
    // The head of a SubjectPublicKeyInfo of RSA with 2,048 bits.
    let head = "30820122300d06092a864886f70d01010105000382010f00";
    let head =
        (0..head.len()).step_by(2).map(|at| u8::from_str_radix(&head[at..at + 2], 16).unwrap());
    let spki: Vec<u8> = head.chain(pkcs1.iter().copied()).collect();
    let pem = |name: &str, der: &[u8], end: &str| {
        let body = STANDARD.encode(der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {name}-----\n{}\n-----END {name}-----{end}", lines.join("\n"))
    };
    let n = published["n"].as_str().unwrap();
    let secrets: Vec<Vec<u8>> = vec![
        pem("PUBLIC KEY", &spki, "\n").into(),
        pem("PUBLIC KEY", &spki, "").into(),
        pem("RSA PUBLIC KEY", &pkcs1, "\n").into(),
        spki,
        pkcs1,
        n.into(),
        URL_SAFE_NO_PAD.decode(n).unwrap(),
        published.to_string().into(),
        vec![],
        vec![0, 0, 0],
    ];
    let algorithms =
        [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)];
    for secret in &secrets {
        for (name, algorithm) in algorithms {
            for kid in [key.key_id(), "oct"] {
                let header = json!({ "alg": name, "kid": kid, "typ": "JWT" });
                let text = unsigned(&header, &claims());
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
                let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert!(judged(&token, &set).is_err(), "{header}");
                // Nor under the name of the real algorithm.
                let header = json!({ "alg": "RS256", "kid": kid, "typ": "JWT" });
                let text = unsigned(&header, &claims());
                let tag = hmac::sign(&hmac::Key::new(algorithm, secret), text.as_bytes());
                let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag));
                assert!(judged(&token, &set).is_err(), "{header}");
            }
        }
    }
}

/// Keys that come with a token are not looked at: not used, and not fetched.
#[test]
fn jwt_06_a_key_that_comes_with_a_token_counts_for_nothing() {
    let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let set = keys(&document(&ours)["keys"]);
    let their_document = document(&theirs);
    let jwk = &their_document["keys"][0];
    let x5c = jwk.get("x5c").cloned().unwrap_or_else(|| json!(["MIIB"]));
    let brought = [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.example/keys.json")),
        ("jku", json!("file:///etc/passwd")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", x5c),
        ("x5t#S256", json!("AAAA")),
    ];
    for (name, value) in brought {
        for kid in [Some(ours.key_id()), Some(theirs.key_id()), Some(""), None] {
            let mut header = json!({ "alg": "RS256", "typ": "JWT", name: value });
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            assert!(judged(&signed(&header, &claims(), &rsa(&theirs)), &set).is_err(), "{header}");
        }
        // Beside the signature of the right key they change nothing.
        let header = json!({ "alg": "RS256", "kid": ours.key_id(), "typ": "JWT", name: value });
        assert!(judged(&signed(&header, &claims(), &rsa(&ours)), &set).is_ok(), "{header}");
    }
}

#[test]
fn jwt_18_the_issuer_is_compared_exactly() {
    let key = SigningKey::generate().unwrap();
    let set = keys(&document(&key)["keys"]);
    let with = |issuer: Value| {
        let mut claims = claims();
        claims["iss"] = issuer;
        judged(&key.sign(&claims).unwrap(), &set)
    };
    assert!(with(json!(ISSUER)).is_ok());
    for issuer in [
        "https://evil.cloudflareaccess.com",
        "https://acme.cloudflareaccess.com/",
        "https://acme.cloudflareaccess.com//",
        "https://ACME.cloudflareaccess.com",
        "HTTPS://acme.cloudflareaccess.com",
        "http://acme.cloudflareaccess.com",
        "https://acme.cloudflareaccess.com:443",
        "https://acme.cloudflareaccess.com.",
        "https://acme.cloudflareaccess.com#",
        "https://acme.cloudflareaccess.com?x",
        "https://acme.cloudflareaccess.com.evil.example",
        "https://x@acme.cloudflareaccess.com",
        "acme.cloudflareaccess.com",
        " https://acme.cloudflareaccess.com",
        "https://acme.cloudflareaccess.com\n",
        "https://acme.cloudflareaccess.com\0",
        "https://аcme.cloudflareaccess.com",
        "",
    ] {
        let error = with(json!(issuer)).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::Issuer, "{issuer:?}");
    }
    for issuer in [json!([ISSUER]), json!(null), json!(1), json!({ "iss": ISSUER })] {
        assert!(with(issuer.clone()).is_err(), "{issuer}");
    }
}

/// A person has an address or an id, a service a client id; who has both, or none, is neither.
/// JWT-28: a claim that cannot be used is not known, and makes nobody somebody else.
#[test]
fn jwt_20_the_kind_of_a_subject_is_decided_by_rule() {
    let key = SigningKey::generate().unwrap();
    let set = keys(&document(&key)["keys"]);
    let kind = |email: Option<&str>, common_name: Option<&str>, sub: Option<&str>| {
        let mut claims = claims();
        for (name, value) in [("email", email), ("common_name", common_name), ("sub", sub)] {
            match value {
                Some(value) => claims[name] = value.into(),
                None => drop(claims.as_object_mut().unwrap().remove(name)),
            }
        }
        match judged(&key.sign(&claims).unwrap(), &set) {
            Ok(Subject::User { .. }) => Some("person"),
            Ok(Subject::IncompleteUser { .. }) => Some("somebody"),
            Ok(Subject::Service { .. }) => Some("service"),
            _ => None,
        }
    };
    let (ada, ci, id) = (Some("ada@example.com"), Some("ci.access"), Some("4f0a"));
    let (empty, odd) = (Some(""), Some("ada@ex_ample.com"));
    for (email, common_name, sub, expected) in [
        (ada, None, id, Some("person")),
        (ada, empty, id, Some("person")),
        (None, ci, None, Some("service")),
        (None, ci, empty, Some("service")),
        // A person without an address, or without an id.
        (None, None, id, Some("somebody")),
        (empty, None, id, Some("somebody")),
        (odd, None, id, Some("somebody")),
        (ada, None, empty, Some("somebody")),
        (ada, None, None, Some("somebody")),
        (odd, None, empty, Some("somebody")),
        (odd, empty, None, Some("somebody")),
        // What should be an address makes no service of somebody.
        (empty, ci, empty, None),
        (odd, ci, empty, None),
        (odd, ci, None, None),
        // A service with what only people have.
        (ada, ci, None, None),
        (ada, ci, empty, None),
        (ada, ci, id, None),
        (None, ci, id, None),
        // Nobody.
        (None, None, None, None),
        (None, empty, empty, None),
    ] {
        assert_eq!(kind(email, common_name, sub), expected, "{email:?} {common_name:?} {sub:?}");
    }
}

/// One odd key spoils no set: it is left out, and the good one beside it serves.
#[test]
fn key_07_odd_keys_beside_a_good_one_are_left_out() {
    let (good, second) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let mut plain = document(&good)["keys"][0].clone();
    plain["x5c"] = json!(["MIIBAAAA"]);
    plain["x5t#S256"] = json!("AAAA");
    plain["key_ops"] = json!(["verify"]);
    plain["vendor"] = json!({ "any": ["thing", 7, null] });
    let other = document(&second)["keys"][0].clone();
    let n = URL_SAFE_NO_PAD.decode(other["n"].as_str().unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut key = other.clone();
        key[name] = value;
        key
    };
    let long: Vec<u8> = [0].into_iter().chain(n.iter().copied()).collect();
    let odd = [
        with("n", json!(URL_SAFE_NO_PAD.encode(&long))),
        with("n", json!(URL_SAFE.encode(&n))),
        with("n", json!(STANDARD.encode(&n))),
        with("n", json!(other["n"].as_str().unwrap().replacen('A', " ", 1) + "\n")),
        with("e", json!("AAEAAQ")),
        with("e", json!("AQAB=")),
        with("alg", json!("RSA-OAEP")),
        with("alg", json!("ML-DSA-65")),
        json!({ "kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": "AAAA" }),
        json!({ "kty": "RSA" }),
        json!(null),
    ];
    let token = good.sign(&claims()).unwrap();
    for (number, key) in odd.iter().enumerate() {
        for all in [json!([plain, key]), json!([key, plain])] {
            let set = keys(&all);
            assert_eq!(set.len(), 1, "{number}: {key}");
            assert!(judged(&token, &set).is_ok(), "{number}");
            assert!(judged(&second.sign(&claims()).unwrap(), &set).is_err(), "{number}: {key}");
        }
    }
    let mut all = odd.to_vec();
    all.insert(5, plain);
    let set = keys(&all.into());
    assert!(set.len() == 1 && judged(&token, &set).is_ok());
    let none = KeySet::from_jwks_for(
        json!({ "keys": odd }).to_string().as_bytes(),
        Algorithms::default().allow(Algorithm::Es256).allow(Algorithm::EdDsa),
    );
    assert!(none.is_err());
}

/// What a token says is part of no address: a question for keys is the same whatever was shown.
#[tokio::test]
async fn key_10_a_token_chooses_neither_where_keys_come_from_nor_what_is_asked() {
    use http::Request;
    use http_body_util::Full;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::Layer;
    use tower_access::token::keys::{HttpFetch, RemoteKeys};
    use tower_access::{Access, AccessLayer};

    let key = SigningKey::generate().unwrap();
    let body = document(&key).to_string();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            seen.lock().unwrap().push(String::from_utf8(head).unwrap());
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    let clock = support::clock();
    let fetch = HttpFetch::new(&format!("http://{address}/certs")).unwrap();
    let access = Access::verifier_builder("acme.cloudflareaccess.com")
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .keys(RemoteKeys::new(fetch))
        .clock(clock.clone())
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(support::Origin::default());
    let theirs = SigningKey::generate().unwrap();
    for kid in [
        "../../marker",
        "http://marker.example/keys",
        "//marker.example",
        "?marker=1",
        "#marker",
        "marker\r\nx-marker: 1",
        "%2e%2e/marker",
    ] {
        for issuer in [ISSUER, "https://marker.example", "http://127.0.0.1:1/marker"] {
            let mut claims = claims();
            claims["iss"] = issuer.into();
            let header = json!({ "alg": "RS256", "typ": "JWT", "kid": kid,
                                 "jku": "http://marker.example/keys" });
            let token = signed(&header, &claims, &rsa(&theirs));
            let request = Request::builder()
                .uri("/")
                .header("host", "app.example")
                .header("cf-access-jwt-assertion", token)
                .body(Full::default())
                .unwrap();
            assert!(!support::send(&service, request).await.status().is_success());
            // Past every cool-down, so that each may cause a fetch of its own.
            clock.advance(Duration::from_secs(600));
        }
    }
    let heads = heads.lock().unwrap();
    assert!(heads.len() > 1, "unknown keys cause fetches: {}", heads.len());
    for head in heads.iter() {
        assert!(head.starts_with("GET /certs HTTP/1.1\r\n") && !head.contains("marker"), "{head}");
        assert_eq!(head, &heads[0]);
    }
}
