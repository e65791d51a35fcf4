//! The ID token (OpenID Connect Core, section 3.1.3.7): its signature first, then every claim.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{BadClaim, ClaimSet};
use crate::clock::Timestamp;
use crate::secret::equal;
use crate::token::keys::{KeySet, KeySource, RemoteKeys};
use crate::token::{Jws, KeyAlgorithm, TokenError, TokenErrorKind};

/// What an ID token must state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) use_of: Use<'a>,
}

/// What an ID token was returned for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use<'a> {
    /// A login: bound to it by the nonce, and to the access token by `at_hash` if the provider states it.
    Login { nonce: &'a str, access_token: &'a str, max_age: Option<Duration> },
    /// A refresh of the same user.
    Refresh { subject: &'a str, access_token: &'a str },
}

/// Why an ID token is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum IdTokenError {
    Token(TokenErrorKind),
    Claim(&'static str),
    /// Its claims are not a JSON object, or one is repeated.
    Payload,
    /// The keys could not be fetched.
    Keys,
    Subject,
    TooOld,
}

impl fmt::Display for IdTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(kind) => write!(f, "the ID token is refused: {kind}"),
            Self::Claim(name) => {
                write!(f, "the ID token is refused: its `{name}` is missing, or not what it must be")
            }
            Self::Payload => f.write_str("the ID token is refused: its claims are not a JSON object"),
            Self::Keys => f.write_str("the provider's keys could not be fetched"),
            Self::Subject => f.write_str("the refreshed ID token is about another user"),
            Self::TooOld => f.write_str(
                "the user's last login at the provider is longer ago than `max_age`, or it does not say \
                 when it was (`auth_time`)",
            ),
        }
    }
}

impl From<BadClaim> for IdTokenError {
    fn from(BadClaim(name): BadClaim) -> Self {
        Self::Claim(name)
    }
}

impl From<TokenError> for IdTokenError {
    fn from(error: TokenError) -> Self {
        Self::Token(error.kind())
    }
}

