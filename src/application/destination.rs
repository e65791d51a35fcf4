//! Where an application applies: a host and a path, each with wildcards.

use std::fmt;
use std::str::FromStr;

use super::destination_error::DestinationError;
use super::host_pattern::HostPattern;
use super::path_pattern::PathPattern;
use super::specificity::{Patterns, Specificity};

/// A host and an optional path, with wildcards: `wiki.example.com/docs`, `*.example.com`.
///
/// | pattern | covers |
/// | --- | --- |
/// | `wiki.example.com` | every path of this host; so do `wiki.example.com/` and `wiki.example.com/*` |
/// | `wiki.example.com/docs` | `/docs` and what is below it, not `/docsearch` |
/// | `wiki.example.com/docs/*` | `/docs/` and what is below it, not `/docs` |
/// | `wiki.example.com/foo*/bar` | `/foo/bar`, `/food/bar`, `/food/stuff/bar` and what is below |
/// | `*.example.com` | hosts with exactly one label more |
/// | `*test.example.com` | `test.example.com`, `alphatest.example.com` |
///
/// At most one `*` between two dots and between two slashes; no scheme, query or fragment.
///
/// # Cases that the format leaves open
///
/// The documentation of the format does not define these cases:
///
/// | case | decision |
/// | --- | --- |
/// | `/eng` and `/engine` | a path ends at a segment: `/eng` covers `/eng`, `/eng/` and `/eng/x`, not `/engine` and not `/eng.html` |
/// | `/alpha/*` and `/alpha` | the first does not cover the second, but covers `/alpha/`; write `/alpha` for both |
/// | a trailing slash | ignored: `/alpha/` is `/alpha`, `/foo*/` is `/foo*` |
/// | no path, `/`, `/*` | every path |
/// | letter case | ignored in hosts; `/Admin` and `/admin` are two paths, and a request for one is refused if the other belongs to another application (see below) |
/// | `*` in a path | any characters, including none and slashes |
/// | `*` in a host | any characters of one label, including none, but no dot and no empty label; addresses in brackets are never covered by a wildcard |
/// | a port | ignored, also in requests: `wiki.example.com:8443` is `wiki.example.com`. An [`Application`](super::Application) and the configuration file refuse one, since it would be for every port: [`PublicAddresses`](super::PublicAddresses) says which port people use |
/// | escapes | compared in canonical form, one escape being one character: `/%61` is `/a`, `/caf%c3%a9` is `/café`; `%2A` and `%2F` are refused |
/// | non-ASCII names | converted as in requests: `bücher.example` is `xn--bcher-kva.example`; a label that would become plain ASCII is refused, and so is one with a wildcard |
/// | a dot at the end of the host | ignored |
/// | `*` or `*.*` alone | refused: would cover every host |
///
/// # Precedence
///
/// The most specific destination that matches wins; the first difference in this list decides, whatever
/// their order. A destination that covers less than another always wins over it.
///
/// 1. the host without a wildcard, whatever the paths;
/// 2. the host with more characters besides `*`: `prefix*.example.com` before `*.example.com`;
/// 3. the host with fewer `*`;
/// 4. the host with more characters before its first `*`: `a*.example.com` before `*a.example.com`;
/// 5. the host that comes first in the order of letters;
/// 6. the path with more characters before its first `*`: `/alpha/*` before `/alpha`, `/a/b` before
///    `/*/b`;
/// 7. the path without a wildcard: `/alpha` before `/alpha*`;
/// 8. the path with more characters besides `*`;
/// 9. the path with fewer `*`;
/// 10. the path that comes first in the order of letters.
///
/// # Letter case
///
/// Many origins serve `/Admin` and `/admin.` as `/admin`: Express, IIS, any server with files on Windows.
/// A request is therefore refused (400) if its path would belong to another application, to several or
/// to none after *folding* paths and destinations: letter case (of all of Unicode) is ignored, dots and
/// spaces at the end of each segment are removed, UTF-8 escapes are decoded. With a staff
/// application at `/admin` of an open host, `/Admin`, `/%41dmin/x` and `/admin%20/` are refused, and
/// so is everything at `/admin` and `/Admin` if these are two applications. Spellings of the login's own
/// paths (`/CDN-CGI/access/…`) are refused on every host.
///
/// [`Application::insecure_case_sensitive_origin`](super::Application::insecure_case_sensitive_origin)
/// declares that an origin distinguishes spellings. Each of the applications in question must set it,
/// except those whose policies grant access to everyone without a credential. Paths that are equal only in
/// another Unicode normal form are not found.
///
/// # Wildcards
///
/// You must control every name that a wildcard covers: one token is valid for all hosts of an
/// application, and a login hands it to the host that started it. A stale DNS record below the wildcard
/// that points to another party's machine lets that party in.
///
/// ```
/// use tower_access::application::Destination;
///
/// let docs: Destination = "wiki.example.com/docs".parse()?;
/// assert!(docs.matches("wiki.example.com", "/docs/a"));
/// assert!(!docs.matches("wiki.example.com", "/docsearch"));
/// # Ok::<(), tower_access::application::DestinationError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Destination {
    host: HostPattern,
    path: PathPattern,
}

