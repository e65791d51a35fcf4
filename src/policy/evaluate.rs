//! Evaluating policies.

use std::cell::{Cell, RefCell};

use super::attribute;
use super::compile::{AnyOf, CompiledPolicy, Condition, GroupIndex, Policies, Sets};
use super::document::Decision;
use super::facts::{Certificate, DevicePosture, Fact, FactSet, Facts};
use super::truth::{Certainty, Truth};
use super::verdict::{Outcome, PolicyRef, Verdict};

impl Policies {
    /// Returns the verdict on a request. A pure function: the same facts always give the same verdict.
    ///
    /// Only `bypass` and `non_identity` policies apply to a request with a service token, and to one
    /// without a user, which may also be asked to log in.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Verdict {
        let evaluation = Evaluation::new(self, facts);
        for policy in &self.inner().without_login {
            if evaluation.condition(&policy.condition, Certainty::Certain) {
                return evaluation.decided_by(policy);
            }
        }
        match (facts.has_user(), facts.has_non_user_credential()) {
            (true, _) => self.decide_for_person(&evaluation),
            (false, true) => evaluation.undecided(Outcome::Denied),
            (false, false) => self.decide_before_login(&evaluation),
        }
    }

    /// Returns whether a login of this user could lead to access, judged by what is known before the
    /// login; evaluators that will be asked may grant it. Decides whether a one-time PIN is mailed.
    ///
    /// Every policy is evaluated to its end, also after the one that decides: the time does not tell a
    /// stranger which one it was, or that none was.
    // Public for the tests alone.
    #[doc(hidden)]
    #[must_use]
    pub fn could_allow(&self, facts: &Facts<'_>) -> bool {
        let evaluation =
            Evaluation { will_ask: true, to_the_end: true, ..Evaluation::new(self, facts) };
        let mut decision = None;
        for policy in &self.inner().with_login {
            if evaluation.applies_to_person(policy) && decision.is_none() {
                decision = Some(policy.decision);
            }
        }
        facts.email.is_some() && decision == Some(Decision::Allow)
    }

    /// Returns whether any request of this user could be granted access, whatever the missing facts are.
    /// For a token that is used at another application: a user without access to the application that
    /// it was issued for has no access there either.
    // Public for the tests alone.
    #[doc(hidden)]
    #[must_use]
    pub fn may_admit(&self, facts: &Facts<'_>) -> bool {
        let evaluation = Evaluation::new(self, facts);
        for policy in &self.inner().with_login {
            match policy.decision {
                Decision::Deny if evaluation.condition(&policy.condition, Certainty::Certain) => {
                    return false;
                }
                Decision::Allow if evaluation.condition(&policy.condition, Certainty::Possible) => {
                    return facts.has_user();
                }
                Decision::Deny | Decision::Allow | Decision::Bypass | Decision::NonIdentity => {}
            }
        }
        false
    }

    /// Returns the policies that may grant access without any credential: no login, service token,
    /// token of another application, certificate or device.
    // Public for the tests alone.
    #[doc(hidden)]
    pub fn open_without_proof(&self) -> impl Iterator<Item = &PolicyRef> {
        static NO_DEVICE: DevicePosture = DevicePosture::new();
        let facts = Facts {
            certificate: Certificate::Missing,
            device_posture: Some(&NO_DEVICE),
            ..Facts::default()
        };
        self.inner()
            .without_login
            .iter()
            .filter(move |policy| {
                Evaluation::new(self, &facts).condition(&policy.condition, Certainty::Possible)
            })
            .map(|policy| &policy.reference)
    }

    fn decide_for_person(&self, evaluation: &Evaluation<'_>) -> Verdict {
        for policy in &self.inner().with_login {
            if evaluation.applies_to_person(policy) {
                return evaluation.decided_by(policy);
            }
        }
        evaluation.undecided(Outcome::Denied)
    }

    /// Decides for a request without a login: whether a login could satisfy an `allow` policy, with no
    /// earlier `deny` policy that applies to every user.
    fn decide_before_login(&self, evaluation: &Evaluation<'_>) -> Verdict {
        let mut barred_by = None;
        for policy in &self.inner().with_login {
            match policy.decision {
                Decision::Deny if evaluation.condition(&policy.condition, Certainty::Certain) => {
                    barred_by = barred_by.or(Some(policy));
                }
                Decision::Allow if evaluation.condition(&policy.condition, Certainty::Possible) => {
                    return match barred_by {
                        Some(policy) => evaluation.decided_by(policy),
                        None => evaluation.undecided(Outcome::LoginRequired),
                    };
                }
                Decision::Deny | Decision::Allow | Decision::Bypass | Decision::NonIdentity => {}
            }
        }
        evaluation.undecided(Outcome::Denied)
    }
}

