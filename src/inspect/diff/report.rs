//! The report of a comparison.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::engine::explain::Question;
use crate::policy::{Outcome, VerdictId};

/// The effect of a change of the configuration; the result of [`diff`](super::diff).
///
/// `Display` writes text for users. In JSON (a stable format) the fields have the names they have here;
/// fields that are `None`, `false` or zero are omitted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DiffReport {
    /// The version of this format: 1.
    pub version: u32,
    /// The old file.
    pub old: String,
    /// The new file.
    pub new: String,
    /// Applications that only one of the files has.
    pub applications: Vec<ChangedApplication>,
    /// Hosts and paths that belong to another application now, or to none.
    pub moved: Vec<MovedDestination>,
    /// Service tokens that changed.
    pub service_tokens: Vec<ChangedServiceToken>,
    /// Who gains or loses access, by application, host and path.
    pub places: Vec<DestinationDiff>,
    /// How many statements are omitted.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
    /// What could not be compared.
    pub undecided: Vec<Undecided>,
}

impl DiffReport {
    /// Whether nothing changes for anybody, and everything was compared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { applications, moved, service_tokens, places, more, undecided, .. } = self;
        applications.is_empty()
            && moved.is_empty()
            && service_tokens.is_empty()
            && places.is_empty()
            && *more == 0
            && undecided.is_empty()
    }
}

/// An application, by its id.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ApplicationRef {
    /// Its id.
    pub id: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// An application that only one of the files has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedApplication {
    /// The application.
    #[serde(flatten)]
    pub application: ApplicationRef,
    /// Whether it was added or removed.
    pub change: ApplicationChange,
}

/// Whether an application was added or removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApplicationChange {
    /// Only the new file has it.
    Added,
    /// Only the old file has it.
    Removed,
}

/// Hosts and paths that belong to another application now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MovedDestination {
    /// The pattern, as one of the files writes it.
    pub place: String,
    /// A URL that the pattern covers.
    pub url: String,
    /// The application in the old file; `None`: it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ApplicationRef>,
    /// The application in the new file; `None`: it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<ApplicationRef>,
}

/// A service token that changed.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedServiceToken {
    /// The client id.
    pub client_id: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The changes.
    pub changes: Vec<TokenChange>,
}

/// A change of a service token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenChange {
    /// Only the new file has it.
    Added,
    /// Only the old file has it.
    Removed,
    /// The secret changed: clients with the old one lose access.
    Secret,
    /// It was switched on.
    SwitchedOn,
    /// It was switched off.
    SwitchedOff,
    /// The expiry changed.
    Expiry,
    /// The id that rules use changed.
    Id,
}

/// Who gains or loses access to some hosts and paths.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DestinationDiff {
    /// The application in the old file; `None`: it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ApplicationRef>,
    /// The application in the new file; `None`: it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<ApplicationRef>,
    /// The patterns, as the files write them.
    pub places: Vec<String>,
    /// The changes.
    pub statements: Vec<Statement>,
}

/// A change for some requesters.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statement {
    /// Whether they gain or lose access.
    pub effect: Effect,
    /// The statement as a sentence.
    pub text: String,
    /// The requesters.
    pub who: Requesters,
    /// The conditions, all of which hold. Facts that are not mentioned make no difference. Conditions
    /// about a user do not apply to requests without one.
    pub when: Vec<Condition>,
    /// A request that shows the change.
    pub witness: Witness,
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// They are admitted, and were not.
    Gains,
    /// They were admitted, and are not.
    Loses,
    /// They are admitted or refused in a different way.
    Changes,
}

