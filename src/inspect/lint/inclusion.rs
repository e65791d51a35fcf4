//! Whether one condition implies another. `false` may mean that it is not certain.

use std::collections::HashSet;
use std::rc::Rc;

use crate::identity::Email;
use crate::policy::{Fact, Test, TextTest};

use super::compared::{AnyOf, Budget, Condition, Values};

/// How certain each of two compared conditions has to be.
///
/// A policy that allows needs conditions that certainly hold, one that denies is satisfied with
/// those that may hold because a fact is missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Certainty {
    /// Both equally certain.
    Same,
    /// Where the first certainly holds, the second may hold.
    Weaker,
    /// Where the first may hold, the second certainly does, for a logged-in user.
    Stronger,
}

/// Compares conditions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison<'a> {
    pub(super) budget: &'a Budget,
    pub(super) certainty: Certainty,
}

impl Comparison<'_> {
    /// Whether the first implies the second.
    pub(super) fn condition(self, one: &Condition<'_>, two: &Condition<'_>) -> bool {
        self.implied_by_condition(one, &two.include)
            && two.require.iter().all(|any| self.implied_by_condition(one, any))
            && self.not_excluded(one, &two.exclude)
    }

    /// Whether a condition implies one of these.
    fn implied_by_condition(self, one: &Condition<'_>, two: &AnyOf<'_>) -> bool {
        self.any(&one.include, two) || one.require.iter().any(|any| self.any(any, two))
    }

    fn not_excluded(self, one: &Condition<'_>, excluded: &AnyOf<'_>) -> bool {
        excluded.is_empty()
            || self.any(excluded, &one.exclude)
            || self.apart(&one.include, excluded)
            || one.require.iter().any(|any| self.apart(any, excluded))
    }

    /// Whether a match of the first implies a match of the second.
    pub(super) fn any(self, one: &AnyOf<'_>, two: &AnyOf<'_>) -> bool {
        self.budget.spend(0)
            && self.values(&one.values, two)
            && one.lists.iter().all(|list| self.values(list, two))
            && one.groups.iter().all(|group| self.group(group, two))
    }

    fn group(self, one: &Rc<Condition<'_>>, two: &AnyOf<'_>) -> bool {
        if !self.budget.spend(two.groups.len()) {
            return false;
        }
        let is_among = two.groups.iter().any(|group| Rc::ptr_eq(group, one));
        is_among && self.certainty == Certainty::Same
            || self.implied_by_condition(one, two)
            || two.groups.iter().any(|group| self.condition(one, group))
    }

    fn values(self, one: &Rc<Values<'_>>, two: &AnyOf<'_>) -> bool {
        if !self.budget.spend(0) {
            return false;
        }
        if self.certainty == Certainty::Same
            && (Rc::ptr_eq(one, &two.values) || two.lists.iter().any(|list| Rc::ptr_eq(list, one)))
        {
            return true;
        }
        (!one.everyone || self.test(&Test::Everyone, two))
            && one.emails.iter().all(|email| self.test(&Test::Email(email), two))
            && one.domains.iter().all(|domain| self.test(&Test::EmailDomain(domain), two))
            && one.networks.iter().all(|network| self.test(&Test::Network(*network), two))
            && one.risks.iter().all(|levels| self.test(&Test::Risk(*levels), two))
            && one.others.iter().all(|test| self.test(test, two))
    }

    /// Whether a test without references implies one of these.
    pub(super) fn test(self, test: &Test<'_>, two: &AnyOf<'_>) -> bool {
        let is_known = match test {
            Test::Everyone
            | Test::Email(_)
            | Test::EmailDomain(_)
            | Test::ServiceToken(_)
            | Test::LinkedApplication(_) => true,
            // An external evaluation counts as met where a match admits, and as not met where a
            // match excludes.
            Test::Evaluation(_) => self.certainty == Certainty::Same,
            Test::Network(_) | Test::Country(_) | Test::Risk(_) | Test::Text(_) => {
                self.certainty != Certainty::Stronger
            }
            Test::Reference(_) => false,
        };
        let is_covered = |values: &Values<'_>| {
            if is_known { values.covers(test) } else { values.everyone }
        };
        let in_lists = self.budget.spend(two.lists.len())
            && (is_covered(&two.values) || two.lists.iter().any(|list| is_covered(list)));
        in_lists || two.groups.iter().any(|group| self.in_group(test, group))
    }

    fn in_group(self, test: &Test<'_>, group: &Condition<'_>) -> bool {
        self.budget.spend(0)
            && self.test(test, &group.include)
            && group.require.iter().all(|any| self.test(test, any))
            && (group.exclude.is_empty()
                || self.apart(&AnyOf::from_test(test.clone()), &group.exclude))
    }

    /// Whether it never happens that one of the first and one of the second hold, and both depend
    /// on one fact alone; one that is known, where both might hold for want of it.
    pub(super) fn apart(self, one: &AnyOf<'_>, two: &AnyOf<'_>) -> bool {
        let (Some(ones), Some(twos)) = (self.all_values(one), self.all_values(two)) else {
            return false;
        };
        let kind = |all: &[&Values<'_>]| {
            let mut kinds = all.iter().map(|values| Kind::from_values(values));
            let first = kinds.next()??;
            kinds.all(|kind| kind == Some(first)).then_some(first)
        };
        let Some(kind) = kind(&ones).filter(|first| kind(&twos) == Some(*first)) else {
            return false;
        };
        if self.certainty == Certainty::Stronger && kind != Kind::Person {
            return false;
        }
        ones.iter().all(|one| {
            twos.iter().all(|two| self.budget.spend(kind.cost(one, two)) && kind.apart(one, two))
        })
    }

    /// Returns all values of which one matches when one of these does; `None` if there are too many.
    fn all_values<'v>(self, any: &'v AnyOf<'v>) -> Option<Vec<&'v Values<'v>>> {
        let mut found = Vec::new();
        let mut left = vec![any];
        while let Some(any) = left.pop() {
            if !self.budget.spend(any.lists.len().saturating_add(any.groups.len())) {
                return None;
            }
            let all = std::iter::once(&any.values).chain(&any.lists);
            found.extend(all.map(Rc::as_ref).filter(|values| !values.is_empty()));
            left.extend(any.groups.iter().map(|group| &group.include));
        }
        Some(found)
    }

    // === what never holds ===

    /// Whether a condition holds for nobody: certainly not (`Weaker`), or not even for want of
    /// facts (`Stronger`).
    pub(super) fn never(self, condition: &Condition<'_>) -> bool {
        let Condition { include, require, exclude } = condition;
        if self.any_never(include) || require.iter().any(|any| self.any_never(any)) {
            return true;
        }
        let is_excluded = |any: &AnyOf<'_>| !exclude.is_empty() && self.any(any, exclude);
        is_excluded(include)
            || require.iter().any(is_excluded)
            || require.iter().any(|any| self.apart(include, any))
            || self.contradiction(require).is_some()
    }

    fn any_never(self, any: &AnyOf<'_>) -> bool {
        self.budget.spend(any.groups.len())
            && any.values.is_empty()
            && any.lists.iter().all(|list| list.is_empty())
            && any.groups.iter().all(|group| self.never(group))
    }

    /// Returns two of these that can never both match.
    pub(super) fn contradiction(self, require: &[AnyOf<'_>]) -> Option<(usize, usize)> {
        let require = require.get(..MAX_REQUIRED).unwrap_or(require);
        require.iter().enumerate().find_map(|(second, two)| {
            let first = require.iter().take(second).position(|one| self.apart(one, two))?;
            Some((first, second))
        })
    }
}

