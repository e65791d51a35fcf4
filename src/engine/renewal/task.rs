//! One renewal, which runs beside the request that began it.

use std::sync::Arc;
use std::time::Duration;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::clock::Timestamp;
use crate::login::Login;
use crate::session::TokenLifetime;
use crate::store::StoreError;

use super::super::verified::Verified;
use super::cache::{CachedRenewal, InProgress, RenewedTokens};

/// What a renewal is made from.
pub(super) struct RenewalTask {
    pub(super) login: Arc<Login>,
    pub(super) application: Arc<CompiledApplication>,
    pub(super) host: CanonicalHost,
    /// The token that the request presents.
    pub(super) verified: Arc<Verified>,
    pub(super) lifetime: TokenLifetime,
    pub(super) now: Timestamp,
}

/// What came of it.
enum RenewalOutcome {
    Renewed(Box<RenewedTokens>),
    /// The token lives as long as the session does.
    AtItsEnd,
    /// The session has ended.
    Ended,
}

impl RenewalTask {
    /// Renews, and hands the outcome on.
    pub(super) async fn run(self, in_progress: &InProgress) -> Option<Arc<RenewedTokens>> {
        let pause = self.now.plus(PAUSE);
        let made = match self.make().await {
            Ok(RenewalOutcome::Renewed(tokens)) => CachedRenewal::Tokens(Arc::new(*tokens)),
            Ok(RenewalOutcome::AtItsEnd) => {
                let life = self.verified.life();
                CachedRenewal::Nothing {
                    until: pause.max(self.now.plus(self.login.lifetimes.renewed_after(life))),
                }
            }
            Ok(RenewalOutcome::Ended) => CachedRenewal::Nothing { until: pause },
            Err(error) => {
                tracing::warn!(%error, "a token could not be renewed; the next request tries again");
                CachedRenewal::Nothing { until: pause }
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
        let Some(session) = session else { return Ok(RenewalOutcome::Ended) };
        if session.end() <= verified.identity.expires_at() {
            return Ok(RenewalOutcome::AtItsEnd);
        }
        let signing = {
            let (login, application, host) =
                (Arc::clone(login), Arc::clone(application), host.clone());
            // Long enough to hold up other requests of the same thread.
            tokio::task::spawn_blocking(move || {
                RenewedTokens::make(&login, &session, (&application, &host), lifetime, now)
            })
        };
        let tokens = signing.await.map_err(StoreError::new)?.map_err(StoreError::new)?;
        // A logout that came between wins.
        let session = login.live_session(id, now).await?;
        Ok(session.map_or(RenewalOutcome::Ended, |_| RenewalOutcome::Renewed(Box::new(tokens))))
    }
}

/// Between attempts that lead to nothing.
const PAUSE: Duration = Duration::from_secs(5);
