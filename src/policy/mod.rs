//! Policies: who may pass, as data, and the pure function that decides.
//!
//! A [`Policy`] has a [`Decision`] and three lists of [`Rule`]s: `include` (one of them holds),
//! `require` (all of them hold), `exclude` (none of them holds). [`Policies`] are the compiled
//! policies of one application; [`Policies::evaluate`] looks at [`Facts`] and gives a [`Verdict`].
//! No clock, no I/O, no request: everything it needs is in its arguments.
//!
//! Order (section 8.2 of the Access contract): first all `bypass` and `non_identity` policies by
//! precedence, then all `deny` and `allow` policies by precedence. The first that applies decides;
//! when none does, access is denied.
//!
//! Rules refer to [`Group`]s and [`List`]s by id or name; both are compiled once, as
//! [`Definitions`].
//!
//! A condition that cannot be evaluated opens nothing: it counts as not met where meeting it
//! would allow, and as met where meeting it would deny. [`Policies::explain`] tells what every rule
//! came to.
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
    Answers, Certificate, DevicePosture, Fact, FactSet, Facts, LinkedApplicationFacts,
    ServiceTokenFacts,
};
pub use self::group::Group;
pub use self::list::{Items, List};
pub(crate) use self::polarity::rules_that_keep_out;
#[cfg(feature = "config")]
pub(crate) use self::polarity::{KeepsOut, RuleHolder};
#[cfg(feature = "config")]
pub(crate) use self::reachable::reachable_rules;
pub(crate) use self::reachable::{linked_names, reachable_evaluators};
pub use self::rule::wire::*;
pub use self::rule::{Evaluator, RiskLevels, Rule, RuleError, Selector};
#[cfg(feature = "config")]
pub(crate) use self::rule::{Reference, SelectorValue, Test, TextTest};
pub use self::verdict::{Outcome, PolicyRef, Verdict, VerdictId};
