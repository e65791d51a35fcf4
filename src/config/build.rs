//! Builds an engine from a file.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::{
    Access, AccessBuilder, ConfigError, EngineSettings, RestoreOptions, VerifierBuilder,
};
use crate::facts::{FactSource, TrustedHeaders};
use crate::login::mail::Mailer;

use super::facts::FactsConfig;
use super::settings::{AccessConfig, Config, Role};
use super::state::StateConfig;

impl Config {
    /// Builds the engine of this file, with its state in memory. Reads the mail server's password file
    /// and the database of countries, if the file names them.
    ///
    /// # Errors
    ///
    /// If one of these files cannot be read, if mail goes through an SMTP server and the feature `smtp`
    /// is off, or if there is a database of countries and the feature `geoip` is off. If the file has
    /// `state`, which [`open`](Self::open) opens.
    ///
    /// ```no_run
    /// use tower_access::AccessLayer;
    /// use tower_access::config::Config;
    ///
    /// let layer = AccessLayer::new(Config::load("access.yml")?.access()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(&self) -> Result<Access, ConfigError> {
        let build = |settings| match settings {
            EngineSettings::Issuing(_) if self.state.is_some() => Err(ConfigError::new(
                "state: this file stores its state, which must be opened: use `Config::open` \
                 instead of `Config::access`",
            )),
            settings => settings.build(),
        };
        self.settings().and_then(build).map_err(|error| self.redact_error(error))
    }

    /// Builds the engine of this file, with its state in the store that `state` names. Opens the store
    /// and reads the master secret; both are created for a new state file. Without `state` this is
    /// [`access`](Self::access).
    ///
    /// Only one process can open a state file at a time. It is closed when the engine is dropped.
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access); if the store is unavailable, if the master secret is missing or a
    /// different one, or if the feature `redb` or `redis` is off.
    ///
    /// ```no_run
    /// use tower_access::AccessLayer;
    /// use tower_access::config::Config;
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let layer = AccessLayer::new(Config::load("access.yml")?.open().await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(&self) -> Result<Access, ConfigError> {
        self.open_engine().await.map_err(|error| self.redact_error(error))
    }

    async fn open_engine(&self) -> Result<Access, ConfigError> {
        match (self.settings()?, self.state.clone()) {
            (EngineSettings::Issuing(builder), Some(state)) => {
                let is_exclusive = matches!(state, StateConfig::File(_));
                let opening = tokio::task::spawn_blocking(move || state.open());
                let (store, secret) = opening.await.map_err(ConfigError::new)??;
                let builder = if is_exclusive { builder.exclusive_store() } else { *builder };
                builder.store(store).master_secret(secret).build_persistent().await
            }
            (settings, _) => settings.build(),
        }
    }

    /// Builds the mailer of this file, for example to send a test mail. `None` if an issuer runs the
    /// login.
    ///
    /// # Errors
    ///
    /// If the file with a password, token or certificate authorities cannot be read, or if the feature
    /// that the way of sending needs is off.
    ///
    /// ```no_run
    /// use tower_access::config::Config;
    /// use tower_access::login::mail::{Mail, Mailer};
    ///
    /// # async fn try_mail() -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(mailer) = Config::load("access.yml")?.mailer()? {
    ///     mailer.deliver(Mail::test("ada@example.com".parse()?)).await?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn mailer(&self) -> Result<Option<Box<dyn Mailer>>, ConfigError> {
        let Role::Issuing { mail, .. } = &self.access.role else { return Ok(None) };
        mail.mailer().map(Some).map_err(|error| self.redact_error(error))
    }

    /// Revokes everything that a restored `state` could open, after an operator has replaced the state
    /// file by a backup or loaded an old dump into Redis. With `backup` it replaces the state file
    /// itself, completely or not at all. See [`AccessBuilder::restore`] for what is revoked, and
    /// [`StateConfig`] for what to back up.
    ///
    /// # Errors
    ///
    /// If the file has no `state`, or an issuer runs the login; if a process has the state file open, if
    /// the backup cannot be read, if there is a backup and the state is in Redis, or as
    /// [`open`](Self::open).
    pub async fn restore(
        &self,
        backup: Option<&Path>,
        how: RestoreOptions,
    ) -> Result<(), ConfigError> {
        let restored = self.restore_state(backup.map(Path::to_owned), how).await;
        restored.map_err(|error| self.redact_error(error))
    }

    async fn restore_state(
        &self,
        backup: Option<PathBuf>,
        how: RestoreOptions,
    ) -> Result<(), ConfigError> {
        let (EngineSettings::Issuing(builder), Some(state)) =
            (self.settings()?, self.state.clone())
        else {
            return Err(ConfigError::new(
                "state: nothing to restore; write `state` in the configuration of the process that \
                 issues tokens",
            ));
        };
        let opening = tokio::task::spawn_blocking(move || {
            if let Some(backup) = backup {
                state.replace_by(&backup)?;
            }
            state.open()
        });
        let (store, secret) = opening.await.map_err(ConfigError::new)??;
        builder.store(store).master_secret(secret).restore(how).await
    }

    /// Checks whether an engine can be built, without opening the state: it creates no file and makes no
    /// connection.
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access); if there is a `state` and the feature `redb` or `redis` is off.
    pub fn try_build(&self) -> Result<(), ConfigError> {
        let build = |settings| {
            if let (EngineSettings::Issuing(_), Some(state)) = (&settings, &self.state) {
                state.check_feature()?;
            }
            settings.build().map(drop)
        };
        self.settings().and_then(build).map_err(|error| self.redact_error(error))
    }

    /// Applies this file to a running engine; see [`Access::reload`].
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access), and if the file has another role. The engine is then unchanged.
    pub fn reload(&self, access: &Access) -> Result<(), ConfigError> {
        self.settings()
            .and_then(|settings| access.reload(settings))
            .map_err(|error| self.redact_error(error))
    }

    /// Builds the engine of this file, which takes over the state of another.
    #[cfg(feature = "proxy")]
    pub(crate) fn build_successor(&self, access: &Access) -> Result<Access, ConfigError> {
        let settings = self.settings();
        let next = settings.and_then(|settings| access.successor(settings));
        next.map_err(|error| self.redact_error(error))
    }

    /// Returns an error without values from the environment.
    fn redact_error(&self, error: ConfigError) -> ConfigError {
        match self.redact(&error.to_string()) {
            Cow::Owned(message) => ConfigError::new(message),
            Cow::Borrowed(_) => error,
        }
    }

    fn settings(&self) -> Result<EngineSettings, ConfigError> {
        let AccessConfig {
            role,
            session_duration,
            idle_timeout,
            applications,
            definitions,
            service_tokens,
            strict_service_token_auth,
            stored_service_tokens: _,
            facts,
        } = self.access.clone();
        let sources = sources(&facts)?;
        let login_methods = role.method_settings()?;
        match role {
            Role::Issuing {
                team_domain,
                transfer_host,
                one_time_pin,
                identity_providers: _,
                key_rotation,
                external_evaluation,
                mail,
                mail_template,
            } => {
                let mut builder = Access::builder()
                    .login_methods(login_methods)
                    .key_rotation(key_rotation)
                    .external_evaluation(external_evaluation)
                    .public_addresses(self.public_addresses.clone())
                    .localhost_port(self.listen.port())
                    .strict_service_token_auth(strict_service_token_auth)
                    .trusted_proxies(self.trusted_proxies.clone());
                // Without codes to mail there is no mailer, and its files need not exist.
                if one_time_pin.is_some() {
                    builder = builder.mailer(mail.mailer()?).mail_template(mail_template.build()?);
                }
                if let Some(bytes) = self.limits.token_cache_bytes {
                    builder = builder.token_cache_bytes(bytes);
                }
                if let Some(team_domain) = team_domain {
                    builder = builder.team_domain(team_domain);
                }
                builder = builder.with_transfer_host(transfer_host);
                if let Some(duration) = session_duration {
                    builder = builder.session_duration(duration);
                }
                if let Some(duration) = idle_timeout {
                    builder = builder.idle_timeout(duration);
                }
                builder = applications.into_iter().fold(builder, AccessBuilder::application);
                builder = sources.into_iter().fold(builder, AccessBuilder::fact_source);
                builder = builder.definitions(definitions);
                let tokens = service_tokens.into_iter();
                Ok(tokens.fold(builder, AccessBuilder::service_token).into())
            }
            Role::Verifying {
                team_domain,
                certs_url,
                algorithms,
                get_identity,
                leeway,
                key_refresh,
            } => {
                let mut builder = Access::verifier_builder(&team_domain.to_string())?
                    .public_addresses(self.public_addresses.clone())
                    .trusted_proxies(self.trusted_proxies.clone())
                    .algorithms(algorithms)
                    .key_refresh(key_refresh);
                if let Some(leeway) = leeway {
                    builder = builder.leeway(leeway);
                }
                if let Some(bytes) = self.limits.token_cache_bytes {
                    builder = builder.token_cache_bytes(bytes);
                }
                if let Some(url) = certs_url {
                    builder = builder.certs_url(url);
                }
                if get_identity {
                    builder = builder.with_get_identity();
                }
                builder = applications.into_iter().fold(builder, VerifierBuilder::application);
                builder = sources.into_iter().fold(builder, VerifierBuilder::fact_source);
                builder = builder.definitions(definitions);
                let tokens = service_tokens.into_iter();
                Ok(tokens.fold(builder, VerifierBuilder::service_token).into())
            }
        }
    }
}

