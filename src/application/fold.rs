//! Folding: one form for all spellings of a path that some origin treats as equal.
//!
//! Servers on Windows, Express, IIS and Caddy's matchers ignore letter case; Windows also ignores dots and
//! spaces at the end of a name. Folding too much only refuses more requests.

use std::borrow::Cow;

use super::normal_form::hex_pair;

/// Folds a canonical or decoded path.
///
/// Decodes UTF-8 escapes, removes letter case, removes dots and spaces at the end of segments, and drops
/// segments that have nothing else. Borrows a path that is already folded.
pub(crate) fn fold(path: &str) -> Cow<'_, str> {
    if is_folded(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(by_segment(path, fold_case))
}

/// Removes dots and spaces at the end of each segment, without changing letter case.
#[cfg(feature = "proxy")]
pub(crate) fn without_segment_ends(path: &str) -> Cow<'_, str> {
    if is_folded(path) {
        return Cow::Borrowed(path);
    }
    Cow::Owned(by_segment(path, |segment, text| text.push_str(segment)))
}

/// Returns whether folding certainly leaves a path unchanged; true for most.
pub(super) fn is_folded(path: &str) -> bool {
    let bytes = path.as_bytes();
    // Without early exits the compiler vectorizes these loops.
    let changes =
        |byte: u8| byte.is_ascii_uppercase() | (byte == b'%') | (byte <= b' ') | (byte >= 0x80);
    let has_change = bytes.iter().fold(false, |any, byte| any | changes(*byte));
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    let has_end = pairs
        .fold(false, |any, (byte, next)| any | (matches!(byte, b'.' | b'/') & (*next == b'/')));
    !has_change && !has_end && bytes.last() != Some(&b'.')
}

/// Decodes UTF-8 escapes, except those of ASCII.
pub(crate) fn decode(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut pieces = path.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let escaped = piece.get(..2).and_then(|digits| hex_pair(digits.as_bytes()));
        match escaped.filter(|byte| !byte.is_ascii()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn by_segment(path: &str, write: impl Fn(&str, &mut String)) -> String {
    let path = decode(path);
    let mut text = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(&path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let segment = without_end(segment);
        if segment.is_empty() && segments.peek().is_some() {
            continue;
        }
        text.push('/');
        write(segment, &mut text);
    }
    text
}

fn without_end(segment: &str) -> &str {
    let mut left = segment;
    loop {
        let shorter = left.trim_end_matches(|c: char| c == '.' || c.is_whitespace());
        let shorter = shorter.strip_suffix(BLANK).unwrap_or(shorter);
        if shorter.len() == left.len() {
            return left;
        }
        left = shorter;
    }
}

/// Returns whether a segment is `.` or `..` apart from spaces: `..%20`.
pub(super) fn is_dot_segment_with_blanks(segment: &str) -> bool {
    if !segment.contains('%') || !segment.contains('.') {
        return false;
    }
    let segment = decode(segment).replace(BLANK, " ");
    let mut dots = 0_u32;
    let only_these = segment.chars().all(|c| {
        dots += u32::from(c == '.');
        c == '.' || c.is_whitespace()
    });
    only_these && dots <= 2
}

fn fold_case(segment: &str, text: &mut String) {
    let mut left = segment;
    loop {
        // Skips the digits of an escape.
        if left.starts_with('%')
            && let Some((escape, rest)) = left.split_at_checked(3)
            && escape.get(1..).is_some_and(|digits| hex_pair(digits.as_bytes()).is_some())
        {
            text.push_str(escape);
            left = rest;
            continue;
        }
        let mut characters = left.chars();
        let Some(character) = characters.next() else { return };
        push_folded(character, text);
        left = characters.as_str();
    }
}

/// Folds by upper case, where `ſ` is `S`, `ı` is `I` and `ß` is `SS`; by lower case first, because of `ẞ`.
fn push_folded(character: char, text: &mut String) {
    match character {
        _ if character.is_ascii() => text.push(character.to_ascii_lowercase()),
        // Some servers use two characters for its lower case, others this one.
        'İ' => text.push('i'),
        _ => {
            let upper = character.to_lowercase().flat_map(char::to_uppercase);
            text.extend(upper.flat_map(char::to_lowercase));
        }
    }
}

const BLANK: &str = "%20";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn path_29_spellings_of_one_path_are_folded_to_one() {
        for (folded, spellings) in [
            (
                "/ghost/x",
                &["/GHOST/x", "/Ghost/X", "/gho%C5%BFt/x", "/ghost./x", "/ghost%20/x"][..],
            ),
            ("/ghost/", &["/ghost./", "/ghost%C2%A0/", "/GHOST%20.%20./", "/ghost/..."]),
            ("/ghost", &["/.../ghost", "/%20/ghost", "/ghost.", "/ghost...", "/ghost%E3%80%80"]),
            ("/kiosk", &["/%E2%84%AAiosk", "/k%C4%B1osk", "/K%C4%B0OSK", "/kio%C5%BFk"]),
            ("/strasse", &["/stra%C3%9Fe", "/STRA%E1%BA%9EE", "/STRASSE"]),
            ("/\u{e4}", &["/%C3%A4", "/%C3%84"]),
            ("/a%20b%2Fc", &["/A%20B%2FC", "/a%20b%2Fc."]),
            ("/a.b/.c/d..e", &["/A.b/.c/d..e/."[..].trim_end_matches("/."), "/a.b./.C/d..e"]),
        ] {
            for spelling in spellings {
                assert_eq!(fold(spelling), folded, "{spelling}");
            }
        }
    }

    #[test]
    fn what_is_folded_is_borrowed() {
        for path in ["/", "/ghost", "/ghost/", "/a.b/c-d_e~f/1", "/a..b/.c", ""] {
            assert!(matches!(fold(path), Cow::Borrowed(_)), "{path}");
        }
    }

    #[test]
    fn path_01_a_dot_segment_does_not_hide_behind_blanks() {
        for segment in ["..%20", "%20..", ".%20", ".%20.", "..%C2%A0", "%E3%80%80."] {
            assert!(is_dot_segment_with_blanks(segment), "{segment}");
        }
        for segment in ["..", "...%20", "%20", "..a%20", "..%2F", "a.%20", "..%25"] {
            assert!(!is_dot_segment_with_blanks(segment), "{segment}");
        }
    }

    #[test]
    fn path_29_every_letter_loses_its_case() {
        let folded = |text: &str| fold(&format!("/x{text}y")).into_owned();
        for letter in (0x80_u32..=0x10_FFFF).filter_map(char::from_u32).filter(|c| *c != 'İ') {
            let once = folded(&letter.to_string());
            assert_eq!(folded(&letter.to_uppercase().to_string()), once, "{letter}");
            assert_eq!(folded(&letter.to_lowercase().to_string()), once, "{letter}");
        }
    }

    #[test]
    fn path_29_a_percent_sign_alone_hides_no_letter() {
        for (path, folded) in [("/%GHOST", "/%ghost"), ("/%%E2%84%AA%2F", "/%k%2F")] {
            assert_eq!(fold(path), folded);
            assert_eq!(fold(folded), folded);
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing(path in "(/([aA.ſßıK%]|%20|%2F|%C3%84|%E2%84%AA){0,4}){1,3}") {
            let once = fold(&path).into_owned();
            prop_assert_eq!(fold(&once).into_owned(), once);
        }
    }
}
