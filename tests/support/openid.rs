//! An OpenID provider on a real socket, whose every answer a test can bend.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::NOW;
use super::sockets::{Act, Arrived, Server};

pub const CLIENT: &str = "our app";
pub const SECRET: &str = "s+c%ret&=";

type Bend = Box<dyn Fn(Answer) -> Act + Send>;
/// Bends the claims of an ID token.
type BentClaims = Box<dyn Fn(&mut Value) + Send>;

/// A provider. Clones are the same one.
#[derive(Clone)]
pub struct OpenId {
    pub server: Server,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    issuer: String,
    key: EcdsaKeyPair,
    key_id: String,
    codes: HashMap<String, Authorization>,
    access_tokens: HashMap<String, Value>,
    count: usize,
    /// The paths that were asked for.
    asked: Vec<String>,
    /// Whether the last token request had an `Authorization` header.
    had_header: bool,
    bends: HashMap<&'static str, Bend>,
    bent_claims: Option<BentClaims>,
}

/// The answer that a provider would give.
pub struct Answer {
    pub status: &'static str,
    pub json: Value,
}

impl Answer {
    pub fn act(self) -> Act {
        let Self { status, json } = self;
        let headers = "content-type: application/json\r\n".to_owned();
        Act::Answer { status, headers, body: json.to_string().into_bytes() }
    }
}

/// What a code was given for.
struct Authorization {
    user: Value,
    nonce: String,
    challenge: String,
    redirect_uri: String,
    is_redeemed: bool,
}

impl OpenId {
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            issuer: String::new(),
            key: new_key(),
            key_id: "k-1".to_owned(),
            codes: HashMap::new(),
            access_tokens: HashMap::new(),
            count: 0,
            asked: Vec::new(),
            had_header: false,
            bends: HashMap::new(),
            bent_claims: None,
        }));
        let answering = Arc::clone(&shared);
        let server = Server::start(move |request| answering.lock().unwrap().answer(request)).await;
        shared.lock().unwrap().issuer = server.url("");
        Self { server, shared }
    }

    pub fn issuer(&self) -> String {
        self.server.url("")
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }

    /// The user logs in here: returns where the browser is sent.
    pub fn log_in(&self, url: &str, user: &Value) -> String {
        let code = self.code(url, user);
        let issuer = self.issuer();
        back(url, &[("code", &code), ("iss", &issuer)])
    }

    /// A code for the login of this URL.
    pub fn code(&self, url: &str, user: &Value) -> String {
        let parameter = |name: &str| super::query(url, name).unwrap_or_default();
        assert!(url.starts_with(&self.server.url("/authorize?")), "{url}");
        assert_eq!(parameter("response_type"), "code");
        assert_eq!(parameter("client_id"), CLIENT);
        assert_eq!(parameter("code_challenge_method"), "S256");
        assert!(parameter("scope").split(' ').any(|scope| scope == "openid"), "{url}");
        let mut shared = self.shared();
        shared.count += 1;
        let code = format!("code/{}", shared.count);
        shared.codes.insert(
            code.clone(),
            Authorization {
                user: user.clone(),
                nonce: parameter("nonce"),
                challenge: parameter("code_challenge"),
                redirect_uri: parameter("redirect_uri"),
                is_redeemed: false,
            },
        );
        code
    }

    /// Bends the answer of a path, until the next bend.
    pub fn bend(&self, path: &'static str, bend: impl Fn(Answer) -> Act + Send + 'static) {
        self.shared().bends.insert(path, Box::new(bend));
    }

    /// Bends the claims of ID tokens.
    pub fn bend_claims(&self, bend: impl Fn(&mut Value) + Send + 'static) {
        self.shared().bent_claims = Some(Box::new(bend));
    }

    /// Answers as it should again.
    pub fn straighten(&self) {
        let mut shared = self.shared();
        shared.bends.clear();
        shared.bent_claims = None;
    }

    /// A new signing key, with another id.
    pub fn rotate(&self, key_id: &str) {
        let mut shared = self.shared();
        (shared.key, shared.key_id) = (new_key(), key_id.to_owned());
    }

    pub fn token_request_had_header(&self) -> bool {
        self.shared().had_header
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.shared().asked.iter().filter(|asked| *asked == path).count()
    }
}

