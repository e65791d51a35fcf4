//! Ending sessions, and saying what that came to.

use bytes::Bytes;
use serde::Deserialize;

use crate::engine::Access;
use crate::identity::Email;
use crate::util::response::ResponseBytes;

use super::answer::{Failure, done_with};

/// Ends all sessions of the person whom the body names.
pub(super) async fn person(access: &Access, body: &Bytes) -> Result<ResponseBytes, Failure> {
    let email = person_named(body)?;
    let ended = access.revoke_user(&email).await.map_err(Failure::unavailable)?;
    let (code, message) = match ended {
        _ if access.key_rotation().is_none() => (ENDED, AT_ISSUER.to_owned()),
        0 => (
            NOTHING_TO_END,
            format!("nobody is logged in as `{email}`: is the address spelled as at the login?"),
        ),
        1 => (ENDED, "1 session was ended".to_owned()),
        sessions => (ENDED, format!("{sessions} sessions were ended")),
    };
    Ok(done_with(true, code, message))
}

/// Voids the tokens of the application that is called so.
pub(super) async fn application(access: &Access, called: &str) -> Result<ResponseBytes, Failure> {
    let audiences = access.audiences_called(called);
    let [audience] = &*audiences else {
        return Err(match audiences.len() {
            0 => Failure::not_found("there is no application of this id, audience tag or name"),
            _ => Failure::conflict(
                "several applications have this name; say the id or the audience tag",
            ),
        });
    };
    access.revoke_application(audience).await.map_err(Failure::unavailable)?;
    let message = format!(
        "tokens of `{called}` that were issued until now are void; sessions go on, and get new ones"
    );
    Ok(done_with(serde_json::json!({}), ENDED, message))
}

/// Ends one session.
pub(super) async fn session(access: &Access, id: &str) -> Result<ResponseBytes, Failure> {
    if !is_session_id(id) {
        return Err(Failure::not_found("this is no id of a session"));
    }
    let was_live = access.revoke_session(id).await.map_err(Failure::unavailable)?;
    let (code, message) = match was_live {
        true => (ENDED, "1 session was ended"),
        false if access.key_rotation().is_none() => (ENDED, AT_ISSUER),
        false => (NOTHING_TO_END, "there is no session of this id: `proxy sessions` lists them"),
    };
    Ok(done_with(serde_json::json!({ "id": id }), code, message))
}

/// Ends everything.
pub(super) async fn everybody(access: &Access) -> Result<ResponseBytes, Failure> {
    access.revoke_everybody().await.map_err(Failure::unavailable)?;
    Ok(done_with(true, ENDED, "every session and every token has ended: everybody logs in again"))
}

/// The body of `revoke_user`. What Cloudflare knows beside the address is about devices, and there
/// are none here: it may say that they are not meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeUser {
    email: String,
    #[serde(default)]
    devices: bool,
    #[serde(default)]
    warp_session_reauth: bool,
}

fn person_named(body: &Bytes) -> Result<Email, Failure> {
    let asked: RevokeUser = serde_json::from_slice(body).map_err(|_| {
        Failure::bad_request("write whom it is about: {\"email\":\"ada@example.com\"}")
    })?;
    if asked.devices || asked.warp_session_reauth {
        return Err(Failure::bad_request("there are no sessions of devices here"));
    }
    asked.email.parse().map_err(|_| Failure::bad_request(NO_ADDRESS))
}

/// What ids of sessions look like, so that no other text gets onto the list.
fn is_session_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (8..=128).contains(&id.len()) && id.bytes().all(is_plain)
}

pub(super) const NO_ADDRESS: &str = "this is not an email address";
const AT_ISSUER: &str = "tokens issued until now are void here; the session itself is the issuer's";
/// The message says what was ended.
const ENDED: u16 = 11_000;
/// The message says that nothing was there to end.
const NOTHING_TO_END: u16 = 11_001;