impl Decision {
    /// Returns the outcome when a policy with this decision applies.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Allow => Outcome::Allowed,
            Self::Deny => Outcome::Denied,
            Self::Bypass => Outcome::Bypassed,
            Self::NonIdentity => Outcome::ServiceAllowed,
        }
    }
}

struct Evaluation<'a> {
    policies: &'a Policies,
    facts: &'a Facts<'a>,
    /// Whether evaluators are still to be asked and may grant access.
    will_ask: bool,
    /// Whether everything is evaluated, also what cannot change the result any more.
    to_the_end: bool,
    /// Facts that rules need and that are missing.
    missing: Cell<FactSet>,
    /// Results of groups that other groups refer to, so that each is evaluated once.
    cache: RefCell<GroupCache>,
}

/// Results of groups by slot. The first slots need no allocation.
struct GroupCache {
    few: [u8; INLINE_SLOTS],
    more: Vec<u8>,
}

impl<'a> Evaluation<'a> {
    fn new(policies: &'a Policies, facts: &'a Facts<'a>) -> Self {
        let missing = Cell::new(FactSet::EMPTY);
        let cache = RefCell::new(GroupCache { few: [0; INLINE_SLOTS], more: Vec::new() });
        Self { policies, facts, will_ask: false, to_the_end: false, missing, cache }
    }

    fn decided_by(&self, policy: &CompiledPolicy) -> Verdict {
        let outcome = policy.decision.outcome();
        let id = self.policies.inner().fingerprint.verdict(outcome, Some(policy.position));
        Verdict::decided_by(outcome, &policy.reference, id, self.missing_for(outcome))
    }

    fn undecided(&self, outcome: Outcome) -> Verdict {
        let id = self.policies.inner().fingerprint.verdict(outcome, None);
        Verdict::undecided_by(outcome, id, self.missing_for(outcome))
    }

    /// Returns the missing facts if the outcome refuses access.
    fn missing_for(&self, outcome: Outcome) -> FactSet {
        if outcome == Outcome::Denied { self.missing.get() } else { FactSet::EMPTY }
    }

    fn applies_to_person(&self, policy: &CompiledPolicy) -> bool {
        let certainty = match policy.decision {
            // A `deny` policy that may apply does apply: a missing fact never grants access.
            Decision::Deny => Certainty::Possible,
            Decision::Allow | Decision::Bypass | Decision::NonIdentity => Certainty::Certain,
        };
        self.condition(&policy.condition, certainty)
    }

    fn condition(&self, condition: &Condition, certainty: Certainty) -> bool {
        let is_included = self.any_of(&condition.include, certainty);
        if !is_included && !self.to_the_end {
            return false;
        }
        let misses = self.any(&condition.require, |rule| !self.any_of(rule, certainty));
        if misses && !self.to_the_end {
            return false;
        }
        let is_excluded = self.any_of(&condition.exclude, certainty.opposite());
        is_included && !misses && !is_excluded
    }

    fn any_of(&self, any: &AnyOf, certainty: Certainty) -> bool {
        let holds = self.any(&any.sets, |sets| self.sets(sets, certainty));
        if holds && !self.to_the_end {
            return true;
        }
        any.groups.as_ref().is_some_and(|groups| self.groups(groups, certainty)) || holds
    }

    /// Returns whether one of these holds. Evaluates all, if that is asked for.
    fn any<T>(&self, all: impl IntoIterator<Item = T>, holds: impl Fn(T) -> bool) -> bool {
        let mut all = all.into_iter();
        if self.to_the_end {
            return all.map(holds).filter(|holds| *holds).count() > 0;
        }
        all.any(holds)
    }

