//! Methods of an engine for the proxy.

use std::time::Duration;

use crate::address::IgnoredPeer;
use crate::application::{Application, Audience};
use crate::store::StoreError;

use super::Access;

impl Access {
    /// Returns whether the store is available; `None` if the engine has no store.
    pub(crate) async fn is_store_available(&self) -> Option<bool> {
        let engine = self.engine_owned();
        let probe = engine.login()?.store.get("health/probe");
        Some(matches!(tokio::time::timeout(STORE_TIME_LIMIT, probe).await, Ok(Ok(_))))
    }

    /// Writes into the store what a reload invalidated. What cannot be written now is retried later.
    pub(crate) async fn sync_store(&self) {
        let engine = self.engine_owned();
        let Some(login) = engine.login() else { return };
        let recorded = async {
            login.issuer.sync(false).await.map_err(StoreError::new)?;
            login.sessions.sync_idle_limits(engine.now()).await?;
            login.service_tokens.write_revocations().await
        };
        let recorded = tokio::time::timeout(STORE_TIME_LIMIT, recorded).await;
        if let Err(error) = recorded.map_err(StoreError::new).flatten() {
            tracing::warn!(
                %error,
                "the store is unavailable: what the new configuration revoked is written later"
            );
        }
    }

    /// Returns the first untrusted peers that sent `X-Forwarded-For`.
    pub(crate) fn ignored_forwarding(&self) -> Vec<IgnoredPeer> {
        let engine = self.engine();
        let mut peers = engine.shared_state.ignored_forwarding.peers();
        // A reload may have made some of them trusted.
        peers.retain(|peer| !engine.trusted_proxies.contains(peer.address));
        peers
    }

    /// Returns the audiences of the applications with this id or audience tag; if no application has
    /// it, those with this name.
    pub(crate) fn audiences_named(&self, text: &str) -> Vec<Audience> {
        let engine = self.engine();
        let audiences = |is_named: &dyn Fn(&Application) -> bool| -> Vec<Audience> {
            let applications = engine.applications.all().map(|it| &it.application);
            applications.filter(|it| is_named(it)).map(|it| it.audience.clone()).collect()
        };
        let exact = audiences(&|it| it.audience.as_str() == text || *it.id == *text);
        if exact.is_empty() { audiences(&|it| *it.name == *text) } else { exact }
    }
}

/// How long a store may take to respond.
const STORE_TIME_LIMIT: Duration = Duration::from_secs(3);
