//! The one-time PIN: asked for, mailed, typed.
//!
//! Six digits from the system's generator, good for some minutes, a few attempts and one use, in
//! the browser that asked for it. The store holds its MAC, never the code. Whatever address is
//! typed, the answers are the same; mail goes to addresses the policies could let in.

mod code;
mod pending;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;

use self::code::{draw_code, plain_code};
use self::pending::{FLOW_LIFETIME, Nonce, Pending, Used};
use super::limits::{TooOften, count_mail, count_wrong_code, may_guess};
use super::mail::{Mail, PinMail};
use super::meta::hash;
use super::pages::{CodeError, EnterCode, Page, Problem};
use super::redirect::OWN_PREFIX;
use super::sign_in::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal, browser, device, read_record, write_record};
use crate::answer::{Answer, redirect, with, with_cookie};
use crate::application::{CanonicalHost, Protected, SameSite};
use crate::identity::Email;
use crate::random::{self, to_hex};
use crate::secret::{equal, tag};
use crate::session::{Start, cookie};
use crate::source::Person;

/// How long a one-time PIN is good, and for how many attempts; and by which id the login method is
/// known.
#[derive(Clone, Debug)]
pub struct OneTimePin {
    id: Box<str>,
    expires_in: Duration,
    attempts: u32,
}

impl OneTimePin {
    /// Five minutes, three attempts.
    #[must_use]
    pub fn new() -> Self {
        Self { id: TYPE.into(), expires_in: Duration::from_secs(300), attempts: 3 }
    }

    /// Sets the id of the login method, `onetimepin` by default: what applications name in
    /// [`allowed_login_method`](crate::application::Application::allowed_login_method), and what
    /// `get-identity` shows. Sessions that began under another id count as logins by another method.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets how long a code is good: 1 to 15 minutes; other values are moved into this range.
    #[must_use]
    pub fn expires_in(mut self, duration: Duration) -> Self {
        self.expires_in = duration.clamp(Duration::from_secs(60), Duration::from_secs(900));
        self
    }

    /// Sets how often a code may be mistyped before it is dead: 1 to 10; other values are moved
    /// into this range.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, 10);
        self
    }
}

impl Default for OneTimePin {
    fn default() -> Self {
        Self::new()
    }
}

impl OneTimePin {
    /// The id of the login method.
    pub(crate) fn method_id(&self) -> &str {
        &self.id
    }
}

impl Login {
    /// `POST verify-code/HOST`: an address was typed.
    pub(super) async fn send_code(
        &self,
        request: &EndpointRequest,
        app_host: &str,
    ) -> Result<Answer, Refusal> {
        let Some(purpose) = self.purpose(&request.query()?, app_host, request)? else {
            return Ok(self.unknown_application(request));
        };
        if !self.offers_login(purpose.protected) {
            return Ok(self.no_login_method(request, &purpose));
        }
        let Some(browser) = request.random_cookies(cookie::SESSION).next() else {
            return Ok(self.invalid_session(request, Some(&purpose.flow)));
        };
        let form = request.form()?;
        let typed = form.required("email")?.trim().to_ascii_lowercase();
        if typed.chars().count() > LONGEST_ADDRESS || typed.contains(char::is_control) {
            return Err(Refusal::BadRequest);
        }
        if let Err(limit) = self.count_mail(request, &typed).await? {
            return self.too_often(request, &purpose, &typed, limit);
        }
        let nonce = Nonce::new(random::hex::<16>(&*self.random)?);
        let mut pending = Pending {
            flow: purpose.flow.clone(),
            eligible: false,
            browser: hash(browser),
            serial: 0,
            code: String::new(),
            code_ends: 0,
            email: typed,
        };
        self.renew_code(&nonce, &mut pending, purpose.protected, request).await?;
        Ok(redirect(&code_page(&pending.flow, &nonce)))
    }

    /// `GET verify-code/HOST?…&nonce=…`: the page that asks for the code.
    pub(super) async fn show_code_form(
        &self,
        request: &EndpointRequest,
        app_host: &str,
    ) -> Result<Answer, Refusal> {
        let query = request.query()?;
        let nonce = Nonce::of(&query)?;
        // What the address says the login is for: where to start again if it is gone.
        let purpose = self.purpose(&query, app_host, request)?;
        let flow = purpose.as_ref().map(|purpose| &purpose.flow);
        Ok(match self.pending(request, &nonce, flow).await? {
            Ok(pending) => {
                let ended = (request.now.as_unix_seconds() >= pending.code_ends)
                    .then_some(CodeError::Expired);
                self.code_form(request, &nonce, &pending, StatusCode::OK, ended)
            }
            Err(refusal) => refusal,
        })
    }

