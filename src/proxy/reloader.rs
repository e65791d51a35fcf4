//! A file, and the proxy that does what it says: read again when somebody says so.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest;
use tokio::sync::Mutex;

use crate::audit::{self, Event, EventKind};
use crate::config::{
    AdminToken, Config, ConfigErrors, Environment, LimitsConfig, MailConfig, Role, StateConfig,
};
use crate::metrics;
use crate::secret::SecretHash;
use crate::token::keys::RefreshPolicy;

use super::BoxError;
use super::access_proxy::AccessProxy;

/// A configuration file and the [`AccessProxy`] that does what it says.
///
/// [`reload`](Self::reload) reads the file again, and with it the secrets in the environment and all
/// files that it names. All of it takes effect, or nothing does; the log says which, and why. A file
/// that says what is in force already, in the same words, changes nothing. Cheap to clone; clones
/// share everything.
///
/// What is settled when a program starts is not touched: where it listens, `state`, `limits`,
/// `issuer.key_refresh`, and who issues the tokens. See [`Reloaded::after_restart`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use tower_access::config::{Config, Environment};
/// use tower_access::proxy::{Reloader, ServeLimits, serve};
///
/// let config = Config::load("access.yml")?;
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// let reloader = Reloader::start("access.yml", config, Environment::of_process()).await?;
/// tokio::spawn(serve(listener, reloader.proxy(), ServeLimits::default(), std::future::pending::<()>()));
/// // When the file has changed. What is wrong with it stands in the log.
/// let _ = reloader.reload().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    file: PathBuf,
    environment: Environment,
    proxy: AccessProxy,
    settled: Settled,
    /// What was in force when it was last looked; reloads go one after the other.
    present: Mutex<Fingerprint>,
    in_force: ArcSwap<Config>,
    failure: ArcSwapOption<ReloadError>,
    admin_token: ArcSwapOption<SecretHash>,
}

/// What came of a reload that succeeded.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Reloaded {
    /// Whether anything was new.
    pub changed: bool,
    /// What is in force: see [`Config::version`].
    pub version: String,
    /// The keys of settings in the file that take effect after a restart.
    pub after_restart: Vec<&'static str>,
}

/// Why everything stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file is wrong.
    #[error(transparent)]
    File(#[from] ConfigErrors),
    /// Something that the file names cannot be used, or the file has another role.
    #[error("{0}")]
    Unusable(String),
}

/// What of a file is settled when a program starts. A key that is added here is added to
/// [`differences`](Self::differences).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Settled {
    listen: std::net::SocketAddr,
    admin_listen: Option<std::net::SocketAddr>,
    state: Option<StateConfig>,
    limits: LimitsConfig,
    key_refresh: Option<RefreshPolicy>,
    verifies: bool,
}

/// Tells one state of a file and all it names from another.
type Fingerprint = [u8; 32];

impl Reloader {
    /// Begins with what was read from this file.
    ///
    /// # Errors
    ///
    /// When something the file names cannot be used: a password file, a certificate, the store, the
    /// token of the administration.
    pub async fn start(
        file: impl Into<PathBuf>,
        config: Config,
        environment: Environment,
    ) -> Result<Self, BoxError> {
        // First: what changes meanwhile is found new later.
        let present = fingerprint(&config);
        let token = admin_token(&config)?;
        let proxy = AccessProxy::new(&config).await?;
        Ok(Self(Arc::new(Inner {
            file: file.into(),
            environment,
            proxy,
            settled: Settled::of(&config),
            present: Mutex::new(present),
            in_force: ArcSwap::from_pointee(config),
            failure: ArcSwapOption::empty(),
            admin_token: ArcSwapOption::new(token.map(Arc::new)),
        })))
    }

    /// The proxy.
    #[must_use]
    pub fn proxy(&self) -> AccessProxy {
        self.0.proxy.clone()
    }

