//! The resulting configuration, written as YAML that users can edit.

use std::collections::HashMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::application::Destination;
use crate::policy::{Conditions, Group, List, ListItems, Policy, Rule, RuleList};

use super::organization::WrittenOrganization;
use super::provider::WrittenProvider;
use super::references::Token;
use super::yaml::{Yaml, flow, scalar};

/// The configuration to write.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) organization: WrittenOrganization,
    pub(super) providers: Vec<WrittenProvider>,
    pub(super) applications: Vec<WrittenApplication>,
    pub(super) policies: Vec<(String, Policy)>,
    pub(super) groups: Vec<(String, Group)>,
    pub(super) lists: Vec<(String, List)>,
    pub(super) tokens: Vec<Token>,
    /// The names for the ids in rules.
    pub(super) names: HashMap<String, String>,
}

/// An application.
#[derive(Debug)]
pub(super) struct WrittenApplication {
    pub(super) key: String,
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) settings: Vec<(String, Value)>,
    pub(super) destinations: Vec<Destination>,
    pub(super) policies: Vec<ApplicationPolicy>,
}

/// A policy of an application.
#[derive(Clone, Debug)]
pub(super) enum ApplicationPolicy {
    Link { id: String, name: String, precedence: Option<u32> },
    Inline(Policy),
}

impl ApplicationPolicy {
    pub(super) fn set_precedence(&mut self, own: u32) {
        match self {
            Self::Link { precedence, .. } => *precedence = Some(own),
            Self::Inline(policy) => policy.precedence = Some(own),
        }
    }
}

impl Document {
    pub(super) fn to_yaml(&self) -> String {
        let mut yaml = Yaml::default();
        self.write_head(&mut yaml);
        yaml.line(0, "access:");
        self.write_organization(&mut yaml);
        yaml.line(1, "applications:");
        for application in &self.applications {
            self.write_application(&mut yaml, application);
        }
        if !self.policies.is_empty() {
            yaml.line(1, "policies:");
        }
        for (_, policy) in &self.policies {
            self.write_policy(&mut yaml, 2, policy);
        }
        if !self.groups.is_empty() {
            yaml.line(1, "groups:");
        }
        for (_, group) in &self.groups {
            let mut item = yaml.item(2);
            item.entry("id", group.id.as_deref());
            item.entry("name", Some(&group.name));
            // An empty `include` is a group that matches nobody, and has to be written.
            self.write_conditions(&mut yaml, 3, &group.conditions);
        }
        if !self.lists.is_empty() {
            yaml.line(1, "lists:");
        }
        for (_, list) in &self.lists {
            write_list(&mut yaml, list);
        }
        if !self.tokens.is_empty() {
            yaml.line(1, "service_tokens:");
        }
        for token in &self.tokens {
            write_token(&mut yaml, token);
        }
        yaml.finish()
    }

    /// Writes a commented `ingress`: exports do not contain the services.
    fn write_head(&self, yaml: &mut Yaml) {
        yaml.comment(0, "Imported from Cloudflare Access.");
        yaml.comment(0, "");
        yaml.comment(
            0,
            "Exports do not contain your services. Write them here and remove the comment marks:",
        );
        yaml.comment(0, "");
        yaml.comment(0, "ingress:");
        let mut hosts: Vec<&str> = Vec::new();
        for destination in self.applications.iter().flat_map(|it| &it.destinations) {
            let host = destination.exact_host();
            hosts.extend(host.filter(|host| !hosts.contains(host) && hosts.len() < MAX_HOSTS));
        }
        for host in hosts {
            yaml.comment(0, &format!("  - hostname: {}", scalar(host)));
            yaml.comment(0, "    service: http://127.0.0.1:9000");
        }
        yaml.comment(0, "  - service: http_status:404");
    }

    fn write_organization(&self, yaml: &mut Yaml) {
        let organization = &self.organization;
        if let Some(domain) = &organization.team_domain {
            yaml.entry(1, "team_domain", domain);
        } else if let Some(former) = &organization.former_team_domain {
            yaml.comment(1, &format!("team_domain: a host of yours, instead of {former}"));
        }
        if let Some(duration) = &organization.session_duration {
            yaml.entry(1, "session_duration", duration);
        }
        if organization.lax_service_tokens {
            yaml.line(1, "strict_service_token_auth: false");
        }
        self.write_providers(yaml);
        if let Some(id) = &organization.one_time_pin {
            yaml.line(1, &format!("one_time_pin: {{ id: {} }}", scalar(id)));
        } else if !self.providers.is_empty() {
            return;
        }
        yaml.comment(1, "Codes are printed. To send them:");
        yaml.comment(
            1,
            "mail: { smtp: { host: mail.example.com, from: \"Access <access@example.com>\" } }",
        );
        yaml.line(1, "mail: console");
    }

