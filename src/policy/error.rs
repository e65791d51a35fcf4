//! Policies that contradict themselves.

use super::document::Decision;

/// Policies that contradict themselves, or what they refer to.
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
    /// A rule names a list that does not exist, or is of the other type.
    #[error("`{holder}` refers to the {kind} list `{list}`, which does not exist")]
    UnknownList {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// What it refers to.
        list: Box<str>,
        /// `EMAIL` or `IP`.
        kind: &'static str,
    },
    /// A rule names a group or list by a name that two have.
    #[error("`{holder}` refers to `{name}`, which is the name of two: write the id")]
    AmbiguousName {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// What it refers to.
        name: Box<str>,
    },
    /// Groups refer to each other in a circle.
    #[error("groups refer to each other in a circle: {path}")]
    Circle {
        /// The circle, from one of its groups back to the same.
        path: String,
    },
    /// Groups refer to groups, and those to others, too many times.
    #[error("groups are nested more than {most} deep: {path}")]
    TooDeep {
        /// The way down to where it is too deep.
        path: String,
        /// How deep they may be.
        most: usize,
    },
    /// Two groups share an id.
    #[error("two groups have the id `{group}`")]
    SameGroup {
        /// The id.
        group: Box<str>,
    },
    /// Two lists share an id.
    #[error("two lists have the id `{list}`")]
    SameList {
        /// The id.
        list: Box<str>,
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
    /// A rule about the token of another application outside of a `non_identity` policy.
    #[error(
        "the {decision} policy `{policy}` has the rule `linked_app_token`, which counts in \
         non_identity policies alone"
    )]
    LinkedApplication {
        /// The policy.
        policy: Box<str>,
        /// The policy's decision.
        decision: Decision,
    },
}
