//! A proxy in front that is not trusted: it is named in health.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_access::address::PeerAddress;
use tower_access::admin::AdminService;
use tower_access::config::{Config, Environment};
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
