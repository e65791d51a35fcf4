//! One canonical form for the path of a request.
//!
//! The path that is judged is the path that is served. What two servers could read differently is
//! refused: dot segments (with blanks around them too), empty segments, backslashes, encoded slashes, path parameters (`;`),
//! control characters, escapes that are invalid or hide another escape, bytes that are no UTF-8.
//! What is left is served in the normal form of RFC 3986, section 6.2.2: unreserved characters stand
//! bare, escapes have upper-case digits. For the judgement characters that may stand bare in a path,
//! such as `@`, stand bare as well: a server may read `/a%40b` and `/a@b` as one.

use std::borrow::Cow;
use std::fmt;

use super::ambiguity::{Ambiguities, Ambiguity};
use super::fold::is_dot_segment_with_blanks;
use super::readings::readings;

/// A path in canonical form.
///
/// ```
/// use tower_access::application::CanonicalPath;
///
/// let path = CanonicalPath::parse("/%61dmin/a%40b")?;
/// assert_eq!(path.as_str(), "/admin/a@b");
/// assert_eq!(path.served(), "/admin/a%40b");
/// assert!(CanonicalPath::parse("/public/%2e%2e/admin").is_err());
/// assert!(CanonicalPath::parse("/public/..%2fadmin").is_err());
/// # Ok::<(), tower_access::application::PathError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct CanonicalPath<'a> {
    /// What is served.
    served: Cow<'a, str>,
    /// What is judged, where it is not the same.
    judged: Option<String>,
    /// What can be read in several ways. Such a path is served as it was sent.
    ambiguities: Ambiguities,
    /// Whether the path is not in normal form as it was sent.
    is_respelled: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Reads the path of a request target (without the query).
    ///
    /// # Errors
    ///
    /// When the path can be read two ways, or is longer than 8 KiB.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        let parsed = Self::parse_with_ambiguities(path)?;
        parsed.ambiguities.iter().next().map_or(Ok(parsed), |kind| Err(kind.error()))
    }

    /// As [`parse`](Self::parse), but what can be read in several ways is let through, for
    /// applications that allow it by name. What is a dot segment as it stands, or between encoded
    /// slashes, is refused at once; in the other readings [`readings`](Self::readings) finds it.
    pub(crate) fn parse_with_ambiguities(path: &'a str) -> Result<Self, PathError> {
        if path.len() > LONGEST_PATH {
            return Err(PathError::TooLong);
        }
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        if is_plain(path) {
            return Ok(Self {
                served: Cow::Borrowed(path),
                judged: None,
                ambiguities: Ambiguities::default(),
                is_respelled: false,
            });
        }
        let (served, ambiguities) = normalise(path);
        let judged = served.contains('%').then(|| unescape_path_characters(&served));
        let text = judged.as_deref().unwrap_or(&served);
        check_segments(text)?;
        if ambiguities.contains(Ambiguity::EncodedSlash) {
            check_segments(&text.replace("%2F", "/"))?;
        }
        // Letter case is that of the digits of escapes alone.
        let is_respelled = !served.eq_ignore_ascii_case(path);
        if ambiguities.is_empty() {
            return Ok(Self { served, judged, ambiguities, is_respelled });
        }
        let judged = Some(judged.unwrap_or_else(|| served.into_owned()));
        Ok(Self { served: Cow::Borrowed(path), judged, ambiguities, is_respelled })
    }

    /// The path as it is judged, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.judged.as_deref().unwrap_or(&self.served)
    }

    /// The path as it is served.
    #[must_use]
    pub fn served(&self) -> &str {
        &self.served
    }

    /// The same path, without borrowing from what it was read from.
    pub(crate) fn into_owned(self) -> CanonicalPath<'static> {
        let Self { served, judged, ambiguities, is_respelled } = self;
        let served = Cow::Owned(served.into_owned());
        CanonicalPath { served, judged, ambiguities, is_respelled }
    }

    /// What can be read in several ways.
    pub(crate) fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// Whether the path was sent in another spelling than the normal form.
    pub(crate) fn is_respelled(&self) -> bool {
        self.is_respelled
    }

    /// All that servers are known to make of the path, as it is judged; nothing where it has one
    /// reading alone.
    ///
    /// # Errors
    ///
    /// When one of them has a dot segment, or there are too many.
    pub(crate) fn readings(&self) -> Result<Vec<String>, PathError> {
        if self.ambiguities.is_empty() {
            return Ok(Vec::new());
        }
        let all = readings(&self.served)?;
        all.iter().try_for_each(|reading| check_segments(reading))?;
        Ok(all)
    }
}

