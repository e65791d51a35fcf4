//! A configuration, ready to be examined.

use std::path::Path;

use crate::application::Applications;
use crate::clock::Timestamp;
use crate::config::{Config, ConfigErrors, Role};
use crate::engine::explain::{KnownLogins, Question, RequestExplainer, RequestExplanation};
use crate::identity::Attributes;
use crate::service_token::ServiceTokens;

/// A configuration, compiled as for a running proxy.
///
/// ```
/// use tower_access::clock::Timestamp;
/// use tower_access::explain::Question;
/// use tower_access::inspect::Deployment;
/// use tower_access::policy::Outcome;
///
/// let deployment = Deployment::parse(
///     "
/// access:
///   mail: console
///   applications:
///     - name: Wiki
///       domain: wiki.example.com
///       policies:
///         - { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] }
/// ",
///     "access.yml",
/// )?;
/// let question = Question::new("https://wiki.example.com/").with_email("ada@example.com".parse()?);
/// let explained = deployment.explain(&question, Timestamp::from_unix_seconds(1_790_000_000));
/// assert_eq!(explained.outcome, Outcome::Allowed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Deployment {
    file: String,
    config: Config,
    directory: Applications,
    service_tokens: ServiceTokens,
    usual_login: Option<Attributes>,
    /// The attributes of users who log in by one-time PIN, beside other login methods.
    one_time_pin: Option<Attributes>,
}

impl Deployment {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// Returns all errors of the file; see [`Config::load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        let name = path.as_ref().display().to_string();
        Self::new(Config::load(path)?, &name)
    }

    /// Reads the text of a file. `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// Returns all errors of the text.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigErrors> {
        Self::new(Config::parse(text, file)?, file)
    }

    pub(super) fn new(config: Config, file: &str) -> Result<Self, ConfigErrors> {
        let access = &config.access;
        let of_file = |error: &dyn std::error::Error| {
            ConfigErrors::for_file(file, config.redact(&error.to_string()))
        };
        let directory = Applications::new(access.applications.clone(), &access.definitions)
            .map_err(|error| of_file(&error))?;
        let service_tokens =
            ServiceTokens::new(access.service_tokens.clone()).map_err(|error| of_file(&error))?;
        let usual_login = access.role.usual_login();
        let one_time_pin = access.role.one_time_pin_beside_others();
        Ok(Self {
            file: file.to_owned(),
            config,
            directory,
            service_tokens,
            usual_login,
            one_time_pin,
        })
    }

    /// Returns the file's name.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Explains how a request would be decided.
    #[must_use]
    pub fn explain(&self, question: &Question, now: Timestamp) -> RequestExplanation {
        let Self { directory, service_tokens, .. } = self;
        let login_methods = self.config.access.role.login_methods();
        RequestExplainer {
            applications: directory,
            service_tokens,
            knows_service_tokens: self.knows_service_tokens(),
            falls_back_from_service_tokens: !self.config.access.strict_service_token_auth,
            logins: self.known_logins(),
            login_methods: login_methods.as_deref(),
            now,
        }
        .explain(question)
    }

    /// Whether the file has all service tokens.
    pub(super) fn knows_service_tokens(&self) -> bool {
        let access = &self.config.access;
        matches!(access.role, Role::Issuing { .. }) && !access.stored_service_tokens
    }

    pub(super) fn into_config(self) -> Config {
        self.config
    }

    pub(super) fn directory(&self) -> &Applications {
        &self.directory
    }

    pub(super) fn service_tokens(&self) -> &ServiceTokens {
        &self.service_tokens
    }

    /// Returns what is known of users by their login method alone.
    pub(super) fn known_logins(&self) -> KnownLogins<'_> {
        KnownLogins { usual: self.usual_login(), one_time_pin: self.one_time_pin.as_ref() }
    }

    /// Returns the attributes of a user after the usual login.
    pub(super) fn usual_login(&self) -> Option<&Attributes> {
        self.usual_login.as_ref()
    }
}
