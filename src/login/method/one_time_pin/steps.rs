//! The steps from an email address to the right code.

use std::time::Duration;

use http::StatusCode;

use super::FLOW_LIFETIME;
use super::code::parse_code;
use super::draw::DrawnCode;
use super::pending::{MAX_CODES, Nonce, Pending};
use super::{PinRequest, VERIFY_CODE, device};
use crate::application::{CompiledApplication, SameSite};
use crate::audit::{self, Event, EventKind};
use crate::identity::{Attributes, Email};
use crate::login::limits::RateLimited;
use crate::login::meta::hash;
use crate::login::method::{Authenticated, Finished, Step};
use crate::login::purpose::Purpose;
use crate::login::redirect::OWN_PREFIX;
use crate::login::{Flow, Refusal};
use crate::pages::CodeError;
use crate::random;
use crate::secret::equal;
use crate::session::cookie;
use crate::util::response::{ResponseBytes, with_cookie};

impl PinRequest<'_> {
    /// Handles `POST verify-code/HOST`: the email address.
    pub(super) async fn send_code(&self, app_host: &str) -> Result<ResponseBytes, Refusal> {
        let Some(purpose) = self.login.purpose(&self.request.query()?, app_host, self.request)?
        else {
            // The application's audience has changed since the page was sent.
            return self.login.start_without_application(self.request, Some(app_host)).await;
        };
        if !self.method.is_offered(purpose.protected) {
            return Ok(self.login.no_login_method(self.request, &purpose));
        }
        let Some(browser) = self.request.random_cookies(cookie::SESSION).next() else {
            let entered =
                self.login.enter_with_existing_session(self.request, &purpose.flow, None).await?;
            return Ok(entered
                .unwrap_or_else(|| self.login.invalid_session(self.request, Some(&purpose.flow))));
        };
        let form = self.request.form()?;
        let typed = form.required("email")?.trim().to_ascii_lowercase();
        if typed.chars().count() > MAX_EMAIL_CHARS || typed.contains(char::is_control) {
            return Err(Refusal::BadRequest);
        }
        if let Some(entered) = self
            .login
            .enter_with_existing_session(self.request, &purpose.flow, Some(&typed))
            .await?
        {
            return Ok(entered);
        }
        // The page may have been open for hours: renews the cookie for the login that begins.
        let end = self.request.now.plus(cookie::SESSION_LIFETIME);
        let again =
            cookie::SetCookie::new(cookie::SESSION, browser, end).header(&self.request.host);
        let browser = hash(browser);
        if let Err(limit) = self.count_code_request(&typed, &browser).await? {
            return Ok(self.too_often(&purpose, &typed, limit));
        }
        let Purpose { protected, mut flow } = purpose;
        // The previous page said so.
        flow.is_shortened = false;
        let flow =
            self.login.fit_for_seal(flow, self.request.sender.address, self.request.now).await?;
        let (pending, nonce) = self.begin(protected, (flow, typed, browser)).await?;
        Ok(with_cookie(self.to_code_page(&pending, &nonce), again))
    }

    /// Begins a pending login, and mails its code. Creates no record.
    async fn begin(
        &self,
        protected: &CompiledApplication,
        (flow, email, browser): (Flow, String, String),
    ) -> Result<(Pending, Nonce), Refusal> {
        let id = random::hex::<16>(&*self.login.random)?;
        let drawn = self.draw(protected, (&id, &email, 1)).await?;
        let pending = Pending {
            id,
            browser,
            flow,
            email,
            begun_at: self.request.now.as_unix_seconds(),
            code: drawn.code.clone(),
            resent: None,
        };
        let nonce = self.seal_pending(&pending).await?;
        self.mail(drawn, protected, (&pending.flow.host, &nonce)).await?;
        Ok((pending, nonce))
    }

    /// Handles `GET verify-code/HOST?…&nonce=…`: the code page.
    pub(super) async fn show_code_form(&self, app_host: &str) -> Result<ResponseBytes, Refusal> {
        let query = self.request.query()?;
        let nonce = Nonce::from_fields(&query)?;
        // The flow in the URL: used to start again if the login is gone.
        let purpose = self.login.purpose(&query, app_host, self.request)?;
        let flow = purpose.as_ref().map(|purpose| &purpose.flow);
        Ok(match self.pending(&nonce, flow).await? {
            Ok(pending) => {
                let ended = pending.code.has_ended(self.request.now).then_some(CodeError::Expired);
                self.code_form(&nonce, &pending, StatusCode::OK, ended)
            }
            Err(refusal) => refusal,
        })
    }

    /// Handles `GET resend-code?nonce=…`: sends another code, which invalidates the previous one.
    pub(super) async fn resend_code(&self) -> Result<ResponseBytes, Refusal> {
        let nonce = Nonce::from_fields(&self.request.query()?)?;
        // A link of another site must not send mail.
        let foreign =
            self.request.headers.get("sec-fetch-site").is_some_and(|site| {
                site.as_bytes() != b"same-origin" && site.as_bytes() != b"none"
            });
        if foreign {
            return Ok(self.login.invalid_session(self.request, None));
        }
        let pending = match self.pending(&nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let Some(protected) = self.login.directory.by_audience(&pending.flow.audience) else {
            return Ok(self.login.unknown_application(self.request));
        };
        let asked = self.count_code_request(&pending.email, &pending.browser).await?;
        let is_last = pending.code.serial >= MAX_CODES;
        if let Some(limit) = asked.err().or_else(|| is_last.then_some(NO_MORE_CODES)) {
            return Ok(self.no_more_codes(&nonce, &pending, limit));
        }
        if !self.counters().may_record("pin-resent").await? {
            // Strangers have used up the room for records. A new login needs none.
            let Pending { flow, email, browser, .. } = pending;
            let (pending, nonce) = self.begin(protected, (flow, email, browser)).await?;
            return Ok(self.to_code_page(&pending, &nonce));
        }
        let turn = (&*pending.id, &*pending.email, pending.code.serial + 1);
        let drawn: DrawnCode = self.draw(protected, turn).await?;
        // Of two parallel requests, only one mails: the other code would already be invalid.
        if self.replace_code(&pending, &drawn.code).await? {
            self.mail(drawn, protected, (&pending.flow.host, &nonce)).await?;
        }
        Ok(self.to_code_page(&pending, &nonce))
    }

    /// Handles `POST callback`: the code.
    pub(super) async fn check_code(&self) -> Result<Step, Refusal> {
        let form = self.request.form()?;
        let nonce = Nonce::from_fields(&form)?;
        // An empty field is handled like any other malformed code.
        let typed = form.one("code")?.ok_or(Refusal::BadRequest)?;
        let pending = match self.pending(&nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal.into()),
        };
        let refuse = |error| {
            let status = StatusCode::FORBIDDEN;
            Ok(self.code_form(&nonce, &pending, status, Some(error)).into())
        };
        if pending.code.has_ended(self.request.now) {
            return refuse(CodeError::Expired);
        }
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let (name, digits) = (pending.code_name(), pending.code.digits);
        let attempts = u64::from(pending.code.attempts);
        let wrong = |attempt: u64| match attempts.saturating_sub(attempt) {
            0 => CodeError::Exhausted,
            attempts_left => CodeError::Wrong { attempts_left },
        };
        // A malformed code is not a guess: it is neither counted nor recorded.
        let Some(code) = parse_code(typed, digits) else {
            let attempts_left = attempts.saturating_sub(counters.attempts(&name).await?);
            return refuse(match attempts_left {
                0 => CodeError::Exhausted,
                attempts_left => CodeError::Malformed { digits, attempts_left },
            });
        };
        // A browser that has logged in with this address before has its own limit on guesses.
        let device = self.device(&pending.email);
        let is_trusted = match device {
            Some(device) => counters.trusts_browser(device, limits).await?,
            None => false,
        };
        let budget = self.method.settings.guess_budget();
        // Shorter codes have a smaller daily budget: an attacker may have begun many logins in advance,
        // but their short codes are no longer checked once many have been tried.
        if !is_trusted && budget.required(counters.used_guess_budget().await?) > digits {
            return self.renew(pending).await.map(Step::from);
        }
        // Counted before the check, so that parallel guesses share the same few attempts.
        let attempt = counters.count_attempt(&name, FLOW_LIFETIME).await?;
        if attempt > attempts {
            return refuse(CodeError::Exhausted);
        }
        let guess = if is_trusted { None } else { Some(counters.count_guess(digits).await?) };
        if guess.is_some_and(|guess| !budget.allows(digits, guess.used)) {
            return self.renew(pending).await.map(Step::from);
        }
        let mac = self.code_mac((&pending.id, &pending.email, pending.code.serial), &code);
        if !equal(pending.code.mac.as_bytes(), mac.as_bytes()) {
            match device.filter(|_| is_trusted) {
                Some(device) => counters.count_wrong_code_of_browser(device).await?,
                None => counters.count_wrong_code(self.request.sender.address).await?,
            }
            return refuse(wrong(attempt));
        }
        if let Some(guess) = guess {
            counters.refund_guess(guess).await?;
        }
        if !self.use_up(&pending).await? {
            return refuse(CodeError::AlreadyUsed);
        }
        if let Some(shared) = pending.code.shared()
            && !self.use_up_shared(&pending.email, shared).await?
        {
            return refuse(CodeError::AlreadyUsed);
        }
        self.finish(pending).await
    }

    /// Handles a code that is now too short because of others' guesses: it is not checked, and a longer
    /// one is mailed. The login begins again, which creates no record. Only the limits on mail bound it.
    async fn renew(&self, pending: Pending) -> Result<ResponseBytes, Refusal> {
        let Pending { flow, email, browser, .. } = pending;
        let Some(protected) = self.login.directory.by_audience(&flow.audience) else {
            return Ok(self.login.unknown_application(self.request));
        };
        audit::record(
            &Event::new(EventKind::ShortPinIgnored)
                .application(protected.audited())
                .address(self.request.sender.address),
        );
        let (pending, nonce) = self.begin(protected, (flow, email, browser)).await?;
        let error = Some(CodeError::TooShort);
        Ok(self.code_form(&nonce, &pending, StatusCode::FORBIDDEN, error))
    }

    /// Finishes the login of an authenticated user. The rest is the same for all login methods.
    async fn finish(&self, pending: Pending) -> Result<Step, Refusal> {
        let Pending { flow, email: typed, .. } = pending;
        let email: Email = typed.parse().map_err(|_| Refusal::BadRequest)?;
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let network = self.request.sender.address;
        if let Err(error) = counters.remember_network(&typed, network, limits).await {
            // Not necessary for the login.
            tracing::warn!(%error, "the network of a login was not recorded");
        }
        let device = device::issue(&self.keys().device, &email, &*self.login.random)?;
        let device_end = self.request.now.plus(cookie::DEVICE_LIFETIME);
        let device_cookie = cookie::SetCookie {
            same_site: SameSite::Strict,
            ..cookie::SetCookie::new(cookie::DEVICE, &device, device_end)
        };
        let attributes = Attributes::clone(&self.method.attributes);
        Ok(Step::Finished(Box::new(Finished {
            flow,
            authenticated: Authenticated { email, attributes, account: None },
            cookies: device_cookie.header(&self.request.host).into_iter().collect(),
        })))
    }

    /// Counts the requests of one browser. Nobody else can use up its limit.
    async fn count_code_request(
        &self,
        email: &str,
        browser: &str,
    ) -> Result<Result<(), RateLimited>, Refusal> {
        let counters = self.counters();
        Ok(counters.count_browser_request((email, browser), &self.method.settings.limits).await?)
    }
}

/// Returns the URL of the code page.
pub(super) fn code_page(flow: &Flow, nonce: &Nonce) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    // Used only to start again: the sealed login has its own target.
    query.append_pair("kid", &flow.audience);
    query.append_pair("redirect_url", flow.target.abbreviated().as_str());
    if let Some(id) = &flow.stored {
        query.append_pair("target", id.as_str());
    }
    let query = query.append_pair("nonce", &nonce.text).finish();
    format!("{OWN_PREFIX}/{VERIFY_CODE}/{}?{query}", flow.host)
}

/// The limit for a login that has had all its codes. Another login has new ones.
const NO_MORE_CODES: RateLimited = RateLimited { retry_after: Duration::from_secs(300) };
const MAX_EMAIL_CHARS: usize = 254;
