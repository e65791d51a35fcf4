//! The administration of service tokens (section 11 of the contract).

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::{Clock, SystemClock, Timestamp};
use crate::engine::Access;
use crate::engine::explain::Rfc3339Time;
use crate::service_token::{
    ServiceTokenAdminError, ServiceTokenAdminErrorKind, ServiceTokenDuration, ServiceTokenRecord,
    ServiceTokenSecret,
};
use crate::util::response::ResponseBytes;

use super::response::{Failure, done};

/// An action on service tokens.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum ServiceTokenAction {
    /// Lists all.
    List,
    /// Creates the one in the body.
    Create,
    /// Renames, enables or disables the one with this id.
    Change(String),
    /// Makes another secret.
    Rotate(String),
    /// Extends its expiry by one year.
    Refresh(String),
    /// Deletes the one with this id.
    Delete(String),
}

impl ServiceTokenAction {
    /// Returns the id of the token.
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

/// A token in Cloudflare's fields, and a few more.
#[derive(Serialize)]
struct ServiceTokenView<'a> {
    id: &'a str,
    name: &'a str,
    client_id: &'a str,
    /// Only in the response that made it.
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

/// Carries out an action.
pub(super) async fn act(
    action: &ServiceTokenAction,
    access: &Access,
    body: &Bytes,
) -> Result<ResponseBytes, Failure> {
    let tokens = access.service_tokens();
    Ok(match action {
        ServiceTokenAction::List => {
            let all = tokens.list().await.map_err(failure)?;
            done(all.iter().map(|record| ServiceTokenView::new(record, None)).collect::<Vec<_>>())
        }
        ServiceTokenAction::Create => {
            let Create { name, duration } = read(body, "{\"name\":\"ci\",\"duration\":\"8760h\"}")?;
            let (record, secret) = tokens.create(&name, duration).await.map_err(failure)?;
            done(ServiceTokenView::new(&record, Some(&secret)))
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
            done(ServiceTokenView::new(&record.ok_or_else(nothing)?, None))
        }
        ServiceTokenAction::Rotate(id) => {
            let example = "{\"previous_client_secret_expires_at\":\"2027-01-31T00:00:00Z\"}";
            let rotate: Rotate =
                if body.trim_ascii().is_empty() { Rotate::default() } else { read(body, example)? };
            let parse = |text: String| text.parse::<Rfc3339Time>();
            let until = rotate.previous_client_secret_expires_at.map(parse).transpose();
            let until = until.map_err(Failure::bad_request)?;
            let overlap = until.map(|Rfc3339Time(until)| until.since(SystemClock.now()));
            let rotated = tokens.rotate(id, overlap.unwrap_or_default()).await;
            let (record, secret) = rotated.map_err(failure)?;
            done(ServiceTokenView::new(&record, Some(&secret)))
        }
        ServiceTokenAction::Refresh(id) => {
            done(ServiceTokenView::new(&tokens.refresh(id).await.map_err(failure)?, None))
        }
        ServiceTokenAction::Delete(id) => {
            tokens.delete(id).await.map_err(failure)?;
            done(serde_json::json!({ "id": id }))
        }
    })
}

impl<'a> ServiceTokenView<'a> {
    fn new(record: &'a ServiceTokenRecord, secret: Option<&'a ServiceTokenSecret>) -> Self {
        let moment =
            |moment: Option<Timestamp>| moment.map(|moment| Rfc3339Time(moment).to_string());
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
