//! The login: who comes without a credential is brought to a page, proves an address with a
//! one-time PIN, and returns with a token (sections 3 and 10 of the Access contract).
//!
//! Everything here is answered below `/cdn-cgi/access/` and never reaches an inner service:
//!
//! | endpoint | host | module |
//! | --- | --- | --- |
//! | `login/HOST`, `verify-code/HOST`, `resend-code`, `callback` | team domain | `sign_in`, `pin` |
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
//! | `mail-by-shared-code`, `pin-attempt`, `pin-resent` | who begins a login | 30,000 in half an hour of each kind; beyond that counters are shared, see `pin/pending.rs` |
//! | `guess-chance`, `records`, `pin-era` | who begins a login | a few of each |
//! | `pin-used`, `pin-shared-used`, `session`, `person`, `known-networks` | who types a right code | the limits on mail, for a mailbox that the policies let in; one `known-networks` for each address, with 16 networks |
//! | `grant` | who has a session | a minute's life, 120 a minute for each session |
//! | `return-target`, of up to 8 KiB each | whoever is sent to the login with an address that is too long for another one | 1,024 in half an hour, two hours' life, one for each address; beyond that addresses are shortened |
//! | `target-by-network` | the same | 65,536 buckets, and their sum; 128 addresses in half an hour from one network |
//!
//! A login that nobody finishes leaves nothing else at all.

mod again;
mod answer;
mod browser;
#[cfg(feature = "cloudflared")]
mod command_line;
mod cookies;
mod device;
mod endpoint;
mod entry;
mod evaluations;
mod finish;
mod form;
mod identity;
mod limits;
mod long_target;
pub mod mail;
mod meta;
pub(crate) mod metadata;
mod method;
mod own_sessions;
mod redirect;
mod sign_in;
mod sign_out;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

pub(crate) use self::answer::page;
pub(crate) use self::cookies::ApplicationTokens;
pub(crate) use self::endpoint::EndpointRequest;
pub(crate) use self::evaluations::{About, Evaluations};
pub(crate) use self::form::LARGEST_FORM;
pub(crate) use self::long_target::{LONGEST_ADDRESS, TargetId};
use self::mail::MailDelivery;
use self::mail::Mailer;
pub(crate) use self::meta::Meta;
pub(crate) use self::method::one_time_pin::PENDING_ERA;
#[cfg(feature = "config")]
pub(crate) use self::method::one_time_pin::{DIGITS, REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};
pub use self::method::one_time_pin::{OneTimePin, OneTimePinLimits};
pub(crate) use self::redirect::{OWN_PREFIX, ReturnTarget, is_own};
use crate::pages::{Page, Pages, Problem};

use crate::answer::Answer;
use crate::application::{CanonicalHost, Directory, Protected, PublicOrigins, TeamDomain};
use crate::clock::Timestamp;
use crate::facts::{Circumstances, Person, RequestView, Sources};
use crate::identity::Attributes;
use crate::issuer::Issuer;
use crate::policy::{PolicyRef, Verdict};
use crate::random::Random;
use crate::secret::{MasterSecret, Seal, SealError};
use crate::service_token::LiveServiceTokens;
use crate::session::{Lifetimes, Revocations, Session, Sessions, TokenLifetime, cookie};
use crate::store::{Store, StoreError};
use crate::token::{Claims, Expected, Jws, TokenKind, check_claims};

/// What a login is for: kept from its first step to its last.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
struct Flow {
    audience: String,
    host: CanonicalHost,
    target: ReturnTarget,
    /// The browser that was refused at the application, by the hash of its cookie; unknown for
    /// links others have built.
    app_session_hash: Option<String>,
    /// Where the whole target is, if `target` is only a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stored: Option<TargetId>,
    /// Whether the target is not whole, and the person has not been told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_shortened: bool,
}

/// Everything the login works with.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) directory: Arc<Directory>,
    pub(crate) origins: Arc<PublicOrigins>,
    pub(crate) team_domain: Option<TeamDomain>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) sessions: Sessions,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) one_time_pin: OneTimePin,
    /// What is known of everybody who has logged in by the one login method there is.
    pub(crate) attributes: Arc<Attributes>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) evaluations: Evaluations,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) mail_delivery: Arc<MailDelivery>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) service_tokens: Arc<LiveServiceTokens>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) metadata: metadata::SignedMetadata,
    #[cfg(feature = "cloudflared")]
    pub(crate) command_line: CommandLine,
}

