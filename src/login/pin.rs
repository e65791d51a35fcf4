//! The one-time PIN: asked for, mailed, typed.
//!
//! Six digits from the system's generator, good for some minutes, a few attempts and one use, in
//! the browser that asked for it. The store holds its MAC, never the code. Whatever address is
//! typed, the answers are the same; mail goes to addresses the policies could let in.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, redirect, with, with_cookie};
use crate::application::{CanonicalHost, Protected};
use crate::identity::Email;
use crate::random::{self, Random, RandomUnavailable, to_hex};
use crate::secret::{equal, tag};
use crate::session::cookie;

use super::form::Fields;
use super::limits::{TooOften, count_mail};
use super::mail::{Mail, PinMail};
use super::meta::hash;
use super::pages::{CodeError, EnterCode, Page};
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::sign_in::Purpose;
use super::{EndpointRequest, Login, Refusal, device, read_record, write_record};

/// How long a one-time PIN is good, and for how many attempts.
#[derive(Clone, Copy, Debug)]
pub struct OneTimePin {
    expires_in: Duration,
    attempts: u32,
}

impl OneTimePin {
    /// Five minutes, three attempts.
    #[must_use]
    pub fn new() -> Self {
        Self { expires_in: Duration::from_secs(300), attempts: 3 }
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

/// A login that waits for its code, as the store has it.
#[derive(Debug, Deserialize, Serialize)]
struct Pending {
    /// As it was typed, in lower case.
    email: String,
    /// Whether mail was sent. Without, no code is ever right.
    eligible: bool,
    audience: String,
    host: String,
    target: String,
    app_session_hash: Option<String>,
    /// Hash of the cookie of the browser that began.
    browser: String,
    /// The query of the login address, to start again.
    query: String,
    /// How many codes were made; an older one is dead.
    serial: u32,
    code: String,
    code_ends: u64,
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
        let Some(browser) = request.hex_cookie(cookie::SESSION) else {
            return Ok(self.invalid_session(request, Some(&purpose)));
        };
        let form = request.form()?;
        let typed = form.required("email")?.trim().to_ascii_lowercase();
        if typed.chars().count() > LONGEST_ADDRESS || typed.contains(char::is_control) {
            return Err(Refusal::BadRequest);
        }
        if let Err(limit) = self.count_mail(request, &typed).await? {
            return self.too_often(request, &purpose, &typed, limit);
        }
        let nonce = random::hex::<16>(&*self.random)?;
        let mut pending = Pending {
            eligible: false,
            audience: purpose.protected.audience().to_owned(),
            host: purpose.host.to_string(),
            target: purpose.target.as_str().to_owned(),
            app_session_hash: purpose.app_session_hash.clone(),
            browser: hash(browser),
            query: purpose.query.clone(),
            serial: 0,
            code: String::new(),
            code_ends: 0,
            email: typed,
        };
        self.renew_code(&nonce, &mut pending, purpose.protected, request).await?;
        Ok(redirect(&code_page(&pending, &nonce)))
    }

    /// `GET verify-code/HOST?…&nonce=…`: the page that asks for the code.
    pub(super) async fn show_code_form(
        &self,
        request: &EndpointRequest,
    ) -> Result<Answer, Refusal> {
        let nonce = Nonce::of(&request.query()?)?;
        match self.pending(request, &nonce).await? {
            Ok(pending) => {
                let ended = (request.now.as_unix_seconds() >= pending.code_ends)
                    .then_some(CodeError::Expired);
                self.code_form(&nonce, &pending, StatusCode::OK, ended)
            }
            Err(refusal) => Ok(refusal),
        }
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
        let mut pending = match self.pending(request, &nonce).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let Some(protected) = self.directory.by_audience(&pending.audience) else {
            return Ok(self.unknown_application(request));
        };
        let limited = pending.serial >= MOST_CODES
            || self.count_mail(request, &pending.email).await?.is_err();
        if limited {
            let limit = Some(CodeError::ResendLimited);
            return self.code_form(&nonce, &pending, StatusCode::TOO_MANY_REQUESTS, limit);
        }
        self.renew_code(&nonce.text, &mut pending, protected, request).await?;
        Ok(redirect(&code_page(&pending, &nonce.text)))
    }

    /// `POST callback`: a code was typed.
    pub(super) async fn check_code(&self, request: &EndpointRequest) -> Result<Answer, Refusal> {
        let form = request.form()?;
        let nonce = Nonce::of(&form)?;
        let typed = form.required("code")?;
        let pending = match self.pending(request, &nonce).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        if request.now.as_unix_seconds() >= pending.code_ends {
            return self.code_form(
                &nonce,
                &pending,
                StatusCode::FORBIDDEN,
                Some(CodeError::Expired),
            );
        }
        // Counted before it is looked at: parallel guesses share the same few attempts.
        let attempt_key = format!("pin-attempt/{}-{}", nonce.hash, pending.serial);
        let attempt = self.store.count(&attempt_key, FLOW_LIFETIME).await?;
        let attempts = u64::from(self.one_time_pin.attempts);
        let right = pending.eligible
            && attempt <= attempts
            && plain_code(typed).is_some_and(|code| {
                equal(
                    pending.code.as_bytes(),
                    self.code_mac(&nonce.text, &pending, &code).as_bytes(),
                )
            });
        if !right {
            let error = match attempts.saturating_sub(attempt) {
                0 => CodeError::Exhausted,
                attempts_left => CodeError::Wrong { attempts_left },
            };
            return self.code_form(&nonce, &pending, StatusCode::FORBIDDEN, Some(error));
        }
        // Of two that come with the right code at once, one gets it.
        if self.store.take(&nonce.key()).await?.is_none() {
            return self.code_form(
                &nonce,
                &pending,
                StatusCode::FORBIDDEN,
                Some(CodeError::AlreadyUsed),
            );
        }
        let used =
            write_record(&Used { query: pending.query.clone(), host: pending.host.clone() })?;
        self.store.put(&nonce.used_key(), used, FLOW_LIFETIME).await?;
        self.log_in(request, pending).await
    }

    /// The person is who they say. The policies are asked again: they may have changed.
    async fn log_in(&self, request: &EndpointRequest, pending: Pending) -> Result<Answer, Refusal> {
        let email: Email = pending.email.parse().map_err(|_| Refusal::BadRequest)?;
        let Some(protected) = self.directory.by_audience(&pending.audience) else {
            return Ok(self.unknown_application(request));
        };
        let host: CanonicalHost = pending.host.parse().map_err(|_| Refusal::BadRequest)?;
        // A new login, a new session: the one this browser had before is dead.
        if let Some(claims) = self.session_claims(request) {
            self.end_session(&claims, request.now).await?;
        }
        let issuer = self.issuer_name(&request.host);
        let lifetime = self.session_duration.unwrap_or(protected.application.session_duration);
        let session =
            self.sessions.start(email, &issuer, request.address, request.now, lifetime).await?;
        tracing::info!(
            target: "tower_access::audit",
            application = %protected.application.name, email = %session.email, session = session.id,
            address = %crate::address::Shown(request.address), "logged in"
        );
        let origin = self.origins.of(&host);
        let purpose = Purpose {
            protected,
            target: ReturnTarget::parse(&pending.target, &origin),
            host,
            app_session_hash: pending.app_session_hash,
            query: pending.query,
        };
        let answer = self.enter(request, &purpose, &session).await?;
        let token = self.issuer.session_token(&issuer, &session, request.now)?;
        let session_cookie = cookie::SetCookie {
            // On a host that is an application as well, the application never sees it.
            login_only: self.directory.knows_host(request.host.as_str()),
            ..cookie::SetCookie::new(cookie::AUTHORIZATION, &token.token, token.end())
        };
        let device = device::issue(&self.keys.device, &session.email, &*self.random)?;
        let device_cookie = cookie::SetCookie {
            same_site: crate::application::SameSite::Strict,
            ..cookie::SetCookie::new(
                cookie::DEVICE,
                &device,
                request.now.plus(cookie::DEVICE_LIFETIME),
            )
        };
        let answer = with_cookie(answer, session_cookie.header(&request.host));
        Ok(with_cookie(answer, device_cookie.header(&request.host)))
    }

    /// Makes a code, writes the login down, mails the code where it may go.
    async fn renew_code(
        &self,
        nonce: &str,
        pending: &mut Pending,
        protected: &Protected,
        request: &EndpointRequest,
    ) -> Result<(), Refusal> {
        // A place for the mail is reserved for every address, so that a full queue tells nothing.
        let slot = Arc::clone(&self.mail_slots)
            .try_acquire_owned()
            .map_err(|_| crate::store::StoreError::new("too many mails under way"))?;
        let code = draw_code(&*self.random)?;
        let email = pending.email.parse::<Email>().ok();
        pending.eligible = email
            .as_ref()
            .is_some_and(|email| protected.policies.could_allow(email, request.address));
        pending.serial += 1;
        pending.code_ends = request.now.plus(self.one_time_pin.expires_in).as_unix_seconds();
        pending.code = self.code_mac(nonce, pending, &code);
        let key = format!("pin/{}", hash(nonce));
        self.store.put(&key, write_record(pending)?, FLOW_LIFETIME).await?;
        tracing::info!(
            target: "tower_access::audit",
            application = %protected.application.name, email = %pending.email.escape_default(),
            eligible = pending.eligible, address = %crate::address::Shown(request.address),
            "one-time PIN asked for"
        );
        if let Some(email) = email.filter(|_| pending.eligible) {
            let content = PinMail {
                application: &protected.application.name,
                host: &pending.host,
                code: &code,
                minutes: self.one_time_pin.expires_in.as_secs().div_ceil(60),
            };
            let mail = Mail::new(email, content.subject(), content.text(), content.html());
            let mailer = Arc::clone(&self.mailer);
            // Beside the request: its answer takes the same time for every address.
            tokio::spawn(async move {
                let delivery = tokio::time::timeout(MAIL_TIME_LIMIT, mailer.deliver(mail));
                match delivery.await {
                    Ok(Ok(())) => tracing::debug!("one-time PIN mailed"),
                    Ok(Err(error)) => tracing::error!(%error, "a one-time PIN could not be mailed"),
                    Err(_) => tracing::error!("a one-time PIN could not be mailed in time"),
                }
                drop(slot);
            });
        }
        Ok(())
    }

    async fn count_mail(
        &self,
        request: &EndpointRequest,
        email: &str,
    ) -> Result<Result<(), TooOften>, Refusal> {
        let device = cookie::values(&request.headers, cookie::DEVICE)
            .find_map(|value| device::recognise(&self.keys.device, email, value));
        Ok(count_mail(&*self.store, request.address, email, device).await?)
    }

    /// The login a nonce stands for, if this browser began it.
    async fn pending(
        &self,
        request: &EndpointRequest,
        nonce: &Nonce,
    ) -> Result<Result<Pending, Answer>, Refusal> {
        let browser = request.hex_cookie(cookie::SESSION);
        if let Some(pending) = read_record::<Pending>(self.store.get(&nonce.key()).await?) {
            let same = browser
                .is_some_and(|browser| equal(pending.browser.as_bytes(), hash(browser).as_bytes()));
            return Ok(if same { Ok(pending) } else { Err(self.invalid_session(request, None)) });
        }
        let used = read_record::<Used>(self.store.get(&nonce.used_key()).await?);
        Ok(Err(match used.filter(|_| browser.is_some()) {
            Some(used) => self.used_code(&used),
            None => self.invalid_session(request, None),
        }))
    }

    fn code_form(
        &self,
        nonce: &Nonce,
        pending: &Pending,
        status: StatusCode,
        error: Option<CodeError>,
    ) -> Result<Answer, Refusal> {
        let application = self
            .directory
            .by_audience(&pending.audience)
            .map_or("", |protected| &*protected.application.name);
        let resend = format!("{OWN_PREFIX}/resend-code?nonce={}", nonce.text);
        let start_over = format!("{OWN_PREFIX}/login/{}?{}", pending.host, pending.query);
        let page = Page::EnterCode(EnterCode {
            application,
            email: &pending.email,
            action: &format!("{OWN_PREFIX}/callback"),
            nonce: &nonce.text,
            resend_url: &resend,
            start_over_url: &start_over,
            minutes: self.one_time_pin.expires_in.as_secs().div_ceil(60),
            error,
        });
        Ok(self.page(status, &page))
    }

    /// The code was right before and is spent.
    fn used_code(&self, used: &Used) -> Answer {
        let start_over = format!("{OWN_PREFIX}/login/{}?{}", used.host, used.query);
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(super::pages::Problem {
                title: "This One-Time PIN has already been used",
                message: "A code works once. If you are not logged in, ask for a new one.",
                reference: None,
                retry_url: Some(&start_over),
                retry_label: "Continue",
            }),
        )
    }

