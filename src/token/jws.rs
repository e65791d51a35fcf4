//! The compact form of a signed token (RFC 7515), parsed within fixed bounds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::algorithm::{Algorithm, KeyAlgorithm};
use super::claims::{Claims, Text, UnusableClaims, present};
use super::error::{TokenError, TokenErrorKind};
use super::keys::KeySet;

/// A token split into its parts; its claims are not verified yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    key_id: Box<str>,
    algorithm: KeyAlgorithm,
    /// The signed text of header and payload.
    signing_input: &'a str,
    /// Claims and signature, decoded into one buffer.
    decoded: Vec<u8>,
    payload_length: usize,
}

impl<'a> Jws<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, TokenError> {
        Self::parse_within(token, MAX_TOKEN_BYTES)
    }

    /// Parses a token of at most `most` bytes: a token in a body may be large.
    pub(crate) fn parse_within(token: &'a str, most: usize) -> Result<Self, TokenError> {
        let usual = |name: &str| Algorithm::from_name(name).map(KeyAlgorithm::Common);
        Self::parse_by(token, most, &["jwt"], usual)
    }

    /// Parses a token of an identity provider, of one of these types or without one. All algorithms are
    /// known.
    #[cfg(feature = "oidc")]
    pub(crate) fn parse_of_provider(
        token: &'a str,
        most: usize,
        types: &[&str],
    ) -> Result<Self, TokenError> {
        Self::parse_by(token, most, types, KeyAlgorithm::from_name)
    }

    fn parse_by(
        token: &'a str,
        most: usize,
        types: &[&str],
        algorithm: impl Fn(&str) -> Option<KeyAlgorithm>,
    ) -> Result<Self, TokenError> {
        let [header, payload, signature] = segments(token, most)?;
        let signing_input =
            token.get(..header.len() + 1 + payload.len()).ok_or(TokenErrorKind::Segments)?;
        let mut decoded = Vec::with_capacity(token.len() * 3 / 4 + 3);
        decode(header, &mut decoded)?;
        let (key_id, algorithm) = read_header(&decoded, types, algorithm)?;
        decoded.clear();
        decode(payload, &mut decoded)?;
        let payload_length = decoded.len();
        decode(signature, &mut decoded)?;
        Ok(Self { key_id, algorithm, signing_input, decoded, payload_length })
    }

    /// Returns the id of the key that the token names.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Returns the algorithm of the key, once the signature was verified.
    #[cfg(feature = "oidc")]
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Returns the claims of our own token if one of these keys signed it; the claims are
    /// unchecked.
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<Claims, TokenError> {
        Claims::parse(self.payload(keys)?)
    }

    /// Like [`verify`](Self::verify), for a token of an external issuer; also returns its unusable
    /// identity claims.
    pub(crate) fn verify_foreign(
        &self,
        keys: &KeySet,
    ) -> Result<(Claims, UnusableClaims), TokenError> {
        Claims::parse_foreign(self.payload(keys)?)
    }

    /// Returns the claim `custom` of a verified token.
    pub(crate) fn custom_claims(&self) -> Option<serde_json::Value> {
        custom_claim_of(self.decoded.get(..self.payload_length)?)
    }

    /// Returns the signed payload if one of these keys verifies it.
    pub(crate) fn payload(&self, keys: &KeySet) -> Result<&[u8], TokenError> {
        let key = keys.get(&self.key_id).ok_or(TokenErrorKind::UnknownKey)?;
        if self.algorithm != key.algorithm() {
            return Err(TokenErrorKind::Algorithm.into());
        }
        let (payload, signature) =
            self.decoded.split_at_checked(self.payload_length).ok_or(TokenErrorKind::Segments)?;
        if !key.verifies(self.signing_input.as_bytes(), signature) {
            return Err(TokenErrorKind::Signature.into());
        }
        Ok(payload)
    }
}

/// Unverified claims of a token. Never trust them: they only show which tokens are worth the cost
/// of a signature check.
pub(crate) fn unverified_claims(token: &str) -> Option<Claims> {
    Claims::parse_foreign(&payload(token).ok()?).ok().map(|(claims, _)| claims)
}