/// What the login of command-line clients has of its own.
#[cfg(feature = "cloudflared")]
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// A host beside the team domain where tokens are handed out.
    transfer_host: Option<CanonicalHost>,
    waiters: command_line::Waiters,
}

#[cfg(feature = "cloudflared")]
impl CommandLine {
    pub(crate) fn at(transfer_host: Option<CanonicalHost>) -> Self {
        Self { transfer_host, waiters: command_line::Waiters::default() }
    }
}

/// One key for each purpose.
#[derive(Debug)]
pub(crate) struct Keys {
    meta: hmac::Key,
    pin: hmac::Key,
    /// Derives the codes that logins of an address share.
    shared_pin: hmac::Key,
    /// Names counters.
    limits: hmac::Key,
    pending: Seal,
    device: hmac::Key,
    /// Names long return targets.
    return_target: hmac::Key,
    #[cfg(feature = "cloudflared")]
    client: hmac::Key,
}

impl Keys {
    pub(crate) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        Ok(Self {
            meta: master.derive("login meta"),
            pin: master.derive("one-time pin"),
            shared_pin: master.derive("shared one-time pin"),
            limits: master.derive("limits"),
            pending: master.seal_often("login under way")?,
            device: master.derive("device cookie"),
            return_target: master.derive("long return targets"),
            #[cfg(feature = "cloudflared")]
            client: master.derive("approval of a command-line client"),
        })
    }
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
    pub(crate) fn token_lifetime(&self, protected: &Protected, verdict: &Verdict) -> TokenLifetime {
        let policy = verdict.policy().and_then(PolicyRef::session_duration);
        self.lifetimes.of_token(policy, protected.application.session_duration)
    }

    /// Where a request without a credential is sent: section 3.3. Tied to a browser where it has a
    /// cookie for that. A target that is too long for it, and is not stored, is shortened.
    pub(crate) fn login_url(
        &self,
        (host, protected): (&CanonicalHost, &Protected),
        (path_and_query, stored): (&str, Option<&TargetId>),
        app_session: Option<&str>,
        now: Timestamp,
    ) -> String {
        let flow = self.flow_to((host, protected), path_and_query, app_session);
        let flow = match stored {
            Some(id) => flow.with_stored_target(id.clone()),
            None if self.fits_address(&flow, now) => flow,
            None => flow.shortened(LONGEST_ADDRESS / 3),
        };
        self.start_url(&flow, now)
    }

    /// The target of a request that is sent to the login, if it has to be stored for that.
    pub(crate) fn long_target(
        &self,
        (host, protected): (&CanonicalHost, &Protected),
        path_and_query: &str,
        now: Timestamp,
    ) -> Option<ReturnTarget> {
        // Nearly all are shorter, however they are escaped.
        if path_and_query.len() < LONGEST_ADDRESS / 8 {
            return None;
        }
        let any_browser = Some("");
        let flow = self.flow_to((host, protected), path_and_query, any_browser);
        (!self.fits_address(&flow, now)).then_some(flow.target)
    }

    fn flow_to(
        &self,
        (host, protected): (&CanonicalHost, &Protected),
        path_and_query: &str,
        app_session: Option<&str>,
    ) -> Flow {
        let (target, is_shortened) = ReturnTarget::read(path_and_query, &self.origins.of(host));
        Flow {
            audience: protected.audience().to_owned(),
            host: host.clone(),
            target,
            app_session_hash: app_session.map(meta::hash),
            stored: None,
            is_shortened,
        }
    }

    /// Where a login begins, or begins again.
    fn start_url(&self, flow: &Flow, now: Timestamp) -> String {
        self.step_url("login", flow, now)
    }

    /// The same for a browser that is not known at the application.
    fn start_url_for_anybody(&self, flow: &Flow) -> String {
        let flow = Flow { app_session_hash: None, ..flow.clone() };
        self.start_url(&flow, Timestamp::from_unix_seconds(0))
    }

    /// The address of a step on the team domain, with what the login is for.
    fn step_url(&self, step: &str, flow: &Flow, now: Timestamp) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("kid", &flow.audience);
        if let Some(app_session_hash) = &flow.app_session_hash {
            let meta = Meta::new(&flow.audience, flow.host.as_str(), app_session_hash, now);
            query.append_pair("meta", &meta.sign(&self.keys.meta));
        }
        query.append_pair("redirect_url", flow.target.as_str());
        if let Some(id) = &flow.stored {
            query.append_pair("target", id.as_str());
        }
        if flow.is_shortened {
            query.append_pair("shortened", "true");
        }
        let team = self.origins.of(self.team_host(&flow.host));
        format!("{team}{OWN_PREFIX}/{step}/{}?{}", flow.host, query.finish())
    }

    /// The session with this id, unless it has ended: on time, for want of activity, by a logout, or
    /// by revocation.
    pub(crate) async fn live_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let session = self.sessions.get(id, now).await?;
        Ok(session.filter(|session| self.is_live(session, now)))
    }

    /// As [`live_session`](Self::live_session), for a person who is there now.
    pub(crate) async fn seen_session(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        let pause = match self.lifetimes.idle {
            Some(_) => Duration::from_secs(1),
            None => NOTICED_EVERY,
        };
        let longest = self.lifetimes.longest_idle();
        self.sessions.seen(id, now, (pause, longest), |session| self.is_live(session, now)).await
    }

    /// Whether a session that the store has still counts.
    pub(crate) fn is_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked = self.revocations.cover(crate::session::Issued {
            session: Some(&session.id),
            email: Some(session.email.as_str()),
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked && !self.is_idle(session, now)
    }

    /// Whether a session that is being ended by its person or its id was live until then.
    pub(crate) fn was_live(&self, session: &Session, now: Timestamp) -> bool {
        let is_revoked_for_everybody = self.revocations.cover(crate::session::Issued {
            session: None,
            email: None,
            audience: "",
            issued_at: Timestamp::from_unix_seconds(session.started_at),
        });
        !is_revoked_for_everybody && !self.is_idle(session, now)
    }

    /// By the limit in force, the one when the person was seen last, and those in between.
    fn is_idle(&self, session: &Session, now: Timestamp) -> bool {
        self.lifetimes.is_idle(now.since(session.seen_at()))
            || session.is_idle(now)
            || self.sessions.has_idled_out(session)
    }

    /// What is known of a request to the login that an application's policies ask for.
    fn circumstances(
        &self,
        request: &EndpointRequest,
        protected: &Protected,
        person: Option<(Person<'_>, &Arc<Attributes>)>,
    ) -> Circumstances {
        let view = RequestView {
            sender: request.sender,
            headers: &request.headers,
            extensions: &request.extensions,
            person: person.map(|(person, _)| person),
            now: request.now,
        };
        let attributes = person.map(|(_, attributes)| attributes);
        self.sources.circumstances(&view, &protected.policies, attributes)
    }

    /// Whether the policies let a person with a session in, and what is known of the person.
    /// Evaluators are asked where what they say could make a difference.
    async fn judge(
        &self,
        request: &EndpointRequest,
        (protected, host): (&Protected, &CanonicalHost),
        session: &Session,
    ) -> (Verdict, Circumstances) {
        let person = (session.person(), session.attributes());
        let mut circumstances = self.circumstances(request, protected, Some(person));
        let verdict = protected.policies.evaluate(&circumstances.facts_of(&session.email));
        if !Evaluations::could_turn(&verdict) {
            return (verdict, circumstances);
        }
        let issuer = self.issuer_name(host);
        let about = About {
            session: &session.id,
            email: &session.email,
            protected,
            issuer: &issuer,
            now: request.now,
        };
        circumstances.evaluations = Some(self.evaluations.at_login(about).await);
        let verdict = protected.policies.evaluate(&circumstances.facts_of(&session.email));
        (verdict, circumstances)
    }

    /// Answers a request below `/cdn-cgi/access/`.
    pub(crate) async fn answer(&self, request: &EndpointRequest) -> Answer {
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
                let page = Page::Problem(Problem {
                    title: "Logging in is not possible right now",
                    message: "Please try again in a few minutes.",
                    host: Some(request.host.as_str()),
                    reference: Some(&reference),
                    retry_url: again.as_deref(),
                    retry_label: "Try again",
                    home_url: None,
                });
                page_of(self, StatusCode::SERVICE_UNAVAILABLE, &page)
            }
        }
    }

    /// What limits are counted by, now.
    fn counters(&self, now: Timestamp) -> limits::Counters<'_> {
        limits::Counters { store: &*self.store, key: &self.keys.limits, now }
    }

    /// What is known of everybody who logs in, where that is one thing.
    pub(crate) fn usual_login(&self) -> Option<&Attributes> {
        Some(&self.attributes)
    }

    /// Whether people can log in to an application by the one method there is.
    pub(crate) fn offers_login(&self, protected: &Protected) -> bool {
        protected.application.allows_login_method(self.one_time_pin.method_id())
    }

    fn page(&self, status: StatusCode, page: &Page<'_>) -> Answer {
        page_of(self, status, page)
    }

    /// A page that says what went wrong and leads back to the start.
    fn problem(
        &self,
        request: &EndpointRequest,
        status: StatusCode,
        title: &str,
        message: &str,
    ) -> Answer {
        let start = self.directory.entrance(&request.host);
        self.page(
            status,
            &Page::Problem(Problem {
                title,
                message,
                host: Some(request.host.as_str()),
                reference: None,
                retry_url: start.as_deref(),
                retry_label: "Start again",
                home_url: None,
            }),
        )
    }

    /// What ties an answer to its line in the log.
    pub(crate) fn reference(&self) -> String {
        crate::random::hex::<8>(&*self.random).unwrap_or_else(|_| "none".to_owned())
    }

    /// The claims of the session tokens a browser brings to the login: mostly one, but another host
    /// may have planted some beside it.
    fn session_claims(&self, request: &EndpointRequest) -> Vec<Claims> {
        let EndpointRequest { headers, host, now, .. } = request;
        self.session_claims_in((headers, cookie::AUTHORIZATION, MOST_TOKENS), host, *now).collect()
    }

    /// The claims of the session token a browser brings to every application of this host.
    pub(crate) fn host_session(
        &self,
        headers: &HeaderMap,
        host: &CanonicalHost,
        now: Timestamp,
    ) -> Option<Claims> {
        // Mostly there is none, and then nothing is made ready for it.
        cookie::values(headers, cookie::HOST_SESSION).next()?;
        self.session_claims_in((headers, cookie::HOST_SESSION, MOST_HOST_SESSIONS), host, now)
            .next()
    }

    fn session_claims_in<'a>(
        &'a self,
        (headers, name, most): (&'a HeaderMap, &'static str, usize),
        host: &CanonicalHost,
        now: Timestamp,
    ) -> impl Iterator<Item = Claims> + 'a {
        let issuer = self.issuer_name(host);
        let keys = self.issuer.keys(now);
        let good = move |token: &str| {
            let claims = Jws::parse(token).ok()?.verify(&keys).ok()?;
            let expected = Expected {
                issuer: &issuer,
                audiences: &[&issuer],
                kind: TokenKind::Session,
                leeway: Duration::ZERO,
            };
            check_claims(&claims, expected, now).ok()?;
            (!self.is_revoked(&claims, &issuer)).then_some(claims)
        };
        cookie::values(headers, name).take(most).filter_map(good)
    }

    fn is_revoked(&self, claims: &Claims, audience: &str) -> bool {
        self.revocations.cover(crate::session::Issued {
            session: claims.identity_nonce.as_deref(),
            email: claims.email.as_deref(),
            audience,
            issued_at: Timestamp::from_unix_seconds(claims.iat),
        })
    }
}

