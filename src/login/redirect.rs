//! Where a login returns to.

use super::command_line::IS_AVAILABLE;
use crate::application::{Ambiguity, CanonicalPath};
pub(crate) use crate::application::{OWN_PREFIX, is_own};

/// Path and query on the application's own host: the only place a login ever leads to.
///
/// Made from what a request was for, or from a parameter a stranger may have written. Anything
/// else than a plain local path becomes `/`.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(crate) struct ReturnTarget(String);

impl ReturnTarget {
    /// Reads a `redirect_url`. An absolute address is taken when its origin is exactly `origin`.
    pub(crate) fn parse(text: &str, origin: &str) -> Self {
        Self::read(text, origin).0
    }

    /// The same, and whether the text was too long: then its query is left out.
    pub(crate) fn read(text: &str, origin: &str) -> (Self, bool) {
        let local = text.strip_prefix(origin).filter(|rest| rest.starts_with('/')).unwrap_or(text);
        let local = local.split('#').next().unwrap_or_default();
        let is_too_long = local.len() > LONGEST_TARGET;
        let local = if is_too_long { local.split('?').next().unwrap_or_default() } else { local };
        match Self::local(local) {
            Some(target) => (target, is_too_long),
            // What is no target of ours was not shortened.
            None => (Self::root(), is_too_long && local.len() > LONGEST_TARGET),
        }
    }

    pub(crate) fn root() -> Self {
        Self("/".to_owned())
    }

    /// The same without its query, or `/` where the path alone is longer than this in an address.
    pub(crate) fn without_query(&self, longest: usize) -> Self {
        let path = Self(self.path().to_owned());
        if path.encoded_len() <= longest { path } else { Self::root() }
    }

    /// As much of it as the head of an answer holds beside everything else.
    pub(crate) fn in_short(&self) -> Self {
        if self.encoded_len() <= LONGEST_IN_SHORT {
            return self.clone();
        }
        self.without_query(LONGEST_IN_SHORT)
    }

    /// How long it is as the value of a query parameter.
    pub(crate) fn encoded_len(&self) -> usize {
        url::form_urlencoded::byte_serialize(self.0.as_bytes()).map(str::len).sum()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Without the query.
    pub(crate) fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    fn local(text: &str) -> Option<Self> {
        if text.len() > LONGEST_TARGET {
            return None;
        }
        let (path, query) =
            text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let path = CanonicalPath::parse_with_ambiguities(path).ok()?;
        // Browsers take what begins with two slashes for another host.
        let leads_away = |reading: &String| is_own(reading) || reading.starts_with("//");
        if path.readings().ok()?.iter().any(leads_away) {
            return None;
        }
        // Returning there would be a loop.
        if is_own(path.as_str()) && !needs_login(path.as_str()) {
            return None;
        }
        // Without its percent sign an invalid escape could become another character's.
        let mut target = if path.ambiguities().contains(Ambiguity::InvalidEscape) {
            path.served().to_owned()
        } else {
            plainly_spelled(path.served())
        };
        if let Some(query) = query {
            if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
                return None;
            }
            target.push('?');
            target.push_str(query);
        }
        Some(Self(target))
    }
}

/// The same path (RFC 3986, section 6.2.2.2) without escapes of characters that need none: a browser
/// sends a cookie that is kept to `/docs` along to `/docs`, and not to `/d%6Fcs`.
fn plainly_spelled(path: &str) -> String {
    let mut parts = path.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escaped = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let unreserved =
            escaped.filter(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(byte));
        match (unreserved, part.get(2..)) {
            (Some(byte), Some(rest)) => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            _ => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Whether a path of ours is one that people come back to: what a command-line client opens needs a
/// login as well.
fn needs_login(path: &str) -> bool {
    IS_AVAILABLE && path == CLIENT_PATH
}

/// What a command-line client opens on an application's host.
pub(crate) const CLIENT_PATH: &str = "/cdn-cgi/access/cli";
/// In an address that holds it beside a login under way.
pub(crate) const LONGEST_IN_SHORT: usize = 512;
/// Path and query: what common front servers take in a line.
const LONGEST_TARGET: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORIGIN: &str = "https://app.example";

    fn target(text: &str) -> String {
        ReturnTarget::parse(text, ORIGIN).0
    }

    #[test]
    fn local_targets_survive() {
        for text in ["/", "/docs?q=1", "/docs?q=a%20b&x=//y", "/a%2Fb"] {
            assert_eq!(target(text), text);
        }
        assert_eq!(target("/docs#top"), "/docs");
        assert_eq!(target(&format!("/docs?q#{}", "a".repeat(100_000))), "/docs?q");
        let longest = format!("/docs?{}", "x".repeat(LONGEST_TARGET - "/docs?".len()));
        assert_eq!(ReturnTarget::read(&longest, ORIGIN), (ReturnTarget(longest), false));
        assert_eq!(target("/d%6Fcs/a%20b%2Fc%7e?%6F"), "/docs/a%20b%2Fc~?%6F", "cookie paths");
        assert_eq!(target("https://app.example/docs?q=1"), "/docs?q=1");
    }

    #[test]
    fn flow_01_flow_02_everything_else_becomes_the_root() {
        for text in [
            "//evil.example",
            "/\\evil.example",
            "/%5cevil.example",
            "/%2f%2fevil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "https:evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "\u{19}javascript:alert(1)",
            "https://app.example.evil.example/",
            "https://app.example@evil.example/",
            "https://evilapp.example/",
            "https://app.example:444/",
            "http://app.example/",
            "https://app.example./",
            "https://app.example//evil.example",
            "/docs?q=\u{7}",
            "/docs?q=ä",
            "",
        ] {
            assert_eq!(target(text), "/", "{text:?}");
        }
    }

    #[test]
    fn flow_03_of_what_is_too_long_the_path_is_left() {
        let long = |path: &str| format!("{path}?{}", "x".repeat(LONGEST_TARGET));
        for (text, expected) in [
            (long("/docs"), ("/docs", true)),
            (long(&format!("{ORIGIN}/docs")), ("/docs", true)),
            (format!("/{}?x", "a".repeat(LONGEST_TARGET)), ("/", true)),
            (long("//evil.example"), ("/", false)),
            (long("https://evil.example/docs"), ("/", false)),
            (long("/cdn-cgi/access/logout"), ("/", false)),
        ] {
            let (target, is_too_long) = ReturnTarget::read(&text, ORIGIN);
            assert_eq!((target.as_str(), is_too_long), expected, "{}", text.get(..40).unwrap());
        }
    }

    #[test]
    fn flow_03_no_loops_and_no_novels() {
        assert_eq!(target("/cdn-cgi/access/logout"), "/");
        assert_eq!(target("/cdn-cgi/access/cli/app.example?x"), "/");
        let client = if IS_AVAILABLE { "/cdn-cgi/access/cli?x" } else { "/" };
        assert_eq!(target("/cdn-cgi/access/cli?x"), client);
        assert_eq!(target("/%63dn-cgi/access/login/app.example"), "/");
        assert_eq!(target(&format!("/{}", "a".repeat(100_000))), "/");
        assert_eq!(target("/cdn-cgi/accessories"), "/cdn-cgi/accessories");
    }

    proptest! {
        #[test]
        fn flow_01_a_target_stays_on_its_origin(text in "[/\\\\a-z:.@?#%0-9\\t ]{0,24}") {
            let base = url::Url::parse(ORIGIN).unwrap();
            let resolved = base.join(&target(&text)).unwrap();
            prop_assert_eq!(resolved.origin(), base.origin());
        }
    }
}
