//! Whatever a stranger or a file brings: an error, never a panic.

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use proptest::prelude::*;
use tower::{Layer, ServiceExt};
use tower_access::address::{TrustedProxies, client_address};
use tower_access::application::{Application, CanonicalHost, CanonicalPath, Destination};
use tower_access::clock::{GoDuration, Timestamp};
use tower_access::identity::Email;
use tower_access::policy::{Group, Policy, Rule};
use tower_access::secret::SecretHash;
use tower_access::token::keys::KeySet;
use tower_access::token::{Expected, TokenKind, verify};
use tower_access::{Access, AccessLayer};

use crate::support::{Mailbox, Origin, clock};

fn keys() -> KeySet {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../vectors/jwt.json")).unwrap();
    KeySet::from_jwks(document["jwks"].to_string().as_bytes()).unwrap()
}

fn json() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "keys", "kid", "kty", "RSA", "n", "e", "AQAB", "include", "require", "exclude", "email",
        "name", "decision", "allow", "ip", "everyone", "aud", "exp", "iss", "type", "app", "group",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        word.clone().prop_map(|value| format!("{value:?}")),
        ".{0,8}".prop_map(|value| serde_json::to_string(&value).unwrap()),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((word.clone(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.into_iter().map(|(key, value)| format!("{key:?}:{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn texts(text in "\\PC{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = text.parse::<Email>();
        let _ = text.parse::<CanonicalHost>();
        let _ = text.parse::<Destination>();
        let _ = text.parse::<GoDuration>();
        let _ = text.parse::<SecretHash>();
        let _ = Rule::ip(&text);
        let _ = CanonicalPath::parse(&format!("/{text}"));
        let _ = KeySet::from_jwks(&bytes);
        let lossy = String::from_utf8_lossy(&bytes).into_owned();
        let _ = CanonicalPath::parse(&lossy);
        let _ = lossy.parse::<CanonicalHost>();
    }

    #[test]
    fn documents(text in json()) {
        let _ = serde_json::from_str::<Rule>(&text);
        let _ = serde_json::from_str::<Policy>(&text);
        let _ = serde_json::from_str::<Group>(&text);
        let _ = KeySet::from_jwks(text.as_bytes());
    }

    #[test]
    fn tokens(header in json(), payload in json(), tail in "[A-Za-z0-9_.-]{0,40}") {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let token = format!("{}.{}.{tail}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let expected = Expected::new("https://example-team.cloudflareaccess.com", &["x"], TokenKind::Application).with_leeway(std::time::Duration::MAX);
        for now in [0, 1_790_000_000, u64::MAX] {
            prop_assert!(verify(&token, &keys(), expected, Timestamp::from_unix_seconds(now)).is_err());
        }
    }

    #[test]
    fn addresses(lines in prop::collection::vec(prop::collection::vec(32_u8..=255, 0..40), 0..4)) {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.append("x-forwarded-for", value);
            }
        }
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]).unwrap();
        let _ = client_address(Some("10.0.0.1".parse().unwrap()), &headers, &trusted);
    }
}

/// Requests made of hostile pieces, through the whole stack: nobody gets in, nothing panics.
#[test]
fn requests() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let access = Access::builder()
        .mailer(Mailbox::default())
        .clock(clock())
        .application(
            Application::new("App", "app.example")
                .unwrap()
                .policy(Policy::allow("ada").include(Rule::email("ada@example.com").unwrap())),
        )
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access).layer(origin.clone());
    let names = prop::sample::select(vec![
        "host",
        "cookie",
        "cf-access-token",
        "cf-access-jwt-assertion",
        "cf-access-client-id",
        "cf-access-client-secret",
        "connection",
        "upgrade",
        "origin",
        "accept",
        "x-requested-with",
        "sec-fetch-mode",
        "content-type",
    ]);
    let value = prop_oneof![
        prop::collection::vec(32_u8..=255, 0..60),
        Just(b"app.example".to_vec()),
        Just(b"CF_Authorization=a.b.c; CF_AppSession=0123456789abcdef0123456789abcdef".to_vec()),
        Just(b"text/html".to_vec()),
    ];
    let path = prop_oneof![
        "/[a-z%./;\\\\0-9]{0,24}",
        "/cdn-cgi/access/[a-z/-]{0,16}(\\?[a-z=&%0-9]{0,24})?",
        Just(
            "/cdn-cgi/access/verify-code/app.example?kid=x&nonce=0123456789abcdef0123456789abcdef"
                .to_owned()
        ),
    ];
    let method =
        prop::sample::select(vec!["GET", "HEAD", "POST", "OPTIONS", "CONNECT", "TRACE", "X"]);
    let requests = (
        method,
        path,
        prop::collection::vec((names, value), 0..6),
        prop::collection::vec(any::<u8>(), 0..80),
    );
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3_000));
    runner
        .run(&requests, |(method, path, headers, body)| {
            let Ok(mut request) =
                Request::builder().method(method).uri(path).body(Full::<bytes::Bytes>::from(body))
            else {
                return Ok(());
            };
            request.headers_mut().insert("host", HeaderValue::from_static("app.example"));
            for (name, value) in headers {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    request.headers_mut().append(HeaderName::from_static(name), value);
                }
            }
            let answer = runtime.block_on(service.clone().oneshot(request)).unwrap();
            prop_assert!(!answer.status().is_server_error(), "{}", answer.status());
            Ok(())
        })
        .unwrap();
    assert_eq!(origin.count(), 0);
}
