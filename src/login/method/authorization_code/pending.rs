//! A login that waits for the provider's answer, sealed into `state`.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{AuthorizationCode, AuthorizationKeys, redirect_uri};
use crate::clock::Timestamp;
use crate::login::meta::hash;
use crate::login::purpose::Purpose;
use crate::login::redirect::MAX_SHORT_TARGET_BYTES;
use crate::login::{EndpointRequest, Flow, Login, Refusal, write_record};
use crate::random;
use crate::secret::{equal, sha256, tag};
use crate::session::cookie;
use crate::store::StoreError;

/// A login that waits for the provider's answer.
#[derive(Debug, Deserialize, Serialize)]
pub(in crate::login::method) struct Pending {
    /// Random. The verifier and the nonce are derived from it.
    pub(super) id: String,
    /// Hash of the cookie of the browser that began.
    pub(super) browser: String,
    /// In seconds since 1970.
    pub(super) begun_at: u64,
    pub(in crate::login::method) flow: Flow,
    /// Whether the provider did not accept the code of the first round.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_second_round: bool,
}

impl Pending {
    /// Returns the PKCE verifier (RFC 7636): 43 characters.
    pub(in crate::login::method) fn verifier(&self, login: &Login) -> String {
        self.derived(&keys(login).verifier)
    }

    /// Returns the nonce that the ID token must have.
    pub(in crate::login::method) fn nonce(&self, login: &Login) -> String {
        self.derived(&keys(login).nonce)
    }

    fn derived(&self, key: &hmac::Key) -> String {
        URL_SAFE_NO_PAD.encode(tag(key, &[self.id.as_bytes()]))
    }

    /// Returns whether the browser of a request has begun this login.
    pub(super) fn is_of_browser(&self, request: &EndpointRequest) -> bool {
        let is_own = |browser: &str| equal(self.browser.as_bytes(), hash(browser).as_bytes());
        request.random_cookies(cookie::SESSION).any(is_own)
    }

    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        let begun_at = Timestamp::from_unix_seconds(self.begun_at);
        now.since(begun_at) >= LIFETIME || begun_at.since(now) > MAX_CLOCK_DIFFERENCE
    }
}

/// A login that has just begun: the parameters of the authorization request.
#[derive(Debug)]
pub(in crate::login::method) struct Begun {
    pub(in crate::login::method) state: String,
    pub(in crate::login::method) code_challenge: String,
    pub(in crate::login::method) nonce: String,
    pub(in crate::login::method) redirect_uri: String,
}

impl Begun {
    /// Returns the URL of the provider's authorization endpoint with the parameters of every request,
    /// and these. Parameters that the endpoint's URL already has stay, unless they are among these.
    pub(in crate::login::method) fn authorization_url(
        &self,
        endpoint: &Url,
        client_id: &str,
        more: &[(&str, &str)],
    ) -> String {
        let ours = [
            ("response_type", "code"),
            ("client_id", client_id),
            ("redirect_uri", &self.redirect_uri),
            ("state", &self.state),
            ("code_challenge", &self.code_challenge),
            ("code_challenge_method", "S256"),
        ];
        let parameters: Vec<_> = ours.into_iter().chain(more.iter().copied()).collect();
        let kept: Vec<(String, String)> = endpoint
            .query_pairs()
            .filter(|(name, _)| parameters.iter().all(|(ours, _)| name != ours))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut url = endpoint.clone();
        url.set_query(None);
        url.query_pairs_mut().extend_pairs(kept).extend_pairs(parameters);
        url.into()
    }
}

impl AuthorizationCode {
    /// Begins a login. Creates no record, unless the return target is long.
    pub(in crate::login::method) async fn begin(
        &self,
        login: &Login,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        browser: &str,
    ) -> Result<Begun, Refusal> {
        let network = request.sender.address;
        let flow = login.fit_for_seal(purpose.flow.clone(), network, request.now).await?;
        // The store has no room for a long target, which would not fit into the provider's URL.
        let flow = if flow.target.encoded_len() > MAX_SHORT_TARGET_BYTES {
            flow.shortened(MAX_SHORT_TARGET_BYTES)
        } else {
            flow
        };
        let pending = Pending {
            id: random::hex::<16>(&*login.random)?,
            browser: hash(browser),
            begun_at: request.now.as_unix_seconds(),
            flow,
            is_second_round: false,
        };
        self.sealed(login, request, &pending)
    }

