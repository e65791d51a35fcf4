//! Carries out the actions.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::address::IgnoredPeer;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::explain::Rfc3339Time;
use crate::identity::Email;
use crate::issuer::KeyRotationState;
use crate::proxy::{ReloadError, Reloader};
use crate::util::response::ResponseBytes;

use super::mail_health::MailHealth;
use super::response::{Failure, done, unhealthy};
use super::route::Action;
use super::{revoke, service_tokens};

/// Carries out an action.
pub(super) async fn act(
    action: &Action,
    reloader: &Reloader,
    body: &Bytes,
) -> Result<ResponseBytes, Failure> {
    if !action.has_body() && !is_empty_body(body) {
        return Err(Failure::bad_request("leave the body empty"));
    }
    let access = reloader.proxy().access();
    match action {
        Action::RevokeUser => revoke::user(&access, body).await,
        Action::RevokeApplication(name) => revoke::application(&access, name).await,
        Action::RevokeSession(id) => revoke::session(&access, id).await,
        Action::RevokeEverybody => revoke::everybody(&access).await,
        Action::Sessions(email) => {
            let email =
                email.parse::<Email>().map_err(|_| Failure::not_found(revoke::INVALID_EMAIL))?;
            Ok(done(access.sessions_of(&email).await.map_err(Failure::unavailable)?))
        }
        Action::Keys => match access.key_rotation() {
            Some(state) => Ok(done(Keys::new(&state, SystemClock.now()))),
            None => Err(Failure::not_found(NO_ISSUER)),
        },
        Action::RotateKeys => {
            if access.key_rotation().is_none() {
                return Err(Failure::not_found(NO_ISSUER));
            }
            access.rotate_keys().await.map_err(Failure::unavailable)?;
            let state = access.key_rotation().ok_or_else(|| Failure::not_found(NO_ISSUER))?;
            Ok(done(Keys::new(&state, SystemClock.now())))
        }
        Action::ServiceTokens(action) => service_tokens::act(action, &access, body).await,
        Action::Reload => match reloader.reload().await {
            Ok(reloaded) => Ok(done(reloaded)),
            Err(error) => Err(Failure::invalid_file(messages(&error))),
        },
        Action::Health => {
            let health = Health::check(reloader).await;
            Ok(if health.is_healthy() { done(health) } else { unhealthy(health) })
        }
    }
}

/// The state of the signing keys, in Cloudflare's fields.
#[derive(Serialize)]
struct Keys {
    key_id: String,
    /// `None` if the key is rotated only on request.
    key_rotation_interval_days: Option<u64>,
    days_until_next_rotation: Option<u64>,
    last_key_rotation_at: String,
    /// The announced key, and when it begins to sign.
    next_key_id: Option<String>,
    next_key_signs_from: Option<String>,
}

impl Keys {
    fn new(state: &KeyRotationState, now: Timestamp) -> Self {
        let days = |duration: Duration| duration.as_secs().div_ceil(86_400);
        let next = state.next.as_ref();
        Self {
            key_id: state.key_id.clone(),
            key_rotation_interval_days: state.interval.map(days),
            days_until_next_rotation: state.time_left(now).map(days),
            last_key_rotation_at: Rfc3339Time(state.last_rotated_at).to_string(),
            next_key_id: next.map(|(key_id, _)| key_id.clone()),
            next_key_signs_from: next.map(|(_, from)| Rfc3339Time(*from).to_string()),
        }
    }
}

/// The state of the proxy.
#[derive(Serialize)]
struct Health {
    /// The version of the configuration in force.
    version: String,
    /// The errors of a newer file that could not be loaded.
    configuration_errors: Vec<String>,
    key_state: &'static str,
    keys: usize,
    /// Whether the store is available; `None` without a store.
    store_answers: Option<bool>,
    /// `None` if no users log in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<MailHealth>,
    /// Untrusted peers that sent `X-Forwarded-For` or `Forwarded`: perhaps proxies that belong into
    /// `trusted_proxies`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_forwarding: Vec<IgnoredForwarding>,
}

/// An untrusted peer that sent a forwarding header.
#[derive(Serialize)]
struct IgnoredForwarding {
    peer: IpAddr,
    header: &'static str,
    requests: u64,
    first_at: String,
}

impl IgnoredForwarding {
    fn new(peer: &IgnoredPeer) -> Self {
        let IgnoredPeer { address, header, first_at, requests } = *peer;
        Self { peer: address, header, requests, first_at: Rfc3339Time(first_at).to_string() }
    }
}

impl Health {
    async fn check(reloader: &Reloader) -> Self {
        let access = reloader.proxy().access();
        let keys = access.key_state();
        Self {
            version: reloader.config().version().to_owned(),
            configuration_errors: reloader
                .failure()
                .map_or_else(Vec::new, |error| messages(&error)),
            key_state: keys.as_str(),
            keys: keys.keys(),
            store_answers: access.is_store_available().await,
            mail: access.mail_status().map(MailHealth::from),
            ignored_forwarding: access
                .ignored_forwarding()
                .iter()
                .map(IgnoredForwarding::new)
                .collect(),
        }
    }

    /// Returns whether keys and store are available. An invalid newer file changes nothing, and keys
    /// that were never needed are fetched when they are.
    fn is_healthy(&self) -> bool {
        self.key_state != "expired" && self.store_answers != Some(false)
    }
}

fn messages(error: &ReloadError) -> Vec<String> {
    match error {
        ReloadError::File(errors) => {
            errors.iter().map(|error| format!("{}:{error}", errors.file())).collect()
        }
        ReloadError::Unusable(error) => vec![error.clone()],
    }
}

fn is_empty_body(body: &Bytes) -> bool {
    let text = body.trim_ascii();
    text.is_empty()
        || serde_json::from_slice::<serde_json::Map<_, _>>(text)
            .is_ok_and(|fields| fields.is_empty())
}

const NO_ISSUER: &str = "this proxy verifies tokens; ask its issuer";
