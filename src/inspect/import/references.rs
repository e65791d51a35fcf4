//! Groups, lists and service tokens, to which rules refer.
//!
//! One that cannot be converted completely is left out, so that every rule that refers to it is lost
//! as well: only the policy with the rule determines which way is closed.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::identity::Email;
use crate::policy::{Decision, Fact, Group, List, ListItems, Rule, RuleList, Selector};
use crate::secret::SecretHash;

use super::inventory::{Entry, Inventory};
use super::note::{ImportNote, ImportNoteKind};
use super::provider::is_one_time_pin;
use super::refusals::Refusals;

/// Groups, lists and service tokens that were converted.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) groups: Vec<(String, Group)>,
    pub(super) lists: Vec<(String, List)>,
    pub(super) tokens: Vec<Token>,
    known: KnownNames,
    /// Whether users log in by one-time PIN who could not before.
    pin_is_new: bool,
}

/// The names that rules may refer to.
#[derive(Debug, Default)]
struct KnownNames {
    groups: HashMap<String, Traits>,
    email_lists: HashSet<String>,
    ip_lists: HashSet<String>,
    tokens: HashSet<String>,
}

/// The requirements of a rule or group, with everything it refers to.
#[derive(Clone, Copy, Debug, Default)]
struct Traits {
    about_identity: bool,
    linked_application: bool,
    /// An attribute that a one-time PIN never provides: such a rule never matches.
    asks_provider: bool,
    depth: usize,
}

/// The position of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    /// The policy's decision; `None` in a group.
    pub(super) decision: Option<Decision>,
    pub(super) list: RuleList,
}

impl Position {
    /// Whether more users are admitted if a rule never matches.
    fn keeps_out(self) -> bool {
        self.list.is_restrictive(self.decision == Some(Decision::Deny))
    }
}

/// A service token that is written.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) key: String,
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) hash: String,
    pub(super) enabled: bool,
    pub(super) expires_at: Option<String>,
    /// Whether the hash has to be written by hand.
    pub(super) needs_secret: bool,
}

impl References {
    pub(super) fn new(
        inventory: &Inventory,
        refusals: &Refusals,
        logs_in_by_pin: bool,
        notes: &mut Vec<ImportNote>,
    ) -> Self {
        let pin_is_new = logs_in_by_pin && !inventory.providers.iter().any(is_one_time_pin);
        let mut references = Self { pin_is_new, ..Self::default() };
        for entry in inventory.tokens.iter() {
            references.convert_token(entry, refusals, notes);
        }
        for entry in inventory.lists.iter() {
            references.convert_list(entry, inventory.items.get(&entry.key), refusals, notes);
        }
        references.convert_groups(inventory, refusals, notes);
        references
    }

    /// Returns the rule.
    ///
    /// # Errors
    ///
    /// If it is invalid or cannot be converted.
    pub(super) fn rule(&self, value: &Value, position: Position) -> Result<Rule, String> {
        let rule: Rule =
            serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let decision = position.decision;
        let without_login = matches!(decision, Some(Decision::Bypass | Decision::NonIdentity));
        let traits = self.traits(&rule)?;
        if without_login && traits.about_identity {
            return Err("a rule about the user, in a policy without a login".to_owned());
        }
        if traits.asks_provider && position.keeps_out() && self.pin_is_new {
            return Err(
                "only another login method provides this attribute, and before nobody logged in by \
                 one-time PIN, as everybody does now (or the identity providers were not exported)"
                    .to_owned(),
            );
        }
        if traits.linked_application && decision.is_some_and(|it| it != Decision::NonIdentity) {
            return Err("`linked_app_token` only applies in non_identity policies".to_owned());
        }
        Ok(rule)
    }

    /// Returns the requirements of the rule; an error if it refers to something that was not converted.
    fn traits(&self, rule: &Rule) -> Result<Traits, String> {
        let KnownNames { groups, email_lists, ip_lists, tokens } = &self.known;
        let missing =
            |what: &str, id: &str| format!("the {what} `{id}` is missing, or was left out");
        let check = |what, known: &HashSet<String>, id: &str| {
            if known.contains(id) { Ok(()) } else { Err(missing(what, id)) }
        };
        if let Rule::Group(id) = rule {
            return groups.get(&**id).copied().ok_or_else(|| missing("group", id));
        } else if let Rule::EmailList(id) = rule {
            check("EMAIL list", email_lists, id)?;
        } else if let Rule::IpList(id) = rule {
            check("IP list", ip_lists, id)?;
        } else if let Rule::ServiceToken(id) = rule {
            check("service token", tokens, id)?;
        }
        let selector = rule.selector();
        Ok(Traits {
            about_identity: selector.is_about_identity(),
            linked_application: selector == Selector::LinkedAppToken,
            asks_provider: selector.fact().is_some_and(Fact::is_set_by_login),
            depth: 0,
        })
    }

