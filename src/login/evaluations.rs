//! What evaluators say of people who have a session: asked, remembered, asked again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::Equivalent;

use crate::application::CompiledApplication;
use crate::clock::{Clock, Timestamp};
use crate::facts::{Asker, AskerError, ExternalEvaluation};
use crate::identity::Email;
use crate::issuer::Issuer;
use crate::policy::{Answers, Evaluator, Fact, Verdict};
use crate::random::Random;
use crate::session::Sessions;
use crate::util::deferred::Deferred;
use crate::util::refreshing_cache::{Lookup, RefreshingCache, WaitPolicy};

use super::identity::person;

/// Asks evaluators about people, and remembers what they say.
#[derive(Debug)]
pub(crate) struct Evaluations {
    askers: HashMap<Evaluator, Arc<Asker>>,
    cache: RefreshingCache<Key, bool>,
    sessions: Sessions,
    issuer: Arc<Issuer>,
    clock: Arc<dyn Clock>,
}

/// Whom evaluators are asked about, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub(crate) session: &'a str,
    pub(crate) email: &'a Email,
    pub(crate) protected: &'a CompiledApplication,
    /// The `iss` of the question.
    pub(crate) issuer: &'a str,
    pub(crate) now: Timestamp,
}

/// All that an answer depends on, each part by itself.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    session: Box<str>,
    email: Email,
    application: Box<str>,
    issuer: Box<str>,
    evaluator: Evaluator,
}

/// The same without memory of its own.
#[derive(Hash)]
struct KeyRef<'a> {
    session: &'a str,
    email: &'a Email,
    application: &'a str,
    issuer: &'a str,
    evaluator: &'a Evaluator,
}

impl<'a> KeyRef<'a> {
    fn new(about: &About<'a>, evaluator: &'a Evaluator) -> Self {
        let About { session, email, protected, issuer, now: _ } = *about;
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
    /// Asks these evaluators, when their time comes.
    ///
    /// # Errors
    ///
    /// When one of them cannot be asked.
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
        let cache = RefreshingCache::new(MAX_ANSWERS, settings.times());
        Ok(Self { askers, cache, sessions, issuer, clock: Arc::clone(clock) })
    }

    /// Whether what evaluators say could turn a refusal around.
    pub(crate) fn could_turn(verdict: &Verdict) -> bool {
        !verdict.outcome().opens() && verdict.missing_facts().contains(Fact::ExternalEvaluation)
    }

    /// The answers that are remembered; those that are due are asked for again beside this request.
    pub(crate) fn recalled(&self, about: &About<'_>) -> Answers {
        self.look(about, WaitPolicy::Never).0
    }

    /// Asks for the answers that are missing; the end of that, if it is worth waiting for.
    pub(crate) fn ask(&self, about: &About<'_>) -> Option<Deferred> {
        self.look(about, WaitPolicy::IfAbsent).1
    }

    /// The answers at a login: asked for now, unless they were a moment ago.
    pub(super) async fn at_login(&self, about: About<'_>) -> Answers {
        let (answers, wait) = self.look(&about, WaitPolicy::IfOlderThan(A_MOMENT));
        let Some(wait) = wait else { return answers };
        wait.await;
        let now = self.clock.now();
        let known = |evaluator: &Evaluator| {
            let answer = self.cache.get(&KeyRef::new(&about, evaluator), now)?;
            Some((evaluator.clone(), answer))
        };
        about.protected.policies.evaluators().iter().filter_map(known).collect()
    }

    fn look(&self, about: &About<'_>, wait: WaitPolicy) -> (Answers, Option<Deferred>) {
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

    /// One question about a person, as the store has them at this time.
    fn question(
        &self,
        about: &About<'_>,
        asker: Arc<Asker>,
    ) -> impl Future<Output = Option<bool>> + Send + 'static {
        let (sessions, signer) = (self.sessions.clone(), Arc::clone(&self.issuer));
        let (id, email) = (about.session.to_owned(), about.email.clone());
        let (issuer, now) = (about.issuer.to_owned(), about.now);
        async move {
            let session = match sessions.get(&id, now).await {
                Ok(session) => session?,
                Err(error) => {
                    tracing::warn!(%error, "nobody can be asked about a session: it is not there");
                    return None;
                }
            };
            if session.email != email {
                return None;
            }
            asker.ask(&person(&session), &issuer, |claims| Ok(signer.sign(claims, now)?)).await
        }
    }
}

/// At a login an answer may be as old as that: its steps follow each other.
const A_MOMENT: Duration = Duration::from_secs(30);
/// A few hundred bytes each.
const MAX_ANSWERS: usize = 50_000;
