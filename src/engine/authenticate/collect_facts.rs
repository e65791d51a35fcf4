//! The facts that the policies of an application need in addition to the credential.

use http::Request;

use crate::application::CompiledApplication;
use crate::facts::{Person, RequestView};
use crate::identity::Subject;

use super::super::Engine;
use super::super::credential::Credential;
use super::super::request_context::{Evidence, Receipt};

/// Collects the facts about the holder of a credential.
pub(super) fn collect_facts<B>(
    engine: &Engine,
    credential: Credential,
    application: &CompiledApplication,
    (request, receipt): (&Request<B>, &Receipt),
) -> Evidence {
    let (subject, known) = match &credential {
        Credential::Token { verified, .. } => {
            // Parsed only if a policy needs them.
            let is_needed = application.policies.uses_login_facts();
            let attributes = if is_needed { verified.attributes() } else { None };
            (Some(verified.identity.subject()), attributes)
        }
        Credential::Session(session) => {
            (Some(session.identity.subject()), Some(session.session.attributes()))
        }
        _ => (None, None),
    };
    let mut service_token = None;
    let person = subject.and_then(|subject| match subject {
        Subject::User { email, id } => Some(Person { email: Some(email), user_id: Some(id) }),
        Subject::IncompleteUser { email, id } => {
            Some(Person { email: email.as_ref(), user_id: id.as_deref() })
        }
        Subject::Service { client_id } => {
            service_token = engine.service_tokens.known(client_id);
            if let Some(known) = &service_token {
                engine.service_tokens.record_use(known, receipt.now);
            }
            None
        }
    });
    let view = RequestView {
        sender: receipt.sender,
        headers: request.headers(),
        extensions: request.extensions(),
        person,
        now: receipt.now,
    };
    let attributes = known.filter(|_| person.is_some());
    let facts = engine.sources.facts(&view, &application.policies, attributes);
    Evidence { facts, service_token, credential, live_attributes: None }
}
