//! Signing keys over time: replaced, published, kept in a store, shared.

mod model;
mod several;
mod single;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::Value;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::issuer::KeyRotation;
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::MasterSecret;
use tower_access::{Access, AccessBuilder, AccessLayer};

use self::store::TestStore;
use crate::support::{Browser, Mailbox, Origin, clock, log_in};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const HOST: &str = "wiki.example.com";
const WIKI: &str = "https://wiki.example.com/";
const CERTS: &str = "https://login.example.com/cdn-cgi/access/certs";
/// By default: for how long a key that was replaced still verifies, and how long a key signs.
const OVERLAP: Duration = Duration::from_secs(7 * 86_400);
const INTERVAL: Duration = Duration::from_secs(42 * 86_400);
/// How long before it signs a key is announced to other processes after a suspicion.
const LEAD: Duration = Duration::from_secs(5);

/// What engines have in common: time, mail, a store.
#[derive(Clone, Debug)]
struct Surroundings {
    clock: Arc<ManualClock>,
    mail: Mailbox,
    store: TestStore,
    people: Arc<AtomicUsize>,
}

impl Surroundings {
    fn new() -> Self {
        let clock = clock();
        let store = TestStore::new(Arc::clone(&clock));
        Self { clock, mail: Mailbox::default(), store, people: Arc::default() }
    }

    fn builder(&self) -> AccessBuilder {
        let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
        let wiki = Application::new("Wiki", HOST).unwrap().session_duration(30 * DAY).policy(staff);
        Access::builder()
            .team_domain("login.example.com".parse().unwrap())
            .application(wiki)
            .mailer(self.mail.clone())
            .store(self.store.clone())
            .clock(Arc::clone(&self.clock))
    }

    /// An engine with keys of its own.
    fn engine(&self, rotation: KeyRotation) -> Issuing {
        self.issuing(self.builder().key_rotation(rotation).build().unwrap())
    }

    /// An engine with the keys of the store.
    async fn kept(&self, secret: u8) -> Issuing {
        let builder = self.builder().master_secret(MasterSecret::from_bytes([secret; 32]));
        self.issuing(builder.build_persistent().await.unwrap())
    }

    /// The same, with a connection of its own to the store, and these rotations.
    async fn node(&self, rotation: KeyRotation) -> (Issuing, TestStore) {
        let store = self.store.another_connection();
        let builder = self
            .builder()
            .master_secret(MasterSecret::from_bytes([1; 32]))
            .store(store.clone())
            .key_rotation(rotation);
        (self.issuing(builder.build_persistent().await.unwrap()), store)
    }

    fn issuing(&self, access: Access) -> Issuing {
        let service = AccessLayer::new(access.clone()).layer(Origin::default());
        Issuing { access, service, mail: self.mail.clone(), people: Arc::clone(&self.people) }
    }

    fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

/// An engine that issues, behind its layer.
struct Issuing {
    access: Access,
    service: AccessService<Origin>,
    mail: Mailbox,
    people: Arc<AtomicUsize>,
}

impl Issuing {
    fn browser(&self) -> Browser<AccessService<Origin>> {
        Browser::new(self.service.clone())
    }

    /// The application token of somebody who logs in with a browser of their own. Each time it is
    /// somebody else: nobody gets mail without end.
    async fn log_in(&self) -> String {
        let person = self.people.fetch_add(1, Ordering::SeqCst);
        let mut browser = self.browser();
        log_in(&mut browser, &self.mail, WIKI, &format!("ada{person}@example.com")).await;
        browser.cookie(HOST, "CF_Authorization").unwrap()
    }

    /// Whether this token opens the page, and nothing beside it.
    async fn opens(&self, token: &str) -> bool {
        let mut browser = self.browser();
        browser.set_cookie(HOST, "CF_Authorization", token);
        match browser.get(WIKI).await.status() {
            StatusCode::OK => true,
            StatusCode::FOUND => false,
            status => panic!("neither the page nor the login: {status}"),
        }
    }

    /// The text of the endpoint that publishes keys.
    async fn document(&self) -> String {
        let answer = self.browser().get(CERTS).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.text
    }

    /// The ids of the published keys, which are those of the certificates: the one that signs
    /// first, then the others, the newest first.
    async fn key_ids(&self) -> Vec<String> {
        let document: Value = serde_json::from_str(&self.document().await).unwrap();
        let ids = |list: &str| -> Vec<_> {
            let list = document[list].as_array().unwrap();
            list.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids("keys"), ids("public_certs"));
        assert_eq!(document["public_cert"], document["public_certs"][0]);
        ids("keys")
    }

    /// The published keys, once there are so many: a rotation happens beside the requests, and on
    /// another machine.
    async fn key_ids_when(&self, count: usize) -> Vec<String> {
        for _ in 0..2_500 {
            let ids = self.key_ids().await;
            if ids.len() == count {
                return ids;
            }
            tokio::time::sleep(Duration::from_millis(4)).await;
        }
        panic!("{count} keys were not published");
    }
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The id of the key that a token is signed with.
fn key_id(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// When a token ends.
fn end(token: &str) -> u64 {
    part(token, 1)["exp"].as_u64().unwrap()
}
