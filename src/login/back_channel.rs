//! `backchannel-logout`: a provider says that a user has logged out there (OpenID Connect Back-Channel
//! Logout 1.0).
//!
//! The provider posts a signed token. It ends the sessions of the user, or only those that began with
//! one session at the provider, on all nodes. Sessions whose session at the provider is unknown end with
//! any of the user's. A token is accepted once. The request comes from the provider, not from a browser:
//! it needs no cookie, and has no origin.

use http::StatusCode;
use serde_json::json;

use crate::application::MAX_SESSION_DURATION;
use crate::clock::Timestamp;
use crate::random::to_hex;
use crate::secret::sha256;
use crate::store::StoreError;
use crate::util::response::{ResponseBytes, empty, json as json_answer};

use super::method::LogoutNotice;
use super::{EndpointRequest, Login};

impl Login {
    /// Handles the request of a provider. Responds with JSON to errors, because a program reads it.
    pub(super) async fn back_channel_logout(&self, request: &EndpointRequest) -> ResponseBytes {
        let form = request.form().ok();
        let token = form.as_ref().and_then(|form| form.required("logout_token").ok());
        let Some(token) = token else {
            return refuse(StatusCode::BAD_REQUEST, "invalid_request", "no logout_token");
        };
        let notices = self.logout_notices(token, request.now).await;
        if notices.is_empty() {
            // What is wrong with it, is in the log.
            return refuse(StatusCode::BAD_REQUEST, "invalid_request", "the token is not valid");
        }
        let mut is_new = false;
        for (method, notice) in &notices {
            match self.end_by_notice(method, notice, request.now).await {
                Ok(is_first) => is_new |= is_first,
                Err(error) => {
                    tracing::error!(%error, method, "a logout at a provider could not be applied");
                    let status = StatusCode::SERVICE_UNAVAILABLE;
                    return refuse(status, "temporarily_unavailable", "try again");
                }
            }
        }
        if is_new {
            return empty(StatusCode::OK);
        }
        tracing::warn!("a logout token of a provider was used before: refused");
        refuse(StatusCode::BAD_REQUEST, "invalid_request", "the token was used before")
    }

    /// Returns the notice in a token for each login method that accepts it, with the id of the method.
    /// Several may have one provider and one client.
    async fn logout_notices(&self, token: &str, now: Timestamp) -> Vec<(String, LogoutNotice)> {
        let mut notices = Vec::new();
        for method in self.methods.iter() {
            if let Some(notice) = method.logout_notice(token, now).await {
                notices.push((method.id().to_owned(), notice));
            }
        }
        notices
    }

    /// Ends the sessions that a notice names. Returns `false` if the notice was used before.
    async fn end_by_notice(
        &self,
        method: &str,
        notice: &LogoutNotice,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = used_key(method, notice);
        // Longer than the notice counts: the clocks of nodes may differ.
        let lifetime = notice.expires_at.plus(CLOCK_DIFFERENCE).since(now);
        let lifetime = lifetime.clamp(CLOCK_DIFFERENCE, MAX_SESSION_DURATION);
        if self.store.get(&key).await?.is_some() {
            return Ok(false);
        }
        self.end_sessions_of(method, notice, now).await?;
        // Last: a request that is cut off before may be sent again.
        self.store.insert(&key, bytes::Bytes::new(), lifetime).await
    }

    async fn end_sessions_of(
        &self,
        method: &str,
        notice: &LogoutNotice,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let who = (notice.subject.as_deref(), notice.session.as_deref());
        for session in self.sessions.for_account(method, who, now).await? {
            self.end_for_provider(&session, LOGGED_OUT, now).await?;
        }
        Ok(())
    }
}

fn used_key(method: &str, notice: &LogoutNotice) -> String {
    // The length keeps the two names apart.
    let name = format!("{}/{method}/{}", method.len(), notice.id);
    format!("logout-notice/{}", to_hex(&sha256(name.as_bytes())))
}

fn refuse(status: StatusCode, error: &str, description: &str) -> ResponseBytes {
    let text = json!({ "error": error, "error_description": description });
    json_answer(status, text.to_string().into())
}

const LOGGED_OUT: &str = "the user has logged out at the identity provider";
const CLOCK_DIFFERENCE: std::time::Duration = std::time::Duration::from_secs(120);
