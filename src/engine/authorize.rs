//! From an authenticated request to a verdict: step 6, and what the inner service sees.

use http::Request;
use http::header::{HeaderMap, HeaderValue};

use crate::answer::Answer;
use crate::application::{Application, Protected};
use crate::audit::{self, Event, EventKind};
use crate::facts::{Wait, report_missing};
use crate::headers;
use crate::identity::Subject;
use crate::policy::LinkedApplicationFacts;
use crate::policy::{Facts, Outcome, PolicyRef, ServiceTokenFacts, Verdict};
use crate::session::cookie;
use crate::token::Signed;

use super::Engine;
use super::authenticate::Admission;
use super::caching::CachePolicy;
use super::cors::{Cors, is_plain_options};
use super::credential::{Credential, Place};
use super::permission::{Asked, Permission};
use super::rejection::{About, Rejection, RejectionKind};
use super::renewal::Renewal;
use super::returned::is_visit;

/// How a request goes on.
#[derive(Debug)]
pub(crate) enum Passage {
    /// To the inner service, whose answer says what `cors` is.
    Inner {
        verdict: Verdict,
        /// Who may store the answer.
        caching: CachePolicy,
        cors: Option<Box<Cors>>,
        /// Whether it may go on; none where nobody was asked.
        permission: Option<Permission>,
        /// What a service token was exchanged for.
        cookie: Option<Box<HeaderValue>>,
        /// A fresh token for the answer, where one is due.
        renewal: Option<Box<Renewal>>,
    },
    /// No further: a preflight that was answered here.
    Answered(Box<Answer>),
    Refused(Box<(Rejection, Option<Verdict>)>),
}

/// What has to be waited for before a request can be decided about.
#[derive(Debug)]
pub(crate) struct Unsettled {
    pub(crate) wait: Wait,
    pub(crate) admission: Admission,
}

impl Engine {
    /// Whether an admission is of this engine, and not of another one's layer.
    pub(super) fn made(&self, admission: &Admission) -> bool {
        self.id == admission.engine
    }

