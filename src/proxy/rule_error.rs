//! Errors of ingress rules.

use super::BoxError;

/// An error in an ingress rule.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum IngressRuleError {
    /// The table has no rules.
    #[error(
        "there are no ingress rules: write `ingress: [ {{ service: http://127.0.0.1:9000 }} ]`"
    )]
    NoRules,
    /// The last rule does not match every request.
    #[error("the last rule must match all URLs: it can have neither hostname nor path")]
    LastMustMatchEverything,
    /// Rules after this one can never be reached.
    #[error("the rule matches every hostname and path, so the rules after it never trigger")]
    ShadowsTheRest,
    /// A `*` that is not the whole first label.
    #[error("a hostname has at most one wildcard, for subdomains, at its beginning: *.example.com")]
    WildcardPosition,
    /// A port in the hostname.
    #[error("a hostname cannot contain a port")]
    PortInHostname,
    /// A text that is not a canonical host.
    #[error("the hostname is invalid: write `wiki.example.com` or `*.example.com`")]
    InvalidHostname,
    /// A path that is not a valid regular expression, or is too large.
    #[error("the path is an invalid regular expression: {0}")]
    InvalidPath(#[source] BoxError),
    /// A service without scheme or host.
    #[error("the service is an invalid address, it needs a scheme and a hostname")]
    InvalidAddress,
    /// A service with a path.
    #[error("the service has a path, and proxying to another path is not supported")]
    PathInService,
    /// A status that is not a number from 100 to 999.
    #[error("the service has an invalid HTTP status code")]
    InvalidStatus,
    /// A status that is not final.
    #[error("a status from 100 to 199 cannot be a final response: write 200 or above")]
    InformationalStatus,
    /// An unsupported kind of service.
    #[error("the service kind `{0}` is not supported by this proxy")]
    UnsupportedService(String),
}
