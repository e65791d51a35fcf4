//! Parses a payload into claims.
//!
//! Every known claim occurs at most once and has its type; the names of the others are checked
//! as well, because a payload with a repeated claim is ambiguous (RFC 7519,
//! section 4).

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::{Audiences, Claims, TokenKind, UnusableClaims, UnusableReason};
use crate::token::error::{ClaimName, TokenError, TokenErrorKind};

impl Claims {
    /// Parses the payload of our own token.
    pub(in crate::token) fn parse(payload: &[u8]) -> Result<Self, TokenError> {
        Self::read(payload, None)
    }

    /// Parses the payload of another issuer's token: identity claims that are `null`, and
    /// a nonce that is a number, count as absent and are recorded as unusable.
    pub(in crate::token) fn parse_foreign(
        payload: &[u8],
    ) -> Result<(Self, UnusableClaims), TokenError> {
        let mut unusable = UnusableClaims::default();
        Ok((Self::read(payload, Some(&mut unusable))?, unusable))
    }

    fn read(payload: &[u8], unusable: Option<&mut UnusableClaims>) -> Result<Self, TokenError> {
        // Checks the whole payload: skipped members below are not checked.
        let payload = std::str::from_utf8(payload).map_err(|_| TokenErrorKind::Payload)?;
        let mut reason = None;
        let mut deserializer = serde_json::Deserializer::from_str(payload);
        let claims = Payload { reason: &mut reason, unusable }
            .deserialize(&mut deserializer)
            .and_then(|claims| deserializer.end().map(|()| claims));
        claims.map_err(|error| match error.classify() {
            Category::Data => reason.unwrap_or(TokenErrorKind::Payload).into(),
            Category::Syntax | Category::Eof | Category::Io => TokenErrorKind::Payload.into(),
        })
    }
}

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Payload { reason: &mut None, unusable: None }.deserialize(deserializer)
    }
}

struct Payload<'r> {
    reason: &'r mut Option<TokenErrorKind>,
    /// Collects unusable identity claims; `None`: they are refused.
    unusable: Option<&'r mut UnusableClaims>,
}

impl<'de> DeserializeSeed<'de> for Payload<'_> {
    type Value = Claims;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Claims, D::Error> {
        deserializer.deserialize_map(self)
    }
}

#[derive(Default)]
struct ParsedClaims<'de> {
    kind: Option<TokenKind>,
    iss: Option<String>,
    aud: Option<Audiences>,
    exp: Option<u64>,
    iat: Option<u64>,
    nbf: Option<u64>,
    sub: Option<ClaimText>,
    email: Option<ClaimText>,
    common_name: Option<ClaimText>,
    identity_nonce: Option<ClaimText>,
    country: Option<ClaimText>,
    others: Vec<Cow<'de, str>>,
}

