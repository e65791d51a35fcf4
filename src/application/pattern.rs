//! Where an application applies: host and path patterns.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use super::host::CanonicalHost;
use super::path::CanonicalPath;

/// A host and an optional path, with wildcards: `wiki.example.com/docs`, `*.example.com`.
///
/// | pattern | covers |
/// | --- | --- |
/// | `wiki.example.com` | every path of this host |
/// | `wiki.example.com/docs` | `/docs` and what is below it, not `/docsearch` |
/// | `wiki.example.com/docs/*` | `/docs/` and what is below it, not `/docs` |
/// | `wiki.example.com/foo*/bar` | `/foo/bar`, `/food/bar`, `/food/stuff/bar` and what is below |
/// | `*.example.com` | hosts with exactly one label more |
/// | `*test.example.com` | `test.example.com`, `alphatest.example.com` |
///
/// At most one `*` between two dots and between two slashes; no port, query or fragment. Paths
/// are compared with letter case.
///
/// Every name a wildcard covers has to be yours: one token opens all hosts of an application, and
/// a login hands it to whichever of them it was begun for. A forgotten DNS entry below the wildcard
/// that points to somebody else's machine is a way in.
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
    /// Whether a canonical host and path are covered.
    #[must_use]
    pub fn matches(&self, host: &str, path: &str) -> bool {
        self.host.matches(host) && self.path.matches(path)
    }

    /// Whether some path of a canonical host is covered.
    #[must_use]
    pub fn matches_host(&self, host: &str) -> bool {
        self.host.matches(host)
    }

    /// Sorts the most specific destination first: by host, then by path.
    #[must_use]
    pub fn specificity(&self) -> impl Ord + use<> {
        (self.host.specificity(), self.path.specificity())
    }

    pub(super) fn host(&self) -> &HostPattern {
        &self.host
    }

    pub(super) fn path(&self) -> &PathPattern {
        &self.path
    }

    /// The host when it has no wildcard.
    #[must_use]
    pub fn exact_host(&self) -> Option<&str> {
        match &self.host {
            HostPattern::Exact(host) => Some(host),
            HostPattern::Wildcard(_) => None,
        }
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
        if host.contains(':') {
            return Err(DestinationError::Port);
        }
        Ok(Self { host: host.parse()?, path: path.parse()? })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Exact(host) => f.write_str(host)?,
            HostPattern::Wildcard(labels) => {
                for (index, label) in labels.iter().enumerate() {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    label.fmt(f)?;
                }
            }
        }
        match &self.path {
            PathPattern::Prefix(prefix) => f.write_str(prefix),
            PathPattern::Wildcard(glob) => glob.text().fmt(f),
        }
    }
}

/// A text that is no destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// `https://…`.
    #[error("a domain has no scheme: write `wiki.example.com/docs`")]
    Scheme,
    /// `…:8443`.
    #[error("a domain has no port: write `wiki.example.com/docs`")]
    Port,
    /// `…?x=1`, `…#top`.
    #[error("a domain has no query and no fragment: write `wiki.example.com/docs`")]
    Query,
    /// Not a host name, or a wildcard where none may be.
    #[error(
        "no host name: write `wiki.example.com` or `*.example.com`, one `*` between two dots at most"
    )]
    Host,
    /// Not a plain path, or a wildcard too many.
    #[error(
        "no plain path: write `/docs` or `/docs/*`, one `*` between two slashes at most, no `..`"
    )]
    Path,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum HostPattern {
    Exact(Box<str>),
    /// As many labels as the host has, each with its own pattern.
    Wildcard(Box<[Label]>),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Label {
    Exact(Box<str>),
    /// Anything between the two.
    Wildcard {
        before: Box<str>,
        after: Box<str>,
    },
}

impl HostPattern {
    pub(super) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *host,
            Self::Wildcard(labels) => {
                let mut left = host.split('.');
                labels.iter().all(|label| left.next().is_some_and(|text| label.matches(text)))
                    && left.next().is_none()
            }
        }
    }

    /// What stands behind the first label, where only the first has a wildcard.
    pub(super) fn parent_of_wildcard(&self) -> Option<String> {
        let Self::Wildcard(labels) = self else { return None };
        let (_, rest) = labels.split_first()?;
        let exact: Option<Vec<&str>> = rest
            .iter()
            .map(|label| match label {
                Label::Exact(text) => Some(&**text),
                Label::Wildcard { .. } => None,
            })
            .collect();
        exact.map(|labels| labels.join("."))
    }

    /// Smaller is more specific: exact hosts, then more literal characters.
    fn specificity(&self) -> (bool, Reverse<usize>, String) {
        match self {
            Self::Exact(host) => (false, Reverse(host.len()), host.to_string()),
            Self::Wildcard(labels) => {
                let literal = labels.iter().map(Label::literal_length).sum();
                let text: Vec<_> = labels.iter().map(ToString::to_string).collect();
                (true, Reverse(literal), text.join("."))
            }
        }
    }
}