impl Destination {
    /// Returns whether it covers a canonical host and path.
    #[must_use]
    pub fn matches(&self, host: &str, path: &str) -> bool {
        self.host.matches(host) && self.path.matches(path)
    }

    /// Returns whether it covers any path of a canonical host.
    #[must_use]
    pub fn matches_host(&self, host: &str) -> bool {
        self.host.matches(host)
    }

    /// Parses the domain of an application, which has no port.
    pub(crate) fn from_domain(text: &str) -> Result<Self, DestinationError> {
        let destination: Self = text.parse()?;
        let host = text.split('/').next().unwrap_or_default();
        let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
        if port.is_some() { Err(DestinationError::PublicPort) } else { Ok(destination) }
    }

    /// Returns a key that sorts the most specific destination first.
    #[must_use]
    pub fn specificity(&self) -> impl Ord + use<> {
        Specificity::from(self.patterns())
    }

    /// Returns the two patterns that [`specificity`](Self::specificity) compares.
    pub(super) fn patterns(&self) -> Patterns<'_> {
        (&self.host, &self.path)
    }

    /// Returns the destination for folded paths.
    pub(super) fn folded(&self) -> Self {
        Self { host: self.host.clone(), path: self.path.folded() }
    }

    /// Returns whether it covers every path of its hosts.
    pub(super) fn is_whole_host(&self) -> bool {
        self.path.text().is_empty()
    }

    pub(crate) fn host(&self) -> &HostPattern {
        &self.host
    }

    pub(crate) fn path(&self) -> &PathPattern {
        &self.path
    }

    /// Returns the host, if it has no wildcard.
    #[must_use]
    pub fn exact_host(&self) -> Option<&str> {
        self.host.is_exact().then(|| self.host.text())
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if text.contains("://") {
            return Err(DestinationError::Scheme);
        }
        if text.contains(['?', '#']) {
            return Err(DestinationError::Query);
        }
        let (host, path) = match text.find('/') {
            Some(slash) => text.split_at(slash),
            None => (text, ""),
        };
        Ok(Self { host: host.parse()?, path: path.parse()? })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host.text())?;
        f.write_str(self.path.text())
    }
}

