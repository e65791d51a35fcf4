//! The compact form of a signed token (RFC 7515), taken apart within fixed bounds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{Claims, present};
use super::error::{TokenError, TokenErrorKind};
use super::keys::KeySet;

/// A token split into its parts; nothing of it is believed yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    key_id: String,
    algorithm: String,
    /// Header and payload as they were signed.
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        // Bounded before it is split: a million dots cost nothing.
        if token.len() > LARGEST_TOKEN {
            return Err(TokenErrorKind::TooLarge.into());
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenErrorKind::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenErrorKind::Malformed)?;
        if payload.contains('.') {
            return Err(TokenErrorKind::Malformed.into());
        }
        let header = decode(header)?;
        let header: Header =
            serde_json::from_slice(&header).map_err(|_| TokenErrorKind::Malformed)?;
        if header.crit.is_some() || header.b64.is_some() || header.zip.is_some() {
            return Err(TokenErrorKind::Critical.into());
        }
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("jwt")) {
            return Err(TokenErrorKind::Critical.into());
        }
        Ok(Self {
            key_id: header.kid.ok_or(TokenErrorKind::UnknownKey)?,
            algorithm: header.alg.ok_or(TokenErrorKind::Algorithm)?,
            signing_input,
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The id of the key it claims to be signed with.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The claims, if one of these keys signed them; the claims themselves are unchecked.
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<Claims, TokenError> {
        let key = keys.get(&self.key_id).ok_or(TokenErrorKind::UnknownKey)?;
        if self.algorithm != key.algorithm() {
            return Err(TokenErrorKind::Algorithm.into());
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(TokenErrorKind::Signature.into());
        }
        serde_json::from_slice(&self.payload).map_err(|_| TokenErrorKind::Malformed.into())
    }
}

/// Members nobody here knows (`jwk`, `jku`, `x5c`, …) are ignored: a key never comes with a token.
#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "present")]
    alg: Option<String>,
    #[serde(default, deserialize_with = "present")]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    typ: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    zip: Option<IgnoredAny>,
}

/// Unpadded base64url, canonical: no padding, no blanks, no stray trailing bits. A token has one
/// spelling only, so a cache may be keyed by its text.
fn decode(segment: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(segment).map_err(|_| TokenErrorKind::Malformed.into())
}

/// Enough for 8 KiB of claims and a 4096-bit signature; more fits into no cookie.
const LARGEST_TOKEN: usize = 16 * 1024;