/// The header is about the client itself, the database about its network: the header comes first.
fn sources(facts: &FactsConfig) -> Result<Vec<Arc<dyn FactSource>>, ConfigError> {
    let FactsConfig { geoip_database, country_header, certificate_headers } = facts;
    let mut sources: Vec<Arc<dyn FactSource>> = Vec::new();
    let mut headers = TrustedHeaders::new();
    if let Some(country) = country_header {
        headers = headers.country_from(country.clone());
    }
    if let Some(certificate) = certificate_headers {
        headers = headers.certificate_from(certificate.clone());
    }
    if country_header.is_some() || certificate_headers.is_some() {
        sources.push(Arc::new(headers));
    }
    if let Some(path) = geoip_database {
        sources.push(FactsConfig::geo_database(path)?);
    }
    Ok(sources)
}

impl FactsConfig {
    #[cfg(feature = "geoip")]
    fn geo_database(path: &Path) -> Result<Arc<dyn FactSource>, ConfigError> {
        let opened = crate::facts::GeoDatabase::open(path);
        opened
            .map(|database| Arc::new(database) as _)
            .map_err(|error| ConfigError::new(format!("access.facts.geoip_database: {error}")))
    }

    #[cfg(not(feature = "geoip"))]
    fn geo_database(_: &Path) -> Result<Arc<dyn FactSource>, ConfigError> {
        Err(ConfigError::new(
            "access.facts.geoip_database: this program is built without the feature `geoip`; build it with \
             `geoip` as well",
        ))
    }
}
