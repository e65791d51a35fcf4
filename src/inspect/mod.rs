//! Tools that examine a configuration without running it: who can get in, and why.
//!
//! Everything but [`import`] works on a [`Deployment`]: what a file says, compiled as it would be to
//! run, and asked with [`Question`](crate::engine::explain::Question)s. No key is made, no address is listened
//! on, nobody is asked.

mod deployment;
mod diff;
pub mod import;
mod junit;
pub mod lint;
mod relation;
mod suite;

pub use self::deployment::Deployment;
pub use self::diff::{
    ApplicationChange, ApplicationRef, ChangedApplication, ChangedServiceToken, Condition,
    DestinationDiff, DiffReport, Effect, MovedDestination, RequestOutcome, Requesters, Statement,
    TokenChange, Undecided, Witness, diff,
};
pub use self::lint::{CheckReport, check, check_text};
pub use self::suite::{Difference, SuiteReport, TestReport};
