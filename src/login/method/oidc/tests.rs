//! Asking a provider again, logging out there, and being told of a logout there.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::identity::ProviderGroup;
use crate::login::method::{Authenticated, Refreshed};
use crate::util::fetch::{FetchFuture, HttpError, Reply, Request};

pub(super) const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
pub(super) const ISSUER: &str = "https://idp.example";

/// A provider without a network.
pub(super) struct Double {
    key: EcdsaKeyPair,
    /// The answer of the token endpoint.
    pub(super) tokens: Mutex<Option<(u16, Value)>>,
    userinfo: Mutex<Option<Value>>,
    asked: Mutex<Vec<(String, String)>>,
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Double")
    }
}

impl Double {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            tokens: Mutex::default(),
            userinfo: Mutex::default(),
            asked: Mutex::default(),
        })
    }

    pub(super) fn sign(&self, typ: &str, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "ES256", "kid": "k", "typ": typ});
        let input = format!("{}.{}", part(&header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Answers a refresh with an ID token of these claims.
    pub(super) fn says(&self, more: &Value) {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let id_token = self.sign("JWT", &claims);
        self.returns(200, json!({"access_token": "a", "id_token": id_token}));
    }

    pub(super) fn returns(&self, status: u16, body: Value) {
        *self.tokens.lock().unwrap() = Some((status, body));
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn reply(&self, request: &Request) -> Option<(u16, Value)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = self.key.public_key().as_ref();
        Some(match request.url.path() {
            "/.well-known/openid-configuration" => (
                200,
                json!({"issuer": ISSUER, "authorization_endpoint": "https://idp.example/authorize",
                       "token_endpoint": "https://idp.example/token",
                       "userinfo_endpoint": "https://idp.example/userinfo",
                       "end_session_endpoint": "https://idp.example/logout?x=1",
                       "jwks_uri": "https://idp.example/keys",
                       "token_endpoint_auth_methods_supported": ["client_secret_post"]}),
            ),
            "/keys" => (
                200,
                json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k",
                                 "x": text(&point[1..33]), "y": text(&point[33..])}]}),
            ),
            "/token" => self.tokens.lock().unwrap().clone()?,
            "/userinfo" => (200, self.userinfo.lock().unwrap().clone()?),
            path => panic!("{path}"),
        })
    }
}

impl Fetch for Double {
    fn send(&self, request: Request) -> FetchFuture {
        let body = request.body.as_deref().unwrap_or_default();
        let asked = (request.url.path().to_owned(), String::from_utf8(body.to_vec()).unwrap());
        self.asked.lock().unwrap().push(asked);
        let reply = match self.reply(&request) {
            Some((status, body)) => Ok(Reply {
                status: StatusCode::from_u16(status).unwrap(),
                headers: HeaderMap::new(),
                body: body.to_string().into(),
            }),
            None => Err(HttpError::Exchange("connection refused".to_owned())),
        };
        Box::pin(std::future::ready(reply))
    }
}

pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "app", "sub": "u-1", "iat": NOW.as_unix_seconds(),
           "exp": NOW.as_unix_seconds() + 7_200, "email": "ada@example.com", "email_verified": true,
           "groups": ["ops"]})
}

pub(super) fn settings() -> OpenIdProvider {
    let secret = "hush".to_owned().into();
    OpenIdProvider::new("corp", ISSUER, "app", secret).unwrap().logs_out_at_provider()
}

fn method(double: &Arc<Double>) -> OidcMethod {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let context = MethodContext { clock: &clock };
    OidcMethod::with_client(settings(), &context, Arc::clone(double) as Arc<dyn Fetch>).unwrap()
}

fn account() -> ProviderAccount {
    ProviderAccount {
        subject: "u-1".into(),
        name: Some("Ada".into()),
        session: Some("s-1".into()),
        refresh_token: Some("r-1".to_owned().into()),
        id_token: Some("earlier.id.token".to_owned().into()),
    }
}

async fn refreshed(double: &Arc<Double>) -> Refreshed {
    method(double).refreshed(&account(), NOW).await
}

