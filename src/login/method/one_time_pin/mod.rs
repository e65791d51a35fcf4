//! The login by one-time PIN.
//!
//! A code consists of random digits, six while nobody guesses. It is valid for some minutes, a few
//! attempts and one use, in the browser that requested it. Only its MAC is recorded, sealed and kept by
//! the browser: see [`pending`]. Responses are the same for all addresses. Mail is sent only to
//! addresses that the policies could allow.
//!
//! The mail also has a [link](mail_link), which fills in the code and does nothing else.
//!
//! [`pressure`] determines the length of codes. A code that is too short when it is entered is not
//! checked, and a longer one is mailed. [`limits`](crate::login::limits::mails) decides who gets a code
//! of their own, and who a [`shared`] one.

mod code;
mod device;
mod draw;
mod forms;
mod keys;
mod mail_link;
mod pending;
pub(in crate::login) mod pressure;
mod settings;
mod shared;
mod steps;

use std::sync::Arc;

use http::{Method, StatusCode};

pub(super) use self::keys::PinKeys;
pub(crate) use self::pending::ERA as PENDING_ERA;
#[cfg(all(test, feature = "config"))]
pub(crate) use self::settings::DIGITS;
pub use self::settings::{OneTimePin, OneTimePinLimits};
#[cfg(feature = "config")]
pub(crate) use self::settings::{REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};
use super::{EndpointCall, LoginMethod, MethodEndpoint, READS, READS_AND_POST, Step, StepFuture};
use crate::application::CompiledApplication;
use crate::identity::Attributes;
use crate::login::limits::Counters;
use crate::login::mail::Mailer;
use crate::login::purpose::Purpose;
use crate::login::{EndpointRequest, Login, Refusal};
use crate::util::response::ResponseBytes;

/// The login method.
#[derive(Debug)]
pub(super) struct OneTimePinMethod {
    settings: OneTimePin,
    mailer: Arc<dyn Mailer>,
    /// The attributes of all users.
    attributes: Arc<Attributes>,
}

impl OneTimePinMethod {
    pub(super) fn new(settings: OneTimePin, mailer: Arc<dyn Mailer>) -> Self {
        let attributes = Arc::new(settings.attributes());
        Self { settings, mailer, attributes }
    }

    fn is_offered(&self, protected: &CompiledApplication) -> bool {
        protected.application.allows_login_method(self.id())
    }
}

impl LoginMethod for OneTimePinMethod {
    fn id(&self) -> &str {
        self.settings.method_id()
    }

    fn kind(&self) -> &str {
        settings::TYPE
    }

    fn name(&self) -> &str {
        settings::NAME
    }

    fn has_page(&self) -> bool {
        true
    }

    fn usual_attributes(&self) -> Option<&Attributes> {
        Some(&self.attributes)
    }

    fn start<'a>(
        &'a self,
        login: &'a Login,
        request: &'a EndpointRequest,
        purpose: &'a Purpose<'a>,
        _: &'a str,
    ) -> StepFuture<'a, ResponseBytes> {
        let step = PinRequest { method: self, login, request };
        Box::pin(async move { Ok(step.email_form(purpose, StatusCode::OK, None, None)) })
    }

    fn endpoints(&self) -> &'static [MethodEndpoint] {
        ENDPOINTS
    }

    fn recognizes(&self, call: EndpointCall<'_>) -> bool {
        // Other methods may share this endpoint.
        call.name != CALLBACK
            || call.request.form().is_ok_and(|form| form.required("nonce").is_ok())
    }

    fn answer<'a>(&'a self, login: &'a Login, call: EndpointCall<'a>) -> StepFuture<'a, Step> {
        let EndpointCall { request, name, host } = call;
        let step = PinRequest { method: self, login, request };
        Box::pin(async move {
            match (name, host) {
                (VERIFY_CODE, Some(host)) if request.method == Method::POST => {
                    step.send_code(host).await.map(Step::from)
                }
                (VERIFY_CODE, Some(host)) => step.show_code_form(host).await.map(Step::from),
                (EMAILED_CODE, None) => step.show_linked_form().await.map(Step::from),
                (RESEND_CODE, None) => step.resend_code().await.map(Step::from),
                (CALLBACK, None) => step.check_code().await,
                _ => Err(Refusal::BadRequest),
            }
        })
    }
}

const VERIFY_CODE: &str = "verify-code";
const EMAILED_CODE: &str = "emailed-code";
const RESEND_CODE: &str = "resend-code";
const CALLBACK: &str = "callback";
const ENDPOINTS: &[MethodEndpoint] = &[
    MethodEndpoint {
        name: VERIFY_CODE,
        takes_host: true,
        methods: READS_AND_POST,
        refuses_background: false,
    },
    // Looking changes nothing, whoever looks.
    MethodEndpoint {
        name: EMAILED_CODE,
        takes_host: false,
        methods: READS,
        refuses_background: false,
    },
    // A prefetch or an image must not mail a code.
    MethodEndpoint {
        name: RESEND_CODE,
        takes_host: false,
        methods: READS,
        refuses_background: true,
    },
    MethodEndpoint {
        name: CALLBACK,
        takes_host: false,
        methods: &[Method::POST],
        refuses_background: false,
    },
];

/// A request to the method.
#[derive(Debug)]
struct PinRequest<'a> {
    method: &'a OneTimePinMethod,
    login: &'a Login,
    request: &'a EndpointRequest,
}

impl<'a> PinRequest<'a> {
    fn keys(&self) -> &'a PinKeys {
        &self.login.keys.methods.one_time_pin
    }

    fn counters(&self) -> Counters<'a> {
        self.login.counters(self.request.now)
    }
}

/// How long a login is pending after its latest code. Counters of attempts live as long, which is
/// longer than the code.
const FLOW_LIFETIME: std::time::Duration = std::time::Duration::from_secs(1800);
