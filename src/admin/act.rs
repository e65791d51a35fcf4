//! What is done.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::address::IgnoredPeer;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::explain::Moment;
use crate::identity::Email;
use crate::issuer::KeyRotationState;
use crate::proxy::{ReloadError, Reloader};
use crate::util::response::ResponseBytes;

use super::answer::{Failure, ailing, done};
use super::mail_health::MailHealth;
use super::route::Action;
use super::{revoke, service_tokens};

/// Does what was asked for.
pub(super) async fn act(
    action: &Action,
    reloader: &Reloader,
    body: &Bytes,
) -> Result<ResponseBytes, Failure> {
    if !action.has_body() && !says_nothing(body) {
        return Err(Failure::bad_request("nothing is to be said in the body"));
    }
    let access = reloader.proxy().access();
    match action {
        Action::RevokePerson => revoke::person(&access, body).await,
        Action::RevokeApplication(called) => revoke::application(&access, called).await,
        Action::RevokeSession(id) => revoke::session(&access, id).await,
        Action::RevokeEverybody => revoke::everybody(&access).await,
        Action::Sessions(email) => {
            let email =
                email.parse::<Email>().map_err(|_| Failure::not_found(revoke::NO_ADDRESS))?;
            Ok(done(access.sessions_of(&email).await.map_err(Failure::unavailable)?))
        }
        Action::Keys => match access.key_rotation() {
            Some(state) => Ok(done(Keys::of(&state, SystemClock.now()))),
            None => Err(Failure::not_found(NO_ISSUER)),
        },
        Action::RotateKeys => {
            if access.key_rotation().is_none() {
                return Err(Failure::not_found(NO_ISSUER));
            }
            access.rotate_keys().await.map_err(Failure::unavailable)?;
            let state = access.key_rotation().ok_or_else(|| Failure::not_found(NO_ISSUER))?;
            Ok(done(Keys::of(&state, SystemClock.now())))
        }
        Action::ServiceTokens(action) => service_tokens::act(action, &access, body).await,
        Action::Reload => match reloader.reload().await {
            Ok(reloaded) => Ok(done(reloaded)),
            Err(error) => Err(Failure::unusable(messages(&error))),
        },
        Action::Health => {
            let health = Health::of(reloader).await;
            Ok(if health.serves() { done(health) } else { ailing(health) })
        }
    }
}

/// How the keys stand, as Cloudflare says it.
#[derive(Serialize)]
struct Keys {
    key_id: String,
    /// `None` where the key is replaced only when somebody says so.
    key_rotation_interval_days: Option<u64>,
    days_until_next_rotation: Option<u64>,
    last_key_rotation_at: String,
    /// The key that was announced, and from when on it signs.
    next_key_id: Option<String>,
    next_key_signs_from: Option<String>,
}

impl Keys {
    fn of(state: &KeyRotationState, now: Timestamp) -> Self {
        let days = |duration: Duration| duration.as_secs().div_ceil(86_400);
        let next = state.next.as_ref();
        Self {
            key_id: state.key_id.clone(),
            key_rotation_interval_days: state.interval.map(days),
            days_until_next_rotation: state.time_left(now).map(days),
            last_key_rotation_at: Moment(state.last_rotated_at).to_string(),
            next_key_id: next.map(|(key_id, _)| key_id.clone()),
            next_key_signs_from: next.map(|(_, from)| Moment(*from).to_string()),
        }
    }
}

/// How all stands.
#[derive(Serialize)]
struct Health {
    /// What is in force.
    version: String,
    /// Whether the file was changed since into one that cannot be used, and why.
    configuration_errors: Vec<String>,
    key_state: &'static str,
    keys: usize,
    /// `None` where there is none.
    store_answers: Option<bool>,
    /// `None` where nobody logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<MailHealth>,
    /// Peers whose `X-Forwarded-For` or `Forwarded` counts for nothing: proxies, it may be, that
    /// belong under `trusted_proxies`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_forwarding: Vec<IgnoredForwarding>,
}

/// A peer that said for whom it asks, and is not trusted.
#[derive(Serialize)]
struct IgnoredForwarding {
    peer: IpAddr,
    header: &'static str,
    requests: u64,
    first_at: String,
}

impl IgnoredForwarding {
    fn of(peer: &IgnoredPeer) -> Self {
        let IgnoredPeer { address, header, first_at, requests } = *peer;
        Self { peer: address, header, requests, first_at: Moment(first_at).to_string() }
    }
}

impl Health {
    async fn of(reloader: &Reloader) -> Self {
        let access = reloader.proxy().access();
        let keys = access.key_state();
        Self {
            version: reloader.config().version().to_owned(),
            configuration_errors: reloader
                .failure()
                .map_or_else(Vec::new, |error| messages(&error)),
            key_state: keys.as_str(),
            keys: keys.keys(),
            store_answers: access.store_answers().await,
            mail: access.mail_status().map(MailHealth::from),
            ignored_forwarding: access
                .ignored_forwarding()
                .iter()
                .map(IgnoredForwarding::of)
                .collect(),
        }
    }

    /// The last good configuration serves; keys that were never asked for are fetched when they are.
    fn serves(&self) -> bool {
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

fn says_nothing(body: &Bytes) -> bool {
    let text = body.trim_ascii();
    text.is_empty()
        || serde_json::from_slice::<serde_json::Map<_, _>>(text)
            .is_ok_and(|fields| fields.is_empty())
}

const NO_ISSUER: &str = "no tokens are issued here: ask the issuer";
