//! The one-time PIN: asked for, mailed, typed.
//!
//! Digits from the system's generator, six as long as nobody guesses, good for some minutes, a few
//! attempts and one use, in the browser that asked for it. What is written down of it is its MAC,
//! never the code, and that travels with the browser, sealed: see [`pending`]. Whatever address is
//! typed, the answers are the same; mail goes to addresses the policies could let in.
//!
//! How long a code has to be says [`pressure`]; one that is too short by the time it is typed is not
//! looked at, and a longer one is mailed. Who gets a code of their own, and who a [`shared`] one, says
//! [`limits`](crate::login::limits::mails).

mod answers;
mod code;
mod draw;
mod pending;
pub(in crate::login) mod pressure;
mod settings;
mod shared;

use std::time::Duration;

use http::StatusCode;

use self::code::plain_code;
use self::draw::Drawn;
pub(crate) use self::pending::ERA as PENDING_ERA;
use self::pending::{FLOW_LIFETIME, MOST_CODES, Nonce, Pending};
#[cfg(feature = "config")]
pub(crate) use self::settings::{DIGITS, REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};
pub use self::settings::{OneTimePin, OneTimePinLimits};
use crate::answer::{Answer, with_cookie};
use crate::application::{Protected, SameSite};
use crate::identity::{Attributes, Email, LoginMethod};
use crate::login::limits::TooOften;
use crate::login::meta::hash;
use crate::login::redirect::OWN_PREFIX;
use crate::login::sign_in::Purpose;
use crate::login::{EndpointRequest, Flow, Login, Refusal, browser, device};
use crate::pages::CodeError;
use crate::random;
use crate::secret::equal;
use crate::session::{Start, cookie};

impl Login {
    /// `POST verify-code/HOST`: an address was typed.
    pub(in crate::login) async fn send_code(
        &self,
        request: &EndpointRequest,
        app_host: &str,
    ) -> Result<Answer, Refusal> {
        let Some(purpose) = self.purpose(&request.query()?, app_host, request)? else {
            // The application has got another name since the page was there.
            return self.enter_by_hand(request, Some(app_host)).await;
        };
        if !self.offers_login(purpose.protected) {
            return Ok(self.no_login_method(request, &purpose));
        }
        let Some(browser) = request.random_cookies(cookie::SESSION).next() else {
            let entered = self.enter_again(request, &purpose.flow, None).await?;
            return Ok(
                entered.unwrap_or_else(|| self.invalid_session(request, Some(&purpose.flow)))
            );
        };
        let form = request.form()?;
        let typed = form.required("email")?.trim().to_ascii_lowercase();
        if typed.chars().count() > LONGEST_ADDRESS || typed.contains(char::is_control) {
            return Err(Refusal::BadRequest);
        }
        if let Some(entered) = self.enter_again(request, &purpose.flow, Some(&typed)).await? {
            return Ok(entered);
        }
        // The page may have been open for hours: the cookie lasts as long as the login that begins.
        let end = request.now.plus(cookie::SESSION_LIFETIME);
        let again = cookie::SetCookie::new(cookie::SESSION, browser, end).header(&request.host);
        let browser = hash(browser);
        if let Err(limit) = self.count_asked(request, &typed, &browser).await? {
            return self.too_often(request, &purpose, &typed, limit);
        }
        let Purpose { protected, mut flow } = purpose;
        // The page that was sent from here said so.
        flow.is_shortened = false;
        let flow = self.fit_for_seal(flow, request.sender.address, request.now).await?;
        let (pending, nonce) = self.begin(request, protected, (flow, typed, browser)).await?;
        Ok(with_cookie(self.to_code_page(request, &pending, &nonce), again))
    }

    /// Begins a login that waits for its code, and mails that. It leaves no record.
    async fn begin(
        &self,
        request: &EndpointRequest,
        protected: &Protected,
        (flow, email, browser): (Flow, String, String),
    ) -> Result<(Pending, Nonce), Refusal> {
        let id = random::hex::<16>(&*self.random)?;
        let drawn = self.draw(request, protected, (&id, &email, 1)).await?;
        let pending = Pending {
            id,
            browser,
            flow,
            email,
            begun_at: request.now.as_unix_seconds(),
            code: drawn.code.clone(),
            resent: None,
        };
        let nonce = self.seal_pending(&pending).await?;
        self.mail(request, drawn, (protected, &pending.flow.host)).await?;
        Ok((pending, nonce))
    }

