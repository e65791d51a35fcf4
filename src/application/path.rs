//! The canonical form of a request's path.
//!
//! The path that is checked is the path that is forwarded. A path that servers could read differently is
//! refused: dot segments (also with spaces around them), empty segments, backslashes, encoded slashes, path
//! parameters (`;`), control characters, escapes that are invalid or hide another escape, bytes that are not
//! UTF-8. Other paths are forwarded in the normal form of RFC 3986, section 6.2.2: unreserved characters are
//! not escaped, escapes have upper-case digits. For the check, other path characters such as `@` are not
//! escaped either: a server may read `/a%40b` and `/a@b` as equal.

use std::borrow::Cow;
use std::fmt;

use super::ambiguity::{Ambiguities, Ambiguity};
use super::fold::is_dot_segment_with_blanks;
use super::normal_form::{is_left_unescaped, normalise, unescape_path_characters};
use super::path_error::PathError;
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
    /// The path as it is forwarded.
    served: Cow<'a, str>,
    /// The path as it is checked, if different.
    judged: Option<String>,
    /// The ambiguities of the path. A path with ambiguities is forwarded as it was sent.
    ambiguities: Ambiguities,
    /// Whether the path was not sent in normal form.
    is_respelled: bool,
}

impl<'a> CanonicalPath<'a> {
    /// Parses the path of a request target (without the query).
    ///
    /// # Errors
    ///
    /// If the path is ambiguous or longer than 8 KiB.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        let parsed = Self::parse_with_ambiguities(path)?;
        parsed.ambiguities.iter().next().map_or(Ok(parsed), |kind| Err(kind.into()))
    }

    /// As [`parse`](Self::parse), but accepts ambiguities, for applications whose settings allow them. Dot
    /// segments, also between encoded slashes, are refused at once; [`readings`](Self::readings) finds
    /// those in other readings.
    pub(crate) fn parse_with_ambiguities(path: &'a str) -> Result<Self, PathError> {
        if path.len() > MAX_PATH_BYTES {
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
        // Only the digits of escapes can differ in letter case.
        let is_respelled = !served.eq_ignore_ascii_case(path);
        if ambiguities.is_empty() {
            return Ok(Self { served, judged, ambiguities, is_respelled });
        }
        let judged = Some(judged.unwrap_or_else(|| served.into_owned()));
        Ok(Self { served: Cow::Borrowed(path), judged, ambiguities, is_respelled })
    }

    /// Returns the path as it is checked, starting with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.judged.as_deref().unwrap_or(&self.served)
    }

    /// Returns the path as it is forwarded.
    #[must_use]
    pub fn served(&self) -> &str {
        &self.served
    }

    /// Returns the same path without borrowing.
    pub(crate) fn into_owned(self) -> CanonicalPath<'static> {
        let Self { served, judged, ambiguities, is_respelled } = self;
        let served = Cow::Owned(served.into_owned());
        CanonicalPath { served, judged, ambiguities, is_respelled }
    }

    /// Returns the ambiguities of the path.
    pub(crate) fn ambiguities(&self) -> Ambiguities {
        self.ambiguities
    }

    /// Returns whether the path was not sent in normal form.
    pub(crate) fn is_respelled(&self) -> bool {
        self.is_respelled
    }

    /// Returns all readings of the path that servers are known to have; empty if there is only one.
    ///
    /// # Errors
    ///
    /// If one of them has a dot segment, or there are too many.
    pub(crate) fn readings(&self) -> Result<Vec<String>, PathError> {
        if self.ambiguities.is_empty() {
            return Ok(Vec::new());
        }
        let all = readings(&self.served)?;
        all.iter().try_for_each(|reading| check_segments(reading))?;
        Ok(all)
    }
}

impl fmt::Display for CanonicalPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns whether a path is canonical already, as nearly all are: no escapes, no dot segments, and no
/// empty segments except the last.
fn is_plain(path: &str) -> bool {
    // Characters and dots of the segment so far, without the slash.
    let (mut length, mut dots) = (0_u32, 0_u32);
    let is_dot_segment = |length, dots| length == dots && matches!(dots, 1 | 2);
    for byte in path.bytes().skip(1) {
        if byte == b'/' {
            if length == 0 || is_dot_segment(length, dots) {
                return false;
            }
            (length, dots) = (0, 0);
        } else if is_left_unescaped(byte) {
            length += 1;
            dots += u32::from(byte == b'.');
        } else {
            return false;
        }
    }
    !is_dot_segment(length, dots)
}

/// Refuses dot segments.
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

const MAX_PATH_BYTES: usize = 8 * 1024;

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
