//! Carries applications over.
//!
//! An application with a public host is never left out: a less specific one would take its place. What
//! cannot be carried over whole stays, and refuses everyone.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use url::Url;

use crate::application::Destination;
use crate::inspect::relation::overlaps;
use crate::policy::{Decision, Policy, Rule};

use super::document::{ApplicationPolicy, WrittenApplication};
use super::inventory::{Entry, Inventory};
use super::note::{ImportNote, ImportNoteKind};
use super::policy::is_reusable;
use super::refusals::Refusals;
use super::value::{is_off, list};

/// Carries all applications over.
pub(super) fn carry_all(
    inventory: &Inventory,
    policies: &HashMap<&str, Option<Policy>>,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Vec<WrittenApplication> {
    let shared = shared_policies(inventory);
    let second_factor = inventory.organizations.iter().any(|organization| {
        organization.fields.get("mfa_required_for_all_apps").is_some_and(|on| !is_off(on))
    });
    let mut written = Vec::new();
    let mut closed: HashMap<String, String> = refusals.applications.clone();
    let mut owners: HashMap<Destination, String> = HashMap::new();
    let mut unreadable: Vec<(String, Option<Destination>)> = Vec::new();
    for entry in inventory.applications.iter() {
        let mut carrier = Carrier { entry, inventory, refusals, notes };
        let destinations = carrier.destinations(&mut owners, &mut closed, &mut unreadable);
        let Some(destinations) = destinations else { continue };
        if !carrier.is_http() {
            closed.entry(entry.key.clone()).or_insert_with(|| {
                let kind = entry.text("type").unwrap_or_default();
                format!("applications of type `{kind}` are not served here")
            });
        }
        let settings = carrier.settings(&mut closed);
        let only_refusal = if second_factor && !is_without_second_factor(entry) {
            Some(
                "the organization asks everyone for a second factor, which is not done here".into(),
            )
        } else {
            settings.only_refusal
        };
        let policies = carrier.policies(policies, &shared, only_refusal);
        written.push(WrittenApplication {
            key: entry.key.clone(),
            id: entry.id().map(str::to_owned),
            name: entry.name().to_owned(),
            settings: settings.written,
            destinations,
            policies,
        });
    }
    // What could not be read belongs to nobody here: whoever would take its place is closed.
    for (application, region) in unreadable {
        for other in written.iter().filter(|other| other.key != application) {
            let takes = other.destinations.iter().any(|destination| match &region {
                Some(region) => overlaps(destination, region).is_some(),
                None => destination.exact_host().is_none(),
            });
            if takes {
                closed.entry(other.key.clone()).or_insert_with(|| {
                    format!(
                        "it would take the place of a destination of `{application}` that cannot \
                             be read"
                    )
                });
            }
        }
    }
    for application in &mut written {
        let Some(reason) = closed.get(&application.key) else { continue };
        if let Some(entry) = inventory.applications.get(&application.key) {
            notes.push(entry.note(
                ImportNoteKind::Closed,
                "",
                format_args!("{reason}; the application is there, and refuses everyone"),
            ));
        }
        application.policies = vec![ApplicationPolicy::Inline(refusal(reason, None))];
    }
    written
}

/// Policies that are written once, and linked to.
pub(super) fn shared_policies(inventory: &Inventory) -> HashSet<&str> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for entry in inventory.applications.iter() {
        let links = list(entry.fields.get("policies")).unwrap_or_default();
        let ids: HashSet<&str> =
            links.iter().filter_map(|link| link.get("id").and_then(Value::as_str)).collect();
        for id in ids {
            *uses.entry(id).or_default() += 1;
        }
    }
    inventory
        .policies
        .iter()
        .filter(|policy| {
            let uses = uses.get(&*policy.key).copied().unwrap_or(0);
            is_reusable(policy) || uses > 1 || uses == 0
        })
        .map(|policy| &*policy.key)
        .collect()
}

/// One application on its way.
struct Carrier<'a> {
    entry: &'a Entry,
    inventory: &'a Inventory,
    refusals: &'a Refusals,
    notes: &'a mut Vec<ImportNote>,
}

