//! The ingress table: ordered rules, of which the first match wins and the last matches everything.
//!
//! These types cannot represent an invalid table: building it fails with the number of the rule and the
//! reason.

use std::borrow::Cow;
use std::sync::Arc;

use percent_encoding::percent_decode_str;

use super::origin::OriginSettings;
use super::origin_service::OriginService;
use super::pattern::{HostPattern, PathRegex};
use super::rule_error::IngressRuleError;
use crate::application::{CanonicalPath, fold, without_segment_ends};

/// An ordered table of rules that matches every request.
///
/// Expressions are case sensitive, and many origins are not: with `^/admin` for `http_status:403`, `/ADMIN`
/// would reach such an origin through the next rule. The proxy therefore refuses (400) a request that would
/// match another rule if letter case, and dots and spaces at the end of a segment, were ignored, unless its
/// application declares a case-sensitive origin
/// ([`CaseSensitiveOrigin`](crate::application::CaseSensitiveOrigin)). Rules with the same service and the
/// same settings (except `response_header_timeout`) count as one. It also refuses a request of which another
/// reading of the path (`//admin` as `/admin`) would match another rule, if an application allows such paths
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

/// One rule: what it matches, and the service for it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IngressRule {
    /// The hosts that it matches.
    pub hostname: HostPattern,
    /// The paths that it matches; `None` means all paths.
    pub path: Option<PathRegex>,
    /// The service that receives the requests.
    pub service: OriginService,
    /// The settings for the origin.
    pub origin: OriginSettings,
}

/// An invalid table, with the number of the wrong rule.
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

    /// Returns the rule for a request.
    ///
    /// `host` is canonical (lower case, no port, no final dot); `path` is the path as it is forwarded,
    /// still percent-encoded: it is decoded once here, for the expressions.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> &IngressRule {
        self.locate(host, path).1
    }

    /// Returns the rules in order.
    pub fn rules(&self) -> impl Iterator<Item = &IngressRule> {
        self.rules.iter().chain([&*self.last])
    }

    /// Returns the host pattern of each rule, in order.
    pub fn hosts(&self) -> impl Iterator<Item = &HostPattern> {
        self.rules().map(|rule| &rule.hostname)
    }

    /// Returns the zero-based number of the rule for a request, and the rule.
    pub(super) fn locate(&self, host: &str, path: &str) -> (usize, &IngressRule) {
        let decoded = decode(path);
        self.rules
            .iter()
            .enumerate()
            .find(|(_, rule)| rule.matches(host, &decoded))
            .unwrap_or((self.rules.len(), &self.last))
    }

    /// Returns whether a request would match another rule than `rule` in another reading of its path, for
    /// instance with doubled slashes collapsed.
    pub(super) fn changes_rule_when_reinterpreted(
        &self,
        host: &str,
        path: &str,
        (rule, is_case_sensitive): (&IngressRule, bool),
    ) -> bool {
        if !self.has_paths(host) {
            return false;
        }
        let Ok(path) = CanonicalPath::parse_with_ambiguities(path) else { return false };
        let Ok(readings) = path.readings() else { return true };
        readings.iter().any(|reading| {
            !self.route(host, reading).is_equivalent(rule)
                || !is_case_sensitive && self.changes_rule_when_folded(host, reading, rule)
        })
    }

    /// Returns whether any rule for a host has a path.
    fn has_paths(&self, host: &str) -> bool {
        self.rules.iter().any(|one| one.path.is_some() && one.hostname.matches(host))
    }

    /// Returns whether a request would match another rule than `rule` if letter case, and dots and spaces at
    /// the end of a segment, were ignored in its path and the rules, as some origins do.
    pub(super) fn changes_rule_when_folded(
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
            !found.is_equivalent(rule)
        };
        // An expression may match only capitals, only their absence, or a dot at the end.
        leads_elsewhere(&decoded, PathRegex::matches_in_any_case)
            || leads_elsewhere(&folded, PathRegex::matches_in_any_case)
            || leads_elsewhere(&folded, PathRegex::matches)
            || leads_elsewhere(&cut, PathRegex::matches)
    }
}

// === impl IngressRule ===

impl IngressRule {
    /// Parses a rule from the texts of a configuration file.
    ///
    /// An empty `hostname` means all hosts; an absent or empty `path` means all paths.
    ///
    /// # Errors
    ///
    /// If one of the three texts is invalid.
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

    /// Returns whether the rule matches this host and (decoded) path.
    #[must_use]
    pub fn matches(&self, host: &str, path: &str) -> bool {
        self.hostname.matches(host)
            && self.path.as_ref().is_none_or(|expression| expression.matches(path))
    }

    /// Returns whether both rules send a request to the same service with the same settings.
    fn is_equivalent(&self, other: &Self) -> bool {
        self.service == other.service && self.origin.has_same_connection_settings(&other.origin)
    }

    fn matches_everything(&self) -> bool {
        self.hostname.matches_any_host() && self.path.is_none()
    }
}

/// Decodes a path, except `%2F`: an escaped slash does not separate segments.
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
    /// Creates an error of the zero-based rule `rule`, for programs that parse rules one by one.
    #[must_use]
    pub fn new(rule: usize, reason: IngressRuleError) -> Self {
        Self { rule, reason }
    }

    /// Returns the zero-based number of the wrong rule.
    #[must_use]
    pub fn rule(&self) -> usize {
        self.rule
    }

    /// Returns the cause.
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
