//! Compiles policies as written into a form that evaluates quickly.
//!
//! Rules that compare one fact with one value become sets (`sets`), whatever group or list they
//! belong to; other groups stay conditions (`condition`), indexed by what they name. Groups and lists
//! are compiled once for all applications (`groups`).

mod condition;
mod documents;
mod groups;
mod networks;
mod sets;

use std::collections::HashSet;
use std::sync::Arc;

pub(super) use self::condition::{AnyOf, Condition, GroupIndex};
pub(super) use self::documents::Documents;
pub(super) use self::groups::CompiledDefinitions;
pub(super) use self::sets::{Operand, Sets, TextOperand, Texts};

use self::groups::Traits;
use super::definitions::Definitions;
use super::document::{Decision, Policy};
use super::error::PolicyError;
use super::facts::{Fact, FactSet};
use super::reachable::reachable_evaluators;
use super::rule::Evaluator;
use super::verdict::{Fingerprint, PolicyRef};

/// The compiled policies of one application. Cheap to clone.
///
/// Email addresses and domains are looked up by hash, networks by binary search: an `include` of ten
/// thousand rules costs about as much as one of ten.
#[derive(Clone, Debug, Default)]
pub struct Policies(Arc<Inner>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    /// `bypass` and `non_identity`, by precedence.
    pub(super) without_login: Vec<CompiledPolicy>,
    /// `deny` and `allow`, by precedence.
    pub(super) with_login: Vec<CompiledPolicy>,
    pub(super) definitions: Definitions,
    /// As written, for explanations.
    pub(super) documents: Vec<Policy>,
    pub(super) fingerprint: Fingerprint,
    facts: FactSet,
    /// Whether a login provides one of these facts.
    login_facts: bool,
    evaluators: Vec<Evaluator>,
    linked_application: bool,
    service_tokens: bool,
}

#[derive(Debug)]
pub(super) struct CompiledPolicy {
    pub(super) reference: PolicyRef,
    pub(super) decision: Decision,
    pub(super) condition: Condition,
    /// The position among the policies as written.
    pub(super) position: usize,
}

