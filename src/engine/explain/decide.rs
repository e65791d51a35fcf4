//! Explains a request with the policies that decide.

use http::{HeaderMap, Method};

use crate::application::{
    Applications, CanonicalHost, CanonicalPath, CompiledApplication, LocateError,
};
use crate::clock::Timestamp;
use crate::engine::Members;
use crate::identity::Attributes;
use crate::login::MethodInfo;
use crate::policy::{
    Evaluator, EvaluatorResults, Facts, LinkedApplicationFacts, Outcome, ServiceTokenFacts,
};
use crate::service_token::ServiceTokens;

use super::super::authorize::BeforePolicies;
use super::super::linked_applications::linked_application;
use super::{ExplainedApplication, KnownLogins, OtherApplication, Question, RequestExplanation};

/// Explains requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestExplainer<'a> {
    pub(crate) applications: &'a Applications,
    pub(crate) service_tokens: &'a ServiceTokens,
    /// Whether `service_tokens` is complete: an engine that verifies need not know every one.
    pub(crate) knows_service_tokens: bool,
    /// Whether a service token that no policy allows is ignored.
    pub(crate) falls_back_from_service_tokens: bool,
    pub(crate) logins: KnownLogins<'a>,
    /// The login methods; `None` if the issuer has them.
    pub(crate) login_methods: Option<&'a [MethodInfo<'a>]>,
    pub(crate) now: Timestamp,
}

