//! From policies as written to policies that are quick to decide.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::document::{Decision, Policy};
use super::group::Group;
use super::networks::Networks;
use super::rule::Rule;
use super::verdict::PolicyRef;

/// The compiled policies of one application.
///
/// Addresses and domains are looked up by hash, networks by binary search: an `include` of ten
/// thousand rules costs about what one of ten costs.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// `bypass` and `non_identity`, by precedence.
    pub(super) without_login: Vec<CompiledPolicy>,
    /// `deny` and `allow`, by precedence.
    pub(super) with_login: Vec<CompiledPolicy>,
    /// A group stands behind every group it refers to.
    pub(super) groups: Vec<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct CompiledPolicy {
    pub(super) reference: PolicyRef,
    pub(super) decision: Decision,
    pub(super) condition: Condition,
}

/// `any(include) and all(require) and not any(exclude)`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) include: AnyOf,
    pub(super) require: Vec<AnyOf>,
    pub(super) exclude: AnyOf,
}

/// Rules of which one has to hold.
#[derive(Clone, Debug, Default)]
pub(super) struct AnyOf {
    pub(super) everyone: bool,
    pub(super) emails: HashSet<Box<str>>,
    pub(super) email_domains: HashSet<Box<str>>,
    pub(super) networks: Networks,
    pub(super) groups: Vec<usize>,
    pub(super) service_tokens: HashSet<Box<str>>,
    pub(super) any_service_token: bool,
}

impl Policies {
    /// Compiles the policies of an application.
    ///
    /// # Errors
    ///
    /// When a rule refers to a group that does not exist, groups refer to each other in a circle,
    /// two groups or two policies share an id, two policies share a precedence, or a `bypass` or
    /// `non_identity` policy has a rule about the person: nobody has logged in there.
    pub fn compile(policies: &[Policy], groups: &[Group]) -> Result<Self, PolicyError> {
        let mut groups = Groups::sort(groups)?;
        groups.keep_those_behind(policies);
        let mut ordered: Vec<(u32, &Policy)> = Vec::with_capacity(policies.len());
        let mut ids = HashSet::new();
        let mut precedences = HashSet::new();
        for (place, policy) in (1_u32..).zip(policies) {
            if !ids.insert(policy.id()) {
                return Err(PolicyError::SamePolicy { policy: policy.id().into() });
            }
            if let Some(precedence) = policy.precedence
                && !precedences.insert(precedence)
            {
                return Err(PolicyError::SamePrecedence {
                    policy: policy.name.clone(),
                    precedence,
                });
            }
            ordered.push((policy.precedence.unwrap_or(place), policy));
        }
        // Stable: equal only where a place in the list meets a written precedence.
        ordered.sort_by_key(|(precedence, _)| *precedence);

        let mut compiled = Self { groups: groups.conditions()?, ..Self::default() };
        for (_, policy) in ordered {
            let condition = groups
                .condition(&policy.name, [&policy.include, &policy.require, &policy.exclude])?;
            let list = match policy.decision {
                Decision::Bypass | Decision::NonIdentity => {
                    groups.refuse_identity_rules(policy)?;
                    &mut compiled.without_login
                }
                Decision::Deny | Decision::Allow => &mut compiled.with_login,
            };
            list.push(CompiledPolicy {
                reference: PolicyRef::new(policy),
                decision: policy.decision,
                condition,
            });
        }
        Ok(compiled)
    }

    /// Whether any policy lets people in who log in. Without one, a login is never offered.
    #[must_use]
    pub fn has_allow(&self) -> bool {
        self.with_login.iter().any(|policy| policy.decision == Decision::Allow)
    }
}

/// Policies that contradict themselves.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A rule names a group that does not exist.
    #[error("`{holder}` refers to the group `{group}`, which does not exist")]
    UnknownGroup {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// What it refers to.
        group: Box<str>,
    },
    /// Groups refer to each other in a circle.
    #[error("groups refer to each other in a circle: {path}")]
    Circle {
        /// The circle, from one of its groups back to the same.
        path: String,
    },
    /// Two groups share an id.
    #[error("two groups have the id `{group}`")]
    SameGroup {
        /// The id.
        group: Box<str>,
    },
    /// Two policies share an id.
    #[error("two policies of one application have the id `{policy}`")]
    SamePolicy {
        /// The id.
        policy: Box<str>,
    },
    /// Two policies share a precedence.
    #[error("the policy `{policy}` has the precedence {precedence} of another one")]
    SamePrecedence {
        /// The later of the two.
        policy: Box<str>,
        /// What they share.
        precedence: u32,
    },
    /// A rule about the person where nobody has logged in.
    #[error(
        "the {decision} policy `{policy}` has the rule `{selector}`, but nobody has logged in there: \
         use an allow policy, or rules about networks and service tokens"
    )]
    IdentityRule {
        /// The policy.
        policy: Box<str>,
        /// `bypass` or `non_identity`.
        decision: Decision,
        /// The selector.
        selector: &'static str,
    },
}

