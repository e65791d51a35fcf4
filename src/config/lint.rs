//! `lint`: findings of `check` that are meant to be so, one by one and with a reason.

use serde::Deserialize;

use super::location::Location;
use super::reader::{Place, Reader};

/// An entry of `lint.allow`: one finding that is known and accepted, and why.
///
/// ```yaml
/// lint:
///   allow:
///     - id: path-leaves-parent-open
///       application: Wiki
///       reason: the page above is a static one
/// ```
///
/// It stands for exactly one finding. Which one, names say, so that the order of the file is of no
/// account; `at` is for what has no name.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Suppression {
    /// `id`: the kind of finding.
    pub id: String,
    /// `reason`: why it is meant to be so.
    pub reason: String,
    /// `application`: the name of the application it is about.
    pub application: Option<String>,
    /// `policy`: the name of the policy it is about.
    pub policy: Option<String>,
    /// `group`: the name of the group it is about.
    pub group: Option<String>,
    /// `list`: the name of the list it is about.
    pub list: Option<String>,
    /// `service_token`: the name of the service token it is about.
    pub service_token: Option<String>,
    /// `hostname`: that of the ingress rule it is about.
    pub hostname: Option<String>,
    /// `value`: the rule, destination or setting it is about, as the finding has it.
    pub value: Option<String>,
    /// `at`: the key path it is found at.
    pub at: Option<String>,
    /// Where the entry stands.
    pub location: Location,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "an allowed finding")]
struct Document {
    id: String,
    reason: String,
    #[serde(default)]
    application: Option<String>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    group: Option<String>,
    #[serde(default)]
    list: Option<String>,
    #[serde(default)]
    service_token: Option<String>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    at: Option<String>,
}

pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> Vec<Suppression> {
    let Some(lint) = root.get("lint") else { return Vec::new() };
    if !reader.mapping(&lint, &[&["allow"]]) {
        return Vec::new();
    }
    let mut suppressions = Vec::new();
    for entry in reader.list(&lint, "allow") {
        let Some(document) = reader.read::<Document>(&entry, &["id", "reason"]) else { continue };
        if document.reason.trim().is_empty() {
            let reason = entry.get("reason").unwrap_or_else(|| entry.clone());
            reader.error(&reason, "an empty reason; write why this is meant to be so");
        }
        let suppression = document.at(entry.at());
        if suppression.is_for_all() {
            reader.error(
                &entry,
                "stands for every finding of its kind; name the one that is meant by \
                 `application`, `policy`, `group`, `list`, `service_token`, `hostname`, `value` or \
                 `at`",
            );
        }
        suppressions.push(suppression);
    }
    suppressions
}

impl Document {
    fn at(self, location: Location) -> Suppression {
        let Self {
            id,
            reason,
            application,
            policy,
            group,
            list,
            service_token,
            hostname,
            value,
            at,
        } = self;
        Suppression {
            id,
            reason,
            application,
            policy,
            group,
            list,
            service_token,
            hostname,
            value,
            at,
            location,
        }
    }
}

impl Suppression {
    fn is_for_all(&self) -> bool {
        [
            &self.application,
            &self.policy,
            &self.group,
            &self.list,
            &self.service_token,
            &self.hostname,
            &self.value,
            &self.at,
        ]
        .into_iter()
        .all(Option::is_none)
    }
}