    /// The file's path.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// What is in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.in_force.load_full()
    }

    /// Why the last reload changed nothing; `None` where it succeeded, or there was none.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<ReloadError>> {
        self.0.failure.load_full()
    }

    /// Reads the file and puts it in force. Of several calls at once each waits for the one before.
    ///
    /// # Errors
    ///
    /// When the file is wrong or cannot be used: then everything stays as it is.
    pub async fn reload(&self) -> Result<Reloaded, Arc<ReloadError>> {
        let reloading = self.clone();
        // In a task of its own: who asked may go away. Beside the requests: policies are compiled.
        let task = tokio::spawn(async move {
            let mut present = reloading.0.present.lock().await;
            let inner = Arc::clone(&reloading.0);
            let before = *present;
            let done = tokio::task::spawn_blocking(move || inner.read(before)).await;
            let done = done.unwrap_or_else(|error| Err(ReloadError::Unusable(error.to_string())));
            if done.is_ok() {
                reloading.0.proxy.access().record_ends().await;
            }
            done.map(|(fingerprint, reloaded)| {
                *present = fingerprint;
                reloaded
            })
            .map_err(Arc::new)
            .inspect(|reloaded| reloading.0.succeeded(reloaded))
            .inspect_err(|error| reloading.0.failed(error))
        });
        let stopped =
            |error: tokio::task::JoinError| Err(Arc::new(ReloadError::Unusable(error.to_string())));
        task.await.unwrap_or_else(stopped)
    }

    /// What whoever administrates has to show; `None` where nobody may.
    pub(crate) fn admin_token(&self) -> Option<Arc<SecretHash>> {
        self.0.admin_token.load_full()
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("file", &self.0.file)
            .field("version", &self.0.in_force.load().version())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn read(&self, before: Fingerprint) -> Result<(Fingerprint, Reloaded), ReloadError> {
        let mut config = Config::load_with(&self.file, &self.environment)?;
        let fingerprint = fingerprint(&config);
        let reloaded = Reloaded {
            changed: fingerprint != before,
            version: config.version().to_owned(),
            after_restart: self.settled.differences(&Settled::of(&config)),
        };
        if !reloaded.changed {
            return Ok((fingerprint, reloaded));
        }
        // Addresses of this machine are said with the port that is listened on.
        config.listen = self.settled.listen;
        let unusable = |error: &dyn fmt::Display| {
            ReloadError::Unusable(format!("{}: {error}", self.file.display()))
        };
        let token = admin_token(&config).map_err(|error| unusable(&error))?;
        if self.settled.verifies != verifies(&config) {
            return Err(unusable(
                &"access.issuer: who issues the tokens is settled when the program \
                                  starts; restart it",
            ));
        }
        self.proxy.reload(&config).map_err(|error| unusable(&error))?;
        self.admin_token.store(token.map(Arc::new));
        self.in_force.store(Arc::new(config));
        Ok((fingerprint, reloaded))
    }

    fn succeeded(&self, reloaded: &Reloaded) {
        let failed_before = self.failure.swap(None).is_some();
        metrics::configuration_reloaded(if reloaded.changed { "in_force" } else { "unchanged" });
        if !reloaded.changed {
            let version = &*reloaded.version;
            if failed_before {
                tracing::info!(file = %self.file.display(), version, "the configuration is good again");
            } else {
                tracing::debug!(file = %self.file.display(), version, "the configuration is the same");
            }
            return;
        }
        let config = self.in_force.load();
        let access = &config.access;
        audit::record(&Event::new(EventKind::ConfigurationReplaced {
            file: &self.file,
            version: &reloaded.version,
            applications: access.applications.len(),
            policies: access.applications.iter().map(|one| one.policies().len()).sum(),
            service_tokens: access.service_tokens.len(),
            ingress_rules: config.ingress.len(),
            open_without_login: config.public().len(),
        }));
        for setting in &reloaded.after_restart {
            tracing::warn!(setting, "takes effect after a restart: it is settled at the start");
        }
    }

    fn failed(&self, error: &Arc<ReloadError>) {
        metrics::configuration_reloaded("failed");
        let report = |error: &str| {
            audit::record(&Event::new(EventKind::ConfigurationRejected { error }));
        };
        match &**error {
            ReloadError::File(errors) => {
                for problem in errors {
                    report(&format!("{}:{problem}", errors.file()));
                }
            }
            ReloadError::Unusable(error) => report(error),
        }
        self.failure.store(Some(Arc::clone(error)));
    }
}

