//! What a recorder of the program's gets to see of keys and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::application::Application;
use tower_access::issuer::SigningKey;
use tower_access::policy::{Policy, Rule};
use tower_access::test_util::TestIssuer;
use tower_access::token::keys::{
    FetchError, FetchedKeys, KeyFetch, KeyFuture, RefreshPolicy, RemoteKeys,
};
use tower_access::token::{Algorithms, TokenErrorKind};

use crate::support::{Origin, send};

#[derive(Clone, Debug)]
struct Server {
    document: Bytes,
    is_up: Arc<AtomicBool>,
}

impl KeyFetch for Server {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(async {
            if self.is_up.load(Ordering::SeqCst) {
                Ok(FetchedKeys::new(self.document.clone()))
            } else {
                Err(FetchError::new("down"))
            }
        })
    }
}

/// Everything recorded, by name and labels: counters since the last look, gauges as they stand.
fn seen(snapshotter: &Snapshotter) -> BTreeMap<String, f64> {
    let snapshot = snapshotter.snapshot().into_vec();
    let entry = |(key, _, _, value): (metrics_util::CompositeKey, _, _, DebugValue)| {
        let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
        let name = format!("{} {}", key.key().name(), labels.join(" "));
        let value = match value {
            DebugValue::Counter(count) => f64::from(u32::try_from(count).unwrap()),
            DebugValue::Gauge(value) => value.into_inner(),
            DebugValue::Histogram(_) => panic!("there is none"),
        };
        (name.trim_end().to_owned(), value)
    };
    snapshot.into_iter().map(entry).collect()
}

#[tokio::test(start_paused = true)]
async fn keys_and_refusals_are_counted_under_names_of_ours() {
    // Of this thread, on which all of the test runs.
    let recorder = DebuggingRecorder::new();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let snapshotter = &recorder.snapshotter();
    let issuer = TestIssuer::new();
    let is_up = Arc::new(AtomicBool::new(false));
    let server = Server { document: issuer.key_set_json(), is_up: Arc::clone(&is_up) };
    let policy = RefreshPolicy::default().serve_stale_up_to(Duration::from_secs(7200));
    let access = issuer
        .verifier_builder()
        .audience(TestIssuer::AUDIENCE.parse().unwrap())
        .keys(RemoteKeys::with_policy(server, policy, Algorithms::default()))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let ask = async |token: &str| {
        let request = Request::get("http://app.example/").header("cf-access-jwt-assertion", token);
        send(&service, request.body(Full::default()).unwrap()).await.status().as_u16()
    };
    let good = issuer.token_for("ada@example.com");

    assert_eq!(ask(&good).await, 503);
    let first = seen(snapshotter);
    assert_eq!(first["tower_access_key_fetches_total failed"], 1.0);
    assert_eq!(first["tower_access_key_state never_loaded"], 1.0);
    assert_eq!(first["tower_access_keys"], 0.0);
    assert_eq!(first["tower_access_tokens_refused_total keys_unavailable"], 1.0);

    is_up.store(true, Ordering::SeqCst);
    issuer.clock().advance(Duration::from_secs(2));
    assert_eq!(ask(&good).await, 200);
    let stranger = SigningKey::generate().unwrap();
    assert_eq!(ask(&stranger.sign(&issuer.claims_for("eve@example.com")).unwrap()).await, 401);
    assert_eq!(ask("kid=secret.of.somebody").await, 401);
    let second = seen(snapshotter);
    assert_eq!(second["tower_access_key_fetches_total loaded"], 1.0);
    assert_eq!(second["tower_access_key_state fresh"], 1.0);
    assert_eq!(second["tower_access_key_state never_loaded"], 0.0);
    assert_eq!(second["tower_access_keys"], 1.0);
    assert_eq!(second["tower_access_tokens_refused_total unknown_key"], 1.0);
    assert_eq!(second["tower_access_tokens_refused_total encoding"], 1.0);

    is_up.store(false, Ordering::SeqCst);
    for (hours, state) in [(1, "stale"), (1, "expired")] {
        issuer.clock().advance(Duration::from_secs(hours * 3600));
        let _ = ask(&issuer.token_for("ada@example.com")).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let now = seen(snapshotter);
        assert_eq!(now[&format!("tower_access_key_state {state}")], 1.0, "{now:?}");
    }
    assert_eq!(seen(snapshotter)["tower_access_keys"], 0.0);
    assert_eq!(TokenErrorKind::UnknownKey.as_str(), "unknown_key");

    // A rule that asks for what nobody can tell.
    let policy = Policy::bypass("france").include(Rule::geo("FR").unwrap());
    let access = issuer
        .verifier_builder()
        .application(Application::new("App", "app.example").unwrap().policy(policy))
        .build()
        .unwrap();
    let service = AccessLayer::new(access).layer(Origin::default());
    let request = Request::get("http://app.example/").body(Full::default()).unwrap();
    assert_eq!(send(&service, request).await.status(), 403);
    assert_eq!(seen(snapshotter)["tower_access_missing_facts_total country"], 1.0);
}
