//! From the settings to an engine that issues, on the state it works with.

use std::sync::Arc;
use std::time::Duration;

use crate::application::{Application, Applications, CanonicalHost, TeamDomain};
use crate::login::mail::{Mail, MailError, MailFuture, Mailer};
use crate::login::metadata::SignedMetadata;
use crate::login::{CommandLine, Evaluations, Login};
use crate::policy::{Definitions, Rule, rules_that_keep_out};
use crate::service_token::LiveServiceTokens;
use crate::util::suggest::closest;

use super::super::evaluators::evaluators_named;
use super::super::linked_applications::LinkedApplications;
use super::super::role::{Issuing, Role};
use super::super::{ConfigError, Engine};
use super::AccessBuilder;
use super::build::EngineState;

impl AccessBuilder {
    /// Builds an engine that goes on with the state of another.
    pub(in crate::engine) fn successor(
        self,
        previous: &Engine,
    ) -> Result<Arc<Engine>, ConfigError> {
        let Some(login) = previous.login() else {
            return Err(ConfigError::new(
                "tokens are verified for an issuer, and are to be issued here: start anew for that",
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
            lasting: Arc::clone(&previous.lasting),
        };
        self.engine(state)
    }

    pub(super) fn engine(mut self, state: EngineState) -> Result<Arc<Engine>, ConfigError> {
        let EngineState { store, sessions, issuer, keys, mail_delivery, earlier_tokens, lasting } =
            state;
        self.options.carriers.check().map_err(ConfigError::new)?;
        if let Some(team) = self.team_domain.as_ref().filter(|team| !team.is_host_alone()) {
            return Err(ConfigError::new(format!(
                "team domain `{team}`: write the host alone; `public_addresses` says under which port \
                 it is reached"
            )));
        }
        let definitions = self.options.take_definitions()?;
        let applications = &self.options.applications;
        let login_methods = self.login_methods.ids();
        check_excluded_login_methods(applications, &definitions, &login_methods)?;
        let evaluators = evaluators_named(applications, &definitions);
        let directory = self.options.take_applications(&definitions)?;
        let linked_applications = LinkedApplications::new(&directory).map_err(ConfigError::new)?;
        self.check_transfer_host(&directory)?;
        let mailer = self.take_mailer(&directory)?;
        let in_file = self.options.take_service_tokens()?;
        let team = self.team_domain.as_ref().map(TeamDomain::host);
        let other_hosts: Vec<&CanonicalHost> =
            team.into_iter().chain(&self.transfer_host).collect();
        let parts = self.options.into_parts(directory, &other_hosts, self.localhost_port)?;
        if let Some(earlier) = &earlier_tokens {
            earlier.check_next(&in_file, lasting.clock.now()).map_err(ConfigError::new)?;
        }
        let service_tokens = LiveServiceTokens::followed(
            in_file,
            self.strict_service_token_auth,
            &store,
            (&lasting.clock, &lasting.random, lasting.changes()),
            earlier_tokens.as_deref(),
        );
        let evaluations = Evaluations::new(
            evaluators,
            self.external_evaluation,
            (sessions.clone(), Arc::clone(&issuer)),
            &lasting.clock,
            &lasting.random,
        )
        .map_err(ConfigError::new)?;
        let login = Login {
            sources: Arc::clone(&parts.sources),
            directory: Arc::clone(&parts.directory),
            origins: Arc::clone(&parts.public_origins),
            team_domain: self.team_domain,
            issuer,
            sessions,
            evaluations,
            revocations: Arc::clone(&lasting.revocations),
            lifetimes: self.lifetimes,
            methods: self.login_methods.build(mailer),
            store,
            random: Arc::clone(&lasting.random),
            mail_delivery,
            pages: self.pages,
            service_tokens: Arc::clone(&service_tokens),
            keys,
            metadata: SignedMetadata::default(),
            command_line: CommandLine::new(self.transfer_host),
        };
        let role =
            Role::Issuing(Box::new(Issuing::new(login, linked_applications, self.key_rotation)));
        // Our own tokens, our own clock.
        Ok(Engine::new(parts, (role, Duration::ZERO), service_tokens, lasting))
    }

    /// Rejects a transfer host whose paths an application would lose.
    fn check_transfer_host(&self, directory: &Applications) -> Result<(), ConfigError> {
        match self.transfer_host.as_ref().filter(|it| directory.knows_host(it.as_str())) {
            None => Ok(()),
            Some(host) => Err(ConfigError::new(format!(
                "`transfer_host`: `{host}` is the host of an application, which would lose its paths \
                 below `/transfer/`; use a host of its own"
            ))),
        }
    }

    /// The mailer that is set, which may be none where nobody logs in.
    fn take_mailer(&mut self, directory: &Applications) -> Result<Arc<dyn Mailer>, ConfigError> {
        match self.mailer.take() {
            Some(mailer) => Ok(mailer),
            None if directory.has_login() => Err(ConfigError::new(
                "people are to log in, but nothing delivers their codes: set `mailer` \
                 (`ConsoleMailer` prints them, for development)",
            )),
            None => Ok(Arc::new(NoMailer)),
        }
    }
}

/// A misspelt login method would keep out nobody. Others belong to policies from elsewhere: nobody
/// comes in by them here.
fn check_excluded_login_methods(
    applications: &[Application],
    definitions: &Definitions,
    known: &[&str],
) -> Result<(), ConfigError> {
    let meant = |id: &str| closest(id, known.iter().copied().chain(["onetimepin"]));
    let is_misspelt = |rule: &Rule| match rule {
        Rule::LoginMethod(id) => !known.contains(&&**id) && meant(id).is_some(),
        _ => false,
    };
    let policies = applications.iter().flat_map(|application| &application.policies);
    match rules_that_keep_out(policies, definitions, is_misspelt).first() {
        None => Ok(()),
        Some(found) => Err(ConfigError::new(format!(
            "the rule `{}` keeps nobody out: the login method does not exist; did you mean `{}`?",
            found.rule,
            known.join("` or `")
        ))),
    }
}

/// Where nobody logs in, nothing is mailed.
#[derive(Debug)]
struct NoMailer;

impl Mailer for NoMailer {
    fn deliver(&self, _: Mail) -> MailFuture<'_> {
        Box::pin(async { Err(MailError::new("no mailer is set")) })
    }
}
