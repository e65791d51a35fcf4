//! The summary of a file: the listener, the applications, what is open and what is closed.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::application::Application;
use crate::clock::GoDuration;
use crate::config::{Config, Role};
use crate::session::Lifetimes;

/// The summary of a file. In JSON the fields have the same names.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ConfigSummary {
    /// Where the proxy listens.
    pub listen: String,
    /// Who issues tokens: `here`, or the issuer.
    pub issuer: String,
    /// The host of the login; `None` if each application's own host runs it, or the issuer.
    pub login: Option<String>,
    /// The idle time after which a session ends; `None` if it has no idle limit.
    pub idle_timeout: Option<String>,
    /// The applications, in the order of the file.
    pub applications: Vec<ApplicationSummary>,
    /// The destinations that are open without a credential.
    pub public: Vec<PublicDestination>,
    /// Hostnames under `ingress` that no application covers.
    pub closed: Vec<String>,
    /// How many rules `ingress` has; without any the file is for a program that serves requests
    /// itself, and not for the proxy.
    pub ingress_rules: usize,
}

/// An application.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApplicationSummary {
    /// Its name.
    pub name: String,
    /// Its hosts and paths.
    pub destinations: Vec<String>,
    /// How long its tokens live.
    pub session_duration: String,
    /// Its policies, in the order of the file.
    pub policies: Vec<PolicySummary>,
}

/// A policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PolicySummary {
    /// Its name.
    pub name: String,
    /// Its decision.
    pub decision: String,
    /// The number of rules under `include`.
    pub include: usize,
    /// The number of rules under `require`.
    pub require: usize,
    /// The number of rules under `exclude`.
    pub exclude: usize,
}

/// A host and path that are open without a credential.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PublicDestination {
    /// The host and path.
    pub destination: String,
    /// The policy that opens it.
    pub policy: String,
    /// Whether everyone may pass; otherwise only who meets the policy's rules.
    pub to_everyone: bool,
    /// The selectors of the policy.
    pub selectors: Vec<&'static str>,
    #[serde(skip)]
    text: String,
}

impl ConfigSummary {
    pub(super) fn new(config: &Config) -> Self {
        let (issuer, login) = match &config.access.role {
            Role::Issuing { team_domain, .. } => {
                ("here".to_owned(), team_domain.as_ref().map(ToString::to_string))
            }
            Role::Verifying { team_domain, .. } => (team_domain.issuer(), None),
        };
        let public = config.public_destinations().into_iter().map(|one| PublicDestination {
            text: one.to_string(),
            destination: one.destination,
            policy: one.policy,
            to_everyone: one.to_everyone,
            selectors: one.selectors,
        });
        let applications = config.access.applications.iter().map(|one| ApplicationSummary {
            name: one.name().to_owned(),
            destinations: one.destinations().iter().map(ToString::to_string).collect(),
            session_duration: token_lifetime(config, one),
            policies: one
                .policies
                .iter()
                .map(|policy| PolicySummary {
                    name: policy.name.to_string(),
                    decision: policy.decision.to_string(),
                    include: policy.conditions.include.len(),
                    require: policy.conditions.require.len(),
                    exclude: policy.conditions.exclude.len(),
                })
                .collect(),
        });
        Self {
            listen: config.listen.to_string(),
            issuer,
            login,
            idle_timeout: config.access.idle_timeout.map(|it| GoDuration::from(it).to_string()),
            applications: applications.collect(),
            public: public.collect(),
            closed: config.uncovered_hostnames().into_iter().map(str::to_owned).collect(),
            ingress_rules: config.ingress.len(),
        }
    }
}

/// Returns the lifetime of an application's tokens unless a policy sets another.
fn token_lifetime(config: &Config, application: &Application) -> String {
    let global = Lifetimes { session: config.access.session_duration, ..Lifetimes::default() };
    let lifetime = global.token_lifetime(None, application.session_duration);
    let shown = if lifetime.expires_immediately() { Duration::ZERO } else { lifetime.get() };
    GoDuration::from(shown).to_string()
}

impl fmt::Display for ConfigSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "listens on {}", self.listen)?;
        match (&*self.issuer, &self.login) {
            ("here", Some(login)) => writeln!(f, "login at {login}")?,
            ("here", None) => writeln!(f, "login at each application's own host")?,
            (issuer, _) => writeln!(f, "tokens are issued by {issuer}")?,
        }
        if let Some(idle) = &self.idle_timeout {
            writeln!(f, "sessions end after {idle} without a request")?;
        }
        if self.ingress_rules == 0 {
            writeln!(
                f,
                "no `ingress`: for a program that serves requests itself, not for the proxy"
            )?;
        }
        writeln!(f, "\napplications:")?;
        for application in &self.applications {
            let ApplicationSummary { name, destinations, session_duration, policies } = application;
            let (name, domains) = (name.escape_debug(), destinations.join(", "));
            writeln!(f, "  {name}: {domains} (session {session_duration})")?;
            for policy in policies {
                writeln!(f, "    {policy}")?;
            }
            if policies.is_empty() {
                writeln!(f, "    no policy: nobody is allowed")?;
            }
        }
        let public: Vec<&str> = self.public.iter().map(|one| one.text.as_str()).collect();
        write_list(f, "open without login", &public)?;
        write_list(f, "closed, because no application covers them", &self.closed)
    }
}

impl fmt::Display for PolicySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<String> =
            [("include", self.include), ("require", self.require), ("exclude", self.exclude)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(list, count)| format!("{list} {count}"))
                .collect();
        let name = self.name.escape_debug();
        write!(f, "{} `{name}` ({})", self.decision, counts.join(", "))
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[impl fmt::Display]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}
