//! What was ended stays ended: across reloads, restarts, other processes, later configurations, and
//! restored backups; with every store.

mod backups;
mod keys;
mod service_tokens;
mod sessions;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::issuer::KeyRotation;
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::{MasterSecret, SecretHash};
use tower_access::service_token::ServiceToken;
use tower_access::store::{MemoryStore, RedbStore, Store};
use tower_access::{Access, AccessBuilder, AccessLayer};

use crate::stores::folder::Folder;
use crate::stores::server::RedisServer;
use crate::support::{Browser, Mailbox, Origin, clock, log_in, send};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// After so long all processes sign with a key that was announced.
const LEAD: Duration = Duration::from_secs(5);
const HOST: &str = "wiki.example.com";
const WIKI: &str = "https://wiki.example.com/";

/// Where state is kept.
enum Backend {
    Memory(Arc<dyn Store>),
    File(PathBuf),
    Redis(RedisServer),
}

/// What outlasts a process.
struct World {
    clock: Arc<ManualClock>,
    mail: Mailbox,
    people: AtomicUsize,
    nobody: AccessService<Origin>,
    backend: Backend,
    _folder: Folder,
}

impl World {
    /// One of each kind.
    async fn all() -> [Self; 3] {
        [Self::in_memory(), Self::in_file(), Self::in_redis().await]
    }

    fn of(backend: impl FnOnce(&Arc<ManualClock>, &Folder) -> Backend) -> Self {
        let (clock, folder) = (clock(), Folder::new());
        let backend = backend(&clock, &folder);
        let bypass = Policy::bypass("all").include(Rule::everyone());
        let other = Application::new("Other", "other.example").unwrap().policy(bypass);
        let nobody = Access::builder().application(other).build().unwrap();
        let nobody = AccessLayer::new(nobody).layer(Origin::default());
        let (mail, people) = (Mailbox::default(), 0.into());
        Self { backend, clock, mail, people, nobody, _folder: folder }
    }

    fn in_memory() -> Self {
        Self::of(|clock, _| Backend::Memory(Arc::new(MemoryStore::new(Arc::clone(clock), 10_000))))
    }

    fn in_file() -> Self {
        Self::of(|_, folder| Backend::File(folder.file("state.redb")))
    }

    async fn in_redis() -> Self {
        let server = RedisServer::start(&[]).await;
        Self::of(|_, _| Backend::Redis(server))
    }

    fn is_shared(&self) -> bool {
        !matches!(self.backend, Backend::File(_))
    }

    /// A connection of its own.
    fn store(&self) -> Arc<dyn Store> {
        match &self.backend {
            Backend::Memory(store) => Arc::clone(store),
            Backend::File(path) => {
                // The process before may still be closing it.
                for _ in 0..1_000 {
                    match RedbStore::open(path, Arc::clone(&self.clock)) {
                        Ok(store) => return Arc::new(store),
                        Err(error) if error.to_string().contains("another process") => {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                panic!("the file stays open");
            }
            Backend::Redis(server) => Arc::new(server.store()),
        }
    }

    /// Settings, without a store.
    fn settings(&self) -> AccessBuilder {
        let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
        let machines = Policy::service_auth("machines").include(Rule::any_valid_service_token());
        let wiki = Application::new("Wiki", HOST)
            .unwrap()
            .session_duration(30 * DAY)
            .policy(machines)
            .policy(staff);
        Access::builder()
            .team_domain("login.example.com".parse().unwrap())
            .application(wiki)
            .mailer(self.mail.clone())
            .clock(Arc::clone(&self.clock))
            .key_rotation(overlap(7 * DAY))
    }

    async fn try_start(&self, settings: AccessBuilder) -> Result<Process, String> {
        let settings = settings.store(self.store()).master_secret(master());
        let access = settings.build_persistent().await.map_err(|error| error.to_string())?;
        let service = AccessLayer::new(access.clone()).layer(Origin::default());
        Ok(Process { access, service })
    }

    async fn start(&self, settings: AccessBuilder) -> Process {
        self.try_start(settings).await.unwrap()
    }

    /// The browser of somebody who logs in, each time somebody else.
    async fn log_in(&self, process: &Process) -> Browser<AccessService<Origin>> {
        let person = self.people.fetch_add(1, Ordering::SeqCst);
        let mut browser = Browser::new(process.service.clone());
        log_in(&mut browser, &self.mail, WIKI, &format!("ada{person}@example.com")).await;
        // It is there while no process is.
        browser.at(self.nobody.clone())
    }

    async fn token(&self, process: &Process) -> String {
        self.log_in(process).await.cookie(HOST, "CF_Authorization").unwrap()
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

fn master() -> MasterSecret {
    MasterSecret::from_bytes([7; 32])
}

fn overlap(overlap: Duration) -> KeyRotation {
    KeyRotation::default().manual().overlap(overlap)
}

fn listed(secret: &str) -> ServiceToken {
    ServiceToken::new("ci", "ci.access", SecretHash::new(secret))
}

/// A process, until it is dropped.
struct Process {
    access: Access,
    service: AccessService<Origin>,
}

impl Process {
    async fn opens(&self, token: &str) -> bool {
        let mut browser = Browser::new(self.service.clone());
        browser.set_cookie(HOST, "CF_Authorization", token);
        match browser.get(WIKI).await.status() {
            StatusCode::OK => true,
            StatusCode::FOUND => false,
            status => panic!("neither the page nor the login: {status}"),
        }
    }

    /// Whether a browser gets the page without a form.
    async fn knows(&self, browser: &Browser<AccessService<Origin>>) -> bool {
        let mut browser = browser.at(self.service.clone());
        browser.forget(HOST);
        let (_, page) = browser.visit(WIKI).await;
        page.text == "origin saw /"
    }

    async fn key_ids(&self) -> Vec<String> {
        let mut browser = Browser::new(self.service.clone());
        let answer = browser.get("https://login.example.com/cdn-cgi/access/certs").await;
        let document: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
        let keys = document["keys"].as_array().unwrap();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    async fn lets_in(&self, client_id: &str, secret: &str) -> bool {
        let request = Request::get("/")
            .header("host", HOST)
            .header("cf-access-client-id", client_id)
            .header("cf-access-client-secret", secret);
        let request: Request<Full<Bytes>> = request.body(Full::default()).unwrap();
        let answer = self.service.clone().oneshot(request).await.unwrap();
        let is_ok = answer.status() == StatusCode::OK;
        // A revocation that arrives meanwhile breaks the response off.
        is_ok && answer.into_body().collect().await.is_ok()
    }
}

/// Waits for what happens beside the requests.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    panic!("never: {what}");
}