/// Settings as they are written.
struct Settings {
    written: Vec<(String, Value)>,
    /// Why nobody may log in, if that is so.
    only_refusal: Option<String>,
}

impl Carrier<'_> {
    fn note(&mut self, kind: ImportNoteKind, key: &str, message: impl std::fmt::Display) {
        self.notes.push(self.entry.note(kind, key, message));
    }

    fn is_http(&self) -> bool {
        matches!(self.entry.text("type"), None | Some("self_hosted"))
    }

    /// Where the application applies; `None` when it protects nothing here.
    fn destinations(
        &mut self,
        owners: &mut HashMap<Destination, String>,
        closed: &mut HashMap<String, String>,
        unreadable: &mut Vec<(String, Option<Destination>)>,
    ) -> Option<Vec<Destination>> {
        let entry = self.entry;
        if entry.text("type").is_some_and(|kind| PROTECTS_NOTHING.contains(&kind)) {
            let kind = entry.text("type").unwrap_or_default();
            self.note(
                ImportNoteKind::NotCarriedOver,
                "type",
                format_args!(
                    "applications of type `{kind}` protect no host of yours; it was left out"
                ),
            );
            return None;
        }
        let mut found: Vec<Destination> = Vec::new();
        for (key, text) in self.written_destinations() {
            match read_destination(&text) {
                Ok((destination, without_port)) => {
                    if without_port {
                        self.note(
                            ImportNoteKind::NotCarriedOver,
                            &key,
                            format_args!("`{text}`: ports take no part, and it was left out"),
                        );
                    }
                    if found.contains(&destination) {
                        continue;
                    }
                    match owners.get(&destination) {
                        Some(owner) => {
                            let reason =
                                format!("`{destination}` belongs to `{}` as well", entry.name());
                            closed.entry(owner.clone()).or_insert(reason);
                            self.note(
                                ImportNoteKind::Closed,
                                &key,
                                format_args!(
                                    "`{destination}` belongs to the application `{owner}` as well, which \
                                     refuses everyone; take it out of one of the two"
                                ),
                            );
                        }
                        None => {
                            owners.insert(destination.clone(), entry.key.clone());
                            found.push(destination);
                        }
                    }
                }
                Err(region) => {
                    self.note(
                        ImportNoteKind::Closed,
                        &key,
                        format_args!(
                            "`{text}` cannot be read as a host and a path; it was left out, and \
                             applications that would take its place refuse everyone"
                        ),
                    );
                    unreadable.push((entry.key.clone(), region));
                }
            }
        }
        if found.is_empty() {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "destinations",
                "no public host that is its own; the application was left out",
            );
            return None;
        }
        Some(found)
    }

    /// The public destinations, the one that is shown first, with their places.
    fn written_destinations(&mut self) -> Vec<(String, String)> {
        let entry = self.entry;
        let mut found: Vec<(String, String)> = Vec::new();
        let given = |key: &str| entry.fields.get(key).filter(|value| !is_off(value));
        if let Some(destinations) = given("destinations") {
            for (number, destination) in
                destinations.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate()
            {
                let key = format!("destinations[{number}]");
                let kind = destination.get("type").and_then(Value::as_str).unwrap_or("public");
                let uri = destination.get("uri").and_then(Value::as_str);
                match uri.filter(|_| kind == "public") {
                    Some(uri) => found.push((key, uri.to_owned())),
                    None => self.note(
                        ImportNoteKind::NotCarriedOver,
                        &key,
                        format_args!("destinations of type `{kind}` are no hosts; it was left out"),
                    ),
                }
            }
        } else if let Some(domains) = given("self_hosted_domains") {
            let domains = domains.as_array().map_or(&[][..], Vec::as_slice).iter();
            found.extend(domains.enumerate().filter_map(|(number, domain)| {
                Some((format!("self_hosted_domains[{number}]"), domain.as_str()?.to_owned()))
            }));
        }
        let Some(domain) = entry.text("domain") else { return found };
        let same = |text: &str| match (read_destination(text), read_destination(domain)) {
            (Ok((one, _)), Ok((two, _))) => one == two,
            _ => text == domain,
        };
        if let Some(shown) = found.iter().position(|(_, text)| same(text)) {
            found.swap(0, shown);
        } else if given("destinations").is_none() {
            found.insert(0, ("domain".to_owned(), domain.to_owned()));
        } else {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "domain",
                format_args!("`{domain}` is not among the destinations, and was left out"),
            );
        }
        found
    }

    fn settings(&mut self, closed: &mut HashMap<String, String>) -> Settings {
        let mut settings = Settings { written: Vec::new(), only_refusal: None };
        let entry = self.entry;
        for (key, value) in &entry.fields {
            let key = key.as_str();
            if KNOWN.contains(&key) || is_switched_off(key, value) {
                continue;
            }
            if key == "allowed_idps" {
                self.login_methods(value, &mut settings);
            } else if let Some((_, consequence)) = SETTINGS.iter().find(|(name, _)| *name == key) {
                match self.refused(key) {
                    Some(reason) => self.note(
                        ImportNoteKind::NotCarriedOver,
                        key,
                        format_args!("{reason}; it was left out: {consequence}"),
                    ),
                    None => settings.written.push((key.to_owned(), value.clone())),
                }
            } else if key == "scim_config" {
                self.note(
                    ImportNoteKind::NotCarriedOver,
                    key,
                    "accounts are not provisioned from here; let the identity provider do it",
                );
            } else if key == "mfa_config" {
                let reason = "a second factor is asked for, which is not done here";
                settings.only_refusal = Some(reason.to_owned());
            } else {
                closed.entry(entry.key.clone()).or_insert_with(|| {
                    format!(
                        "its setting `{key}` is not known and may keep people out: take it out of the \
                         export if it does not, and import again"
                    )
                });
            }
        }
        settings.written.sort_by_key(|(key, _)| {
            SETTINGS.iter().position(|(name, _)| name == key).unwrap_or(usize::MAX)
        });
        settings
    }

    fn refused(&self, key: &str) -> Option<String> {
        self.refusals.settings.get(&(self.entry.key.clone(), key.to_owned())).cloned()
    }

    /// The one-time PIN is the login method there is; an application that does not accept it lets
    /// nobody log in.
    fn login_methods(&mut self, value: &Value, settings: &mut Settings) {
        let ids: Vec<&str> =
            list(Some(value)).unwrap_or_default().iter().filter_map(Value::as_str).collect();
        let is_pin = |id: &&str| {
            let provider = self.inventory.providers.get(id);
            provider.is_some_and(|provider| provider.text("type") == Some("onetimepin"))
        };
        let pins: Vec<&str> = ids.iter().copied().filter(is_pin).collect();
        if pins.is_empty() {
            settings.only_refusal = Some(
                "only login methods are accepted (`allowed_idps`) that are not here, or whose export is \
                 not among the files"
                    .to_owned(),
            );
        } else if let Some(reason) = self.refused("allowed_idps") {
            settings.only_refusal = Some(format!("`allowed_idps`: {reason}"));
        } else {
            if pins.len() < ids.len() {
                self.note(
                    ImportNoteKind::NotCarriedOver,
                    "allowed_idps",
                    "login methods that are not here were left out",
                );
            }
            let pins = pins.into_iter().map(Value::from).collect();
            settings.written.push(("allowed_idps".to_owned(), pins));
        }
    }

    fn policies(
        &mut self,
        carried: &HashMap<&str, Option<Policy>>,
        shared: &HashSet<&str>,
        only_refusal: Option<String>,
    ) -> Vec<ApplicationPolicy> {
        let entry = self.entry;
        let Some(links) = list(entry.fields.get("policies")) else {
            self.note(ImportNoteKind::Closed, "policies", "no list of policies: nobody gets in");
            return Vec::new();
        };
        let is_told = entry.fields.get("policies").is_some_and(|policies| !policies.is_null());
        if !is_told && self.is_http() {
            self.note(
                ImportNoteKind::Closed,
                "policies",
                "they are missing, and nobody gets in; export the application with its policies",
            );
        }
        let mut seen = HashSet::new();
        let mut found: Vec<(Option<u64>, usize, ApplicationPolicy, Decision)> = Vec::new();
        for (number, link) in links.iter().enumerate() {
            let id = link.get("id").and_then(Value::as_str);
            let precedence = link.get("precedence").and_then(Value::as_u64);
            let policy = match id.and_then(|id| Some((id, carried.get(id)?))) {
                Some((id, _)) if !seen.insert(id) => continue,
                Some((_, None)) => continue,
                Some((id, Some(policy))) if shared.contains(id) => {
                    let (id, name) = (policy.id().to_owned(), policy.name.to_string());
                    let decision = policy.decision;
                    let link = ApplicationPolicy::Link { id, name, precedence: None };
                    (link, decision)
                }
                Some((_, Some(policy))) => {
                    (ApplicationPolicy::Inline(policy.clone()), policy.decision)
                }
                None => {
                    let id = id.unwrap_or("?");
                    self.note(
                        ImportNoteKind::Closed,
                        &format!("policies[{number}]"),
                        format_args!(
                            "there is no policy `{id}` in these files; in its place a policy refuses \
                             everyone: give `/access/policies` as well"
                        ),
                    );
                    let reason = format!("policy {id} was not exported");
                    (ApplicationPolicy::Inline(refusal(&reason, Some(number))), Decision::Deny)
                }
            };
            found.push((precedence, number, policy.0, policy.1));
        }
        self.order(found, only_refusal)
    }

    /// Gives each policy its precedence, in order.
    fn order(
        &mut self,
        mut found: Vec<(Option<u64>, usize, ApplicationPolicy, Decision)>,
        only_refusal: Option<String>,
    ) -> Vec<ApplicationPolicy> {
        let mut distinct = HashSet::new();
        let precedences = || found.iter().filter_map(|(precedence, ..)| *precedence);
        let in_range =
            precedences().all(|precedence| (1..u64::from(u32::MAX)).contains(&precedence));
        let all_differ = precedences().all(|precedence| distinct.insert(precedence));
        let keeps = in_range && all_differ && precedences().count() == found.len();
        let place = |precedence: Option<u64>, number: usize| {
            precedence
                .unwrap_or_else(|| u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1))
        };
        // Where two share a place, the one that refuses goes first.
        found.sort_by_key(|(precedence, number, _, decision)| {
            (place(*precedence, *number), *decision != Decision::Deny, *number)
        });
        if !all_differ {
            self.note(
                ImportNoteKind::NotCarriedOver,
                "policies",
                "two have one precedence; those that refuse go first",
            );
        }
        let shift = u32::from(only_refusal.is_some());
        let mut written: Vec<ApplicationPolicy> = Vec::new();
        if let Some(reason) = only_refusal {
            self.note(
                ImportNoteKind::Closed,
                "",
                format_args!(
                    "{reason}; the first policy refuses everyone who logs in: take it out if you want \
                     the others to count all the same"
                ),
            );
            let mut first = refusal(&reason, None);
            first.precedence = Some(1);
            written.push(ApplicationPolicy::Inline(first));
        }
        for (number, (precedence, _, mut policy, _)) in found.into_iter().enumerate() {
            let own = precedence.filter(|_| keeps).and_then(|own| u32::try_from(own).ok());
            let own = own.unwrap_or_else(|| u32::try_from(number).unwrap_or(u32::MAX - 2) + 1);
            policy.set_precedence(own + shift);
            written.push(policy);
        }
        written
    }
}

