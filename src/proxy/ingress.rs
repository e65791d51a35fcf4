//! The ingress table: ordered rules, the first that matches is taken, the last matches everything.
//!
//! The types here cannot hold a wrong table: whatever cannot work is refused when it is built, with
//! the number of the rule and the reason.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::origin::OriginSettings;
use super::origin_service::OriginService;
use super::pattern::{HostPattern, PathRegex};
use super::rule_error::IngressRuleError;
use crate::application::{CanonicalPath, fold, without_segment_ends};

/// An ordered table of rules that has an answer for every request.
///
/// Expressions tell letter case apart, and many origins do not: with `^/admin` for `http_status:403`,
/// `/ADMIN` would get to such an origin by the next rule. The proxy therefore refuses (400) a request
/// that would be sent elsewhere if letter case, and dots and blanks at the end of a segment, were
/// ignored, unless its application says that its origin tells them apart
/// ([`CaseSensitiveOrigin`](crate::application::CaseSensitiveOrigin)). Rules with the same service
/// and the same settings are no difference; they may differ in `response_header_timeout`. It refuses likewise what would be sent elsewhere in
/// another reading of its path (`//admin` as `/admin`), where an application lets such paths through
/// ([`Ambiguity`](crate::application::Ambiguity)).
///
/// Cheap to clone.
///
/// # Example
///
/// ```
/// use tower_access::proxy::{Ingress, IngressRule, OriginSettings};
///
/// let rule = |host, path, service| IngressRule::parse(host, path, service, OriginSettings::default());
/// let ingress = Ingress::new(vec![
///     rule("wiki.example.com", Some("^/docs(/|$)"), "http://localhost:8080")?,
///     rule("*", None, "http_status:404")?,
/// ])?;
/// assert_eq!(ingress.route("wiki.example.com", "/docs/a").service.to_string(), "http://localhost:8080");
/// assert_eq!(ingress.route("wiki.example.com", "/").service.to_string(), "http_status:404");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Ingress {
    /// All rules but the last.
    rules: Arc<[IngressRule]>,
    /// The rule that matches everything.
    last: Arc<IngressRule>,
}

/// One rule: what it matches and where it sends.
#[derive(Clone, Debug)]
pub struct IngressRule {
    /// Which hosts it is for.
    pub hostname: HostPattern,
    /// Which paths it is for; none means all of them.
    pub path: Option<PathRegex>,
    /// Where a request goes.
    pub service: OriginService,
    /// How the origin is spoken to.
    pub origin: OriginSettings,
}

/// A table that cannot work, by the rule that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("ingress[{rule}]: {reason}")]
pub struct IngressError {
    rule: usize,
    reason: IngressRuleError,
}

// === impl Ingress ===

impl Ingress {
    /// Builds the table from its rules, in order.
    ///
    /// # Errors
    ///
    /// If there are no rules, the last one does not match everything, or an earlier one does.
    pub fn new(mut rules: Vec<IngressRule>) -> Result<Self, IngressError> {
        let Some(last) = rules.pop() else {
            return Err(IngressError::new(0, IngressRuleError::NoRules));
        };
        if let Some(index) = rules.iter().position(IngressRule::matches_everything) {
            return Err(IngressError::new(index, IngressRuleError::ShadowsTheRest));
        }
        if !last.matches_everything() {
            return Err(IngressError::new(rules.len(), IngressRuleError::LastMustMatchEverything));
        }
        Ok(Self { rules: rules.into(), last: Arc::new(last) })
    }

    /// The rule for a request.
    ///
    /// `host` is canonical (lower case, no port, no final dot); `path` is the path as it is forwarded,
    /// still percent-encoded: it is decoded once here, for the expressions.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> &IngressRule {
        self.locate(host, path).1
    }

    /// The rules in order.
    pub fn rules(&self) -> impl Iterator<Item = &IngressRule> {
        self.rules.iter().chain([&*self.last])
    }

    /// The host pattern of each rule, in order.
    pub fn hosts(&self) -> impl Iterator<Item = &HostPattern> {
        self.rules().map(|rule| &rule.hostname)
    }

    /// The zero-based number of the rule for a request, and the rule.
    pub(super) fn locate(&self, host: &str, path: &str) -> (usize, &IngressRule) {
        let decoded = decode(path);
        self.rules
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.matches(host, &decoded))
            .unwrap_or((self.rules.len(), &self.last))
    }

    /// Whether a request would lead elsewhere than `rule` does if its path were read in another of
    /// the ways that servers are known to read it in: with doubled slashes collapsed, for instance.
    pub(super) fn leads_elsewhere_when_reread(
        &self,
        host: &str,
        path: &str,
        (rule, tells_spellings_apart): (&IngressRule, bool),
    ) -> bool {
        if !self.has_paths(host) {
            return false;
        }
        let Ok(path) = CanonicalPath::parse_with_ambiguities(path) else { return false };
        let Ok(readings) = path.readings() else { return true };
        readings.iter().any(|reading| {
            !self.route(host, reading).leads_like(rule)
                || !tells_spellings_apart && self.leads_elsewhere_when_folded(host, reading, rule)
        })
    }

    /// Whether a rule for a host looks at paths.
    fn has_paths(&self, host: &str) -> bool {
        self.rules.iter().any(|one| one.path.is_some() && one.hostname.matches(host))
    }

    /// Whether a request would lead elsewhere than `rule` does, to an origin or an answer, if its
    /// path and the rules were read as some origins read paths: without regard to letter case, and
    /// to dots and blanks at the end of a segment.
    pub(super) fn leads_elsewhere_when_folded(
        &self,
        host: &str,
        path: &str,
        rule: &IngressRule,
    ) -> bool {
        if !self.has_paths(host) {
            return false;
        }
        let decoded = decode(path);
        let (cut, folded) = (without_segment_ends(&decoded), fold(&decoded));
        let leads_elsewhere = |path: &str, matches: fn(&PathRegex, &str) -> bool| {
            let is_for = |one: &&IngressRule| {
                one.hostname.matches(host)
                    && one.path.as_ref().is_none_or(|expression| matches(expression, path))
            };
            let found = self.rules.iter().find(is_for).unwrap_or(&self.last);
            !found.leads_like(rule)
        };
        // An expression can mean capitals alone, or the absence of them, or a dot at the end.
        leads_elsewhere(&decoded, PathRegex::matches_in_any_case)
            || leads_elsewhere(&folded, PathRegex::matches_in_any_case)
            || leads_elsewhere(&folded, PathRegex::matches)
            || leads_elsewhere(&cut, PathRegex::matches)
    }
}

