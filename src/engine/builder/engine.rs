//! An engine of settings, on what it is founded on.

use std::sync::Arc;
use std::time::Duration;

use crate::application::{Application, CanonicalHost, Directory, PublicOrigins, TeamDomain};
use crate::login::mail::{Mail, MailError, MailFuture, Mailer};
use crate::login::metadata::SignedMetadata;
use crate::login::{CommandLine, Evaluations, Login};
use crate::policy::{Definitions, Rule, rules_that_keep_out};
use crate::service_token::{LiveServiceTokens, ServiceTokens};
use crate::suggest::closest;

use super::super::issuing::Issuing;
use super::super::linked::Links;
use super::super::{ConfigError, Engine, EngineId, Role, evaluators_named};
use super::AccessBuilder;
use super::build::Foundation;

impl AccessBuilder {
    /// An engine with these settings that goes on with the state of another.
    pub(in crate::engine) fn successor(
        self,
        previous: &Engine,
    ) -> Result<Arc<Engine>, ConfigError> {
        let Role::Issuing(issuing) = &previous.role else {
            return Err(ConfigError::new(
                "tokens are verified for an issuer, and are to be issued here: start anew for that",
            ));
        };
        self.check_login_methods()?;
        let login = &issuing.login;
        let foundation = Foundation {
            store: Arc::clone(&login.store),
            sessions: login.sessions.clone(),
            issuer: Arc::clone(&login.issuer),
            keys: Arc::clone(&login.keys),
            mail_delivery: Arc::clone(&login.mail_delivery),
            earlier_tokens: Some(Arc::clone(&previous.service_tokens)),
            lasting: Arc::clone(&previous.lasting),
        };
        self.engine(foundation)
    }

    pub(super) fn engine(self, foundation: Foundation) -> Result<Arc<Engine>, ConfigError> {
        let Foundation {
            store,
            sessions,
            issuer: signer,
            keys,
            mail_delivery,
            earlier_tokens,
            lasting,
        } = foundation;
        self.carriers.check().map_err(ConfigError::new)?;
        if let Some(team) = self.team_domain.as_ref().filter(|team| !team.is_host_alone()) {
            return Err(ConfigError::new(format!(
                "team domain `{team}`: write the host alone; `public_addresses` says under which port \
                 it is reached"
            )));
        }
        let definitions = match self.definitions {
            Some(definitions) => definitions,
            None => Definitions::new(self.groups, self.lists).map_err(ConfigError::new)?,
        };
        let login_methods = self.login_methods.ids();
        check_excluded_login_methods(&self.applications, &definitions, &login_methods)?;
        let evaluators = evaluators_named(&self.applications, &definitions);
        let directory =
            Directory::new(self.applications, &definitions).map_err(ConfigError::new)?;
        let links = Links::new(&directory).map_err(ConfigError::new)?;
        if let Some(host) =
            self.transfer_host.as_ref().filter(|it| directory.knows_host(it.as_str()))
        {
            return Err(ConfigError::new(format!(
                "`transfer_host`: `{host}` is the host of an application, which would lose its paths \
                 below `/transfer/`; use a host of its own"
            )));
        }
        let team = self.team_domain.as_ref().map(TeamDomain::host);
        let others: Vec<&CanonicalHost> = team.into_iter().chain(&self.transfer_host).collect();
        self.public_addresses
            .check(directory.destinations(), &others)
            .map_err(|error| ConfigError::new(format!("public addresses: {error}")))?;
        let public_origins =
            Arc::new(PublicOrigins::new(self.public_addresses, self.localhost_port));
        let mailer = match self.mailer {
            Some(mailer) => mailer,
            None if directory.has_login() => {
                return Err(ConfigError::new(
                    "people are to log in, but nothing delivers their codes: set `mailer` \
                     (`ConsoleMailer` prints them, for development)",
                ));
            }
            None => Arc::new(NoMailer),
        };
        let directory = Arc::new(directory);
        let in_file = ServiceTokens::new(self.service_tokens).map_err(ConfigError::new)?;
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
        let sources = Arc::new(self.sources);
        let evaluations = Evaluations::new(
            evaluators,
            self.external_evaluation,
            (sessions.clone(), Arc::clone(&signer)),
            &lasting.clock,
            &lasting.random,
        )
        .map_err(ConfigError::new)?;
        let login = Login {
            sources: Arc::clone(&sources),
            directory: Arc::clone(&directory),
            origins: Arc::clone(&public_origins),
            team_domain: self.team_domain,
            issuer: signer,
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
        Ok(Arc::new_cyclic(|me| Engine {
            id: EngineId::next(),
            me: me.clone(),
            directory,
            role: Role::Issuing(Box::new(Issuing::new(login, links, self.key_rotation))),
            service_tokens,
            clock: Arc::clone(&lasting.clock),
            random: Arc::clone(&lasting.random),
            lasting,
            public_origins,
            trusted_proxies: self.trusted_proxies,
            sources,
            peer: self.peer,
            carriers: self.carriers,
            // Our own tokens, our own clock.
            leeway: Duration::ZERO,
        }))
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
