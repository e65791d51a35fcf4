//! Tools that answer who can get in, and why: for a configuration that is not running.
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
    ApplicationRef, ChangedApplication, ChangedServiceToken, Condition, Decided, DiffReport,
    Effect, MovedPlace, PlaceDiff, Presence, Statement, TokenChange, Undecided, Who, Witness, diff,
};
pub use self::lint::{CheckReport, check, check_text};
pub use self::suite::{Difference, SuiteReport, TestReport};
