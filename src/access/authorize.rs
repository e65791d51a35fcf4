//! From an authenticated request to a verdict: step 6, and what the inner service sees.

use std::sync::Arc;

use http::Request;
use http::header::{HeaderMap, HeaderValue, ORIGIN};
use url::Url;

use crate::application::Protected;
use crate::headers;
use crate::identity::Subject;
use crate::policy::{Answers, Facts, Outcome, ServiceTokenFacts, Verdict};
use crate::service_token::ServiceToken;
use crate::session::cookie;
use crate::token::Signed;

use super::Engine;
use super::authenticate::Admission;
#[cfg(feature = "login")]
use super::credential::ShownServiceToken;
use super::credential::{Credential, Place};
use super::rejection::{About, Rejection, RejectionKind};

impl Engine {
    /// Whether an admission is of this engine, and not of another one's layer.
    pub(crate) fn made(&self, admission: &Admission) -> bool {
        self.id == admission.engine
    }

    /// Does what the verdict says: on access leaves identity and headers for the inner service.
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        admission: &Admission,
        verdict: Verdict,
    ) -> Result<Verdict, (Rejection, Verdict)> {
        let protected = self.protected(admission);
        let opens = verdict.outcome().opens();
        let passed = if opens {
            self.prepare(request, admission, verdict.outcome())
        } else {
            Err(why(admission, protected, &verdict, request))
        };
        let kind = match passed {
            Ok(()) => return Ok(verdict),
            Err(kind) => kind,
        };
        let about = About {
            host: Some(admission.host.clone()),
            protected: protected.cloned(),
            email: admission.identity().and_then(|who| who.email()).map(str::to_owned),
            token_error: admission.credential.token_error(),
        };
        // What policies would have opened and something else refused was not opened.
        let verdict = if opens { Verdict::undecided(Outcome::Denied) } else { verdict };
        Err((self.reject(kind, request, about), verdict))
    }

    /// The refusal of a request that no `AuthenticateLayer` has seen.
    pub(crate) fn refuse_unauthenticated<B>(&self, request: &Request<B>) -> Rejection {
        tracing::error!("an AuthorizeLayer stands without an AuthenticateLayer outside it");
        self.reject(RejectionKind::NotAuthenticated, request, About::default())
    }

    /// The pure decision about what is known.
    pub(super) fn judge(
        &self,
        admission: &Admission,
        protected: &Protected,
        evaluations: Option<&Answers>,
    ) -> Verdict {
        let circumstances = &admission.circumstances;
        let mut facts = circumstances.facts();
        match &admission.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
            #[cfg(feature = "login")]
            Credential::ServiceToken(shown) => {
                let ShownServiceToken { id, client_id, .. } = &**shown;
                facts.service_token = Some(ServiceTokenFacts { id, client_id });
            }
            Credential::Token { verified, .. } => match verified.identity.subject() {
                Subject::User { email, .. } => {
                    facts = Facts { evaluations, ..circumstances.facts_of(email) };
                }
                Subject::Service { client_id } => {
                    // Behind an issuer only the issuer knows them all.
                    let known = self.service_tokens.known(client_id);
                    let id = known.map_or(&**client_id, ServiceToken::token_id);
                    facts.service_token = Some(ServiceTokenFacts { id, client_id });
                }
            },
        }
        protected.policies.evaluate(&facts)
    }

    /// What the inner service sees beside the identity that authentication put there: the assertion,
    /// no cookies of ours that are not its business. Behind a `bypass` policy: nothing of this.
    fn prepare<B>(
        &self,
        request: &mut Request<B>,
        admission: &Admission,
        outcome: Outcome,
    ) -> Result<(), RejectionKind> {
        let judged = match &admission.credential {
            // Without any check an origin looks for itself.
            _ if outcome == Outcome::Bypassed => {
                request.headers_mut().remove(headers::JWT_ASSERTION);
                None
            }
            Credential::Token { verified, .. } => Some(verified.token()),
            _ => Some(b"".as_slice()),
        };
        cookie::withhold(request.headers_mut(), judged);
        if outcome == Outcome::Bypassed {
            request.extensions_mut().remove::<crate::Identity>();
            return Ok(());
        }
        match &admission.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
            Credential::Token { verified, from } => {
                // Browsers send a cookie along whoever asks them to.
                if *from == Place::Cookie && is_foreign_upgrade(request, admission) {
                    return Err(RejectionKind::ForeignOrigin);
                }
                let assertion = match from {
                    // It is there already.
                    Place::Assertion => None,
                    Place::Header | Place::Cookie => {
                        Some(verified.assertion().ok_or(RejectionKind::Internal)?.clone())
                    }
                };
                identify(request.headers_mut(), assertion, verified.email.clone());
            }
            #[cfg(feature = "login")]
            Credential::ServiceToken(shown) => {
                let assertion = self.service_assertion(shown, admission)?;
                identify(request.headers_mut(), Some(assertion), None);
            }
        }
        Ok(())
    }
}

/// The reason of a refusal that goes with a verdict.
fn why<B>(
    admission: &Admission,
    protected: Option<&Arc<Protected>>,
    verdict: &Verdict,
    request: &Request<B>,
) -> RejectionKind {
    match (&admission.credential, verdict.outcome()) {
        (Credential::Refused(kind), _) => *kind,
        _ if headers::is_preflight(request.method(), request.headers()) => RejectionKind::Preflight,
        (_, Outcome::LoginRequired) => RejectionKind::LoginRequired,
        (Credential::None | Credential::Useless(_), _)
            if !protected.is_some_and(|protected| protected.policies.has_allow()) =>
        {
            RejectionKind::ServiceRequired
        }
        _ => RejectionKind::Denied,
    }
}

fn identify(headers: &mut HeaderMap, assertion: Option<HeaderValue>, email: Option<HeaderValue>) {
    if let Some(assertion) = assertion {
        headers.insert(headers::JWT_ASSERTION, assertion);
    }
    if let Some(email) = email {
        headers.insert(headers::AUTHENTICATED_USER_EMAIL, email);
    }
}

/// Whether a page of another host opens a WebSocket with this browser's cookie.
fn is_foreign_upgrade<B>(request: &Request<B>, admission: &Admission) -> bool {
    if !headers::is_upgrade(request.method(), request.headers()) {
        return false;
    }
    let Some(origin) = request.headers().get(ORIGIN) else { return false };
    let host = origin
        .to_str()
        .ok()
        .and_then(|origin| Url::parse(origin).ok())
        .and_then(|origin| origin.host_str().map(str::to_owned));
    host.as_deref() != Some(admission.host.as_str())
}
