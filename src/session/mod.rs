//! Sessions: the record of a login, its tokens and cookies, and its revocation.
//!
//! A login creates one session record in the store. Tokens carry its id (`identity_nonce`) and verify
//! without the store. Revoking a session puts its id on a list that every request is checked against,
//! without a lock. Tokens of active users are renewed with their responses; with an idle timeout,
//! activity is recorded in the session. The record also has the attributes that the login method
//! returned: policies that need them read them there, once for each session. This module does not
//! depend on the login pages.
//!
//! A session by a login at a provider may have an account there. Then its provider can be asked again
//! while the session lives, and a logout there finds it. Its attributes may change:
//!
//! | step | module |
//! | --- | --- |
//! | the sessions that are due, and who asks | `refresh_index` |
//! | the answer, written to the record | `accounts` |
//! | the announcement to other processes | `changed` |
//! | the attributes in memory, for requests and open responses | `live_attributes` |

mod account;
mod account_index;
mod accounts;
mod attributes;
mod changed;
mod claims;
pub(crate) mod cookie;
mod idle;
mod lifetimes;
mod live_attributes;
mod provider_tokens;
mod record;
mod refresh_index;
mod revoke;
mod sessions;
#[cfg(test)]
mod tests;

pub(crate) use self::account::ProviderAccount;
pub(crate) use self::accounts::Confirmed;
pub(crate) use self::attributes::KnownAttributes;
pub(crate) use self::changed::{CHANNEL as CHANGES_CHANNEL, SessionChanges};
pub(crate) use self::claims::linked_claims;
pub(crate) use self::lifetimes::{Lifetimes, MIN_IDLE, MIN_SESSION, TokenLifetime};
pub(crate) use self::live_attributes::LiveAttributes;
pub(crate) use self::record::Session;
pub(crate) use self::refresh_index::{SHARDS as REFRESH_SHARDS, ScheduledRefresh};
pub(crate) use self::revoke::CHANNEL as REVOCATION_CHANNEL;
pub(crate) use self::revoke::{Revocation, Revocations, TokenSubject};
pub(crate) use self::sessions::{NewSession, Sessions};
