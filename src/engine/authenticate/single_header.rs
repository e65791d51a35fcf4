//! A service token in a single header: JSON instead of two headers (section 5.1 of the contract).

use std::fmt;

use http::header::{Entry, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};

/// A service token, or an attempt at one, that was removed from the header.
#[derive(Debug)]
pub(super) enum SingleHeader {
    /// Id and secret.
    Token(HeaderValue, HeaderValue),
    /// An invalid or ambiguous service token.
    Unreadable,
}

/// Removes the header if it contains a service token, or an attempt at one. Any other value stays, for
/// the inner service.
pub(super) fn take(headers: &mut HeaderMap, name: &HeaderName) -> Option<SingleHeader> {
    let lines: Vec<Option<SingleHeader>> = headers.get_all(name).iter().map(read).collect();
    if lines.iter().all(Option::is_none) {
        return None;
    }
    if let Entry::Occupied(entry) = headers.entry(name) {
        entry.remove_entry_mult();
    }
    match <[_; 1]>::try_from(lines) {
        Ok([found]) => found,
        // Several lines: ambiguous.
        Err(_) => Some(SingleHeader::Unreadable),
    }
}

fn read(line: &HeaderValue) -> Option<SingleHeader> {
    let text = line.as_bytes();
    let pair =
        if text.len() <= MAX_TOKEN { serde_json::from_slice::<Pair>(text).ok() } else { None };
    match pair {
        Some(Pair { id: None, secret: None, .. }) => None,
        Some(Pair { id: Some(id), secret: Some(secret), is_malformed: false }) => {
            Some(match (value(&id), value(&secret)) {
                (Some(id), Some(secret)) => SingleHeader::Token(id, secret),
                _ => SingleHeader::Unreadable,
            })
        }
        Some(_) => Some(SingleHeader::Unreadable),
        // Broken JSON may contain a secret all the same.
        None => names_a_key(text).then_some(SingleHeader::Unreadable),
    }
}

fn value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns whether a part of the text looks like one of the two keys.
fn names_a_key(text: &[u8]) -> bool {
    let both = b"cf-access-client-";
    text.windows(both.len()).any(|part| part.eq_ignore_ascii_case(both))
}

/// The two values of a JSON object; other entries are ignored.
#[derive(Debug, Default)]
struct Pair {
    id: Option<String>,
    secret: Option<String>,
    /// Whether one of the two is repeated, or not a string.
    is_malformed: bool,
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairVisitor)
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Pair;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pair, A::Error> {
        let mut pair = Pair::default();
        while let Some(key) = map.next_key::<String>()? {
            let field = match () {
                () if key.eq_ignore_ascii_case("cf-access-client-id") => &mut pair.id,
                () if key.eq_ignore_ascii_case("cf-access-client-secret") => &mut pair.secret,
                () => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let text = match map.next_value::<serde_json::Value>()? {
                serde_json::Value::String(text) => Some(text),
                _ => None,
            };
            pair.is_malformed |= text.is_none() || field.is_some();
            *field = Some(text.unwrap_or_default());
        }
        Ok(pair)
    }
}

/// Bytes: id and secret have far less than a hundred characters each.
const MAX_TOKEN: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: HeaderName = http::header::AUTHORIZATION;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn svc_01_a_pair_in_one_header_is_read_and_taken_out() {
        for text in [
            r#"{"cf-access-client-id": "ci.access", "cf-access-client-secret": "s"}"#,
            r#"{"CF-Access-Client-Secret":"s","note":[1,{"x":2}],"CF-Access-Client-Id":"ci.access"}"#,
            r#"{"cf-access-client-id":"ci.access","cf\u002daccess-client-secret":"s"}"#,
        ] {
            let mut headers = headers(&[text]);
            let Some(SingleHeader::Token(id, secret)) = take(&mut headers, &NAME) else {
                panic!("{text}")
            };
            assert_eq!((id.to_str().unwrap(), secret.to_str().unwrap()), ("ci.access", "s"));
            assert!(secret.is_sensitive() && headers.is_empty());
        }
    }

    #[test]
    fn svc_01_what_is_half_a_token_is_taken_out_and_none() {
        let long = format!(
            r#"{{"cf-access-client-id":"i","cf-access-client-secret":"{}"}}"#,
            "s".repeat(MAX_TOKEN)
        );
        for text in [
            r#"{"cf-access-client-id":"i"}"#,
            r#"{"cf-access-client-secret":"s"}"#,
            r#"{"cf-access-client-id":"i","cf-access-client-id":"j","cf-access-client-secret":"s"}"#,
            r#"{"cf-access-client-id":"i","cf-access-client-secret":7}"#,
            r#"{"cf\u002daccess-client-id":7}"#,
            r#"{"cf-access-client-id":"i","cf-access-client-secret":"s\n"}"#,
            r#"{"cf-access-client-id":"i","cf-access-client-secret":"s""#,
            r#"{"cf-access-client-id":"i","cf-access-client-secret":"s"} x"#,
            r#"Bearer {"cf-access-client-id":"i","Cf-Access-Client-Secret":"s"}"#,
            &long,
        ] {
            let mut headers = headers(&[text]);
            assert!(matches!(take(&mut headers, &NAME), Some(SingleHeader::Unreadable)), "{text}");
            assert!(headers.is_empty(), "{text}");
        }
        let good = r#"{"cf-access-client-id":"i","cf-access-client-secret":"s"}"#;
        for lines in [&[good, good][..], &[good, "Bearer x"]] {
            let mut headers = headers(lines);
            assert!(matches!(take(&mut headers, &NAME), Some(SingleHeader::Unreadable)));
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn hdr_11_every_other_value_is_the_inner_services() {
        for lines in [
            &["Bearer abc"][..],
            &["Basic YTpi"],
            &["Bearer a", "Bearer b"],
            &["{}"],
            &[r#"{"id":"x","secret":"y"}"#],
            &["[1]"],
            &[""],
            &["\u{fc}"],
        ] {
            let mut headers = headers(lines);
            assert!(take(&mut headers, &NAME).is_none(), "{lines:?}");
            assert_eq!(headers.get_all(NAME).iter().count(), lines.len());
        }
        assert!(take(&mut HeaderMap::new(), &NAME).is_none());
    }

    proptest! {
        #[test]
        fn hdr_12_no_value_panics_or_leaves_a_secret(
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
        ) {
            let mut headers = headers(&[&format!("{before}cf-access-client-secret\":\"{after}")]);
            prop_assert!(take(&mut headers, &NAME).is_some());
            prop_assert!(headers.is_empty());
        }
    }
}