/// Why a step of the login has no answer of its own.
#[derive(Debug)]
enum Refusal {
    BadRequest,
    Store(StoreError),
}

impl From<form::FieldError> for Refusal {
    fn from(_: form::FieldError) -> Self {
        Self::BadRequest
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<crate::random::RandomUnavailable> for Refusal {
    fn from(error: crate::random::RandomUnavailable) -> Self {
        Self::Store(StoreError::new(error))
    }
}

impl From<crate::issuer::IssueError> for Refusal {
    fn from(error: crate::issuer::IssueError) -> Self {
        Self::Store(StoreError::new(error))
    }
}

fn page_of(login: &Login, status: StatusCode, content: &Page<'_>) -> Answer {
    page(&*login.pages, status, content)
}

/// How often it is written down that a person was seen, where nothing depends on it.
const NOTICED_EVERY: Duration = Duration::from_secs(60);
/// Cookies of one name that are tried, each at the price of a signature check.
const MOST_TOKENS: usize = 32;
/// The same with requests to applications, of which there are more.
const MOST_HOST_SESSIONS: usize = 4;

/// Reads a record of the store; one of another version counts as absent.
fn read_record<T: serde::de::DeserializeOwned>(record: Option<Bytes>) -> Option<T> {
    record.and_then(|record| serde_json::from_slice(&record).ok())
}

/// Writes a record for the store.
fn write_record(record: &impl serde::Serialize) -> Result<Bytes, StoreError> {
    serde_json::to_vec(record).map(Bytes::from).map_err(StoreError::new)
}
