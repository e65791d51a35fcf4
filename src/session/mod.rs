//! Sessions: the record of a login, its tokens and cookies, and its revocation.
//!
//! A login creates one session record in the store. Tokens carry its id (`identity_nonce`) and verify
//! without the store. Revoking a session puts its id on a list that every request is checked against,
//! without a lock. Tokens of active users are renewed with their responses; with an idle timeout,
//! activity is recorded in the session. The record also has the attributes that the login method
//! returned: policies that need them read them there, once for each session. This module does not
//! depend on the login pages.

mod account;
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

pub(crate) use self::account::ProviderAccount;
pub(crate) use self::claims::linked_claims;
pub(crate) use self::lifetimes::{Lifetimes, MIN_IDLE, MIN_SESSION, TokenLifetime};
pub(crate) use self::record::Session;
pub(crate) use self::revoke::CHANNEL as REVOCATION_CHANNEL;
pub(crate) use self::revoke::{Revocation, Revocations, TokenSubject};
pub(crate) use self::sessions::{NewSession, Sessions};