/// Where a browser is sent from an authorization URL, with these parameters and the state.
pub fn back(url: &str, parameters: &[(&str, &str)]) -> String {
    let state = super::query(url, "state").unwrap();
    let mut to = url::Url::parse(&super::query(url, "redirect_uri").unwrap()).unwrap();
    to.query_pairs_mut().extend_pairs(parameters).append_pair("state", &state);
    to.into()
}

/// A user with a verified address.
pub fn user(name: &str) -> Value {
    json!({"sub": format!("sub of {name}"), "email": format!("{name}@example.com"),
           "email_verified": true, "groups": ["staff"], "name": name})
}

impl Shared {
    fn answer(&mut self, request: &Arrived) -> Act {
        let path = request.path().to_owned();
        self.asked.push(path.clone());
        let answer = match &*path {
            "/.well-known/openid-configuration" => good(self.configuration()),
            "/keys" => good(self.keys()),
            "/token" => self.token(request),
            "/userinfo" => self.userinfo(request),
            _ => Answer { status: "404 Not Found", json: json!({}) },
        };
        match self.bends.get(&*path) {
            Some(bend) => bend(answer),
            None => answer.act(),
        }
    }

    fn configuration(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"),
            "jwks_uri": at("/keys"),
            "end_session_endpoint": at("/logout"),
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
            "response_types_supported": ["code"],
        })
    }

    fn keys(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.key_id, "use": "sig",
                         "x": text(&point[1..33]), "y": text(&point[33..])}]})
    }

    fn token(&mut self, request: &Arrived) -> Answer {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", encode(CLIENT), encode(SECRET)));
        let by_header = request.header("authorization") == Some(&format!("Basic {pair}"));
        self.had_header = by_header;
        let by_form = field("client_id") == CLIENT && field("client_secret") == SECRET;
        // A client uses one way.
        if by_header == by_form {
            return refused("401 Unauthorized", "invalid_client");
        }
        let Some(authorization) = self.codes.get_mut(&field("code")) else {
            return refused("400 Bad Request", "invalid_grant");
        };
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, field("code_verifier").as_bytes()));
        if std::mem::replace(&mut authorization.is_redeemed, true)
            || field("grant_type") != "authorization_code"
            || field("redirect_uri") != authorization.redirect_uri
            || challenge != authorization.challenge
        {
            return refused("400 Bad Request", "invalid_grant");
        }
        let (mut claims, user) = (authorization.user.clone(), authorization.user.clone());
        claims["nonce"] = json!(authorization.nonce);
        let access_token = format!("access/{}", field("code"));
        self.access_tokens.insert(access_token.clone(), user);
        let id_token = self.id_token(claims);
        good(json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 3600,
                    "id_token": id_token}))
    }

    fn id_token(&self, mut claims: Value) -> String {
        for (name, value) in [
            ("iss", json!(self.issuer)),
            ("aud", json!(CLIENT)),
            ("iat", json!(NOW)),
            ("exp", json!(NOW + 300)),
        ] {
            claims[name] = value;
        }
        if let Some(bend) = &self.bent_claims {
            bend(&mut claims);
        }
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let input =
            format!("{}.{}", part(json!({"alg": "ES256", "kid": self.key_id})), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn userinfo(&self, request: &Arrived) -> Answer {
        let bearer = request.header("authorization").and_then(|it| it.strip_prefix("Bearer "));
        match bearer.and_then(|token| self.access_tokens.get(token)) {
            Some(user) => good(user.clone()),
            None => refused("401 Unauthorized", "invalid_token"),
        }
    }
}

fn good(json: Value) -> Answer {
    Answer { status: "200 OK", json }
}

fn refused(status: &'static str, error: &str) -> Answer {
    Answer { status, json: json!({"error": error, "error_description": "because"}) }
}

fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()
}
