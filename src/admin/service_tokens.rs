//! Service tokens: made, changed, given another secret, prolonged, deleted (section 11 of the
//! contract).

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::Access;
use crate::engine::explain::Moment;
use crate::service_token::{
    ServiceTokenAdminError, ServiceTokenAdminErrorKind, ServiceTokenDuration, ServiceTokenRecord,
    ServiceTokenSecret,
};
use crate::util::response::ResponseBytes;

use super::answer::{Failure, done};

/// What can be asked about service tokens.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum ServiceTokenAction {
    /// Lists them.
    List,
    /// Makes one, as the body says.
    Create,
    /// Renames the one with this id, or switches it on or off, as the body says.
    Change(String),
    /// Gives it another secret.
    Rotate(String),
    /// Gives it one more year.
    Refresh(String),
    /// Deletes it.
    Delete(String),
}

impl ServiceTokenAction {
    /// The id of the one it is about.
    pub(super) fn about(&self) -> Option<&str> {
        match self {
            Self::List | Self::Create => None,
            Self::Change(id) | Self::Rotate(id) | Self::Refresh(id) | Self::Delete(id) => Some(id),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    #[serde(default)]
    duration: ServiceTokenDuration,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Change {
    name: Option<String>,
    enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotate {
    previous_client_secret_expires_at: Option<String>,
}

/// A token, as Cloudflare says it; and what it does not know.
#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    name: &'a str,
    client_id: &'a str,
    /// This once.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_version: Option<u64>,
    enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<ServiceTokenDuration>,
    expires_at: Option<String>,
    previous_client_secret_expires_at: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
    last_seen_at: Option<String>,
    is_in_file: bool,
    is_shadowed: bool,
}

/// Does what was asked for.
pub(super) async fn act(
    action: &ServiceTokenAction,
    access: &Access,
    body: &Bytes,
) -> Result<ResponseBytes, Failure> {
    let tokens = access.service_tokens();
    Ok(match action {
        ServiceTokenAction::List => {
            let all = tokens.list().await.map_err(failure)?;
            done(all.iter().map(|record| Shown::of(record, None)).collect::<Vec<_>>())
        }
        ServiceTokenAction::Create => {
            let Create { name, duration } = read(body, "{\"name\":\"ci\",\"duration\":\"8760h\"}")?;
            let (record, secret) = tokens.create(&name, duration).await.map_err(failure)?;
            done(Shown::of(&record, Some(&secret)))
        }
        ServiceTokenAction::Change(id) => {
            let example = "{\"name\":\"ci\",\"enabled\":false}";
            let Change { name, enabled } = read(body, example)?;
            let mut record = None;
            if let Some(name) = name {
                record = Some(tokens.rename(id, &name).await.map_err(failure)?);
            }
            if let Some(enabled) = enabled {
                let switched =
                    if enabled { tokens.enable(id).await } else { tokens.disable(id).await };
                record = Some(switched.map_err(failure)?);
            }
            let nothing = || Failure::bad_request(format_args!("write what to change: {example}"));
            done(Shown::of(&record.ok_or_else(nothing)?, None))
        }
        ServiceTokenAction::Rotate(id) => {
            let example = "{\"previous_client_secret_expires_at\":\"2027-01-31T00:00:00Z\"}";
            let rotate: Rotate =
                if body.trim_ascii().is_empty() { Rotate::default() } else { read(body, example)? };
            let moment = |text: String| text.parse::<Moment>();
            let until = rotate.previous_client_secret_expires_at.map(moment).transpose();
            let until = until.map_err(Failure::bad_request)?;
            let overlap = until.map(|Moment(until)| until.since(SystemClock.now()));
            let rotated = tokens.rotate(id, overlap.unwrap_or_default()).await;
            let (record, secret) = rotated.map_err(failure)?;
            done(Shown::of(&record, Some(&secret)))
        }
        ServiceTokenAction::Refresh(id) => {
            done(Shown::of(&tokens.refresh(id).await.map_err(failure)?, None))
        }
        ServiceTokenAction::Delete(id) => {
            tokens.delete(id).await.map_err(failure)?;
            done(serde_json::json!({ "id": id }))
        }
    })
}

impl<'a> Shown<'a> {
    fn of(record: &'a ServiceTokenRecord, secret: Option<&'a ServiceTokenSecret>) -> Self {
        let moment = |moment: Option<Timestamp>| moment.map(|moment| Moment(moment).to_string());
        Self {
            id: &record.id,
            name: &record.name,
            client_id: &record.client_id,
            client_secret: secret.map(ServiceTokenSecret::reveal),
            client_secret_version: record.secret_version,
            enabled: record.enabled,
            duration: record.duration,
            expires_at: moment(record.expires_at),
            previous_client_secret_expires_at: moment(record.previous_secret_until),
            created_at: moment(record.created_at),
            updated_at: moment(record.updated_at),
            last_seen_at: moment(record.last_used),
            is_in_file: record.is_in_file,
            is_shadowed: record.is_shadowed,
        }
    }
}

fn read<T: DeserializeOwned>(body: &Bytes, example: &str) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::bad_request(format_args!("write {example}: {error}")))
}

fn failure(error: ServiceTokenAdminError) -> Failure {
    use ServiceTokenAdminErrorKind as Kind;

    match error.kind() {
        Kind::NotFound | Kind::NotIssuing => Failure::not_found(error),
        Kind::InFile | Kind::Duplicate | Kind::Full => Failure::conflict(error),
        Kind::InvalidName => Failure::bad_request(error),
        Kind::Store | Kind::Randomness => Failure::unavailable(error),
    }
}
