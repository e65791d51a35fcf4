//! Real identity providers: the servers of `tests/identity_providers`, from npm. What they can do, and how a test
//! drives them, is said there.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// A provider. It ends with this value, or with the test's process.
#[derive(Debug)]
pub struct IdentityProvider {
    /// Where it is: `http://127.0.0.1:PORT`.
    pub origin: String,
    /// What it said when it was ready: `issuer`; of SAML also `sso` and `certificate`.
    pub ready: Value,
    _process: Child,
}

impl IdentityProvider {
    /// oidc-provider.
    pub async fn openid(settings: Value) -> Self {
        Self::start("openid_provider.mjs", settings).await
    }

    /// samlp.
    pub async fn saml(settings: Value) -> Self {
        Self::start("saml_provider.mjs", settings).await
    }

    async fn start(script: &str, settings: Value) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/identity_providers");
        assert!(
            folder.join("node_modules/oidc-provider").exists(),
            "the identity providers are not installed: run `npm ci --ignore-scripts --prefix {}`, as `tests/run` does",
            folder.display()
        );
        let mut process = Command::new("node")
            .arg("--no-warnings")
            .arg(folder.join(script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It says that it is for newer releases of Node.js.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("`node` cannot be started: install Node.js 20 or newer, with npm");
        // The pipe stays open: the provider ends when it is closed.
        let input = process.stdin.as_mut().unwrap();
        input.write_all(format!("{settings}\n").as_bytes()).await.unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
        let line = line.expect("the provider starts").unwrap();
        let line = line.unwrap_or_else(|| panic!("{script} ended before it was ready"));
        let ready: Value = serde_json::from_str(&line).unwrap();
        let origin = ready["origin"].as_str().unwrap().to_owned();
        Self { origin, ready, _process: process }
    }

    /// Something that it said when it was ready.
    pub fn said(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// Has it do something.
    pub async fn control(&self, name: &str, parameters: Value) -> Value {
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build_http();
        let request = Request::post(format!("{}/control/{name}", self.origin))
            .body(Full::from(parameters.to_string()))
            .unwrap();
        let (parts, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&body);
        assert!(parts.status.is_success(), "{name}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Changes a claim of an account of the OpenID provider.
    pub async fn set_claim(&self, user: &str, claim: &str, value: Value) {
        self.control("account", json!({ "user": user, "claims": { claim: value } })).await;
    }

    /// What happened since this was last asked.
    pub async fn events(&self) -> Vec<Value> {
        self.control("events", json!({})).await.as_array().unwrap().clone()
    }

    /// How often something happened since this was last asked.
    pub async fn count(&self, event: &str) -> usize {
        self.events().await.iter().filter(|it| it["event"] == event).count()
    }
}
