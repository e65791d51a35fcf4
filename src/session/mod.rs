//! Sessions: the record of a login, the tokens and cookies made from it, and its early end.
//!
//! A login makes one session record, kept in the store. Tokens carry its id (`identity_nonce`) and
//! verify without the store; ending a session puts its id on a list that every request is checked
//! against, without a lock. Tokens of people who are active are renewed with their answers; with an
//! idle timeout, that they are is written into the record. What a login method told of the person is
//! in the record as well: policies that ask for it read it there, once for each session. This room knows nothing of login pages.

mod attributes;
mod claims;
pub(crate) mod cookie;
mod idle;
mod lifetimes;
mod record;
mod revoke;
mod sessions;
#[cfg(test)]
mod tests;

pub(crate) use self::claims::linked_claims;
pub(crate) use self::lifetimes::{Lifetimes, MIN_IDLE, MIN_SESSION, TokenLifetime};
pub(crate) use self::record::Session;
pub(crate) use self::revoke::CHANNEL as REVOCATION_CHANNEL;
pub(crate) use self::revoke::{Revocation, Revocations, TokenSubject};
pub(crate) use self::sessions::{NewSession, Sessions};
