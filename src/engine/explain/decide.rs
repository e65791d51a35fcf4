//! Answers a question with the policies that decide.

use http::{HeaderMap, Method};

use crate::application::{
    Applications, CanonicalHost, CanonicalPath, CompiledApplication, LocateError,
};
use crate::clock::Timestamp;
use crate::engine::Members;
use crate::identity::Attributes;
use crate::policy::{
    Answers, Evaluator, Facts, LinkedApplicationFacts, Outcome, ServiceTokenFacts,
};
use crate::service_token::ServiceTokens;

use super::super::authorize::BeforePolicies;
use super::super::linked_applications::linked_application;
use super::{ExplainedApplication, OtherApplication, Question, RequestExplanation};

/// What answers questions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) directory: &'a Applications,
    pub(crate) service_tokens: &'a ServiceTokens,
    /// Whether these are all there are: behind an issuer only the issuer knows.
    pub(crate) knows_service_tokens: bool,
    /// Whether a request with one that no policy lets in is judged as one without.
    pub(crate) falls_back_from_service_tokens: bool,
    /// What is known of a person who came in by the usual login.
    pub(crate) usual_login: Option<&'a Attributes>,
    pub(crate) now: Timestamp,
}

impl Asked<'_> {
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
        match self.place(question, &mut explained) {
            Err(reason) => explained.reason = reason,
            Ok(protected) => {
                self.judge(question, protected, &mut explained);
                self.note_members(&mut explained);
            }
        }
        explained
    }

    /// Names the applications that a method needs besides, because it acts on everything below.
    fn note_members(&self, explained: &mut RequestExplanation) {
        let Some(method) = explained.question.request.method.as_deref() else { return };
        let (Some(host), Some(path)) = (&explained.host, &explained.path) else { return };
        let Ok(host) = host.parse() else { return };
        let below = match Members::of_method_alone(method) {
            Members::None => return,
            Members::Below => self.directory.below(&host, path),
            Members::OfHost => self.directory.below(&host, "/"),
        };
        let mut names: Vec<&str> = below
            .iter()
            .filter_map(|(id, _)| self.directory.get(*id))
            .map(|protected| &*protected.application.name)
            .filter(|name| explained.application.as_ref().is_none_or(|own| own.name != **name))
            .collect();
        names.sort_unstable();
        names.dedup();
        if !names.is_empty() {
            let names: Vec<String> =
                names.iter().map(|name| format!("`{}`", name.escape_debug())).collect();
            explained.notes.push(format!(
                "`{}` acts on everything below: {} must let the request in as well",
                method.escape_debug(),
                names.join(", ")
            ));
        }
    }

    /// The application of a request.
    fn place(
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
        let choice = self.directory.explain(&host, path.as_str());
        explained.application = choice.chosen.as_ref().and_then(|chosen| {
            let protected = self.directory.get(*chosen.value)?;
            Some(describe(protected, chosen.destination))
        });
        explained.other_applications = choice
            .others
            .iter()
            .filter_map(|other| {
                let protected = self.directory.get(*other.value)?;
                let application = describe(protected, other.destination);
                Some(OtherApplication { application, why: other.why })
            })
            .collect();
        let id = self.directory.locate(&host, &path).map_err(|error| match error {
            LocateError::NoApplication => "no application covers it: closed".to_owned(),
            LocateError::Path(error) => format!("refused with 400: {error}"),
        })?;
        let protected = self.directory.get(id).ok_or("no application covers it: closed")?;
        // There may be one application for everything.
        explained.application.get_or_insert_with(|| ExplainedApplication {
            id: protected.application.id.to_string(),
            name: protected.application.name.to_string(),
            domain: "every host and path".to_owned(),
        });
        Ok(protected)
    }

    fn judge(
        &self,
        question: &Question,
        protected: &CompiledApplication,
        explained: &mut RequestExplanation,
    ) {
        let Question { request, identity, at } = question;
        if identity.is_ambiguous() {
            explained.reason =
                "a request is made by a person, a service or another application: name one of them"
                    .to_owned();
            return;
        }
        let application = &protected.application;
        if request.method.as_deref() == Some("OPTIONS") {
            let options = (&Method::OPTIONS, &HeaderMap::new());
            if let BeforePolicies::Unchecked = BeforePolicies::decide(application, options, None) {
                explained.outcome = Outcome::Bypassed;
                explained.reason = "every OPTIONS request is let through unchecked \
                                    (`options_preflight_bypass`)"
                    .to_owned();
                return;
            }
            if application.cors_headers.is_some() {
                explained.notes.push(
                    "a CORS preflight is answered before policies are asked (`cors_headers`)"
                        .into(),
                );
            }
        }
        let now = at.map_or(self.now, |moment| moment.0);
        let known = identity.attributes_with(self.usual_login);
        let method = known.as_ref().and_then(|known| known.login_method.as_ref());
        let counts = method.is_none_or(|method| application.allows_login_method(&method.id));
        // A login that does not count is as good as none.
        let person = identity.email.as_ref().filter(|_| counts);
        if !counts && identity.email.is_some() {
            let note = "logins by this method do not count here (`allowed_idps`)";
            explained.notes.push(note.into());
        }
        let posture = request.device_posture();
        let answers = answers(question, protected);
        let token = identity
            .service_token
            .as_deref()
            .and_then(|id| self.service_token(id, now, &mut explained.notes));
        let linked = identity
            .linked_application
            .as_deref()
            .and_then(|name| self.linked(protected, name, &mut explained.notes));
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
        // The verdict is the enforcing engine's; the explanation says how it comes about.
        let mut verdict = protected.policies.evaluate(&facts);
        if self.falls_back_from_service_tokens && token.is_some() && !verdict.outcome().opens() {
            explained.notes.push(
                "no policy lets the service token in: it counts as none \
                 (`strict_service_token_auth` is off)"
                    .into(),
            );
            facts.service_token = None;
            verdict = protected.policies.evaluate(&facts);
        }
        let explanation = protected.policies.explain(&facts);
        explained.outcome = verdict.outcome();
        explained.id = verdict.id();
        explained.reason.clone_from(&explanation.reason);
        explained.explanation = Some(explanation);
    }

    /// The application whose token is brought, if it counts.
    fn linked(
        &self,
        protected: &CompiledApplication,
        name: &str,
        notes: &mut Vec<String>,
    ) -> Option<&CompiledApplication> {
        let linked = linked_application(self.directory, protected, name);
        if linked.is_none() {
            let shown = name.escape_debug();
            notes.push(format!(
                "no rule here names an application `{shown}` that there is: its token proves nothing"
            ));
        }
        linked
    }

    /// A service token that counts.
    fn service_token<'a>(
        &'a self,
        name: &'a str,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Option<ServiceTokenFacts<'a>> {
        let shown = name.escape_debug();
        let Some(known) = self.service_tokens.find(name) else {
            if self.knows_service_tokens {
                notes.push(format!("there is no service token `{shown}`: it proves nothing"));
                return None;
            }
            // Where we issue, others than the file's are the store's.
            let whose = if self.usual_login.is_some() { "store" } else { "issuer" };
            notes.push(format!("the service token `{shown}` is taken for one of the {whose}'s"));
            return Some(ServiceTokenFacts { id: name, client_id: name, name: None });
        };
        let token = &known.token;
        if !token.is_good(now) {
            let why = if token.enabled { "has expired" } else { "is switched off" };
            notes.push(format!("the service token `{shown}` {why}: it proves nothing"));
            return None;
        }
        Some(known.facts())
    }
}

/// What evaluators say, for those that are named.
fn answers(question: &Question, protected: &CompiledApplication) -> Answers {
    let said = &question.identity.evaluations;
    let answer = |evaluator: &Evaluator| {
        said.get(evaluator.evaluate_url()).map(|success| (evaluator.clone(), *success))
    };
    protected.policies.evaluators().iter().filter_map(answer).collect()
}

fn describe(
    protected: &CompiledApplication,
    destination: &crate::application::Destination,
) -> ExplainedApplication {
    ExplainedApplication {
        id: protected.application.id.to_string(),
        name: protected.application.name.to_string(),
        domain: destination.to_string(),
    }
}

/// The host and the path of an address, as they are written: nothing may be mended here.
fn split(url: &str) -> Result<(&str, &str), String> {
    let rest = match url.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => rest,
        Some((scheme, _)) => {
            return Err(format!("`{}` is no scheme of the web", scheme.escape_debug()));
        }
        None => url,
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.find('/') {
        Some(slash) => Ok(rest.split_at(slash)),
        None => Ok((rest, "/")),
    }
}
