//! The decision.

use std::cell::{Cell, RefCell};

use super::attribute;
use super::compile::{AnyOf, CompiledPolicy, Condition, GroupIndex, Policies, Sets};
use super::document::Decision;
use super::facts::{Certificate, DevicePosture, Fact, FactSet, Facts};
use super::truth::{Certainty, Truth};
use super::verdict::{Outcome, PolicyRef, Verdict};

impl Policies {
    /// Decides. A pure function: the same facts always give the same verdict.
    ///
    /// A request with a service token is judged by the `bypass` and `non_identity` policies alone,
    /// and so is one without a person, except that it may be asked to log in.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Verdict {
        let evaluation = Evaluation::new(self, facts);
        for policy in &self.inner().without_login {
            if evaluation.condition(&policy.condition, Certainty::Certain) {
                return evaluation.decided_by(policy);
            }
        }
        match (facts.has_person(), facts.is_somebody_else()) {
            (true, _) => self.decide_for_person(&evaluation),
            (false, true) => evaluation.undecided(Outcome::Denied),
            (false, false) => self.decide_before_login(&evaluation),
        }
    }

    /// Whether a login of the person in these facts could lead to access, judged by what is known
    /// before the login: services that will be asked may say yes. It decides whether a one-time PIN
    /// is mailed.
    #[must_use]
    pub fn could_allow(&self, facts: &Facts<'_>) -> bool {
        let evaluation = Evaluation { will_ask: true, ..Evaluation::new(self, facts) };
        facts.email.is_some() && self.decide_for_person(&evaluation).outcome() == Outcome::Allowed
    }

    /// Whether some request of the person in these facts could be let in, whatever the facts are
    /// that are missing. For a token that is used elsewhere: whoever is shut out of the application
    /// it was made for is shut out there as well.
    #[must_use]
    pub fn may_admit(&self, facts: &Facts<'_>) -> bool {
        let evaluation = Evaluation::new(self, facts);
        for policy in &self.inner().with_login {
            match policy.decision {
                Decision::Deny if evaluation.condition(&policy.condition, Certainty::Certain) => {
                    return false;
                }
                Decision::Allow if evaluation.condition(&policy.condition, Certainty::Possible) => {
                    return facts.has_person();
                }
                Decision::Deny | Decision::Allow | Decision::Bypass | Decision::NonIdentity => {}
            }
        }
        false
    }

    /// The policies that may open to somebody who proves nothing: no login, no service token, no
    /// token of another application, no certificate, no device.
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
            let certainty = match policy.decision {
                // A refusal that may apply does: nobody slips through a missing fact.
                Decision::Deny => Certainty::Possible,
                Decision::Allow | Decision::Bypass | Decision::NonIdentity => Certainty::Certain,
            };
            if evaluation.condition(&policy.condition, certainty) {
                return evaluation.decided_by(policy);
            }
        }
        evaluation.undecided(Outcome::Denied)
    }

    /// Nobody has logged in: is there a policy that a login could satisfy, and no refusal ahead of
    /// it that applies to whoever logs in?
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
    /// What a policy with this decision leads to.
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
    /// Whether services that have not been asked will be, and may say what opens.
    will_ask: bool,
    /// Facts that were asked for and are missing.
    missing: Cell<FactSet>,
    /// What groups came to that groups refer to, so that each is looked at once.
    remembered: RefCell<Remembered>,
}

/// What groups came to, by their slots. The first few are kept without asking for memory.
struct Remembered {
    few: [u8; FEW_SLOTS],
    more: Vec<u8>,
}

impl<'a> Evaluation<'a> {
    fn new(policies: &'a Policies, facts: &'a Facts<'a>) -> Self {
        let missing = Cell::new(FactSet::EMPTY);
        let remembered = RefCell::new(Remembered { few: [0; FEW_SLOTS], more: Vec::new() });
        Self { policies, facts, will_ask: false, missing, remembered }
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

    /// Missing facts are worth telling to those they kept out.
    fn missing_for(&self, outcome: Outcome) -> FactSet {
        if outcome == Outcome::Denied { self.missing.get() } else { FactSet::EMPTY }
    }

    fn condition(&self, condition: &Condition, certainty: Certainty) -> bool {
        self.any_of(&condition.include, certainty)
            && condition.require.iter().all(|rule| self.any_of(rule, certainty))
            && !self.any_of(&condition.exclude, certainty.opposite())
    }

    fn any_of(&self, any: &AnyOf, certainty: Certainty) -> bool {
        any.sets.iter().any(|sets| self.sets(sets, certainty))
            || any.groups.as_ref().is_some_and(|groups| self.groups(groups, certainty))
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
                None => facts.no_address(),
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
        // That nobody has logged in yet is no fact missing.
        if let Truth::Open(fact) = truth
            && fact != Fact::Person
        {
            self.missing.set(self.missing.get().with(fact));
        }
        truth.is_met(certainty)
    }

    fn groups(&self, groups: &GroupIndex, certainty: Certainty) -> bool {
        let holds = |position: usize| self.group(position, certainty);
        if groups.always.iter().copied().any(holds) {
            return true;
        }
        let people = match self.facts.email {
            Some(email) => groups.naming(email).any(holds),
            None => {
                !groups.of_people().is_empty()
                    && self.is_met(self.facts.no_address(), certainty)
                    && groups.of_people().iter().copied().any(holds)
            }
        };
        people
            || match self.facts.address {
                Some(address) => groups.around(address.to_canonical()).any(holds),
                None => {
                    let open = Truth::Open(Fact::Address);
                    !groups.of_networks().is_empty()
                        && self.is_met(open, certainty)
                        && groups.of_networks().iter().copied().any(holds)
                }
            }
    }

    fn group(&self, position: usize, certainty: Certainty) -> bool {
        let definitions = self.policies.inner().definitions.compiled();
        let Some((condition, slot)) = definitions.group(position) else {
            // Never there: what cannot be evaluated opens nothing.
            return certainty == Certainty::Possible;
        };
        let Some(slot) = slot else { return self.condition(condition, certainty) };
        let known = self.remembered.borrow().get(slot, certainty);
        known.unwrap_or_else(|| {
            let holds = self.condition(condition, certainty);
            self.remembered.borrow_mut().set(slot, certainty, holds, definitions.slots());
            holds
        })
    }
}

impl Remembered {
    fn get(&self, slot: usize, certainty: Certainty) -> Option<bool> {
        let known = match slot.checked_sub(FEW_SLOTS) {
            None => self.few.get(slot),
            Some(slot) => self.more.get(slot),
        };
        let [is_known, holds] = bits(certainty);
        known.filter(|known| **known & is_known != 0).map(|known| *known & holds != 0)
    }

    fn set(&mut self, slot: usize, certainty: Certainty, holds: bool, slots: usize) {
        let position = match slot.checked_sub(FEW_SLOTS) {
            None => self.few.get_mut(slot),
            Some(slot) => {
                self.more.resize(slots.saturating_sub(FEW_SLOTS), 0);
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

/// More groups that groups refer to, and that have conditions of their own, are rare.
const FEW_SLOTS: usize = 128;
