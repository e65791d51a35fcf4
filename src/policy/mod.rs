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
//! A condition that cannot be evaluated opens nothing: it counts as not met where meeting it
//! would allow, and as met where meeting it would deny.
//!
//! ```
//! use tower_access::policy::{Facts, Outcome, Policies, Policy, Rule};
//!
//! let policies = Policies::compile(
//!     &[Policy::allow("staff")
//!         .include(Rule::email_domain("example.com")?)
//!         .exclude(Rule::email("intern@example.com")?)],
//!     &[],
//! )?;
//! let ada = "ada@example.com".parse()?;
//! let verdict = policies.evaluate(&Facts { email: Some(&ada), ..Facts::default() });
//! assert_eq!(verdict.outcome(), Outcome::Allowed);
//! assert_eq!(verdict.policy().map(|policy| policy.name()), Some("staff"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
mod document;
mod evaluate;
mod group;
mod networks;
mod rule;
mod truth;
mod verdict;

pub use self::compile::{Policies, PolicyError};
pub use self::document::{Decision, Policy};
pub use self::evaluate::{Facts, ServiceTokenFacts};
pub use self::group::Group;
pub use self::rule::{Rule, RuleError, Selector};
pub use self::verdict::{Outcome, PolicyRef, Verdict};