/// Verifies an ID token, and returns its claims. Waits for the provider's keys if its key is unknown.
pub(super) async fn verify(
    token: &str,
    keys: &RemoteKeys,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<ClaimSet, IdTokenError> {
    let (claims, algorithm) = signed_claims(token, keys, &["jwt"], now).await?;
    check(&claims, algorithm, expected, now)?;
    Ok(claims)
}

/// Returns the claims of a token of one of these types, whose signature is right.
pub(super) async fn signed_claims(
    token: &str,
    keys: &RemoteKeys,
    types: &[&str],
    now: Timestamp,
) -> Result<(ClaimSet, KeyAlgorithm), IdTokenError> {
    let jws = Jws::parse_of_provider(token, MAX_ID_TOKEN_BYTES, types)?;
    let set = keys_with(keys, jws.key_id(), now).await?;
    let claims = ClaimSet::read(jws.payload(&set)?).ok_or(IdTokenError::Payload)?;
    Ok((claims, jws.algorithm()))
}

/// Returns the provider's keys, after a fetch if this one is not among them.
async fn keys_with(
    keys: &RemoteKeys,
    key_id: &str,
    now: Timestamp,
) -> Result<KeySet, IdTokenError> {
    let known = keys.current(now);
    if let Some(set) = known.filter(|set| set.contains(key_id)) {
        return Ok(set);
    }
    if let Some(refresh) = keys.look_for(key_id, now) {
        refresh.await;
    }
    keys.current(now).ok_or(IdTokenError::Keys)
}

fn check(
    claims: &ClaimSet,
    algorithm: KeyAlgorithm,
    expected: Expected<'_>,
    now: Timestamp,
) -> Result<(), IdTokenError> {
    check_audience(claims, expected.issuer, expected.client_id)?;
    check_times(claims, now)?;
    let subject = claims.required_text("sub")?;
    if subject.len() > MAX_SUBJECT_BYTES || subject.contains(char::is_control) {
        return Err(IdTokenError::Claim("sub"));
    }
    let is = |text: &str, other: &str| equal(text.as_bytes(), other.as_bytes());
    let access_token = match expected.use_of {
        Use::Login { nonce, access_token, max_age } => {
            if !is(claims.required_text("nonce")?, nonce) {
                return Err(IdTokenError::Claim("nonce"));
            }
            check_age(claims, max_age, now)?;
            access_token
        }
        Use::Refresh { subject: known, access_token } => {
            if !is(subject, known) {
                return Err(IdTokenError::Subject);
            }
            access_token
        }
    };
    if let Some(stated) = claims.text("at_hash")?
        && !is(stated, &half_hash(algorithm, access_token))
    {
        return Err(IdTokenError::Claim("at_hash"));
    }
    Ok(())
}

/// Checks that a token was issued by this issuer for this client.
pub(super) fn check_audience(
    claims: &ClaimSet,
    issuer: &str,
    client_id: &str,
) -> Result<(), IdTokenError> {
    if claims.required_text("iss")? != issuer {
        return Err(IdTokenError::Token(TokenErrorKind::Issuer));
    }
    let audiences = claims.texts("aud")?.ok_or(IdTokenError::Claim("aud"))?;
    if !audiences.contains(&client_id) {
        return Err(IdTokenError::Token(TokenErrorKind::Audience));
    }
    match claims.text("azp")? {
        Some(party) if party == client_id => Ok(()),
        None if audiences.len() == 1 => Ok(()),
        Some(_) | None => Err(IdTokenError::Claim("azp")),
    }
}

/// Checks that a token is valid now.
pub(super) fn check_times(claims: &ClaimSet, now: Timestamp) -> Result<(), IdTokenError> {
    if claims.required_time("exp")?.plus(LEEWAY) <= now {
        return Err(IdTokenError::Token(TokenErrorKind::Expired));
    }
    let latest_start = now.plus(LEEWAY);
    let starts = [Some(claims.required_time("iat")?), claims.time("nbf")?];
    if starts.into_iter().flatten().any(|start| start > latest_start) {
        return Err(IdTokenError::Token(TokenErrorKind::NotYetValid));
    }
    Ok(())
}

fn check_age(
    claims: &ClaimSet,
    max_age: Option<Duration>,
    now: Timestamp,
) -> Result<(), IdTokenError> {
    let entered = claims.time("auth_time")?;
    match (max_age, entered) {
        (None, _) => Ok(()),
        (Some(max_age), Some(entered)) if entered.plus(max_age).plus(LEEWAY) > now => Ok(()),
        (Some(_), _) => Err(IdTokenError::TooOld),
    }
}

/// The left half of the hash of an access token.
fn half_hash(algorithm: KeyAlgorithm, access_token: &str) -> String {
    let hash = digest::digest(algorithm.digest(), access_token.as_bytes());
    let hash = hash.as_ref();
    URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default())
}

