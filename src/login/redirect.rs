//! Return targets of logins.

use super::command_line::IS_AVAILABLE;
use crate::application::{Ambiguity, CanonicalPath};
pub(crate) use crate::application::{OWN_PREFIX, is_own};

/// Path and query on the application's own host. A login redirects nowhere else.
///
/// Created from the requested URL, or from a parameter that a stranger may have written. Anything
/// but a plain local path becomes `/`.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(crate) struct ReturnTarget(String);

impl ReturnTarget {
    /// Reads a `redirect_url`. Accepts an absolute URL if its origin is exactly `origin`.
    pub(crate) fn parse(text: &str, origin: &str) -> Self {
        Self::read(text, origin).0
    }

    /// As `parse`. Also returns whether the text was too long; then its query is removed.
    pub(crate) fn read(text: &str, origin: &str) -> (Self, bool) {
        let local = text.strip_prefix(origin).filter(|rest| rest.starts_with('/')).unwrap_or(text);
        let local = local.split('#').next().unwrap_or_default();
        let is_too_long = local.len() > MAX_TARGET;
        let local = if is_too_long { local.split('?').next().unwrap_or_default() } else { local };
        match Self::local(local) {
            Some(target) => (target, is_too_long),
            // An invalid target was not shortened.
            None => (Self::root(), is_too_long && local.len() > MAX_TARGET),
        }
    }

    pub(crate) fn root() -> Self {
        Self("/".to_owned())
    }

    /// Removes the query. Returns `/` if the encoded path is longer than this.
    pub(crate) fn without_query(&self, longest: usize) -> Self {
        let path = Self(self.path().to_owned());
        if path.encoded_len() <= longest { path } else { Self::root() }
    }

    /// Returns the target, shortened if necessary to fit into a response head.
    pub(crate) fn abbreviated(&self) -> Self {
        if self.encoded_len() <= MAX_SHORT_TARGET_BYTES {
            return self.clone();
        }
        self.without_query(MAX_SHORT_TARGET_BYTES)
    }

    /// Returns its length as the value of a query parameter.
    pub(crate) fn encoded_len(&self) -> usize {
        url::form_urlencoded::byte_serialize(self.0.as_bytes()).map(str::len).sum()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }

    fn local(text: &str) -> Option<Self> {
        if text.len() > MAX_TARGET {
            return None;
        }
        let (path, query) =
            text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let path = CanonicalPath::parse_with_ambiguities(path).ok()?;
        // Browsers read a path that begins with two slashes as another host.
        let leads_away = |reading: &String| is_own(reading) || reading.starts_with("//");
        if path.readings().ok()?.iter().any(leads_away) {
            return None;
        }
        // Returning there would be a loop.
        if is_own(path.as_str()) && !needs_login(path.as_str()) {
            return None;
        }
        // Decoding could turn an invalid escape into a valid one.
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

/// Decodes escapes of unreserved characters (RFC 3986, section 6.2.2.2): a browser sends a cookie with
/// the path `/docs` to `/docs`, but not to `/d%6Fcs`.
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

/// Returns whether a reserved path requires a login: the one that a command-line client opens.
fn needs_login(path: &str) -> bool {
    IS_AVAILABLE && path == CLIENT_PATH
}

/// The path that a command-line client opens on an application's host.
pub(crate) const CLIENT_PATH: &str = "/cdn-cgi/access/cli";
/// Longest encoded target in a URL that also contains a sealed login.
pub(crate) const MAX_SHORT_TARGET_BYTES: usize = 512;
/// Longest path and query, in bytes: common reverse proxies accept that in a request line.
const MAX_TARGET: usize = 8 * 1024;

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
        let longest = format!("/docs?{}", "x".repeat(MAX_TARGET - "/docs?".len()));
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
        let long = |path: &str| format!("{path}?{}", "x".repeat(MAX_TARGET));
        for (text, expected) in [
            (long("/docs"), ("/docs", true)),
            (long(&format!("{ORIGIN}/docs")), ("/docs", true)),
            (format!("/{}?x", "a".repeat(MAX_TARGET)), ("/", true)),
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
