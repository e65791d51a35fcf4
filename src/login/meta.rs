//! The `meta` parameter of a login URL: signed data about the refused request.
//!
//! A JWT (section 3.3), opaque to clients. It is signed with a separate HMAC key, which is cheap for
//! requests of strangers, and validators do not accept it as a token.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::random::to_hex;
use crate::secret::{equal, sha256};

/// Binds a login to the browser that was refused at the application.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct MetaParameter {
    #[serde(rename = "type")]
    kind: Kind,
    pub(crate) aud: String,
    pub(crate) hostname: String,
    /// Hash of the browser's `CF_AppSession` cookie.
    pub(crate) app_session_hash: String,
    iat: u64,
    auth_status: String,
}

#[derive(Debug, Deserialize, PartialEq, Serialize)]
enum Kind {
    #[serde(rename = "meta")]
    Meta,
}

impl MetaParameter {
    /// Creates the parameter for a browser, from the hash of its cookie.
    pub(crate) fn new(audience: &str, host: &str, app_session_hash: &str, now: Timestamp) -> Self {
        Self {
            kind: Kind::Meta,
            aud: audience.to_owned(),
            hostname: host.to_owned(),
            app_session_hash: app_session_hash.to_owned(),
            iat: now.as_unix_seconds(),
            auth_status: "NONE".to_owned(),
        }
    }

    pub(crate) fn sign(&self, key: &hmac::Key) -> String {
        let payload = serde_json::to_vec(self).unwrap_or_default();
        let input =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
        let signature = hmac::sign(key, input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Verifies and reads a parameter that is at most a day old. Returns `None` for anything else.
    pub(crate) fn read(text: &str, key: &hmac::Key, now: Timestamp) -> Option<Self> {
        let (input, signature) = text.rsplit_once('.')?;
        let (header, payload) = input.split_once('.')?;
        if text.len() > MAX_META || header != URL_SAFE_NO_PAD.encode(HEADER) {
            return None;
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(key, input.as_bytes(), &signature).ok()?;
        let meta: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        let age = now.since(Timestamp::from_unix_seconds(meta.iat));
        (age <= crate::session::cookie::APP_SESSION_LIFETIME).then_some(meta)
    }

    /// Returns whether a cookie has this hash.
    pub(crate) fn binds(app_session_hash: &str, app_session: &str) -> bool {
        equal(app_session_hash.as_bytes(), hash(app_session).as_bytes())
    }
}

/// Returns the hash under which a browser's cookie is recorded.
pub(crate) fn hash(cookie: &str) -> String {
    to_hex(&sha256(cookie.as_bytes()))
}

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const MAX_META: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::MasterSecret;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    #[test]
    fn flow_05_only_what_was_signed_here_and_lately_is_read() {
        let key = MasterSecret::from_bytes([1; 32]).derive("meta");
        let meta = MetaParameter::new("aud", "app.example", &hash("cookie"), NOW);
        let text = meta.sign(&key);
        assert_eq!(MetaParameter::read(&text, &key, NOW).as_ref(), Some(&meta));
        assert!(MetaParameter::binds(&meta.app_session_hash, "cookie"));
        assert!(!MetaParameter::binds(&meta.app_session_hash, "other"));
        let other = MasterSecret::from_bytes([2; 32]).derive("meta");
        assert_eq!(MetaParameter::read(&text, &other, NOW), None);
        assert_eq!(MetaParameter::read(&text, &key, NOW.plus(Duration::from_secs(90_000))), None);
        for length in 0..text.len() {
            assert_eq!(MetaParameter::read(text.get(..length).unwrap(), &key, NOW), None);
        }
    }
}
