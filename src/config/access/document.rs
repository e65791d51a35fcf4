//! The keys of `access`.

use std::str::FromStr;

use crate::application::{CanonicalHost, MAX_SESSION_DURATION, TeamDomain};
use crate::config::facts::Facts;
use crate::config::identity_provider::Provider;
use crate::config::mail::MailConfig;
use crate::config::one_time_pin::OneTimePin;
use crate::config::schema::{Entries, Shape, Time, document, from_text, levels, millis};
use crate::policy::{Group, List, Policy};
use crate::service_token::ServiceToken;
use crate::session::{MIN_IDLE, MIN_SESSION};

use super::external_evaluation::Evaluation;
use super::issuer::Issuer;
use super::key_rotation::Rotation;

document! {
    /// Applications, their policies, and how users prove who they are.
    pub(in crate::config) struct Access in "access" {
        /// The applications: hosts and paths under one set of policies.
        "applications" applications: Entries<levels::ApplicationEntry> {
            required: ": everything would be closed; write at least one, with name, domain and policies",
            example: "[ { name: Wiki, domain: wiki.example.com, policies: [ { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] } ] } ]",
        }
        /// Policies that applications refer to by id or name.
        "policies" policies: Entries<Policy> {
            default: "[]",
            example: "[ { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] } ]",
        }
        /// Rule groups: rules that policies refer to by id or name.
        "groups" groups: Entries<Group> {
            default: "[]",
            example: "[ { name: Staff, include: [ { email_domain: { domain: example.com } } ] } ]",
        }
        /// Lists of email addresses or networks that rules refer to by id or name.
        "lists" lists: Entries<List> {
            default: "[]",
            example: "[ { name: Offices, type: IP, items: [ { value: 192.0.2.0/24 } ] } ]",
        }
        /// Service tokens: the client ids of programs, and the hashes of their secrets.
        "service_tokens" service_tokens: Entries<ServiceToken> {
            default: "[]",
            example: "[ { name: ci, client_id: ci.access, client_secret_hash: 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' } ]",
        }
        /// The host that runs the login for all applications, without a port.
        "team_domain" team_domain: TeamDomain {
            default: "the host of each application", example: "login.example.com",
            cloudflare: "auth_domain",
        }
        /// The host from which command-line clients such as `cloudflared` fetch their tokens, in
        /// addition to the team domain.
        "transfer_host" transfer_host: TransferHost {
            default: "none", example: "login.cloudflareaccess.org",
        }
        /// Time for which a login lasts, for all applications.
        "session_duration" session_duration: SessionDuration {
            default: "24h", example: "12h", cloudflare: "session_duration",
        }
        /// Time without a request after which a session ends.
        "idle_timeout" idle_timeout: IdleTimeout {
            default: "none: sessions last for `session_duration`", example: "8h",
        }
        /// Judges a request with a service token by that token alone. `false` weakens this: a valid token
        /// is exchanged for a cookie, and an invalid one is ignored.
        "strict_service_token_auth" strict_service_token_auth: bool {
            default: "true", example: "true",
        }
        /// The identity providers by which users log in, as Cloudflare's objects. Then the one-time PIN is
        /// offered only if it is one of them, or if `one_time_pin` is written.
        "identity_providers" identity_providers: Entries<Provider> {
            default: "none: users log in by one-time PIN",
            example: "[ { name: Example Corp, type: oidc, config: { issuer_url: 'https://id.example.com', client_id: access, client_secret: '${ID_SECRET}' } } ]",
        }
        /// The login by a code that is mailed.
        "one_time_pin" one_time_pin: OneTimePin {
            default: "the defaults of its keys", example: "{ expires_in: 10m }",
        }
        /// How codes reach users: `console`, or a mail server. Required if a policy has the decision
        /// `allow` and users log in by one-time PIN.
        "mail" mail: MailConfig { default: "none", example: "console", }
        /// Rotation of the signing keys.
        "key_rotation" key_rotation: Rotation {
            default: "the defaults of its keys", example: "{ interval: 504h }",
        }
        /// Limits on questions to external evaluators.
        "external_evaluation" external_evaluation: Evaluation {
            default: "the defaults of its keys", example: "{ timeout: 3s }",
        }
        /// Where facts come from that a request does not prove itself.
        "facts" facts: Facts { default: "none", example: "{ country_header: Cf-IpCountry }", }
        /// Who issues the tokens, if this program only verifies them. Excludes the keys of a login.
        "issuer" issuer: Issuer {
            default: "this program issues tokens",
            example: "{ team_domain: acme.cloudflareaccess.com }",
        }
    }
}

type SessionDuration = Time<{ millis(MIN_SESSION) }, { millis(MAX_SESSION_DURATION) }>;
type IdleTimeout = Time<{ millis(MIN_IDLE) }, { millis(MAX_SESSION_DURATION) }>;

from_text! {
    TeamDomain: Shape::Text { form: "host name", pattern: None };
    TransferHost: Shape::Text { form: "host name", pattern: None };
}

/// A host without a port.
#[derive(Debug)]
pub(in crate::config) struct TransferHost(pub(super) CanonicalHost);

impl FromStr for TransferHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let host = text.parse::<TeamDomain>().ok().filter(TeamDomain::is_host_alone);
        host.map(|host| Self(host.host().clone())).ok_or(
            "invalid host; write the whole host name in lower case, such as \
             `login.cloudflareaccess.org`",
        )
    }
}
