//! Builds an engine and its state from the settings.

use std::sync::Arc;

use crate::application::TeamDomain;
use crate::issuer::{Issuer, SigningKey, SigningKeys, StoredKeys};
use crate::login::Keys;
use crate::login::mail::MailDelivery;
use crate::secret::MasterSecret;
use crate::service_token::LiveServiceTokens;
use crate::session::{Revocations, SessionChanges, Sessions};
use crate::store::{MemoryStore, Store};
use crate::util::changes::Changes;

use super::super::shared_state::SharedState;
use super::super::{Access, ConfigError};
use super::AccessBuilder;
use super::restore::{RestoreOptions, end_everything};

/// State of an engine that issues, which outlives a configuration.
pub(super) struct EngineState {
    pub(super) store: Arc<dyn Store>,
    pub(super) sessions: Sessions,
    pub(super) issuer: Arc<Issuer>,
    pub(super) keys: Arc<Keys>,
    pub(super) mail_delivery: Arc<MailDelivery>,
    /// The service tokens of the engine that is replaced.
    pub(super) earlier_tokens: Option<Arc<LiveServiceTokens>>,
    pub(super) shared_state: Arc<SharedState>,
}

impl AccessBuilder {
    /// Builds the engine. Makes a signing key and a certificate: some tens of milliseconds.
    ///
    /// # Errors
    ///
    /// If applications, policies, groups or service tokens contradict each other, or a key cannot be
    /// made.
    pub fn build(mut self) -> Result<Access, ConfigError> {
        self.check_login_methods()?;
        let now = self.options.clock.now();
        let key = self.first_key()?;
        let keys = SigningKeys::new(key, &self.issuer_of_keys(), self.key_rotation, now);
        self.build_with(keys.map_err(ConfigError::new)?, None)
    }

    /// Builds the engine with the signing keys of the store, which are sealed with the master secret;
    /// makes and stores a first key if the store has none. Stores rotations as well. Sessions then
    /// survive a restart, if the store does.
    ///
    /// Several processes may share the keys of one store, and start at once: one of them makes the
    /// first key. One of them rotates a key that is due, and all others learn of it within a second,
    /// long before any of them signs with it. Then all start to sign with it at the same moment, so
    /// their clocks have to agree to a second or two. Give all of them the same
    /// [`key_rotation`](Self::key_rotation).
    ///
    /// While the store is unavailable, signing and verifying continue with the known keys, and a key
    /// that is due is rotated when the store is available again. Running processes restore the records
    /// of a store that lost them. Records are kept for two years from every start, every rotation, and
    /// every day.
    ///
    /// What has expired or was revoked stays invalid: a key whose overlap is over, a session, a service
    /// token that was deleted or that earlier settings listed (see
    /// [`service_token`](crate::service_token#the-end-of-a-token)). A store that was restored from a
    /// backup does not know all of that. If the store
    /// [detects it](crate::store::Store::is_rolled_back), this revokes all sessions and makes a new
    /// key; for a store that cannot, such as a Redis server, see [`restore`](Self::restore).
    ///
    /// Needs a Tokio runtime, with time enabled, and starts two tasks on it that end some time after
    /// the engine is dropped.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); if no [`master_secret`](Self::master_secret) is set, or there is no
    /// Tokio runtime; if the store is unavailable, or its keys were sealed with another secret; if the
    /// settings list a service token whose secret was revoked.
    pub async fn build_persistent(mut self) -> Result<Access, ConfigError> {
        self.check_login_methods()?;
        let kept = self.stored_keys()?;
        let runtime = tokio::runtime::Handle::try_current().map_err(ConfigError::new)?;
        let (issuer, rotation, sharing) = (self.issuer_of_keys(), self.key_rotation, self.sharing);
        let store = self.store_or_memory();
        if store.is_rolled_back().await.map_err(ConfigError::new)? {
            let keys = (&kept, rotation.size);
            end_everything(&store, &self.options.clock, keys, RestoreOptions::new()).await?;
        }
        let ring = kept.open(self.signing_key.take(), rotation).await;
        let ring = ring.map_err(ConfigError::new)?;
        let keys = SigningKeys::from_ring(ring, &issuer, rotation, self.options.clock.now());
        let access = self.build_with(keys, Some(kept))?;
        let engine = access.engine_owned();
        if let Some(login) = engine.login() {
            login.issuer.follow_store(&runtime);
        }
        // Revocations are loaded before the first request.
        engine.shared_state.revocations.load().await.map_err(ConfigError::new)?;
        engine.service_tokens.load().await.map_err(ConfigError::new)?;
        engine.service_tokens.begin_listing(sharing).await.map_err(ConfigError::new)?;
        if let Some(login) = engine.login() {
            login.sessions.sync_idle_limits(engine.now()).await.map_err(ConfigError::new)?;
        }
        engine.shared_state.start_tasks();
        Ok(access)
    }

