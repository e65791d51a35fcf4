//! `lint`: findings of `check` that are accepted, one by one and with a reason.

use super::location::Location;
use super::reader::{NodeRef, Reader};
use super::schema::{Read, Shape, document};

/// An entry of `lint.allow`: one finding that is accepted, and why.
///
/// ```yaml
/// lint:
///   allow:
///     - id: path-leaves-parent-open
///       application: Wiki
///       reason: the page above is static
/// ```
///
/// It matches exactly one finding. Names identify it, so that the order of the file does not matter; `at`
/// is for findings without a name.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Suppression {
    /// `id`: the kind of finding.
    pub id: String,
    /// `reason`: why it is accepted.
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
    /// `hostname`: the hostname of the ingress rule it is about.
    pub hostname: Option<String>,
    /// `value`: the rule, destination or setting it is about, as the finding prints it.
    pub value: Option<String>,
    /// `at`: the key path it is about.
    pub at: Option<String>,
    /// The position of the entry in the file.
    pub location: Location,
}

document! {
    /// Findings of `proxy check` that are accepted.
    pub(super) struct Lint in "lint" {
        /// The accepted findings, one by one.
        "allow" allow: Vec<Suppression> {
            default: "[]",
            example: "[ { id: path-leaves-parent-open, application: Wiki, reason: it is static } ]",
        }
    }
}

document! {
    /// One accepted finding. At least one key besides `id` and `reason` identifies it.
    pub(super) struct Allowed in "lint.allow[]" {
        /// The id of the finding, as `proxy check` prints it.
        "id" id: String { required: "", example: "path-leaves-parent-open", }
        /// Why the finding is accepted.
        "reason" reason: String { required: "", example: "the page above is static", }
        /// The name of the application it is about.
        "application" application: String { default: "any", example: "Wiki", }
        /// The name of the policy it is about.
        "policy" policy: String { default: "any", example: "Staff", }
        /// The name of the group it is about.
        "group" group: String { default: "any", example: "Staff", }
        /// The name of the list it is about.
        "list" list: String { default: "any", example: "Offices", }
        /// The name of the service token it is about.
        "service_token" service_token: String { default: "any", example: "ci", }
        /// The hostname of the rule of `ingress` it is about.
        "hostname" hostname: String { default: "any", example: "wiki.example.com", }
        /// The rule, destination or setting it is about, as the finding prints it.
        "value" value: String { default: "any", example: "wiki.example.com/docs", }
        /// The key path it is about.
        "at" at: String { default: "any", example: "'access.applications[0]'", }
    }
}

impl Read for Suppression {
    type Output = Self;

    fn shape() -> Shape {
        Allowed::shape()
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let before = reader.errors.len();
        let allowed = Allowed::read(reader, place)?;
        if reader.errors.len() > before {
            return None;
        }
        if let Some(reason) = allowed.reason.written()
            && allowed.reason.get().is_some_and(|reason| reason.trim().is_empty())
        {
            reader.error(reason, "empty reason; write why the finding is accepted");
        }
        let suppression = Self {
            id: allowed.id.value()?,
            reason: allowed.reason.value()?,
            application: allowed.application.value(),
            policy: allowed.policy.value(),
            group: allowed.group.value(),
            list: allowed.list.value(),
            service_token: allowed.service_token.value(),
            hostname: allowed.hostname.value(),
            value: allowed.value.value(),
            at: allowed.at.value(),
            location: place.at(),
        };
        if suppression.is_for_all() {
            reader.error(
                place,
                "matches every finding of its kind; name a single one by `application`, \
                 `policy`, `group`, `list`, `service_token`, `hostname`, `value` or `at`",
            );
        }
        Some(suppression)
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
