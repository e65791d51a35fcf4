//! Finds the sessions of an account at a provider, for a logout there.
//!
//! A set of session ids for each user of a provider, and for each of its sessions. Their names are
//! hashes, so that the store does not show the ids.

use std::time::Duration;

use bytes::Bytes;

use crate::random::to_hex;
use crate::secret::sha256;
use crate::store::{Store, StoreError};

use super::account::SessionAccount;

/// Adds a session.
pub(super) async fn insert(
    store: &dyn Store,
    (method, account): (&str, &SessionAccount),
    session: &str,
    lifetime: Duration,
) -> Result<(), StoreError> {
    for set in sets(method, account) {
        store.put_member(&set, session, Bytes::new(), lifetime).await?;
    }
    Ok(())
}

/// Removes a session.
pub(super) async fn remove(
    store: &dyn Store,
    (method, account): (&str, &SessionAccount),
    session: &str,
) -> Result<(), StoreError> {
    for set in sets(method, account) {
        store.take_member(&set, session).await?;
    }
    Ok(())
}

/// Returns the ids of the sessions of a user, or else of a session at the provider.
pub(super) async fn find(
    store: &dyn Store,
    method: &str,
    (subject, session): (Option<&str>, Option<&str>),
) -> Result<Vec<String>, StoreError> {
    let set = match (subject, session) {
        (Some(subject), _) => of_subject(method, subject),
        (None, Some(session)) => of_session(method, session),
        (None, None) => return Ok(Vec::new()),
    };
    Ok(store.members(&set).await?.into_iter().map(|(id, _)| id).collect())
}

fn sets(method: &str, account: &SessionAccount) -> impl Iterator<Item = String> + use<> {
    let session = account.session.as_deref().map(|session| of_session(method, session));
    std::iter::once(of_subject(method, &account.subject)).chain(session)
}

fn of_subject(method: &str, subject: &str) -> String {
    set("provider-user", method, subject)
}

fn of_session(method: &str, session: &str) -> String {
    set("provider-session", method, session)
}

fn set(kind: &str, method: &str, id: &str) -> String {
    // The length keeps the two names apart.
    let name = format!("{}/{method}/{id}", method.len());
    format!("{kind}/{}", to_hex(&sha256(name.as_bytes())))
}
