//! What operators ask an engine.

#[cfg(all(feature = "config", feature = "proxy"))]
use std::time::Duration;

#[cfg(all(feature = "config", feature = "proxy"))]
use crate::address::IgnoredPeer;
#[cfg(all(feature = "config", feature = "proxy"))]
use crate::application::Audience;
use crate::issuer::KeyRotationState;
use crate::login::mail::MailStatus;
#[cfg(all(feature = "config", feature = "proxy"))]
use crate::store::StoreError;

use super::{Access, Role};

impl Access {
    /// When the signing key was made and when it is replaced; `None` where no tokens are issued.
    #[must_use]
    pub fn key_rotation(&self) -> Option<KeyRotationState> {
        let engine = self.engine();
        let Role::Issuing(issuing) = &engine.role else { return None };
        Some(issuing.login.issuer.rotation_state(engine.now()))
    }

    /// How the delivery of one-time PINs goes, since this process started; `None` where nobody logs in
    /// here.
    #[must_use]
    pub fn mail_status(&self) -> Option<MailStatus> {
        let engine = self.engine();
        let Role::Issuing(issuing) = &engine.role else { return None };
        Some(issuing.login.mail_delivery.status())
    }

    /// Whether the store answers; `None` where there is none.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn store_answers(&self) -> Option<bool> {
        let engine = self.engine_to_keep();
        let Role::Issuing(issuing) = &engine.role else { return None };
        let asked = tokio::time::timeout(PATIENCE, issuing.login.store.get("health/probe")).await;
        Some(matches!(asked, Ok(Ok(_))))
    }

    /// Waits until the store has what a reload has ended. What cannot be written now is written
    /// later.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) async fn record_ends(&self) {
        let engine = self.engine_to_keep();
        let Role::Issuing(issuing) = &engine.role else { return };
        let login = &issuing.login;
        let recorded = async {
            login.issuer.sync(false).await.map_err(StoreError::new)?;
            login.sessions.sync_idle_ends(engine.now()).await?;
            login.service_tokens.write_ends().await
        };
        let recorded = tokio::time::timeout(PATIENCE, recorded).await;
        if let Err(error) = recorded.map_err(StoreError::new).flatten() {
            tracing::warn!(%error, "what this configuration ends is not written yet: tried again");
        }
    }

    /// The first peers that are not trusted and said for whom they ask.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn ignored_forwarding(&self) -> Vec<IgnoredPeer> {
        let engine = self.engine();
        let mut peers = engine.lasting.ignored_forwarding.peers();
        // Those that were trusted since.
        peers.retain(|peer| !engine.trusted_proxies.contains(peer.address));
        peers
    }

    /// The audiences of the applications that are called so: by id, audience tag or name.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn audiences_called(&self, called: &str) -> Vec<Audience> {
        let engine = self.engine();
        let applications: Vec<_> =
            engine.directory.all().map(|protected| &protected.application).collect();
        let one = |is_it: &dyn Fn(&crate::application::Application) -> bool| {
            applications.iter().filter(|one| is_it(one)).map(|one| one.audience.clone()).collect()
        };
        let exactly: Vec<_> = one(&|one| one.audience.as_str() == called || *one.id == *called);
        if exactly.is_empty() { one(&|one| *one.name == *called) } else { exactly }
    }
}

/// How long a store may take to answer that it is there.
#[cfg(all(feature = "config", feature = "proxy"))]
const PATIENCE: Duration = Duration::from_secs(3);
