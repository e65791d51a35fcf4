//! The decision.

use std::net::IpAddr;

use crate::identity::Email;

use super::compile::{AnyOf, CompiledPolicy, Condition, Policies};
use super::document::Decision;
use super::truth::Truth;
use super::verdict::{Outcome, PolicyRef, Verdict};

/// What is known about a request when it is judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The verified address of the person who has logged in; `None` before a login.
    pub email: Option<&'a Email>,
    /// The client's address; `None` when it is unknown.
    pub address: Option<IpAddr>,
    /// A service token that was shown and is good.
    pub service_token: Option<ServiceTokenFacts<'a>>,
}

/// A service token as policies see it: rules may name it by either.
#[derive(Clone, Copy, Debug)]
pub struct ServiceTokenFacts<'a> {
    /// The token's id.
    pub id: &'a str,
    /// The token's client id.
    pub client_id: &'a str,
}

impl Policies {
    /// Decides. A pure function: the same facts always give the same verdict.
    ///
    /// A request with a service token is judged by the `bypass` and `non_identity` policies alone,
    /// and so is one without a person, except that it may be asked to log in.
    #[must_use]
    pub fn evaluate(&self, facts: &Facts<'_>) -> Verdict {
        let evaluation = Evaluation::new(self, facts);
        for policy in &self.without_login {
            if evaluation.condition(&policy.condition).certainly_holds() {
                return Verdict::decided_by(policy.decided(), &policy.reference);
            }
        }
        match (facts.email, facts.service_token) {
            (Some(_), _) => self.decide_for_person(&evaluation),
            (None, Some(_)) => Verdict::undecided(Outcome::Denied),
            (None, None) => self.decide_before_login(&evaluation),
        }
    }

    /// Whether a login of the person with this address could lead to access, judged by what is
    /// known before the login. It decides whether a one-time PIN is mailed.
    #[must_use]
    pub fn could_allow(&self, email: &Email, address: Option<IpAddr>) -> bool {
        let facts = Facts { email: Some(email), address, service_token: None };
        self.decide_for_person(&Evaluation::new(self, &facts)).outcome() == Outcome::Allowed
    }

    /// The policies that may open to somebody who proves nothing: no login, no service token.
    pub fn open_without_proof(&self) -> impl Iterator<Item = &PolicyRef> {
        let facts = Facts::default();
        self.without_login
            .iter()
            .filter(move |policy| {
                Evaluation::new(self, &facts).condition(&policy.condition).can_hold()
            })
            .map(|policy| &policy.reference)
    }

    fn decide_for_person(&self, evaluation: &Evaluation<'_>) -> Verdict {
        for policy in &self.with_login {
            let condition = evaluation.condition(&policy.condition);
            let applies = match policy.decision {
                // A refusal that may apply does: nobody slips through an unknown fact.
                Decision::Deny => condition.can_hold(),
                Decision::Allow | Decision::Bypass | Decision::NonIdentity => {
                    condition.certainly_holds()
                }
            };
            if applies {
                return Verdict::decided_by(policy.decided(), &policy.reference);
            }
        }
        Verdict::undecided(Outcome::Denied)
    }

    /// Nobody has logged in: is there a policy that a login could satisfy, and no refusal ahead of
    /// it that applies to whoever logs in?
    fn decide_before_login(&self, evaluation: &Evaluation<'_>) -> Verdict {
        let mut barred_by = None;
        for policy in &self.with_login {
            let condition = evaluation.condition(&policy.condition);
            match policy.decision {
                Decision::Deny if condition.certainly_holds() => {
                    barred_by = barred_by.or(Some(&policy.reference));
                }
                Decision::Allow if condition.can_hold() => {
                    return match barred_by {
                        Some(policy) => Verdict::decided_by(Outcome::Denied, policy),
                        None => Verdict::undecided(Outcome::LoginRequired),
                    };
                }
                Decision::Deny | Decision::Allow | Decision::Bypass | Decision::NonIdentity => {}
            }
        }
        Verdict::undecided(Outcome::Denied)
    }
}

impl CompiledPolicy {
    fn decided(&self) -> Outcome {
        match self.decision {
            Decision::Allow => Outcome::Allowed,
            Decision::Deny => Outcome::Denied,
            Decision::Bypass => Outcome::Bypassed,
            Decision::NonIdentity => Outcome::ServiceAllowed,
        }
    }
}

struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    /// What each group comes to; groups stand behind those they refer to.
    groups: Vec<Truth>,
}

impl<'a> Evaluation<'a> {
    fn new(policies: &Policies, facts: &'a Facts<'a>) -> Self {
        // Each group once, so that shared groups cost no more than their number.
        let mut evaluation = Self { facts, groups: Vec::with_capacity(policies.groups.len()) };
        for group in &policies.groups {
            let truth = evaluation.condition(group);
            evaluation.groups.push(truth);
        }
        evaluation
    }

    fn condition(&self, condition: &Condition) -> Truth {
        let include = self.any_of(&condition.include);
        if !include.can_hold() {
            return Truth::FAILS;
        }
        let mut truth = include.and(self.any_of(&condition.exclude).not());
        for rule in &condition.require {
            truth = truth.and(self.any_of(rule));
            if !truth.can_hold() {
                return Truth::FAILS;
            }
        }
        truth
    }

    fn any_of(&self, any: &AnyOf) -> Truth {
        if any.everyone {
            return Truth::HOLDS;
        }
        let mut truth = self.person(any).or(self.network(any)).or(self.service_token(any));
        for place in &any.groups {
            truth = truth.or(self.groups.get(*place).copied().unwrap_or(Truth::OPEN));
        }
        truth
    }

    fn person(&self, any: &AnyOf) -> Truth {
        if any.emails.is_empty() && any.email_domains.is_empty() {
            return Truth::FAILS;
        }
        match self.facts.email {
            Some(email) => Truth::known(
                any.emails.contains(email.as_str()) || any.email_domains.contains(email.domain()),
            ),
            // A service is no person and will never be one.
            None if self.facts.service_token.is_some() => Truth::FAILS,
            None => Truth::OPEN,
        }
    }

    fn network(&self, any: &AnyOf) -> Truth {
        match self.facts.address {
            _ if any.networks.is_empty() => Truth::FAILS,
            Some(address) => Truth::known(any.networks.contains(address.to_canonical())),
            None => Truth::OPEN,
        }
    }

    fn service_token(&self, any: &AnyOf) -> Truth {
        Truth::known(self.facts.service_token.is_some_and(|token| {
            any.any_service_token
                || any.service_tokens.contains(token.id)
                || any.service_tokens.contains(token.client_id)
        }))
    }
}