/// What values depend on, where it is one fact of which there is one value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Person,
    Address,
    Country,
    CommonName,
    LoginMethod,
    LinkedApplication,
    Risk,
}

impl Kind {
    fn from_values(values: &Values<'_>) -> Option<Self> {
        if values.everyone {
            return None;
        }
        let mut kinds = [
            (!(values.emails.is_empty() && values.domains.is_empty())).then_some(Self::Person),
            (!values.networks.is_empty()).then_some(Self::Address),
            (!values.risks.is_empty()).then_some(Self::Risk),
        ]
        .into_iter()
        .flatten()
        .map(Some)
        .chain(values.others.iter().map(Self::from_test));
        let first = kinds.next()??;
        kinds.all(|kind| kind == Some(first)).then_some(first)
    }

    fn from_test(test: &Test<'_>) -> Option<Self> {
        match test {
            Test::Country(_) => Some(Self::Country),
            Test::LinkedApplication(_) => Some(Self::LinkedApplication),
            Test::Text(TextTest { selector, value: Some(_), .. }) => {
                let fact = selector.fact()?;
                let single =
                    [(Fact::Certificate, Self::CommonName), (Fact::LoginMethod, Self::LoginMethod)];
                single.into_iter().find(|(known, _)| *known == fact).map(|(_, kind)| kind)
            }
            Test::Text(TextTest { value: None, .. })
            | Test::Everyone
            | Test::Reference(_)
            | Test::Email(_)
            | Test::EmailDomain(_)
            | Test::Network(_)
            | Test::Risk(_)
            | Test::ServiceToken(_)
            | Test::Evaluation(_) => None,
        }
    }

    /// Returns the cost of the comparison.
    fn cost(self, one: &Values<'_>, two: &Values<'_>) -> usize {
        let both = one.len().saturating_add(two.len());
        if self == Self::Person && one.domains.is_empty() && two.domains.is_empty() {
            one.len().min(two.len())
        } else {
            both
        }
    }

    fn apart(self, one: &Values<'_>, two: &Values<'_>) -> bool {
        match self {
            Self::Person => {
                let nobody_of = |domains: &HashSet<&str>, emails: &HashSet<&Email>| {
                    domains.is_empty()
                        || !emails.iter().any(|email| domains.contains(email.domain()))
                };
                one.emails.is_disjoint(&two.emails)
                    && one.domains.is_disjoint(&two.domains)
                    && nobody_of(&one.domains, &two.emails)
                    && nobody_of(&two.domains, &one.emails)
            }
            Self::Address => {
                one.networks.iter().all(|network| !two.covers_network(*network))
                    && two.networks.iter().all(|network| !one.covers_network(*network))
            }
            Self::Risk => one.risks.iter().all(|levels| {
                two.risks.iter().all(|others| !levels.iter().any(|level| others.contains(level)))
            }),
            Self::Country | Self::CommonName | Self::LoginMethod | Self::LinkedApplication => {
                one.others.is_disjoint(&two.others)
            }
        }
    }
}

/// The maximum number of rules under `require` that are compared with each other.
const MAX_REQUIRED: usize = 64;