async fn user(double: &Arc<Double>) -> Authenticated {
    match refreshed(double).await {
        Refreshed::User(user) => *user,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refresh_says_what_the_user_is_now() {
    let double = Double::new();
    double.says(&json!({"groups": ["dev"], "name": "Ada L"}));
    let now = user(&double).await;
    assert_eq!(now.email.as_str(), "ada@example.com");
    let dev = ProviderGroup { name: Some("dev".into()), ..ProviderGroup::default() };
    assert_eq!(now.attributes.groups, Some(vec![dev]));
    let next = now.account.unwrap();
    // Without another one, the refresh token stays; so does what a refresh does not repeat.
    assert_eq!(next.refresh_token, account().refresh_token);
    assert_eq!((next.session.as_deref(), next.name.as_deref()), (Some("s-1"), Some("Ada L")));
    let asked = double.asked.lock().unwrap().clone();
    let form = &asked.iter().find(|(path, _)| path == "/token").unwrap().1;
    let expected = "grant_type=refresh_token&refresh_token=r-1&client_id=app&client_secret=hush";
    assert_eq!(form, expected);
    let id_token = double.sign("JWT", &claims());
    let body = json!({"access_token": "a", "id_token": id_token, "refresh_token": "r-2"});
    double.returns(200, body);
    let next = user(&double).await.account.unwrap();
    assert_eq!(next.refresh_token.unwrap().expose(), "r-2");
    assert_eq!(next.id_token.unwrap().expose(), id_token);
}

#[tokio::test]
async fn a_refresh_without_an_id_token_asks_the_userinfo_endpoint() {
    let double = Double::new();
    double.returns(200, json!({"access_token": "a", "refresh_token": "r-2"}));
    assert!(matches!(refreshed(&double).await, Refreshed::Unavailable), "it does not answer");
    *double.userinfo.lock().unwrap() = Some(claims());
    let now = user(&double).await;
    let next = now.account.unwrap();
    assert_eq!(now.email.as_str(), "ada@example.com");
    assert_eq!(next.refresh_token.unwrap().expose(), "r-2");
    assert_eq!(next.id_token, account().id_token);
    let mut other = claims();
    other["sub"] = json!("u-2");
    *double.userinfo.lock().unwrap() = Some(other);
    assert!(matches!(refreshed(&double).await, Refreshed::Ended));
}

#[tokio::test]
async fn a_refresh_ends_a_session_only_if_the_provider_says_so() {
    let double = Double::new();
    let error = |error: &str| json!({"error": error});
    for (status, body) in [(400, error("invalid_grant")), (200, error("invalid_grant"))] {
        double.returns(status, body);
        assert!(matches!(refreshed(&double).await, Refreshed::Ended));
    }
    // It is another user, or one who may not log in any more.
    for more in [json!({"sub": "u-2"}), json!({"email_verified": false}), json!({"email": ""})] {
        double.says(&more);
        assert!(matches!(refreshed(&double).await, Refreshed::Ended), "{more}");
    }
    assert!(matches!(refreshed(&Double::new()).await, Refreshed::Unavailable), "it is down");
    for (status, body) in [
        (401, error("invalid_client")),
        (400, error("temporarily_unavailable")),
        (500, json!({})),
        (200, json!("<html>")),
        (200, json!({"access_token": "a", "id_token": "x.y.z"})),
    ] {
        double.returns(status, body.clone());
        assert!(matches!(refreshed(&double).await, Refreshed::Unavailable), "{body}");
    }
    for more in [
        json!({"iss": "https://evil.example"}),
        json!({"aud": "other"}),
        json!({"exp": 1}),
        json!({"at_hash": "x"}),
    ] {
        double.says(&more);
        assert!(matches!(refreshed(&double).await, Refreshed::Unavailable), "{more}");
    }
    let nothing = ProviderAccount { refresh_token: None, ..account() };
    assert!(matches!(method(&double).refreshed(&nothing, NOW).await, Refreshed::Unavailable));
}

#[tokio::test]
async fn the_url_of_a_logout_at_the_provider_has_what_it_needs() {
    let double = Double::new();
    let method = method(&double);
    let back = "https://login.example/out?a=b";
    assert_eq!(method.sign_out_url(&account(), back), None, "nothing is known of it yet");
    method.discovery.provider(NOW).await.unwrap();
    let url = method.sign_out_url(&account(), back).unwrap();
    assert_eq!(
        url,
        "https://idp.example/logout?x=1&id_token_hint=earlier.id.token&client_id=app\
         &post_logout_redirect_uri=https%3A%2F%2Flogin.example%2Fout%3Fa%3Db"
    );
    let without = ProviderAccount { id_token: None, ..account() };
    assert!(!method.sign_out_url(&without, back).unwrap().contains("id_token_hint"));
}

#[tokio::test]
async fn a_logout_token_is_verified_and_those_for_others_cost_nothing() {
    let double = Double::new();
    let method = method(&double);
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let token = |more: Value| {
        let mut claims = json!({"iss": ISSUER, "aud": "app", "iat": NOW.as_unix_seconds(),
            "exp": NOW.as_unix_seconds() + 120, "jti": "j-1", "sid": "s-1", "events": event});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for other in [
        double.sign("logout+jwt", &token(json!({"iss": "https://other.example"}))),
        double.sign("logout+jwt", &token(json!({"aud": "other"}))),
        "x".to_owned(),
        "x.y.z".to_owned(),
        String::new(),
    ] {
        assert_eq!(method.verified_logout_token(&other, NOW).await, None);
    }
    assert_eq!(double.asked(), 0);
    for typ in ["logout+jwt", "JWT"] {
        let notice = method.verified_logout_token(&double.sign(typ, &token(json!({}))), NOW).await;
        let notice = notice.unwrap();
        assert_eq!((notice.session.as_deref(), notice.subject), (Some("s-1"), None));
        assert_eq!(&*notice.id, "j-1");
    }
    let forged = double.sign("logout+jwt", &token(json!({})));
    let (start, _) = forged.rsplit_once('.').unwrap();
    let other = Double::new().sign("logout+jwt", &token(json!({})));
    let (_, signature) = other.rsplit_once('.').unwrap();
    let forged = format!("{start}.{signature}");
    assert_eq!(method.verified_logout_token(&forged, NOW).await, None, "signed by another key");
    let at = double.sign("at+jwt", &token(json!({})));
    assert_eq!(method.verified_logout_token(&at, NOW).await, None, "of another type");
    let id_token = double.sign("JWT", &claims());
    assert_eq!(method.verified_logout_token(&id_token, NOW).await, None, "it is no logout token");
}
