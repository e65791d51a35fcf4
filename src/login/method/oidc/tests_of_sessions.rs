//! Sessions by an OpenID provider, until the provider changes its mind or the user logs out.

use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::tests::{Double, ISSUER, NOW, claims, settings};
use super::*;
use crate::Access;
use crate::login::method::provider::ProviderSettings;
use crate::login::method::tests::{Browser, NoMail, TEAM, World, application, location, rule};
use crate::login::method::{IdentityProvider, MethodSettings};
use crate::policy::{Policy, Rule};
use crate::secret::MasterSecret;
use crate::store::MemoryStore;

/// The settings of a method that asks the double.
#[derive(Debug)]
struct Settings(OpenIdProvider, Arc<Double>);

impl ProviderSettings for Settings {
    fn id(&self) -> &str {
        ProviderSettings::id(&self.0)
    }

    fn name(&self) -> &str {
        ProviderSettings::name(&self.0)
    }

    fn kind(&self) -> &str {
        self.0.kind()
    }

    fn build(&self, context: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        let client = Arc::clone(&self.1) as Arc<dyn Fetch>;
        Ok(Arc::new(OidcMethod::with_client(self.0.clone(), context, client)?))
    }
}

/// A node where `ops` needs the group and `open` only the provider.
async fn node(world: &World, double: &Arc<Double>) -> Access {
    let mut methods = MethodSettings::default();
    methods.add(IdentityProvider::new(Settings(settings(), Arc::clone(double))));
    let ops = rule(json!({ "okta": { "name": "ops", "identity_provider_id": "corp" } }));
    let by_password = Rule::auth_method("pwd");
    let at = |name: &str, policy: Policy| {
        application(name, policy).allowed_login_method("corp").auto_redirect_to_identity()
    };
    Access::builder()
        .login_methods(methods)
        .mailer(NoMail)
        .clock(Arc::clone(&world.clock))
        .store(Arc::<MemoryStore>::clone(&world.store))
        .master_secret(MasterSecret::from_bytes([7; 32]))
        .team_domain(TEAM.parse().unwrap())
        .application(at("ops", Policy::allow("ops").include(ops)))
        .application(at("open", Policy::allow("all").include(by_password)))
        .build_persistent()
        .await
        .unwrap()
}

async fn follow(browser: &mut Browser<'_>, url: &str) -> Response<String> {
    let mut answer = browser.get(url).await;
    for _ in 0..6 {
        if answer.status() != StatusCode::FOUND {
            break;
        }
        answer = browser.get(&location(&answer)).await;
    }
    answer
}

/// A browser whose user has logged in by the provider.
async fn logged_in<'a>(node: &'a Access, double: &Double) -> Browser<'a> {
    let mut browser = Browser::new(node);
    let login = location(&browser.get("https://open.example/docs").await);
    let at_provider = url::Url::parse(&location(&browser.get(&login).await)).unwrap();
    let parameter = |name: &str| {
        let mut pairs = at_provider.query_pairs();
        pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    let mut claims = claims();
    let more = json!({"nonce": parameter("nonce"), "sid": "s-1", "amr": ["pwd"]});
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let id_token = double.sign("JWT", &claims);
    let tokens = json!({"access_token": "a", "id_token": id_token, "refresh_token": "r-1"});
    double.returns(200, tokens);
    let state = parameter("state");
    let callback = format!("https://{TEAM}/cdn-cgi/access/callback?code=c&state={state}");
    let answer = follow(&mut browser, &callback).await;
    assert_eq!((answer.status(), &**answer.body()), (StatusCode::OK, "ada@example.com"));
    assert_eq!(follow(&mut browser, "https://ops.example/").await.status(), StatusCode::OK);
    browser
}

async fn refresh(world: &World, node: &Access) {
    world.clock.advance(Duration::from_secs(900));
    let engine = node.engine_owned();
    engine.login().unwrap().refresh_due(engine.now()).await;
}

#[tokio::test]
async fn who_is_removed_from_a_group_loses_access_and_who_is_disabled_the_session() {
    let (world, double) = (World::new(), Double::new());
    let node = node(&world, &double).await;
    let mut ada = logged_in(&node, &double).await;
    double.says(&json!({"groups": ["dev"]}));
    refresh(&world, &node).await;
    assert_ne!(ada.status("ops").await, StatusCode::OK);
    // The provider does not repeat how the user has logged in.
    assert_eq!(ada.status("open").await, StatusCode::OK);
    // While it does not respond, nothing changes.
    *double.tokens.lock().unwrap() = None;
    refresh(&world, &node).await;
    assert_eq!(ada.status("open").await, StatusCode::OK);
    double.says(&json!({"groups": ["ops"]}));
    refresh(&world, &node).await;
    assert_eq!(follow(&mut ada, "https://ops.example/").await.status(), StatusCode::OK);
    double.returns(400, json!({"error": "invalid_grant"}));
    refresh(&world, &node).await;
    assert_ne!(ada.status("open").await, StatusCode::OK);
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here() {
    let (world, double) = (World::new(), Double::new());
    let node = node(&world, &double).await;
    let mut ada = logged_in(&node, &double).await;
    let event = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = json!({"iss": ISSUER, "aud": "app", "iat": NOW.as_unix_seconds(), "jti": "j-1",
                        "sub": "u-1", "sid": "s-1", "events": event});
    let notify = async |claims: &Value| {
        let url = format!("https://{TEAM}/cdn-cgi/access/backchannel-logout");
        let form = format!("logout_token={}", double.sign("logout+jwt", claims));
        Browser::new(&node).ask(Method::POST, &url, &form).await.status()
    };
    let mut foreign = claims.clone();
    foreign["aud"] = json!("another client");
    assert_eq!(notify(&foreign).await, StatusCode::BAD_REQUEST);
    assert_eq!(ada.status("open").await, StatusCode::OK);
    assert_eq!(notify(&claims).await, StatusCode::OK);
    assert_ne!(ada.status("open").await, StatusCode::OK);
    assert_eq!(notify(&claims).await, StatusCode::BAD_REQUEST, "each counts once");
}

#[tokio::test]
async fn a_logout_here_goes_on_to_the_provider() {
    let (world, double) = (World::new(), Double::new());
    let node = node(&world, &double).await;
    let mut ada = logged_in(&node, &double).await;
    let url = format!("https://{TEAM}/cdn-cgi/access/logout");
    let answer = ada.ask(Method::POST, &url, "").await;
    let to = location(&answer);
    assert!(to.starts_with("https://idp.example/logout?x=1&id_token_hint="), "{to}");
    assert!(to.contains("&post_logout_redirect_uri=https%3A%2F%2Flogin.example%2F"), "{to}");
    assert_ne!(ada.status("open").await, StatusCode::OK);
}
