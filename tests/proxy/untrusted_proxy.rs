//! A proxy in front that is not trusted: it is named in health.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_access::address::PeerAddress;
use tower_access::admin::AdminService;
use tower_access::clock::Timestamp;
use tower_access::config::{Config, Environment};
use tower_access::inspect::check_text;
use tower_access::proxy::Reloader;

const TOKEN: &str = "6f1ed002ab5595859014ebf0951522d9";

fn text(more: &str) -> String {
    format!(
        "
ingress: [ {{ service: http_status:204 }} ]
admin: {{ token: '${{TOKEN}}' }}
access:
  mail: console
  applications:
    - name: Wiki
      domain: wiki.example
      policies: [ {{ name: x, decision: allow, include: [ {{ everyone: {{}} }} ] }} ]
{more}"
    )
}

fn request(peer: &str, headers: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let mut request = Request::builder().uri("/").header("host", "wiki.example");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Full::default()).unwrap();
    request.extensions_mut().insert(PeerAddress(peer.parse().unwrap()));
    request
}

async fn health(reloader: &Reloader) -> Value {
    let request = Request::builder()
        .uri("/health")
        .header("host", "localhost")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::<Bytes>::default())
        .unwrap();
    let answer = AdminService::new(reloader.clone()).oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&body).unwrap()["result"].clone()
}

/// OTP-23
#[tokio::test]
async fn otp_23_a_proxy_that_is_not_trusted_is_named_in_health() {
    let file =
        std::env::temp_dir().join(format!("tower-access-untrusted-{}.yml", std::process::id()));
    std::fs::write(&file, text("")).unwrap();
    let environment = Environment::empty().with("TOKEN", TOKEN);
    let config = Config::load_with(&file, &environment).unwrap();
    let reloader = Reloader::start(&file, config, environment).await.unwrap();
    assert_eq!(health(&reloader).await.get("ignored_forwarding"), None, "nothing to tell");
    for (peer, headers) in [
        ("10.1.2.3", &[][..]),
        ("10.1.2.3", &[("x-forwarded-for", "192.0.2.7")]),
        ("10.1.2.3", &[("x-forwarded-for", "192.0.2.8")]),
        ("10.1.2.4", &[("forwarded", "for=192.0.2.7")]),
    ] {
        let answer = reloader.proxy().oneshot(request(peer, headers)).await.unwrap();
        assert_eq!(answer.status(), 302);
    }
    let told = health(&reloader).await["ignored_forwarding"].clone();
    let of = |number: usize, name: &str| told[number][name].clone();
    assert_eq!(told.as_array().unwrap().len(), 2, "{told}");
    assert_eq!([of(0, "peer"), of(0, "header")], [json!("10.1.2.3"), json!("X-Forwarded-For")]);
    assert_eq!([of(0, "requests"), of(1, "requests")], [json!(2), json!(1)]);
    assert_eq!([of(1, "peer"), of(1, "header")], [json!("10.1.2.4"), json!("Forwarded")]);
    assert!(of(0, "first_at").is_string());
    // Whoever is trusted by now is told of no more.
    std::fs::write(&file, text("trusted_proxies: [ 10.1.2.3 ]\n")).unwrap();
    reloader.reload().await.unwrap();
    let told = health(&reloader).await["ignored_forwarding"].clone();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["peer"], "10.1.2.4");
    std::fs::remove_file(&file).unwrap();
}

/// OTP-23: `check` warns where somebody is in front, it seems, and nobody is trusted.
#[test]
fn otp_23_check_warns_of_a_private_listen_without_trusted_proxies() {
    let finds = |more: &str, decision: &str| {
        let text = format!(
            "
ingress: [ {{ service: http_status:204 }} ]
{more}
access:
  mail: {{ smtp: {{ host: mail.example.com, from: access@example.com }} }}
  applications:
    - name: Wiki
      domain: wiki.example
      policies: [ {{ name: x, decision: {decision}, include: [ {{ email: {{ email: a@b.example }} }} ] }} ]
"
        );
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let report = serde_json::to_value(check_text(&text, "f", now).unwrap()).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().any(|finding| finding["id"] == "proxy-not-trusted")
    };
    for listen in ["127.0.0.1:8080", "10.0.0.5:80", "172.16.0.1:80", "192.168.1.1:80"] {
        assert!(finds(&format!("listen: {listen}"), "allow"), "{listen}");
    }
    for listen in ["'[::1]:8080'", "'[fd00::1]:80'", "'[::ffff:10.0.0.5]:80'", "'[fe80::1]:80'"] {
        assert!(finds(&format!("listen: {listen}"), "allow"), "{listen}");
    }
    for listen in ["0.0.0.0:8080", "'[::]:80'", "203.0.113.7:80", "'[2001:db8::1]:80'"] {
        assert!(!finds(&format!("listen: {listen}"), "allow"), "{listen}");
    }
    // Nobody logs in, or the file says that it knows.
    assert!(!finds("listen: 127.0.0.1:8080", "deny"));
    for proxies in ["[]", "[ 127.0.0.1 ]"] {
        let more = format!("listen: 127.0.0.1:8080\ntrusted_proxies: {proxies}");
        assert!(!finds(&more, "allow"), "{proxies}");
    }
}