impl RequestExplainer<'_> {
    pub(crate) fn explain(&self, question: &Question) -> RequestExplanation {
        let mut explained = RequestExplanation {
            version: 1,
            outcome: Outcome::Denied,
            reason: String::new(),
            id: None,
            question: question.clone(),
            host: None,
            path: None,
            application: None,
            other_applications: Vec::new(),
            notes: Vec::new(),
            explanation: None,
        };
        match self.locate(question, &mut explained) {
            Err(reason) => explained.reason = reason,
            Ok(compiled) => {
                self.judge(question, compiled, &mut explained);
                self.note_members(&mut explained);
            }
        }
        explained
    }

    /// Adds a note that names the further applications of a method that acts on everything below.
    fn note_members(&self, explained: &mut RequestExplanation) {
        let Some(method) = explained.question.request.method.as_deref() else { return };
        let (Some(host), Some(path)) = (&explained.host, &explained.path) else { return };
        let Ok(host) = host.parse() else { return };
        let below = match Members::from_method_name(method) {
            Members::None => return,
            Members::Below => self.applications.below(&host, path),
            Members::WholeHost => self.applications.below(&host, "/"),
        };
        let mut names: Vec<&str> = below
            .iter()
            .filter_map(|(id, _)| self.applications.get(*id))
            .map(|compiled| &*compiled.application.name)
            .filter(|name| explained.application.as_ref().is_none_or(|own| own.name != **name))
            .collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            let names: Vec<String> =
                names.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
            explained.notes.push(format!(
                "`{}` acts on everything below: {} must allow the request as well",
                method.escape_debug(),
                names.join(", ")
            ));
        }
    }

    /// Locates the application of a request.
    fn locate(
        &self,
        question: &Question,
        explained: &mut RequestExplanation,
    ) -> Result<&CompiledApplication, String> {
        let (host, path) = split(&question.request.url)?;
        let host: CanonicalHost =
            host.parse().map_err(|error| format!("`{}`: {error}", host.escape_debug()))?;
        explained.host = Some(host.as_str().to_owned());
        let path = CanonicalPath::parse_with_ambiguities(path)
            .map_err(|error| format!("refused with 400: {error}"))?;
        explained.path = Some(path.as_str().to_owned());
        let choice = self.applications.explain(&host, path.as_str());
        explained.application = choice.chosen.as_ref().and_then(|chosen| {
            let compiled = self.applications.get(*chosen.value)?;
            Some(describe(compiled, chosen.destination))
        });
        explained.other_applications = choice
            .others
            .iter()
            .filter_map(|other| {
                let compiled = self.applications.get(*other.value)?;
                let application = describe(compiled, other.destination);
                Some(OtherApplication { application, why: other.why })
            })
            .collect();
        let id = self.applications.locate(&host, &path).map_err(|error| match error {
            LocateError::NoApplication => "no application covers this host and path".to_owned(),
            LocateError::Path(error) => format!("refused with 400: {error}"),
        })?;
        let compiled =
            self.applications.get(id).ok_or("no application covers this host and path")?;
        // An engine that verifies may have one application for everything.
        explained.application.get_or_insert_with(|| ExplainedApplication {
            id: compiled.application.id.to_string(),
            name: compiled.application.name.to_string(),
            domain: "every host and path".to_owned(),
        });
        Ok(compiled)
    }

    fn judge(
        &self,
        question: &Question,
        compiled: &CompiledApplication,
        explained: &mut RequestExplanation,
    ) {
        let Question { request, identity, at } = question;
        if identity.is_ambiguous() {
            explained.reason =
                "the question names several requesters; name one user, service token or application"
                    .to_owned();
            return;
        }
        let application = &compiled.application;
        if request.method.as_deref() == Some("OPTIONS") {
            let options = (&Method::OPTIONS, &HeaderMap::new());
            if let BeforePolicies::Unchecked = BeforePolicies::decide(application, options, None) {
                explained.outcome = Outcome::Bypassed;
                explained.reason = "every OPTIONS request passes unchecked \
                                    (`options_preflight_bypass`)"
                    .to_owned();
                return;
            }
            if application.cors_headers.is_some() {
                explained.notes.push(
                    "CORS preflights are answered before policies are evaluated (`cors_headers`)"
                        .into(),
                );
            }
        }
        let now = at.map_or(self.now, |moment| moment.0);
        let mut known = identity.attributes_with(self.logins);
        self.note_login_method(compiled, question, known.as_mut(), &mut explained.notes);
        let method = known.as_ref().and_then(|known| known.login_method.as_ref());
        let counts = method.is_none_or(|method| application.allows_login_method(&method.id));
        // A login by another method is ignored.
        let person = identity.email.as_ref().filter(|_| counts);
        if !counts && identity.email.is_some() {
            let note = "the application does not accept this login method (`allowed_idps`)";
            explained.notes.push(note.into());
        }
        let posture = request.device_posture();
        let answers = answers(question, compiled);
        let token = identity
            .service_token
            .as_deref()
            .and_then(|id| self.service_token(id, now, &mut explained.notes));
        let linked = identity
            .linked_application
            .as_deref()
            .and_then(|name| self.linked(compiled, name, &mut explained.notes));
        let mut facts = Facts {
            email: person,
            is_logged_in: false,
            attributes: known.as_ref().filter(|_| person.is_some()),
            address: request.ip.map(|address| address.to_canonical()),
            country: request.country,
            certificate: request.certificate(),
            service_token: token,
            linked_application: linked.map(|linked| LinkedApplicationFacts {
                id: &linked.application.id,
                name: &linked.application.name,
            }),
            device_posture: posture.as_ref(),
            evaluations: Some(&answers),
        };
        // The verdict comes from the evaluation that enforces; the explanation shows how.
        let mut verdict = compiled.policies.evaluate(&facts);
        if self.falls_back_from_service_tokens
            && token.is_some()
            && !verdict.outcome().grants_access()
        {
            explained.notes.push(
                "no policy allows the service token: it is ignored \
                 (`strict_service_token_auth` is off)"
                    .into(),
            );
            facts.service_token = None;
            verdict = compiled.policies.evaluate(&facts);
        }
        let explanation = compiled.policies.explain(&facts);
        explained.outcome = verdict.outcome();
        explained.id = verdict.id();
        explained.reason.clone_from(&explanation.reason);
        explained.explanation = Some(explanation);
    }

    /// Completes the login method of a user by its type. Adds a note if the login method is missing, or
    /// does not exist.
    fn note_login_method(
        &self,
        compiled: &CompiledApplication,
        question: &Question,
        known: Option<&mut Attributes>,
        notes: &mut Vec<String>,
    ) {
        let identity = &question.identity;
        let (Some(_), Some(methods)) = (&identity.email, self.login_methods) else { return };
        let ids = || methods.iter().map(|method| method.id).collect::<Vec<_>>();
        let Some(id) = &identity.login_method else {
            let is_asked = compiled.policies.uses_login_facts()
                || !compiled.application.allowed_login_methods.is_empty();
            if is_asked && self.logins.usual.is_none() && !identity.has_login_attributes() {
                notes.push(format!(
                    "the question has no login method, so what a login reports is unknown; name one with \
                     `login_method`: `{}`",
                    ids().join("`, `").escape_debug()
                ));
            }
            return;
        };
        match methods.iter().find(|method| *method.id == **id) {
            None => notes.push(format!(
                "nobody logs in by `{}` here; the login methods are `{}`",
                id.escape_debug(),
                ids().join("`, `").escape_debug()
            )),
            Some(method) if identity.login_type.is_none() => {
                if let Some(login) = known.and_then(|known| known.login_method.as_mut()) {
                    login.kind = method.kind.into();
                }
            }
            Some(_) => {}
        }
    }

    /// Returns the application whose token is presented, if a rule accepts it.
    fn linked(
        &self,
        compiled: &CompiledApplication,
        name: &str,
        notes: &mut Vec<String>,
    ) -> Option<&CompiledApplication> {
        let linked = linked_application(self.applications, compiled, name);
        if linked.is_none() {
            let name = name.escape_debug();
            notes.push(format!(
                "application `{name}` is unknown, or no rule accepts its token: the token is ignored"
            ));
        }
        linked
    }

    /// Returns a valid service token.
    fn service_token<'a>(
        &'a self,
        name: &'a str,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Option<ServiceTokenFacts<'a>> {
        let escaped = name.escape_debug();
        let Some(known) = self.service_tokens.find_entry(name) else {
            if self.knows_service_tokens {
                notes.push(format!("unknown service token `{escaped}`: it is ignored"));
                return None;
            }
            // The store of an engine that issues may have others than the settings.
            let whose = if self.login_methods.is_some() { "store" } else { "issuer" };
            notes.push(format!(
                "the service token `{escaped}` is assumed to be one of the {whose}'s"
            ));
            return Some(ServiceTokenFacts { id: name, client_id: name, name: None });
        };
        let token = &known.token;
        if !token.is_valid(now) {
            let why = if token.enabled { "has expired" } else { "is disabled" };
            notes.push(format!("the service token `{escaped}` {why}: it is ignored"));
            return None;
        }
        Some(known.facts())
    }
}

/// Returns the answers of evaluators that the question contains.
fn answers(question: &Question, compiled: &CompiledApplication) -> EvaluatorResults {
    let evaluations = &question.identity.evaluations;
    let answer = |evaluator: &Evaluator| {
        evaluations.get(evaluator.evaluate_url()).map(|success| (evaluator.clone(), *success))
    };
    compiled.policies.evaluators().iter().filter_map(answer).collect()
}

fn describe(
    compiled: &CompiledApplication,
    destination: &crate::application::Destination,
) -> ExplainedApplication {
    ExplainedApplication {
        id: compiled.application.id.to_string(),
        name: compiled.application.name.to_string(),
        domain: destination.to_string(),
    }
}

/// Splits a URL into host and path, unchanged: a correction could hide an ambiguity.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => rest,
        Some((scheme, _)) => {
            return Err(format!(
                "unsupported scheme `{}`; write http or https",
                scheme.escape_debug()
            ));
        }
        None => url,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.find('/') {
        Some(slash) => Ok(rest.split_at(slash)),
        None => Ok((rest, "/")),
    }
}
