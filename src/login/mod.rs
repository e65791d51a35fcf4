//! The login: redirects users without a credential to a page, verifies their email address with a
//! one-time PIN, and returns them with a token (sections 3 and 10 of the Access contract).
//!
//! All endpoints are below `/cdn-cgi/access/`. Their requests never reach an inner service:
//!
//! | endpoint | host | module |
//! | --- | --- | --- |
//! | `login/HOST` | team domain | `sign_in` |
//! | `verify-code/HOST`, `emailed-code`, `resend-code`, `callback` | team domain | `method` |
//! | `login`, `login/HOST` without a known `kid` | both | `entry` |
//! | `authorized` | application | `finish` |
//! | `sessions` | team domain | `own_sessions` |
//! | `saml-metadata`, `ID/saml-metadata` (feature `saml`) | team domain | `method` |
//! | `logout`, `signed-out`, `get-identity`, `certs` | both | `sign_out`, `identity` |
//! | `backchannel-logout` | team domain | `back_channel` |
//! | `refresh-identity` | both | `refresh_identity` |
//! | `cli` (feature `cloudflared`) | application | `command_line` |
//! | `cli/HOST` (feature `cloudflared`) | team domain | `command_line` |
//!
//! Two more have other paths:
//!
//! | request | host | module |
//! | --- | --- | --- |
//! | any, with `cf-access-metadata-request: true` | application | `metadata` |
//! | `GET /transfer/KEY` (feature `cloudflared`), where `KEY` is 32 bytes in padded URL-safe base64 | team domain, and the transfer host where one is set | `command_line` |
//!
//! Without a team domain, each application's host takes its role in these tables.
//!
//! # What works with an unmodified cloudflared
//!
//! | `cloudflared access …` | works |
//! | --- | --- |
//! | any command with a service token (`--service-token-id`, `--service-token-secret`) | with any host names |
//! | `curl`, `tcp`, `ssh`, `rdp`, `smb` with a stored token that is still valid | with any host names |
//! | finding the application, and a new token from the team's, before 2026.8 | with any host names |
//! | the same since 2026.8 | if the team domain ends in `.cloudflareaccess.com`: the client accepts no other |
//! | `login`, and everything else that opens a browser | as above, and if `login.cloudflareaccess.org` resolves to this server: the client requests its token only there |
//! | `ssh-gen` | no: short-lived certificates are not supported |
//!
//! For the third and second row from the end, the operator must control name resolution for the
//! clients, and have certificates for these names that the clients trust. The transfer host is set with
//! `AccessBuilder::transfer_host`. Everybody else still reaches Cloudflare under its names.
//!
//! An unmodified cloudflared uses only port 443 of the team domain and the transfer host, so these rows
//! require that port ([`PublicAddresses`](crate::application::PublicAddresses)). Hosts of applications may
//! have other ports.
//!
//! The browser keeps a pending login: first in the URL, then, once mail was requested, sealed in a nonce
//! that a cookie binds to the browser. Every node with the same master secret and store can continue
//! it. This module does not depend on the proxy.
//!
//! A login returns to the path and query it began with, up to 8 KiB. No response has a head of more
//! than 4 KiB, the limit of a stock nginx for an upstream: see `long_target`. Pages of a finished login
//! redirect users who have the session: see `existing_session`.
//!
//! # What strangers can do to a login
//!
//! An attacker with many networks can guess codes, and request codes for a user's address. No limit on
//! either blocks the login: strangers cannot cause a 429 response for a user. The numbers are the
//! defaults of [`OneTimePinLimits`]; each can be set.
//!
//! | what | bound |
//! | --- | --- |
//! | chance that all guesses within any 24 hours find a single code, over all networks, addresses and applications | less than 1 in 1,000 (1 in 500 with any settings) |
//! | digits of a code | 6; 7 after 250 wrong codes within a day, 8 after 500, 9 after 2,500, one more for each fivefold; 16 at most |
//! | the link in the mail | enters the code in its fragment, as if the user typed it, in the browser that asked. Requests for its page change nothing, and tell others nothing: see `method/one_time_pin/mail_link.rs` |
//! | attempts at a code | 3; 2 at new codes while somebody guesses |
//! | a code that is too short when it is entered | is not checked; a longer one is mailed at once |
//! | mails to one address | 10 an hour for any requester; beyond that one in 5 minutes: 22 in each clock hour. In addition 5 in 15 minutes and 20 a day for each network, of at most 16, and each browser that has logged in with the address |
//! | longest wait that a stranger can cause | none after a mail has arrived: its code, at most 5 minutes old, is valid in every login of the address that begins in these minutes. After a login has used the newest code, the next one is sent at once |
//! | a browser that has logged in with the address in the last 30 days | its own 10 wrong codes an hour, at 6 digits, and its own mails |
//! | a network with more than 10 wrong codes in 10 minutes | 2 more digits for its new codes, 4 with more than 100, and so on; at most 8. No request is refused |
//! | a browser that requests more than 5 codes with an address in 15 minutes, 20 a day | 429, only for itself |
//!
//! Daily limits are counted in three windows of twelve hours, over all login hosts that share a store.
//! They exclude guesses of a browser that has logged in with the address before: whoever has stolen such
//! a browser's cookies has 240 guesses a day. A store that loses its records starts counting again, and
//! rejects all earlier codes.
//!
//! If a mail server is slow, floods over the addresses of many users can use up the 256 mails in
//! progress. Mails that are not sent are logged.
//!
//! The records that strangers can create are bounded as well:
//!
//! | records | created by | bounded by |
//! | --- | --- | --- |
//! | `mail-by-…`, `guess-by-…`, `grant-by-session`, `login-by-account`, `pin-attempt-shared` | anybody | 65,536 buckets of each kind, and their sum |
//! | `mail-by-browser`, `mail-by-browser-and-day` | who begins a login | 30,000 in a window of each kind; beyond that no browser has to wait |
//! | `mail-by-shared-code`, `pin-attempt`, `pin-resent` | who begins a login | 30,000 in half an hour of each kind; beyond that counters are shared, see `method/one_time_pin/pending.rs` |
//! | `guess-chance`, `records`, `pin-era` | who begins a login | a few of each |
//! | `pin-used`, `pin-shared-used`, `session`, `person`, `known-networks` | who enters a right code | the limits on mail, for a mailbox that the policies allow; one `known-networks` for each address, with 16 networks |
//! | `provider-user`, `provider-session`, `refresh-token`, `id-token`, `session-refresh` | who logs in at a provider | one of each for a session |
//! | `session-refresh-claim`, `session-changes` | a provider that is asked again | two minutes' life, ten minutes' life |
//! | `logout-notice` | a provider whose user logs out there | some minutes' life |
//! | `grant` | who has a session | a minute's life, 120 a minute for each session |
//! | `return-target`, of up to 8 KiB each | who is redirected to the login from a URL that is too long for the login URL | 1,024 in half an hour, two hours' life, one for each URL; beyond that URLs are shortened |
//! | `target-by-network` | the same | 65,536 buckets, and their sum; 128 URLs in half an hour from one network |
//!
//! An unfinished login creates no other records. Logins at a SAML provider create `saml-used`, two for
//! each signed answer to a login that was begun here. Logins at an OpenID provider or at GitHub create
//! `code-redeemed` when they succeed, one each, for half an hour.