fn refusal(reason: &str, number: Option<usize>) -> Policy {
    let number = number.map_or_else(String::new, |number| format!(" {}", number + 1));
    let reason: String = reason.chars().take(200).collect();
    Policy::deny(format!("Closed by the import{number}: {reason}")).include(Rule::Everyone)
}

/// The destination, and whether it was written with a port. Otherwise what is known of where it is: a
/// host and the beginning of a path.
fn read_destination(text: &str) -> Result<(Destination, bool), Option<Destination>> {
    let (host, path) = match text.find('/') {
        Some(slash) if !text.contains("://") => text.split_at(slash),
        _ => (text, ""),
    };
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port))
            if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            (name, true)
        }
        _ => (host, false),
    };
    let name = if name.is_ascii() {
        name.to_owned()
    } else {
        // As browsers write it in requests.
        let url = Url::parse(&format!("https://{name}/")).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or(name).to_owned()
    };
    if let Ok(destination) = format!("{name}{path}").parse() {
        return Ok((destination, port));
    }
    let mut known: Option<Destination> = name.parse().ok();
    if known.is_some() {
        let mut beginning = String::new();
        for segment in path.split('/').skip(1) {
            beginning.push('/');
            beginning.push_str(segment);
            match format!("{name}{beginning}").parse::<Destination>() {
                Ok(longer) if !segment.contains('*') => known = Some(longer),
                _ => break,
            }
        }
    }
    Err(known)
}

