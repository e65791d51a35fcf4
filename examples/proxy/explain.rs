//! `proxy explain`: explains the decision about a request.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tower_access::address::Country;
use tower_access::clock::{Clock, SystemClock};
use tower_access::explain::{Question, Rfc3339Time, SimulatedCertificate};
use tower_access::identity::{Email, RiskLevel};
use tower_access::inspect::Deployment;

use crate::format::{Format, print, unusable};

/// A request to explain. Facts that are left out are unknown.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration.
    file: PathBuf,
    /// The URL of the request, such as https://wiki.example.com/docs.
    #[arg(long, value_parser = url_with_host)]
    url: String,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The email address of the user who is logged in.
    #[arg(long)]
    email: Option<Email>,
    /// The service token of the request, by id, name or client id.
    #[arg(long, value_name = "ID", conflicts_with = "email")]
    service_token: Option<String>,
    /// The application whose token is presented.
    #[arg(long, value_name = "ID", conflicts_with_all = ["email", "service_token"])]
    linked_application: Option<String>,
    /// The id of the login method. Default: the one-time PIN, if there is no other.
    #[arg(long, value_name = "ID")]
    login_method: Option<String>,
    /// The type of the login method, such as oidc or cloudflare.
    #[arg(long, value_name = "TYPE")]
    login_type: Option<String>,
    /// A group at the identity provider, by id, name or email address (repeatable).
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The user is in no group.
    #[arg(long, conflicts_with = "groups")]
    no_groups: bool,
    /// A claim of the identity provider (repeatable).
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = pair)]
    claims: Vec<(String, String)>,
    /// The user has no claims.
    #[arg(long, conflicts_with = "claims")]
    no_claims: bool,
    /// An authentication method (amr), such as mfa (repeatable).
    #[arg(long = "auth-method", value_name = "METHOD")]
    auth_methods: Vec<String>,
    /// The login has no authentication methods (amr).
    #[arg(long, conflicts_with = "auth_methods")]
    no_auth_methods: bool,
    /// An authentication context that was satisfied (repeatable).
    #[arg(long = "auth-context", value_name = "CONTEXT")]
    auth_contexts: Vec<String>,
    /// No authentication context was satisfied.
    #[arg(long, conflicts_with = "auth_contexts")]
    no_auth_contexts: bool,
    /// A GitHub organization, or a team in it: acme, acme/ops (repeatable).
    #[arg(long = "organization", value_name = "NAME[/TEAM]")]
    organizations: Vec<String>,
    /// The user is in no GitHub organization.
    #[arg(long, conflicts_with = "organizations")]
    no_organizations: bool,
    /// A Cloudflare account of the user (repeatable).
    #[arg(long = "account", value_name = "ID")]
    accounts: Vec<String>,
    /// The user has no Cloudflare account.
    #[arg(long, conflicts_with = "accounts")]
    no_accounts: bool,
    /// The user's risk level: low, medium, high or unscored.
    #[arg(long, value_parser = risk)]
    risk: Option<RiskLevel>,
    /// The answer of an external evaluator: its URL, =true or =false (repeatable).
    #[arg(long = "evaluation", value_name = "URL=ANSWER", value_parser = evaluation)]
    evaluations: Vec<(String, bool)>,
    /// The client's address.
    #[arg(long)]
    ip: Option<IpAddr>,
    /// The country of that address, such as FR.
    #[arg(long)]
    country: Option<Country>,
    /// The common name of the client certificate.
    #[arg(long, value_name = "NAME")]
    certificate_cn: Option<String>,
    /// The client has no certificate.
    #[arg(long, conflicts_with = "certificate_cn")]
    no_certificate: bool,
    /// The id of a check that the client's device has passed (repeatable).
    #[arg(long = "passed-check", value_name = "ID")]
    passed_checks: Vec<String>,
    /// The client's device has passed no check.
    #[arg(long, conflicts_with = "passed_checks")]
    no_passed_checks: bool,
    /// The time, such as 2027-01-31T00:00:00Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Rfc3339Time>,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the explanation.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let format = arguments.format;
    match Deployment::load(&arguments.file) {
        Ok(deployment) => {
            let explained = deployment.explain(&arguments.question(), SystemClock.now());
            print(format, &explained);
            ExitCode::SUCCESS
        }
        Err(errors) => unusable(&errors),
    }
}

impl Arguments {
    fn question(self) -> Question {
        let mut question = Question::new(self.url);
        let request = &mut question.request;
        request.method = Some(self.method);
        request.ip = self.ip;
        request.country = self.country;
        request.certificate = match self.certificate_cn {
            Some(name) => Some(SimulatedCertificate::CommonName(name.into())),
            None if self.no_certificate => Some(SimulatedCertificate::None),
            None => None,
        };
        request.device_posture = list(self.passed_checks, self.no_passed_checks);
        let identity = &mut question.identity;
        identity.email = self.email;
        identity.service_token = self.service_token.map(Into::into);
        identity.linked_application = self.linked_application.map(Into::into);
        identity.login_method = self.login_method.map(Into::into);
        identity.login_type = self.login_type.map(Into::into);
        identity.groups = list(self.groups, self.no_groups);
        identity.auth_methods = list(self.auth_methods, self.no_auth_methods);
        identity.auth_contexts = list(self.auth_contexts, self.no_auth_contexts);
        identity.organizations = list(self.organizations, self.no_organizations);
        identity.accounts = list(self.accounts, self.no_accounts);
        if !self.claims.is_empty() || self.no_claims {
            let mut claims: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
            for (name, value) in self.claims {
                claims.entry(name.into()).or_default().push(value.into());
            }
            identity.claims = Some(claims);
        }
        identity.risk = self.risk;
        identity.evaluations =
            self.evaluations.into_iter().map(|(url, success)| (url.into(), success)).collect();
        question.at = self.at;
        question
    }
}

/// Returns the values; `None`, which means unknown, without any.
fn list(values: Vec<String>, none: bool) -> Option<Vec<Box<str>>> {
    (none || !values.is_empty()).then(|| values.into_iter().map(Into::into).collect())
}

/// Refuses a URL without a host, which no client can request.
fn url_with_host(text: &str) -> Result<String, String> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    if rest.is_empty() || rest.starts_with(['/', '?', '#']) {
        return Err("the host is missing; write https://wiki.example.com/docs".to_owned());
    }
    Ok(text.to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn evaluation(text: &str) -> Result<(String, bool), String> {
    match text.rsplit_once('=') {
        Some((url, "true")) => Ok((url.to_owned(), true)),
        Some((url, "false")) => Ok((url.to_owned(), false)),
        _ => Err("write URL=true or URL=false".to_owned()),
    }
}

fn risk(text: &str) -> Result<RiskLevel, String> {
    let known = RiskLevel::ALL.into_iter().find(|level| level.as_str() == text);
    known.ok_or_else(|| "write low, medium, high or unscored".to_owned())
}