mod back_channel;
mod browser;
mod command_line;
mod cookies;
mod endpoint;
mod entry;
mod evaluations;
mod existing_session;
mod finish;
mod flow;
mod form;
mod identity;
mod judge;
mod keys;
mod limits;
mod live_sessions;
mod long_target;
pub mod mail;
mod meta;
pub(crate) mod metadata;
mod method;
mod own_sessions;
mod purpose;
mod redirect;
mod refresh;
mod refresh_identity;
mod refusal;
mod request;
mod sign_in;
mod sign_out;
mod target_id;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode};

pub(crate) use self::command_line::CommandLine;
#[cfg(feature = "config")]
pub(crate) use self::command_line::IS_AVAILABLE as COMMAND_LINE_IS_AVAILABLE;
pub(crate) use self::cookies::ApplicationTokens;
pub(crate) use self::evaluations::{EvaluationContext, Evaluations};
use self::flow::Flow;
pub(crate) use self::form::MAX_FORM_BYTES;
pub(crate) use self::keys::Keys;
use self::mail::{MailDelivery, MailTemplate, Mailer};
#[cfg(feature = "oidc")]
pub use self::method::ClientAuthentication;
pub use self::method::IdentityProvider;
#[cfg(feature = "oidc")]
pub use self::method::oidc::{OpenIdEndpoints, OpenIdProvider, OpenIdProviderError};
#[cfg(all(test, feature = "config"))]
pub(crate) use self::method::one_time_pin::DIGITS;
pub(crate) use self::method::one_time_pin::PENDING_ERA;
pub use self::method::one_time_pin::{OneTimePin, OneTimePinLimits};
#[cfg(feature = "config")]
pub(crate) use self::method::one_time_pin::{REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};
#[cfg(feature = "saml")]
pub use self::method::saml::{SamlProvider, SamlProviderError};
pub(crate) use self::method::{CrossSiteForm, LoginMethods, MethodContext, MethodSettings};
#[cfg(feature = "github")]
pub use self::method::{GitHubProvider, GitHubProviderError};
pub(crate) use self::method::{MethodInfo, meant_methods, unknown_method};
#[cfg(feature = "config")]
pub(crate) use self::method::{Reach, named_method};
pub(crate) use self::redirect::{OWN_PREFIX, ReturnTarget, is_own};
pub(crate) use self::refresh::Refreshes;
use self::refusal::Refusal;
pub(crate) use self::request::EndpointRequest;
pub(crate) use self::target_id::{MAX_URL_BYTES, TargetId};