/// Returns the unverified payload of a token. Never trust it: it only shows whom a token is for.
#[cfg(feature = "oidc")]
pub(crate) fn unverified_payload(token: &str) -> Option<Vec<u8>> {
    payload(token).ok()
}

/// Returns the unverified issue and expiry times of a token, in seconds. They are parsed on their
/// own, because other claims may be the reason for the refusal.
pub(crate) fn unverified_lifetime(token: &str) -> Option<(u64, Option<u64>)> {
    #[derive(Deserialize)]
    struct Life {
        iat: serde_json::Number,
        exp: Option<serde_json::Value>,
    }
    fn seconds(number: &serde_json::Number) -> Option<u64> {
        number.as_u64().or_else(|| number.as_f64().filter(|it| *it >= 0.0).map(|it| it as u64))
    }
    let life: Life = serde_json::from_slice(&payload(token).ok()?).ok()?;
    let end = life.exp.as_ref().and_then(serde_json::Value::as_number).and_then(seconds);
    Some((seconds(&life.iat)?, end))
}

/// Returns the claim `custom` of a token that was verified before.
pub(crate) fn custom_claims(token: &str) -> Option<serde_json::Value> {
    custom_claim_of(&payload(token).ok()?)
}

fn custom_claim_of(payload: &[u8]) -> Option<serde_json::Value> {
    #[derive(Deserialize)]
    struct Outer {
        custom: serde_json::Value,
    }
    // Most tokens have none, and a search costs less than parsing them again.
    memchr::memmem::find(payload, b"\"custom\"")?;
    serde_json::from_slice::<Outer>(payload).ok().map(|outer| outer.custom)
}

/// Returns the payload of a token that was verified before.
pub(super) fn payload(token: &str) -> Result<Vec<u8>, TokenError> {
    let [_, payload, _] = segments(token, MAX_TOKEN_BYTES)?;
    let mut decoded = Vec::new();
    decode(payload, &mut decoded)?;
    Ok(decoded)
}

fn segments(token: &str, most: usize) -> Result<[&str; 3], TokenError> {
    // The length is checked before the split, so that a million dots cost nothing.
    if token.len() > most {
        return Err(TokenErrorKind::TooLarge.into());
    }
    let mut segments = token.split('.');
    match (segments.next(), segments.next(), segments.next(), segments.count()) {
        (Some(header), Some(payload), Some(signature), 0) => Ok([header, payload, signature]),
        (Some(_), Some(_), Some(_), 2) => Err(TokenErrorKind::Encrypted.into()),
        _ => Err(TokenErrorKind::Segments.into()),
    }
}

fn read_header(
    json: &[u8],
    types: &[&str],
    algorithm: impl Fn(&str) -> Option<KeyAlgorithm>,
) -> Result<(Box<str>, KeyAlgorithm), TokenError> {
    // Serde would also accept the members as a list.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(TokenErrorKind::Header.into());
    }
    let json = std::str::from_utf8(json).map_err(|_| TokenErrorKind::Header)?;
    let header: Header<'_> = serde_json::from_str(json).map_err(|_| TokenErrorKind::Header)?;
    if header.crit.is_some() || header.b64.is_some() || header.zip.is_some() {
        return Err(TokenErrorKind::Critical.into());
    }
    let is_known = |typ: &str| types.iter().any(|known| typ.eq_ignore_ascii_case(known));
    if header.typ.is_some_and(|Text(typ)| !is_known(&typ)) {
        return Err(TokenErrorKind::MediaType.into());
    }
    let algorithm = header.alg.and_then(|Text(name)| algorithm(&name));
    let algorithm = algorithm.ok_or(TokenErrorKind::Algorithm)?;
    let key_id = header.kid.map(|Text(id)| id).filter(|id| !id.is_empty());
    let key_id = key_id.ok_or(TokenErrorKind::NoKeyId)?;
    if key_id.len() > MAX_KEY_ID_BYTES {
        return Err(TokenErrorKind::UnknownKey.into());
    }
    Ok((key_id.into(), algorithm))
}