    fn write_providers(&self, yaml: &mut Yaml) {
        if !self.providers.is_empty() {
            yaml.line(1, "identity_providers:");
        }
        for provider in &self.providers {
            let mut item = yaml.item(2);
            item.entry("id", Some(&provider.key));
            item.entry("name", Some(&provider.name));
            item.plain("type", provider.kind);
            if provider.config.is_empty() && provider.secret_file.is_none() {
                continue;
            }
            yaml.line(3, "config:");
            for (key, value) in &provider.config {
                yaml.line(4, &format!("{key}: {}", flow(value)));
            }
            if let Some(path) = &provider.secret_file {
                yaml.entry(4, "client_secret_file", path);
            }
        }
    }

    /// Returns the key of the provider at this position of the list.
    pub(super) fn entry_of_provider(&self, number: usize) -> Option<&str> {
        self.providers.get(number).map(|provider| &*provider.key)
    }

    fn write_application(&self, yaml: &mut Yaml, application: &WrittenApplication) {
        let mut item = yaml.item(2);
        item.entry("id", application.id.as_deref());
        item.entry("name", Some(&application.name));
        match application.destinations.as_slice() {
            [only] => yaml.entry(3, "domain", &only.to_string()),
            several => {
                yaml.line(3, "destinations:");
                for destination in several {
                    let uri = scalar(&destination.to_string());
                    yaml.line(4, &format!("- {{ type: public, uri: {uri} }}"));
                }
            }
        }
        for (key, value) in &application.settings {
            yaml.line(3, &format!("{}: {}", scalar(key), flow(value)));
        }
        if application.policies.is_empty() {
            yaml.comment(3, "Without a policy nobody is admitted.");
            return;
        }
        yaml.line(3, "policies:");
        for policy in &application.policies {
            match policy {
                ApplicationPolicy::Inline(policy) => self.write_policy(yaml, 4, policy),
                ApplicationPolicy::Link { id, name, precedence } => {
                    let mut link = format!("- {{ id: {}", scalar(id));
                    if let Some(precedence) = precedence {
                        let _ = write!(link, ", precedence: {precedence}");
                    }
                    link.push_str(" }");
                    yaml.line_with_comment(
                        4,
                        &link,
                        Some(name).filter(|name| *name != id).map(|name| &**name),
                    );
                }
            }
        }
    }

    fn write_policy(&self, yaml: &mut Yaml, indent: usize, policy: &Policy) {
        let mut item = yaml.item(indent);
        item.entry("id", policy.id.as_deref());
        item.entry("name", Some(&policy.name));
        item.plain("decision", &policy.decision.to_string());
        if let Some(precedence) = policy.precedence {
            item.plain("precedence", &precedence.to_string());
        }
        if let Some(duration) = policy.session_duration {
            item.entry("session_duration", Some(&duration.to_string()));
        }
        self.write_conditions(yaml, indent + 1, &policy.conditions);
    }

    fn write_conditions(&self, yaml: &mut Yaml, indent: usize, conditions: &Conditions) {
        for (list, rules) in conditions.lists() {
            if rules.is_empty() {
                if list == RuleList::Include {
                    yaml.line(indent, &format!("{list}: []"));
                }
                continue;
            }
            yaml.line(indent, &format!("{list}:"));
            for rule in rules {
                // A rule is an object with one key: it always has a JSON form.
                let value = serde_json::to_value(rule).unwrap_or_default();
                let name = id_in(rule).and_then(|id| self.names.get(id));
                yaml.line_with_comment(
                    indent + 1,
                    &format!("- {}", flow(&value)),
                    name.map(|name| &**name),
                );
            }
        }
    }
}

fn write_list(yaml: &mut Yaml, list: &List) {
    let mut item = yaml.item(2);
    item.entry("id", list.id.as_deref());
    item.entry("name", Some(&list.name));
    let (kind, texts): (_, Vec<String>) = match &list.items {
        ListItems::Emails(emails) => ("EMAIL", emails.iter().map(ToString::to_string).collect()),
        ListItems::Networks(networks) => ("IP", networks.iter().map(ToString::to_string).collect()),
    };
    item.plain("type", kind);
    if texts.is_empty() {
        return yaml.line(3, "items: []");
    }
    yaml.line(3, "items:");
    for text in texts {
        yaml.line(4, &format!("- {}", scalar(&text)));
    }
}

fn write_token(yaml: &mut Yaml, token: &Token) {
    let mut item = yaml.item(2);
    item.entry("id", token.id.as_deref());
    item.entry("name", Some(&token.name));
    item.entry("client_id", Some(&token.client_id));
    if token.needs_secret {
        yaml.comment(
            3,
            "Write `sha256:` and the output of `printf %s SECRET | sha256sum`, and switch it on.",
        );
    }
    yaml.entry(3, "client_secret_hash", &token.hash);
    if !token.enabled {
        yaml.line(3, "enabled: false");
    }
    if let Some(end) = &token.expires_at {
        yaml.entry(3, "expires_at", end);
    }
}

/// Returns the id of something that has a name elsewhere.
fn id_in(rule: &Rule) -> Option<&str> {
    let (Rule::Group(id)
    | Rule::EmailList(id)
    | Rule::IpList(id)
    | Rule::ServiceToken(id)
    | Rule::LinkedAppToken(id)
    | Rule::LoginMethod(id)) = rule
    else {
        return None;
    };
    Some(id)
}

const MAX_HOSTS: usize = 50;