    /// `GET resend-code?nonce=…`: another code, the earlier one is dead.
    pub(super) async fn resend_code(&self, request: &EndpointRequest) -> Result<Answer, Refusal> {
        let nonce = Nonce::of(&request.query()?)?;
        // A link of another site must not send mail.
        let foreign = request
            .headers
            .get("sec-fetch-site")
            .is_some_and(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
        if foreign {
            return Ok(self.invalid_session(request, None));
        }
        let mut pending = match self.pending(request, &nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let Some(protected) = self.directory.by_audience(&pending.flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        let limited = pending.serial >= MOST_CODES
            || self.count_mail(request, &pending.email).await?.is_err();
        if limited {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let limit = Some(CodeError::ResendLimited);
            return Ok(self.code_form(request, &nonce, &pending, status, limit));
        }
        self.renew_code(&nonce, &mut pending, protected, request).await?;
        Ok(redirect(&code_page(&pending.flow, &nonce)))
    }

    /// `POST callback`: a code was typed.
    pub(super) async fn check_code(&self, request: &EndpointRequest) -> Result<Answer, Refusal> {
        let form = request.form()?;
        let nonce = Nonce::of(&form)?;
        let typed = form.required("code")?;
        let pending = match self.pending(request, &nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let refuse = |error| {
            Ok(self.code_form(request, &nonce, &pending, StatusCode::FORBIDDEN, Some(error)))
        };
        if request.now.as_unix_seconds() >= pending.code_ends {
            return refuse(CodeError::Expired);
        }
        // Over all logins there are only so many guesses; a browser that has logged in with this
        // address before is not made to wait for those who guess.
        let (store, login_host) = (&*self.store, request.host.as_str());
        let known = self.device(request, &pending.email).is_some();
        if !known && let Err(limit) = may_guess(store, request.sender.address, login_host).await? {
            return Ok(self.too_many_guesses(request, &pending.flow, limit));
        }
        // Counted before it is looked at: parallel guesses share the same few attempts.
        let attempt_key = nonce.attempt_key(pending.serial);
        let attempt = self.store.count(&attempt_key, 1, FLOW_LIFETIME).await?;
        let attempts = u64::from(self.one_time_pin.attempts);
        let code = plain_code(typed).filter(|_| attempt <= attempts);
        let right = pending.eligible
            && code.as_ref().is_some_and(|code| {
                equal(pending.code.as_bytes(), self.code_mac(&nonce, &pending, code).as_bytes())
            });
        if !right {
            // What could never be right is no guess, and uses up nobody's.
            if code.is_some() {
                count_wrong_code(store, request.sender.address, login_host).await?;
            }
            return refuse(match attempts.saturating_sub(attempt) {
                0 => CodeError::Exhausted,
                attempts_left => CodeError::Wrong { attempts_left },
            });
        }
        // Of two that come with the right code at once, one gets it.
        if self.store.take(&nonce.key()).await?.is_none() {
            return refuse(CodeError::AlreadyUsed);
        }
        let used = write_record(&Used { flow: pending.flow.clone() })?;
        self.store.put(&nonce.used_key(), used, FLOW_LIFETIME).await?;
        self.log_in(request, pending).await
    }

    /// The person is who they say. The policies are asked again: they may have changed.
    async fn log_in(&self, request: &EndpointRequest, pending: Pending) -> Result<Answer, Refusal> {
        let Pending { flow, email, .. } = pending;
        let email: Email = email.parse().map_err(|_| Refusal::BadRequest)?;
        let Some(protected) = self.directory.by_audience(&flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        // A new login, a new session: the one this browser had before is dead.
        if let Some(claims) = self.session_claims(request) {
            self.end_session(&claims, request.now).await?;
        }
        let issuer = self.issuer_name(&request.host);
        let lifetime = self.lifetimes.of_session(protected.application.session_duration);
        let start = Start {
            email,
            issuer: &issuer,
            login_method: self.one_time_pin.method_id(),
            address: request.sender.address,
            browser: browser::short_form(&request.headers),
        };
        let session = self.sessions.start(start, request.now, lifetime).await?;
        tracing::info!(
            target: "tower_access::audit",
            application = %protected.application.name, email = %session.email, session = session.id,
            address = %crate::address::Shown(request.sender.address), "logged in"
        );
        let answer = self.enter(request, &Purpose { protected, flow }, &session).await?;
        let token = self.issuer.session_token(&issuer, &session, request.now)?;
        let session_cookie = cookie::SetCookie {
            // On a host that is an application as well, the application never sees it.
            path: if self.directory.knows_host(request.host.as_str()) {
                cookie::LOGIN_PATH
            } else {
                "/"
            },
            ..cookie::SetCookie::new(cookie::AUTHORIZATION, &token.token, token.end())
        };
        let device = device::issue(&self.keys.device, &session.email, &*self.random)?;
        let device_end = request.now.plus(cookie::DEVICE_LIFETIME);
        let device_cookie = cookie::SetCookie {
            same_site: SameSite::Strict,
            ..cookie::SetCookie::new(cookie::DEVICE, &device, device_end)
        };
        let mut answer = with_cookie(answer, session_cookie.header(&request.host));
        if self.directory.knows_host(request.host.as_str()) {
            // By this one its applications know each other's logins.
            let is_strict = self.directory.has_strict_cookies(request.host.as_str());
            let same_site = if is_strict { SameSite::Strict } else { SameSite::Lax };
            let cookie = cookie::SetCookie {
                same_site,
                ..cookie::SetCookie::new(cookie::HOST_SESSION, &token.token, token.end())
            };
            answer = with_cookie(answer, cookie.header(&request.host));
        }
        Ok(with_cookie(answer, device_cookie.header(&request.host)))
    }

    /// Makes a code, writes the login down, mails the code where it may go.
    async fn renew_code(
        &self,
        nonce: &Nonce,
        pending: &mut Pending,
        protected: &Protected,
        request: &EndpointRequest,
    ) -> Result<(), Refusal> {
        let code = draw_code(&*self.random)?;
        let email = pending.email.parse::<Email>().ok();
        pending.eligible = self.offers_login(protected)
            && email.as_ref().is_some_and(|email| {
                let person = Some(Person { email, user_id: None });
                let circumstances = self.circumstances(request, protected, person);
                protected.policies.could_allow(&circumstances.facts_of(email))
            });
        pending.serial += 1;
        pending.code_ends = request.now.plus(self.one_time_pin.expires_in).as_unix_seconds();
        pending.code = self.code_mac(nonce, pending, &code);
        self.store.put(&nonce.key(), write_record(pending)?, FLOW_LIFETIME).await?;
        tracing::info!(
            target: "tower_access::audit",
            application = %protected.application.name, email = %pending.email.escape_default(),
            eligible = pending.eligible, address = %crate::address::Shown(request.sender.address),
            "one-time PIN asked for"
        );
        if let Some(email) = email.filter(|_| pending.eligible) {
            self.mail(email, protected, &pending.flow.host, code);
        }
        Ok(())
    }

    /// Mails a code beside the request: its answer is the same, and takes the same time, whether
    /// there is anything to mail or not, and whether it can be mailed.
    fn mail(&self, to: Email, protected: &Protected, host: &CanonicalHost, code: String) {
        let Ok(slot) = Arc::clone(&self.mail_slots).try_acquire_owned() else {
            tracing::error!("too many mails are under way: a one-time PIN is not mailed");
            return;
        };
        let mailer = Arc::clone(&self.mailer);
        let (application, host) = (protected.application.name.clone(), host.to_string());
        let minutes = self.minutes();
        tokio::spawn(async move {
            let content = PinMail { application: &application, host: &host, code: &code, minutes };
            let mail = Mail::new(to, content.subject(), content.text(), content.html());
            match tokio::time::timeout(MAIL_TIME_LIMIT, mailer.deliver(mail)).await {
                Ok(Ok(())) => tracing::debug!("one-time PIN mailed"),
                Ok(Err(error)) => tracing::error!(%error, "a one-time PIN could not be mailed"),
                Err(_) => tracing::error!("a one-time PIN could not be mailed in time"),
            }
            drop(slot);
        });
    }

    async fn count_mail(
        &self,
        request: &EndpointRequest,
        email: &str,
    ) -> Result<Result<(), TooOften>, Refusal> {
        let device = self.device(request, email);
        Ok(count_mail(&*self.store, request.sender.address, email, device).await?)
    }

    /// The browser, if it has logged in with this address before.
    fn device<'a>(&self, request: &'a EndpointRequest, email: &str) -> Option<&'a str> {
        cookie::values(&request.headers, cookie::DEVICE)
            .find_map(|value| device::recognise(&self.keys.device, email, value))
    }

    /// The login a nonce stands for, if this browser began it.
    async fn pending(
        &self,
        request: &EndpointRequest,
        nonce: &Nonce,
        flow: Option<&Flow>,
    ) -> Result<Result<Pending, Answer>, Refusal> {
        let mut browsers = request.random_cookies(cookie::SESSION).peekable();
        let has_cookie = browsers.peek().is_some();
        if let Some(pending) = read_record::<Pending>(self.store.get(&nonce.key()).await?) {
            let same =
                browsers.any(|browser| equal(pending.browser.as_bytes(), hash(browser).as_bytes()));
            return Ok(if same { Ok(pending) } else { Err(self.invalid_session(request, flow)) });
        }
        let used = read_record::<Used>(self.store.get(&nonce.used_key()).await?);
        Ok(Err(match used.filter(|_| has_cookie) {
            Some(used) => self.used_code(request, &used.flow),
            None => self.invalid_session(request, flow),
        }))
    }

    fn code_form(
        &self,
        request: &EndpointRequest,
        nonce: &Nonce,
        pending: &Pending,
        status: StatusCode,
        error: Option<CodeError>,
    ) -> Answer {
        let application = self
            .directory
            .by_audience(&pending.flow.audience)
            .map_or("", |protected| &*protected.application.name);
        self.page(
            status,
            &Page::EnterCode(EnterCode {
                application,
                email: &pending.email,
                action: &format!("{OWN_PREFIX}/callback"),
                nonce: &nonce.text,
                resend_url: &format!("{OWN_PREFIX}/resend-code?nonce={}", nonce.text),
                start_over_url: &self.start_url(&pending.flow, request.now),
                minutes: self.minutes(),
                error,
            }),
        )
    }

    /// The code was right before and is spent.
    fn used_code(&self, request: &EndpointRequest, flow: &Flow) -> Answer {
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(Problem {
                title: "This One-Time PIN has already been used",
                message: "A code works once. If you are not logged in, ask for a new one.",
                reference: None,
                retry_url: Some(&self.start_url(flow, request.now)),
                retry_label: "Continue",
            }),
        )
    }

    /// The browser brings no cookie, or that of another login.
    fn invalid_session(&self, request: &EndpointRequest, flow: Option<&Flow>) -> Answer {
        let start = flow
            .map(|flow| self.start_url(flow, request.now))
            .or_else(|| self.directory.entrance(&request.host));
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(Problem {
                title: "Invalid session. Please try logging in again.",
                message: "The login took too long, was begun in another browser, or cookies are blocked.",
                reference: None,
                retry_url: start.as_deref(),
                retry_label: "Log in again",
            }),
        )
    }

    fn too_often(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        typed: &str,
        limit: TooOften,
    ) -> Result<Answer, Refusal> {
        let minutes = limit.retry_after.as_secs().div_ceil(60);
        let error =
            format!("Too many codes have been asked for. Please try again in {minutes} minutes.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let answer = self.sign_in_page(request, purpose, status, Some(typed), Some(&error))?;
        Ok(retry_later(answer, limit))
    }

    fn too_many_guesses(&self, request: &EndpointRequest, flow: &Flow, limit: TooOften) -> Answer {
        tracing::warn!(
            target: "tower_access::audit",
            audience = flow.audience, address = %crate::address::Shown(request.sender.address),
            "too many wrong codes: no more are looked at for a while"
        );
        let minutes = limit.retry_after.as_secs().div_ceil(60);
        let page = Page::Problem(Problem {
            title: "Too many wrong codes",
            message: &format!("Please ask for a new code and try again in {minutes} minutes."),
            reference: None,
            retry_url: Some(&self.start_url(flow, request.now)),
            retry_label: "Start again",
        });
        retry_later(self.page(StatusCode::TOO_MANY_REQUESTS, &page), limit)
    }

    /// How long a code is good, for people.
    fn minutes(&self) -> u64 {
        self.one_time_pin.expires_in.as_secs().div_ceil(60)
    }

    /// Binds a code to its login, its address and its turn.
    fn code_mac(&self, nonce: &Nonce, pending: &Pending, code: &str) -> String {
        let parts = [
            nonce.text.as_bytes(),
            pending.email.as_bytes(),
            &pending.serial.to_be_bytes(),
            code.as_bytes(),
        ];
        to_hex(tag(&self.keys.pin, &parts).as_ref())
    }
}

fn retry_later(answer: Answer, limit: TooOften) -> Answer {
    with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string())
}

fn code_page(flow: &Flow, nonce: &Nonce) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("kid", &flow.audience)
        .append_pair("redirect_url", flow.target.as_str())
        .append_pair("nonce", &nonce.text)
        .finish();
    format!("{OWN_PREFIX}/verify-code/{}?{query}", flow.host)
}

/// What kind of login method this is (section 16 of the contract).
pub(super) const TYPE: &str = "onetimepin";
const MOST_CODES: u32 = 3;
const MAIL_TIME_LIMIT: Duration = Duration::from_secs(60);
const LONGEST_ADDRESS: usize = 254;