    /// Begins a login again whose code the provider did not accept. Returns `None` the second time.
    #[cfg_attr(not(feature = "github"), allow(dead_code, reason = "nothing else needs it"))]
    pub(in crate::login::method) fn begin_again(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
    ) -> Result<Option<Begun>, Refusal> {
        if pending.is_second_round {
            return Ok(None);
        }
        let pending = Pending {
            id: random::hex::<16>(&*login.random)?,
            browser: pending.browser.clone(),
            begun_at: request.now.as_unix_seconds(),
            flow: pending.flow.clone(),
            is_second_round: true,
        };
        self.sealed(login, request, &pending).map(Some)
    }

    fn sealed(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
    ) -> Result<Begun, Refusal> {
        let text = write_record(pending)?;
        let sealed = keys(login).state.close(&self.seal_name(), &text, &*login.random);
        let sealed = URL_SAFE_NO_PAD.encode(sealed.map_err(StoreError::new)?);
        let challenge = sha256(pending.verifier(login).as_bytes());
        Ok(Begun {
            state: format!("{}.{sealed}", method_mark(&self.method)),
            code_challenge: URL_SAFE_NO_PAD.encode(challenge),
            nonce: pending.nonce(login),
            redirect_uri: redirect_uri(login, request),
        })
    }

    /// Opens a state of this method. Whose login it is, and its age, are not checked.
    pub(super) fn open(&self, login: &Login, state: &str) -> Option<Pending> {
        if state.len() > MAX_STATE || !is_of_method(state, &self.method) {
            return None;
        }
        let (_, sealed) = state.split_once('.')?;
        let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let text = keys(login).state.open(&self.seal_name(), &sealed).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// A state that was sealed for one method does not open for another.
    fn seal_name(&self) -> String {
        format!("login method {}", self.method)
    }
}

fn keys(login: &Login) -> &AuthorizationKeys {
    &login.keys.methods.authorization_code
}

/// Returns whether a state names this method: it begins with the method's mark.
pub(super) fn is_of_method(state: &str, method: &str) -> bool {
    state.split_once('.').is_some_and(|(mark, _)| mark == method_mark(method))
}

/// A short mark of a method's id, which says whom a state belongs to before it is opened. It proves
/// nothing: the seal is bound to the id.
fn method_mark(method: &str) -> String {
    let mark = sha256(method.as_bytes());
    URL_SAFE_NO_PAD.encode(mark.get(..9).unwrap_or_default())
}

/// How long a user has at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(1800);
/// Between two nodes.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);
/// Several times the longest state.
const MAX_STATE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_of_the_endpoint_stay_and_ours_win() {
        let begun = Begun {
            state: "a.b".to_owned(),
            code_challenge: "c".to_owned(),
            nonce: "n".to_owned(),
            redirect_uri: "https://login.example/cb?x".to_owned(),
        };
        let endpoint =
            Url::parse("https://idp.example/auth?tenant=a%26b&state=theirs&scope=all").unwrap();
        let url = begun.authorization_url(&endpoint, "id", &[("scope", "openid email")]);
        assert_eq!(
            url,
            "https://idp.example/auth?tenant=a%26b&response_type=code&client_id=id\
             &redirect_uri=https%3A%2F%2Flogin.example%2Fcb%3Fx&state=a.b&code_challenge=c\
             &code_challenge_method=S256&scope=openid+email"
        );
    }

    #[test]
    fn the_mark_of_a_method_is_not_that_of_another() {
        let state = format!("{}.x", method_mark("corp"));
        assert!(is_of_method(&state, "corp"));
        for (state, method) in
            [(&*state, "corp2"), ("", ""), (".", ""), ("x", "x"), ("corp.x", "corp")]
        {
            assert!(!is_of_method(state, method), "{state} {method}");
        }
    }
}