use crate::application::{
    Applications, CanonicalHost, CompiledApplication, PublicOrigins, TeamDomain,
};
use crate::clock::Timestamp;
use crate::facts::Sources;
use crate::issuer::Issuer;
use crate::pages::{self, Page, Pages, Problem};
use crate::policy::{PolicyRef, Verdict};
use crate::random::Random;
use crate::service_token::LiveServiceTokens;
use crate::session::{Lifetimes, Revocations, Sessions, TokenLifetime};
use crate::store::{Store, StoreError};
use crate::util::response::ResponseBytes;

/// The state of the login.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) directory: Arc<Applications>,
    pub(crate) origins: Arc<PublicOrigins>,
    pub(crate) team_domain: Option<TeamDomain>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) sessions: Sessions,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) methods: LoginMethods,
    pub(crate) refreshes: Refreshes,
    pub(crate) sources: Arc<Sources>,
    pub(crate) evaluations: Evaluations,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) mail_delivery: Arc<MailDelivery>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) mail_template: Arc<MailTemplate>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) service_tokens: Arc<LiveServiceTokens>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) metadata: metadata::SignedMetadata,
    pub(crate) command_line: CommandLine,
}

/// Returns the URL of a step that can be retried by a link. The browser itself can repeat a posted form.
fn again_url(request: &EndpointRequest) -> Option<String> {
    (request.method == Method::GET).then(|| format!("{}?{}", request.path, request.query))
}

impl Login {
    /// Returns the host that runs the login for an application's host: the team domain, or itself.
    pub(crate) fn team_host<'a>(&'a self, host: &'a CanonicalHost) -> &'a CanonicalHost {
        self.team_domain.as_ref().map_or(host, TeamDomain::host)
    }

    /// Returns the `iss` of tokens for an application's host.
    pub(crate) fn issuer_name(&self, host: &CanonicalHost) -> String {
        match &self.team_domain {
            Some(team) => self.origins.issuer(team.host()),
            None => self.origins.issuer(host),
        }
    }

    /// Returns the lifetime of an application token for this verdict.
    pub(crate) fn token_lifetime(
        &self,
        protected: &CompiledApplication,
        verdict: &Verdict,
    ) -> TokenLifetime {
        let policy = verdict.policy().and_then(PolicyRef::session_duration);
        self.lifetimes.token_lifetime(policy, protected.application.session_duration)
    }

    /// Returns the form that other sites may post to a path, if any.
    pub(crate) fn cross_site_form(&self, path: &str) -> Option<CrossSiteForm> {
        let name = path.strip_prefix(OWN_PREFIX)?.strip_prefix('/')?;
        self.methods.cross_site_form(name)
    }

    /// Handles a request below `/cdn-cgi/access/`.
    pub(crate) async fn answer(&self, request: &EndpointRequest) -> ResponseBytes {
        self.issuer.rotate_if_due(request.now);
        match endpoint::route(self, request).await {
            Ok(answer) => answer,
            Err(Refusal::BadRequest) => self.problem(
                request,
                StatusCode::BAD_REQUEST,
                "This request cannot be read",
                "A part of it is missing, repeated or malformed. Please start again.",
            ),
            Err(Refusal::Store(error)) => {
                let reference = self.reference();
                tracing::error!(%error, reference, "a login step failed");
                let again =
                    again_url(request).or_else(|| self.directory.landing_path(&request.host));
                let page = Problem::new(
                    "Logging in is not possible right now",
                    "Please try again in a few minutes.",
                )
                .host(request.host.as_str())
                .reference(&*reference)
                .retry(again.as_deref(), "Try again");
                self.page(StatusCode::SERVICE_UNAVAILABLE, &Page::Problem(page))
            }
        }
    }

    /// Returns the counters of limits.
    fn counters(&self, now: Timestamp) -> limits::Counters<'_> {
        limits::Counters { store: &*self.store, key: &self.keys.limits, now }
    }

    fn page(&self, status: StatusCode, page: &Page<'_>) -> ResponseBytes {
        pages::response(&*self.pages, status, page)
    }

    /// Returns a page that reports a problem and links back to the start.
    fn problem(
        &self,
        request: &EndpointRequest,
        status: StatusCode,
        title: &str,
        message: &str,
    ) -> ResponseBytes {
        let start = self.directory.landing_path(&request.host);
        let page = Problem::new(title, message)
            .host(request.host.as_str())
            .retry(start.as_deref(), "Start again");
        self.page(status, &Page::Problem(page))
    }

    /// Returns a random reference that links a response to its line in the log.
    pub(crate) fn reference(&self) -> String {
        crate::random::hex::<8>(&*self.random).unwrap_or_else(|_| "none".to_owned())
    }
}

/// Reads a record of the store. Returns `None` for one of another version.
fn read_record<T: serde::de::DeserializeOwned>(record: Option<Bytes>) -> Option<T> {
    record.and_then(|record| serde_json::from_slice(&record).ok())
}

/// Writes a record for the store.
fn write_record(record: &impl serde::Serialize) -> Result<Bytes, StoreError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(StoreError::new)
}
