//! What a comparison says.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::engine::explain::Question;
use crate::policy::{Outcome, VerdictId};

/// What a change of a configuration means for people; of [`diff`](super::diff).
///
/// Displayed for people. In JSON (a stable format) the fields have the names they have here, and
/// what is `None`, `false` or zero is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DiffReport {
    /// The version of this format: 1.
    pub version: u32,
    /// The files.
    pub old: String,
    /// The files.
    pub new: String,
    /// Applications that one of the files has alone.
    pub applications: Vec<ChangedApplication>,
    /// Places that belong to another application now, or to none.
    pub moved: Vec<MovedPlace>,
    /// Service tokens that are not what they were.
    pub service_tokens: Vec<ChangedServiceToken>,
    /// Who gains or loses access, by application and place.
    pub places: Vec<PlaceDiff>,
    /// How many more statements there are than are written down.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
    /// What could not be decided.
    pub undecided: Vec<Undecided>,
}

impl DiffReport {
    /// Whether nothing changes, for anybody, and nothing was left undecided.
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
    /// What people call it.
    pub name: Box<str>,
}

/// An application that one of the files has alone.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedApplication {
    /// Which.
    #[serde(flatten)]
    pub application: ApplicationRef,
    /// What became of it.
    pub change: Presence,
}

/// What became of something.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Presence {
    /// The new file alone has it.
    Added,
    /// The old file alone has it.
    Removed,
}

/// A place that belongs to another application now.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MovedPlace {
    /// Host and path, as one of the files writes them.
    pub place: String,
    /// An address there.
    pub url: String,
    /// Where it belonged; `None`: it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ApplicationRef>,
    /// Where it belongs; `None`: it is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<ApplicationRef>,
}

/// A service token that is not what it was.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedServiceToken {
    /// The client id.
    pub client_id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// What is different.
    pub changes: Vec<TokenChange>,
}

/// What is different about a service token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenChange {
    /// The new file alone has it.
    Added,
    /// The old file alone has it.
    Removed,
    /// The secret is another one: whoever has the old one alone loses access.
    Secret,
    /// It was switched on.
    SwitchedOn,
    /// It was switched off.
    SwitchedOff,
    /// It ends at another moment.
    Expiry,
    /// Rules call it by another id.
    Id,
}

/// Who gains or loses access to a place.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PlaceDiff {
    /// The application in the old file; `None`: the place was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<ApplicationRef>,
    /// The application in the new file; `None`: the place is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<ApplicationRef>,
    /// Hosts and paths, as the files write them.
    pub places: Vec<String>,
    /// What is different.
    pub statements: Vec<Statement>,
}

/// What changes for some people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statement {
    /// Whether they gain or lose.
    pub effect: Effect,
    /// The whole in a sentence.
    pub text: String,
    /// Who.
    pub who: Who,
    /// Under which conditions: all of them hold. What is not mentioned makes no difference. Those
    /// about what is known of a person say nothing of requests without one.
    pub when: Vec<Condition>,
    /// A request for which it is so.
    pub witness: Witness,
}

/// What changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Effect {
    /// They get in, and did not.
    Gains,
    /// They got in, and do not.
    Loses,
    /// How they get in, or are kept out, is different.
    Changes,
}

/// Whom a statement is about: all of these together.
///
/// A person is meant who is among `addresses`; or whose domain is among `domains`, or who is
/// `everyone_else` and whose domain is not among `not_domains`, and who is not among
/// `not_addresses`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Who {
    /// Everybody and everything that makes requests. The rest is then left out.
    #[serde(skip_serializing_if = "is_false")]
    pub anybody: bool,
    /// Whoever has proved nothing.
    #[serde(skip_serializing_if = "is_false")]
    pub nobody: bool,
    /// People by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Box<str>>,
    /// Lists and groups whose addresses are all among them: `list board`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known_as: Vec<String>,
    /// Everybody in these domains, except `not_addresses`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<Box<str>>,
    /// Everybody, except `not_addresses` and `not_domains`.
    #[serde(skip_serializing_if = "is_false")]
    pub everyone_else: bool,
    /// People who are not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_addresses: Vec<Box<str>>,
    /// Domains that are not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_domains: Vec<Box<str>>,
    /// Services, by the client ids of their tokens.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_tokens: Vec<Box<str>>,
    /// All service tokens that the issuer knows, except `not_service_tokens`.
    #[serde(skip_serializing_if = "is_false")]
    pub other_service_tokens: bool,
    /// Services that are not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_service_tokens: Vec<Box<str>>,
    /// Other applications that act for people, by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub linked_applications: Vec<Box<str>>,
    /// How many more names there are than are written down.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// What a request has to be.
///
/// It is when the fact is known and one of its values is among `is`, or none of them is among
/// `is_not`, whichever there is; or in one of the two cases at the end.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Condition {
    /// `method`, `address`, `country`, `certificate`, `device_posture`; of a person `usual_login`,
    /// `login_method`, `login_type`, `auth_method`, `auth_context`, `group`, `organization`,
    /// `account`, `claim`, `risk`, `external_evaluation`.
    pub fact: &'static str,
    /// Which claim, or the address of which evaluator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// One of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is: Option<Vec<Box<str>>>,
    /// None of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_not: Option<Vec<Box<str>>>,
    /// All values besides these are meant as well, by `is` or by `is_not`: of accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_than: Option<Vec<Box<str>>>,
    /// Or there is none: of certificates.
    #[serde(skip_serializing_if = "is_false")]
    pub or_missing: bool,
    /// Or nobody can tell.
    #[serde(skip_serializing_if = "is_false")]
    pub or_unknown: bool,
    /// How many more values there are than are written down.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: usize,
}

/// A request that shows a difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Witness {
    /// The request.
    pub question: Question,
    /// As the arguments of `explain FILE`.
    pub arguments: String,
    /// What becomes of it under the old file.
    pub old: Decided,
    /// What becomes of it under the new file.
    pub new: Decided,
}

/// What becomes of a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Decided {
    /// What happens to it.
    pub outcome: Outcome,
    /// The id that the verdict carries; `None` when no policies were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<VerdictId>,
    /// The name of the policy that decides; `None` when none applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Box<str>>,
}

/// Something that could not be decided.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Undecided {
    /// The applications it is about, by name.
    pub applications: Vec<Box<str>>,
    /// What was not compared, and why.
    pub reason: String,
}

/// What changes, in so much detail that all who are said to be in one statement are told the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    /// What opens now.
    Gains(Outcome),
    /// What opened, and what does not now.
    Loses(Outcome, Outcome),
    /// Open on both sides, or closed on both.
    Differs(Outcome, Outcome),
}

impl Change {
    pub(super) fn of(old: Outcome, new: Outcome) -> Option<Self> {
        match (old.opens(), new.opens()) {
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

impl Who {
    /// Leaves names out that are too many.
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
            self.more += names.len().saturating_sub(MOST_NAMES);
            names.truncate(MOST_NAMES);
        }
    }
}

impl Condition {
    /// Leaves values out that are too many.
    pub(super) fn shorten(&mut self) {
        for values in [&mut self.is, &mut self.is_not, &mut self.other_than].into_iter().flatten() {
            self.more += values.len().saturating_sub(MOST_NAMES);
            values.truncate(MOST_NAMES);
        }
    }
}

/// The same once, in order.
pub(super) fn without_repetitions(all: &mut Vec<Undecided>) {
    let mut seen = BTreeSet::new();
    all.retain(|one| seen.insert((one.applications.clone(), one.reason.clone())));
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

/// So many names of one kind are written down in a statement.
const MOST_NAMES: usize = 100;