/// Writes the text in its canonical spelling.
impl serde::Serialize for Destination {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, host: &str, path: &str) -> bool {
        pattern.parse::<Destination>().unwrap().matches(host, path)
    }

    #[test]
    fn host_07_a_wildcard_is_one_label() {
        for (host, covered) in [
            ("a.app.example", true),
            ("evilapp.example", false),
            ("app.example", false),
            ("a.b.app.example", false),
            (".app.example", false),
            ("a.app.example.evil", false),
        ] {
            assert_eq!(covers("*.app.example", host, "/"), covered, "{host}");
        }
        assert!(covers("*test.example.com", "test.example.com", "/"));
        assert!(covers("*test.example.com", "alphatest.example.com", "/"));
        assert!(!covers("*test.example.com", "beta.test.example.com", "/"));
        assert!(covers("Wiki.Example.com", "wiki.example.com", "/x"));
    }

    #[test]
    fn path_16_a_prefix_ends_at_a_segment() {
        for (pattern, path, covered) in [
            ("h.example/admin", "/admin", true),
            ("h.example/admin", "/admin/", true),
            ("h.example/admin", "/admin/x", true),
            ("h.example/admin", "/adminx", false),
            ("h.example/admin", "/admin.json", false),
            ("h.example/admin", "/admin-old", false),
            ("h.example/admin", "/Admin", false),
            ("h.example/admin/", "/admin", true),
            ("h.example/admin/*", "/admin", false),
            ("h.example/admin/*", "/admin/", true),
            ("h.example/admin/*", "/admin/x/y", true),
            ("h.example/*", "/", true),
            ("h.example", "/anything", true),
        ] {
            assert_eq!(covers(pattern, "h.example", path), covered, "{pattern} {path}");
        }
    }

    #[test]
    fn path_17_a_wildcard_crosses_segments() {
        for (path, covered) in [
            ("/foo/bar", true),
            ("/food/bar", true),
            ("/food/stuff/bar", true),
            ("/food/stuff/bar/below", true),
            ("/foo/barn", false),
            ("/fo/bar", false),
            ("/foo/barn/bar", true),
        ] {
            assert_eq!(covers("h.example/foo*/bar", "h.example", path), covered, "{path}");
        }
        assert!(covers("h.example/a/*/c/*/e", "h.example", "/a/1/2/c/3/e"));
        assert!(!covers("h.example/a/*/c/*/e", "h.example", "/a/1/2/c/3"));
    }

    /// The meaning of a path pattern, one character at a time.
    fn model(pattern: &[u8], path: &[u8]) -> bool {
        match pattern.split_first() {
            None => path.is_empty() || path.first() == Some(&b'/'),
            Some((b'*', [])) => true,
            Some((b'*', rest)) => (0..=path.len()).any(|skip| model(rest, &path[skip..])),
            Some((literal, rest)) => path
                .split_first()
                .is_some_and(|(first, path)| first == literal && model(rest, path)),
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4_000))]
        #[test]
        fn path_17_patterns_cover_what_they_mean(
            pattern in "(/[a0*]{1,4}){1,3}",
            path in "(/[a0]{1,4}){1,4}",
        ) {
            if let Ok(destination) = format!("h.example{pattern}").parse::<Destination>()
                && pattern != "/*"
            {
                let expected = model(pattern.as_bytes(), path.as_bytes());
                proptest::prop_assert_eq!(destination.matches("h.example", &path), expected);
            }
        }
    }

    #[test]
    fn a_last_piece_that_repeats_itself_is_found() {
        assert!(covers("h.example/report*00", "h.example", "/report2000"));
        assert!(covers("h.example/x*aa", "h.example", "/xaaa"));
        assert!(covers("h.example/x*aa", "h.example", "/xaaa/below"));
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for text in [
            "",
            "/docs",
            "https://h.example",
            "h.example:x",
            "h.example?x",
            "h.example/x#y",
            "*",
            "*.*",
            "**.example.com",
            "*a*.example.com",
            "h.example/**",
            "h.example/../x",
            "h.example//x",
            "h.example/a;b",
            "h example",
            "h.example/%2e%2e",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn prints_what_it_read() {
        for text in ["h.example", "h.example/docs", "*.example.com/a*/b", "x*y.example.com"] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
    }
}
