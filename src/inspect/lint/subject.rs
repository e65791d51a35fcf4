//! The input of the lints, with the positions and names for findings.

use std::cell::{OnceCell, RefCell};
use std::collections::{HashMap, HashSet};

use crate::application::{Application, Router};
use crate::clock::Timestamp;
use crate::config::{AccessConfig, Config, Role, SourceMap};
use crate::login::MethodInfo;
use crate::policy::{Conditions, Facts, Group, Policies, Policy, Rule};

use super::compared::{Budget, Expansion};
use super::finding::{Finding, FindingSubject};
use super::inclusion::{Certainty, Comparison};
use super::kind::LintKind;
use crate::inspect::Deployment;

/// A configuration under examination.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) places: &'a SourceMap,
    pub(super) now: Timestamp,
    pub(super) expansion: Expansion<'a>,
    pub(super) budget: Budget,
    /// Selects the application that decides.
    pub(super) router: Option<Router<usize>>,
    /// The shared policies that applications may refer to.
    pub(super) reusable: Vec<Policy>,
    login_methods: Vec<MethodInfo<'a>>,
    /// The applications that a policy belongs to, by its place; empty if all accept every login method.
    users: HashMap<String, Vec<usize>>,
    open: Vec<OnceCell<bool>>,
    findings: RefCell<Vec<Finding>>,
}

/// Rules with the place they are written at: a policy, wherever it is defined, or a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleSet<'a> {
    pub(super) conditions: &'a Conditions,
    /// `None`: a group.
    pub(super) policy: Option<&'a Policy>,
}

impl<'a> RuleSet<'a> {
    pub(super) fn from_policy(policy: &'a Policy) -> Self {
        Self { conditions: &policy.conditions, policy: Some(policy) }
    }

    pub(super) fn from_group(group: &'a Group) -> Self {
        Self { conditions: &group.conditions, policy: None }
    }
}

impl<'a> Subject<'a> {
    pub(super) fn new(deployment: &'a Deployment, places: &'a SourceMap, now: Timestamp) -> Self {
        let access = &deployment.config().access;
        let destinations = access.applications.iter().enumerate().flat_map(|(number, one)| {
            one.destinations().iter().map(move |destination| (destination.clone(), number))
        });
        Self {
            deployment,
            places,
            now,
            expansion: Expansion::new(&access.definitions),
            budget: Budget::new(),
            router: Router::new(destinations).ok(),
            reusable: places.reusable(),
            login_methods: access.role.login_methods().unwrap_or_default(),
            users: users(access, places),
            open: access.applications.iter().map(|_| OnceCell::new()).collect(),
            findings: RefCell::default(),
        }
    }