/// Whether a setting says that it is not wanted.
fn is_switched_off(key: &str, value: &Value) -> bool {
    match key {
        // Here `false` is what has to be said.
        "http_only_cookie_attribute" => *value != Value::Bool(false),
        "oauth_configuration" | "scim_config" => {
            is_off(value) || value.get("enabled") == Some(&Value::Bool(false))
        }
        "mfa_config" => is_off(value) || value.get("mfa_disabled") == Some(&Value::Bool(true)),
        _ => is_off(value),
    }
}

fn is_without_second_factor(entry: &Entry) -> bool {
    let config = entry.fields.get("mfa_config");
    config.and_then(|config| config.get("mfa_disabled")) == Some(&Value::Bool(true))
}

/// Applications that are no hosts of their owner's, or whose host is the login's.
const PROTECTS_NOTHING: &[&str] =
    &["saas", "bookmark", "app_launcher", "warp", "biso", "dash_sso", "infrastructure", "end_user"];

/// Keys that are read elsewhere, or say nothing about requests.
const KNOWN: &[&str] = &[
    "id",
    "uid",
    "name",
    "type",
    "domain",
    "domain_type",
    "destinations",
    "self_hosted_domains",
    "policies",
    "created_at",
    "updated_at",
    "account_id",
    "zone_id",
    "zone_name",
    "app_launcher_visible",
    "app_launcher_logo_url",
    "logo_url",
    "tags",
    "use_clientless_isolation_app_launcher_url",
    "bg_color",
    "header_bg_color",
    "footer_links",
    "landing_page_design",
    "skip_app_launcher_login_page",
    "auto_redirect_to_identity",
];