    pub(super) fn stored_keys(&mut self) -> Result<StoredKeys, ConfigError> {
        let Some(master) = self.master_secret.clone() else {
            return Err(ConfigError::new(
                "stored signing keys are sealed: set `master_secret`, and do not change it",
            ));
        };
        let (random, clock) = (Arc::clone(&self.options.random), Arc::clone(&self.options.clock));
        let issuer = self.issuer_of_keys();
        StoredKeys::new(self.store_or_memory(), random, clock, &master, &issuer)
            .map_err(ConfigError::new)
    }

    /// Rejects duplicate and unknown login methods: an unknown one would allow nobody.
    pub(super) fn check_login_methods(&self) -> Result<(), ConfigError> {
        if let Some(id) = self.login_methods.duplicate_id() {
            return Err(ConfigError::new(format!("two login methods have the id `{id}`")));
        }
        let known = self.login_methods.ids();
        for application in &self.options.applications {
            let unknown =
                application.allowed_login_methods.iter().find(|id| !known.contains(&&***id));
            if let Some(id) = unknown {
                return Err(ConfigError::new(format!(
                    "application `{}`: unknown login method `{id}`; known: `{}`",
                    application.name,
                    known.join("`, `")
                )));
            }
        }
        Ok(())
    }

    fn first_key(&mut self) -> Result<SigningKey, ConfigError> {
        match self.signing_key.take() {
            Some(key) => Ok(key),
            None => {
                SigningKey::generate_with_size(self.key_rotation.size).map_err(ConfigError::new)
            }
        }
    }

    fn issuer_of_keys(&self) -> String {
        self.team_domain.as_ref().map_or_else(|| "tower-access".to_owned(), TeamDomain::issuer)
    }

    /// Returns the store; without one, the same store in memory each time.
    pub(super) fn store_or_memory(&mut self) -> Arc<dyn Store> {
        let clock = &self.options.clock;
        let memory = || -> Arc<dyn Store> {
            Arc::new(MemoryStore::new(Arc::clone(clock), RECORDS_PER_KIND))
        };
        Arc::clone(self.store.get_or_insert_with(memory))
    }

    fn build_with(
        mut self,
        keys: SigningKeys,
        kept: Option<StoredKeys>,
    ) -> Result<Access, ConfigError> {
        let state = self.first_state(keys, kept)?;
        self.engine(state).map(Access::from_engine)
    }

    fn first_state(
        &mut self,
        keys: SigningKeys,
        kept: Option<StoredKeys>,
    ) -> Result<EngineState, ConfigError> {
        let is_shared = self.store.is_some();
        let store = self.store_or_memory();
        let master = match &self.master_secret {
            Some(master) => master.clone(),
            None => MasterSecret::generate(&*self.options.random).map_err(ConfigError::new)?,
        };
        let (clock, random) = (Arc::clone(&self.options.clock), Arc::clone(&self.options.random));
        let mail_delivery = Arc::new(MailDelivery::new(Arc::clone(&clock), Arc::clone(&random)));
        let changes = Arc::<Changes>::default();
        let revocations =
            Revocations::with_store(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&changes));
        let shared_state = SharedState::new(
            Arc::new(revocations),
            changes,
            (clock, random, self.options.has_system_random),
            self.options.token_cache_bytes,
        );
        let random = Arc::clone(&self.options.random);
        let changes = Arc::clone(shared_state.changes());
        let sessions = Sessions::new(Arc::clone(&store), random, &master, changes);
        let sessions = sessions.map_err(ConfigError::new)?;
        if is_shared {
            let changes = SessionChanges::new(sessions.clone(), Arc::clone(&shared_state.clock));
            shared_state.set_followed_store(Arc::clone(&store), changes);
        }
        Ok(EngineState {
            sessions,
            store,
            issuer: Arc::new(Issuer::new(keys, kept)),
            keys: Arc::new(Keys::derive(&master).map_err(ConfigError::new)?),
            mail_delivery,
            earlier_tokens: None,
            shared_state,
        })
    }
}

