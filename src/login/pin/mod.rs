//! The one-time PIN: asked for, mailed, typed.
//!
//! Six digits from the system's generator, good for some minutes, a few attempts and one use, in
//! the browser that asked for it. What is written down of it is its MAC, never the code, and that
//! travels with the browser, sealed: see [`pending`]. Whatever address is typed, the answers are the
//! same; mail goes to addresses the policies could let in.

mod answers;
mod code;
mod pending;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use self::code::{draw_code, plain_code};
use self::pending::{Code, FLOW_LIFETIME, MOST_CODES, Nonce, Pending};
use super::limits::{TooOften, count_mail, count_resent, count_wrong_code, may_guess};
use super::mail::{Mail, PinMail};
use super::meta::hash;
use super::pages::CodeError;
use super::redirect::OWN_PREFIX;
use super::sign_in::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal, browser, device};
use crate::answer::{Answer, redirect, with_cookie};
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
        let id = random::hex::<16>(&*self.random)?;
        let drawn = self.draw(request, purpose.protected, (&id, &typed, 1))?;
        let pending = Pending {
            id,
            browser: hash(browser),
            flow: purpose.flow,
            email: typed,
            begun_at: request.now.as_unix_seconds(),
            code: drawn.code,
            resent: None,
        };
        let nonce = self.seal_pending(&pending).await?;
        self.mail(drawn.mail, purpose.protected, &pending.flow.host);
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
                let ended = pending.code.has_ended(request.now).then_some(CodeError::Expired);
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
        let pending = match self.pending(request, &nonce, None).await? {
            Ok(pending) => pending,
            Err(refusal) => return Ok(refusal),
        };
        let Some(protected) = self.directory.by_audience(&pending.flow.audience) else {
            return Ok(self.unknown_application(request));
        };
        let is_known = self.device(request, &pending.email).is_some();
        let limited = pending.code.serial >= MOST_CODES
            || self.count_mail(request, &pending.email).await?.is_err()
            || !is_known && count_resent(&*self.store, request.now).await?.is_err();
        if limited {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let limit = Some(CodeError::ResendLimited);
            return Ok(self.code_form(request, &nonce, &pending, status, limit));
        }
        let turn = (&*pending.id, &*pending.email, pending.code.serial + 1);
        let drawn = self.draw(request, protected, turn)?;
        // Asked for twice at once, one code is made: the other would be dead when it arrives.
        if self.replace_code(&pending, &drawn.code).await? {
            self.mail(drawn.mail, protected, &pending.flow.host);
        }
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
        if pending.code.has_ended(request.now) {
            return refuse(CodeError::Expired);
        }
        let (attempt_key, attempts) =
            (pending.attempt_key(), u64::from(self.one_time_pin.attempts));
        let wrong = |attempt: u64| match attempts.saturating_sub(attempt) {
            0 => CodeError::Exhausted,
            attempts_left => CodeError::Wrong { attempts_left },
        };
        // What could never be right is no guess: it uses up nobody's, and writes nothing down.
        let Some(code) = plain_code(typed) else {
            return refuse(wrong(self.store.count(&attempt_key, 0, FLOW_LIFETIME).await?));
        };
        // Over all logins there are only so many guesses; a browser that has logged in with this
        // address before is not made to wait for those who guess.
        let (store, login_host) = (&*self.store, request.host.as_str());
        let known = self.device(request, &pending.email).is_some();
        if !known && let Err(limit) = may_guess(store, request.sender.address, login_host).await? {
            return Ok(self.too_many_guesses(request, &pending.flow, limit));
        }
        // Counted before it is looked at: parallel guesses share the same few attempts.
        let attempt = self.store.count(&attempt_key, 1, FLOW_LIFETIME).await?;
        if attempt > attempts {
            return refuse(CodeError::Exhausted);
        }
        let mac = self.code_mac((&pending.id, &pending.email, pending.code.serial), &code);
        if !equal(pending.code.mac.as_bytes(), mac.as_bytes()) {
            count_wrong_code(store, request.sender.address, login_host).await?;
            return refuse(wrong(attempt));
        }
        if !self.use_up(&pending).await? {
            return refuse(CodeError::AlreadyUsed);
        }
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
        for claims in self.session_claims(request) {
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
            longest_idle: self.lifetimes.longest_idle(),
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

    /// Makes the code of a login's turn. For an address that may not log in as well: it takes the
    /// same time, and nothing that is written down tells the difference.
    fn draw(
        &self,
        request: &EndpointRequest,
        protected: &Protected,
        turn: Turn<'_>,
    ) -> Result<Drawn, Refusal> {
        let (_, typed, serial) = turn;
        let email = typed.parse::<Email>().ok();
        let eligible = self.offers_login(protected)
            && email.as_ref().is_some_and(|email| {
                let person = Some(Person { email, user_id: None });
                let circumstances = self.circumstances(request, protected, person);
                protected.policies.could_allow(&circumstances.facts_of(email))
            });
        let code = draw_code(&*self.random)?;
        let (right, never_right) = (self.code_mac(turn, &code), random::hex::<32>(&*self.random)?);
        tracing::info!(
            target: "tower_access::audit",
            application = %protected.application.name, email = %typed.escape_default(),
            eligible, address = %crate::address::Shown(request.sender.address),
            "one-time PIN asked for"
        );
        Ok(Drawn {
            code: Code {
                serial,
                mac: if eligible { right } else { never_right },
                ends: request.now.plus(self.one_time_pin.expires_in).as_unix_seconds(),
            },
            mail: email.filter(|_| eligible).map(|email| (email, code)),
        })
    }

    /// Mails a code beside the request: its answer is the same, and takes the same time, whether
    /// there is anything to mail or not, and whether it can be mailed.
    fn mail(&self, mail: Option<(Email, String)>, protected: &Protected, host: &CanonicalHost) {
        let Some((to, code)) = mail else { return };
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
        Ok(count_mail(&*self.store, request.sender.address, (email, device), request.now).await?)
    }

    /// The browser, if it has logged in with this address before.
    fn device<'a>(&self, request: &'a EndpointRequest, email: &str) -> Option<&'a str> {
        cookie::values(&request.headers, cookie::DEVICE)
            .find_map(|value| device::recognise(&self.keys.device, email, value))
    }

    /// How long a code is good, for people.
    fn minutes(&self) -> u64 {
        self.one_time_pin.expires_in.as_secs().div_ceil(60)
    }

    /// Binds a code to its login, its address and its turn.
    fn code_mac(&self, (id, email, serial): Turn<'_>, code: &str) -> String {
        let parts = [id.as_bytes(), email.as_bytes(), &serial.to_be_bytes(), code.as_bytes()];
        to_hex(tag(&self.keys.pin, &parts).as_ref())
    }
}

/// A login by its id, the address that was typed, and which of its codes it is.
type Turn<'a> = (&'a str, &'a str, u32);

/// A code that was made, and the mail it goes out with, if any.
struct Drawn {
    code: Code,
    mail: Option<(Email, String)>,
}

fn code_page(flow: &Flow, nonce: &Nonce) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("kid", &flow.audience);
    // The login knows where it returns to; this is for starting again. What fits no address
    // twice starts again at the root.
    if flow.target.as_str().len() <= LONGEST_TARGET_SHOWN {
        query.append_pair("redirect_url", flow.target.as_str());
    }
    let query = query.append_pair("nonce", &nonce.text).finish();
    format!("{OWN_PREFIX}/verify-code/{}?{query}", flow.host)
}

/// What kind of login method this is (section 16 of the contract).
pub(super) const TYPE: &str = "onetimepin";
const MAIL_TIME_LIMIT: Duration = Duration::from_secs(60);
const LONGEST_ADDRESS: usize = 254;
const LONGEST_TARGET_SHOWN: usize = 1024;