    /// The browser brings no cookie, or that of another login.
    fn invalid_session(&self, request: &EndpointRequest, purpose: Option<&Purpose<'_>>) -> Answer {
        let start_over = purpose
            .map(|purpose| format!("{OWN_PREFIX}/login/{}?{}", purpose.host, purpose.query))
            .or_else(|| self.directory.knows_host(request.host.as_str()).then(|| "/".to_owned()));
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(super::pages::Problem {
                title: "Invalid session. Please try logging in again.",
                message: "The login took too long, was begun in another browser, or cookies are blocked.",
                reference: None,
                retry_url: start_over.as_deref(),
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
        Ok(with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string()))
    }

    /// Binds a code to its login, its address and its turn.
    fn code_mac(&self, nonce: &str, pending: &Pending, code: &str) -> String {
        let parts = [
            nonce.as_bytes(),
            pending.email.as_bytes(),
            &pending.serial.to_be_bytes(),
            code.as_bytes(),
        ];
        to_hex(tag(&self.keys.pin, &parts).as_ref())
    }
}

/// What is left of a login whose code was used.
#[derive(Debug, Deserialize, Serialize)]
struct Used {
    query: String,
    host: String,
}

/// The name of a login under way. The store knows its hash.
struct Nonce {
    text: String,
    hash: String,
}

impl Nonce {
    fn of(fields: &Fields) -> Result<Self, Refusal> {
        let text = fields.required("nonce")?;
        if !super::endpoint::is_hex(text) {
            return Err(Refusal::BadRequest);
        }
        Ok(Self { text: text.to_owned(), hash: hash(text) })
    }

