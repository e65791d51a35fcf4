//! Builds an engine that issues from the settings and its state.

use std::sync::Arc;
use std::time::Duration;

use crate::application::{Application, Applications, CanonicalHost, TeamDomain};
use crate::login::mail::{Mail, MailError, MailFuture, Mailer};
use crate::login::metadata::SignedMetadata;
use crate::login::{
    CommandLine, Evaluations, Login, MethodContext, Refreshes, meant_methods, unknown_method,
};
use crate::policy::{Definitions, Rule, restrictive_rules};
use crate::service_token::LiveServiceTokens;

use super::super::evaluators::evaluators_named;
use super::super::linked_applications::LinkedApplications;
use super::super::role::{Issuing, Role};
use super::super::{ConfigError, Engine};
use super::AccessBuilder;
use super::build::EngineState;

impl AccessBuilder {
    /// Builds an engine that takes over the state of another.
    pub(in crate::engine) fn successor(
        self,
        previous: &Engine,
    ) -> Result<Arc<Engine>, ConfigError> {
        let Some(login) = previous.login() else {
            return Err(ConfigError::new(
                "a reload cannot turn an engine that verifies into one that issues: restart the program",
            ));
        };
        self.check_login_methods()?;
        let state = EngineState {
            store: Arc::clone(&login.store),
            sessions: login.sessions.clone(),
            issuer: Arc::clone(&login.issuer),
            keys: Arc::clone(&login.keys),
            mail_delivery: Arc::clone(&login.mail_delivery),
            earlier_tokens: Some(Arc::clone(&previous.service_tokens)),
            shared_state: Arc::clone(&previous.shared_state),
        };
        self.engine(state)
    }

    pub(super) fn engine(mut self, state: EngineState) -> Result<Arc<Engine>, ConfigError> {
        let EngineState {
            store,
            sessions,
            issuer,
            keys,
            mail_delivery,
            earlier_tokens,
            shared_state,
        } = state;
        self.options.token_locations.check().map_err(ConfigError::new)?;
        if let Some(team) = self.team_domain.as_ref().filter(|team| !team.is_host_alone()) {
            return Err(ConfigError::new(format!(
                "team domain `{team}`: write only the host; set the port with `public_addresses`"
            )));
        }
        let definitions = self.options.take_definitions()?;
        let applications = &self.options.applications;
        let login_methods = self.login_methods.ids();
        check_excluded_login_methods(applications, &definitions, &login_methods)?;
        let evaluators = evaluators_named(applications, &definitions);
        let applications = self.options.take_applications(&definitions)?;
        let linked_applications =
            LinkedApplications::new(&applications).map_err(ConfigError::new)?;
        self.check_transfer_host(&applications)?;
        let mailer = self.take_mailer(&applications)?;
        let in_file = self.options.take_service_tokens()?;
        let team = self.team_domain.as_ref().map(TeamDomain::host);
        let other_hosts: Vec<&CanonicalHost> =
            team.into_iter().chain(&self.transfer_host).collect();
        let parts = self.options.into_parts(applications, &other_hosts, self.localhost_port)?;
        if let Some(earlier) = &earlier_tokens {
            earlier
                .check_replacement(&in_file, shared_state.clock.now())
                .map_err(ConfigError::new)?;
        }
        let service_tokens = LiveServiceTokens::with_store(
            in_file,
            self.strict_service_token_auth,
            &store,
            (&shared_state.clock, &shared_state.random, shared_state.changes()),
            earlier_tokens.as_deref(),
        );
        let evaluations = Evaluations::new(
            evaluators,
            self.external_evaluation,
            (sessions.clone(), Arc::clone(&issuer)),
            &shared_state.clock,
            &shared_state.random,
        )
        .map_err(ConfigError::new)?;
        let context = MethodContext { clock: &shared_state.clock };
        let methods =
            self.login_methods.build(Arc::clone(&mailer), &context).map_err(ConfigError::new)?;
        let login = Login {
            sources: Arc::clone(&parts.sources),
            directory: Arc::clone(&parts.applications),
            origins: Arc::clone(&parts.public_origins),
            team_domain: self.team_domain,
            issuer,
            sessions,
            evaluations,
            revocations: Arc::clone(&shared_state.revocations),
            lifetimes: self.lifetimes,
            refreshes: Refreshes::new(&methods),
            methods,
            mailer,
            mail_template: Arc::new(self.mail_template),
            store,
            random: Arc::clone(&shared_state.random),
            mail_delivery,
            pages: self.pages,
            service_tokens: Arc::clone(&service_tokens),
            keys,
            metadata: SignedMetadata::default(),
            command_line: CommandLine::new(self.transfer_host),
        };
        let role =
            Role::Issuing(Box::new(Issuing::new(login, linked_applications, self.key_rotation)));
        // Its own tokens, by its own clock: no leeway.
        Ok(Engine::new(parts, (role, Duration::ZERO), service_tokens, shared_state))
    }

    /// Rejects a transfer host that an application has.
    fn check_transfer_host(&self, applications: &Applications) -> Result<(), ConfigError> {
        match self.transfer_host.as_ref().filter(|it| applications.has_host(it.as_str())) {
            None => Ok(()),
            Some(host) => Err(ConfigError::new(format!(
                "`transfer_host`: `{host}` is the host of an application, whose paths below \
                 `/transfer/` would be unreachable; use another host"
            ))),
        }
    }

    /// Returns the mailer. It is optional if no policy lets users log in by one-time PIN.
    fn take_mailer(&mut self, applications: &Applications) -> Result<Arc<dyn Mailer>, ConfigError> {
        match self.mailer.take() {
            Some(mailer) => Ok(mailer),
            None if applications.has_login() && self.login_methods.one_time_pin.is_some() => {
                Err(ConfigError::new(
                    "policies let users log in, but no mailer delivers their codes: set `mailer` \
                     (`ConsoleMailer` prints them, for development), or remove the one-time PIN with \
                     `without_one_time_pin`",
                ))
            }
            None => Ok(Arc::new(NoMailer)),
        }
    }
}

/// Rejects misspelt login methods in rules that exclude their users: they would exclude nobody. Other
/// unknown methods may come from shared policies, and nobody logs in by them here.
fn check_excluded_login_methods(
    applications: &[Application],
    definitions: &Definitions,
    known: &[&str],
) -> Result<(), ConfigError> {
    let meant = |rule: &Rule| unknown_method(rule, known).map(|id| meant_methods(id, known));
    let is_misspelt = |rule: &Rule| meant(rule).is_some_and(|meant| !meant.is_empty());
    let policies = applications.iter().flat_map(|application| &application.policies);
    match restrictive_rules(policies, definitions, is_misspelt).first() {
        None => Ok(()),
        Some(found) => Err(ConfigError::new(format!(
            "the rule `{}` excludes nobody: unknown login method; did you mean `{}`?",
            found.rule,
            meant(found.rule).unwrap_or_default().join("` or `")
        ))),
    }
}

/// The mailer of an engine where no policy lets users log in.
#[derive(Debug)]
struct NoMailer;

impl Mailer for NoMailer {
    fn deliver(&self, _: Mail) -> MailFuture<'_> {
        Box::pin(async { Err(MailError::new("no mailer is set")) })
    }
}