/// Why a path was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It is longer than 8 KiB.
    #[error("the path is too long")]
    TooLong,
    /// `.` or `..`, escaped or not, with blanks around it or not.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Two slashes in a row.
    #[error("the path has a doubled slash{}", allowed_by(*self))]
    EmptySegment,
    /// `%2F`.
    #[error("the path has an encoded slash{}", allowed_by(*self))]
    EncodedSlash,
    /// A backslash, escaped or not.
    #[error("the path has a backslash{}", allowed_by(*self))]
    Backslash,
    /// A semicolon: some servers cut the segment there.
    #[error("the path has a path parameter{}", allowed_by(*self))]
    Parameter,
    /// A control character, escaped or not.
    #[error("the path has a control character{}", allowed_by(*self))]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path has an invalid escape{}", allowed_by(*self))]
    Escape,
    /// `%25` in front of what would be an escape with it.
    #[error("the path has an escape of an escape{}", allowed_by(*self))]
    DoubleEscape,
    /// Escapes of bytes that are no UTF-8.
    #[error("the path has escapes that are no UTF-8{}", allowed_by(*self))]
    InvalidUtf8,
    /// A character beyond ASCII that is not escaped.
    #[error("the path has a character beyond ASCII without an escape{}", allowed_by(*self))]
    UnescapedCharacter,
    /// A router outside of the layer has chosen a handler by another spelling than the normal one.
    #[error("a router outside of the access layer has seen a spelling that is not the normal one")]
    Respelled,
    /// Everything in it is allowed by name, and servers that read it in other ways would serve what
    /// belongs to another application, or to the login.
    #[error(
        "the path can be read in several ways, and not all of them belong to the same application"
    )]
    Divided,
    /// Everything in it is allowed by name, but there are more ways to read it than are looked at.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
    /// It belongs to another application, or to the login, when letter case, and dots and blanks at
    /// the end of its segments, are ignored.
    #[error(
        "the path differs from one that other rules are for in letter case alone, or in dots or \
         blanks at the end of a segment"
    )]
    LetterCase,
    /// Something between a router and the layer has rewritten it, into another application.
    #[error(
        "the path was rewritten behind the router into another application's: rewrite it outside \
         of the router, or inside of the access layer's application"
    )]
    Rewritten,
}

impl PathError {
    /// The setting of an application that lets such paths through, if there is one.
    #[must_use]
    pub fn setting(self) -> Option<&'static str> {
        if self == Self::LetterCase {
            return Some("insecure_case_sensitive_origin");
        }
        self.ambiguity().map(Ambiguity::setting)
    }

    /// What stands in the path that can be read in several ways.
    #[must_use]
    pub fn ambiguity(self) -> Option<Ambiguity> {
        Ambiguity::ALL.into_iter().find(|kind| kind.error() == self)
    }

    /// The reason as a stranger may know it.
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::NotAbsolute => "The path does not begin with a slash.",
            Self::TooLong => "The path is too long.",
            Self::DotSegment => "The path has a dot segment.",
            Self::EmptySegment => "The path has a doubled slash.",
            Self::EncodedSlash => "The path has an encoded slash.",
            Self::Backslash => "The path has a backslash.",
            Self::Parameter => "The path has a path parameter (a semicolon).",
            Self::Control => "The path has a control character.",
            Self::Escape => "The path has an invalid escape.",
            Self::DoubleEscape => "The path has an escape of an escape.",
            Self::InvalidUtf8 => "The path has escapes that are no UTF-8.",
            Self::UnescapedCharacter => "The path has a character that needs an escape.",
            Self::LetterCase => {
                "The path differs from another one in letter case, or in dots or blanks alone."
            }
            Self::Respelled | Self::Rewritten => {
                "The path of the request cannot be read without doubt."
            }
            Self::Divided | Self::TooManyReadings => "The path can be read in several ways.",
        }
    }
}

/// Names the setting, for whoever operates the service.
fn allowed_by(error: PathError) -> String {
    let setting = error.setting();
    setting.map_or_else(String::new, |it| format!(" (`{it}` lets it through)"))
}

