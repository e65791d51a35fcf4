//! What one ingress rule matches: a host pattern and a path expression.
//!
//! Both are parsed once, when the configuration is read; matching cannot fail.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::rule_error::IngressRuleError;

use crate::application::CanonicalHost;

/// The hosts that a rule matches.
///
/// An empty text or `*` matches every host. `*.example.com` matches every host that ends in
/// `.example.com`, several labels included, and not `example.com` itself. Anything else is one host,
/// compared without regard to case.
///
/// # Example
///
/// ```
/// use tower_access::proxy::HostPattern;
///
/// let pattern: HostPattern = "*.Example.com".parse()?;
/// assert!(pattern.matches("a.b.example.com"));
/// assert!(!pattern.matches("example.com"));
/// # Ok::<(), tower_access::proxy::IngressRuleError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPattern(Kind);

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Kind {
    Every,
    /// The suffix with its leading dot.
    Below(String),
    Exactly(String),
}

impl HostPattern {
    /// Returns the pattern that matches every host.
    #[must_use]
    pub fn every() -> Self {
        Self(Kind::Every)
    }

    /// Returns whether every host matches.
    #[must_use]
    pub fn matches_any_host(&self) -> bool {
        self.0 == Kind::Every
    }

    /// Returns whether `host` matches; `host` is canonical: lower case, without port and trailing dot.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match &self.0 {
            Kind::Every => true,
            Kind::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Kind::Exactly(name) => host == name,
        }
    }
}

impl FromStr for HostPattern {
    type Err = IngressRuleError;

    /// Parses a pattern of a configuration file.
    ///
    /// # Errors
    ///
    /// [`IngressRuleError::WildcardPosition`] for a `*` that is not the whole first label,
    /// [`IngressRuleError::PortInHostname`] for a port, and [`IngressRuleError::InvalidHostname`] for anything that
    /// that is not a canonical host (international names are written in their `xn--` form).
    fn from_str(text: &str) -> Result<Self, IngressRuleError> {
        let name = text.to_ascii_lowercase();
        if name.is_empty() || name == "*" {
            return Ok(Self::every());
        }
        let host = name.strip_prefix("*.").unwrap_or(&name);
        if host.contains('*') {
            return Err(IngressRuleError::WildcardPosition);
        }
        let wildcard = host.len() != name.len();
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.contains(':') && !host.ends_with(']') {
            return Err(IngressRuleError::PortInHostname);
        }
        if !is_canonical(host) {
            return Err(IngressRuleError::InvalidHostname);
        }
        Ok(Self(if wildcard {
            Kind::Below(format!(".{host}"))
        } else {
            Kind::Exactly(host.to_owned())
        }))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Every => f.write_str("*"),
            Kind::Below(suffix) => write!(f, "*{suffix}"),
            Kind::Exactly(name) => f.write_str(name),
        }
    }
}

/// A regular expression that is searched for in the decoded path.
///
/// The search is **not anchored**: `admin` also finds `/public/administrator`. Write `^/admin(/|$)`
/// to match the beginning. Matching takes time linear in the path, whatever the expression.
///
/// # Example
///
/// ```
/// use tower_access::proxy::PathRegex;
///
/// let docs: PathRegex = "^/docs(/|$)".parse()?;
/// assert!(docs.matches("/docs/start"));
/// assert!(!docs.matches("/docsets"));
/// # Ok::<(), tower_access::proxy::IngressRuleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PathRegex {
    written: Regex,
    /// The same without regard to letter case.
    caseless: Regex,
}

impl PathRegex {
    /// Returns whether the expression is found in `path`, which is already percent-decoded.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.written.is_match(path)
    }

    /// Returns whether it is found as written, or without letter case. A class such as `[^A-Z]` then has fewer
    /// characters.
    pub(super) fn matches_in_any_case(&self, path: &str) -> bool {
        self.written.is_match(path) || self.caseless.is_match(path)
    }

    /// Returns the expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.written.as_str()
    }
}

impl FromStr for PathRegex {
    type Err = IngressRuleError;

    /// Compiles the expression, within one mebibyte of memory.
    ///
    /// # Errors
    ///
    /// [`IngressRuleError::InvalidPath`] if it is not a regular expression or too large when compiled.
    fn from_str(text: &str) -> Result<Self, IngressRuleError> {
        let mut builder = RegexBuilder::new(text);
        let refuse = |error| IngressRuleError::InvalidPath(Box::new(error));
        let written = builder
            .size_limit(COMPILED_REGEX_LIMIT)
            .dfa_size_limit(COMPILED_REGEX_LIMIT)
            .build()
            .map_err(refuse)?;
        // Classes of letters then need more memory.
        let caseless = builder
            .case_insensitive(true)
            .size_limit(4 * COMPILED_REGEX_LIMIT)
            .build()
            .map_err(refuse)?;
        Ok(Self { written, caseless })
    }
}

/// Most bytes of a compiled path expression.
const COMPILED_REGEX_LIMIT: usize = 1 << 20;

/// Returns whether a host is in canonical form.
fn is_canonical(host: &str) -> bool {
    host.parse::<CanonicalHost>().is_ok_and(|canonical| canonical.as_str() == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<HostPattern, IngressRuleError> {
        text.parse()
    }

    #[test]
    fn empty_and_star_match_every_host() {
        assert!(host("").unwrap().matches_any_host());
        assert!(host("*").unwrap().matches("anything.example"));
    }

    #[test]
    fn wildcard_spans_labels_but_not_the_parent() {
        let pattern = host("*.App.example").unwrap();
        assert!(pattern.matches("x.app.example"));
        assert!(pattern.matches("a.b.app.example"));
        assert!(!pattern.matches("app.example"));
        assert!(!pattern.matches(".app.example"));
        assert!(!pattern.matches("evilapp.example"));
    }

    #[test]
    fn exact_names_ignore_case_and_final_dot() {
        assert!(host("Wiki.Example.com.").unwrap().matches("wiki.example.com"));
        assert!(host("[::1]").unwrap().matches("[::1]"));
    }

    #[test]
    fn wrong_hostnames_say_what_is_wrong() {
        assert!(matches!(host("a.*.example"), Err(IngressRuleError::WildcardPosition)));
        assert!(matches!(host("*a.example"), Err(IngressRuleError::WildcardPosition)));
        assert!(matches!(host("*.*.example"), Err(IngressRuleError::WildcardPosition)));
        assert!(matches!(host("app.example:443"), Err(IngressRuleError::PortInHostname)));
        assert!(matches!(host("*."), Err(IngressRuleError::InvalidHostname)));
        assert!(matches!(host("app..example"), Err(IngressRuleError::InvalidHostname)));
        assert!(matches!(host("app.example/x"), Err(IngressRuleError::InvalidHostname)));
        assert!(matches!(host("münchen.example"), Err(IngressRuleError::InvalidHostname)));
    }

    #[test]
    fn path_is_a_search_and_bounded() {
        let path: PathRegex = "admin".parse().unwrap();
        assert!(path.matches("/public/administrator"));
        assert!(matches!("(".parse::<PathRegex>(), Err(IngressRuleError::InvalidPath(_))));
        assert!(matches!(
            "(a{1000}){1000}".parse::<PathRegex>(),
            Err(IngressRuleError::InvalidPath(_))
        ));
    }
}
