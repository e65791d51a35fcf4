//! Policies: who gets access, as data, and the pure function that decides.
//!
//! A [`Policy`] has a [`Decision`] and three lists of [`Rule`]s: `include` (at least one must be met),
//! `require` (all must be met), `exclude` (none may be met). [`Policies`] are the compiled policies of
//! one application; [`Policies::evaluate`] takes [`Facts`] and returns a [`Verdict`]. It uses no clock,
//! no I/O and no request: everything it needs is in its arguments.
//!
//! Order (section 8.2 of the Access contract): first all `bypass` and `non_identity` policies by
//! precedence, then all `deny` and `allow` policies by precedence. The first that applies decides;
//! if none applies, access is denied.
//!
//! Rules refer to [`Group`]s and [`List`]s by id or name; both are compiled once, as
//! [`Definitions`].
//!
//! A condition that cannot be evaluated never grants access: it counts as not met if meeting it would
//! allow, and as met if meeting it would deny. [`Policies::explain`] returns the result of every rule.
//!
//! ```
//! use tower_access::policy::{Definitions, Facts, Outcome, Policies, Policy, Rule};
//!
//! let policies = Policies::compile(
//!     &[Policy::allow("staff")
//!         .include(Rule::email_domain("example.com")?)
//!         .exclude(Rule::email("intern@example.com")?)],
//!     &Definitions::default(),
//! )?;
//! let ada = "ada@example.com".parse()?;
//! let verdict = policies.evaluate(&Facts { email: Some(&ada), ..Facts::default() });
//! assert_eq!(verdict.outcome(), Outcome::Allowed);
//! assert_eq!(verdict.policy().map(|policy| policy.name()), Some("staff"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attribute;
mod compile;
mod conditions;
mod definitions;
mod document;
mod error;
mod evaluate;
mod explain;
mod facts;
mod group;
mod list;
mod object;
mod polarity;
mod reachable;
mod rule;
mod truth;
mod verdict;

pub use self::compile::Policies;
pub use self::conditions::Conditions;
#[cfg(feature = "config")]
pub(crate) use self::conditions::RuleList;
pub use self::definitions::Definitions;
pub use self::document::{Decision, Policy};
pub use self::error::PolicyError;
pub use self::explain::{
    Explanation, GroupExplanation, PolicyExplanation, PolicyResult, RuleExplanation, RuleResult,
};
pub use self::facts::{
    Certificate, DevicePosture, EvaluatorResults, Fact, FactSet, Facts, LinkedApplicationFacts,
    ServiceTokenFacts,
};
pub use self::group::Group;
pub use self::list::{List, ListItems};
pub(crate) use self::polarity::restrictive_rules;
#[cfg(feature = "config")]
pub(crate) use self::polarity::{RestrictiveRule, RuleOwner};
#[cfg(feature = "config")]
pub(crate) use self::reachable::reachable_rules;
pub(crate) use self::reachable::{linked_names, reachable_evaluators};
pub use self::rule::wire::*;
#[cfg(feature = "config")]
pub(crate) use self::rule::{Attribute, Reference, SelectorValue};
pub use self::rule::{Evaluator, RiskLevels, Rule, RuleError, Selector};
pub(crate) use self::rule::{Test, TextTest};
pub use self::verdict::{Outcome, PolicyRef, Verdict, VerdictId};
