//! The settings that both builders share, and the one `reload` that takes either.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_access::application::Application;
use tower_access::clock::{Clock, ManualClock, Timestamp};
use tower_access::issuer::{PublishedKeys, SigningKey};
use tower_access::login::mail::ConsoleMailer;
use tower_access::policy::{Group, Policy, Rule};
use tower_access::token::keys::KeySet;
use tower_access::{
    Access, AccessBuilder, AccessLayer, ConfigError, EngineSettings, TokenLocation, VerifierBuilder,
};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn issuing() -> AccessBuilder {
    Access::builder().mailer(ConsoleMailer)
}

fn verifying() -> VerifierBuilder {
    static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
        let key = SigningKey::generate().unwrap();
        let keys = PublishedKeys::new(&key, &[], "https://acme.cloudflareaccess.com", NOW);
        keys.unwrap().key_set().clone()
    });
    Access::verifier_builder("acme.cloudflareaccess.com").unwrap().keys(KEYS.clone())
}

/// The application of a file's first version, or another one, which an office gets into.
fn application(host: &str) -> Application {
    Application::new("App", host)
        .unwrap()
        .audience(AUDIENCE.parse().unwrap())
        .policy(Policy::bypass("office").include(Rule::group("office")))
}

fn office() -> Group {
    Group::new("office").include(Rule::ip("192.0.2.0/24").unwrap())
}

/// The same settings, by the builder of each role.
macro_rules! in_both_roles {
    (|$builder:ident| $settings:expr) => {{
        let of_issuing: Box<dyn Fn() -> EngineSettings> = Box::new(|| {
            let $builder = issuing();
            $settings.into()
        });
        let of_verifying: Box<dyn Fn() -> EngineSettings> = Box::new(|| {
            let $builder = verifying();
            $settings.into()
        });
        [of_issuing, of_verifying]
    }};
}

async fn status(access: &Access, host: &str) -> StatusCode {
    let inner = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::default()))
    });
    let service = ServiceBuilder::new().layer(AccessLayer::new(access.clone())).service(inner);
    let request = Request::get("/").header("host", host).body(Full::default()).unwrap();
    service.oneshot(request).await.unwrap().status()
}

fn peer(address: &str) -> impl Fn(&http::Extensions) -> Option<IpAddr> + Send + Sync + 'static {
    let address = address.parse().ok();
    move |_| address
}

#[tokio::test]
async fn every_shared_setting_counts_in_both_roles() {
    let settings = in_both_roles!(|builder| builder
        .group(office())
        .application(application("app.example"))
        .peer_address(peer("192.0.2.7"))
        .clock(Arc::new(ManualClock::new(NOW))));
    for settings in settings {
        let access = settings().build().unwrap();
        assert_eq!(status(&access, "app.example").await, StatusCode::OK);
        assert_eq!(status(&access, "other.example").await, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn every_shared_setting_is_checked_in_both_roles() {
    type Case = ([Box<dyn Fn() -> EngineSettings>; 2], &'static str);
    let cases: [Case; 4] = [
        (
            in_both_roles!(|builder| builder
                .group(office())
                .application(application("app.example"))
                .without_token_location(TokenLocation::Cookie)
                .without_token_location(TokenLocation::AssertionHeader)
                .without_token_location(TokenLocation::TokenHeader)),
            "this role never reads",
        ),
        (in_both_roles!(|builder| builder.application(application("app.example"))), "office"),
        (
            in_both_roles!(|builder| builder
                .group(office())
                .group(office())
                .application(application("app.example"))),
            "office",
        ),
        (
            in_both_roles!(|builder| builder
                .group(office())
                .application(application("app.example"))
                .application(application("app.example"))),
            "has the audience tag of another application",
        ),
    ];
    for (settings, part) in cases {
        for settings in settings {
            let error = settings().build().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}

#[tokio::test]
async fn reload_takes_the_builder_of_either_role() {
    let before = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("app.example")));
    let after = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("new.example")));
    for (before, after) in before.iter().zip(&after) {
        let access = before().build().unwrap();
        let clone = access.clone();
        access.reload(after()).unwrap();
        for access in [&access, &clone] {
            assert_eq!(status(access, "new.example").await, StatusCode::OK);
            assert_eq!(status(access, "app.example").await, StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn cfg_01_a_reload_with_the_other_role_changes_nothing() {
    let settings = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("app.example")));
    let [issuing, verifying] = &settings;
    let refused = |access: &Access, settings: EngineSettings| -> ConfigError {
        access.reload(settings).unwrap_err()
    };
    for (mine, others) in [(issuing, verifying), (verifying, issuing)] {
        let access = mine().build().unwrap();
        let error = refused(&access, others()).to_string();
        assert!(error.contains("restart the program"), "{error}");
        assert_eq!(status(&access, "app.example").await, StatusCode::OK);
        assert_eq!(access.key_rotation().is_some(), access.mail_status().is_some());
    }
}

#[tokio::test]
async fn cfg_01_a_reload_with_settings_that_contradict_each_other_changes_nothing() {
    let good = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("app.example")));
    let wrong = in_both_roles!(|builder| builder.application(application("app.example")));
    for (good, wrong) in good.iter().zip(&wrong) {
        let access = good().build().unwrap();
        access.reload(wrong()).unwrap_err();
        assert_eq!(status(&access, "app.example").await, StatusCode::OK);
    }
}

/// The clock of an engine outlives a reload, whichever the role.
#[tokio::test]
async fn a_reload_keeps_the_clock() {
    #[derive(Debug)]
    struct Unwanted;

    impl Clock for Unwanted {
        fn now(&self) -> Timestamp {
            panic!("the clock of a reload is not read")
        }
    }

    let before = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("app.example")));
    let after = in_both_roles!(|builder| builder
        .group(office())
        .peer_address(peer("192.0.2.7"))
        .application(application("app.example"))
        .clock(Unwanted));
    for (before, after) in before.iter().zip(&after) {
        let access = before().build().unwrap();
        access.reload(after()).unwrap();
        assert_eq!(status(&access, "app.example").await, StatusCode::OK);
    }
}
