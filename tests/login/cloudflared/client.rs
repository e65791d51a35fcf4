//! The client: section 4 of the contract, step by step.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{KeyInit, XSalsa20Poly1305};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use salsa20::cipher::consts::U10;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_access::clock::{Clock, ManualClock};
use url::Url;

pub(crate) struct Client {
    /// Every host name leads here, and TLS was ended on the way.
    edge: SocketAddr,
    clock: Arc<ManualClock>,
}

/// What discovery finds.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct App {
    pub(crate) aud: String,
    pub(crate) domain: String,
    pub(crate) auth_domain: String,
}

/// The head of an answer, and its body.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) url: Url,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| &**it)
    }

    fn location(&self) -> Option<Url> {
        let redirects = matches!(self.status, 301 | 302 | 303 | 307 | 308);
        self.header("location").filter(|_| redirects).map(|text| self.url.join(text).unwrap())
    }

    fn cookies(&self, name: &str) -> impl Iterator<Item = cookie::Cookie<'_>> {
        let lines = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("set-cookie"));
        let cookies = lines.map(|(_, line)| cookie::Cookie::parse(line.as_str()).unwrap());
        cookies.filter(move |cookie| cookie.name() == name)
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    #[serde(rename = "type")]
    kind: String,
    hostname: String,
    auth_domain: String,
    #[serde(default)]
    aud: Value,
    #[serde(default)]
    app_hostname: String,
    iat: i64,
}

impl Client {
    pub(crate) fn new(edge: SocketAddr, clock: Arc<ManualClock>) -> Self {
        Self { edge, clock }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_unix_seconds().try_into().unwrap()
    }