    pub(super) fn config(&self) -> &'a Config {
        self.deployment.config()
    }

    pub(super) fn access(&self) -> &'a AccessConfig {
        &self.config().access
    }

    pub(super) fn compare(&self, certainty: Certainty) -> Comparison<'_> {
        Comparison { budget: &self.budget, certainty }
    }

    /// Returns the policies as written, each once, with the key paths of their definitions.
    pub(super) fn written_policies(&self) -> Vec<(String, &Policy)> {
        let reusable = self
            .reusable
            .iter()
            .enumerate()
            .map(|(number, policy)| (format!("access.policies[{number}]"), policy));
        let applications = self.access().applications.iter().enumerate();
        let own = applications.flat_map(|(application, one)| {
            one.policies.iter().enumerate().filter_map(move |(number, policy)| {
                let place = self.places.policy(application, number);
                place.starts_with("access.applications").then_some((place, policy))
            })
        });
        reusable.chain(own).collect()
    }

    /// Returns everything that has rules, with its key path.
    pub(super) fn rule_sets(&self) -> Vec<(String, RuleSet<'_>)> {
        let groups = self.access().definitions.groups().iter().enumerate();
        let groups = groups.map(|(number, group)| {
            (format!("access.groups[{number}]"), RuleSet::from_group(group))
        });
        let policies = self.written_policies().into_iter();
        groups
            .chain(policies.map(|(place, policy)| (place, RuleSet::from_policy(policy))))
            .collect()
    }

    /// Returns all rules, including those of unused groups.
    pub(super) fn all_rules(&self) -> impl Iterator<Item = &'a Rule> {
        let policies = self.access().applications.iter().flat_map(|one| &one.policies);
        let groups = self.access().definitions.groups().iter().map(|group| &group.conditions);
        policies.map(|policy| &policy.conditions).chain(groups).flat_map(Conditions::rules)
    }

    /// Whether anybody gets in without a credential.
    pub(super) fn is_open(&self, application: usize) -> bool {
        let is_open = |one: &Application| {
            Policies::compile(&one.policies, &self.access().definitions).is_ok_and(|policies| {
                policies.evaluate(&Facts::default()).outcome().grants_access()
            })
        };
        let one = self.access().applications.get(application);
        match (self.open.get(application), one) {
            (Some(known), Some(one)) => *known.get_or_init(|| is_open(one)),
            _ => false,
        }
    }

    /// Whether the login runs here.
    pub(super) fn issues_tokens(&self) -> bool {
        matches!(self.access().role, Role::Issuing { .. })
    }

    /// Returns the login methods; empty if the login does not run here.
    pub(super) fn login_methods(&self) -> &[MethodInfo<'a>] {
        &self.login_methods
    }

    /// Returns the login methods that count for rules at a place: all that the applications of a policy
    /// accept, and every one for a group.
    pub(super) fn accepted_login_methods(&self, place: &str) -> Vec<MethodInfo<'a>> {
        let users = self.users.get(place);
        let is_accepted = |method: &&MethodInfo<'_>| {
            users.is_none_or(|users| {
                let mut users = users.iter().filter_map(|it| self.access().applications.get(*it));
                users.any(|application| application.allows_login_method(method.id))
            })
        };
        self.login_methods.iter().filter(is_accepted).copied().collect()
    }

    pub(super) fn report(
        &self,
        kind: LintKind,
        key: &str,
        value: Option<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let mut subject = self.name(key);
        subject.value = value;
        let location = self.places.location(key);
        self.push(Finding {
            id: kind,
            severity: kind.severity(),
            file: self.deployment.file().to_owned(),
            line: Some(location.line),
            column: Some(location.column),
            key: key.to_owned(),
            message: message.into(),
            fix: Some(fix.into()),
            subject,
            suppressed: None,
        });
    }

    pub(super) fn push(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    /// Returns the key paths of the findings of a kind.
    pub(super) fn keys_of(&self, kind: LintKind) -> HashSet<String> {
        let findings = self.findings.borrow();
        findings.iter().filter(|one| one.id == kind).map(|one| one.key.clone()).collect()
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }

    /// Returns the names of the items on a key path.
    pub(super) fn name(&self, key: &str) -> FindingSubject {
        let Self { deployment, reusable, .. } = self;
        let access = &deployment.config().access;
        let mut subject = FindingSubject::default();
        let mut steps = key.split('.').map(numbered);
        let (Some(first), second) = (steps.next(), steps.next()) else { return subject };
        match (first, second) {
            (("ingress", Some(number)), _) => {
                let rule = deployment.config().ingress.get(number);
                let hostname = rule.map(|rule| rule.hostname.as_deref().unwrap_or("*"));
                subject.hostname = hostname.map(str::to_owned);
            }
            (("access", None), Some(("applications", Some(number)))) => {
                let application = access.applications.get(number);
                subject.application = application.map(|one| one.name().to_owned());
                if let (Some(application), Some(("policies", Some(number)))) =
                    (application, steps.next())
                {
                    let policy = application.policies.get(number);
                    subject.policy = policy.map(|policy| policy.name.to_string());
                }
            }
            (("access", None), Some(("policies", Some(number)))) => {
                subject.policy = reusable.get(number).map(|policy| policy.name.to_string());
            }
            (("access", None), Some(("groups", Some(number)))) => {
                let group = access.definitions.groups().get(number);
                subject.group = group.map(|group| group.name.to_string());
            }
            (("access", None), Some(("lists", Some(number)))) => {
                let list = access.definitions.lists().get(number);
                subject.list = list.map(|list| list.name.to_string());
            }
            (("access", None), Some(("service_tokens", Some(number)))) => {
                let token = access.service_tokens.get(number);
                subject.service_token = token.map(|token| token.name.to_string());
            }
            _ => {}
        }
        subject
    }
}

/// Returns the applications of each policy, by its place; nothing if all accept every login method.
fn users(access: &AccessConfig, places: &SourceMap) -> HashMap<String, Vec<usize>> {
    let mut users: HashMap<String, Vec<usize>> = HashMap::new();
    let applications = || access.applications.iter().enumerate();
    let chooses = |application: &Application| !application.allowed_login_methods.is_empty();
    if !applications().any(|(_, application)| chooses(application)) {
        return users;
    }
    for (number, application) in applications() {
        for policy in 0..application.policies.len() {
            users.entry(places.policy(number, policy)).or_default().push(number);
        }
    }
    users
}

/// `policies[1]`: the key and the number.
fn numbered(step: &str) -> (&str, Option<usize>) {
    match step.split_once('[') {
        Some((key, number)) => (key, number.trim_end_matches(']').parse().ok()),
        None => (step, None),
    }
}

/// Returns a name between backticks, escaped to stay on one line.
pub(super) fn quoted(name: &str) -> String {
    format!("`{}`", name.escape_debug())
}