impl Settled {
    fn of(config: &Config) -> Self {
        Self {
            listen: config.listen,
            admin_listen: config.admin.as_ref().map(|admin| admin.listen),
            state: config.state.clone(),
            limits: config.limits.clone(),
            key_refresh: match &config.access.role {
                Role::Verifying { key_refresh, .. } => Some(*key_refresh),
                Role::Issuing { .. } => None,
            },
            verifies: verifies(config),
        }
    }

    /// The keys of what a file has otherwise. Another role is an error of its own.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut keys = Vec::new();
        if self.listen != other.listen {
            keys.push("listen");
        }
        if self.admin_listen != other.admin_listen {
            keys.push("admin.listen");
        }
        if self.state != other.state {
            keys.push("state");
        }
        if self.key_refresh != other.key_refresh {
            keys.push("access.issuer.key_refresh");
        }
        if self.limits.listen != other.limits.listen {
            keys.push("limits.listen");
        }
        if self.limits.admin != other.limits.admin {
            keys.push("limits.admin");
        }
        if self.limits.token_cache_bytes != other.limits.token_cache_bytes {
            keys.push("limits.token_cache_bytes");
        }
        keys
    }
}

fn verifies(config: &Config) -> bool {
    matches!(config.access.role, Role::Verifying { .. })
}

fn admin_token(config: &Config) -> Result<Option<SecretHash>, BoxError> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let token = admin.token().map_err(|error| -> BoxError {
        config.without_environment(&error.to_string()).into_owned().into()
    })?;
    Ok(Some(SecretHash::of(token.expose())))
}

/// Of a text, of the environment it asked for, and of every file it names.
fn fingerprint(config: &Config) -> Fingerprint {
    let mut digest = digest::Context::new(&digest::SHA256);
    digest.update(config.digest());
    for path in named_files(config) {
        digest.update(path.as_os_str().as_encoded_bytes());
        // One that cannot be read is reported by who needs it.
        digest.update(&of_file(path).unwrap_or_default());
    }
    finish(digest)
}

fn of_file(path: &Path) -> std::io::Result<Fingerprint> {
    let mut file = std::fs::File::open(path)?;
    let mut digest = digest::Context::new(&digest::SHA256);
    let mut buffer = [0; 16 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(finish(digest)),
            length => digest.update(buffer.get(..length).unwrap_or_default()),
        }
    }
}

fn finish(digest: digest::Context) -> Fingerprint {
    let mut fingerprint = Fingerprint::default();
    for (to, from) in fingerprint.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    fingerprint
}

/// The files a configuration names, whose content counts. A key that names one is added here.
fn named_files(config: &Config) -> impl Iterator<Item = &Path> {
    let password = match &config.access.role {
        Role::Issuing { mail: MailConfig::Smtp(smtp), .. } => smtp.password_file.as_deref(),
        _ => None,
    };
    let token = config.admin.as_ref().and_then(|admin| match &admin.token {
        AdminToken::File(path) => Some(path.as_path()),
        AdminToken::Given(_) => None,
    });
    let countries = config.access.facts.geoip_database.as_deref();
    let authorities =
        config.ingress.iter().filter_map(|rule| rule.origin_request.ca_pool.as_deref());
    password.into_iter().chain(token).chain(countries).chain(authorities)
}
