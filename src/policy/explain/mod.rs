//! Explanations of verdicts: the result of every policy and every rule.
//!
//! The explanation walks the policies as written, rule by rule, and shares no code with the
//! compiled form; tests check that both always agree.

use std::collections::HashMap;

use serde::Serialize;

use super::compile::Policies;
use super::conditions::Conditions;
use super::definitions::Definitions;
use super::document::{Decision, Policy};
use super::facts::{Fact, Facts};
use super::rule::Rule;
use super::truth::Truth;
use super::verdict::{Outcome, VerdictId};

mod members;
mod text;

/// The explanation of a verdict.
///
/// Its JSON form is stable and uses the names of the fields. `Display` formats it for reading.
///
/// ```
/// use tower_access::policy::{Definitions, Facts, Policies, Policy, Rule};
///
/// let staff = Policy::allow("staff").include(Rule::email_domain("example.com")?);
/// let policies = Policies::compile(&[staff], &Definitions::default())?;
/// let ada = "ada@example.com".parse()?;
/// let facts = Facts { email: Some(&ada), ..Facts::default() };
/// let explanation = policies.explain(&facts);
/// assert_eq!(explanation.outcome, policies.evaluate(&facts).outcome());
/// println!("{explanation}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The id of the verdict.
    pub id: VerdictId,
    /// What happens to the request.
    pub outcome: Outcome,
    /// The id of the policy that decided; `None` if no policy applied.
    pub policy: Option<Box<str>>,
    /// A summary in one sentence.
    pub reason: String,
    /// All policies, in the order of evaluation.
    pub policies: Vec<PolicyExplanation>,
}

/// The result of a policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PolicyExplanation {
    /// The policy's id.
    pub id: Box<str>,
    /// The policy's name.
    pub name: Box<str>,
    /// The policy's decision.
    pub decision: Decision,
    /// The result.
    pub result: PolicyResult,
    /// The results of the rules in its `include`.
    pub include: Vec<RuleExplanation>,
    /// The results of the rules in its `require`.
    pub require: Vec<RuleExplanation>,
    /// The results of the rules in its `exclude`.
    pub exclude: Vec<RuleExplanation>,
}

/// The result of a policy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyResult {
    /// Its conditions are met: it decides.
    Decides,
    /// A fact is missing, so a policy that denies counts as met: it decides.
    DecidesForWantOfFacts,
    /// Its conditions are not met.
    NotMet,
    /// A fact is missing, so a policy that grants access counts as not met.
    NotMetForWantOfFacts,
    /// The request has no login; the policy may apply after one.
    OpenUntilLogin,
    /// An earlier policy decided, or the policy does not apply to such requests.
    NotAsked,
}

/// The result of a rule.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RuleExplanation {
    /// The rule.
    pub rule: Rule,
    /// The result.
    pub result: RuleResult,
    /// The missing fact, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Fact>,
    /// The results of the group's rules, at the first rule that refers to the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Box<GroupExplanation>>,
}

/// The result of a rule.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RuleResult {
    /// It is met.
    Hit,
    /// It is not met.
    Miss,
    /// A fact is missing.
    Missing,
}

/// The results of a group's rules.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GroupExplanation {
    /// The group's id.
    pub id: Box<str>,
    /// The group's name.
    pub name: Box<str>,
    /// The results of the rules in its `include`.
    pub include: Vec<RuleExplanation>,
    /// The results of the rules in its `require`.
    pub require: Vec<RuleExplanation>,
    /// The results of the rules in its `exclude`.
    pub exclude: Vec<RuleExplanation>,
}

impl Policies {
    /// Decides as [`evaluate`](Self::evaluate) does, and returns the result of every policy and every
    /// rule, including those that were not needed. Takes time proportional to the number of rules.
    #[must_use]
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        let inner = self.inner();
        let mut explainer = Explainer::new(&inner.definitions, facts);
        let ordered = inner.without_login.iter().chain(&inner.with_login);
        let mut all: Vec<(usize, Truth, PolicyExplanation)> = ordered
            .filter_map(|compiled| {
                let policy = inner.documents.get(compiled.position)?;
                let (truth, explained) = explainer.policy(policy);
                Some((compiled.position, truth, explained))
            })
            .collect();
        let (outcome, decider) = decide(&mut all, facts);
        let position = decider.and_then(|index| all.get(index)).map(|(position, _, _)| *position);
        let id = inner.fingerprint.verdict(outcome, position);
        let policies: Vec<PolicyExplanation> =
            all.into_iter().map(|(_, _, explained)| explained).collect();
        let decided = decider.and_then(|index| policies.get(index));
        Explanation {
            id,
            outcome,
            policy: decided.map(|policy| policy.id.clone()),
            reason: text::reason(outcome, decided, &policies, facts),
            policies,
        }
    }
}

// Logic that only explanations need.
impl Truth {
    fn not(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            open @ Self::Open(_) => open,
        }
    }

    /// Returns whether all hold.
    fn all(list: impl IntoIterator<Item = Self>) -> Self {
        list.into_iter().fold(Self::Holds, |all, one| match (all, one) {
            (Self::Fails, _) | (_, Self::Fails) => Self::Fails,
            (Self::Holds, Self::Holds) => Self::Holds,
            (open @ Self::Open(_), _) | (_, open @ Self::Open(_)) => open,
        })
    }

    /// Returns whether at least one holds.
    fn any(list: impl IntoIterator<Item = Self>) -> Self {
        Self::all(list.into_iter().map(Self::not)).not()
    }
}

