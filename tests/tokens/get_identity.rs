//! What an issuer knows of people: from the claim `custom` of their tokens, and from `get-identity`
//! over real sockets.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::Application;
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::test_util::TestIssuer;
use tower_access::{AccessLayer, VerifierBuilder};

use crate::support::sockets::{Act, Arrived, Server};
use crate::support::{Origin, send};

const HOST: &str = "wiki.example.com";
const ADA: &str = "ada@example.com";
const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any cool-down.
const A_WHILE: Duration = Duration::from_secs(11);

type Service = AccessService<Origin>;

fn rule(json: Value) -> Rule {
    serde_json::from_value(json).unwrap()
}

fn wiki(policies: &[Policy]) -> Application {
    let wiki = Application::new("Wiki", HOST).unwrap();
    let wiki = wiki.audience(TestIssuer::AUDIENCE.parse().unwrap());
    policies.iter().cloned().fold(wiki, Application::policy)
}

fn layers(builder: VerifierBuilder) -> Service {
    AccessLayer::new(builder.build().unwrap()).layer(Origin::default())
}

async fn ask(service: &Service, token: &str) -> u16 {
    let request = Request::get("/")
        .header("host", HOST)
        .header("cf-access-jwt-assertion", token)
        .body(Full::default())
        .unwrap();
    send(service, request).await.status().as_u16()
}

/// A team domain under the test's control.
#[derive(Clone)]
struct Team {
    server: Server,
    act: Arc<Mutex<Act>>,
    asked: Arc<Mutex<Vec<Arrived>>>,
}

impl Team {
    async fn start(identity: &Value) -> Self {
        let act = Arc::new(Mutex::new(Act::json(identity.to_string())));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let decide = {
            let (act, asked) = (Arc::clone(&act), Arc::clone(&asked));
            move |arrived: &Arrived| {
                asked.lock().unwrap().push(arrived.clone());
                act.lock().unwrap().clone()
            }
        };
        Self { server: Server::start(decide).await, act, asked }
    }

    fn says(&self, identity: &Value) {
        self.does(Act::json(identity.to_string()));
    }

