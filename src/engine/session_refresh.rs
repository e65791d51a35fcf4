//! The background task that asks identity providers again about users with a session.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use super::revocation_watch::RevocationWatch;
use crate::session::REFRESH_SHARDS;
use crate::util::panics::caught_future;

/// Looks at all sessions in turn, by the engine in force, until it is stopped. Holds the engine only
/// while refreshes are under way.
pub(super) async fn refresh_sessions(watch: Weak<RevocationWatch>) {
    let mut tasks = JoinSet::new();
    let mut is_away = false;
    for shard in (0..REFRESH_SHARDS).cycle() {
        tokio::time::sleep(ROUND / u32::from(REFRESH_SHARDS)).await;
        // A panic was reported by the panic hook, and concerns one session.
        while tasks.try_join_next().is_some() {}
        let Some(watch) = watch.upgrade() else { return };
        let Some(engine) = watch.engine() else { continue };
        let (login, now) = (engine.login().map(Arc::clone), engine.now());
        drop(engine);
        let Some(login) = login else { continue };
        match caught_future(login.begin_refreshes(shard, now, &mut tasks)).await {
            Some(Ok(())) => is_away = false,
            Some(Err(error)) if !is_away => {
                tracing::warn!(%error, "sessions are not refreshed until the store is available");
                is_away = true;
            }
            Some(Err(_)) | None => {}
        }
    }
}

/// The time in which each session is looked at once.
const ROUND: Duration = Duration::from_secs(30);
