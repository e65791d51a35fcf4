//! Builds an engine that verifies from the settings.

use std::sync::Arc;

use crate::application::{Application, Applications};
use crate::facts::GetIdentity;
use crate::policy::{Definitions, Policy, Rule, linked_names};
use crate::service_token::LiveServiceTokens;
use crate::session::Revocations;
use crate::token::keys::KeySource;
use crate::util::changes::Changes;
use crate::util::trusted_url;

use super::super::evaluators::check_evaluators;
use super::super::role::{Role, Verifying};
use super::super::shared_state::SharedState;
use super::super::{Access, ConfigError, Engine};
use super::VerifierBuilder;

impl VerifierBuilder {
    /// Builds the engine.
    ///
    /// # Errors
    ///
    /// If neither an audience nor an application is set, applications contradict each other, a policy
    /// has a `linked_app_token` rule (which only the issuer can decide), or the HTTPS client for the
    /// keys cannot be set up.
    pub fn build(self) -> Result<Access, ConfigError> {
        self.engine(None).map(Access::from_engine)
    }

    /// Builds an engine that takes over the state of another.
    pub(in crate::engine) fn successor(
        self,
        previous: &Engine,
    ) -> Result<Arc<Engine>, ConfigError> {
        let Some(verifying) = previous.role.verifying() else {
            return Err(ConfigError::new(
                "a reload cannot turn an engine that issues into one that verifies: restart the program",
            ));
        };
        self.engine(Some((previous, verifying)))
    }

    fn engine(
        mut self,
        previous: Option<(&Engine, &Verifying)>,
    ) -> Result<Arc<Engine>, ConfigError> {
        self.options.token_locations.check().map_err(ConfigError::new)?;
        check_applications(&self.options.applications)?;
        let applications = self.applications()?;
        let published_keys = self.keys.is_none().then(|| self.published_keys.clone());
        let keys = self.key_source(previous.map(|(_, verifying)| verifying))?;
        let get_identity = self.identity_source()?;
        let service_tokens = LiveServiceTokens::new(self.options.take_service_tokens()?);
        let shared_state = match previous {
            Some((engine, _)) => Arc::clone(&engine.shared_state),
            None => self.first_state(),
        };
        let role = Role::Verifying(Verifying {
            issuer: self.published_keys.team_domain.issuer().into(),
            team_domain: self.published_keys.team_domain,
            keys,
            published_keys,
            get_identity,
        });
        let parts = self.options.into_parts(applications, &[], 80)?;
        Ok(Engine::new(parts, (role, self.leeway), service_tokens, shared_state))
    }

    /// Compiles the applications, or one application for every host and path.
    fn applications(&mut self) -> Result<Applications, ConfigError> {
        let mut audiences = std::mem::take(&mut self.audiences).into_iter();
        match (audiences.next(), self.options.applications.is_empty()) {
            (Some(audience), true) => {
                let everybody = Policy::allow("any valid token").include(Rule::everyone());
                // Services do not log in: they need a policy of their own.
                let services = Policy::service_auth("any service token")
                    .include(Rule::any_valid_service_token());
                let application = Application::new("this service", "every.host.invalid")
                    .map_err(ConfigError::new)?
                    .audience(audience)
                    .policy(services)
                    .policy(everybody);
                let application = audiences.fold(application, Application::also_for_audience);
                Applications::from_single(application).map_err(ConfigError::new)
            }
            (None, false) => {
                let definitions = self.options.take_definitions()?;
                check_evaluators(&self.options.applications, &definitions)?;
                check_linked(&self.options.applications, &definitions)?;
                self.options.take_applications(&definitions)
            }
            (None, true) => {
                Err(ConfigError::new("no audience tag and no application is set: set one of them"))
            }
            (Some(_), false) => Err(ConfigError::new(
                "an audience tag and applications are both set: set only one of them",
            )),
        }
    }

    /// Returns the keys that were set, or those of the previous engine if it fetches the same keys, or a
    /// new source.
    fn key_source(
        &mut self,
        previous: Option<&Verifying>,
    ) -> Result<Arc<dyn KeySource>, ConfigError> {
        if let Some(keys) = self.keys.take() {
            return Ok(keys);
        }
        let is_same = |it: &&Verifying| it.published_keys.as_ref() == Some(&self.published_keys);
        match previous.filter(is_same) {
            Some(verifying) => Ok(Arc::clone(&verifying.keys)),
            None => self.published_keys.source(self.refresh),
        }
    }

    /// Returns the client that asks the issuer for facts about users, if it is enabled.
    fn identity_source(&self) -> Result<Option<Box<GetIdentity>>, ConfigError> {
        let Some(url) = &self.get_identity else { return Ok(None) };
        let url = trusted_url::parse(url).map_err(|error| {
            ConfigError::new(format!(
                "`get_identity`: use an https URL (http only for loopback): {error}"
            ))
        })?;
        Ok(Some(Box::new(GetIdentity::new(url).map_err(ConfigError::new)?)))
    }

    fn first_state(&self) -> Arc<SharedState> {
        let changes = Arc::<Changes>::default();
        let revocations = Arc::new(Revocations::new(Arc::clone(&changes)));
        let options = &self.options;
        let (clock, random) = (Arc::clone(&options.clock), Arc::clone(&options.random));
        let sources = (clock, random, options.has_system_random);
        SharedState::new(revocations, changes, sources, options.token_cache_bytes)
    }
}

/// Rejects settings of applications that only an issuer can apply.
fn check_applications(applications: &[Application]) -> Result<(), ConfigError> {
    if let Some(bound) = applications.iter().find(|it| it.binding_cookie) {
        return Err(ConfigError::new(format!(
            "application `{}`: `binding_cookie` is a setting of the issuer; an origin never sees the \
             cookie",
            bound.name
        )));
    }
    let chooses = |it: &&Application| !it.allowed_login_methods.is_empty();
    if let Some(application) = applications.iter().find(chooses) {
        return Err(ConfigError::new(format!(
            "application `{}`: `allowed_login_methods` is a setting of the issuer; tokens do not \
             contain the login method",
            application.name
        )));
    }
    Ok(())
}

/// Rejects `linked_app_token` rules.
fn check_linked(
    applications: &[Application],
    definitions: &Definitions,
) -> Result<(), ConfigError> {
    let asks = |it: &&Application| !linked_names(&it.policies, definitions).is_empty();
    match applications.iter().find(asks) {
        None => Ok(()),
        Some(application) => Err(ConfigError::new(format!(
            "application `{}`: move the `linked_app_token` rule to the issuer; an origin never sees \
             the token of another application",
            application.name
        ))),
    }
}