/// Whether a path is as it should be already, as nearly all are: nothing escaped, no dot segments,
/// and no empty ones but the last.
fn is_plain(path: &str) -> bool {
    // Characters and dots of the segment so far; the slash in front is none of them.
    let (mut length, mut dots) = (0_u32, 0_u32);
    let is_dot_segment = |length, dots| length == dots && matches!(dots, 1 | 2);
    for byte in path.bytes().skip(1) {
        if byte == b'/' {
            if length == 0 || is_dot_segment(length, dots) {
                return false;
            }
            (length, dots) = (0, 0);
        } else if stands_bare(byte) {
            length += 1;
            dots += u32::from(byte == b'.');
        } else {
            return false;
        }
    }
    !is_dot_segment(length, dots)
}

/// No dot segments.
fn check_segments(path: &str) -> Result<(), PathError> {
    let inner = path.as_bytes().strip_prefix(b"/").unwrap_or_default();
    let mut rest = Some(inner);
    while let Some(here) = rest {
        let end = memchr::memchr(b'/', here);
        let segment = end.map_or(here, |end| here.get(..end).unwrap_or_default());
        rest = end.and_then(|end| here.get(end + 1..));
        match segment {
            b"." | b".." => return Err(PathError::DotSegment),
            _ if str::from_utf8(segment).is_ok_and(is_dot_segment_with_blanks) => {
                return Err(PathError::DotSegment);
            }
            _ => {}
        }
    }
    Ok(())
}

/// A path as it is judged, whatever is in it.
pub(super) fn normal_form(path: &str) -> String {
    unescape_path_characters(&normalise(path).0)
}

/// Unescapes what needs no escape, escapes what needs one; borrows when nothing changes. Semicolons
/// and backslashes stay as they are.
fn normalise(path: &str) -> (Cow<'_, str>, Ambiguities) {
    let mut found = Ambiguities::default();
    if path.contains("//") {
        found.insert(Ambiguity::DoubledSlash);
    }
    if path.bytes().all(stands_bare) {
        return (Cow::Borrowed(path), found);
    }
    let bytes = path.as_bytes();
    let mut text = String::with_capacity(path.len() + 16);
    // Decoded bytes over 0x7F, until they prove to be UTF-8.
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
            // Raw bytes beyond ASCII have no place in a request target.
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
        let may_stay = matches!(byte, b'\\' | b';') || stands_bare(byte);
        if is_unreserved(byte) || !escaped && may_stay {
            text.push(char::from(byte));
        } else {
            push_escaped(byte, &mut text);
        }
    }
    flush(&mut pending, &mut text, &mut found);
    // Asked of what is served: an escaped percent sign must not begin another escape there.
    let hides_an_escape = |after: &str| {
        after.starts_with('%')
            || after.get(..2).is_some_and(|two| hex_pair(two.as_bytes()).is_some())
    };
    if text.split("%25").skip(1).any(hides_an_escape) {
        found.insert(Ambiguity::DoubleEscape);
    }
    (Cow::Owned(text), found)
}

