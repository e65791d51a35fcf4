//! The provider's answer, posted by the browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::document::Document;
use super::failure::Failure;
use super::peer::{Expected, Verified};
use super::pending::{LIFETIME, Pending, RelayState};
use super::{MAX_FORM_BYTES, RELAY_STATE, SAML_RESPONSE, SamlMethod, acs, pending, user};
use crate::clock::Timestamp;
use crate::login::method::{Authenticated, Finished, Step};
use crate::login::{EndpointRequest, Flow, Login, Refusal};
use crate::random::to_hex;
use crate::secret::sha256;
use crate::util::response::ResponseBytes;

/// Why an answer belongs to no login of its browser.
struct Foreign {
    /// For the log.
    cause: &'static str,
    /// To start again.
    flow: Option<Box<Flow>>,
}

impl From<&'static str> for Foreign {
    fn from(cause: &'static str) -> Self {
        Self { cause, flow: None }
    }
}

impl SamlMethod {
    /// Handles the provider's answer.
    pub(super) async fn receive(
        &self,
        login: &Login,
        request: &EndpointRequest,
    ) -> Result<Step, Refusal> {
        let form = request.form_within(MAX_FORM_BYTES)?;
        let response = form.required(SAML_RESPONSE)?;
        let (relay_state, pending) = match self.pending(login, request, form.one(RELAY_STATE)?) {
            Ok(pending) => pending,
            Err(refused) => return Ok(self.foreign(login, request, &refused).into()),
        };
        let (document, plain) = match decode(response) {
            Ok(document) => document,
            Err(failure) => {
                return Ok(self.failed(login, request, &pending.flow, &failure).into());
            }
        };
        if document.in_response_to.as_deref() != Some(&*relay_state.request_id()) {
            self.log_foreign("it answers another request, or none");
            return Ok(login.invalid_session(request, Some(&pending.flow)).into());
        }
        let expected = Expected {
            acs: &acs(login, request),
            request_id: &relay_state.request_id(),
            relay_state: &relay_state.text(),
            now: request.now,
        };
        let (authenticated, once) = match self.accept(&document, &plain, expected) {
            Ok(accepted) => accepted,
            Err(failure) => {
                return Ok(self.failed(login, request, &pending.flow, &failure).into());
            }
        };
        for (id, until) in once {
            if !self.use_up(login, &id, until, request.now).await? {
                return self.repeated(login, request, &pending).await.map(Step::from);
            }
        }
        Ok(Step::Finished(Box::new(Finished {
            flow: pending.flow,
            authenticated,
            cookies: relay_state.removal(request).into_iter().collect(),
        })))
    }

    /// Returns the login that an answer is for, if this browser keeps it.
    fn pending(
        &self,
        login: &Login,
        request: &EndpointRequest,
        relay_state: Option<&str>,
    ) -> Result<(RelayState, Pending), Foreign> {
        let Some(relay_state) = relay_state.and_then(RelayState::read) else {
            return Err("it has no RelayState from here: logins begin at this site only".into());
        };
        let Some(pending) = pending::open(login, request, &relay_state.id) else {
            return Err("the browser has no cookie of this login".into());
        };
        let is_here = *login.team_host(&pending.flow.host) == request.host;
        if *pending.method != *self.settings.id || !is_here {
            return Err("the login was begun by another method, or on another host".into());
        }
        let begun = |cause| Foreign { cause, flow: Some(Box::new(pending.flow.clone())) };
        if !pending.is_of_browser(request) {
            return Err(begun("the browser has another session by now"));
        }
        if pending.has_ended(request.now) {
            return Err(begun("the login took too long"));
        }
        Ok((relay_state, pending))
    }

    /// Returns the page for an answer that belongs to no login of its browser.
    fn foreign(
        &self,
        login: &Login,
        request: &EndpointRequest,
        foreign: &Foreign,
    ) -> ResponseBytes {
        self.log_foreign(foreign.cause);
        login.invalid_session(request, foreign.flow.as_deref())
    }

    fn log_foreign(&self, cause: &str) {
        let method = &*self.settings.id;
        tracing::info!(method, cause, "a SAML answer belongs to no login of its browser");
    }

    /// Verifies an answer. Returns its user, and what must not be accepted again.
    fn accept(
        &self,
        document: &Document,
        response: &str,
        expected: Expected<'_>,
    ) -> Result<(Authenticated, Vec<(String, Timestamp)>), Failure> {
        let status = document.status.as_deref().unwrap_or_default();
        if status != SUCCESS {
            return Err(Failure::Status(status.chars().take(MAX_STATUS).collect()));
        }
        let issuer = &self.settings.peer.issuer;
        let from_other = || Failure::Issuer { expected: issuer.clone() };
        // Not signed if only the assertion is. The assertion has its own.
        if document.response_issuer.as_ref().is_some_and(|it| it.trim() != &**issuer) {
            return Err(from_other());
        }
        let Verified { session, once } = self.peer.verify(response, expected)?;
        let assertion = document.assertion.as_ref();
        let assertion = assertion.filter(|it| it.id == session.assertion_id().as_str());
        let is_same = document.response_id == session.response_id().as_str();
        let Some(assertion) = assertion.filter(|_| is_same) else {
            return Err(Failure::Unreadable);
        };
        if session.issuer().as_str() != &**issuer {
            return Err(from_other());
        }
        Ok((user::authenticated(&self.settings, &session, assertion)?, once))
    }

    /// Records that an assertion or a response was used. Returns `false` if it was before.
    async fn use_up(
        &self,
        login: &Login,
        id: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let name = sha256(format!("{}\n{id}", self.settings.peer.issuer).as_bytes());
        // The login that it answers ends in time as well, so the record need not live for years.
        let lifetime = until.since(now).clamp(2 * LIFETIME, MAX_RECORD_LIFETIME);
        let key = format!("saml-used/{}", to_hex(&name));
        Ok(login.store.insert(&key, Bytes::new(), lifetime).await?)
    }

    /// Responds to an answer that was used before: reloaded, or posted twice.
    async fn repeated(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
    ) -> Result<ResponseBytes, Refusal> {
        self.log_foreign("it was used before");
        let entered = login.enter_with_existing_session(request, &pending.flow, None).await?;
        Ok(entered.unwrap_or_else(|| login.invalid_session(request, Some(&pending.flow))))
    }
}

/// Decodes an answer. Returns its shape, and its Base64 without line breaks.
fn decode(response: &str) -> Result<(Document, String), Failure> {
    let plain: String = response.chars().filter(|it| !it.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(&plain).map_err(|_| Failure::Unreadable)?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::Unreadable)?;
    Ok((Document::read(&text)?, plain))
}

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
/// In characters.
const MAX_STATUS: usize = 100;
const MAX_RECORD_LIFETIME: std::time::Duration = std::time::Duration::from_secs(86_400);
