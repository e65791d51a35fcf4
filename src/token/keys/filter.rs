//! From a published key set to keys fit for use.

use std::collections::HashMap;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use serde::Deserialize;

use super::{KeySet, PublicKey};

impl KeySet {
    /// Reads a JWK set (RFC 7517) and keeps the keys that may verify RS256 signatures.
    ///
    /// Left out with a warning: keys without an id, keys that share an id, symmetric keys, keys
    /// for encryption or another algorithm, RSA keys under 2048 or over 8192 bits, and what cannot
    /// be parsed at all. At most 64 entries are looked at.
    ///
    /// # Errors
    ///
    /// When the text is no JWK set, or no key of it is usable.
    pub fn from_jwks(json: &[u8]) -> Result<Self, KeySetError> {
        let document: Document =
            serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        let mut keys: HashMap<Box<str>, Option<PublicKey>> = HashMap::new();
        for (index, entry) in document.keys.into_iter().take(MOST_KEYS).enumerate() {
            match usable(entry) {
                Ok((key_id, key)) => {
                    // Two keys under one id: neither can be told from the other, so neither counts.
                    keys.entry(key_id).and_modify(|known| *known = None).or_insert(Some(key));
                }
                Err(reason) => tracing::warn!(index, reason, "a published key is left out"),
            }
        }
        let set = Self::from_keys(keys.into_iter().filter_map(|(id, key)| Some((id, key?))));
        if set.is_empty() { Err(KeySetError::NoUsableKey) } else { Ok(set) }
    }
}

/// A published key set that is of no use.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeySetError {
    /// Not JSON with a list `keys`.
    #[error("not a JWK set: expected a JSON object with a list `keys`")]
    NotAKeySet,
    /// No key of it may verify RS256 signatures.
    #[error("the key set holds no usable RS256 key")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

fn usable(entry: serde_json::Value) -> Result<(Box<str>, PublicKey), &'static str> {
    let jwk: Jwk = serde_json::from_value(entry).map_err(|_| "not a JWK")?;
    let AlgorithmParameters::RSA(rsa) = &jwk.algorithm else { return Err("not an RSA key") };
    let key_id = jwk.common.key_id.as_deref().filter(|id| !id.is_empty()).ok_or("no kid")?;
    if jwk.common.key_algorithm.is_some_and(|algorithm| algorithm != KeyAlgorithm::RS256) {
        return Err("for another algorithm");
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
    let n = URL_SAFE_NO_PAD.decode(&rsa.n).map_err(|_| "modulus is no base64url")?;
    let e = URL_SAFE_NO_PAD.decode(&rsa.e).map_err(|_| "exponent is no base64url")?;
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !(2048..=8192).contains(&bits) {
        return Err("RSA key under 2048 or over 8192 bits");
    }
    let der = PublicKeyComponents { n: &n, e: &e }.as_der().map_err(|_| "unfit RSA key")?;
    let parsed = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref())
        .map_err(|_| "unfit RSA key")?;
    Ok((key_id.into(), PublicKey::rs256(parsed)))
}

const MOST_KEYS: usize = 64;

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
        assert_eq!(with(&|key| key["e"] = json!("AQ")), 1);
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
    fn jwt_05_short_rsa_keys_are_left_out() {
        let mut key = published()["keys"][0].clone();
        key["n"] = json!(URL_SAFE_NO_PAD.encode([0xff_u8; 128]));
        assert_eq!(load(&json!({"keys": [key]})).unwrap_err(), KeySetError::NoUsableKey);
    }
}