/// Characters RFC 3986 lets stand in a path (`pchar` and `/`), without `;`.
fn stands_bare(byte: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "the compiler sees to it")]
    const BARE: [bool; 256] = {
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
    BARE.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Characters for which an escape makes no difference to anybody (RFC 3986, section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Unescapes what may stand bare, except the slash; of a path in normal form.
fn unescape_path_characters(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    let mut pieces = path.split('%');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let byte = piece.get(..2).and_then(|digits| hex_pair(digits.as_bytes()));
        match byte.filter(|byte| stands_bare(*byte) && *byte != b'/') {
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

impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

const LONGEST_PATH: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(path: &str) -> Result<String, PathError> {
        CanonicalPath::parse(path).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn plain_paths_stay_as_they_are() {
        for path in [
            "/",
            "/admin",
            "/admin/",
            "/a/b.c/d~e",
            "/a+b/@x:y",
            "/%C3%A4",
            "/a%20b",
            "/x%23y",
            "/a%3Fb",
            "/..a/b..",
            "/%7B%7D",
        ] {
            assert_eq!(parse(path).as_deref(), Ok(path));
        }
    }

    #[test]
    fn every_spelling_becomes_one() {
        for (path, canonical) in [
            ("/%61dmin", "/admin"),
            ("/%7e/x", "/~/x"),
            ("/%c3%a4", "/%C3%A4"),
            ("/a%2a", "/a*"),
            ("/a%2c%40b", "/a,@b"),
            ("/{x}", "/%7Bx%7D"),
            ("/a%3fb", "/a%3Fb"),
            ("/100%25", "/100%25"),
            ("/100%25-x", "/100%25-x"),
        ] {
            assert_eq!(parse(path).as_deref(), Ok(canonical), "{path}");
        }
    }

    #[test]
    fn path_01_to_path_14_what_can_be_read_two_ways_is_refused() {
        for path in [
            "/public/../admin",
            "/..",
            "/.",
            "/./admin",
            "/admin/.",
            "/admin/..", // PATH-01, 11
            "/public/..%20/admin",
            "/public/%C2%A0./admin",
            "/public/%2e%2e/admin",
            "/public/.%2e/admin",
            "/public/%2E%2e/admin", // PATH-02
            "/public/%2e%2e%2fadmin",
            "/public%2f..%2fadmin",
            "/a%2Fb",
            "/a%2fb", // PATH-03
            "/public/..;/admin",
            "/public/..;x=y/admin",
            "/public/.;/../admin", // PATH-04
            "/admin;x=1/users",
            "/admin;/users",
            "/;x/admin",
            "/admin%3bx", // PATH-05
            "/public\\..\\admin",
            "/public/%5c..%5cadmin",
            "/%5Cevil", // PATH-10
            "//admin",
            "/admin//x",
            "/x/..//admin",
            "/admin//",
            "//", // PATH-11
            "/public/%252e%252e%252fadmin",
            "/public/%252%65%252%65/admin",
            "/a%252%66b",
            "/%2541",
            "/%25%32%65", // PATH-12
            "/%00",
            "/%0d%0a",
            "/%09",
            "/%7f",
            "/ä",
            "/\u{1}", // PATH-13
            "/%c0%ae%c0%ae/",
            "/%zz",
            "/%",
            "/%2",
            "/%u002e",
            "/%ff",
            "/%c3",
            "/%c3a", // PATH-14
            "",
            "admin",
            "*",
            "http://x/",
        ] {
            assert!(parse(path).is_err(), "{path:?} became {:?}", parse(path));
        }
    }

    #[test]
    fn path_26_long_paths_are_refused_in_linear_time() {
        assert_eq!(parse(&"/a".repeat(500_000)), Err(PathError::TooLong));
        assert_eq!(parse(&format!("/{}", ";".repeat(50_000))), Err(PathError::TooLong));
    }

    #[test]
    fn encoded_slashes_are_let_through_by_name_only() {
        let named = |path: &'static str| CanonicalPath::parse_with_ambiguities(path);
        assert_eq!(parse("/repos/https:%2f%2Fgit"), Err(PathError::EncodedSlash));
        assert_eq!(named("/repos/https:%2f%2Fgit").unwrap().served(), "/repos/https:%2f%2Fgit");
        assert_eq!(named("/repos/a%2fb").unwrap().as_str(), "/repos/a%2Fb");
        assert!(named("/repos/a%2fb").unwrap().ambiguities().contains(Ambiguity::EncodedSlash));
        assert_eq!(named("/public/..%2fadmin").unwrap_err(), PathError::DotSegment);
        assert_eq!(named("/public%2f..%2fadmin").unwrap_err(), PathError::DotSegment);
    }

    #[test]
    fn what_is_served_means_the_same_to_every_server() {
        let served = |path: &str| CanonicalPath::parse(path).unwrap().served().to_owned();
        assert_eq!(served("/a%2bb%40c+d@e/%7e%61"), "/a%2Bb%40c+d@e/~a");
        assert_eq!(served("/plain"), "/plain");
        assert_eq!(served("/caf%c3%a9"), "/caf%C3%A9");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(path in "/([a-z0-9/._;~-]|%[2-7][0-9a-fA-F]|%25|[%\\\\ä]){0,16}") {
            if let Ok(once) = CanonicalPath::parse(&path) {
                prop_assert_eq!(parse(once.as_str()), Ok(once.as_str().to_owned()));
                let served = CanonicalPath::parse(once.served()).unwrap();
                prop_assert_eq!(served.served(), once.served());
                prop_assert_eq!(served.as_str(), once.as_str());
            }
        }

        #[test]
        fn what_is_let_through_decodes_to_the_same_segments(path in "/[a-z0-9/%.A-F]{0,24}") {
            if let Ok(canonical) = parse(&path) {
                let decode = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
                let segments = |text: &str| text.split('/').map(decode).collect::<Vec<_>>();
                prop_assert_eq!(segments(&path), segments(&canonical));
                let whole = decode(&path);
                let decoded_first: Vec<_> = whole.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
                prop_assert_eq!(segments(&canonical), decoded_first);
            }
        }
    }
}