    /// One request, redirects not followed.
    pub(crate) async fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
        let limit = Duration::from_secs(if url.contains("/transfer/") { 60 } else { 7 });
        let asked = tokio::time::timeout(limit, self.exchange_bytes(method, url, headers));
        asked.await.expect("an answer in time")
    }

    async fn exchange_bytes(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Reply {
        let url = Url::parse(url).unwrap();
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: cloudflared/2026.8.0\r\n\
             Connection: close\r\n",
            url.host_str().unwrap()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(self.edge).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Reply { status, url, headers, body: body.to_owned() }
    }

    /// Discovery since 2026.8.
    pub(crate) async fn discover(&self, url: &str) -> Result<App, String> {
        self.discover_with(url, |auth_domain| auth_domain.ends_with(".cloudflareaccess.com")).await
    }

    /// The same, for a client that believes other authentication domains.
    pub(crate) async fn discover_with(
        &self,
        url: &str,
        believes: impl Fn(&str) -> bool,
    ) -> Result<App, String> {
        let reply = self.ask("HEAD", url, &[("cf-access-metadata-request", "true")]).await;
        let token = reply.header("cf-access-metadata");
        let token = token.ok_or_else(|| format!("failed to find Access application at {url}"))?;
        let metadata = self.verified(token, believes).await?;
        let host = reply.url.host_str().unwrap();
        if !metadata.hostname.eq_ignore_ascii_case(host) {
            return Err(format!("metadata of {}", metadata.hostname));
        }
        if metadata.kind != "match" {
            return Err(format!("type {}", metadata.kind));
        }
        let aud = metadata.aud.as_str().filter(|aud| !aud.is_empty()).ok_or("no aud")?;
        let age = self.now() - metadata.iat;
        if metadata.iat <= 0 || !(-300..=86_400).contains(&age) {
            return Err(format!("{age} s old"));
        }
        let domain = Some(metadata.app_hostname).filter(|name| !name.is_empty());
        Ok(App {
            aud: aud.to_owned(),
            domain: domain.unwrap_or(metadata.hostname),
            auth_domain: metadata.auth_domain,
        })
    }

    /// Claims of a token that verifies with the keys of the domain it names.
    async fn verified(
        &self,
        token: &str,
        believes: impl Fn(&str) -> bool,
    ) -> Result<Metadata, String> {
        let payload = token.split('.').nth(1).ok_or("no JWS")?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|error| error.to_string())?;
        let claims: Metadata = serde_json::from_slice(&payload).map_err(|it| it.to_string())?;
        if !believes(&claims.auth_domain.to_lowercase()) {
            return Err(format!("auth_domain {}", claims.auth_domain));
        }
        let certs = format!("https://{}/cdn-cgi/access/certs", claims.auth_domain);
        let certs = self.ask("GET", &certs, &[]).await;
        assert_eq!(certs.status, 200);
        let certs: Value = serde_json::from_str(&certs.body).unwrap();
        let header = jsonwebtoken::decode_header(token).map_err(|it| it.to_string())?;
        let mut keys = certs["keys"].as_array().unwrap().iter();
        let key = keys.find(|key| key["kid"].as_str() == header.kid.as_deref()).ok_or("no key")?;
        let (n, e) = (key["n"].as_str().unwrap(), key["e"].as_str().unwrap());
        let key = DecodingKey::from_rsa_components(n, e).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let decoded = jsonwebtoken::decode(token, &key, &validation);
        decoded.map(|decoded| decoded.claims).map_err(|error| error.to_string())
    }

    /// Discovery before 2026.8.
    pub(crate) async fn discover_by_redirect(&self, url: &str) -> Result<App, String> {
        let mut reply = self.ask("HEAD", url, &[]).await;
        for _ in 0..10 {
            let Some(next) = reply.location() else { break };
            reply = self.ask("HEAD", next.as_str(), &[]).await;
        }
        let aud = if reply.url.path().contains("/cdn-cgi/access/login") {
            reply.url.query_pairs().find(|(key, _)| key == "kid").map(|(_, aud)| aud.into_owned())
        } else {
            let denied = matches!(reply.status, 401 | 403);
            reply.header("cf-access-aud").filter(|_| denied).map(str::to_owned)
        };
        let domain = reply.header("cf-access-domain").ok_or("no CF-Access-Domain")?;
        Ok(App {
            aud: aud.ok_or("failed to find Access application")?,
            domain: domain.to_owned(),
            auth_domain: reply.url.host_str().unwrap().to_owned(),
        })
    }

    /// An application's token for the team's.
    pub(crate) async fn exchange(&self, url: &str, org_token: &str) -> Result<String, String> {
        let whole = self.exchange_hops(url, org_token);
        tokio::time::timeout(Duration::from_secs(7), whole).await.map_err(|_| "too slow")?
    }

    async fn exchange_hops(&self, url: &str, org_token: &str) -> Result<String, String> {
        let mut app_session = None;
        let mut url = Url::parse(url).unwrap();
        let mut reply;
        for _ in 0..10 {
            let mut cookie = None;
            if url.path().contains("/cdn-cgi/access/login") {
                cookie = Some(format!("CF_Authorization={org_token}"));
            } else if url.path().contains("/cdn-cgi/access/authorized") {
                cookie = app_session.take().map(|value| format!("CF_AppSession={value}"));
            }
            let cookie = cookie.as_deref().map(|cookie| ("Cookie", cookie));
            reply = self.ask("HEAD", url.as_str(), cookie.as_slice()).await;
            let found = reply.cookies("CF_AppSession").next().map(|it| it.value().to_owned());
            app_session = app_session.or(found);
            let is_last = url.path().contains("/cdn-cgi/access/authorized");
            match reply.location() {
                Some(next) if !is_last => url = next,
                _ => return self.token_of(&reply),
            }
        }
        Err("too many redirects".to_owned())
    }

    /// Only `Expires` counts, and only in the future.
    fn token_of(&self, reply: &Reply) -> Result<String, String> {
        let lives = |cookie: &cookie::Cookie<'_>| {
            let end = cookie.expires_datetime();
            end.is_some_and(|end| end.unix_timestamp() > self.now())
        };
        let token = reply.cookies("CF_Authorization").find(lives);
        token.map(|cookie| cookie.value().to_owned()).ok_or_else(|| format!("no token: {reply:?}"))
    }

    /// Whether the edge takes a token.
    pub(crate) async fn token_is_good(&self, url: &str, token: &str) -> bool {
        let mut url = Url::parse(url).unwrap();
        url.query_pairs_mut().append_pair("cloudflared_token_check", "true");
        let reply = self.ask("GET", url.as_str(), &[("Cf-Access-Token", token)]).await;
        let location = reply.location();
        !(reply.status == 302
            && location.is_some_and(|it| it.path().starts_with("/cdn-cgi/access/login")))
    }

    /// Waits for what the browser approves.
    pub(crate) async fn wait(&self, host: &str, keys: &Keys) -> Result<Value, String> {
        for _ in 0..10 {
            let url = format!("https://{host}/transfer/{}", keys.public());
            let reply = self.ask("GET", &url, &[]).await;
            match reply.status {
                200 => return Ok(keys.open(&reply)),
                500.. => return Err(reply.body),
                _ => {}
            }
        }
        Err("not in ten attempts".to_owned())
    }
}

