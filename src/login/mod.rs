//! The login: who comes without a credential is brought to a page, proves an address with a
//! one-time PIN, and returns with a token (sections 3 and 10 of the Access contract).
//!
//! Everything here is answered below `/cdn-cgi/access/` and never reaches an inner service:
//!
//! | endpoint | host | module |
//! | --- | --- | --- |
//! | `login/HOST` | team domain | `sign_in` |
//! | `verify-code/HOST`, `resend-code`, `callback` | team domain | `method` |
//! | `login`, `login/HOST` without a known `kid` | both | `entry` |
//! | `authorized` | application | `finish` |
//! | `sessions` | team domain | `own_sessions` |
//! | `logout`, `get-identity`, `certs` | both | `sign_out`, `identity` |
//! | `cli` (feature `cloudflared`) | application | `command_line` |
//! | `cli/HOST` (feature `cloudflared`) | team domain | `command_line` |
//!
//! Two more are answered elsewhere:
//!
//! | request | host | module |
//! | --- | --- | --- |
//! | any, with `cf-access-metadata-request: true` | application | `metadata` |
//! | `GET /transfer/KEY` (feature `cloudflared`), where `KEY` is 32 bytes in padded URL-safe base64 | team domain, and the transfer host where one is set | `command_line` |
//!
//! Without a team domain each application's host is its own: whatever the tables say of the team
//! domain is answered there.
//!
//! # What works with an unmodified cloudflared
//!
//! | `cloudflared access …` | works |
//! | --- | --- |
//! | any command with a service token (`--service-token-id`, `--service-token-secret`) | with any host names |
//! | `curl`, `tcp`, `ssh`, `rdp`, `smb` with a stored token that is still good | with any host names |
//! | finding the application, and a new token from the team's, before 2026.8 | with any host names |
//! | the same since 2026.8 | where the team domain ends in `.cloudflareaccess.com`: the client believes no other |
//! | `login`, and everything else that opens a browser | as above, and where `login.cloudflareaccess.org` leads here: the client asks no other host for its token |
//! | `ssh-gen` | no: there are no short-lived certificates |
//!
//! For the last two rows but one the operator has to control name resolution for the clients, and to
//! have certificates for these names that the clients trust. The transfer host is set with
//! `AccessBuilder::transfer_host`. Cloudflare's own names lead to Cloudflare for everybody else.
//!
//! An unmodified cloudflared asks the team domain and the transfer host on port 443 alone: these rows
//! need them there ([`PublicAddresses`](crate::application::PublicAddresses)). Hosts of applications may
//! have other ports.
//!
//! A login under way travels with the browser: first in the address, then, once mail was asked for,
//! sealed in a nonce that is bound to the browser by a cookie. Every node with the same master secret
//! and store takes it on from there. This room knows nothing of proxying.
//!
//! A login returns to the path and query it began with, up to 8 KiB, and no answer has a head of more
//! than the 4 KiB that a stock nginx takes from an upstream: see `long_target`. Pages of a login that
//! is over lead on whoever has the session: see `again`.
//!
//! # What strangers can do to a login
//!
//! Whoever has many networks can guess codes, and ask for codes to somebody's address. No limit on
//! either closes the login: there is no answer 429 that somebody else can cause. The numbers are those
//! of the usual [`OneTimePinLimits`]; each can be set.
//!
//! | what | bound |
//! | --- | --- |
//! | chance that all guesses within any 24 hours find a single code, over all networks, addresses and applications | less than 1 in 1,000 (1 in 500 with any settings) |
//! | digits of a code | 6; 7 after 250 wrong codes within a day, 8 after 500, 9 after 2,500, one more for each fivefold; 16 at most |
//! | attempts at a code | 3; 2 at new codes while somebody guesses |
//! | a code that is too short when it is typed | is not looked at; a longer one is mailed at once |
//! | mails to one address | 10 an hour for whoever asks; beyond that one in 5 minutes: 22 in each hour of the clock. Beside these 5 in 15 minutes and 20 a day for each network, of 16 at most, and each browser that has logged in with the address |
//! | longest wait that a stranger can cause | none for a mail that has arrived: the code of the newest one, at most 5 minutes old, is good in every login of the address that begins in these minutes. Whose newest code has just been used up by a login gets the next one at once |
//! | a browser that has logged in with the address in the last 30 days | 10 wrong codes an hour of its own, at 6 digits, and mails of its own |
//! | a network with more than 10 wrong codes in 10 minutes | 2 digits more for its new codes, 4 with more than 100, and so on; 8 at most. Nobody is refused |
//! | a browser that asks for more than 5 codes with an address in 15 minutes, 20 a day | 429, for itself alone |
//!
//! What is said of a day is counted in three windows of twelve hours, and over all login hosts that
//! share a store. Guesses of a browser that has logged in with the address before are not in it: who
//! has stolen such a browser's cookies has 240 guesses a day. A store that forgets begins to count anew,
//! and takes no code of before.
//!
//! Where a mail server takes mail slowly, floods over many addresses of people can use up the 256
//! mails that are under way at a time; what is not mailed then is in the log.
//!
//! What a stranger can make the store hold is bounded as well:
//!
//! | records | who causes them | what bounds them |
//! | --- | --- | --- |
//! | `mail-by-…`, `guess-by-…`, `grant-by-session`, `pin-attempt-shared` | anybody | 65,536 buckets of each kind, and their sum |
//! | `mail-by-browser`, `mail-by-browser-and-day` | who begins a login | 30,000 in a window of each kind; beyond that nobody is told to wait |
//! | `mail-by-shared-code`, `pin-attempt`, `pin-resent` | who begins a login | 30,000 in half an hour of each kind; beyond that counters are shared, see `method/one_time_pin/pending.rs` |
//! | `guess-chance`, `records`, `pin-era` | who begins a login | a few of each |
//! | `pin-used`, `pin-shared-used`, `session`, `person`, `known-networks` | who types a right code | the limits on mail, for a mailbox that the policies let in; one `known-networks` for each address, with 16 networks |
//! | `grant` | who has a session | a minute's life, 120 a minute for each session |
//! | `return-target`, of up to 8 KiB each | whoever is sent to the login with an address that is too long for another one | 1,024 in half an hour, two hours' life, one for each address; beyond that addresses are shortened |
//! | `target-by-network` | the same | 65,536 buckets, and their sum; 128 addresses in half an hour from one network |
//!
//! A login that nobody finishes leaves nothing else at all.