/// The requesters of a statement: all of these together.
///
/// A user is included if their address is among `addresses`; or if it is not among `not_addresses`, and
/// their domain is among `domains`, or `everyone_else` is set and their domain is not among
/// `not_domains`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Requesters {
    /// Everybody and everything that makes requests. The other fields are then omitted.
    #[serde(skip_serializing_if = "is_false")]
    pub anybody: bool,
    /// Requesters without a credential.
    #[serde(skip_serializing_if = "is_false")]
    pub nobody: bool,
    /// Users by email address.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Box<str>>,
    /// Lists and groups whose addresses are all included: `list board`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_as: Vec<String>,
    /// Everybody in these domains, except `not_addresses`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Box<str>>,
    /// Everybody, except `not_addresses` and `not_domains`.
    #[serde(skip_serializing_if = "is_false")]
    pub everyone_else: bool,
    /// Users who are not included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_addresses: Vec<Box<str>>,
    /// Domains that are not included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_domains: Vec<Box<str>>,
    /// Services, by the client ids of their tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_tokens: Vec<Box<str>>,
    /// All service tokens that the issuer knows, except `not_service_tokens`.
    #[serde(skip_serializing_if = "is_false")]
    pub other_service_tokens: bool,
    /// Services that are not included.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_service_tokens: Vec<Box<str>>,
    /// Other applications that act for users, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub linked_applications: Vec<Box<str>>,
    /// How many names are omitted.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// A condition of a statement.
///
/// It holds if the fact is known and one of its values is among `is`, or none of them is among `is_not`,
/// whichever is set; or in one of the two cases at the end.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Condition {
    /// `method`, `address`, `country`, `certificate`, `device_posture`; of a person `usual_login`,
    /// `login_method`, `login_type`, `auth_method`, `auth_context`, `group`, `organization`,
    /// `account`, `claim`, `risk`, `external_evaluation`.
    pub fact: &'static str,
    /// The name of the claim, or the URL of the evaluator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// One of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is: Option<Vec<Box<str>>>,
    /// None of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_not: Option<Vec<Box<str>>>,
    /// For accounts: `is` or `is_not` also includes all values other than these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_than: Option<Vec<Box<str>>>,
    /// Or there is no certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub or_missing: bool,
    /// Or the fact is unknown.
    #[serde(skip_serializing_if = "is_false")]
    pub or_unknown: bool,
    /// How many values are omitted.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// A request that shows a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Witness {
    /// The request.
    pub question: Question,
    /// The request as arguments of `explain FILE`.
    pub arguments: String,
    /// The outcome under the old file.
    pub old: RequestOutcome,
    /// The outcome under the new file.
    pub new: RequestOutcome,
}

/// The outcome of a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequestOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// The id of the verdict; `None` if no policies were evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<VerdictId>,
    /// The name of the policy that decides; `None` if none applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<str>>,
}

/// Something that could not be compared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Undecided {
    /// The applications it is about, by name.
    pub applications: Vec<Box<str>>,
    /// What was not compared, and the reason.
    pub reason: String,
}

/// A change, in the detail that one statement expresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// It was closed and opens, with this outcome.
    Gains(Outcome),
    /// It was open and closes: the old and the new outcome.
    Loses(Outcome, Outcome),
    /// Open on both sides, or closed on both.
    Differs(Outcome, Outcome),
}

impl Change {
    pub(super) fn between(old: Outcome, new: Outcome) -> Option<Self> {
        match (old.grants_access(), new.grants_access()) {
            _ if old == new => None,
            (false, true) => Some(Self::Gains(new)),
            (true, false) => Some(Self::Loses(old, new)),
            (true, true) | (false, false) => Some(Self::Differs(old, new)),
        }
    }

    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Gains(_) => Effect::Gains,
            Self::Loses(..) => Effect::Loses,
            Self::Differs(..) => Effect::Changes,
        }
    }
}

impl Requesters {
    /// Truncates long lists of names.
    pub(super) fn shorten(&mut self) {
        for names in [
            &mut self.addresses,
            &mut self.domains,
            &mut self.not_addresses,
            &mut self.not_domains,
            &mut self.service_tokens,
            &mut self.not_service_tokens,
            &mut self.linked_applications,
        ] {
            self.more += names.len().saturating_sub(MAX_NAMES);
            names.truncate(MAX_NAMES);
        }
    }
}

impl Condition {
    /// Truncates long lists of values.
    pub(super) fn shorten(&mut self) {
        for values in [&mut self.is, &mut self.is_not, &mut self.other_than].into_iter().flatten() {
            self.more += values.len().saturating_sub(MAX_NAMES);
            values.truncate(MAX_NAMES);
        }
    }
}

/// Removes duplicates and preserves the order.
pub(super) fn deduplicate(all: &mut Vec<Undecided>) {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert((one.applications.clone(), one.reason.clone())));
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// Names of one kind in a statement.
const MAX_NAMES: usize = 100;
