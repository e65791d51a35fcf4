//! The tokens of accounts at identity providers: sealed, each in a record of its own.
//!
//! A request reads only the record of its session. These records are read when the provider is asked
//! again, and at a logout. They end with the session.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::random::Random;
use crate::secret::{Seal, SecretText};
use crate::store::{Store, StoreError};

use super::account::ProviderAccount;

/// Reads and writes the tokens of sessions.
#[derive(Clone, Debug)]
pub(super) struct ProviderTokens {
    store: Arc<dyn Store>,
    random: Arc<dyn Random>,
    seal: Arc<Seal>,
}

/// A kind of token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TokenKind {
    Refresh,
    Id,
}

impl TokenKind {
    fn key(self, session: &str) -> String {
        match self {
            Self::Refresh => format!("refresh-token/{session}"),
            Self::Id => format!("id-token/{session}"),
        }
    }

    /// The longest token in bytes.
    fn max_len(self) -> usize {
        match self {
            Self::Refresh => 8 * 1024,
            // A sealed one is a little longer, and stays below the limit of the store.
            Self::Id => 16 * 1024 - 64,
        }
    }

    fn consequence(self) -> &'static str {
        match self {
            Self::Refresh => "the provider is not asked again about this user",
            Self::Id => "the provider may ask the user to confirm a logout",
        }
    }
}

impl ProviderTokens {
    pub(super) fn new(store: Arc<dyn Store>, random: Arc<dyn Random>, seal: Seal) -> Self {
        Self { store, random, seal: Arc::new(seal) }
    }

    /// Stores the tokens of a new session.
    pub(super) async fn insert(
        &self,
        session: &str,
        account: &ProviderAccount,
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        for (kind, token) in of(account) {
            if let Some(sealed) = self.seal(session, kind, token)? {
                self.store.put(&kind.key(session), sealed, lifetime).await?;
            }
        }
        Ok(())
    }

    /// Replaces the tokens of a session; those that are absent stay. A session that has ended
    /// meanwhile gets none.
    pub(super) async fn replace(
        &self,
        session: &str,
        account: &ProviderAccount,
        lifetime: Duration,
    ) -> Result<(), StoreError> {
        for (kind, token) in of(account) {
            let Some(sealed) = self.seal(session, kind, token)? else { continue };
            let key = kind.key(session);
            if let Some(present) = self.store.get(&key).await? {
                self.store.replace(&key, &present, sealed, lifetime).await?;
            }
        }
        Ok(())
    }

    /// Adds the tokens of a session to an account.
    pub(super) async fn read(
        &self,
        session: &str,
        account: &mut ProviderAccount,
    ) -> Result<(), StoreError> {
        account.refresh_token = self.get(session, TokenKind::Refresh).await?;
        account.id_token = self.get(session, TokenKind::Id).await?;
        Ok(())
    }

    pub(super) async fn remove(&self, session: &str) -> Result<(), StoreError> {
        self.store.take(&TokenKind::Refresh.key(session)).await?;
        self.store.take(&TokenKind::Id.key(session)).await?;
        Ok(())
    }

    async fn get(&self, session: &str, kind: TokenKind) -> Result<Option<SecretText>, StoreError> {
        let key = kind.key(session);
        let Some(sealed) = self.store.get(&key).await? else { return Ok(None) };
        let text = self.seal.open(&key, &sealed).ok();
        let text = text.and_then(|text| String::from_utf8(text.to_vec()).ok());
        if text.is_none() {
            tracing::error!("the token of an identity provider in the store cannot be opened");
        }
        Ok(text.map(SecretText::from))
    }

    /// Seals a token, bound to its session. `None` if it is too long.
    fn seal(
        &self,
        session: &str,
        kind: TokenKind,
        token: &SecretText,
    ) -> Result<Option<Bytes>, StoreError> {
        let text = token.expose().as_bytes();
        if text.len() > kind.max_len() {
            let (bytes, max_bytes) = (text.len(), kind.max_len());
            let consequence = kind.consequence();
            tracing::warn!(
                ?kind,
                bytes,
                max_bytes,
                consequence,
                "a token is too long to be stored"
            );
            return Ok(None);
        }
        let sealed = self.seal.close(&kind.key(session), text, &*self.random);
        Ok(Some(sealed.map_err(StoreError::new)?.into()))
    }
}

/// Returns whether a provider can be asked again with the tokens of this account.
pub(super) fn can_refresh(account: &ProviderAccount) -> bool {
    let is_short = |token: &SecretText| token.expose().len() <= TokenKind::Refresh.max_len();
    account.refresh_token.as_ref().is_some_and(is_short)
}

fn of(account: &ProviderAccount) -> impl Iterator<Item = (TokenKind, &SecretText)> {
    let refresh = account.refresh_token.iter().map(|token| (TokenKind::Refresh, token));
    refresh.chain(account.id_token.iter().map(|token| (TokenKind::Id, token)))
}