    fn key(&self) -> String {
        format!("pin/{}", self.hash)
    }

    fn used_key(&self) -> String {
        format!("pin-used/{}", self.hash)
    }
}

fn code_page(pending: &Pending, nonce: &str) -> String {
    format!("{OWN_PREFIX}/verify-code/{}?{}&nonce={nonce}", pending.host, pending.query)
}

/// Six digits, all equally likely.
fn draw_code(random: &dyn Random) -> Result<String, RandomUnavailable> {
    loop {
        let mut bytes = [0; 4];
        random.fill(&mut bytes)?;
        let number = u32::from_be_bytes(bytes);
        // The last incomplete million would favour small codes.
        if number < u32::MAX / 1_000_000 * 1_000_000 {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}

/// The digits of a typed code: blanks between them do not count, nothing else is read away.
fn plain_code(typed: &str) -> Option<String> {
    let digits: String = typed.chars().filter(|c| *c != ' ').collect();
    (typed.len() <= 16 && digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(digits)
}

/// How long a login may take in all, over several codes.
const FLOW_LIFETIME: Duration = Duration::from_secs(1800);
const MOST_CODES: u32 = 3;
const MAIL_TIME_LIMIT: Duration = Duration::from_secs(60);
const LONGEST_ADDRESS: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn otp_17_codes_are_uniform() {
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            let code = draw_code(&SystemRandom).unwrap();
            assert_eq!(code.len(), 6);
            for digit in code.bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        // 600,000 digits: five standard deviations around 60,000.
        assert!(counts.iter().all(|count| (58_800..61_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn otp_07_only_six_plain_digits_are_a_code() {
        assert_eq!(plain_code("123456").as_deref(), Some("123456"));
        assert_eq!(plain_code("123 456").as_deref(), Some("123456"));
        for typed in
            ["", "12345", "1234567", "１２３４５６", "12345a", "123-456", "+12345", "12\t3456"]
        {
            assert_eq!(plain_code(typed), None, "{typed}");
        }
        assert_eq!(plain_code(&" ".repeat(1_000_000)), None);
    }
}