impl<'de> Visitor<'de> for Payload<'_> {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of a token")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Claims, A::Error> {
        let mut found = ParsedClaims::default();
        while let Some(Text(name)) = map.next_key::<Text<'de>>()? {
            match &*name {
                "type" => {
                    let mut text = None;
                    let first = found.kind.is_none();
                    self.once(first, ClaimName::Type, &mut text, &mut map, |Text(text)| text)?;
                    found.kind = match text.as_deref().and_then(TokenKind::from_name) {
                        Some(kind) => Some(kind),
                        None => return Err(self.refuse(TokenErrorKind::Type)),
                    };
                }
                "iss" => self.text(ClaimName::Issuer, &mut found.iss, &mut map)?,
                "aud" => {
                    let first = found.aud.is_none();
                    self.once(first, ClaimName::Audience, &mut found.aud, &mut map, |aud| aud)?;
                }
                "exp" => self.date(ClaimName::ExpiresAt, &mut found.exp, &mut map, f64::floor)?,
                "iat" => self.date(ClaimName::IssuedAt, &mut found.iat, &mut map, f64::ceil)?,
                "nbf" => self.date(ClaimName::NotBefore, &mut found.nbf, &mut map, f64::ceil)?,
                "sub" => self.about_identity(ClaimName::Subject, &mut found.sub, &mut map)?,
                "email" => self.about_identity(ClaimName::Email, &mut found.email, &mut map)?,
                "common_name" => {
                    self.about_identity(ClaimName::CommonName, &mut found.common_name, &mut map)?;
                }
                "identity_nonce" => {
                    let nonce = &mut found.identity_nonce;
                    self.about_identity(ClaimName::IdentityNonce, nonce, &mut map)?;
                }
                "country" => {
                    self.about_identity(ClaimName::Country, &mut found.country, &mut map)?
                }
                _ => {
                    // Few, and only of tokens with a valid signature: a list suffices.
                    if found.others.contains(&name) {
                        return Err(self.refuse(TokenErrorKind::DuplicateClaim(ClaimName::Other)));
                    }
                    found.others.push(name);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = TokenErrorKind::MissingClaim;
        Ok(Claims {
            kind: found.kind.ok_or_else(|| self.refuse(missing(ClaimName::Type)))?,
            iss: found.iss.ok_or_else(|| self.refuse(missing(ClaimName::Issuer)))?,
            aud: found.aud.ok_or_else(|| self.refuse(missing(ClaimName::Audience)))?,
            exp: found.exp.ok_or_else(|| self.refuse(missing(ClaimName::ExpiresAt)))?,
            iat: found.iat.ok_or_else(|| self.refuse(missing(ClaimName::IssuedAt)))?,
            nbf: found.nbf,
            sub: found.sub.and_then(ClaimText::text),
            email: found.email.and_then(ClaimText::text),
            common_name: found.common_name.and_then(ClaimText::text),
            identity_nonce: found.identity_nonce.and_then(ClaimText::text),
            country: found.country.and_then(ClaimText::text),
        })
    }
}

impl Payload<'_> {
    fn refuse<E: de::Error>(&mut self, kind: TokenErrorKind) -> E {
        *self.reason = Some(kind);
        E::custom(kind)
    }

    /// Reads a claim and refuses a repeated one.
    fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>, U>(
        &mut self,
        first: bool,
        claim: ClaimName,
        place: &mut Option<U>,
        map: &mut A,
        from: impl FnOnce(T) -> U,
    ) -> Result<(), A::Error> {
        if !first {
            return Err(self.refuse(TokenErrorKind::DuplicateClaim(claim)));
        }
        let value = map.next_value().inspect_err(|_| {
            *self.reason = Some(TokenErrorKind::WrongType(claim));
        })?;
        *place = Some(from(value));
        Ok(())
    }

    fn text<'de, A: MapAccess<'de>>(
        &mut self,
        claim: ClaimName,
        place: &mut Option<String>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let first = place.is_none();
        self.once(first, claim, place, map, |text: String| text)
    }

    /// Reads an identity claim.
    fn about_identity<'de, A: MapAccess<'de>>(
        &mut self,
        claim: ClaimName,
        place: &mut Option<ClaimText>,
        map: &mut A,
    ) -> Result<(), A::Error> {
        let first = place.is_none();
        self.once(first, claim, place, map, |claimed: ClaimText| claimed)?;
        let why = match place {
            None | Some(ClaimText::Text(_)) => return Ok(()),
            Some(ClaimText::Null) => UnusableReason::Null,
            // It names a session and decides nothing, so only it may be a number.
            Some(ClaimText::Number) if claim == ClaimName::IdentityNonce => UnusableReason::Number,
            Some(ClaimText::Number) => return Err(self.refuse(TokenErrorKind::WrongType(claim))),
        };
        match &mut self.unusable {
            Some(unusable) => unusable.push(claim, why),
            None => return Err(self.refuse(TokenErrorKind::WrongType(claim))),
        }
        Ok(())
    }

    fn date<'de, A: MapAccess<'de>>(
        &mut self,
        claim: ClaimName,
        place: &mut Option<u64>,
        map: &mut A,
        round: fn(f64) -> f64,
    ) -> Result<(), A::Error> {
        let first = place.is_none();
        self.once(first, claim, place, map, |date| match date {
            NumericDate::Seconds(seconds) => seconds,
            // In range and not negative: `NumericDate` checked it.
            NumericDate::Fraction(seconds) => round(seconds) as u64,
        })
    }
}

