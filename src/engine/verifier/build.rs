//! From the settings to an engine that verifies.

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
use super::super::lasting::Lasting;
use super::super::role::{Role, Verifying};
use super::super::{Access, ConfigError, Engine};
use super::VerifierBuilder;

impl VerifierBuilder {
    /// Builds the engine.
    ///
    /// # Errors
    ///
    /// When there is neither an audience nor an application, applications contradict each other,
    /// a policy asks for the token of another application (the issuer decides that), or no HTTPS
    /// client can be set up for the address of the keys.
    pub fn build(self) -> Result<Access, ConfigError> {
        self.engine(None).map(Access::of)
    }

    /// Builds an engine that goes on with the state of another.
    pub(in crate::engine) fn successor(
        self,
        previous: &Engine,
    ) -> Result<Arc<Engine>, ConfigError> {
        let Some(verifying) = previous.role.verifying() else {
            return Err(ConfigError::new(
                "tokens are issued here, and are to be verified for an issuer: start anew for that",
            ));
        };
        self.engine(Some((previous, verifying)))
    }

    fn engine(
        mut self,
        previous: Option<(&Engine, &Verifying)>,
    ) -> Result<Arc<Engine>, ConfigError> {
        self.options.carriers.check().map_err(ConfigError::new)?;
        check_applications(&self.options.applications)?;
        let directory = self.directory()?;
        let published_keys = self.keys.is_none().then(|| self.published_keys.clone());
        let keys = self.key_source(previous.map(|(_, verifying)| verifying))?;
        let get_identity = self.identity_source()?;
        let service_tokens = LiveServiceTokens::fixed(self.options.take_service_tokens()?);
        let lasting = match previous {
            Some((engine, _)) => Arc::clone(&engine.lasting),
            None => self.first_state(),
        };
        let role = Role::Verifying(Verifying {
            issuer: self.published_keys.team_domain.issuer().into(),
            team_domain: self.published_keys.team_domain,
            keys,
            published_keys,
            get_identity,
        });
        let parts = self.options.into_parts(directory, &[], 80)?;
        Ok(Engine::new(parts, (role, self.leeway), service_tokens, lasting))
    }

    /// The applications, or one for every host and path.
    fn directory(&mut self) -> Result<Applications, ConfigError> {
        let mut audiences = std::mem::take(&mut self.audiences).into_iter();
        match (audiences.next(), self.options.applications.is_empty()) {
            (Some(audience), true) => {
                let everybody =
                    Policy::allow("whoever brings a good token").include(Rule::everyone());
                // Services have no login: a policy of their own.
                let services = Policy::service_auth("any service token")
                    .include(Rule::any_valid_service_token());
                let application = Application::new("this service", "every.host.invalid")
                    .map_err(ConfigError::new)?
                    .audience(audience)
                    .policy(services)
                    .policy(everybody);
                let application = audiences.fold(application, Application::also_for_audience);
                Applications::of_one(application).map_err(ConfigError::new)
            }
            (None, false) => {
                let definitions = self.options.take_definitions()?;
                check_evaluators(&self.options.applications, &definitions)?;
                check_linked(&self.options.applications, &definitions)?;
                self.options.take_applications(&definitions)
            }
            (None, true) => Err(ConfigError::new(
                "nothing to verify for: name an audience tag, or applications",
            )),
            (Some(_), false) => Err(ConfigError::new(
                "an audience tag for everything and applications with their own: name one of the two",
            )),
        }
    }

    /// The keys that were set, those of an engine that fetches them from the same place, or new ones.
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

    /// The client that asks the issuer about people, where there is an address for that.
    fn identity_source(&self) -> Result<Option<Box<GetIdentity>>, ConfigError> {
        let Some(url) = &self.get_identity else { return Ok(None) };
        let url = trusted_url::parse(url).map_err(|error| {
            ConfigError::new(format!(
                "the issuer is asked about people over https (http to loopback only): {error}"
            ))
        })?;
        Ok(Some(Box::new(GetIdentity::new(url).map_err(ConfigError::new)?)))
    }

    fn first_state(&self) -> Arc<Lasting> {
        let changes = Arc::<Changes>::default();
        let revocations = Arc::new(Revocations::new(Arc::clone(&changes)));
        let options = &self.options;
        let (clock, random) = (Arc::clone(&options.clock), Arc::clone(&options.random));
        Lasting::new(revocations, changes, (clock, random), options.token_cache_bytes)
    }
}

/// Rejects settings of applications that only an issuer can keep to.
fn check_applications(applications: &[Application]) -> Result<(), ConfigError> {
    if let Some(bound) = applications.iter().find(|it| it.binding_cookie) {
        return Err(ConfigError::new(format!(
            "application `{}`: a binding cookie is asked for where tokens are issued; an origin \
             never sees it",
            bound.name
        )));
    }
    let chooses = |it: &&Application| !it.allowed_login_methods.is_empty();
    if let Some(application) = applications.iter().find(chooses) {
        return Err(ConfigError::new(format!(
            "application `{}`: tokens do not say by which method somebody has logged in; the issuer \
             chooses among its login methods",
            application.name
        )));
    }
    Ok(())
}

/// Rejects rules about tokens of other applications.
fn check_linked(
    applications: &[Application],
    definitions: &Definitions,
) -> Result<(), ConfigError> {
    let asks = |it: &&Application| !linked_names(&it.policies, definitions).is_empty();
    match applications.iter().find(asks) {
        None => Ok(()),
        Some(application) => Err(ConfigError::new(format!(
            "application `{}`: a rule asks for the token of another application; the issuer decides \
             that, and an origin never sees such a token",
            application.name
        ))),
    }
}
