//! The normal form of a path (RFC 3986, section 6.2.2), and its ambiguities.

use std::borrow::Cow;

use super::ambiguity::{Ambiguities, Ambiguity};

/// Returns the form of a path that policies are evaluated for.
pub(super) fn normal_form(path: &str) -> String {
    unescape_path_characters(&normalise(path).0)
}

/// Decodes unnecessary escapes and adds missing ones; borrows if nothing changes. Semicolons and backslashes
/// stay as they are.
pub(super) fn normalise(path: &str) -> (Cow<'_, str>, Ambiguities) {
    let mut found = Ambiguities::default();
    if path.contains("//") {
        found.insert(Ambiguity::DoubledSlash);
    }
    if path.bytes().all(is_left_unescaped) {
        return (Cow::Borrowed(path), found);
    }
    let bytes = path.as_bytes();
    let mut text = String::with_capacity(path.len() + 16);
    // Decoded bytes over 0x7F, until they are known to be UTF-8.
    let mut pending: Vec<u8> = Vec::new();
    let mut index = 0;
    while let Some(&raw) = bytes.get(index) {
        index += 1;
        let decoded =
            if raw == b'%' { bytes.get(index..index + 2).and_then(hex_pair) } else { None };
        let escaped = decoded.is_some();
        let byte = decoded.unwrap_or(raw);
        if escaped {
            index += 2;
        }
        if byte >= 0x80 {
            // Raw non-ASCII bytes are invalid in a request target.
            if !escaped {
                found.insert(Ambiguity::UnescapedCharacter);
            }
            pending.push(byte);
            continue;
        }
        flush(&mut pending, &mut text, &mut found);
        match byte {
            b'/' if escaped => found.insert(Ambiguity::EncodedSlash),
            b'\\' => found.insert(Ambiguity::Backslash),
            b';' => found.insert(Ambiguity::PathParameter),
            0..=0x1f | 0x7f => found.insert(Ambiguity::ControlCharacter),
            b'%' if !escaped => found.insert(Ambiguity::InvalidEscape),
            _ => {}
        }
        let may_stay = matches!(byte, b'\\' | b';') || is_left_unescaped(byte);
        if is_unreserved(byte) || !escaped && may_stay {
            text.push(char::from(byte));
        } else {
            push_escaped(byte, &mut text);
        }
    }
    flush(&mut pending, &mut text, &mut found);
    // Of the forwarded path: an escaped percent sign must not start another escape.
    let hides_an_escape = |after: &str| {
        after.starts_with('%')
            || after.get(..2).is_some_and(|two| hex_pair(two.as_bytes()).is_some())
    };
    if text.split("%25").skip(1).any(hides_an_escape) {
        found.insert(Ambiguity::DoubleEscape);
    }
    (Cow::Owned(text), found)
}

/// Returns whether RFC 3986 allows a character in a path (`pchar` and `/`), except `;`.
pub(super) fn is_left_unescaped(byte: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "checked at compile time")]
    const UNESCAPED: [bool; 256] = {
        let mut bare = [false; 256];
        let mut byte = 0;
        while byte < bare.len() {
            bare[byte] = matches!(
                byte as u8,
                b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$'
                    | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' | b'/'
            );
            byte += 1;
        }
        bare
    };
    UNESCAPED.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Returns whether an escape of this character makes no difference (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Decodes the escapes of path characters, except the slash, in a path in normal form.
pub(super) fn unescape_path_characters(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| hex_pair(digits.as_bytes()));
        match byte.filter(|byte| is_left_unescaped(*byte) && *byte != b'/') {
            Some(byte) => {
                text.push(char::from(byte));
                text.push_str(piece.get(2..).unwrap_or_default());
            }
            None => {
                text.push('%');
                text.push_str(piece);
            }
        }
    }
    text
}

fn flush(pending: &mut Vec<u8>, text: &mut String, found: &mut Ambiguities) {
    if std::str::from_utf8(pending).is_err() {
        found.insert(Ambiguity::InvalidUtf8);
    }
    for byte in pending.drain(..) {
        push_escaped(byte, text);
    }
}

fn push_escaped(byte: u8, text: &mut String) {
    text.push_str(percent_encoding::percent_encode_byte(byte));
}

pub(super) fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}
