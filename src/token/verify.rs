//! Verifying a token: signature first, then every claim.

use std::time::Duration;

use crate::clock::Timestamp;

use super::claims::{Claims, TokenKind};
use super::error::{TokenError, TokenErrorKind};
use super::jws::Jws;
use super::keys::KeySet;

/// The requirements of [`verify`] for a token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Expected<'a> {
    /// The issuer, compared byte for byte.
    pub issuer: &'a str,
    /// The accepted audiences. The token must have at least one of them, compared as a whole.
    pub audiences: &'a [&'a str],
    /// Application token or session token.
    pub kind: TokenKind,
    /// Tolerance for `exp`, `nbf` and `iat` between two clocks.
    pub leeway: Duration,
}

impl<'a> Expected<'a> {
    /// Requires an issuer, one of some audiences and a type. The leeway is zero.
    #[must_use]
    pub const fn new(issuer: &'a str, audiences: &'a [&'a str], kind: TokenKind) -> Self {
        Self { issuer, audiences, kind, leeway: Duration::ZERO }
    }

    /// Sets the tolerance for `exp`, `nbf` and `iat` between two clocks.
    #[must_use]
    pub const fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }
}

/// Verifies a token: one signature check, then the claims.
///
/// An identity claim that is `null` counts as absent. An invalid claim about lifetime, audience or
/// issuer refuses the token. [`Claims::subject`] returns the subject.
///
/// A pure function of its arguments. A token is valid while `now < exp + leeway`, and from
/// `nbf - leeway` and `iat - leeway` on.
///
/// # Errors
///
/// The first check that failed; see [`TokenErrorKind`].
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::Timestamp;
/// use tower_access::token::keys::KeySet;
/// use tower_access::token::{Expected, TokenErrorKind, TokenKind, verify};
///
/// let keys = KeySet::default();
/// let audiences = ["7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc"];
/// let expected =
///     Expected::new("https://acme.cloudflareaccess.com", &audiences, TokenKind::Application)
///         .with_leeway(Duration::from_secs(60));
/// let now = Timestamp::from_unix_seconds(1_790_000_000);
/// let error = verify("no.token.", &keys, expected, now).unwrap_err();
/// assert_eq!(error.kind(), TokenErrorKind::Encoding);
/// ```
pub fn verify(
    token: &str,
    keys: &KeySet,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let (claims, _) = Jws::parse(token)?.verify_foreign(keys)?;
    check_claims(&claims, expected, now)?;
    Ok(claims)
}

/// Checks the claims of a token whose signature has been checked, now or earlier.
///
/// # Errors
///
/// The first check that failed; see [`TokenErrorKind`].
pub(crate) fn check_claims(
    claims: &Claims,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(), TokenError> {
    if claims.iss != expected.issuer {
        return Err(TokenErrorKind::Issuer.into());
    }
    if claims.kind != expected.kind {
        return Err(TokenErrorKind::Type.into());
    }
    if !expected.audiences.iter().any(|audience| claims.aud.contains(audience)) {
        return Err(TokenErrorKind::Audience.into());
    }
    Lifetime::from_claims(claims)?.check(now, expected.leeway)
}

/// The period in which a token is valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    start: u64,
    end: u64,
}

impl Lifetime {
    pub(crate) fn from_claims(claims: &Claims) -> Result<Self, TokenError> {
        if claims.exp.saturating_sub(claims.iat) > MAX_TOKEN_LIFETIME.as_secs() {
            return Err(TokenErrorKind::Lifetime.into());
        }
        Ok(Self { start: claims.iat.max(claims.nbf.unwrap_or(0)), end: claims.exp })
    }

    pub(crate) fn check(self, now: Timestamp, leeway: Duration) -> Result<(), TokenError> {
        let (now, leeway) = (now.as_unix_seconds(), leeway.as_secs());
        if self.end.saturating_add(leeway) <= now {
            return Err(TokenErrorKind::Expired.into());
        }
        if self.start > now.saturating_add(leeway) {
            return Err(TokenErrorKind::NotYetValid.into());
        }
        Ok(())
    }
}

/// The maximum lifetime; a longer one is a mistake or an attack.
pub(crate) const MAX_TOKEN_LIFETIME: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PSS_SHA256,
        RsaKeyPair,
    };
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::token::{Algorithm, Algorithms};

    /// A token of this algorithm, and the key set it verifies with.
    fn signed(alg: &str, mut jwk: Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> (String, Vec<u8>) {
        let header = json!({"alg": alg, "kid": "k", "typ": "JWT"});
        let claims = json!({"type": "app", "iss": "i", "aud": "a", "iat": 1, "exp": 9});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(sign(input.as_bytes()));
        jwk["kid"] = json!("k");
        (format!("{input}.{signature}"), json!({"keys": [jwk]}).to_string().into_bytes())
    }

    #[test]
    fn jwt_03_jwt_04_each_algorithm_verifies_with_its_key_where_it_is_allowed() {
        let random = SystemRandom::new();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (n, e) = (rsa.public_key().modulus(), rsa.public_key().exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = ec.public_key().as_ref();
        let ed = Ed25519KeyPair::generate().unwrap();
        let cases = [
            (
                Algorithm::Ps256,
                json!({"kty": "RSA", "alg": "PS256", "n": text(n), "e": text(e)}),
                Box::new(|input: &[u8]| {
                    let mut signature = vec![0; rsa.public_modulus_len()];
                    rsa.sign(&RSA_PSS_SHA256, &random, input, &mut signature).unwrap();
                    signature
                }) as Box<dyn Fn(&[u8]) -> Vec<u8>>,
            ),
            (
                Algorithm::Es256,
                json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])}),
                Box::new(|input: &[u8]| ec.sign(&random, input).unwrap().as_ref().to_vec()),
            ),
            (
                Algorithm::EdDsa,
                json!({"kty": "OKP", "crv": "Ed25519", "x": text(ed.public_key().as_ref())}),
                Box::new(|input: &[u8]| ed.sign(input).as_ref().to_vec()),
            ),
        ];
        let kind = TokenKind::Application;
        let expected = Expected { issuer: "i", audiences: &["a"], kind, leeway: Duration::ZERO };
        let now = Timestamp::from_unix_seconds(5);
        for (algorithm, jwk, sign) in cases {
            let (token, set) = signed(algorithm.as_str(), jwk.clone(), &sign);
            assert!(KeySet::from_jwks(&set).is_err(), "{algorithm} was not allowed");
            let keys = KeySet::from_jwks_for(&set, Algorithms::default().allow(algorithm)).unwrap();
            verify(&token, &keys, expected, now).unwrap();
            let zeros = signed(algorithm.as_str(), jwk.clone(), |_| vec![0; 64]).0;
            let error = verify(&zeros, &keys, expected, now).unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Signature, "{algorithm}: r = s = 0");
            let other = signed("RS256", jwk, &sign).0;
            let error = verify(&other, &keys, expected, now).unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::Algorithm, "{algorithm}: the key decides");
        }
    }
}
