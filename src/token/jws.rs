//! The compact form of a signed token (RFC 7515), taken apart within fixed bounds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::present;
use super::error::{TokenError, TokenErrorKind};

/// A token split into its parts; nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    pub(super) key_id: String,
    pub(super) algorithm: String,
    /// Header and payload as they were signed.
    pub(super) signing_input: &'a str,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
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
        let header: Header = serde_json::from_slice(&header).map_err(|_| TokenErrorKind::Malformed)?;
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