mod again;
mod browser;
mod command_line;
mod cookies;
mod endpoint;
mod entry;
mod evaluations;
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
mod redirect;
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
pub(crate) use self::evaluations::{About, Evaluations};
use self::flow::Flow;
pub(crate) use self::form::LARGEST_FORM;
pub(crate) use self::keys::Keys;
use self::mail::MailDelivery;
pub(crate) use self::method::one_time_pin::PENDING_ERA;
#[cfg(feature = "config")]
pub(crate) use self::method::one_time_pin::{DIGITS, REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};
pub use self::method::one_time_pin::{OneTimePin, OneTimePinLimits};
pub(crate) use self::method::{LoginMethods, MethodSettings};
pub(crate) use self::redirect::{OWN_PREFIX, ReturnTarget, is_own};
use self::refusal::Refusal;
pub(crate) use self::request::EndpointRequest;
pub(crate) use self::target_id::{LONGEST_ADDRESS, TargetId};

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

/// Everything the login works with.
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
    pub(crate) sources: Arc<Sources>,
    pub(crate) evaluations: Evaluations,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) mail_delivery: Arc<MailDelivery>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) service_tokens: Arc<LiveServiceTokens>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) metadata: metadata::SignedMetadata,
    pub(crate) command_line: CommandLine,
}

/// The address of a step that can be asked for again: a form that was posted is sent again by the
/// browser's own button.
fn again_url(request: &EndpointRequest) -> Option<String> {
    (request.method == Method::GET).then(|| format!("{}?{}", request.path, request.query))
}

impl Login {
    /// The host that runs the login for an application's host: the team domain, or itself.
    pub(crate) fn team_host<'a>(&'a self, host: &'a CanonicalHost) -> &'a CanonicalHost {
        self.team_domain.as_ref().map_or(host, TeamDomain::host)
    }

    /// The `iss` of tokens for an application's host.
    pub(crate) fn issuer_name(&self, host: &CanonicalHost) -> String {
        match &self.team_domain {
            Some(team) => self.origins.issuer(team.host()),
            None => self.origins.issuer(host),
        }
    }

    /// How long a token lives that this verdict opens an application with.
    pub(crate) fn token_lifetime(
        &self,
        protected: &CompiledApplication,
        verdict: &Verdict,
    ) -> TokenLifetime {
        let policy = verdict.policy().and_then(PolicyRef::session_duration);
        self.lifetimes.of_token(policy, protected.application.session_duration)
    }

    /// Answers a request below `/cdn-cgi/access/`.
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
                let again = again_url(request).or_else(|| self.directory.entrance(&request.host));
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

    /// What limits are counted by, now.
    fn counters(&self, now: Timestamp) -> limits::Counters<'_> {
        limits::Counters { store: &*self.store, key: &self.keys.limits, now }
    }

    fn page(&self, status: StatusCode, page: &Page<'_>) -> ResponseBytes {
        pages::response(&*self.pages, status, page)
    }

    /// A page that says what went wrong and leads back to the start.
    fn problem(
        &self,
        request: &EndpointRequest,
        status: StatusCode,
        title: &str,
        message: &str,
    ) -> ResponseBytes {
        let start = self.directory.entrance(&request.host);
        let page = Problem::new(title, message)
            .host(request.host.as_str())
            .retry(start.as_deref(), "Start again");
        self.page(status, &Page::Problem(page))
    }

    /// What ties an answer to its line in the log.
    pub(crate) fn reference(&self) -> String {
        crate::random::hex::<8>(&*self.random).unwrap_or_else(|_| "none".to_owned())
    }
}

/// Reads a record of the store; one of another version counts as absent.
fn read_record<T: serde::de::DeserializeOwned>(record: Option<Bytes>) -> Option<T> {
    record.and_then(|record| serde_json::from_slice(&record).ok())
}

/// Writes a record for the store.
fn write_record(record: &impl serde::Serialize) -> Result<Bytes, StoreError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(StoreError::new)
}