impl Policies {
    /// Compiles the policies of an application.
    ///
    /// # Errors
    ///
    /// If a rule refers to a group or list that does not exist, two policies have the same id or
    /// precedence, a `bypass` or `non_identity` policy has a rule about the user (such policies apply
    /// without a login), or a policy that is not `non_identity` has a `linked_app_token` rule.
    pub fn compile(policies: &[Policy], definitions: &Definitions) -> Result<Self, PolicyError> {
        let mut inner = Inner {
            definitions: definitions.clone(),
            documents: policies.to_vec(),
            fingerprint: Fingerprint::new(policies, definitions),
            ..Inner::default()
        };
        for (position, policy) in in_order(policies)? {
            let mut traits = Traits::default();
            let condition = definitions.compiled().condition(
                definitions.documents(),
                &policy.name,
                &policy.conditions,
                &mut traits,
            )?;
            check(policy, &traits)?;
            // `deny` and `allow` are evaluated after all `bypass` policies, whatever their position.
            let is_public = policy.decision == Decision::Bypass
                && condition.always_holds()
                && inner.without_login.iter().all(|earlier| earlier.condition.never_holds());
            let compiled = CompiledPolicy {
                reference: PolicyRef::new(policy, traits.linked_application, is_public),
                decision: policy.decision,
                condition,
                position,
            };
            match policy.decision {
                Decision::Bypass | Decision::NonIdentity => inner.without_login.push(compiled),
                Decision::Deny | Decision::Allow => inner.with_login.push(compiled),
            }
            inner.facts = inner.facts.union(traits.facts);
            inner.linked_application |= traits.linked_application;
            inner.service_tokens |=
                policy.decision == Decision::NonIdentity && traits.service_token;
        }
        inner.login_facts = inner.facts.iter().any(Fact::is_set_by_login);
        if inner.facts.contains(Fact::ExternalEvaluation) {
            let conditions = policies.iter().map(|policy| &policy.conditions);
            let evaluators = reachable_evaluators(conditions, definitions);
            inner.evaluators = evaluators.into_iter().cloned().collect();
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Returns whether there is an `allow` policy. Without one, a login is never offered.
    #[must_use]
    pub fn has_allow(&self) -> bool {
        self.0.with_login.iter().any(|policy| policy.decision == Decision::Allow)
    }

    /// Returns whether a `non_identity` policy may grant access to a service token.
    pub(crate) fn admits_service_tokens(&self) -> bool {
        self.0.service_tokens
    }

    /// Returns whether any rule needs this kind of fact. Other facts need not be collected.
    #[must_use]
    pub fn uses_fact(&self, fact: Fact) -> bool {
        self.0.facts.contains(fact)
    }

    /// Returns whether any rule needs a fact that a login provides.
    pub(crate) fn uses_login_facts(&self) -> bool {
        self.0.login_facts
    }

    /// Returns the external evaluators that rules ask.
    #[must_use]
    pub fn evaluators(&self) -> &[Evaluator] {
        &self.0.evaluators
    }

    /// Returns whether a rule needs the token of another application.
    #[must_use]
    pub fn uses_linked_application(&self) -> bool {
        self.0.linked_application
    }

    /// Returns the policies as written.
    #[must_use]
    pub fn documents(&self) -> &[Policy] {
        &self.0.documents
    }

    /// Returns the groups and lists that the policies refer to.
    #[must_use]
    pub fn definitions(&self) -> &Definitions {
        &self.0.definitions
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

/// Returns the policies with their positions, sorted by precedence.
fn in_order(policies: &[Policy]) -> Result<Vec<(usize, &Policy)>, PolicyError> {
    let mut ordered: Vec<(u32, usize, &Policy)> = Vec::with_capacity(policies.len());
    let mut ids = HashSet::new();
    let mut precedences = HashSet::new();
    for (position, policy) in policies.iter().enumerate() {
        if !ids.insert(policy.id()) {
            return Err(PolicyError::SamePolicy { policy: policy.id().into() });
        }
        if let Some(precedence) = policy.precedence
            && !precedences.insert(precedence)
        {
            return Err(PolicyError::SamePrecedence { policy: policy.name.clone(), precedence });
        }
        let in_list = u32::try_from(position).unwrap_or(u32::MAX).saturating_add(1);
        ordered.push((policy.precedence.unwrap_or(in_list), position, policy));
    }
    // Equal only if a position in the list equals a written precedence: then the list order decides.
    ordered.sort_by_key(|(precedence, position, _)| (*precedence, *position));
    Ok(ordered.into_iter().map(|(_, position, policy)| (position, policy)).collect())
}

fn check(policy: &Policy, traits: &Traits) -> Result<(), PolicyError> {
    let needs_no_login = matches!(policy.decision, Decision::Bypass | Decision::NonIdentity);
    if needs_no_login && let Some(selector) = traits.identity {
        return Err(PolicyError::IdentityRule {
            policy: policy.name.clone(),
            decision: policy.decision,
            selector: selector.key(),
        });
    }
    if traits.linked_application && policy.decision != Decision::NonIdentity {
        return Err(PolicyError::LinkedApplication {
            policy: policy.name.clone(),
            decision: policy.decision,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Group, List, Rule};

    fn compile(policy: Policy, groups: &[Group]) -> Result<Policies, PolicyError> {
        Policies::compile(&[policy], &Definitions::new(groups.to_vec(), [])?)
    }

    /// Of every policy: the sets that are looked into, and the groups that are looked at for Ada and
    /// for an address.
    fn looks(policies: &Policies) -> Vec<(usize, usize)> {
        let ada = "ada@example.com".parse().unwrap();
        let address = "10.1.2.3".parse().unwrap();
        let of_any = |any: &AnyOf| {
            let groups = any.groups.as_ref().map_or(0, |index| {
                index.always.len()
                    + index.for_email(&ada).count()
                    + index.for_address(address).count()
            });
            (any.sets.len(), groups)
        };
        let inner = policies.inner();
        let all = inner.without_login.iter().chain(&inner.with_login);
        all.flat_map(|policy| {
            let Condition { include, require, exclude } = &policy.condition;
            std::iter::once(include).chain(require).chain([exclude]).map(of_any).collect::<Vec<_>>()
        })
        .collect()
    }

    #[test]
    fn dos_04_ten_thousand_rules_are_looked_at_no_oftener_than_a_hundred() {
        let compiled = |count: usize| {
            let (mut staff, mut groups) = (Policy::allow("staff"), Vec::new());
            let network =
                |n: usize| Rule::ip(&format!("11.{}.{}.0/24", n / 256 % 256, n % 256)).unwrap();
            let email = |n: usize| Rule::email(&format!("person{n}@example.com")).unwrap();
            for n in 0..count {
                staff = staff.include(match n % 4 {
                    0 => email(n),
                    1 => Rule::email_domain(&format!("team{n}.example.com")).unwrap(),
                    2 => network(n),
                    _ => {
                        let name = format!("group{n}");
                        let group = Group::new(&*name).include(email(n)).include(network(n));
                        let group = if n % 8 == 3 {
                            group.require(Rule::geo("FR").unwrap())
                        } else {
                            group
                        };
                        groups.push(group);
                        Rule::group(name)
                    }
                });
            }
            let staff = staff.include(Rule::email("ada@example.com").unwrap());
            compile(staff, &groups).unwrap()
        };
        let (few, many) = (looks(&compiled(100)), looks(&compiled(10_000)));
        assert_eq!(few, many);
        assert!(many.iter().all(|(sets, groups)| *sets <= 16 && *groups <= 8), "{many:?}");
    }

    #[test]
    fn pol_08_circles_and_unknown_groups_are_refused_with_their_path() {
        let group = |name: &str, to: &str| Group::new(name).include(Rule::group(to));
        let define = |groups: &[Group]| Definitions::new(groups.to_vec(), []).unwrap_err();
        let circle = [group("a", "b"), group("b", "c"), group("c", "a")];
        assert_eq!(define(&circle), PolicyError::Circle { path: "a -> b -> c -> a".into() });
        assert_eq!(define(&[group("a", "a")]), PolicyError::Circle { path: "a -> a".into() });
        assert!(define(&[group("a", "nowhere")]).to_string().contains("`nowhere`"));
        assert!(compile(Policy::allow("p").include(Rule::group("nowhere")), &[]).is_err());
    }

    #[test]
    fn pol_08_groups_may_be_64_deep_and_no_deeper() {
        let chain = |depth: u32| {
            let mut groups = vec![Group::new("0").include(Rule::everyone())];
            groups.extend((1..depth).map(|depth| {
                let inner = (depth - 1).to_string();
                Group::new(depth.to_string())
                    .include(Rule::group(inner.clone()))
                    .require(Rule::group(inner))
            }));
            groups.reverse();
            Definitions::new(groups, [])
        };
        let definitions = chain(64).unwrap();
        let policies = [Policy::bypass("p").include(Rule::group("63"))];
        let compiled = Policies::compile(&policies, &definitions).unwrap();
        assert!(compiled.evaluate(&crate::policy::Facts::default()).outcome().grants_access());
        for depth in [65, 10_000] {
            let error = chain(depth).unwrap_err();
            assert!(matches!(error, PolicyError::TooDeep { .. }), "{error}");
        }
    }

    #[test]
    fn pol_10_rules_about_people_are_refused_before_a_login() {
        let staff = Group::new("staff").include(Rule::email_domain("example.com").unwrap());
        for policy in [
            Policy::bypass("open").include(Rule::email("a@b.example").unwrap()),
            Policy::service_auth("open").include(Rule::everyone()).exclude(Rule::group("staff")),
            Policy::bypass("open").include(Rule::email_list("board")),
        ] {
            let board = List::emails("board", []);
            let definitions = Definitions::new([staff.clone()], [board]).unwrap();
            let error = Policies::compile(&[policy], &definitions).unwrap_err();
            assert!(matches!(error, PolicyError::IdentityRule { .. }), "{error}");
        }
    }

    #[test]
    fn linked_applications_count_in_service_auth_alone() {
        let with = |policy: Policy| compile(policy.include(Rule::linked_app_token("a")), &[]);
        assert!(with(Policy::service_auth("p")).is_ok());
        for policy in [Policy::bypass("p"), Policy::allow("p"), Policy::deny("p")] {
            let error = with(policy).unwrap_err();
            assert!(matches!(error, PolicyError::LinkedApplication { .. }), "{error}");
        }
    }

    #[test]
    fn ids_and_precedences_are_unique() {
        let policy = |name: &str| Policy::allow(name).include(Rule::everyone());
        let none = Definitions::default();
        assert!(Policies::compile(&[policy("a"), policy("a")], &none).is_err());
        let twice = [policy("a").precedence(1), policy("b").precedence(1)];
        assert!(Policies::compile(&twice, &none).is_err());
        assert!(Definitions::new([Group::new("a"), Group::new("a")], []).is_err());
        assert!(Definitions::new([], [List::emails("a", []), List::emails("a", [])]).is_err());
    }

    #[test]
    fn groups_and_lists_are_found_by_id_and_by_name() {
        let mut staff = Group::new("Staff").include(Rule::email_list("The board"));
        staff.id = Some("6f0e".into());
        let mut other = Group::new("Staff");
        other.id = Some("7a1b".into());
        let mut board = List::emails("The board", ["a@b.example".parse().unwrap()]);
        board.id = Some("a5b2".into());
        let one = Definitions::new([staff.clone()], [board.clone()]).unwrap();
        for name in ["6f0e", "Staff"] {
            let policy = Policy::allow("p").include(Rule::group(name));
            assert!(Policies::compile(&[policy], &one).is_ok(), "{name}");
        }
        let two = Definitions::new([staff, other], [board]).unwrap();
        let policy = Policy::allow("p").include(Rule::group("Staff"));
        let error = Policies::compile(&[policy], &two).unwrap_err();
        assert!(matches!(error, PolicyError::AmbiguousName { .. }), "{error}");
        let policy = Policy::allow("p").include(Rule::ip_list("a5b2"));
        let error = Policies::compile(&[policy], &two).unwrap_err();
        assert!(error.to_string().contains("IP list"), "{error}");
    }
}