    fn sets(&self, sets: &Sets, certainty: Certainty) -> bool {
        if sets.everyone {
            return true;
        }
        let facts = self.facts;
        if !(sets.emails.is_empty() && sets.email_domains.is_empty()) {
            let truth = match facts.email {
                Some(email) => Truth::known(
                    !sets.emails.is_empty() && sets.emails.contains(email.as_str())
                        || !sets.email_domains.is_empty()
                            && sets.email_domains.contains(email.domain()),
                ),
                None => facts.without_email(),
            };
            if self.is_met(truth, certainty) {
                return true;
            }
        }
        if !sets.networks.is_empty() {
            let truth = match facts.address {
                Some(address) => Truth::known(sets.networks.contains(address.to_canonical())),
                None => Truth::Open(Fact::Address),
            };
            if self.is_met(truth, certainty) {
                return true;
            }
        }
        if !sets.countries.is_empty() {
            let truth = match facts.country {
                Some(country) => Truth::known(sets.countries.binary_search(&country).is_ok()),
                None => Truth::Open(Fact::Country),
            };
            if self.is_met(truth, certainty) {
                return true;
            }
        }
        sets.others.iter().any(|(operand, values)| {
            self.is_met(attribute::compare(operand, values, facts), certainty)
        })
    }

    fn is_met(&self, truth: Truth, certainty: Certainty) -> bool {
        if self.will_ask && truth == Truth::Open(Fact::ExternalEvaluation) {
            return certainty.meets_pending();
        }
        // Before the login the user is not a missing fact.
        if let Truth::Open(fact) = truth
            && fact != Fact::Person
        {
            self.missing.set(self.missing.get().with(fact));
        }
        truth.is_met(certainty)
    }

    fn groups(&self, groups: &GroupIndex, certainty: Certainty) -> bool {
        let holds = |position: usize| self.group(position, certainty);
        let always = self.any(groups.always.iter().copied(), holds);
        if always && !self.to_the_end {
            return true;
        }
        let people = match self.facts.email {
            Some(email) => self.any(groups.for_email(email), holds),
            None => {
                !groups.naming_users().is_empty()
                    && self.is_met(self.facts.without_email(), certainty)
                    && groups.naming_users().iter().copied().any(holds)
            }
        };
        if people && !self.to_the_end {
            return true;
        }
        let networks = match self.facts.address {
            Some(address) => self.any(groups.for_address(address.to_canonical()), holds),
            None => {
                let open = Truth::Open(Fact::Address);
                !groups.naming_networks().is_empty()
                    && self.is_met(open, certainty)
                    && groups.naming_networks().iter().copied().any(holds)
            }
        };
        always || people || networks
    }

    fn group(&self, position: usize, certainty: Certainty) -> bool {
        let definitions = self.policies.inner().definitions.compiled();
        let Some((condition, slot)) = definitions.group(position) else {
            // Never happens; a group that cannot be evaluated grants no access.
            return certainty == Certainty::Possible;
        };
        let Some(slot) = slot else { return self.condition(condition, certainty) };
        let known = self.cache.borrow().get(slot, certainty);
        known.unwrap_or_else(|| {
            let holds = self.condition(condition, certainty);
            self.cache.borrow_mut().set(slot, certainty, holds, definitions.slots());
            holds
        })
    }
}

impl GroupCache {
    fn get(&self, slot: usize, certainty: Certainty) -> Option<bool> {
        let known = match slot.checked_sub(INLINE_SLOTS) {
            None => self.few.get(slot),
            Some(slot) => self.more.get(slot),
        };
        let [is_known, holds] = bits(certainty);
        known.filter(|known| **known & is_known != 0).map(|known| *known & holds != 0)
    }

    fn set(&mut self, slot: usize, certainty: Certainty, holds: bool, slots: usize) {
        let position = match slot.checked_sub(INLINE_SLOTS) {
            None => self.few.get_mut(slot),
            Some(slot) => {
                self.more.resize(slots.saturating_sub(INLINE_SLOTS), 0);
                self.more.get_mut(slot)
            }
        };
        let [is_known, it_holds] = bits(certainty);
        if let Some(position) = position {
            *position |= if holds { is_known | it_holds } else { is_known };
        }
    }
}

fn bits(certainty: Certainty) -> [u8; 2] {
    match certainty {
        Certainty::Certain => [1, 2],
        Certainty::Possible => [4, 8],
    }
}

/// Rarely do more groups than this have their own conditions and other groups that refer to them.
const INLINE_SLOTS: usize = 128;
