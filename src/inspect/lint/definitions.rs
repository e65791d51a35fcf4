//! Shared groups, lists and policies.

use std::collections::{HashMap, HashSet};

use crate::policy::{ListItems, Rule};

use super::compared::Values;
use super::inclusion::Certainty;
use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    let referred = References::new(subject);
    groups(subject, &referred);
    lists(subject, &referred);
    policies(subject);
}

/// The ids of groups and lists that rules refer to.
struct References<'a> {
    groups: HashSet<&'a str>,
    lists: HashSet<&'a str>,
}

impl<'a> References<'a> {
    fn new(subject: &'a Subject<'_>) -> Self {
        let mut found = Self { groups: HashSet::new(), lists: HashSet::new() };
        let definitions = &subject.access().definitions;
        let reusable = subject.reusable.iter().flat_map(|policy| policy.conditions.rules());
        for rule in subject.all_rules().chain(reusable) {
            if let Rule::Group(id) = rule {
                found.groups.extend(definitions.group(id).map(|group| group.id()));
            } else if let Rule::EmailList(id) | Rule::IpList(id) = rule {
                found.lists.extend(definitions.list(id).map(|list| list.id()));
            }
        }
        found
    }
}

fn groups(subject: &Subject<'_>, referred: &References<'_>) {
    for (number, group) in subject.access().definitions.groups().iter().enumerate() {
        let key = format!("access.groups[{number}]");
        if !referred.groups.contains(group.id()) {
            subject.report(
                LintKind::UnusedGroup,
                &key,
                None,
                format!("no rule refers to the group {}", quoted(&group.name)),
                "remove it, or refer to it",
            );
        }
        let comparison = subject.compare(Certainty::Weaker);
        let matches_nobody = subject.expansion.group(group.id()).is_some_and(|condition| {
            // A contradiction is reported as such.
            comparison.never(condition) && comparison.contradiction(&condition.require).is_none()
        });
        if matches_nobody {
            subject.report(
                LintKind::GroupMatchesNobody,
                &format!("{key}.include"),
                None,
                format!("the group {} matches nobody", quoted(&group.name)),
                "include somebody, or remove it",
            );
        }
    }
}

fn lists(subject: &Subject<'_>, referred: &References<'_>) {
    for (number, list) in subject.access().definitions.lists().iter().enumerate() {
        let key = format!("access.lists[{number}]");
        if !referred.lists.contains(list.id()) {
            subject.report(
                LintKind::UnusedList,
                &key,
                None,
                format!("no rule refers to the list {}", quoted(&list.name)),
                "remove it, or refer to it",
            );
        } else if list.is_empty() {
            subject.report(
                LintKind::EmptyList,
                &format!("{key}.items"),
                None,
                format!("the list {} has no entries: it matches nobody", quoted(&list.name)),
                "add entries, or remove the rules that refer to it",
            );
        }
        let rules: Vec<Rule> = match &list.items {
            ListItems::Emails(emails) => emails.iter().cloned().map(Rule::Email).collect(),
            ListItems::Networks(networks) => networks.iter().copied().map(Rule::Ip).collect(),
        };
        entries(subject, &key, &rules);
    }
}

fn entries(subject: &Subject<'_>, list: &str, rules: &[Rule]) {
    let mut values = Values::default();
    let mut written = HashMap::new();
    for rule in rules {
        values.add(rule);
        written.insert(rule.test(), rule);
    }
    let mut seen = HashMap::new();
    for (number, rule) in rules.iter().enumerate() {
        let why = match seen.insert(rule, number) {
            Some(first) => Some(format!("it is entry #{} as well", first + 1)),
            None => {
                let wider = values.wider(&rule.test()).and_then(|wider| written.get(&wider));
                wider.map(|wider| format!("{} is there", quoted(&wider.to_string())))
            }
        };
        if let Some(why) = why {
            subject.report(
                LintKind::RedundantListEntry,
                &format!("{list}.items[{number}]"),
                Some(rule.to_string()),
                format!("{} makes no difference: {why}", quoted(&rule.to_string())),
                "remove it",
            );
        }
    }
}

fn policies(subject: &Subject<'_>) {
    let applications = subject.access().applications.iter().enumerate();
    let used: HashSet<String> = applications
        .flat_map(|(application, one)| {
            (0..one.policies.len()).map(move |policy| subject.places.policy(application, policy))
        })
        .collect();
    for (number, policy) in subject.reusable.iter().enumerate() {
        let key = format!("access.policies[{number}]");
        if !used.contains(&key) {
            subject.report(
                LintKind::UnusedPolicy,
                &key,
                None,
                format!("no application refers to the policy {}", quoted(&policy.name)),
                "remove it, or refer to it",
            );
        }
    }
}