/// Finds the policy that decides, and sets the result of each policy.
fn decide(
    all: &mut [(usize, Truth, PolicyExplanation)],
    facts: &Facts<'_>,
) -> (Outcome, Option<usize>) {
    let is_person = facts.has_user();
    let is_machine = !is_person && facts.has_non_user_credential();
    let mut barred_by = None;
    let mut decided = None;
    for (index, (_, truth, policy)) in all.iter_mut().enumerate() {
        let needs_login = matches!(policy.decision, Decision::Allow | Decision::Deny);
        if decided.is_some() || needs_login && is_machine {
            policy.result = PolicyResult::NotAsked;
            continue;
        }
        let refuses = policy.decision == Decision::Deny;
        policy.result = match *truth {
            Truth::Holds => PolicyResult::Decides,
            Truth::Fails => PolicyResult::NotMet,
            Truth::Open(_) if needs_login && !is_person => PolicyResult::OpenUntilLogin,
            Truth::Open(_) if refuses => PolicyResult::DecidesForWantOfFacts,
            Truth::Open(_) => PolicyResult::NotMetForWantOfFacts,
        };
        let decides =
            matches!(policy.result, PolicyResult::Decides | PolicyResult::DecidesForWantOfFacts);
        match (needs_login && !is_person, policy.decision) {
            // No login yet: a `deny` policy ahead of those that a login could satisfy.
            (true, Decision::Deny) if decides => barred_by = barred_by.or(Some(index)),
            (true, Decision::Allow) if *truth != Truth::Fails => {
                policy.result = PolicyResult::OpenUntilLogin;
                decided = Some(match barred_by {
                    Some(index) => (Outcome::Denied, Some(index)),
                    None => (Outcome::LoginRequired, None),
                });
            }
            (false, decision) if decides => decided = Some((decision.outcome(), Some(index))),
            _ => {}
        }
    }
    decided.unwrap_or((Outcome::Denied, None))
}

/// Walks rules and caches the results of groups.
struct Explainer<'a> {
    definitions: &'a Definitions,
    facts: &'a Facts<'a>,
    groups: HashMap<&'a str, Truth>,
}

impl<'a> Explainer<'a> {
    fn new(definitions: &'a Definitions, facts: &'a Facts<'a>) -> Self {
        Self { definitions, facts, groups: HashMap::new() }
    }

    fn policy(&mut self, policy: &Policy) -> (Truth, PolicyExplanation) {
        let (truth, [include, require, exclude]) = self.condition(&policy.conditions);
        let explained = PolicyExplanation {
            id: policy.id().into(),
            name: policy.name.clone(),
            decision: policy.decision,
            result: PolicyResult::NotAsked,
            include,
            require,
            exclude,
        };
        (truth, explained)
    }

    fn condition(&mut self, conditions: &Conditions) -> (Truth, [Vec<RuleExplanation>; 3]) {
        let [include, require, exclude] = conditions.lists().map(|(_, rules)| self.rules(rules));
        let truth = Truth::all([
            Truth::any(include.iter().map(RuleExplanation::truth)),
            Truth::all(require.iter().map(RuleExplanation::truth)),
            Truth::any(exclude.iter().map(RuleExplanation::truth)).not(),
        ]);
        (truth, [include, require, exclude])
    }

    fn rules(&mut self, rules: &[Rule]) -> Vec<RuleExplanation> {
        rules.iter().map(|rule| self.rule(rule)).collect()
    }

    fn rule(&mut self, rule: &Rule) -> RuleExplanation {
        let (truth, group) = if let Rule::Group(name) = rule {
            self.group(name)
        } else {
            (members::truth(rule, self.definitions, self.facts), None)
        };
        let (result, missing) = match truth {
            Truth::Holds => (RuleResult::Hit, None),
            Truth::Fails => (RuleResult::Miss, None),
            Truth::Open(fact) => (RuleResult::Missing, Some(fact)),
        };
        RuleExplanation { rule: rule.clone(), result, missing, group }
    }

    /// Evaluates a group once; the depth is bounded.
    fn group(&mut self, name: &str) -> (Truth, Option<Box<GroupExplanation>>) {
        let definitions = self.definitions;
        let Some(group) = definitions.group(name) else { return (Truth::Open(Fact::Person), None) };
        if let Some(truth) = self.groups.get(group.id()) {
            return (*truth, None);
        }
        let (truth, [include, require, exclude]) = self.condition(&group.conditions);
        self.groups.insert(group.id(), truth);
        let (id, name) = (group.id().into(), group.name.clone());
        (truth, Some(Box::new(GroupExplanation { id, name, include, require, exclude })))
    }
}

impl RuleExplanation {
    fn truth(&self) -> Truth {
        match (self.result, self.missing) {
            (RuleResult::Hit, _) => Truth::Holds,
            (RuleResult::Miss, _) => Truth::Fails,
            (RuleResult::Missing, fact) => Truth::Open(fact.unwrap_or(Fact::Person)),
        }
    }
}