impl Label {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Wildcard { before, after } => {
                text.len() >= before.len() + after.len()
                    && text.starts_with(&**before)
                    && text.ends_with(&**after)
            }
        }
    }

    fn literal_length(&self) -> usize {
        match self {
            Self::Exact(text) => text.len(),
            Self::Wildcard { before, after } => before.len() + after.len(),
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Wildcard { before, after } => write!(f, "{before}*{after}"),
        }
    }
}

impl FromStr for HostPattern {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        // A wildcard stands for at least the shape of a label: check the rest as a plain host.
        let plain = text.replace('*', "x");
        let host: CanonicalHost = plain.parse().map_err(|_| DestinationError::Host)?;
        if !text.contains('*') {
            return Ok(Self::Exact(host.as_str().into()));
        }
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        let labels = text.split('.').map(|label| match label.split_once('*') {
            None => Ok(Label::Exact(label.into())),
            Some((_, after)) if after.contains('*') => Err(DestinationError::Host),
            Some((before, after)) => {
                Ok(Label::Wildcard { before: before.into(), after: after.into() })
            }
        });
        let labels: Box<[Label]> = labels.collect::<Result<_, _>>()?;
        // `*` or `*.*` would cover the hosts of everybody.
        if labels.iter().all(|label| label.literal_length() == 0) {
            return Err(DestinationError::Host);
        }
        Ok(Self::Wildcard(labels))
    }
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum PathPattern {
    /// The path and all below it; empty for every path.
    Prefix(Box<str>),
    Wildcard(Glob),
}

/// A path with `*`s: the literal pieces between them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Glob(Box<[Box<str>]>);

impl Glob {
    fn text(&self) -> String {
        self.0.join("*")
    }
}

impl PathPattern {
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => path
                .strip_prefix(&**prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Wildcard(glob) => glob.matches(path),
        }
    }

    /// Smaller is more specific: more literal characters before the first wildcard, no wildcard
    /// before one, more literal characters over all.
    pub(super) fn specificity(&self) -> (Reverse<usize>, bool, Reverse<usize>, String) {
        match self {
            Self::Prefix(prefix) => {
                (Reverse(prefix.len()), false, Reverse(prefix.len()), prefix.to_string())
            }
            Self::Wildcard(glob) => {
                let first = glob.0.first().map_or(0, |piece| piece.len());
                let literal = glob.0.iter().map(|piece| piece.len()).sum();
                (Reverse(first), true, Reverse(literal), glob.text())
            }
        }
    }
}

impl Glob {
    /// A `*` stands for any characters, slashes included. Behind a last literal piece the path may
    /// go on below, as behind a plain prefix.
    fn matches(&self, path: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some(mut left) = path.strip_prefix(&**first) else { return false };
        let Some((last, middle)) = rest.split_last() else { return false };
        // Leftmost matches leave the most for what follows.
        for piece in middle {
            let Some(found) = left.find(&**piece) else { return false };
            left = left.get(found + piece.len()..).unwrap_or_default();
        }
        // The last piece ends the path, or a segment with more below it.
        let ends = left.match_indices('/').map(|(slash, _)| slash).chain([left.len()]);
        last.is_empty()
            || ends
                .into_iter()
                .any(|end| left.get(..end).is_some_and(|part| part.ends_with(&**last)))
    }
}

impl FromStr for PathPattern {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        if matches!(text, "" | "/" | "/*") {
            return Ok(Self::Prefix("".into()));
        }
        if text.split('/').any(|segment| segment.matches('*').count() > 1) {
            return Err(DestinationError::Path);
        }
        // An escaped asterisk would be read as a wildcard.
        if text.to_ascii_uppercase().contains("%2A") {
            return Err(DestinationError::Path);
        }
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        let canonical = CanonicalPath::parse(trimmed).map_err(|_| DestinationError::Path)?;
        if canonical.as_str().contains('*') {
            let pieces = canonical.as_str().split('*').map(Into::into).collect();
            return Ok(Self::Wildcard(Glob(pieces)));
        }
        Ok(Self::Prefix(canonical.as_str().into()))
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
            (".app.example", true), // no canonical host begins with a dot
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
            "h.example:8443",
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