/// The value of an identity claim.
enum ClaimText {
    Text(String),
    Null,
    Number,
}

impl ClaimText {
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Number => None,
        }
    }
}

impl<'de> Deserialize<'de> for ClaimText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = ClaimText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ClaimText, E> {
                Ok(ClaimText::Text(text.to_owned()))
            }
            fn visit_unit<E: de::Error>(self) -> Result<ClaimText, E> {
                Ok(ClaimText::Null)
            }
            fn visit_u64<E: de::Error>(self, _: u64) -> Result<ClaimText, E> {
                Ok(ClaimText::Number)
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<ClaimText, E> {
                Ok(ClaimText::Number)
            }
            fn visit_f64<E: de::Error>(self, _: f64) -> Result<ClaimText, E> {
                Ok(ClaimText::Number)
            }
        }
        deserializer.deserialize_any(TextVisitor)
    }
}

/// A string, borrowed if it contains no escape.
pub(in crate::token) struct Text<'a>(pub(in crate::token) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl<'de> Visitor<'de> for AnyText {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

/// RFC 7519, section 2: seconds, with an optional fraction. Rounded towards a shorter lifetime.
enum NumericDate {
    Seconds(u64),
    Fraction(f64),
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate::Seconds(seconds))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                if (0.0..MAX_EXACT_SECONDS).contains(&seconds) {
                    Ok(NumericDate::Fraction(seconds))
                } else {
                    Err(E::custom("not a time"))
                }
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// Above 2^53 a double cannot represent every second.
const MAX_EXACT_SECONDS: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn claims() -> Value {
        json!({"type": "app", "iss": "https://i", "aud": ["a"], "exp": 2, "iat": 1, "sub": "s",
            "email": "a@b.example", "custom": {"groups": []}})
    }

    fn reason(payload: &str) -> TokenErrorKind {
        Claims::parse(payload.as_bytes()).unwrap_err().kind()
    }

    fn named(name: &str) -> ClaimName {
        use ClaimName as Name;
        let all = [
            Name::Type,
            Name::Issuer,
            Name::Audience,
            Name::ExpiresAt,
            Name::IssuedAt,
            Name::NotBefore,
            Name::Subject,
            Name::Email,
            Name::CommonName,
            Name::IdentityNonce,
            Name::Country,
        ];
        all.into_iter().find(|claim| claim.to_string() == name).unwrap()
    }

    fn with(name: &str, value: &str) -> String {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let text = claims.to_string();
        format!("{{\"{name}\":{value},{}", &text[1..])
    }

    #[test]
    fn jwt_12_a_claim_that_is_there_twice_is_named() {
        for name in [
            "type",
            "iss",
            "aud",
            "exp",
            "iat",
            "nbf",
            "sub",
            "email",
            "common_name",
            "identity_nonce",
            "country",
        ] {
            let value = match name {
                "type" => "\"app\"",
                "exp" | "iat" | "nbf" => "1",
                _ => "\"x\"",
            };
            let twice = with(name, value).replacen('{', &format!("{{\"{name}\":{value},"), 1);
            assert_eq!(reason(&twice), TokenErrorKind::DuplicateClaim(named(name)), "{name}");
        }
        let escaped = with("exp", "2").replacen('{', "{\"e\\u0078p\":2,", 1);
        assert_eq!(reason(&escaped), TokenErrorKind::DuplicateClaim(named("exp")));
        let unknown = with("exp", "2").replacen('{', "{\"custom\":1,", 1);
        assert_eq!(reason(&unknown), TokenErrorKind::DuplicateClaim(ClaimName::Other));
    }

    #[test]
    fn jwt_13_jwt_14_jwt_16_jwt_21_a_claim_of_the_wrong_type_is_named() {
        for name in ["exp", "iat", "nbf"] {
            for value in ["\"2\"", "null", "-1", "-0.5", "true", "1e300", "[1]", "{}"] {
                assert_eq!(
                    reason(&with(name, value)),
                    TokenErrorKind::WrongType(named(name)),
                    "{value}"
                );
            }
        }
        for name in ["iss", "sub", "email", "common_name", "identity_nonce", "country"] {
            for value in ["1", "null", "[\"https://i\"]", "{}", "true"] {
                assert_eq!(
                    reason(&with(name, value)),
                    TokenErrorKind::WrongType(named(name)),
                    "{value}"
                );
            }
        }
        for value in ["1", "null", "{}", "[1]", "[\"a\", null]", "[[\"a\"]]", "true"] {
            assert_eq!(
                reason(&with("aud", value)),
                TokenErrorKind::WrongType(named("aud")),
                "{value}"
            );
        }
        assert_eq!(reason(&with("type", "1")), TokenErrorKind::WrongType(named("type")));
        assert_eq!(reason(&with("type", "\"other\"")), TokenErrorKind::Type);
    }

    #[test]
    fn jwt_28_of_other_issuers_null_is_no_identity_claim_and_refuses_every_other() {
        let read = |name: &str, value: &str| Claims::parse_foreign(with(name, value).as_bytes());
        for name in ["sub", "email", "common_name", "identity_nonce", "country"] {
            let (claims, unusable) = read(name, "null").unwrap();
            let missing = serde_json::to_value(&claims).unwrap();
            assert!(missing.get(name).is_none(), "{name}");
            assert!(unusable.iter().eq([(named(name), UnusableReason::Null)]), "{name}");
            for value in ["1", "-1.5", "[\"x\"]", "{}", "true"] {
                let is_number = value.parse::<f64>().is_ok();
                match read(name, value) {
                    Ok((claims, unusable)) => {
                        assert!(name == "identity_nonce" && is_number, "{name}: {value}");
                        assert_eq!(claims.identity_nonce, None);
                        assert!(unusable.iter().eq([(named(name), UnusableReason::Number)]));
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), TokenErrorKind::WrongType(named(name)));
                        assert!(name != "identity_nonce" || !is_number, "{name}: {value}");
                    }
                }
            }
        }
        for name in ["iss", "aud", "exp", "iat", "nbf", "type"] {
            let error = read(name, "null").unwrap_err();
            assert_eq!(error.kind(), TokenErrorKind::WrongType(named(name)), "{name}");
        }
        let twice = with("email", "null").replacen('{', "{\"email\":\"a@b.example\",", 1);
        let error = Claims::parse_foreign(twice.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), TokenErrorKind::DuplicateClaim(ClaimName::Email));
    }

    #[test]
    fn a_missing_claim_is_named() {
        for name in ["type", "iss", "aud", "exp", "iat"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert_eq!(reason(&claims.to_string()), TokenErrorKind::MissingClaim(named(name)));
        }
    }

    #[test]
    fn jwt_22_a_payload_that_is_no_object_is_refused() {
        let deep = format!("{{\"x\":{}", "[".repeat(10_000));
        let good = claims().to_string();
        let marked = format!("\u{feff}{good}");
        let trailing = format!("{good} x");
        for payload in ["", "[]", "1", "\"x\"", "null", "{", &deep, &marked, &trailing] {
            assert_eq!(reason(payload), TokenErrorKind::Payload);
        }
        let mut binary = good.into_bytes();
        binary[2] = 0xff;
        assert_eq!(Claims::parse(&binary).unwrap_err().kind(), TokenErrorKind::Payload);
        let mut skipped = with("exp", "2").replacen('{', "{\"z\":\"?\",", 1).into_bytes();
        skipped[6] = 0xb2;
        assert_eq!(Claims::parse(&skipped).unwrap_err().kind(), TokenErrorKind::Payload);
    }

    #[test]
    fn jwt_13_a_fraction_shortens_the_life() {
        let claims = Claims::parse(with("exp", "2.9").as_bytes()).unwrap();
        assert_eq!(claims.exp, 2);
        let claims = Claims::parse(with("nbf", "1.1").as_bytes()).unwrap();
        assert_eq!(claims.nbf, Some(2));
        let claims = Claims::parse(with("exp", "18446744073709551615").as_bytes()).unwrap();
        assert_eq!(claims.exp, u64::MAX);
    }
}