    fn does(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn url(&self) -> String {
        self.server.url("/cdn-cgi/access/get-identity")
    }

    /// An origin behind this team.
    fn origin(&self, issuer: &TestIssuer, policies: &[Policy]) -> Service {
        let builder = issuer.verifier_builder().application(wiki(policies));
        layers(builder.get_identity_at(self.url()))
    }
}

/// Asks until the status is this one.
async fn becomes(service: &Service, token: &str, status: u16) {
    let begun = Instant::now();
    while ask(service, token).await != status {
        assert!(begun.elapsed() < Duration::from_secs(10), "it does not become {status}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn ada() -> Value {
    json!({
        "email": ADA,
        "idp": { "id": "0d9c3a4e", "type": "okta" },
        "amr": ["pwd", "mfa"],
        "groups": [{ "id": "g-1", "name": "Ops" }, "Dev"],
        "oidc_fields": { "department": "r-and-d" },
        "saml_attributes": {},
        "devicePosture": { "a1b2": { "success": true }, "c3d4": { "success": false } },
    })
}

#[tokio::test]
async fn claims_of_the_token_are_facts_and_the_login_method_is_not() {
    let issuer = TestIssuer::new();
    let dept = |claim: &str| json!({ "claim_name": claim, "claim_value": "ops" });
    let of_provider =
        json!({ "claim_name": "dept", "claim_value": "ops", "identity_provider_id": "x" });
    let saml = json!({ "attribute_name": "dept", "attribute_value": "ops" });
    let custom = json!({ "dept": "ops", "level": 7, "groups": ["ops", "dev"] });
    let token = issuer.token_with_custom_claims(ADA, &custom);
    let plain = issuer.token_for(ADA);
    let odd = issuer.token_with_custom_claims(ADA, &json!("no object"));
    for (rule_json, expected) in [
        (json!({ "oidc": dept("dept") }), 200),
        (json!({ "saml": saml }), 200),
        (json!({ "oidc": dept("groups") }), 200),
        (json!({ "oidc": of_provider }), 403),
        (json!({ "oidc": { "claim_name": "dept", "claim_value": "dev" } }), 403),
        (json!({ "oidc": { "claim_name": "level", "claim_value": "7" } }), 403),
        (json!({ "oidc": { "claim_name": "missing", "claim_value": "ops" } }), 403),
    ] {
        let policies = [Policy::allow("p").include(rule(rule_json.clone()))];
        let service = layers(issuer.verifier_builder().application(wiki(&policies)));
        for _ in 0..3 {
            assert_eq!(ask(&service, &token).await, expected, "{rule_json}");
        }
        for token in [&plain, &odd] {
            assert_eq!(ask(&service, token).await, 403, "{rule_json}");
        }
    }
    // Where it keeps out, a claim has to say for certain that somebody is not meant.
    for (rule_json, expected) in [
        (json!({ "oidc": { "claim_name": "dept", "claim_value": "dev" } }), 200),
        (json!({ "oidc": { "claim_name": "dept", "claim_value": "ops" } }), 403),
        // Long claims are cut.
        (json!({ "oidc": { "claim_name": "groups", "claim_value": "sales" } }), 403),
        (json!({ "oidc": { "claim_name": "missing", "claim_value": "ops" } }), 403),
    ] {
        let everybody = Policy::allow("p").include(Rule::everyone());
        let policies = [everybody.exclude(rule(rule_json.clone()))];
        let service = layers(issuer.verifier_builder().application(wiki(&policies)));
        assert_eq!(ask(&service, &token).await, expected, "{rule_json}");
    }
}

#[tokio::test]
async fn the_issuer_is_asked_with_the_token_and_tells_what_policies_ask_for() {
    let issuer = TestIssuer::new();
    let team = Team::start(&ada()).await;
    let token = issuer.token_for(ADA);
    for (number, (rule_json, expected)) in [
        (json!({ "login_method": { "id": "0d9c3a4e" } }), 200),
        (json!({ "login_method": { "id": "another" } }), 403),
        (json!({ "auth_method": { "auth_method": "mfa" } }), 200),
        (json!({ "okta": { "name": "Ops", "identity_provider_id": "0d9c3a4e" } }), 200),
        (json!({ "okta": { "name": "Dev" } }), 200),
        (json!({ "okta": { "name": "Ops", "identity_provider_id": "another" } }), 403),
        (json!({ "azureAD": { "id": "g-1" } }), 200),
        (json!({ "oidc": { "claim_name": "department", "claim_value": "r-and-d" } }), 200),
        (json!({ "saml": { "attribute_name": "department", "attribute_value": "r-and-d" } }), 403),
        (json!({ "device_posture": { "integration_uid": "a1b2" } }), 200),
        (json!({ "device_posture": { "integration_uid": "c3d4" } }), 403),
    ]
    .into_iter()
    .enumerate()
    {
        let service = team.origin(&issuer, &[Policy::allow("p").include(rule(rule_json.clone()))]);
        assert_eq!(ask(&service, &token).await, expected, "{rule_json}");
        assert_eq!(ask(&service, &token).await, expected, "{rule_json}");
        assert_eq!(team.asked(), number + 1, "once for each engine");
    }
    let arrived = team.asked.lock().unwrap()[0].clone();
    assert_eq!(arrived.path(), "/cdn-cgi/access/get-identity");
    assert_eq!(arrived.header("cookie"), Some(&*format!("CF_Authorization={token}")));
    assert!(arrived.header("cf-access-jwt-assertion").is_none());
}

#[tokio::test]
async fn the_issuer_is_not_asked_for_what_nobody_wants_to_know() {
    let issuer = TestIssuer::new();
    let team = Team::start(&ada()).await;
    let services = Policy::service_auth("ci").include(Rule::any_valid_service_token());
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let service = team.origin(&issuer, &[services.clone(), staff]);
    assert_eq!(ask(&service, &issuer.token_for(ADA)).await, 200);
    let mfa = Policy::allow("p").include(rule(json!({ "auth_method": { "auth_method": "mfa" } })));
    let service = team.origin(&issuer, &[services, mfa]);
    // A service is nobody the issuer could tell of; a bad token is nobody's.
    assert_eq!(ask(&service, &issuer.token_for_service("ci.access")).await, 200);
    let good = issuer.token_for(ADA);
    let bad = format!("{}.AAAA", good.rsplit_once('.').unwrap().0);
    assert_eq!(ask(&service, &bad).await, 401);
    assert_eq!(team.asked(), 0);
}

#[tokio::test]
async fn all_first_requests_of_a_token_share_one_question_and_it_is_asked_again() {
    let issuer = TestIssuer::new();
    let team = Team::start(&ada()).await;
    let in_ops = Policy::allow("ops").include(rule(json!({ "okta": { "name": "Ops" } })));
    let service = team.origin(&issuer, &[in_ops]);
    let token = issuer.token_for(ADA);
    let statuses = join_all((0..50).map(|_| ask(&service, &token))).await;
    assert_eq!(statuses, vec![200; 50]);
    assert_eq!(team.asked(), 1);

    // Out of the group: the old answer counts until the new one is there.
    let mut left = ada();
    left["groups"] = json!([]);
    team.says(&left);
    issuer.clock().advance(4 * MINUTE);
    assert_eq!(ask(&service, &token).await, 200);
    assert_eq!(team.asked(), 1);
    issuer.clock().advance(MINUTE);
    assert_eq!(ask(&service, &token).await, 200);
    becomes(&service, &token, 403).await;
    assert_eq!(team.asked(), 2);

    // Another token of the same person is asked about by itself.
    team.says(&ada());
    let mut claims = issuer.claims_for(ADA);
    claims.identity_nonce = Some("another session".to_owned());
    assert_eq!(ask(&service, &issuer.sign(&claims)).await, 200);
    assert_eq!(ask(&service, &token).await, 403);
    assert_eq!(team.asked(), 3);
}

#[tokio::test]
async fn pol_06_without_a_good_answer_the_facts_are_unknown() {
    let issuer = TestIssuer::new();
    let mut eve = ada();
    eve["email"] = json!("eve@example.com");
    let mut nobody = ada();
    nobody.as_object_mut().unwrap().remove("email");
    let with_redirect = Act::Answer {
        status: "302 Found",
        headers: "location: /cdn-cgi/access/get-identity\r\n".to_owned(),
        body: ada().to_string().into(),
    };
    let mut large = ada();
    large["more"] = json!("x".repeat(300_000));
    let acts = [
        Act::Close,
        Act::status("400 Bad Request"),
        Act::status("401 Unauthorized"),
        Act::Answer {
            status: "500 Internal Server Error",
            headers: String::new(),
            body: ada().to_string().into(),
        },
        with_redirect,
        Act::Flood,
        Act::json(large.to_string()),
        Act::json("not json"),
        Act::json("[]"),
        Act::json("{}"),
        Act::json(eve.to_string()),
        Act::json(nobody.to_string()),
    ];
    let mfa = || rule(json!({ "auth_method": { "auth_method": "mfa" } }));
    let hwk = || rule(json!({ "auth_method": { "auth_method": "hwk" } }));
    for act in acts {
        let team = Team::start(&ada()).await;
        team.does(act.clone());
        let token = issuer.token_for(ADA);
        let include = team.origin(&issuer, &[Policy::allow("p").include(mfa())]);
        let exclude =
            team.origin(&issuer, &[Policy::allow("p").include(Rule::everyone()).exclude(hwk())]);
        let shown = format!("{act:.200?}");
        for service in [&include, &exclude] {
            assert_eq!(ask(service, &token).await, 403, "{shown}");
            assert_eq!(ask(service, &token).await, 403, "{shown}");
        }
        assert_eq!(team.asked(), 2, "a cool-down: {shown}");
        assert!(team.server.flooded() < 32 * 1024 * 1024);
        team.says(&ada());
        issuer.clock().advance(A_WHILE);
        for service in [&include, &exclude] {
            assert_eq!(ask(service, &token).await, 200, "{shown}");
        }
    }
}

#[tokio::test]
async fn what_the_token_says_stays_known_while_the_issuer_is_away() {
    let issuer = TestIssuer::new();
    let team = Team::start(&ada()).await;
    let claim = |name: &str, value: &str| {
        rule(json!({ "oidc": { "claim_name": name, "claim_value": value } }))
    };
    let custom = json!({ "department": "old", "floor": "3" });
    let token = issuer.token_with_custom_claims(ADA, &custom);
    // The issuer's word counts where it has one, the token's where it has none.
    let both = Policy::allow("p")
        .include(claim("floor", "3"))
        .require(claim("department", "r-and-d"))
        .exclude(claim("department", "old"));
    assert_eq!(ask(&team.origin(&issuer, &[both]), &token).await, 200);
    team.does(Act::Close);
    let old = Policy::allow("p").include(claim("department", "old"));
    assert_eq!(ask(&team.origin(&issuer, &[old]), &token).await, 200);
}

#[test]
fn addresses_anybody_could_answer_at_are_refused() {
    for url in
        ["http://team.example.com/get-identity", "https://user@team.example.com/", "here", ""]
    {
        let builder = TestIssuer::new().verifier_builder().application(wiki(&[]));
        let error = builder.get_identity_at(url).build().unwrap_err();
        assert!(error.to_string().contains("https"), "{error}");
    }
}
