//! Draws a code for a login, and mails it.

use std::hint::black_box;
use std::sync::Arc;

use super::code::draw_code;
use super::mail_link::with_code;
use super::pending::{Code, Nonce};
use super::shared::SharedCode;
use super::{PinRequest, device};
use crate::application::{CanonicalHost, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::facts::Person;
use crate::identity::Email;
use crate::login::Refusal;
use crate::login::limits::mails::{MailPlan, MailRequest};
use crate::login::mail::{Mail, PinMail};
use crate::random::{self, to_hex};
use crate::secret::tag;
use crate::session::cookie;

/// What a code is bound to: the login's id, the typed address, and the serial number of the code.
pub(super) type CodeBinding<'a> = (&'a str, &'a str, u32);

/// A drawn code, and its mail.
pub(super) struct DrawnCode {
    pub(super) code: Code,
    /// The shared code and its address, if the code is shared.
    shared: Option<(SharedCode, String)>,
    /// The code itself.
    plain: String,
    /// Who gets the mail; `None` for an address that may not log in.
    to: Option<Email>,
}

/// The length of a code, and its number of attempts.
struct CodeStrength {
    digits: u32,
    attempts: u32,
}

impl<'a> PinRequest<'a> {
    /// Draws a code, also for an address that may not log in: both take the same time, and no record
    /// discloses the difference.
    pub(super) async fn draw(
        &self,
        protected: &CompiledApplication,
        turn: CodeBinding<'_>,
    ) -> Result<DrawnCode, Refusal> {
        let (_, typed, serial) = turn;
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let network = self.request.sender.address;
        let device = self.device(typed);
        let is_known_network = counters.is_known_network(typed, network, limits).await?;
        let mail_request = MailRequest { email: typed, device, network, is_known_network };
        let plan = counters.plan_mail(mail_request, limits).await?;
        let shape = self.code_strength(device, plan).await?;
        let email = typed.parse::<Email>().ok();
        let eligible = self.method.is_offered(protected)
            && email.as_ref().is_some_and(|email| {
                let person = Person { email: Some(email), user_id: None };
                let person = Some((person, &self.method.attributes));
                let request_facts = self.login.request_facts(self.request, protected, person);
                protected.policies.could_allow(&request_facts.facts_for(email))
            });
        // Computed even if not needed, so that both cases take the same time.
        let shared = self.shared_code(typed, shape.digits, self.request.now).await?;
        let (own, shared_digits) = (
            draw_code(shape.digits, &*self.login.random)?,
            self.shared_digits(typed, shared).await?,
        );
        let is_shared = plan == MailPlan::Shared;
        let code = if is_shared { shared_digits } else { own };
        let (right, never_right) =
            (self.code_mac(turn, &code), random::hex::<32>(&*self.login.random)?);
        let kind =
            EventKind::PinRequested { is_eligible: eligible, digits: shape.digits, is_shared };
        let event = Event::new(kind).application(protected.audited());
        audit::record(&event.email(typed).address(network));
        Ok(DrawnCode {
            code: Code {
                serial,
                mac: if eligible { right } else { never_right },
                ends: self.request.now.plus(self.method.settings.expires_in).as_unix_seconds(),
                digits: shape.digits,
                attempts: shape.attempts,
                is_flooded: u8::from(plan.is_long()),
                is_shared: u8::from(is_shared),
                window: shared.window,
                generation: shared.generation,
            },
            shared: is_shared.then(|| (shared, typed.to_owned())),
            plain: code,
            to: email.filter(|_| eligible),
        })
    }

    /// Returns the length of a new code. Others' guesses do not affect a browser that has logged in with
    /// the address before.
    async fn code_strength(
        &self,
        device: Option<&str>,
        plan: MailPlan,
    ) -> Result<CodeStrength, Refusal> {
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let usual = self.method.settings.digits;
        let is_trusted = match device {
            Some(device) => counters.trusts_browser(device, limits).await?,
            None => false,
        };
        let used = counters.used_guess_budget().await?;
        let network_extra =
            counters.digits_for_network(self.request.sender.address, limits).await?;
        let needed = if is_trusted {
            usual
        } else {
            self.method.settings.guess_budget().digits_for_new(used)
        };
        // A shared code, or one that must look like it, does not depend on the network.
        let digits = if plan.is_long() {
            needed.max(limits.shared_code_digits)
        } else if is_trusted {
            needed
        } else {
            needed.saturating_add(network_extra).min(super::pressure::MAX_DIGITS)
        };
        let is_attacked = !is_trusted && (needed > usual || network_extra > 0);
        let attempts = self.method.settings.attempts;
        let attempts = if is_attacked { attempts.min(MIN_ATTEMPTS) } else { attempts };
        Ok(CodeStrength { digits, attempts })
    }

    /// Mails a code in the background: the response and its time do not depend on whether a mail is
    /// sent or delivered. A shared code is mailed once.
    pub(super) async fn mail(
        &self,
        drawn: DrawnCode,
        protected: &CompiledApplication,
        (host, nonce): (&CanonicalHost, &Nonce),
    ) -> Result<(), Refusal> {
        // Also for an address that may not log in.
        let page = self.linked_page(host, nonce).filter(|_| drawn.shared.is_none());
        if let Some((shared, email)) = &drawn.shared {
            let reader = (email.as_str(), drawn.to.is_some());
            if !self.claim_shared_mail(reader, *shared, self.request.now).await? {
                return Ok(());
            }
        }
        let (name, host) = (protected.application.name.clone(), host.to_string());
        let (minutes, is_shared) = (self.minutes(), drawn.shared.is_some());
        let template = Arc::clone(&self.login.mail_template);
        let expires_at = Timestamp::from_unix_seconds(drawn.code.ends);
        let (code, to) = (drawn.plain, drawn.to);
        // Every request does this, and writes a mail for every address: otherwise the answer to one that
        // may log in would be some microseconds later.
        self.login.mail_delivery.send(&self.method.mailer, protected.audited(), move || {
            let link = page.map(|page| with_code(&page, &code));
            let content = PinMail {
                application: &name,
                host: &host,
                code: &code,
                minutes,
                is_shared,
                link: link.as_deref(),
            };
            let parts = black_box(template.parts(&content));
            to.map(|to| Mail::from_parts(to, parts).expires_at(expires_at))
        });
        Ok(())
    }

    /// Returns the browser's id, if it has logged in with this address before.
    pub(super) fn device(&self, email: &str) -> Option<&'a str> {
        cookie::values(&self.request.headers, cookie::DEVICE)
            .find_map(|value| device::recognise(&self.keys().device, email, value))
    }

    /// Returns the lifetime of a code in minutes, for display.
    pub(super) fn minutes(&self) -> u64 {
        self.method.settings.expires_in.as_secs().div_ceil(60)
    }

    /// Returns the MAC of a code and what it is bound to.
    pub(super) fn code_mac(&self, (id, email, serial): CodeBinding<'_>, code: &str) -> String {
        let parts = [id.as_bytes(), email.as_bytes(), &serial.to_be_bytes(), code.as_bytes()];
        to_hex(tag(&self.keys().code, &parts).as_ref())
    }
}

/// Attempts at a new code while somebody guesses, unless fewer are configured.
const MIN_ATTEMPTS: u32 = 2;
