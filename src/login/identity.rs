//! `get-identity`: the identity of a token's bearer, as JSON (section 12).

use std::time::Duration;

use http::StatusCode;
use http::header::HeaderMap;
use serde_json::json;

use crate::clock::Timestamp;
use crate::headers;
use crate::identity::Subject;
use crate::session::{Session, cookie};
use crate::token::{Claims, Expected, Jws, TokenKind, check_claims};
use crate::util::response::{ResponseBytes, json as json_answer};

use super::{EndpointRequest, Login, Refusal};

impl Login {
    /// Handles `get-identity`. Responds with JSON in all cases, because programs read it.
    pub(super) async fn identity(&self, request: &EndpointRequest) -> ResponseBytes {
        match self.bearer_identity(request).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(?error, "get-identity failed: the session cannot be read");
                refuse(StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
        }
    }

    async fn bearer_identity(&self, request: &EndpointRequest) -> Result<ResponseBytes, Refusal> {
        let mut presented = tokens(&request.headers).peekable();
        if presented.peek().is_none() {
            return Ok(refuse(StatusCode::BAD_REQUEST, "no app token set"));
        }
        let Some(claims) = presented.find_map(|token| self.valid_claims(token, request)) else {
            return Ok(refuse(StatusCode::UNAUTHORIZED, "invalid app token"));
        };
        let text = match claims.subject() {
            Ok(Subject::User { .. }) => {
                let id = claims.identity_nonce.as_deref().unwrap_or_default();
                match self.live_session(id, request.now).await? {
                    Some(session) => identity_object(&session),
                    None => return Ok(refuse(StatusCode::UNAUTHORIZED, "invalid app token")),
                }
            }
            Ok(Subject::Service { client_id })
                if self.is_valid_service_token(&client_id, &claims, request.now) =>
            {
                service(&client_id, &claims)
            }
            Ok(Subject::IncompleteUser { .. } | Subject::Service { .. }) | Err(_) => {
                return Ok(refuse(StatusCode::UNAUTHORIZED, "invalid app token"));
            }
        };
        Ok(json_answer(StatusCode::OK, text.to_string().into()))
    }

    /// Returns whether the service token behind a token is still valid.
    fn is_valid_service_token(&self, client_id: &str, claims: &Claims, now: Timestamp) -> bool {
        let made_at = Timestamp::from_unix_seconds(claims.iat);
        self.service_tokens.is_valid(client_id, made_at, now) == Some(true)
    }

    /// Returns the claims of a token that is valid on this host: an application token of one of the
    /// host's applications, or on the team domain of any application, or a session token.
    fn valid_claims(&self, token: &str, request: &EndpointRequest) -> Option<Claims> {
        let claims = Jws::parse(token).ok()?.verify(&self.issuer.keys(request.now)).ok()?;
        let issuer = self.issuer_name(&request.host);
        let on_team_domain = *self.team_host(&request.host) == request.host;
        let audiences = self.directory.audiences_for(request.host.as_str(), on_team_domain);
        let good = |audience: &str, kind| {
            let expected =
                Expected { issuer: &issuer, audiences: &[audience], kind, leeway: Duration::ZERO };
            check_claims(&claims, expected, request.now).is_ok()
                && !self.is_revoked(&claims, audience)
        };
        let opens = audiences.into_iter().any(|audience| good(audience, TokenKind::Application))
            || on_team_domain && good(&issuer, TokenKind::Session);
        opens.then_some(claims)
    }
}

/// Returns the tokens of a request: cookies first, then the header that origins add.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let assertion = headers.get(headers::JWT_ASSERTION).and_then(|line| line.to_str().ok());
    cookie::values(headers, cookie::AUTHORIZATION).chain(assertion)
}

/// Returns the identity object of a user, without attributes that the login method did not provide.
pub(super) fn identity_object(session: &Session) -> serde_json::Value {
    let mut identity = session_identity(session);
    let known = session.attributes();
    let contexts = known.authentication_contexts.as_ref().filter(|contexts| !contexts.is_empty());
    let told = [
        ("amr", known.authentication_methods.as_ref().map(|it| json!(it))),
        ("acrs", contexts.map(|it| json!(it))),
        ("groups", known.groups.as_ref().map(|it| json!(it))),
        // Not Cloudflare's.
        ("organizations", known.organizations.as_ref().map(|it| json!(it))),
        ("organizations_are_partial", known.organizations_are_partial.then_some(json!(true))),
        ("oidc_fields", known.oidc_claims.as_ref().map(|it| json!(it))),
        ("saml_attributes", known.saml_attributes.as_ref().map(|it| json!(it))),
    ];
    for (name, value) in told {
        if let (Some(members), Some(value)) = (identity.as_object_mut(), value) {
            members.insert(name.to_owned(), value);
        }
    }
    identity
}

fn session_identity(session: &Session) -> serde_json::Value {
    let account = session.account();
    let id = account.map_or(session.user_id.as_str(), |account| &*account.subject);
    let name = account.and_then(|account| account.name.as_deref());
    json!({
        "id": id,
        "name": name.unwrap_or(session.email.as_str()),
        "email": session.email,
        "idp": { "id": session.login.method.id, "type": session.login.method.kind },
        "geo": { "country": session.country },
        "user_uuid": session.user_id,
        "account_id": "",
        "iat": session.started_at,
        "ip": session.address.map(|address| address.to_string()).unwrap_or_default(),
        "auth_status": "NONE",
        "common_name": "",
        "service_token_id": "",
        "service_token_status": false,
        "is_warp": false,
        "is_gateway": false,
        "gateway_account_id": "",
        "device_id": "",
        "devicePosture": {},
        "device_sessions": {},
        "mtls_auth": {
            "auth_status": "NONE", "cert_issuer_dn": "", "cert_issuer_ski": "",
            "cert_presented": false, "cert_serial": ""
        },
        "version": 2,
    })
}

fn service(client_id: &str, claims: &Claims) -> serde_json::Value {
    json!({
        "id": "", "name": client_id, "email": "", "amr": [], "groups": [],
        "common_name": client_id,
        "service_token_id": client_id,
        "service_token_status": true,
        "auth_status": "NONE",
        "iat": Timestamp::from_unix_seconds(claims.iat).as_unix_seconds(),
        "version": 2,
    })
}

fn refuse(status: StatusCode, reason: &str) -> ResponseBytes {
    json_answer(status, json!({ "err": reason }).to_string().into())
}
