//! Revokes sessions, and reports the result.

use bytes::Bytes;
use serde::Deserialize;

use crate::engine::Access;
use crate::identity::Email;
use crate::util::response::ResponseBytes;

use super::response::{Failure, done_with};

/// Revokes all sessions of the user in the body.
pub(super) async fn user(access: &Access, body: &Bytes) -> Result<ResponseBytes, Failure> {
    let email = email_of(body)?;
    let revoked = access.revoke_user(&email).await.map_err(Failure::unavailable)?;
    let (code, message) = match revoked {
        _ if access.key_rotation().is_none() => (REVOKED, AT_ISSUER.to_owned()),
        0 => (NOTHING_LIVE, format!("no session of `{email}`: check the spelling of the address")),
        1 => (REVOKED, "1 session was revoked".to_owned()),
        sessions => (REVOKED, format!("{sessions} sessions were revoked")),
    };
    Ok(done_with(true, code, message))
}

/// Revokes the tokens of the application with this id, audience tag or name.
pub(super) async fn application(access: &Access, name: &str) -> Result<ResponseBytes, Failure> {
    let audiences = access.audiences_named(name);
    let [audience] = &*audiences else {
        return Err(match audiences.len() {
            0 => Failure::not_found("no application has this id, audience tag or name"),
            _ => Failure::conflict(
                "several applications have this name; use the id or the audience tag",
            ),
        });
    };
    access.revoke_application(audience).await.map_err(Failure::unavailable)?;
    let message =
        format!("all tokens of `{name}` issued until now are revoked; live sessions get new ones");
    Ok(done_with(serde_json::json!({}), REVOKED, message))
}

/// Revokes one session.
pub(super) async fn session(access: &Access, id: &str) -> Result<ResponseBytes, Failure> {
    if !is_session_id(id) {
        return Err(Failure::not_found("invalid session id"));
    }
    let was_live = access.revoke_session(id).await.map_err(Failure::unavailable)?;
    let (code, message) = match was_live {
        true => (REVOKED, "1 session was revoked"),
        false if access.key_rotation().is_none() => (REVOKED, AT_ISSUER),
        false => (NOTHING_LIVE, "no live session has this id; `proxy sessions` lists them"),
    };
    Ok(done_with(serde_json::json!({ "id": id }), code, message))
}

/// Revokes everything.
pub(super) async fn everybody(access: &Access) -> Result<ResponseBytes, Failure> {
    access.revoke_everybody().await.map_err(Failure::unavailable)?;
    Ok(done_with(
        true,
        REVOKED,
        "every session and every token is revoked: all users have to log in again",
    ))
}

/// The body of `revoke_user`. Cloudflare's other fields are about devices, which are unsupported: they
/// may be `false`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeUser {
    email: String,
    #[serde(default)]
    devices: bool,
    #[serde(default)]
    warp_session_reauth: bool,
}

fn email_of(body: &Bytes) -> Result<Email, Failure> {
    let request: RevokeUser = serde_json::from_slice(body).map_err(|_| {
        Failure::bad_request("write the email address: {\"email\":\"ada@example.com\"}")
    })?;
    if request.devices || request.warp_session_reauth {
        return Err(Failure::bad_request("device sessions are not supported"));
    }
    request.email.parse().map_err(|_| Failure::bad_request(INVALID_EMAIL))
}

/// Returns whether a text has the form of a session id, so that no other text is recorded as revoked.
fn is_session_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (8..=128).contains(&id.len()) && id.bytes().all(is_plain)
}

pub(super) const INVALID_EMAIL: &str = "invalid email address";
const AT_ISSUER: &str =
    "tokens issued until now are revoked here; revoke the session at the issuer as well";
/// The code of a message that says what was revoked.
const REVOKED: u16 = 11_000;
/// The code of a message that nothing was live.
const NOTHING_LIVE: u16 = 11_001;