// === impl IngressRule ===

impl IngressRule {
    /// Reads a rule from the texts of a configuration file.
    ///
    /// An empty `hostname` means all hosts; an absent or empty `path` all paths.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with one of the three texts.
    pub fn parse(
        hostname: &str,
        path: Option<&str>,
        service: &str,
        origin: OriginSettings,
    ) -> Result<Self, IngressRuleError> {
        Ok(Self {
            hostname: hostname.parse()?,
            path: path.filter(|path| !path.is_empty()).map(str::parse).transpose()?,
            service: service.parse()?,
            origin,
        })
    }

    /// Whether the rule is for this host and (decoded) path.
    #[must_use]
    pub fn matches(&self, host: &str, path: &str) -> bool {
        self.hostname.matches(host)
            && self.path.as_ref().is_none_or(|expression| expression.matches(path))
    }

    /// Whether it makes no difference which of two rules is taken.
    fn leads_like(&self, other: &Self) -> bool {
        self.service == other.service && self.origin.connects_like(&other.origin)
    }

    fn matches_everything(&self) -> bool {
        self.hostname.matches_every_host() && self.path.is_none()
    }
}

/// Unescapes a path, except `%2F`: an escaped slash separates nothing for us.
fn decode(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let path = path.replace("%2f", "%2F");
    let pieces = path.split("%2F").map(|piece| percent_decode_str(piece).decode_utf8_lossy());
    Cow::Owned(pieces.collect::<Vec<_>>().join("%2F"))
}

// === impl IngressError ===

impl IngressError {
    /// An error of the zero-based rule `rule`, for whoever reads rules one by one from a file.
    #[must_use]
    pub fn new(rule: usize, reason: IngressRuleError) -> Self {
        Self { rule, reason }
    }

    /// The zero-based number of the rule that is wrong.
    #[must_use]
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &IngressRuleError {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(host: &str, path: Option<&str>, service: &str) -> IngressRule {
        IngressRule::parse(host, path, service, OriginSettings::default()).unwrap()
    }

    #[test]
    fn first_match_wins_and_the_last_takes_the_rest() {
        let ingress = Ingress::new(vec![
            rule("wiki.example.com", Some("^/docs(/|$)"), "http://a:1"),
            rule("wiki.example.com", None, "http://b:1"),
            rule("*.example.com", None, "http://c:1"),
            rule("", None, "http_status:404"),
        ])
        .unwrap();
        let number = |host, path| ingress.locate(host, path).0;
        assert_eq!(number("wiki.example.com", "/docs"), 0);
        assert_eq!(number("wiki.example.com", "/%64ocs/x"), 0);
        assert_eq!(number("wiki.example.com", "/%2564ocs/x"), 1);
        assert_eq!(number("a.b.example.com", "/docs"), 2);
        assert_eq!(number("example.com", "/docs"), 3);
        assert_eq!(
            ingress.hosts().map(ToString::to_string).collect::<Vec<_>>(),
            ["wiki.example.com", "wiki.example.com", "*.example.com", "*"]
        );
    }

    #[test]
    fn wrong_tables_name_the_rule() {
        let error = Ingress::new(vec![]).unwrap_err();
        assert!(matches!((error.rule(), error.reason()), (0, IngressRuleError::NoRules)));

        let error = Ingress::new(vec![
            rule("", None, "hello_world"),
            rule("a.example", None, "hello_world"),
        ]);
        assert!(matches!(
            error,
            Err(IngressError { rule: 0, reason: IngressRuleError::ShadowsTheRest })
        ));

        let error =
            Ingress::new(vec![rule("a", None, "hello_world"), rule("*", Some("x"), "hello_world")]);
        assert!(matches!(
            error,
            Err(IngressError { rule: 1, reason: IngressRuleError::LastMustMatchEverything })
        ));
    }

    #[test]
    fn empty_path_means_all_paths() {
        assert!(rule("a", Some(""), "hello_world").path.is_none());
    }
}