/// The groups in an order in which each stands behind those it refers to.
struct Groups<'a> {
    places: HashMap<&'a str, usize>,
    sorted: Vec<&'a Group>,
}

impl<'a> Groups<'a> {
    fn sort(groups: &'a [Group]) -> Result<Self, PolicyError> {
        let mut by_id = HashMap::new();
        for group in groups {
            if by_id.insert(group.id(), group).is_some() {
                return Err(PolicyError::SameGroup { group: group.id().into() });
            }
        }
        let mut sorted = Self { places: HashMap::new(), sorted: Vec::with_capacity(groups.len()) };
        for group in groups {
            sorted.place(group, &by_id)?;
        }
        Ok(sorted)
    }

    /// Places a group behind all it refers to. A stack of our own: depth comes from a file.
    fn place(
        &mut self,
        first: &'a Group,
        by_id: &HashMap<&'a str, &'a Group>,
    ) -> Result<(), PolicyError> {
        let mut path: Vec<(&Group, Vec<&'a str>)> = Vec::new();
        let mut next = Some(first);
        loop {
            if let Some(group) = next.take()
                && !self.places.contains_key(group.id())
            {
                if let Some(start) = path.iter().position(|(on_path, _)| on_path.id() == group.id())
                {
                    let circle = path.iter().skip(start).map(|(on_path, _)| on_path.id());
                    let path: Vec<_> = circle.chain([group.id()]).collect();
                    return Err(PolicyError::Circle { path: path.join(" -> ") });
                }
                path.push((group, references(group)));
            }
            let Some((group, left)) = path.last_mut() else { return Ok(()) };
            if let Some(id) = left.pop() {
                next = Some(by_id.get(id).copied().ok_or_else(|| PolicyError::UnknownGroup {
                    holder: group.id().into(),
                    group: id.into(),
                })?);
            } else if let Some((group, _)) = path.pop() {
                self.places.insert(group.id(), self.sorted.len());
                self.sorted.push(group);
            }
        }
    }

    fn conditions(&self) -> Result<Vec<Condition>, PolicyError> {
        self.sorted
            .iter()
            .map(|group| {
                self.condition(group.id(), [&group.include, &group.require, &group.exclude])
            })
            .collect()
    }

    fn condition(
        &self,
        holder: &str,
        [include, require, exclude]: [&Vec<Rule>; 3],
    ) -> Result<Condition, PolicyError> {
        Ok(Condition {
            include: self.any_of(holder, include)?,
            require: require
                .iter()
                .map(|rule| self.any_of(holder, std::slice::from_ref(rule)))
                .collect::<Result<_, _>>()?,
            exclude: self.any_of(holder, exclude)?,
        })
    }

    fn any_of(&self, holder: &str, rules: &[Rule]) -> Result<AnyOf, PolicyError> {
        let mut any = AnyOf::default();
        let mut networks: Vec<IpNet> = Vec::new();
        for rule in rules {
            match rule {
                Rule::Everyone => any.everyone = true,
                Rule::Email(email) => {
                    any.emails.insert(email.as_str().into());
                }
                Rule::EmailDomain(domain) => {
                    any.email_domains.insert(domain.as_str().into());
                }
                Rule::Ip(network) => networks.push(*network),
                Rule::Group(id) => {
                    let place = self.places.get(&**id).copied().ok_or_else(|| {
                        PolicyError::UnknownGroup { holder: holder.into(), group: id.clone() }
                    })?;
                    any.groups.push(place);
                }
                Rule::ServiceToken(id) => {
                    any.service_tokens.insert(id.clone());
                }
                Rule::AnyValidServiceToken => any.any_service_token = true,
            }
        }
        any.networks = Networks::new(&networks);
        Ok(any)
    }

    /// Drops the groups no policy leads to: they would be evaluated for nothing.
    fn keep_those_behind(&mut self, policies: &[Policy]) {
        let mut reached: HashSet<usize> = HashSet::new();
        let mut left: Vec<&Rule> = policies
            .iter()
            .flat_map(|policy| [&policy.include, &policy.require, &policy.exclude])
            .flatten()
            .collect();
        while let Some(rule) = left.pop() {
            if let Rule::Group(id) = rule
                && let Some(place) = self.places.get(&**id)
                && let Some(group) = self.sorted.get(*place)
                && reached.insert(*place)
            {
                left.extend([&group.include, &group.require, &group.exclude].into_iter().flatten());
            }
        }
        let mut place = 0;
        self.sorted.retain(|_| {
            place += 1;
            reached.contains(&(place - 1))
        });
        self.places =
            self.sorted.iter().enumerate().map(|(place, group)| (group.id(), place)).collect();
    }

    fn refuse_identity_rules(&self, policy: &Policy) -> Result<(), PolicyError> {
        let mut seen = vec![false; self.sorted.len()];
        let mut left: Vec<&Rule> =
            [&policy.include, &policy.require, &policy.exclude].into_iter().flatten().collect();
        while let Some(rule) = left.pop() {
            if rule.selector().is_about_identity() {
                return Err(PolicyError::IdentityRule {
                    policy: policy.name.clone(),
                    decision: policy.decision,
                    selector: rule.selector().key(),
                });
            }
            if let Rule::Group(id) = rule
                && let Some(place) = self.places.get(&**id)
                && let (Some(seen), Some(group)) = (seen.get_mut(*place), self.sorted.get(*place))
                && !std::mem::replace(seen, true)
            {
                left.extend([&group.include, &group.require, &group.exclude].into_iter().flatten());
            }
        }
        Ok(())
    }
}

fn references(group: &Group) -> Vec<&str> {
    [&group.include, &group.require, &group.exclude]
        .into_iter()
        .flatten()
        .filter_map(|rule| match rule {
            Rule::Group(id) => Some(&**id),
            Rule::Everyone
            | Rule::Email(_)
            | Rule::EmailDomain(_)
            | Rule::Ip(_)
            | Rule::ServiceToken(_)
            | Rule::AnyValidServiceToken => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pol_08_circles_and_unknown_groups_are_refused_with_their_path() {
        let group = |name: &str, to: &str| Group::new(name).include(Rule::group(to));
        let circle = [group("a", "b"), group("b", "c"), group("c", "a")];
        let error = Policies::compile(&[], &circle).unwrap_err();
        assert_eq!(error, PolicyError::Circle { path: "a -> b -> c -> a".into() });
        let error = Policies::compile(&[], &[group("a", "a")]).unwrap_err();
        assert_eq!(error, PolicyError::Circle { path: "a -> a".into() });
        let error = Policies::compile(&[], &[group("a", "nowhere")]).unwrap_err();
        assert!(error.to_string().contains("`nowhere`"));
        let policy = Policy::allow("p").include(Rule::group("nowhere"));
        assert!(Policies::compile(&[policy], &[]).is_err());
    }

    #[test]
    fn pol_08_groups_ten_thousand_deep_are_no_trouble() {
        let mut groups = vec![Group::new("0").include(Rule::everyone())];
        groups.extend((1..10_000_u32).map(|depth| {
            let inner = (depth - 1).to_string();
            Group::new(depth.to_string())
                .include(Rule::group(inner.clone()))
                .require(Rule::group(inner))
        }));
        groups.reverse();
        assert!(Policies::compile(&[], &groups).is_ok());
    }

    #[test]
    fn pol_10_rules_about_people_are_refused_before_a_login() {
        let staff = Group::new("staff").include(Rule::email_domain("example.com").unwrap());
        for policy in [
            Policy::bypass("open").include(Rule::email("a@b.example").unwrap()),
            Policy::service_auth("open").include(Rule::everyone()).exclude(Rule::group("staff")),
        ] {
            let error = Policies::compile(&[policy], std::slice::from_ref(&staff)).unwrap_err();
            assert!(matches!(error, PolicyError::IdentityRule { .. }), "{error}");
        }
    }

    #[test]
    fn ids_and_precedences_are_unique() {
        let policy = |name: &str| Policy::allow(name).include(Rule::everyone());
        assert!(Policies::compile(&[policy("a"), policy("a")], &[]).is_err());
        let twice = [policy("a").precedence(1), policy("b").precedence(1)];
        assert!(Policies::compile(&twice, &[]).is_err());
        assert!(Policies::compile(&[], &[Group::new("a"), Group::new("a")]).is_err());
    }
}