/// Between the clocks of the provider and of this server.
pub(super) const LEEWAY: Duration = Duration::from_secs(60);
/// Enough for hundreds of groups.
const MAX_ID_TOKEN_BYTES: usize = 64 * 1024;
/// OpenID Connect Core allows 255 characters.
pub(super) const MAX_SUBJECT_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
        RsaKeyPair,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::token::keys::{FetchedKeys, KeyFetch, KeyFuture, RefreshPolicy};
    use crate::token::{Algorithm, Algorithms};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
    const EXPECTED: Expected<'_> = Expected {
        issuer: "https://idp.example",
        client_id: "app",
        use_of: Use::Login { nonce: "n-1", access_token: "token", max_age: None },
    };

    fn claims() -> Value {
        let now = NOW.as_unix_seconds();
        json!({"iss": "https://idp.example", "sub": "u-1", "aud": "app", "nonce": "n-1",
               "iat": now, "exp": now + 300})
    }

    fn outcome(claims: &Value, expected: Expected<'_>) -> Result<(), IdTokenError> {
        let claims = ClaimSet::read(claims.to_string().as_bytes()).unwrap();
        check(&claims, KeyAlgorithm::Common(Algorithm::Rs256), expected, NOW)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn every_claim_must_be_what_it_must_be() {
        assert_eq!(outcome(&claims(), EXPECTED), Ok(()));
        let now = NOW.as_unix_seconds();
        for (name, value) in [
            ("aud", json!(["app"])),
            ("azp", json!("app")),
            ("exp", json!(now - 59)),
            ("iat", json!(now + 60)),
            ("nbf", json!(now + 60)),
            ("exp", json!(now as f64 + 1.5)),
            ("sub", json!("x".repeat(255))),
            ("auth_time", json!(1)),
            ("unknown", json!(null)),
        ] {
            assert_eq!(outcome(&with(name, value), EXPECTED), Ok(()), "{name}");
        }
        let both = json!(["other", "app"]);
        let mut named = with("aud", both.clone());
        named["azp"] = json!("app");
        assert_eq!(outcome(&named, EXPECTED), Ok(()));
        for (name, values) in [
            ("iss", vec![json!("https://idp.example/"), json!(["https://idp.example"]), json!("")]),
            ("aud", vec![json!("App"), json!([]), json!([1]), json!("app app"), both, json!({})]),
            ("azp", vec![json!("other"), json!(""), json!(7), json!(["app"]), json!(null)]),
            ("exp", vec![json!(now - 60), json!("9999999999"), json!(-1), json!(null)]),
            ("iat", vec![json!(now + 61), json!("1"), json!(true)]),
            ("nbf", vec![json!(now + 61), json!(null), json!("1")]),
            ("nonce", vec![json!("n-2"), json!(""), json!(["n-1"]), json!(null)]),
            ("sub", vec![json!(""), json!(7), json!("x".repeat(256)), json!("a\nb"), json!(null)]),
            ("auth_time", vec![json!("1"), json!(null)]),
            ("at_hash", vec![json!("x"), json!(7), json!(null), json!("")]),
        ] {
            for value in values {
                assert!(outcome(&with(name, value.clone()), EXPECTED).is_err(), "{name}: {value}");
            }
        }
        for name in ["iss", "sub", "aud", "nonce", "iat", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(outcome(&claims, EXPECTED).is_err(), "without {name}");
        }
    }

    #[test]
    fn a_refreshed_token_is_about_the_same_user_and_needs_no_nonce() {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove("nonce");
        let refresh = |subject| Expected {
            use_of: Use::Refresh { subject, access_token: "token" },
            ..EXPECTED
        };
        assert_eq!(outcome(&claims, refresh("u-1")), Ok(()));
        assert_eq!(outcome(&claims, refresh("u-2")), Err(IdTokenError::Subject));
    }

    #[test]
    fn the_age_of_the_login_at_the_provider_is_checked_where_it_is_limited() {
        let limited = Expected {
            use_of: Use::Login {
                nonce: "n-1",
                access_token: "token",
                max_age: Some(Duration::from_secs(600)),
            },
            ..EXPECTED
        };
        let at = |seconds| with("auth_time", json!(NOW.as_unix_seconds() - seconds));
        assert_eq!(outcome(&claims(), limited), Err(IdTokenError::TooOld), "it does not say");
        assert_eq!(outcome(&at(659), limited), Ok(()));
        assert_eq!(outcome(&at(660), limited), Err(IdTokenError::TooOld));
    }

    #[test]
    fn the_hash_of_the_access_token_is_that_of_the_specification() {
        // OpenID Connect Core, appendix A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        let algorithm = KeyAlgorithm::Common(Algorithm::Rs256);
        assert_eq!(half_hash(algorithm, token), "77QmUPtjPfzWtF2AnpK9RQ");
        let expected = Expected {
            use_of: Use::Login { nonce: "n-1", access_token: token, max_age: None },
            ..EXPECTED
        };
        let claims = with("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"));
        assert_eq!(outcome(&claims, expected), Ok(()));
        assert!(outcome(&claims, EXPECTED).is_err(), "the hash of another token");
    }

    /// A server with these keys.
    #[derive(Debug)]
    struct Keys(Vec<u8>);

    impl KeyFetch for Keys {
        fn fetch(&self) -> KeyFuture<'_> {
            Box::pin(std::future::ready(Ok(FetchedKeys::new(self.0.clone()))))
        }
    }

    type Signer<'a> = Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>;

    fn token(header: &Value, claims: &Value, sign: &Signer<'_>) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(header), part(claims));
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(sign(input.as_bytes())))
    }

    #[tokio::test]
    async fn jwt_03_the_longer_algorithms_verify_with_their_keys_and_for_providers_only() {
        let random = SystemRandom::new();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let (n, e) = (rsa.public_key().modulus(), rsa.public_key().exponent());
        let n = text(n.big_endian_without_leading_zero());
        let e = text(e.big_endian_without_leading_zero());
        let by_rsa = |padding: &'static dyn RsaEncoding| -> Signer<'_> {
            let (rsa, random) = (&rsa, &random);
            Box::new(move |input| {
                let mut signature = vec![0; rsa.public_modulus_len()];
                rsa.sign(padding, random, input, &mut signature).unwrap();
                signature
            })
        };
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let by_ec = |pair: &EcdsaKeyPair, curve: &str, length: usize| {
            let point = pair.public_key().as_ref();
            json!({"kty": "EC", "crv": curve, "x": text(&point[1..=length]),
                   "y": text(&point[1 + length..])})
        };
        let of_rsa = |alg: &str| json!({"kty": "RSA", "alg": alg, "n": n, "e": e});
        let cases: Vec<(&str, Value, Signer<'_>)> = vec![
            ("RS384", of_rsa("RS384"), by_rsa(&RSA_PKCS1_SHA384)),
            ("RS512", of_rsa("RS512"), by_rsa(&RSA_PKCS1_SHA512)),
            ("PS384", of_rsa("PS384"), by_rsa(&RSA_PSS_SHA384)),
            ("PS512", of_rsa("PS512"), by_rsa(&RSA_PSS_SHA512)),
            (
                "ES384",
                by_ec(&p384, "P-384", 48),
                Box::new(|input| p384.sign(&random, input).unwrap().as_ref().to_vec()),
            ),
            (
                "ES512",
                by_ec(&p521, "P-521", 66),
                Box::new(|input| p521.sign(&random, input).unwrap().as_ref().to_vec()),
            ),
        ];
        for (alg, mut jwk, sign) in cases {
            jwk["kid"] = json!("k");
            let set = json!({"keys": [jwk]}).to_string().into_bytes();
            let every = [Algorithm::Ps256, Algorithm::Es256, Algorithm::EdDsa];
            let every = every.into_iter().fold(Algorithms::default(), Algorithms::allow);
            assert!(KeySet::from_jwks_for(&set, every).is_err(), "{alg} of an Access issuer");
            let keys = RemoteKeys::for_provider(Keys(set), RefreshPolicy::default());
            let verify = async |header: Value| {
                verify(&token(&header, &claims(), &sign), &keys, EXPECTED, NOW).await.err()
            };
            let good = json!({"alg": alg, "kid": "k"});
            assert_eq!(verify(good.clone()).await, None, "{alg}");
            let mut typed = good.clone();
            typed["typ"] = json!("JWT");
            assert_eq!(verify(typed.clone()).await, None, "{alg}");
            typed["typ"] = json!("logout+jwt");
            let refused = |kind| Some(IdTokenError::Token(kind));
            assert_eq!(verify(typed).await, refused(TokenErrorKind::MediaType));
            for other in ["RS256", "RS384", "RS512", "PS512", "ES384", "ES512"] {
                if other != alg {
                    let header = json!({"alg": other, "kid": "k"});
                    let error = verify(header).await;
                    assert_eq!(error, refused(TokenErrorKind::Algorithm), "{alg} as {other}");
                }
            }
            for alg in ["none", "HS256", "HS512"] {
                let header = json!({"alg": alg, "kid": "k"});
                assert_eq!(verify(header).await, refused(TokenErrorKind::Algorithm));
            }
            let signed = token(&good, &claims(), &sign);
            let other = token(&good, &with("sub", json!("u-2")), &sign);
            let (start, _) = other.rsplit_once('.').unwrap();
            let (_, signature) = signed.rsplit_once('.').unwrap();
            let forged = format!("{start}.{signature}");
            let error = super::verify(&forged, &keys, EXPECTED, NOW).await.unwrap_err();
            assert_eq!(error, IdTokenError::Token(TokenErrorKind::Signature), "{alg}");
        }
    }
}