    /// Decides, and on access leaves identity and headers for the inner service. `Err` asks for a
    /// wait, if there may be one, and to be asked again then.
    pub(crate) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        mut admission: Admission,
        may_wait: bool,
    ) -> Result<Passage, Box<Unsettled>> {
        let protected = self.protected(&admission);
        let application = protected.map(|protected| &protected.application);
        let settings = application.and_then(|it| it.cors_headers.as_deref());
        let cors = settings.map(|settings| Box::new(Cors::of(settings, request.headers())));
        let mut deny_url = None;
        let mut verdict = Verdict::undecided(Outcome::Denied);
        let passed = match protected {
            Some(protected) => {
                match answer_options(request, &admission, protected, cors.as_deref()) {
                    Options::Answered(answer) => return Ok(Passage::Answered(Box::new(answer))),
                    Options::Passed => {
                        verdict = Verdict::undecided(Outcome::Bypassed);
                        let further = (cors.as_deref(), may_wait);
                        match self.judge_further(request, &mut admission.further, further) {
                            Ok(Some(refused)) => return Ok(refused),
                            Ok(None) => Ok(None),
                            Err(wait) => return Err(Box::new(Unsettled { wait, admission })),
                        }
                    }
                    Options::Refused => Err(RejectionKind::Preflight),
                    Options::Judged => {
                        verdict = match self.judge(&mut admission, protected, may_wait) {
                            Ok(verdict) => verdict,
                            Err(wait) => {
                                let further = &mut admission.further;
                                let wait = self.wait_with_further(wait, request, further);
                                return Err(Box::new(Unsettled { wait, admission }));
                            }
                        };
                        if verdict.outcome().opens() {
                            let further = (cors.as_deref(), may_wait);
                            match self.judge_further(request, &mut admission.further, further) {
                                Ok(None) => {}
                                Ok(Some(refused)) => return Ok(refused),
                                Err(wait) => return Err(Box::new(Unsettled { wait, admission })),
                            }
                            self.admit_crossing(request, &mut admission, &verdict)
                                .and_then(|()| self.prepare(request, &admission, &verdict))
                        } else {
                            let url = protected.deny_url(&admission.facts());
                            deny_url = url.map(|url| url.as_str().to_owned());
                            Err(why(&admission, protected, &verdict, request))
                        }
                    }
                }
            }
            None => Err(RejectionKind::Internal),
        };
        let kind = match passed {
            Ok(cookie) => {
                let caching = cache_policy(&verdict, &admission, application);
                let renewal = match caching {
                    // It is nobody's answer: it sets nobody's cookie.
                    CachePolicy::Unchanged => None,
                    _ => self.renewal(request, &admission, &verdict),
                };
                let permission = verdict.policy().is_some().then(|| {
                    let asked = Asked::of(request, &admission);
                    Permission::new(self.lasting.oversight.near(), admission, asked)
                });
                if let Some(permission) = &permission
                    && headers::is_upgrade(request.method(), request.headers())
                {
                    request.extensions_mut().insert(permission.clone());
                }
                return Ok(Passage::Inner { verdict, caching, cors, permission, cookie, renewal });
            }
            Err(kind) => kind,
        };
        let about = About {
            host: Some(admission.host.clone()),
            protected: protected.cloned(),
            email: admission.credential.email().map(str::to_owned),
            token_error: admission.credential.token_error(),
            verdict: verdict.id(),
            deny_url,
            cors,
        };
        // What policies would have opened and something else refused was not opened.
        let opened = verdict.outcome().opens();
        let verdict = match kind {
            RejectionKind::LoginRequired if opened => Verdict::undecided(Outcome::LoginRequired),
            _ if opened => Verdict::undecided(Outcome::Denied),
            _ => verdict,
        };
        let rejection = self.reject(kind, request, about);
        let application = protected.map(|protected| protected.audited());
        report_missing(verdict.missing_facts(), rejection.reference(), application);
        Ok(Passage::Refused(Box::new((rejection, Some(verdict)))))
    }

    /// The refusal of a request that no `AuthenticateLayer` has seen.
    pub(crate) fn refuse_unauthenticated<B>(&self, request: &Request<B>) -> Rejection {
        tracing::error!("an AuthorizeLayer stands without an AuthenticateLayer outside it");
        self.reject(RejectionKind::NotAuthenticated, request, About::default())
    }

    /// A request that the session of its host speaks for becomes one with a token, where a policy
    /// allows it to the person; otherwise it is nobody's.
    fn admit_crossing<B>(
        &self,
        request: &mut Request<B>,
        admission: &mut Admission,
        verdict: &Verdict,
    ) -> Result<(), RejectionKind> {
        if let Credential::Token { from: Place::Session, .. } = &admission.credential {
            request.extensions_mut().remove::<crate::Identity>();
            if verdict.outcome() != Outcome::Allowed {
                admission.credential = Credential::None;
                return Ok(());
            }
            self.settle_crossing(admission, verdict)?;
            if let Some(identity) = admission.identity() {
                let identity = identity.clone();
                request.extensions_mut().insert(identity);
            }
        }
        let _ = (request, admission, verdict);
        Ok(())
    }

    /// What the inner service sees beside the identity that authentication put there: the assertion,
    /// no cookies of ours that are not its business. Behind a `bypass` policy: nothing of this.
    /// Returns the cookie a service token is exchanged for, where it is.
    fn prepare<B>(
        &self,
        request: &mut Request<B>,
        admission: &Admission,
        verdict: &Verdict,
    ) -> Result<Option<Box<HeaderValue>>, RejectionKind> {
        let outcome = verdict.outcome();
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
            return Ok(None);
        }
        match &admission.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
            Credential::Token { verified, from } => {
                // Browsers send a cookie along whoever asks them to.
                if *from == Place::Cookie && self.is_foreign_upgrade(request, admission) {
                    return Err(RejectionKind::ForeignOrigin);
                }
                let assertion = match from {
                    // It is there already.
                    Place::Assertion => None,
                    Place::Session => return Err(RejectionKind::Internal),
                    Place::Header | Place::Cookie => {
                        Some(verified.assertion().ok_or(RejectionKind::Internal)?.clone())
                    }
                };
                identify(request.headers_mut(), assertion, verified.email.clone());
            }
            Credential::ServiceToken(shown) => {
                let assertion = self.service_assertion(shown, admission)?;
                let cookie = self.exchanged(&assertion, admission, request.uri().path());
                identify(request.headers_mut(), Some(assertion), None);
                return Ok(cookie);
            }
            Credential::Linked(linked) => {
                // A policy that asks for no token shows nobody in it.
                if !verdict.policy().is_some_and(PolicyRef::asks_for_linked_application) {
                    return Ok(None);
                }
                let assertion = self.linked_assertion(linked, admission)?;
                request.extensions_mut().insert(linked.identity(&assertion));
                let email = linked.verified.email.clone();
                identify(request.headers_mut(), Some(assertion), email);
            }
        }
        Ok(None)
    }
}

