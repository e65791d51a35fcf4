//! The background task of one renewal.

use std::sync::Arc;
use std::time::Duration;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;
use crate::login::Login;
use crate::session::TokenLifetime;
use crate::store::StoreError;

use super::super::verified::Verified;
use super::cache::{CachedRenewal, InProgress, RenewedTokens};

/// The input of a renewal.
pub(super) struct RenewalTask {
    pub(super) login: Arc<Login>,
    pub(super) application: Arc<CompiledApplication>,
    pub(super) host: CanonicalHost,
    /// The token that the request presents.
    pub(super) verified: Arc<Verified>,
    pub(super) lifetime: TokenLifetime,
    pub(super) now: Timestamp,
}

/// The result of a renewal.
enum RenewalOutcome {
    Renewed(Box<RenewedTokens>),
    /// The token already lives as long as its session.
    AtSessionEnd,
    /// The session is not live any more.
    NoSession,
}

impl RenewalTask {
    /// Renews the token, and caches the result.
    pub(super) async fn run(self, in_progress: &InProgress) -> Option<Arc<RenewedTokens>> {
        let retry_at = self.now.plus(PAUSE);
        let made = match self.make().await {
            Ok(RenewalOutcome::Renewed(tokens)) => CachedRenewal::Tokens(Arc::new(*tokens)),
            Ok(RenewalOutcome::AtSessionEnd) => {
                let life = self.verified.life();
                CachedRenewal::Nothing {
                    until: retry_at.max(self.now.plus(self.login.lifetimes.renew_after(life))),
                }
            }
            Ok(RenewalOutcome::NoSession) => CachedRenewal::Nothing { until: retry_at },
            Err(error) => {
                tracing::warn!(%error, "a token could not be renewed; the next request tries again");
                CachedRenewal::Nothing { until: retry_at }
            }
        };
        in_progress.complete(made.clone());
        match made {
            CachedRenewal::Tokens(tokens) => Some(tokens),
            CachedRenewal::Nothing { .. } => None,
        }
    }

    async fn make(&self) -> Result<RenewalOutcome, StoreError> {
        let Self { login, application, host, verified, lifetime, now } = self;
        let (lifetime, now) = (*lifetime, *now);
        let id = verified.identity.session_id().unwrap_or_default();
        let session = login.seen_session(id, now).await?.filter(|session| {
            Some(session.email.as_str()) == verified.identity.email()
                && application.application.allows_login_method(session.login_method())
        });
        let Some(session) = session else { return Ok(RenewalOutcome::NoSession) };
        if session.end() <= verified.identity.expires_at() {
            return Ok(RenewalOutcome::AtSessionEnd);
        }
        let signing = {
            let (login, application, host) =
                (Arc::clone(login), Arc::clone(application), host.clone());
            // Signing would block other requests of this thread.
            tokio::task::spawn_blocking(move || {
                RenewedTokens::make(&login, &session, (&application, &host), lifetime, now)
            })
        };
        let tokens = signing.await.map_err(StoreError::new)?.map_err(StoreError::new)?;
        // A logout in the meantime wins.
        let session = login.live_session(id, now).await?;
        Ok(session.map_or(RenewalOutcome::NoSession, |_| RenewalOutcome::Renewed(Box::new(tokens))))
    }
}

/// The pause between failed attempts.
const PAUSE: Duration = Duration::from_secs(5);
