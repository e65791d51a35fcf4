//! Errors of policies, groups and lists.

use super::document::Decision;

/// An error in policies, or in the groups and lists they refer to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A rule names a group that does not exist.
    #[error("`{holder}` refers to the group `{group}`, which does not exist")]
    UnknownGroup {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// The name or id it refers to.
        group: Box<str>,
    },
    /// A rule names a list that does not exist or has the other type.
    #[error("`{holder}` refers to the {kind} list `{list}`, which does not exist")]
    UnknownList {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// The name or id it refers to.
        list: Box<str>,
        /// `EMAIL` or `IP`.
        kind: &'static str,
    },
    /// A rule names a group or list by a name that is not unique.
    #[error("`{holder}` refers to `{name}`, which is the name of two: write the id instead")]
    AmbiguousName {
        /// The policy or group with the rule.
        holder: Box<str>,
        /// The name or id it refers to.
        name: Box<str>,
    },
    /// Groups refer to each other in a cycle.
    #[error("groups refer to each other in a cycle: {path}")]
    Circle {
        /// The cycle, from one of its groups back to itself.
        path: String,
    },
    /// Groups are nested too deep.
    #[error("groups are nested more than {most} deep: {path}")]
    TooDeep {
        /// The groups from the outermost to the first that is too deep.
        path: String,
        /// The maximum depth.
        most: usize,
    },
    /// Two groups have the same id.
    #[error("two groups have the id `{group}`")]
    SameGroup {
        /// The id.
        group: Box<str>,
    },
    /// Two lists have the same id.
    #[error("two lists have the id `{list}`")]
    SameList {
        /// The id.
        list: Box<str>,
    },
    /// Two policies have the same id.
    #[error("two policies of one application have the id `{policy}`")]
    SamePolicy {
        /// The id.
        policy: Box<str>,
    },
    /// Two policies have the same precedence.
    #[error(
        "the policy `{policy}` has the same precedence ({precedence}) as another policy: write another number"
    )]
    SamePrecedence {
        /// The later of the two.
        policy: Box<str>,
        /// The precedence.
        precedence: u32,
    },
    /// A rule about the user in a policy that applies without a login.
    #[error(
        "the {decision} policy `{policy}` has the rule `{selector}`, which needs a login: \
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
    /// A rule about the token of another application in a policy that is not `non_identity`.
    #[error(
        "the {decision} policy `{policy}` has the rule `linked_app_token`, which is valid in \
         non_identity policies only"
    )]
    LinkedApplication {
        /// The policy.
        policy: Box<str>,
        /// The policy's decision.
        decision: Decision,
    },
}
