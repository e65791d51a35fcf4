//! Users with a session are looked up again.

use std::collections::HashMap;
use std::sync::Mutex;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use serde_json::json;

use super::*;
use crate::identity::Organization;
use crate::util::fetch::{FetchFuture, HttpError, Reply, Request};

/// GitHub's answers by path: a status, the scopes of the token, and a body.
#[derive(Debug, Default)]
struct Answers(Mutex<HashMap<&'static str, (u16, &'static str, String)>>);

impl Answers {
    fn ada() -> Arc<Self> {
        let answers = Arc::new(Self::default());
        answers.set("/user", 200, &json!({ "id": 583_231, "login": "ada", "name": "Ada" }));
        let email = json!([{ "email": "ada@example.com", "primary": true, "verified": true }]);
        answers.set("/user/emails", 200, &email);
        answers.set("/user/orgs", 200, &json!([{ "id": 1, "login": "acme" }]));
        answers.set("/user/teams", 200, &json!([]));
        answers
    }

    fn set(&self, path: &'static str, status: u16, body: &serde_json::Value) {
        let answer = (status, "read:org, read:user, user:email", body.to_string());
        self.0.lock().unwrap().insert(path, answer);
    }

    fn set_scopes(&self, scopes: &'static str) {
        self.0.lock().unwrap().get_mut("/user").unwrap().1 = scopes;
    }

    fn method(self: &Arc<Self>) -> GitHubMethod {
        let fetch: Arc<dyn Fetch> = Arc::clone(self) as Arc<dyn Fetch>;
        let url = |path: &str| Url::parse(&format!("https://github.example{path}")).unwrap();
        GitHubMethod {
            id: "corp".into(),
            name: "GitHub".into(),
            flow: AuthorizationCode::new("corp", "GitHub"),
            client: Client { id: "id".into(), secret: "hush".to_owned().into() },
            api: Api::new(Arc::clone(&fetch), url("/")),
            authorize: url("/login/oauth/authorize"),
            token: url("/login/oauth/access_token"),
            fetch,
            slots: Semaphore::new(1),
            refresh_interval: None,
        }
    }

    /// Looks up the user of an account again.
    async fn look_up(self: &Arc<Self>, subject: &str) -> Refreshed {
        let account = ProviderAccount {
            subject: subject.into(),
            refresh_token: Some("gho_1".to_owned().into()),
            ..ProviderAccount::default()
        };
        self.method().look_up_again(&account).await
    }
}

impl Fetch for Answers {
    fn send(&self, request: Request) -> FetchFuture {
        assert_eq!(request.headers[AUTHORIZATION], "Bearer gho_1");
        assert!(request.headers[AUTHORIZATION].is_sensitive());
        let answer = self.0.lock().unwrap().get(request.url.path()).cloned();
        Box::pin(async move {
            let (status, scopes, body) =
                answer.ok_or_else(|| HttpError::Exchange("refused".to_owned()))?;
            let name = HeaderName::from_static("x-oauth-scopes");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(scopes))]);
            let status = StatusCode::from_u16(status).unwrap();
            Ok(Reply { status, headers, body: Bytes::from(body) })
        })
    }
}

fn user(refreshed: Refreshed) -> Authenticated {
    match refreshed {
        Refreshed::User(user) => *user,
        other => panic!("{other:?}"),
    }
}

const ADA: &str = "583231";

#[tokio::test]
async fn a_user_is_as_github_describes_them_now() {
    let github = Answers::ada();
    let found = user(github.look_up(ADA).await);
    assert_eq!(found.email.as_str(), "ada@example.com");
    let acme = Organization { name: "acme".into(), teams: Some(Vec::new()) };
    assert_eq!(found.attributes.organizations, Some(vec![acme]));
    assert_eq!(found.attributes.groups, None);
    let account = found.account.unwrap();
    assert_eq!((&*account.subject, account.name.as_deref()), (ADA, Some("Ada")));
    assert_eq!(account.refresh_token.unwrap().expose(), "gho_1");
    // Removed from the organization.
    github.set("/user/orgs", 200, &json!([]));
    assert_eq!(user(github.look_up(ADA).await).attributes.organizations, Some(Vec::new()));
    // The token has lost a scope.
    github.set_scopes("read:user, user:email");
    assert_eq!(user(github.look_up(ADA).await).attributes.organizations, None);
}

#[tokio::test]
async fn a_user_who_is_gone_at_github_is_gone_here() {
    let gone = |github: &Arc<Answers>| {
        let github = Arc::clone(github);
        async move { matches!(github.look_up(ADA).await, Refreshed::Ended) }
    };
    // Revoked, or expired.
    let github = Answers::ada();
    github.set("/user", 401, &json!({ "message": "Bad credentials" }));
    assert!(gone(&github).await);
    let github = Answers::ada();
    github.set("/user/orgs", 401, &json!({ "message": "Bad credentials" }));
    assert!(gone(&github).await);
    let github = Answers::ada();
    github.set("/user", 403, &json!({ "message": "Sorry. Your account was suspended." }));
    assert!(gone(&github).await);
    // Not verified any more.
    let github = Answers::ada();
    let email = json!([{ "email": "ada@example.com", "primary": true, "verified": false }]);
    github.set("/user/emails", 200, &email);
    assert!(gone(&github).await);
    // Somebody else.
    assert!(matches!(Answers::ada().look_up("7").await, Refreshed::Ended));
}

#[tokio::test]
async fn an_outage_ends_no_session() {
    for path in ["/user", "/user/emails", "/user/orgs", "/user/teams"] {
        for (status, body) in [
            (500, json!({})),
            (404, json!({})),
            (429, json!({})),
            (403, json!({ "message": "API rate limit exceeded" })),
            (200, json!("<html>")),
        ] {
            let github = Answers::ada();
            github.set(path, status, &body);
            let refreshed = github.look_up(ADA).await;
            assert!(matches!(refreshed, Refreshed::Unavailable), "{path} {status}: {refreshed:?}");
        }
        let github = Answers::ada();
        github.0.lock().unwrap().remove(path);
        assert!(matches!(github.look_up(ADA).await, Refreshed::Unavailable), "{path}");
    }
    let method = Answers::ada().method();
    let without_token = ProviderAccount { subject: ADA.into(), ..ProviderAccount::default() };
    assert!(matches!(method.look_up_again(&without_token).await, Refreshed::Unavailable));
}