    fn convert_token(&mut self, entry: &Entry, refusals: &Refusals, notes: &mut Vec<ImportNote>) {
        let lost = |key: &str, reason: &dyn std::fmt::Display| {
            entry.note(
                ImportNoteKind::NotCarriedOver,
                key,
                format_args!("{reason}; the token was left out, and so were rules that name it"),
            )
        };
        if let Some(reason) = refusals.tokens.get(&entry.key) {
            return notes.push(lost("", reason));
        }
        let Some(client_id) = entry.text("client_id") else {
            return notes.push(lost("client_id", &"it is missing"));
        };
        let secret = entry.text("client_secret");
        let enabled = entry.fields.get("enabled").is_none_or(|on| *on == Value::Bool(true));
        let mut expires_at = entry.text("expires_at").map(str::to_owned);
        let is_moment = |text: &String| {
            use time::format_description::well_known::Rfc3339;
            time::OffsetDateTime::parse(text, &Rfc3339).is_ok_and(|at| at.unix_timestamp() >= 0)
        };
        let has_end = expires_at.is_none() || expires_at.as_ref().is_some_and(is_moment);
        if !has_end {
            expires_at = None;
            notes.push(entry.note(
                ImportNoteKind::Closed,
                "expires_at",
                "invalid time; the token is switched off: write a time such as `2027-01-31T00:00:00Z` and \
                 switch it on",
            ));
        }
        if secret.is_none() {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "client_secret",
                "exports contain no secrets, so the token is switched off; write `sha256:` and the output \
                 of `printf %s SECRET | sha256sum` as `client_secret_hash`, and remove \
                 `enabled: false`",
            ));
        }
        let id = entry.id().map(str::to_owned);
        self.known.tokens.extend([entry.key.clone(), client_id.to_owned()]);
        self.tokens.push(Token {
            key: entry.key.clone(),
            id,
            name: entry.name().to_owned(),
            client_id: client_id.to_owned(),
            hash: secret
                .map_or_else(|| NO_HASH.to_owned(), |secret| SecretHash::new(secret).to_string()),
            enabled: enabled && secret.is_some() && has_end,
            expires_at,
            needs_secret: secret.is_none(),
        });
    }

    fn convert_list(
        &mut self,
        entry: &Entry,
        items: Option<&Vec<Value>>,
        refusals: &Refusals,
        notes: &mut Vec<ImportNote>,
    ) {
        if entry.fields.get("type").and_then(Value::as_str).is_some_and(|kind| {
            !matches!(kind, "EMAIL" | "IP") && kind.bytes().all(|byte| byte.is_ascii_uppercase())
        }) {
            // No rule can name it.
            return notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "type",
                "rules about requests cannot refer to such lists; it was left out",
            ));
        }
        match read_list(entry, items, refusals, notes) {
            Ok(list) => {
                let known = match &list.items {
                    ListItems::Emails(_) => &mut self.known.email_lists,
                    ListItems::Networks(_) => &mut self.known.ip_lists,
                };
                known.insert(entry.key.clone());
                self.lists.push((entry.key.clone(), list));
            }
            Err((key, reason)) => notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                key,
                format_args!("{reason}; the list was left out, and so were rules that name it"),
            )),
        }
    }

    /// Converts the groups whose rules can all be converted. Groups that refer to themselves, directly or
    /// through others, are left out.
    fn convert_groups(
        &mut self,
        inventory: &Inventory,
        refusals: &Refusals,
        notes: &mut Vec<ImportNote>,
    ) {
        let mut waiting: Vec<&Entry> = inventory.groups.iter().collect();
        let mut taken: HashMap<&str, Group> = HashMap::new();
        loop {
            let before = waiting.len();
            let mut found = Vec::new();
            waiting.retain(|entry| match self.group(entry, refusals) {
                Ok((group, traits)) => {
                    found.push((entry.key.clone(), traits));
                    taken.insert(&entry.key, group);
                    false
                }
                Err(_) => true,
            });
            self.known.groups.extend(found);
            if waiting.len() == before {
                break;
            }
        }
        for entry in waiting {
            if let Err((key, reason)) = self.group(entry, refusals) {
                notes.push(entry.note(
                    ImportNoteKind::NotCarriedOver,
                    &key,
                    format_args!(
                        "{reason}; the group was left out, and so were rules that name it"
                    ),
                ));
            }
        }
        for entry in inventory.groups.iter() {
            if let Some(group) = taken.remove(&*entry.key) {
                self.groups.push((entry.key.clone(), group));
            }
        }
    }

    fn group(
        &self,
        entry: &Entry,
        refusals: &Refusals,
    ) -> Result<(Group, Traits), (String, String)> {
        if let Some(reason) = refusals.groups.get(&entry.key) {
            return Err((String::new(), reason.clone()));
        }
        let unknown = entry.fields.iter().find(|(key, value)| {
            !GROUP_KEYS.contains(&key.as_str()) && !super::value::is_off(value)
        });
        if let Some((key, _)) = unknown {
            return Err((key.clone(), "this key is unknown".to_owned()));
        }
        let mut group = Group::new(entry.name());
        group.id = entry.id().map(Into::into);
        let mut traits = Traits::default();
        for list in RuleList::ALL {
            let values = super::value::list(entry.fields.get(list.as_str()))
                .ok_or_else(|| (list.to_string(), "not a list of rules".to_owned()))?;
            for (number, value) in values.iter().enumerate() {
                let rule = self
                    .rule(value, Position { decision: None, list })
                    .map_err(|reason| (format!("{list}[{number}]"), reason))?;
                let inner =
                    self.traits(&rule).map_err(|reason| (format!("{list}[{number}]"), reason))?;
                traits.about_identity |= inner.about_identity;
                traits.asks_provider |= inner.asks_provider;
                traits.linked_application |= inner.linked_application;
                traits.depth = traits.depth.max(inner.depth + 1);
                group.conditions.list_mut(list).push(rule);
            }
        }
        if traits.depth > MAX_GROUP_DEPTH {
            return Err((String::new(), "groups are nested too deeply".to_owned()));
        }
        Ok((group, traits))
    }
}

