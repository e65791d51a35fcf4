//! Sessions: the record of a login, the tokens and cookies made from it, and its early end.
//!
//! A login makes one session record, kept in the store. Tokens carry its id (`identity_nonce`) and
//! verify without the store; ending a session puts its id on a list that every request is checked
//! against, without a lock. Tokens of people who are active are renewed with their answers; with an
//! idle timeout, that they are is written into the record. This room knows nothing of login pages.

pub(crate) mod cookie;
#[cfg(feature = "login")]
mod idle;
#[cfg(feature = "login")]
mod issue;
#[cfg(feature = "login")]
mod kept_keys;
#[cfg(feature = "login")]
mod lifetimes;
#[cfg(feature = "login")]
mod record;
mod revoke;
#[cfg(feature = "login")]
mod rotate;

#[cfg(feature = "login")]
pub(crate) use self::issue::{IssueError, IssuedToken, Issuer};
#[cfg(feature = "login")]
pub(crate) use self::kept_keys::KeptKeys;
#[cfg(feature = "login")]
pub(crate) use self::lifetimes::{Lifetimes, SHORTEST_IDLE, SHORTEST_SESSION, TokenLifetime};
#[cfg(feature = "login")]
pub(crate) use self::record::{Session, Sessions, Start};
#[cfg(feature = "login")]
pub(crate) use self::revoke::CHANNEL as REVOCATIONS;
pub(crate) use self::revoke::{Ended, Issued, Revocations};