/// Settings that are written as they are, in this order, and what it means when the reader of
/// configurations refuses one: none of them lets more people in when it is missing.
const SETTINGS: &[(&str, &str)] = &[
    ("aud", "another audience tag is derived from the domain"),
    ("allowed_idps", ""),
    ("session_duration", "tokens live as long as a login lasts"),
    ("http_only_cookie_attribute", "scripts cannot read the cookie"),
    ("same_site_cookie_attribute", "the cookie is sent along from other sites"),
    ("path_cookie_attribute", "the cookie is sent to the whole host"),
    ("enable_binding_cookie", "a token that was stolen alone is enough"),
    ("eager_redirect_cookie_setting", "each host sets its cookie when it is first visited"),
    ("custom_deny_message", "people see the usual text"),
    ("custom_deny_url", "people see the usual page"),
    ("custom_non_identity_deny_url", "people see the usual page"),
    ("custom_pages", "people see the usual pages"),
    ("cors_headers", "pages of other origins cannot call the application"),
    ("options_preflight_bypass", "preflight requests are asked to log in"),
    ("service_auth_401_redirect", "programs get 403"),
    ("read_service_tokens_from_header", "programs send the two usual headers"),
    ("oauth_configuration", "programs need a service token"),
    ("allow_authenticate_via_warp", "people log in"),
    ("skip_interstitial", "a person approves a command-line client"),
    ("allow_iframe", "the login is not shown in frames"),
];
