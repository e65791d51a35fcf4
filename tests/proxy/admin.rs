//! The administration of a running proxy, over real sockets.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_access::admin::AdminService;
use tower_access::config::{Config, Environment};
use tower_access::proxy::{Reloader, ServeLimits, serve};

const TOKEN: &str = "6f1ed002ab5595859014ebf0951522d9";

fn text(more: &str) -> String {
    format!(
        "
ingress: [ {{ service: http_status:204 }} ]
admin: {{ token: '${{TOKEN}}' }}
access:
  mail: console
  applications:
    - {{ name: Wiki, id: wiki-id, domain: wiki.example, policies: &p [ {{ name: x, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ] }}
    - name: Machines
      domain: machines.example
      policies: [ {{ name: y, decision: non_identity, include: [ {{ any_valid_service_token: {{}} }} ] }} ]
    - {{ name: Twin, domain: a.example, policies: *p }}
    - {{ name: Twin, domain: b.example, policies: *p }}
{more}"
    )
}

struct World {
    file: PathBuf,
    reloader: Reloader,
    address: SocketAddr,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

impl World {
    async fn start(name: &str) -> Self {
        let file =
            std::env::temp_dir().join(format!("tower-access-{name}-{}.yml", std::process::id()));
        std::fs::write(&file, text("")).unwrap();
        Self::of(&file).await
    }

    async fn of(file: &Path) -> Self {
        let environment = Environment::empty().with("TOKEN", TOKEN);
        let config = Config::load_with(file, &environment).unwrap();
        let reloader = Reloader::start(file, config, environment).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = AdminService::new(reloader.clone());
        tokio::spawn(serve(
            listener,
            service,
            ServeLimits::default(),
            std::future::pending::<()>(),
        ));
        Self { file: file.to_owned(), reloader, address }
    }

    /// Sends exactly this, and reads the answer: its status, head and JSON.
    async fn raw(&self, request: &str) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let json: Value =
            serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"));
        let keys: Vec<_> = json.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["errors", "messages", "result", "success"], "{answer}");
        assert_eq!(json["success"], json["errors"].as_array().unwrap().is_empty());
        assert!(head.to_ascii_lowercase().contains("content-type: application/json"), "{head}");
        (status, head.to_owned(), json)
    }

    async fn ask_with(&self, line: &str, headers: &str, body: &str) -> (u16, Value) {
        let request = format!(
            "{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        let (status, _, json) = self.raw(&request).await;
        (status, json)
    }

    /// As somebody who may.
    async fn ask(&self, line: &str, body: &str) -> (u16, Value) {
        let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
        let headers = format!("host: localhost\r\nauthorization: Bearer {TOKEN}\r\n{kind}");
        self.ask_with(line, &headers, body).await
    }

    /// The key that signs, and since when. How many days it has left changes with the clock.
    async fn signing_key(&self) -> [Value; 2] {
        let (status, json) = self.ask("GET /access/keys", "").await;
        assert_eq!(status, 200, "{json}");
        ["key_id", "last_key_rotation_at"].map(|name| json["result"][name].clone())
    }
}

#[tokio::test]
async fn cfg_05_nobody_is_heard_through_a_browser_or_without_the_token() {
    let world = World::start("admin-guard").await;
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let before = world.signing_key().await;
    for (status, headers) in [
        (200, format!("host: 127.0.0.1\r\n{bearer}")),
        (200, format!("host: {}\r\n{bearer}", world.address)),
        (200, format!("host: [::1]:9180\r\n{bearer}")),
        // Another host, whoever shows the token.
        (403, format!("host: evil.example\r\n{bearer}")),
        (403, format!("host: localhost.evil.example\r\n{bearer}")),
        (403, format!("host: 192.0.2.7\r\n{bearer}")),
        (403, format!("host: localhost\r\nhost: evil.example\r\n{bearer}")),
        // Any page, also one of this machine; a request without `Origin` needs the token all the same.
        (403, format!("host: localhost\r\norigin: https://evil.example\r\n{bearer}")),
        (403, format!("host: localhost\r\norigin: http://localhost\r\n{bearer}")),
        (403, format!("host: localhost\r\norigin: null\r\n{bearer}")),
        (401, "host: localhost\r\n".to_owned()),
        (401, "host: localhost\r\nauthorization: Bearer\r\n".to_owned()),
        (401, format!("host: localhost\r\nauthorization: Basic {TOKEN}\r\n")),
        (401, format!("host: localhost\r\nauthorization: Bearer {}x\r\n", &TOKEN[..31])),
        (401, format!("host: localhost\r\n{bearer}{bearer}")),
        (401, format!("host: localhost\r\ncookie: token={TOKEN}\r\n")),
    ] {
        // hyper refuses some of it before we see it; nothing of it gets through.
        let got = world.ask_with("GET /health", &headers, "").await.0;
        assert_eq!(got, status, "{headers}");
        if status != 200 {
            // Not even whether there is such a path.
            assert_eq!(world.ask_with("POST /access/keys/rotate", &headers, "").await.0, status);
            assert_eq!(world.ask_with("GET /no/such", &headers, "").await.0, status);
        }
    }
    assert_eq!(world.signing_key().await, before);
    let unauthorized = "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let (_, head, json) = world.raw(unauthorized).await;
    assert!(head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{head}");
    assert_eq!(json["errors"][0]["code"], 10_000);
}

#[tokio::test]
async fn cfg_05_paths_and_methods_are_exact() {
    let world = World::start("admin-paths").await;
    let before = world.signing_key().await;
    for (status, line) in [
        (404, "GET /"),
        (404, "GET /health2"),
        (404, "GET /health/"),
        (404, "GET //health"),
        (404, "GET /%68ealth"),
        (404, "GET /x/../health"),
        (404, "POST /access/keys%2Frotate"),
        (404, "POST /access/keys/rotate/"),
        (404, "POST /access/apps/01/revoke_tokens"),
        (404, "POST /access/apps/0/revoke_tokens"),
        (404, "POST /access/apps/wiki%2Fid/revoke_tokens"),
        (404, "POST /access/apps/Wik/revoke_tokens"),
        (404, "DELETE /access/sessions/short"),
        (404, "DELETE /access/sessions/not%20an%20id"),
        (404, "GET /access/users/nobody/active_sessions"),
        (400, "GET /health?x=1"),
        (400, "POST /access/keys/rotate?"),
        (409, "POST /access/apps/Twin/revoke_tokens"),
        // Nothing that changes anything can be asked for with GET.
        (405, "GET /access/keys/rotate"),
        (405, "GET /access/revoke_everybody"),
        (405, "GET /access/organizations/revoke_user"),
        (405, "GET /access/apps/Wiki/revoke_tokens"),
        (405, "GET /access/sessions/q2ZkWf0yTn9sVb3L"),
        (405, "PUT /reload"),
        (405, "GET /reload"),
        (405, "POST /health"),
        (405, "OPTIONS /health"),
    ] {
        let (got, json) = world.ask(line, "").await;
        assert_eq!(got, status, "{line} {json}");
        assert_eq!(json["result"], Value::Null);
    }
    assert_eq!(world.signing_key().await, before);
}

#[tokio::test]
async fn bodies_are_json_and_bounded() {
    let world = World::start("admin-bodies").await;
    let line = "POST /access/organizations/revoke_user";
    let host = format!("host: localhost\r\nauthorization: Bearer {TOKEN}\r\n");
    let body = r#"{"email":"ada@example.com"}"#;
    for kind in
        ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        assert_eq!(world.ask_with(line, &format!("{host}{kind}"), body).await.0, 415, "{kind}");
    }
    for (status, body) in [
        (200, body),
        (200, r#"{"email":"ada@example.com","devices":false}"#),
        (400, r#"{"email":"ada@example.com","devices":true}"#),
        (400, r#"{"email":"ada@example.com","user":1}"#),
        (400, r#"{"email":7}"#),
        (400, r#"{"email":"no address"}"#),
        (400, "{}"),
        (400, "["),
        (400, ""),
    ] {
        assert_eq!(world.ask(line, body).await.0, status, "{body}");
    }
    let large = format!(r#"{{"email":"{}"}}"#, "a".repeat(20 << 10));
    assert_eq!(world.ask(line, &large).await.0, 413);
    assert_eq!(world.ask("POST /access/revoke_everybody", r#"{"x":1}"#).await.0, 400);
    assert_eq!(world.ask("POST /access/revoke_everybody", "{}").await.0, 200);
}

#[tokio::test]
async fn what_is_asked_for_is_done() {
    let world = World::start("admin-actions").await;
    let (_, keys) = world.ask("GET /access/keys", "").await;
    assert_eq!(keys["result"]["key_rotation_interval_days"], 42);
    assert_eq!(keys["result"]["days_until_next_rotation"], 42);
    assert_eq!(keys["result"]["next_key_id"], Value::Null);
    let made = keys["result"]["last_key_rotation_at"].as_str().unwrap();
    assert!(made.ends_with('Z') && made.contains('T'), "{made}");
    let (status, rotated) = world.ask("POST /access/keys/rotate", "").await;
    assert_eq!(status, 200);
    assert_ne!(rotated["result"]["key_id"], keys["result"]["key_id"]);
    assert_eq!(world.reloader.proxy().access().key_state().keys(), 2);
    for line in [
        "POST /access/apps/Wiki/revoke_tokens",
        "POST /access/apps/wiki-id/revoke_tokens",
        "DELETE /access/sessions/q2ZkWf0yTn9sVb3L",
        "POST /access/revoke_everybody",
    ] {
        assert_eq!(world.ask(line, "").await.0, 200, "{line}");
    }
    let (status, sessions) =
        world.ask("GET /access/users/ada%40example.com/active_sessions", "").await;
    assert_eq!((status, &sessions["result"]), (200, &json!([])));
    // What is revoked is told, and that nobody was there.
    let line = "POST /access/organizations/revoke_user";
    let (status, revoked) = world.ask(line, r#"{"email":"ada@example.com"}"#).await;
    assert_eq!((status, &revoked["result"]), (200, &json!(true)));
    assert_eq!(revoked["messages"][0]["code"], 11_001, "{revoked}");
    let (_, everybody) = world.ask("POST /access/revoke_everybody", "").await;
    assert_eq!(everybody["messages"][0]["code"], 11_000, "{everybody}");
    let (_, health) = world.ask("GET /health", "").await;
    assert_eq!(health["result"]["mail"]["state"], "unused", "{health}");
}

#[tokio::test]
async fn svc_03_service_tokens_are_looked_after() {
    let world = World::start("admin-tokens").await;
    let all = "/access/service_tokens";
    let (status, made) = world.ask(&format!("POST {all}"), r#"{"name":"ci"}"#).await;
    assert_eq!(status, 200, "{made}");
    let token = &made["result"];
    let (id, client) = (token["id"].as_str().unwrap(), token["client_id"].as_str().unwrap());
    let secret = token["client_secret"].as_str().unwrap();
    assert!(secret.starts_with("cfast_") && client.ends_with(".access"), "{token}");
    assert_eq!(token["duration"], "8760h");
    let good = |secret: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert("cf-access-client-id", client.parse().unwrap());
        headers.insert("cf-access-client-secret", secret.parse().unwrap());
        headers
    };
    let status_of = async |headers: http::HeaderMap| {
        let mut request = http::Request::new(http_body_util::Full::<bytes::Bytes>::default());
        *request.uri_mut() = "/".parse().unwrap();
        *request.headers_mut() = headers;
        request.headers_mut().insert("host", "machines.example".parse().unwrap());
        let proxy = world.reloader.proxy();
        tower::ServiceExt::oneshot(proxy, request).await.unwrap().status().as_u16()
    };
    assert_eq!(status_of(good(secret)).await, 204);
    assert_eq!(world.ask(&format!("POST {all}"), r#"{"name":"ci"}"#).await.0, 409);
    for wrong in
        ["{}", "[]", r#"{"name":""}"#, r#"{"name":"x","duration":"1y"}"#, r#"{"nmae":"x"}"#]
    {
        assert_eq!(world.ask(&format!("POST {all}"), wrong).await.0, 400, "{wrong}");
    }

    // The list shows no secret, and what the file defines is not changed here.
    let (_, list) = world.ask(&format!("GET {all}"), "").await;
    assert_eq!(list["result"].as_array().unwrap().len(), 1);
    assert!(!list.to_string().contains(secret));
    let change = |id: &str| format!("PUT {all}/{id}");
    assert_eq!(world.ask(&change("nobody"), r#"{"enabled":false}"#).await.0, 404);
    assert_eq!(world.ask(&change(id), "{}").await.0, 400);

    // Off and on, a new name, a new secret beside the one before.
    let off = r#"{"enabled":false,"name":"deploy"}"#;
    let (status, changed) = world.ask(&change(id), off).await;
    assert_eq!((status, &changed["result"]["enabled"]), (200, &json!(false)));
    assert_eq!(changed["result"]["name"], "deploy");
    assert_eq!(status_of(good(secret)).await, 401);
    assert_eq!(world.ask(&change(id), r#"{"enabled":true}"#).await.0, 200);
    let rotate = format!("POST {all}/{id}/rotate");
    let until = r#"{"previous_client_secret_expires_at":"2999-01-31T00:00:00Z"}"#;
    let (status, rotated) = world.ask(&rotate, until).await;
    assert_eq!(status, 200, "{rotated}");
    let second = rotated["result"]["client_secret"].as_str().unwrap();
    assert_eq!((status_of(good(secret)).await, status_of(good(second)).await), (204, 204));
    let (_, rotated) = world.ask(&rotate, "").await;
    let third = rotated["result"]["client_secret"].as_str().unwrap();
    assert_eq!((status_of(good(second)).await, status_of(good(third)).await), (401, 204));
    assert_eq!(world.ask(&format!("POST {all}/{id}/refresh"), "").await.0, 200);
    assert_eq!(world.ask(&format!("DELETE {all}/{id}"), "").await.0, 200);
    assert_eq!(status_of(good(third)).await, 401);
    assert_eq!(world.ask(&format!("DELETE {all}/{id}"), "").await.0, 404);
    let (status, head, _) = world
        .raw(&format!(
            "PATCH {all} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\
             connection: close\r\ncontent-length: 0\r\n\r\n"
        ))
        .await;
    assert!(status == 405 && head.to_ascii_lowercase().contains("allow: get, post"), "{head}");
}

#[tokio::test]
async fn cfg_01_reloads_and_their_errors_are_seen() {
    let world = World::start("admin-reload").await;
    let (status, health) = world.ask("GET /health", "").await;
    let version = world.reloader.config().version().to_owned();
    let expected = json!({
        "version": version, "configuration_errors": [], "key_state": "fresh", "keys": 1,
        "store_answers": true, "mail": {
            "state": "unused", "sent": 0, "recipients_refused": 0, "failed": 0,
            "failed_since_sent": 0, "last_sent_at": null, "last_failed_at": null, "last_error": null,
            "queued": 0, "retried": 0, "expired": 0, "dropped": 0, "attempts_failed_since_sent": 0
        }
    });
    assert_eq!((status, &health["result"]), (200, &expected));
    let (_, same) = world.ask("POST /reload", "").await;
    assert_eq!(
        same["result"],
        json!({ "changed": false, "version": version, "after_restart": [] })
    );

    std::fs::write(&world.file, text("tests: 1\nlint: 2\n")).unwrap();
    let (status, broken) = world.ask("POST /reload", "").await;
    assert_eq!(status, 422);
    let errors = broken["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{broken}");
    assert!(errors[0]["message"].as_str().unwrap().contains(":13:8: tests: "), "{broken}");
    let (status, health) = world.ask("GET /health", "").await;
    // The last good one serves.
    assert_eq!((status, &health["result"]["version"]), (200, &json!(version)));
    assert_eq!(health["result"]["configuration_errors"].as_array().unwrap().len(), 2);

    std::fs::write(&world.file, text("tests: []\n")).unwrap();
    let (status, done) = world.ask("POST /reload", "").await;
    assert_eq!((status, &done["result"]["changed"]), (200, &json!(true)));
    let (_, health) = world.ask("GET /health", "").await;
    assert_eq!(health["result"]["configuration_errors"], json!([]));
    assert_eq!(health["result"]["version"], done["result"]["version"]);

    // Without `admin` in the file nobody is heard.
    let closed = text("").replace("admin: { token: '${TOKEN}' }", "");
    std::fs::write(&world.file, closed).unwrap();
    assert_eq!(world.ask("POST /reload", "").await.0, 200);
    assert_eq!(world.ask("GET /health", "").await.0, 401);
}

#[tokio::test]
async fn cfg_06_no_answer_holds_the_token() {
    let world = World::start("admin-secrets").await;
    for line in ["GET /health", "GET /access/keys", "POST /reload", "GET /x"] {
        let (_, json) = world.ask(line, "").await;
        assert!(!json.to_string().contains(TOKEN), "{json}");
    }
    assert!(!format!("{:?}", world.reloader.config()).contains(TOKEN));
}