    /// `GET verify-code/HOST?…&nonce=…`: the page that asks for the code.
    pub(in crate::login) async fn show_code_form(
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
                let ended = pending.code.has_ended(request.now).then_some(CodeError::Expired);
                self.code_form(request, &nonce, &pending, StatusCode::OK, ended)
            }
            Err(refusal) => refusal,
        })
    }

    /// `GET resend-code?nonce=…`: another code, the earlier one is dead.
    pub(in crate::login) async fn resend_code(
        &self,
        request: &EndpointRequest,
    ) -> Result<Answer, Refusal> {
        let nonce = Nonce::of(&request.query()?)?;
        // A link of another site must not send mail.
        let foreign = request
            .headers
            .get("sec-fetch-site")
            .is_some_and(|site| site.as_bytes() != b"same-origin" && site.as_bytes() != b"none");
        if foreign {
            return Ok(self.invalid_session(request, None));
        }
        let pending = match self.pending(request, &nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let Some(protected) = self.directory.by_audience(&pending.flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        let asked = self.count_asked(request, &pending.email, &pending.browser).await?;
        let is_last = pending.code.serial >= MOST_CODES;
        if let Some(limit) = asked.err().or_else(|| is_last.then_some(NO_MORE_CODES)) {
            return Ok(self.no_more_codes(request, &nonce, &pending, limit));
        }
        if !self.counters(request.now).may_record("pin-resent").await? {
            // Strangers have had so many sent again that there is no room for more records. A login
            // that begins anew needs none.
            let Pending { flow, email, browser, .. } = pending;
            let (pending, nonce) = self.begin(request, protected, (flow, email, browser)).await?;
            return Ok(self.to_code_page(request, &pending, &nonce));
        }
        let turn = (&*pending.id, &*pending.email, pending.code.serial + 1);
        let drawn: Drawn = self.draw(request, protected, turn).await?;
        // Asked for twice at once, one code is made: the other would be dead when it arrives.
        if self.replace_code(&pending, &drawn.code).await? {
            self.mail(request, drawn, (protected, &pending.flow.host)).await?;
        }
        Ok(self.to_code_page(request, &pending, &nonce))
    }

    /// `POST callback`: a code was typed.
    pub(in crate::login) async fn check_code(
        &self,
        request: &EndpointRequest,
    ) -> Result<Answer, Refusal> {
        let form = request.form()?;
        let nonce = Nonce::of(&form)?;
        // An empty field is answered as any other that holds no code.
        let typed = form.one("code")?.ok_or(Refusal::BadRequest)?;
        let pending = match self.pending(request, &nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let refuse = |error| {
            Ok(self.code_form(request, &nonce, &pending, StatusCode::FORBIDDEN, Some(error)))
        };
        if pending.code.has_ended(request.now) {
            return refuse(CodeError::Expired);
        }
        let (counters, limits) = (self.counters(request.now), &self.one_time_pin.limits);
        let (name, digits) = (pending.code_name(), pending.code.digits);
        let attempts = u64::from(pending.code.attempts);
        let wrong = |attempt: u64| match attempts.saturating_sub(attempt) {
            0 => CodeError::Exhausted,
            attempts_left => CodeError::Wrong { attempts_left },
        };
        // What could never be right is no guess: it uses up nobody's, and writes nothing down.
        let Some(code) = plain_code(typed, digits) else {
            let attempts_left = attempts.saturating_sub(counters.attempts(&name).await?);
            return refuse(match attempts_left {
                0 => CodeError::Exhausted,
                attempts_left => CodeError::NotACode { digits, attempts_left },
            });
        };
        // A browser that has logged in with this address before has guesses of its own.
        let device = self.device(request, &pending.email);
        let is_trusted = match device {
            Some(device) => counters.trusts_browser(device, limits).await?,
            None => false,
        };
        let budget = self.one_time_pin.guess_budget();
        // The shorter a code, the fewer guesses a day has for it: however many logins somebody has
        // begun while all was calm, their codes are not looked at any more when many are tried.
        if !is_trusted && budget.required(counters.guessed().await?) > digits {
            return self.renew(request, pending).await;
        }
        // Counted before it is looked at: parallel guesses share the same few attempts.
        let attempt = counters.count_attempt(&name, FLOW_LIFETIME).await?;
        if attempt > attempts {
            return refuse(CodeError::Exhausted);
        }
        let guess = if is_trusted { None } else { Some(counters.count_guess(digits).await?) };
        if guess.is_some_and(|guess| !budget.allows(digits, guess.used)) {
            return self.renew(request, pending).await;
        }
        let mac = self.code_mac((&pending.id, &pending.email, pending.code.serial), &code);
        if !equal(pending.code.mac.as_bytes(), mac.as_bytes()) {
            match device.filter(|_| is_trusted) {
                Some(device) => counters.count_wrong_code_of_browser(device).await?,
                None => counters.count_wrong_code(request.sender.address).await?,
            }
            return refuse(wrong(attempt));
        }
        if let Some(guess) = guess {
            counters.take_back(guess).await?;
        }
        if !self.use_up(&pending).await? {
            return refuse(CodeError::AlreadyUsed);
        }
        if let Some(shared) = pending.code.shared()
            && !self.use_up_shared(&pending.email, shared).await?
        {
            return refuse(CodeError::AlreadyUsed);
        }
        self.log_in(request, pending).await
    }

    /// The code that was typed is too short for what is guessed by now: it is not looked at, and a
    /// longer one is mailed. The login begins anew, which leaves no record and is bounded by the
    /// limits on mail alone.
    async fn renew(&self, request: &EndpointRequest, pending: Pending) -> Result<Answer, Refusal> {
        let Pending { flow, email, browser, .. } = pending;
        let Some(protected) = self.directory.by_audience(&flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        tracing::warn!(
            target: "tower_access::audit",
            application = &*protected.application.name,
            address = %crate::address::Shown(request.sender.address),
            "many wrong codes are typed: a short code is not looked at, a longer one is mailed"
        );
        let (pending, nonce) = self.begin(request, protected, (flow, email, browser)).await?;
        let error = Some(CodeError::TooShort);
        Ok(self.code_form(request, &nonce, &pending, StatusCode::FORBIDDEN, error))
    }

    /// The person is who they say. The policies are asked again: they may have changed.
    async fn log_in(&self, request: &EndpointRequest, pending: Pending) -> Result<Answer, Refusal> {
        let Pending { flow, email: typed, .. } = pending;
        let email: Email = typed.parse().map_err(|_| Refusal::BadRequest)?;
        let Some(protected) = self.directory.by_audience(&flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        // A new login, a new session: the one this browser had before is dead.
        for claims in self.session_claims(request) {
            self.end_session(&claims, request.now).await?;
        }
        let issuer = self.issuer_name(&request.host);
        let lifetime = self.lifetimes.of_session(protected.application.session_duration);
        let start = Start {
            email,
            issuer: &issuer,
            login_method: LoginMethod {
                id: self.one_time_pin.method_id().into(),
                kind: TYPE.into(),
            },
            attributes: Attributes::clone(&self.attributes),
            address: request.sender.address,
            browser: browser::short_form(&request.headers),
            longest_idle: self.lifetimes.longest_idle(),
        };
        let session = self.sessions.start(start, request.now, lifetime).await?;
        let (counters, limits) = (self.counters(request.now), &self.one_time_pin.limits);
        let network = request.sender.address;
        if let Err(error) = counters.remember_network(&typed, network, limits).await {
            // Nothing opens by it.
            tracing::warn!(%error, "the network of a login is not remembered");
        }
        tracing::info!(
            target: "tower_access::audit",
            application = &*protected.application.name, email = %session.email, session = session.id,
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

    /// Counts what one browser asks for. Nobody else can use that up.
    async fn count_asked(
        &self,
        request: &EndpointRequest,
        email: &str,
        browser: &str,
    ) -> Result<Result<(), TooOften>, Refusal> {
        let counters = self.counters(request.now);
        Ok(counters.count_asked_by_browser((email, browser), &self.one_time_pin.limits).await?)
    }
}

/// The address of the page that asks for the code.
fn code_page(flow: &Flow, nonce: &Nonce) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    // The login knows where it returns to; this is for starting again.
    query.append_pair("kid", &flow.audience);
    query.append_pair("redirect_url", flow.target.in_short().as_str());
    if let Some(id) = &flow.stored {
        query.append_pair("target", id.as_str());
    }
    let query = query.append_pair("nonce", &nonce.text).finish();
    format!("{OWN_PREFIX}/verify-code/{}?{query}", flow.host)
}

/// What kind of login method this is (section 16 of the contract).
pub(in crate::login) const TYPE: &str = "onetimepin";
/// A login's codes are used up: who begins another one has codes again.
const NO_MORE_CODES: TooOften = TooOften { retry_after: Duration::from_secs(300) };
const LONGEST_ADDRESS: usize = 254;