fn read_list(
    entry: &Entry,
    items: Option<&Vec<Value>>,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Result<List, (&'static str, String)> {
    if let Some(reason) = refusals.lists.get(&entry.key) {
        return Err(("", reason.clone()));
    }
    let inside = entry.fields.get("items").filter(|items| !items.is_null());
    let values: &[Value] = match (inside, items) {
        (Some(_), Some(_)) => {
            return Err(("items", "its entries are in two files; import one of them".to_owned()));
        }
        (Some(inside), None) => super::value::list(Some(inside))
            .ok_or_else(|| ("items", "not a list of entries".to_owned()))?,
        (None, Some(items)) => items,
        (None, None) => &[],
    };
    let count = entry.fields.get("count").and_then(Value::as_f64);
    #[allow(clippy::cast_precision_loss, reason = "no list has that many entries")]
    let found = values.len() as f64;
    if let Some(count) = count.filter(|count| *count != found) {
        return Err((
            "items",
            format!(
                "{found} of {count} entries; fetch `/gateway/lists/{}/items` from the API, store the \
                 response as `{}.json`, and import it as well",
                entry.key, entry.key
            ),
        ));
    }
    if count.is_none() && inside.is_none() && items.is_none() {
        return Err(("items", "its entries are missing".to_owned()));
    }
    let texts = values.iter().enumerate().map(|(number, value)| {
        let text = value.as_str().or_else(|| value.get("value").and_then(Value::as_str));
        text.ok_or_else(|| ("items", format!("entry {number} is not a text")))
    });
    let items = match entry.text("type") {
        Some("EMAIL") => {
            let mut emails: Vec<Email> = Vec::new();
            for text in texts {
                let text = text?;
                match text.parse() {
                    Ok(email) => emails.push(email),
                    // Nobody can log in with an invalid address: the entry matches nobody.
                    Err(_) => notes.push(entry.note(
                        ImportNoteKind::NotCarriedOver,
                        "items",
                        format_args!("`{text}` is not a valid email address; it was left out"),
                    )),
                }
            }
            ListItems::Emails(emails)
        }
        Some("IP") => {
            let mut networks = Vec::new();
            for text in texts {
                let text = text?;
                match Rule::ip(text) {
                    Ok(Rule::Ip(network)) => networks.push(network),
                    _ => return Err(("items", format!("`{text}` is not a network"))),
                }
            }
            ListItems::Networks(networks)
        }
        _ => return Err(("type", "neither `EMAIL` nor `IP`".to_owned())),
    };
    Ok(List { id: entry.id().map(Into::into), name: entry.name().into(), items })
}

/// A hash that no known secret has.
const NO_HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// The maximum nesting depth of groups.
const MAX_GROUP_DEPTH: usize = 60;

const GROUP_KEYS: &[&str] = &[
    "id",
    "uid",
    "name",
    "include",
    "require",
    "exclude",
    "is_default",
    "created_at",
    "updated_at",
];
