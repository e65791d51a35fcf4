//! Errors of setting up a proxy.

use std::fmt;

use crate::config::Config;

/// Why setting up a proxy failed: something that the configuration names cannot be used.
///
/// It has no `source()`: the message includes the causes, and never values of the environment.
///
/// ```
/// use tower_access::config::Config;
/// use tower_access::proxy::ReverseProxy;
///
/// let text = "
/// ingress: [ { service: 'https://127.0.0.1:9000', originRequest: { caPool: /none.pem } } ]
/// access:
///   mail: console
///   applications: [ { name: Wiki, domain: wiki.example.com, policies: [] } ]
/// ";
/// let config = Config::parse(text, "access.yml")?;
/// let error = ReverseProxy::from_config(&config).unwrap_err();
/// assert!(error.is_ingress());
/// assert!(error.to_string().contains("/none.pem"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(thiserror::Error)]
#[error("{message}")]
pub struct ProxySetupError {
    part: Part,
    message: String,
}

/// The part of a configuration that is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Access,
    Ingress,
    Admin,
}

impl ProxySetupError {
    /// Creates an error. Removes values of the environment from the message.
    pub(super) fn new(config: &Config, part: Part, error: &dyn fmt::Display) -> Self {
        Self { part, message: config.redact(&error.to_string()).into_owned() }
    }

    /// Returns whether `access`, `state` or a file that they name cannot be used.
    #[must_use]
    pub fn is_access(&self) -> bool {
        self.part == Part::Access
    }

    /// Returns whether a rule of `ingress`, or a file that it names, cannot be used.
    #[must_use]
    pub fn is_ingress(&self) -> bool {
        self.part == Part::Ingress
    }

    /// Returns whether the token of the admin API cannot be read.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.part == Part::Admin
    }
}

/// Formats the error as `Display` does: `?` in `main` prints this.
impl fmt::Debug for ProxySetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
