//! What a running proxy asks its engine.

use std::time::Duration;

use crate::address::IgnoredPeer;
use crate::application::{Application, Audience};
use crate::store::StoreError;

use super::Access;

impl Access {
    /// Whether the store answers; `None` where there is none.
    pub(crate) async fn store_answers(&self) -> Option<bool> {
        let engine = self.engine_to_keep();
        let asked = engine.login()?.store.get("health/probe");
        Some(matches!(tokio::time::timeout(STORE_TIME_LIMIT, asked).await, Ok(Ok(_))))
    }

    /// Waits until the store has what a reload has ended. What cannot be written now is written
    /// later.
    pub(crate) async fn record_ends(&self) {
        let engine = self.engine_to_keep();
        let Some(login) = engine.login() else { return };
        let recorded = async {
            login.issuer.sync(false).await.map_err(StoreError::new)?;
            login.sessions.sync_idle_ends(engine.now()).await?;
            login.service_tokens.write_ends().await
        };
        let recorded = tokio::time::timeout(STORE_TIME_LIMIT, recorded).await;
        if let Err(error) = recorded.map_err(StoreError::new).flatten() {
            tracing::warn!(
                %error,
                "the store does not have yet what the new configuration ended: writing is tried again"
            );
        }
    }

    /// Returns the first peers that are not trusted and sent `X-Forwarded-For`.
    pub(crate) fn ignored_forwarding(&self) -> Vec<IgnoredPeer> {
        let engine = self.engine();
        let mut peers = engine.lasting.ignored_forwarding.peers();
        // Without those that a reload has made trusted.
        peers.retain(|peer| !engine.trusted_proxies.contains(peer.address));
        peers
    }

    /// Returns the audiences of the applications with this id or audience tag; with this name, where
    /// there is none.
    pub(crate) fn audiences_called(&self, text: &str) -> Vec<Audience> {
        let engine = self.engine();
        let audiences = |is_called: &dyn Fn(&Application) -> bool| -> Vec<Audience> {
            let applications = engine.directory.all().map(|protected| &protected.application);
            applications.filter(|it| is_called(it)).map(|it| it.audience.clone()).collect()
        };
        let exact = audiences(&|it| it.audience.as_str() == text || *it.id == *text);
        if exact.is_empty() { audiences(&|it| *it.name == *text) } else { exact }
    }
}

/// How long a store may take to answer.
const STORE_TIME_LIMIT: Duration = Duration::from_secs(3);
