//! A GitHub server under a test's control, over a real socket: its authorization, its token endpoint and
//! the part of its API that a login reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;

use super::query;
use super::sockets::{Act, Arrived, Server};

pub const CLIENT_ID: &str = "Iv1.8a61f9b3a7aba766";
pub const CLIENT_SECRET: &str = "3f1c+hush%";

/// A user of the server.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    pub login: &'static str,
    pub emails: Value,
    /// With their numbers.
    pub organizations: Vec<(u64, &'static str)>,
    /// By the number of the organization.
    pub teams: Vec<(u64, &'static str)>,
    /// The scopes that the user grants.
    pub scopes: &'static str,
}

impl User {
    /// Ada is in `Acme`, in its team `ops`, and in `club`.
    pub fn ada() -> Self {
        let address = |email: &str, primary| json!({ "email": email, "primary": primary, "verified": true, "visibility": null });
        Self {
            id: 583_231,
            login: "ada",
            emails: json!([address("ceo@example.com", false), address("ada@example.com", true),]),
            organizations: vec![(1, "Acme"), (2, "club")],
            teams: vec![(1, "ops"), (2, "ops-of-club")],
            scopes: "read:org,read:user,user:email",
        }
    }
}

/// The server.
#[derive(Clone)]
pub struct GitHub {
    server: Server,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Codes that were not redeemed yet.
    codes: HashMap<String, Code>,
    /// Users by token.
    tokens: HashMap<String, User>,
    count: usize,
    /// What is done instead, by path.
    bent: HashMap<&'static str, Act>,
    /// Header lines that are sent as well, by path.
    more_headers: HashMap<&'static str, String>,
    /// Entries of a page; otherwise as many as asked for.
    page_size: Option<usize>,
    arrived: Vec<Arrived>,
}

struct Code {
    user: User,
    challenge: String,
    redirect_uri: String,
}

impl GitHub {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = Server::start(move |arrived| shared.lock().unwrap().answer(arrived)).await;
        Self { server, state }
    }

    pub fn base_url(&self) -> String {
        self.server.url("")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What the server does from now on instead of answering this path.
    pub fn bend(&self, path: &'static str, act: Act) {
        self.state().bent.insert(path, act);
    }

    /// Answers as it should again.
    pub fn unbend(&self) {
        let mut state = self.state();
        state.bent.clear();
        state.more_headers.clear();
    }

    /// Header lines of the answers at this path, each with its end.
    pub fn add_headers(&self, path: &'static str, lines: &str) {
        self.state().more_headers.insert(path, lines.to_owned());
    }

    pub fn set_page_size(&self, size: usize) {
        self.state().page_size = Some(size);
    }

    /// The requests that have arrived at this path.
    pub fn arrived(&self, path: &str) -> Vec<Arrived> {
        let state = self.state();
        let is_it = |arrived: &&Arrived| arrived.path().split('?').next() == Some(path);
        state.arrived.iter().filter(is_it).cloned().collect()
    }

    /// Changes what the server knows of a user, whose tokens stay.
    pub fn change(&self, id: u64, change: impl Fn(&mut User)) {
        self.state().tokens.values_mut().filter(|user| user.id == id).for_each(change);
    }

    /// The user lets the client of an authorization request know who they are. Returns the URL that the
    /// browser is sent to.
    pub fn authorize(&self, url: &str, user: &User) -> String {
        let part = |name: &str| query(url, name).unwrap_or_else(|| panic!("no {name}: {url}"));
        assert!(url.starts_with(&self.server.url("/login/oauth/authorize?")), "{url}");
        assert_eq!(part("client_id"), CLIENT_ID);
        assert_eq!(part("response_type"), "code");
        assert_eq!(part("code_challenge_method"), "S256");
        assert_eq!(part("scope"), "read:user user:email read:org");
        let mut state = self.state();
        state.count += 1;
        let code = format!("code-{}", state.count);
        let redirect_uri = part("redirect_uri");
        let mut back = Url::parse(&redirect_uri).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &part("state"));
        let user = user.clone();
        state.codes.insert(code, Code { user, challenge: part("code_challenge"), redirect_uri });
        back.into()
    }

    /// All codes are old now.
    pub fn let_codes_expire(&self) {
        self.state().codes.clear();
    }

    /// All tokens are revoked now.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }
}