impl Admission {
    /// What policies are asked about.
    pub(super) fn facts(&self) -> Facts<'_> {
        let circumstances = &self.circumstances;
        let mut facts = circumstances.facts();
        match &self.credential {
            Credential::None | Credential::Useless(_) | Credential::Refused(_) => {}
            Credential::ServiceToken(shown) => {
                facts.service_token = Some(shown.known.facts());
            }
            Credential::Linked(linked) => {
                let application = &linked.application.application;
                facts.linked_application =
                    Some(LinkedApplicationFacts { id: &application.id, name: &application.name });
            }
            Credential::Token { verified, .. } => match verified.identity.subject() {
                Subject::User { .. } | Subject::IncompleteUser { .. } => {
                    facts = match verified.identity.address() {
                        Some(email) => circumstances.facts_of(email),
                        None => circumstances.facts_of_somebody(),
                    };
                }
                Subject::Service { client_id } => {
                    facts.service_token = Some(match &self.service_token {
                        Some(known) => known.facts(),
                        // Behind an issuer only the issuer knows them all.
                        None => ServiceTokenFacts { id: client_id, client_id, name: None },
                    });
                }
            },
        }
        facts
    }
}

/// Who may store the answer to a request that was let in. Only what every stranger would get as well
/// is anybody's.
fn cache_policy(
    verdict: &Verdict,
    admission: &Admission,
    application: Option<&Application>,
) -> CachePolicy {
    let is_public = verdict.outcome() == Outcome::Bypassed
        // What further applications were asked for, not every stranger may do.
        && admission.further.is_empty()
        // None: an `OPTIONS` request, which passes whoever sends it.
        && verdict.policy().is_none_or(PolicyRef::is_public);
    if is_public {
        CachePolicy::Unchanged
    } else if application.is_some_and(|application| application.allows_shared_caching) {
        CachePolicy::SharedByName
    } else {
        CachePolicy::Private
    }
}

/// What becomes of a request before policies are asked.
enum Options {
    Answered(Answer),
    /// It goes on without any check.
    Passed,
    Refused,
    /// By the policies, as every other.
    Judged,
}

/// Preflights, where the application has a word on them before its policies.
fn answer_options<B>(
    request: &mut Request<B>,
    admission: &Admission,
    protected: &Protected,
    cors: Option<&Cors>,
) -> Options {
    let application = &protected.application;
    let (method, headers) = (request.method(), request.headers());
    if let (Some(cors), Some(settings)) = (cors, application.cors_headers.as_deref())
        && headers::is_preflight(method, headers)
    {
        return cors.preflight(settings, headers).map_or(Options::Refused, Options::Answered);
    }
    if !application.options_preflight_bypass || !is_plain_options(method, headers) {
        return Options::Judged;
    }
    audit::record(
        &Event::new(EventKind::OptionsPassed)
            .application(protected.audited())
            .address(admission.circumstances.sender.address),
    );
    request.extensions_mut().remove::<crate::Identity>();
    request.headers_mut().remove(headers::JWT_ASSERTION);
    // Whose it is was not asked.
    cookie::withhold(request.headers_mut(), Some(b""));
    Options::Passed
}

/// The reason of a refusal that goes with a verdict.
pub(super) fn why<B>(
    admission: &Admission,
    protected: &Protected,
    verdict: &Verdict,
    request: &Request<B>,
) -> RejectionKind {
    match (&admission.credential, verdict.outcome()) {
        (Credential::Refused(kind), _) => *kind,
        _ if headers::is_preflight(request.method(), request.headers()) => RejectionKind::Preflight,
        // The issuer would send the same again.
        (Credential::Useless(useless), Outcome::LoginRequired)
            if !useless.login_mends && is_visit(request) =>
        {
            RejectionKind::Token(useless.kind)
        }
        // Whoever shows a service token, good or not, is no person with a browser: by request.
        (_, Outcome::LoginRequired)
            if admission.shows_service_token && protected.application.service_auth_401_redirect =>
        {
            RejectionKind::ServiceRequired
        }
        (_, Outcome::LoginRequired) => RejectionKind::LoginRequired,
        (Credential::None | Credential::Useless(_), _) if !protected.policies.has_allow() => {
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
