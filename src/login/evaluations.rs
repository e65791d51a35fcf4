//! Results of evaluators for users with a session: requested, cached and refreshed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Equivalent;

use crate::application::CompiledApplication;
use crate::clock::{Clock, Timestamp};
use crate::facts::{Asker, AskerError, ExternalEvaluation};
use crate::identity::Email;
use crate::issuer::Issuer;
use crate::policy::{Evaluator, EvaluatorResults, Fact, Verdict};
use crate::random::Random;
use crate::session::Sessions;
use crate::util::deferred::Deferred;
use crate::util::refreshing_cache::{Lookup, RefreshingCache, WaitPolicy};

use super::identity::identity_object;

/// Asks evaluators about users, and caches the results.
#[derive(Debug)]
pub(crate) struct Evaluations {
    askers: HashMap<Evaluator, Arc<Asker>>,
    cache: RefreshingCache<Key, bool>,
    sessions: Sessions,
    issuer: Arc<Issuer>,
    clock: Arc<dyn Clock>,
}

/// The user and the application of an evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EvaluationContext<'a> {
    pub(crate) session: &'a str,
    pub(crate) email: &'a Email,
    pub(crate) protected: &'a CompiledApplication,
    /// The `iss` of the question.
    pub(crate) issuer: &'a str,
    pub(crate) now: Timestamp,
}

/// The cache key of a result.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    session: Box<str>,
    email: Email,
    application: Box<str>,
    issuer: Box<str>,
    evaluator: Evaluator,
}

/// A borrowed [`Key`].
#[derive(Hash)]
struct KeyRef<'a> {
    session: &'a str,
    email: &'a Email,
    application: &'a str,
    issuer: &'a str,
    evaluator: &'a Evaluator,
}

impl<'a> KeyRef<'a> {
    fn new(about: &EvaluationContext<'a>, evaluator: &'a Evaluator) -> Self {
        let EvaluationContext { session, email, protected, issuer, now: _ } = *about;
        Self { session, email, application: protected.audience(), issuer, evaluator }
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        let Key { session, email, application, issuer, evaluator } = key;
        self.session == &**session
            && self.email == email
            && self.application == &**application
            && self.issuer == &**issuer
            && self.evaluator == evaluator
    }
}

impl From<&KeyRef<'_>> for Key {
    fn from(key: &KeyRef<'_>) -> Self {
        Self {
            session: key.session.into(),
            email: key.email.clone(),
            application: key.application.into(),
            issuer: key.issuer.into(),
            evaluator: key.evaluator.clone(),
        }
    }
}

impl Evaluations {
    /// Creates a cache for these evaluators. Nothing is requested yet.
    ///
    /// # Errors
    ///
    /// If the client of an evaluator cannot be set up.
    pub(crate) fn new(
        evaluators: impl IntoIterator<Item = Evaluator>,
        settings: ExternalEvaluation,
        (sessions, issuer): (Sessions, Arc<Issuer>),
        clock: &Arc<dyn Clock>,
        random: &Arc<dyn Random>,
    ) -> Result<Self, AskerError> {
        let mut askers = HashMap::new();
        for evaluator in evaluators {
            if askers.contains_key(&evaluator) {
                continue;
            }
            let (clock, random) = (Arc::clone(clock), Arc::clone(random));
            let asker = Asker::new(&evaluator, settings, clock, random);
            askers.insert(evaluator, Arc::new(asker?));
        }
        let cache = RefreshingCache::new(MAX_CACHED_RESULTS, settings.times());
        Ok(Self { askers, cache, sessions, issuer, clock: Arc::clone(clock) })
    }

    /// Returns whether results of evaluators could change a refusal.
    pub(crate) fn could_change_outcome(verdict: &Verdict) -> bool {
        !verdict.outcome().grants_access()
            && verdict.missing_facts().contains(Fact::ExternalEvaluation)
    }

    /// Returns the cached results. Refreshes those that are due in the background.
    pub(crate) fn cached(&self, about: &EvaluationContext<'_>) -> EvaluatorResults {
        self.look_up_results(about, WaitPolicy::Never).0
    }

    /// Requests the missing results. Returns a future that completes with these requests, if any.
    pub(crate) fn ask(&self, about: &EvaluationContext<'_>) -> Option<Deferred> {
        self.look_up_results(about, WaitPolicy::IfAbsent).1
    }

    /// Returns the results at a login, at most 30 seconds old.
    pub(super) async fn at_login(&self, about: EvaluationContext<'_>) -> EvaluatorResults {
        let (answers, wait) =
            self.look_up_results(&about, WaitPolicy::UnlessYoungerThan(MAX_AGE_AT_LOGIN));
        let Some(wait) = wait else { return answers };
        wait.await;
        let now = self.clock.now();
        let known = |evaluator: &Evaluator| {
            let answer = self.cache.get(&KeyRef::new(&about, evaluator), now)?;
            Some((evaluator.clone(), answer))
        };
        about.protected.policies.evaluators().iter().filter_map(known).collect()
    }

    fn look_up_results(
        &self,
        about: &EvaluationContext<'_>,
        wait: WaitPolicy,
    ) -> (EvaluatorResults, Option<Deferred>) {
        let (mut answers, mut waits) = (Vec::new(), Vec::new());
        for evaluator in about.protected.policies.evaluators() {
            let Some(asker) = self.askers.get(evaluator) else { continue };
            let key = KeyRef::new(about, evaluator);
            let question = || self.question(about, Arc::clone(asker));
            match self.cache.look_up(&key, about.now, wait, question) {
                Lookup::Cached(answer) => answers.push((evaluator.clone(), answer)),
                Lookup::Pending(wait) => waits.push(wait),
                Lookup::Absent => {}
            }
        }
        (answers.into_iter().collect(), Deferred::all(waits))
    }

    /// Builds one question about a user, from the stored session.
    fn question(
        &self,
        about: &EvaluationContext<'_>,
        asker: Arc<Asker>,
    ) -> impl Future<Output = Option<bool>> + Send + 'static {
        let (sessions, signer) = (self.sessions.clone(), Arc::clone(&self.issuer));
        let (id, email) = (about.session.to_owned(), about.email.clone());
        let (issuer, now) = (about.issuer.to_owned(), about.now);
        async move {
            let session = match sessions.get(&id, now).await {
                Ok(session) => session?,
                Err(error) => {
                    tracing::warn!(%error, "evaluator not asked: the session cannot be read");
                    return None;
                }
            };
            if session.email != email {
                return None;
            }
            asker
                .ask(&identity_object(&session), &issuer, |claims| Ok(signer.sign(claims, now)?))
                .await
        }
    }
}

/// Oldest result used at a login: its steps follow each other.
const MAX_AGE_AT_LOGIN: Duration = Duration::from_secs(30);
/// A few hundred bytes each.
const MAX_CACHED_RESULTS: usize = 50_000;