/// A key pair made for one login.
pub(crate) struct Keys {
    secret: [u8; 32],
    pair: PrivateKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).unwrap();
        Self { secret, pair: PrivateKey::from_private_key(&X25519, &secret).unwrap() }
    }

    pub(crate) fn public(&self) -> String {
        URL_SAFE.encode(self.pair.compute_public_key().unwrap())
    }

    /// What is opened in the browser.
    pub(crate) fn url(&self, app_url: &str, aud: &str) -> String {
        let mut back = Url::parse(app_url).unwrap();
        back.set_path("");
        back.set_query(None);
        back.query_pairs_mut().append_pair("aud", aud).append_pair("token", &self.public());
        let mut url = Url::parse(app_url).unwrap();
        url.set_path("/cdn-cgi/access/cli");
        url.query_pairs_mut()
            .append_pair("aud", aud)
            .append_pair("edge_token_transfer", "true")
            .append_pair("redirect_url", back.as_str())
            .append_pair("send_org_token", "true")
            .append_pair("token", &self.public());
        url.into()
    }

    fn open(&self, reply: &Reply) -> Value {
        let service = reply.header("service-public-key").unwrap();
        let text = STANDARD.decode(&reply.body).unwrap();
        let peer = UnparsedPublicKey::new(&X25519, URL_SAFE.decode(service).unwrap());
        let key = agree(&self.pair, peer, (), |shared| {
            let shared: [u8; 32] = shared.try_into().unwrap();
            Ok(salsa20::hsalsa::<U10>(&shared.into(), &[0; 16].into()))
        });
        let (nonce, sealed) = text.split_at(24);
        let (tag, sealed) = sealed.split_at(16);
        let mut opened = sealed.to_vec();
        XSalsa20Poly1305::new(&key.unwrap())
            .decrypt_in_place_detached(nonce.into(), b"", &mut opened, tag.into())
            .unwrap();
        let opened: Value = serde_json::from_slice(&opened).unwrap();
        if let Some(by_libsodium) = self.open_with_libsodium(service, &reply.body) {
            assert_eq!(by_libsodium, opened);
        }
        opened
    }

    /// The same by PyNaCl, on machines that have it. (That boxes made here are those of NaCl, the
    /// test vectors of its distribution show on every machine.)
    fn open_with_libsodium(&self, service: &str, text: &str) -> Option<Value> {
        const SCRIPT: &str = "\
import sys, base64
from nacl.public import Box, PrivateKey, PublicKey
secret, service, text = sys.argv[1:]
box = Box(PrivateKey(bytes.fromhex(secret)), PublicKey(base64.urlsafe_b64decode(service)))
print(box.decrypt(base64.b64decode(text)).decode())";
        let python = |arguments: &[&str]| Command::new("python3").args(arguments).output().ok();
        python(&["-c", "import nacl"]).filter(|it| it.status.success())?;
        let secret: String = self.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let opened = python(&["-c", SCRIPT, &secret, service, text]).unwrap();
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
        Some(serde_json::from_slice(&opened.stdout).unwrap())
    }
}
