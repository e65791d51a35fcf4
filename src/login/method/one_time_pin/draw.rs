//! A code is made for a login, and mailed.

use super::code::draw_code;
use super::pending::Code;
use super::shared::SharedCode;
use super::{PinRequest, device};
use crate::application::{CanonicalHost, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::facts::Person;
use crate::identity::Email;
use crate::login::Refusal;
use crate::login::limits::mails::{Asker, MailPlan};
use crate::login::mail::{Mail, PinMail};
use crate::random::{self, to_hex};
use crate::secret::tag;
use crate::session::cookie;

/// A login by its id, the address that was typed, and which of its codes it is.
pub(super) type Turn<'a> = (&'a str, &'a str, u32);

/// A code that was made, and the mail it goes out with, if any.
pub(super) struct Drawn {
    pub(super) code: Code,
    /// The code that other logins have as well, and whose it is.
    shared: Option<(SharedCode, String)>,
    mail: Option<(Email, String)>,
}

/// How long a code is, and how often it may be tried.
struct Shape {
    digits: u32,
    attempts: u32,
}

impl<'a> PinRequest<'a> {
    /// Makes the code of a login's turn. For an address that may not log in as well: it takes the
    /// same time, and nothing that is written down tells the difference.
    pub(super) async fn draw(
        &self,
        protected: &CompiledApplication,
        turn: Turn<'_>,
    ) -> Result<Drawn, Refusal> {
        let (_, typed, serial) = turn;
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let network = self.request.sender.address;
        let device = self.device(typed);
        let is_known_network = counters.is_known_network(typed, network, limits).await?;
        let asker = Asker { email: typed, device, network, is_known_network };
        let plan = counters.plan_mail(asker, limits).await?;
        let shape = self.shape(device, plan).await?;
        let email = typed.parse::<Email>().ok();
        let eligible = self.method.is_offered(protected)
            && email.as_ref().is_some_and(|email| {
                let person = Person { email: Some(email), user_id: None };
                let person = Some((person, &self.method.attributes));
                let circumstances = self.login.circumstances(self.request, protected, person);
                protected.policies.could_allow(&circumstances.facts_of(email))
            });
        // Looked for whether or not it is needed, so that both take the same time.
        let shared = self.shared_code(typed, shape.digits, self.request.now).await?;
        let (own, in_common) = (
            draw_code(shape.digits, &*self.login.random)?,
            self.shared_digits(typed, shared).await?,
        );
        let is_shared = plan == MailPlan::Shared;
        let code = if is_shared { in_common } else { own };
        let (right, never_right) =
            (self.code_mac(turn, &code), random::hex::<32>(&*self.login.random)?);
        let kind =
            EventKind::PinRequested { is_eligible: eligible, digits: shape.digits, is_shared };
        let event = Event::new(kind).application(protected.audited());
        audit::record(&event.email(typed).address(network));
        Ok(Drawn {
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
            mail: email.filter(|_| eligible).map(|email| (email, code)),
        })
    }

    /// How long a new code has to be. A browser that has logged in with the address before is spared
    /// what others guess.
    async fn shape(&self, device: Option<&str>, plan: MailPlan) -> Result<Shape, Refusal> {
        let (counters, limits) = (self.counters(), &self.method.settings.limits);
        let usual = self.method.settings.digits;
        let is_trusted = match device {
            Some(device) => counters.trusts_browser(device, limits).await?,
            None => false,
        };
        let used = counters.guessed().await?;
        let of_network = counters.digits_for_network(self.request.sender.address, limits).await?;
        let needed = if is_trusted {
            usual
        } else {
            self.method.settings.guess_budget().digits_for_new(used)
        };
        // A shared code is the same in every network, and so is one that must look like it.
        let digits = if plan.is_long() {
            needed.max(limits.shared_code_digits)
        } else if is_trusted {
            needed
        } else {
            needed.saturating_add(of_network).min(super::pressure::MOST_DIGITS)
        };
        let is_attacked = !is_trusted && (needed > usual || of_network > 0);
        let attempts = self.method.settings.attempts;
        let attempts = if is_attacked { attempts.min(FEWEST_ATTEMPTS) } else { attempts };
        Ok(Shape { digits, attempts })
    }

    /// Mails a code beside the request: its answer is the same, and takes the same time, whether
    /// there is anything to mail or not, and whether it can be mailed. A code that is shared is
    /// mailed once.
    pub(super) async fn mail(
        &self,
        drawn: Drawn,
        (protected, host): (&CompiledApplication, &CanonicalHost),
    ) -> Result<(), Refusal> {
        if let Some((shared, email)) = &drawn.shared {
            let reader = (email.as_str(), drawn.mail.is_some());
            if !self.is_to_be_mailed(reader, *shared, self.request.now).await? {
                return Ok(());
            }
        }
        let Some((to, code)) = drawn.mail else { return Ok(()) };
        let (application, host) = (protected.application.name.clone(), host.to_string());
        let (minutes, is_shared) = (self.minutes(), drawn.shared.is_some());
        let name = application.clone();
        self.login.mail_delivery.send(&self.method.mailer, application, move || {
            let content =
                PinMail { application: &name, host: &host, code: &code, minutes, is_shared };
            Mail::new(to, content.subject(), content.text(), content.html())
        });
        Ok(())
    }

    /// The browser, if it has logged in with this address before.
    pub(super) fn device(&self, email: &str) -> Option<&'a str> {
        cookie::values(&self.request.headers, cookie::DEVICE)
            .find_map(|value| device::recognise(&self.keys().device, email, value))
    }

    /// How long a code is good, for people.
    pub(super) fn minutes(&self) -> u64 {
        self.method.settings.expires_in.as_secs().div_ceil(60)
    }

    /// Binds a code to its login, its address and its turn.
    pub(super) fn code_mac(&self, (id, email, serial): Turn<'_>, code: &str) -> String {
        let parts = [id.as_bytes(), email.as_bytes(), &serial.to_be_bytes(), code.as_bytes()];
        to_hex(tag(&self.keys().code, &parts).as_ref())
    }
}

/// Attempts at a new code while somebody guesses; where the file has fewer, these.
const FEWEST_ATTEMPTS: u32 = 2;
