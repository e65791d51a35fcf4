//! The common name in a distinguished name, as RFC 2253 (and RFC 4514) write it.

/// Returns the common name; `None` if it is absent.
///
/// # Errors
///
/// If the text is not a distinguished name, or has more than one common name, which is
/// ambiguous.
pub(super) fn common_name(text: &str) -> Result<Option<String>, Unreadable> {
    let mut found = None;
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (attribute, after) = rest.split_once('=').ok_or(Unreadable)?;
        let attribute = attribute.trim();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if attribute.is_empty() || !attribute.bytes().all(is_name) {
            return Err(Unreadable);
        }
        let (value, after) = value(after.trim_start())?;
        if attribute.eq_ignore_ascii_case("cn") || attribute == "2.5.4.3" {
            if found.is_some() {
                return Err(Unreadable);
            }
            found = Some(value.ok_or(Unreadable)?);
        }
        rest = match after {
            Some(after) if after.trim().is_empty() => return Err(Unreadable),
            Some(after) => after,
            None => "",
        };
    }
    Ok(found.filter(|name| !name.is_empty()))
}

/// The error for a text that is not a distinguished name, or is ambiguous.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unreadable;

/// The value at the beginning of a text, and the rest after the separator that ends it. A value
/// in hexadecimal BER is skipped.
fn value(text: &str) -> Result<(Option<String>, Option<&str>), Unreadable> {
    let is_ber = text.starts_with('#');
    let mut bytes = Vec::new();
    // The length up to which trailing spaces belong to the value.
    let mut kept = 0;
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' => {
                bytes.truncate(kept);
                let after = text.get(at + 1..);
                return Ok((finished(bytes, is_ber)?, after));
            }
            // Old notations, in which separators have other meanings.
            '"' | ';' | '<' | '>' => return Err(Unreadable),
            '\\' => {
                let (_, escaped) = characters.next().ok_or(Unreadable)?;
                if let Some(high) = escaped.to_digit(16) {
                    let (_, low) = characters.next().ok_or(Unreadable)?;
                    let low = low.to_digit(16).ok_or(Unreadable)?;
                    bytes.push(u8::try_from(high * 16 + low).map_err(|_| Unreadable)?);
                } else if escaped.is_ascii_punctuation() || escaped == ' ' {
                    push(&mut bytes, escaped);
                } else {
                    return Err(Unreadable);
                }
                kept = bytes.len();
            }
            ' ' => bytes.push(b' '),
            _ => {
                push(&mut bytes, character);
                kept = bytes.len();
            }
        }
    }
    bytes.truncate(kept);
    Ok((finished(bytes, is_ber)?, None))
}

fn push(bytes: &mut Vec<u8>, character: char) {
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

fn finished(bytes: Vec<u8>, is_ber: bool) -> Result<Option<String>, Unreadable> {
    let text = String::from_utf8(bytes).map_err(|_| Unreadable)?;
    if text.contains(char::is_control) {
        return Err(Unreadable);
    }
    Ok(Some(text).filter(|_| !is_ber))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_common_name_is_read_as_it_was_meant() {
        for (text, expected) in [
            ("CN=laptop-7", Some("laptop-7")),
            ("O=Example,CN=laptop-7", Some("laptop-7")),
            ("cn=laptop-7 , O=Example", Some("laptop-7")),
            ("2.5.4.3=laptop-7", Some("laptop-7")),
            ("O=Example\\, CN\\=boss,CN=laptop-7", Some("laptop-7")),
            ("O=Example\\,CN\\=boss", None),
            ("UID=7+CN=laptop-7,O=Example", Some("laptop-7")),
            ("CN=Ada \\\"the first\\\"", Some("Ada \"the first\"")),
            ("CN=Zo\\C3\\AB", Some("Zoë")),
            ("CN=Zoë", Some("Zoë")),
            ("CN=spaced\\ ", Some("spaced ")),
            ("1.2.3=#0403666f6f,CN=a", Some("a")),
            ("CN=a=b,O=c", Some("a=b")),
            ("CN=", None),
            ("", None),
        ] {
            assert_eq!(common_name(text), Ok(expected.map(str::to_owned)), "{text}");
        }
    }

    /// SVC-09
    #[test]
    fn what_may_be_read_two_ways_is_not_read() {
        for text in [
            "CN=a,CN=b",
            "CN=a+CN=b",
            "CN=a,2.5.4.3=b",
            "O=\"Example,CN=boss\"",
            "O=Example;CN=boss",
            "CN=#0403666f6f",
            "CN=a\\",
            "CN=a\\4",
            "CN=a\\00",
            "CN=\\FF",
            "CN=a,",
            "=a",
            "laptop-7",
            "/C=FR/CN=laptop-7",
        ] {
            assert_eq!(common_name(text), Err(Unreadable), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_name_holds_it_comes_back_alone(
            name in "[^\\p{C}]{1,20}",
            other in "[^\\p{C}]{1,20}",
        ) {
            let escaped = |text: &str| -> String {
                text.bytes().map(|byte| format!("\\{byte:02x}")).collect()
            };
            let text = format!("O={},CN={},OU={}", escaped(&other), escaped(&name), escaped(&other));
            prop_assert_eq!(common_name(&text), Ok(Some(name)));
        }

        #[test]
        fn nothing_makes_it_fail(text in ".{0,64}") {
            let _ = common_name(&text);
        }
    }
}