/// Unknown members (`jwk`, `jku`, `x5c`, …) are ignored: a key never comes with a token.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    alg: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    kid: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    typ: Option<Text<'a>>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "present")]
    zip: Option<IgnoredAny>,
}

/// Unpadded base64url, canonical: no padding, no blanks, no stray trailing bits. A token has one
/// spelling only, so a cache may be keyed by its text.
fn decode(segment: &str, into: &mut Vec<u8>) -> Result<(), TokenError> {
    URL_SAFE_NO_PAD.decode_vec(segment, into).map_err(|_| TokenErrorKind::Encoding.into())
}

/// Enough for 8 KiB of claims and a 4096-bit signature; more fits into no cookie.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// Access key ids have 64 characters.
pub(super) const MAX_KEY_ID_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "e30.AAAA";

    fn reason(token: &str) -> TokenErrorKind {
        Jws::parse(token).unwrap_err().kind()
    }

    fn with_header(header: &str) -> TokenErrorKind {
        reason(&format!("{}.{BODY}", URL_SAFE_NO_PAD.encode(header)))
    }

    #[test]
    fn jwt_10_the_number_of_segments_is_three() {
        for token in ["", ".", "a", "a.b", "a.b.c.d", "a.b.c.d.e.f", &".".repeat(16_000)] {
            assert_eq!(reason(token), TokenErrorKind::Segments, "{token:.10}");
        }
        assert_eq!(reason("a.b.c.d.e"), TokenErrorKind::Encrypted);
        assert_eq!(reason(&".".repeat(1_000_000)), TokenErrorKind::TooLarge);
    }

    #[test]
    fn jwt_11_every_segment_has_one_spelling() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k"}"#);
        assert!(Jws::parse(&format!("{header}.{BODY}")).is_ok());
        for token in [
            format!("{header}=.{BODY}"),
            format!(" {header}.{BODY}"),
            format!("{header}.e30=.AAAA"),
            format!("{header}.e31.AAAA"),
            format!("{header}.e30.AA+/"),
            format!("{header}.e30.AAAA\n"),
            format!("{header}.e30.AAB"),
        ] {
            assert_eq!(reason(&token), TokenErrorKind::Encoding, "{token}");
        }
    }

    #[test]
    fn jwt_01_jwt_07_jwt_08_jwt_25_a_header_is_refused_for_its_own_reason() {
        for header in ["", "[]", "{", r#"{"alg":7,"kid":"k"}"#, r#"{"alg":null,"kid":"k"}"#] {
            assert_eq!(with_header(header), TokenErrorKind::Header, "{header}");
        }
        for header in [r#"{"alg":"RS256","kid":7}"#, r#"{"alg":"RS256","alg":"RS256","kid":"k"}"#] {
            assert_eq!(with_header(header), TokenErrorKind::Header, "{header}");
        }
        for member in [r#""crit":[]"#, r#""crit":["exp"]"#, r#""b64":true"#, r#""zip":"DEF""#] {
            let header = format!(r#"{{"alg":"RS256","kid":"k",{member}}}"#);
            assert_eq!(with_header(&header), TokenErrorKind::Critical, "{header}");
        }
        for typ in ["at+jwt", "logout+jwt", "", "JWT "] {
            let header = format!(r#"{{"alg":"RS256","kid":"k","typ":"{typ}"}}"#);
            assert_eq!(with_header(&header), TokenErrorKind::MediaType, "{header}");
        }
        for alg in [r#""alg":"none","#, r#""alg":"HS256","#, r#""alg":"rs256","#, ""] {
            let header = format!(r#"{{{alg}"kid":"k"}}"#);
            assert_eq!(with_header(&header), TokenErrorKind::Algorithm, "{header}");
        }
        for header in [r#"{"alg":"RS256"}"#, r#"{"alg":"RS256","kid":""}"#] {
            assert_eq!(with_header(header), TokenErrorKind::NoKeyId, "{header}");
        }
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(10_000));
        assert_eq!(with_header(&long), TokenErrorKind::UnknownKey);
    }
}