impl State {
    fn answer(&mut self, arrived: &Arrived) -> Act {
        self.arrived.push(arrived.clone());
        let (path, query) = arrived.path().split_once('?').unwrap_or_else(|| (arrived.path(), ""));
        let mut act = match self.bent.get(path) {
            Some(act) => act.clone(),
            None if path == "/login/oauth/access_token" => self.token(arrived),
            None => self.api(arrived, path, query),
        };
        if let (Act::Answer { headers, .. }, Some(more)) = (&mut act, self.more_headers.get(path)) {
            headers.push_str(more);
        }
        act
    }

    fn token(&mut self, arrived: &Arrived) -> Act {
        assert!(arrived.head.starts_with("POST "), "{}", arrived.head);
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(&arrived.body).into_owned().collect();
        let is = |name: &str, value: &str| form.get(name).is_some_and(|it| it == value);
        // As GitHub: with status 200.
        let error = |error: &str| {
            let description = "The code passed is incorrect or expired.";
            Act::json(json!({ "error": error, "error_description": description }).to_string())
        };
        if !is("client_id", CLIENT_ID) || !is("client_secret", CLIENT_SECRET) {
            return error("incorrect_client_credentials");
        }
        // Even a wrong verifier uses a code up.
        let Some(code) = form.get("code").and_then(|code| self.codes.remove(code)) else {
            return error("bad_verification_code");
        };
        if !is("redirect_uri", &code.redirect_uri) {
            return error("redirect_uri_mismatch");
        }
        let verifier = form.get("code_verifier").map(String::as_str).unwrap_or_default();
        if URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) != code.challenge {
            return error("bad_verification_code");
        }
        self.count += 1;
        let (token, scope) = (format!("gho_{}", self.count), code.user.scopes);
        self.tokens.insert(token.clone(), code.user);
        match arrived.header("accept") {
            Some("application/json") => Act::json(
                json!({ "access_token": token, "token_type": "bearer", "scope": scope })
                    .to_string(),
            ),
            _ => Act::json(format!("access_token={token}&token_type=bearer")),
        }
    }

    fn api(&self, arrived: &Arrived, path: &str, query: &str) -> Act {
        let token = arrived.header("authorization").and_then(|line| line.strip_prefix("Bearer "));
        let Some(user) = token.and_then(|token| self.tokens.get(token)) else {
            let body = br#"{"message":"Bad credentials","status":"401"}"#.to_vec();
            let (status, headers) = ("401 Unauthorized", String::new());
            return Act::Answer { status, headers, body };
        };
        if arrived.header("user-agent").is_none()
            || arrived.header("x-github-api-version") != Some("2022-11-28")
            || arrived.header("accept") != Some("application/vnd.github+json")
        {
            return Act::status("403 Forbidden");
        }
        let organization = |id: u64, login: &str| json!({ "login": login, "id": id, "url": "x" });
        let body = match path {
            "/api/v3/user" => json!({ "login": user.login, "id": user.id, "name": null }),
            "/api/v3/user/emails" => user.emails.clone(),
            "/api/v3/user/orgs" => {
                let all = user.organizations.iter();
                all.map(|(id, login)| organization(*id, login)).collect()
            }
            "/api/v3/user/teams" => {
                let name = |of: u64| user.organizations.iter().find(|(id, _)| *id == of);
                let all = user.teams.iter().map(|(of, slug)| {
                    let login = name(*of).map_or("?", |(_, login)| login);
                    json!({ "slug": slug, "name": "Ops!", "organization": organization(*of, login) })
                });
                all.collect()
            }
            _ => return Act::status("404 Not Found"),
        };
        let mut headers = format!("x-oauth-scopes: {}\r\n", user.scopes.replace(',', ", "));
        let body = match body {
            Value::Array(all) => Value::Array(self.page(arrived, (path, query), all, &mut headers)),
            one => one,
        };
        Act::Answer { status: "200 OK", headers, body: body.to_string().into() }
    }

    fn page(
        &self,
        arrived: &Arrived,
        (path, query): (&str, &str),
        all: Vec<Value>,
        headers: &mut String,
    ) -> Vec<Value> {
        let number = |name: &str, otherwise: usize| {
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.find(|pair| pair.0 == name).map_or(otherwise, |pair| pair.1.parse().unwrap())
        };
        let size = self.page_size.unwrap_or_else(|| number("per_page", 30));
        let page = number("page", 1);
        if page * size < all.len() {
            let host = arrived.header("host").unwrap();
            let url = |page: usize| format!("<http://{host}{path}?per_page={size}&page={page}>");
            headers.push_str(&format!(
                "link: {}; rel=\"prev\", {}; rel=\"next\"\r\n",
                url(page - 1),
                url(page + 1)
            ));
        }
        all.into_iter().skip((page - 1) * size).take(size).collect()
    }
}
