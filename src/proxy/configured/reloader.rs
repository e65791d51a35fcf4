//! Reloads a configuration file on request.

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

/// A configuration file and its [`AccessProxy`].
///
/// [`reload`](Self::reload) reads the file again, together with the secrets in the environment and all files
/// that it names. Either everything takes effect or nothing does; the result is logged. An unchanged file
/// changes nothing. Cheap to clone; clones share all state.
///
/// At the start and after each change, the connection to the mail server is tested in the background; a
/// failure is logged and part of [`Access::mail_status`](crate::Access::mail_status). It does not keep the
/// proxy from starting.
///
/// Some settings only apply when the program starts: the listening addresses, `state`, `limits`,
/// `issuer.key_refresh`, and who issues the tokens. See [`ReloadReport::after_restart`].
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use tower_access::config::{Config, Environment};
/// use tower_access::proxy::{Reloader, ServeLimits, serve};
///
/// let config = Config::load("access.yml")?;
/// let listener = tokio::net::TcpListener::bind(config.listen).await?;
/// let reloader = Reloader::start("access.yml", config, Environment::from_process()).await?;
/// tokio::spawn(serve(listener, reloader.proxy(), ServeLimits::default(), std::future::pending::<()>()));
/// // When the file has changed. Errors are logged.
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
    /// The fingerprint of the current configuration. Serializes reloads.
    present: Mutex<Fingerprint>,
    failure: ArcSwapOption<ReloadError>,
}

/// The result of a successful reload.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct ReloadReport {
    /// Whether anything changed.
    pub changed: bool,
    /// The current version: see [`Config::version`].
    pub version: String,
    /// The keys of changed settings that take effect after a restart.
    pub after_restart: Vec<&'static str>,
}

/// Why a reload failed. The old configuration stays active.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// The file is invalid.
    #[error(transparent)]
    File(#[from] ConfigErrors),
    /// Something that the file names cannot be used, or the file has another issuer. The message has the
    /// causes.
    #[error("{0}")]
    Unusable(String),
}

impl Reloader {
    /// Creates the proxy of a configuration that was read from `file`.
    ///
    /// # Errors
    ///
    /// If something that the configuration names cannot be used: a password file, a certificate, the store,
    /// the token of the admin API.
    pub async fn start(
        file: impl Into<PathBuf>,
        config: Config,
        environment: Environment,
    ) -> Result<Self, ProxySetupError> {
        // First, so that a later reload finds changes that happen meanwhile.
        let present = Fingerprint::new(&config);
        let inner = Inner {
            file: file.into(),
            environment,
            proxy: AccessProxy::new(&config).await?,
            present: Mutex::new(present),
            failure: ArcSwapOption::empty(),
        };
        inner.check_mail();
        Ok(Self(Arc::new(inner)))
    }

    /// Returns the proxy.
    #[must_use]
    pub fn proxy(&self) -> AccessProxy {
        self.0.proxy.clone()
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Returns the current configuration.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.0.proxy.config()
    }

    /// Returns the error of the last reload; `None` if it succeeded, or there was none.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<ReloadError>> {
        self.0.failure.load_full()
    }

    /// Reads the file and applies it. Concurrent calls run one after the other.
    ///
    /// # Errors
    ///
    /// If the file is invalid or cannot be used. The old configuration then stays active.
    pub async fn reload(&self) -> Result<ReloadReport, Arc<ReloadError>> {
        let inner = Arc::clone(&self.0);
        // In a separate task: the caller may be cancelled.
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

    /// Returns the hash of the token of the admin API; `None` if the admin API is disabled.
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
        let fingerprint = Fingerprint::new(&config);
        Ok((config, fingerprint))
    }

    /// Reads the file and applies it if anything changed.
    async fn reload(
        self: &Arc<Self>,
        present: &mut Fingerprint,
    ) -> Result<ReloadReport, ReloadError> {
        let inner = Arc::clone(self);
        // Reading files must not block requests.
        let loaded = tokio::task::spawn_blocking(move || inner.load()).await;
        let (config, fingerprint) =
            loaded.map_err(|error| ReloadError::Unusable(error.to_string())).flatten()?;
        let reloaded = ReloadReport {
            changed: fingerprint != *present,
            version: config.version().to_owned(),
            after_restart: self.proxy.after_restart(&config),
        };
        if reloaded.changed {
            self.proxy.reload(&config).await.map_err(|error| {
                ReloadError::Unusable(format!("{}: {error}", self.file.display()))
            })?;
        } else {
            // Writes what the store could not accept at the last reload.
            self.proxy.access().sync_store().await;
        }
        *present = fingerprint;
        Ok(reloaded)
    }

    fn succeeded(&self, reloaded: &ReloadReport) {
        let failed_before = self.failure.swap(None).is_some();
        metrics::configuration_reloaded(if reloaded.changed { "in_force" } else { "unchanged" });
        if !reloaded.changed {
            let version = &*reloaded.version;
            if failed_before {
                tracing::info!(file = %self.file.display(), version, "the configuration is valid again");
            } else {
                tracing::debug!(file = %self.file.display(), version, "the configuration has not changed");
            }
            return;
        }
        self.check_mail();
        let config = self.proxy.config();
        let access = &config.access;
        audit::record(&Event::new(EventKind::ConfigurationReplaced {
            file: &self.file,
            version: &reloaded.version,
            applications: access.applications.len(),
            policies: access.applications.iter().map(|one| one.policies().len()).sum(),
            service_tokens: access.service_tokens.len(),
            ingress_rules: config.ingress.len(),
            open_without_login: config.public_destinations().len(),
        }));
        for setting in &reloaded.after_restart {
            tracing::warn!(setting, "setting changed; it takes effect after a restart");
        }
    }

    /// Tests the connection to the mail server in the background: see [`Access::check_mail`].
    ///
    /// [`Access::check_mail`]: crate::Access::check_mail
    fn check_mail(&self) {
        tokio::spawn(self.proxy.access().check_mail());
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