const RECORDS_PER_KIND: usize = 250_000;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response, StatusCode};
    use http_body_util::{BodyExt, Full};
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::AccessLayer;
    use crate::application::Application;
    use crate::clock::Timestamp;
    use crate::issuer::KeyRotation;
    use crate::login::mail::{Mail, MailFuture, Mailer};
    use crate::policy::{Policy, Rule};
    use crate::token::{Audiences, Claims, TokenKind};

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    #[derive(Debug)]
    struct NoMail;

    impl Mailer for NoMail {
        fn deliver(&self, mail: Mail) -> MailFuture<'_> {
            panic!("mailed {mail:?}")
        }
    }

    /// An application whose login methods are unknown, in spite of the check.
    fn engine() -> (Access, SigningKey) {
        let application = Application::new("App", "app.example")
            .unwrap()
            .audience("7a".repeat(32).parse().unwrap())
            .policy(Policy::bypass("office").include(Rule::ip("192.0.2.0/24").unwrap()))
            .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap()))
            .allowed_login_method("okta");
        let builder = Access::builder()
            .mailer(NoMail)
            .clock(Arc::new(crate::clock::ManualClock::new(NOW)))
            .application(application);
        assert!(builder.check_login_methods().is_err());
        let key = SigningKey::generate().unwrap();
        let copy = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        let issuer = builder.issuer_of_keys();
        let keys = SigningKeys::new(copy, &issuer, KeyRotation::default(), NOW).unwrap();
        (builder.build_with(keys, None).unwrap(), key)
    }

    async fn ask(access: &Access, request: Request<Full<Bytes>>) -> Response<String> {
        let inner = service_fn(|request: Request<Full<Bytes>>| async move {
            let email =
                request.extensions().get::<crate::identity::Identity>().and_then(|who| who.email());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(email.unwrap_or("").to_owned())))
        });
        let service = ServiceBuilder::new().layer(AccessLayer::new(access.clone())).service(inner);
        let (parts, body) = service.oneshot(request).await.unwrap().into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        Response::from_parts(parts, String::from_utf8(text.to_vec()).unwrap())
    }

    fn request(method: &str, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header("host", "app.example")
    }

    #[tokio::test]
    async fn where_no_login_method_counts_nobody_logs_in_and_nothing_is_mailed() {
        let (access, _) = engine();
        let aud = "7a".repeat(32);
        let query = format!("app.example?kid={aud}&redirect_url=%2F");
        let login = request("GET", &format!("/cdn-cgi/access/login/{query}"));
        let answer = ask(&access, login.body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.body().contains("There is no way to log in here"), "{}", answer.body());
        assert!(!answer.body().contains("<form"));
        let typed = request("POST", &format!("/cdn-cgi/access/verify-code/{query}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", format!("CF_Session={}", "a".repeat(32)))
            .body(Full::from("email=ada%40example.com"));
        let answer = ask(&access, typed.unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert!(answer.body().contains("There is no way to log in here"));
        tokio::task::yield_now().await;
    }

    #[tokio::test]
    async fn where_no_login_method_counts_a_persons_token_is_none() {
        let (access, key) = engine();
        let claims = Claims {
            kind: TokenKind::Application,
            iss: "https://app.example".to_owned(),
            aud: Audiences::single(&"7a".repeat(32)),
            exp: NOW.as_unix_seconds() + 60,
            iat: NOW.as_unix_seconds(),
            nbf: None,
            sub: Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned()),
            email: Some("ada@example.com".to_owned()),
            common_name: None,
            identity_nonce: Some("q2ZkWf0yTn9sVb3L".to_owned()),
            country: Some("FR".to_owned()),
        };
        let cookie = format!("CF_Authorization={}", key.sign(&claims).unwrap());
        let with_token = || request("GET", "/").header("cookie", &cookie);
        let answer = ask(&access, with_token().body(Full::default()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        // Others come in as ever, as nobody.
        let office = crate::address::PeerAddress("192.0.2.7".parse().unwrap());
        let request = with_token().extension(office).body(Full::default()).unwrap();
        let answer = ask(&access, request).await;
        assert_eq!((answer.status(), answer.body().as_str()), (StatusCode::OK, ""));
    }
}
