//! Explanations as text.

use std::fmt;

use crate::policy::document::Decision;
use crate::policy::facts::{Fact, Facts};
use crate::policy::verdict::Outcome;

use super::{
    Explanation, GroupExplanation, PolicyExplanation, PolicyResult, RuleExplanation, RuleResult,
};

/// Returns a summary in one sentence.
pub(super) fn reason(
    outcome: Outcome,
    decided: Option<&PolicyExplanation>,
    policies: &[PolicyExplanation],
    facts: &Facts<'_>,
) -> String {
    match (outcome, decided) {
        (Outcome::LoginRequired, _) => {
            "the request has no login, and a login could grant access".to_owned()
        }
        (_, Some(policy)) => {
            let PolicyExplanation { decision, name, .. } = policy;
            let name = name.escape_debug();
            if policy.result == PolicyResult::DecidesForWantOfFacts {
                let missing = policy.missing().map(|fact| fact.to_string()).unwrap_or_default();
                format!("the {decision} policy `{name}` may apply: {missing} is not known")
            } else {
                format!("the {decision} policy `{name}` applies")
            }
        }
        (_, None) if !facts.has_user() && facts.has_non_user_credential() => {
            "no policy without a login applies, and a service cannot log in".to_owned()
        }
        (_, None) if !facts.has_user() => {
            "no policy applies, and no login could change that".to_owned()
        }
        (_, None) => match first_blocked(policies) {
            Some((policy, missing)) => {
                let name = policy.name.escape_debug();
                format!("no policy applies; `{name}` could, but {missing} is not known")
            }
            None => "no policy applies".to_owned(),
        },
    }
}

/// Returns the first policy that would grant access if a fact were not missing.
fn first_blocked(policies: &[PolicyExplanation]) -> Option<(&PolicyExplanation, Fact)> {
    policies
        .iter()
        .filter(|policy| policy.result == PolicyResult::NotMetForWantOfFacts)
        .find_map(|policy| Some((policy, policy.missing()?)))
}

impl PolicyExplanation {
    /// Returns the first missing fact.
    fn missing(&self) -> Option<Fact> {
        let rules = [&self.include, &self.require, &self.exclude];
        rules.into_iter().flatten().find_map(|rule| rule.missing)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.outcome, self.reason)?;
        for policy in &self.policies {
            policy.fmt(f)?;
        }
        write!(f, "verdict {}", self.id)
    }
}

impl fmt::Display for PolicyExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.escape_debug();
        writeln!(f, "  {} `{name}`: {}", self.decision, words(self.result, self.decision))?;
        write_lists(f, 4, [&self.include, &self.require, &self.exclude])
    }
}

fn words(result: PolicyResult, decision: Decision) -> &'static str {
    match (result, decision) {
        (PolicyResult::Decides, _) => "applies",
        (PolicyResult::DecidesForWantOfFacts, _) => {
            "may apply, a fact is missing: access is refused"
        }
        (PolicyResult::NotMet, _) => "does not apply",
        (PolicyResult::NotMetForWantOfFacts, _) => "a fact is missing: does not apply",
        (PolicyResult::OpenUntilLogin, Decision::Allow) => "could apply after a login",
        (PolicyResult::OpenUntilLogin, _) => "not known before a login",
        (PolicyResult::NotAsked, _) => "not evaluated",
    }
}

fn write_lists(
    f: &mut fmt::Formatter<'_>,
    indent: usize,
    lists: [&[RuleExplanation]; 3],
) -> fmt::Result {
    for (title, rules) in ["include", "require", "exclude"].into_iter().zip(lists) {
        if !rules.is_empty() {
            writeln!(f, "{:indent$}{title}", "")?;
            write_rules(f, indent + 2, rules)?;
        }
    }
    Ok(())
}

/// Writes all rules that are met or open, and the first few that are not met: there may be thousands.
fn write_rules(
    f: &mut fmt::Formatter<'_>,
    indent: usize,
    rules: &[RuleExplanation],
) -> fmt::Result {
    let mut misses = 0;
    for explained in rules {
        let mark = match explained.result {
            RuleResult::Hit => "hit ",
            RuleResult::Miss => "miss",
            RuleResult::Missing => "?   ",
        };
        if explained.result == RuleResult::Miss {
            misses += 1;
            if misses > MAX_MISSES {
                continue;
            }
        }
        write!(f, "{:indent$}{mark} {}", "", explained.rule)?;
        match explained.missing {
            Some(fact) => writeln!(f, " ({fact} is not known)")?,
            None => writeln!(f)?,
        }
        if let Some(group) = &explained.group {
            let GroupExplanation { include, require, exclude, .. } = &**group;
            write_lists(f, indent + 5, [include, require, exclude])?;
        }
    }
    match misses.saturating_sub(MAX_MISSES) {
        0 => Ok(()),
        more => writeln!(f, "{:indent$}miss and {more} more", ""),
    }
}

const MAX_MISSES: usize = 10;
