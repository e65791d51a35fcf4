//! A file, and the proxy that does what it says: read again when somebody says so.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;

use crate::audit::{self, Event, EventKind};
use crate::config::{Config, ConfigErrors, Environment};
use crate::metrics;
use crate::secret::SecretHash;

use super::access_proxy::AccessProxy;
use super::fingerprint::Fingerprint;
use super::setup_error::ProxySetupError;

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
    /// What was in force when it was last looked; reloads go one after the other.
    present: Mutex<Fingerprint>,
    failure: ArcSwapOption<ReloadError>,
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
    ) -> Result<Self, ProxySetupError> {
        // First: what changes meanwhile is found new later.
        let present = Fingerprint::of(&config);
        Ok(Self(Arc::new(Inner {
            file: file.into(),
            environment,
            proxy: AccessProxy::new(&config).await?,
            present: Mutex::new(present),
            failure: ArcSwapOption::empty(),
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
        self.0.proxy.config()
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
        let inner = Arc::clone(&self.0);
        // In a task of its own: who asked may go away.
        let task = tokio::spawn(async move {
            let mut present = inner.present.lock().await;
            let reloaded = inner.reload(&mut present).await.map_err(Arc::new);
            reloaded
                .inspect(|reloaded| inner.succeeded(reloaded))
                .inspect_err(|error| inner.failed(error))
        });
        let stopped =
            |error: tokio::task::JoinError| Err(Arc::new(ReloadError::Unusable(error.to_string())));
        task.await.unwrap_or_else(stopped)
    }

    /// What whoever administrates has to show; `None` where nobody may.
    pub(crate) fn admin_token(&self) -> Option<Arc<SecretHash>> {
        self.0.proxy.admin_token()
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("file", &self.0.file)
            .field("version", &self.config().version())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn load(&self) -> Result<(Config, Fingerprint), ReloadError> {
        let config = Config::load_with(&self.file, &self.environment)?;
        let fingerprint = Fingerprint::of(&config);
        Ok((config, fingerprint))
    }

    /// Reads the file, and puts it in force where anything is new.
    async fn reload(self: &Arc<Self>, present: &mut Fingerprint) -> Result<Reloaded, ReloadError> {
        let inner = Arc::clone(self);
        // Beside the requests: files are read.
        let loaded = tokio::task::spawn_blocking(move || inner.load()).await;
        let (config, fingerprint) =
            loaded.map_err(|error| ReloadError::Unusable(error.to_string())).flatten()?;
        let reloaded = Reloaded {
            changed: fingerprint != *present,
            version: config.version().to_owned(),
            after_restart: self.proxy.after_restart(&config),
        };
        if reloaded.changed {
            self.proxy.reload(&config).await.map_err(|error| {
                ReloadError::Unusable(format!("{}: {error}", self.file.display()))
            })?;
        } else {
            // What the store could not take at the last reload.
            self.proxy.access().record_ends().await;
        }
        *present = fingerprint;
        Ok(reloaded)
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
        let config = self.proxy.config();
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
