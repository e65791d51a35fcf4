//! Claims as a provider sends them, read by type.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The members of a JSON object, none of which is repeated.
#[derive(Clone, Debug, Default)]
pub(super) struct ClaimSet(Map<String, Value>);

/// A claim that is missing or has another type than it must have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BadClaim(pub(super) &'static str);

impl ClaimSet {
    /// Reads a JSON object. Returns `None` for anything else.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Returns a claim that is not `null`.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns a text that may be absent, but not `null` or of another type.
    pub(super) fn text(&self, name: &'static str) -> Result<Option<&str>, BadClaim> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(BadClaim(name)),
        }
    }

    /// Returns a text that must be there.
    pub(super) fn required_text(&self, name: &'static str) -> Result<&str, BadClaim> {
        self.text(name)?.filter(|text| !text.is_empty()).ok_or(BadClaim(name))
    }

    /// Returns a text for display; `None` for anything else.
    pub(super) fn short_text(&self, name: &str) -> Option<Box<str>> {
        let text = self.get(name)?.as_str()?.trim();
        let is_plain = !text.is_empty() && text.len() <= MAX_SHORT_TEXT;
        (is_plain && !text.contains(char::is_control)).then(|| text.into())
    }

    /// Returns a time that may be absent. A fraction is dropped.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, BadClaim> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        let number = value.as_number().ok_or(BadClaim(name))?;
        let seconds = number.as_u64().or_else(|| {
            let seconds = number.as_f64().filter(|it| (0.0..MAX_EXACT_SECONDS).contains(it))?;
            Some(seconds.floor() as u64)
        });
        seconds.map(|it| Some(Timestamp::from_unix_seconds(it))).ok_or(BadClaim(name))
    }

    /// Returns a time that must be there.
    pub(super) fn required_time(&self, name: &'static str) -> Result<Timestamp, BadClaim> {
        self.time(name)?.ok_or(BadClaim(name))
    }

    /// Returns a list of texts that may be absent. A single text is a list of one.
    pub(super) fn texts(&self, name: &'static str) -> Result<Option<Vec<&str>>, BadClaim> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text])),
            Some(Value::Array(list)) if list.len() <= MAX_TEXTS => {
                let texts: Option<Vec<_>> = list.iter().map(Value::as_str).collect();
                texts.map(Some).ok_or(BadClaim(name))
            }
            Some(_) => Err(BadClaim(name)),
        }
    }
}

impl<'de> Deserialize<'de> for ClaimSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = ClaimSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClaimSet, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(de::Error::custom("a claim is repeated"));
                    }
                }
                Ok(ClaimSet(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// In bytes.
const MAX_SHORT_TEXT: usize = 256;
const MAX_TEXTS: usize = 64;
/// Above 2^53 a double cannot represent every second.
const MAX_EXACT_SECONDS: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<ClaimSet> {
        ClaimSet::read(json.as_bytes())
    }

    #[test]
    fn only_an_object_without_repeated_members_is_a_set_of_claims() {
        assert!(read("{}").is_some());
        for json in ["", "[]", "null", "1", "\"x\"", "{} x", r#"{"a":1,"a":1}"#, r#"[["a",1]]"#] {
            assert!(read(json).is_none(), "{json}");
        }
    }

    #[test]
    fn claims_of_another_type_are_refused_and_never_absent() {
        let claims = read(
            r#"{"t":"x","n":7,"f":7.9,"neg":-1,"z":null,"l":["a","b"],"m":["a",1],"e":"","h":1e300}"#,
        )
        .unwrap();
        assert_eq!(claims.text("t"), Ok(Some("x")));
        assert_eq!(claims.text("absent"), Ok(None));
        assert_eq!(claims.required_text("e"), Err(BadClaim("e")));
        assert_eq!(claims.time("n"), Ok(Some(Timestamp::from_unix_seconds(7))));
        assert_eq!(claims.time("f"), Ok(Some(Timestamp::from_unix_seconds(7))));
        assert_eq!(claims.texts("l"), Ok(Some(vec!["a", "b"])));
        assert_eq!(claims.texts("t"), Ok(Some(vec!["x"])));
        for name in ["n", "z", "l"] {
            assert_eq!(claims.text(name), Err(BadClaim(name)), "{name}");
        }
        for name in ["t", "neg", "z", "l", "h"] {
            assert_eq!(claims.time(name), Err(BadClaim(name)), "{name}");
        }
        for name in ["n", "z", "m"] {
            assert_eq!(claims.texts(name), Err(BadClaim(name)), "{name}");
        }
    }
}
