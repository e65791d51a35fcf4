//! From a file to an engine.

use std::path::Path;
use std::sync::Arc;

use crate::access::{Access, AccessBuilder, ConfigError, Settings, VerifierBuilder};
use crate::login::OneTimePin;
use crate::source::{FactSource, TrustedHeaders};

use super::facts::FactsConfig;
use super::mail::MailConfig;
use super::settings::{AccessConfig, Config, Role};

impl Config {
    /// Builds the engine the file describes. Reads the mail server's password file and the database
    /// of countries, if it names them.
    ///
    /// # Errors
    ///
    /// When one of these files cannot be read, mail goes through an SMTP server and the feature
    /// `smtp` is off, or there is a database of countries and the feature `geoip` is off.
    ///
    /// ```no_run
    /// use tower_access::AccessLayer;
    /// use tower_access::config::Config;
    ///
    /// let layer = AccessLayer::new(Config::load("access.yml")?.access()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn access(&self) -> Result<Access, ConfigError> {
        match self.engine_settings()? {
            Settings::Issuing(settings) => settings.build(),
            Settings::Verifying(settings) => settings.build(),
        }
    }

    /// Puts what the file says in force, in place of what an engine was built with; see
    /// [`Access::reload`].
    ///
    /// # Errors
    ///
    /// As [`access`](Self::access), and when the file has another role: then nothing has changed.
    pub fn reload(&self, access: &Access) -> Result<(), ConfigError> {
        match self.engine_settings()? {
            Settings::Issuing(settings) => access.reload(settings),
            Settings::Verifying(settings) => access.reload_verifier(settings),
        }
    }

    /// The engine the file describes, which goes on with the state of another.
    #[cfg(feature = "proxy")]
    pub(crate) fn successor_of(&self, access: &Access) -> Result<Access, ConfigError> {
        access.successor(self.engine_settings()?)
    }

    fn engine_settings(&self) -> Result<Settings, ConfigError> {
        let AccessConfig {
            role,
            session_duration,
            idle_timeout,
            applications,
            definitions,
            service_tokens,
            facts,
        } = self.access.clone();
        let sources = sources(&facts)?;
        match role {
            Role::Issuing {
                team_domain,
                one_time_pin,
                key_rotation,
                external_evaluation,
                mail,
            } => {
                let pin = OneTimePin::new()
                    .id(one_time_pin.id)
                    .expires_in(one_time_pin.expires_in)
                    .attempts(one_time_pin.attempts);
                let mut builder = Access::builder()
                    .one_time_pin(pin)
                    .key_rotation(key_rotation)
                    .external_evaluation(external_evaluation)
                    .localhost_port(self.listen.port())
                    .trusted_proxies(self.trusted_proxies.clone());
                builder = with_mailer(builder, &mail)?;
                if let Some(team_domain) = team_domain {
                    builder = builder.team_domain(team_domain);
                }
                if let Some(duration) = session_duration {
                    builder = builder.session_duration(duration);
                }
                if let Some(duration) = idle_timeout {
                    builder = builder.idle_timeout(duration);
                }
                builder = applications.into_iter().fold(builder, AccessBuilder::application);
                builder = sources.into_iter().fold(builder, AccessBuilder::fact_source);
                builder = builder.definitions(definitions);
                builder = service_tokens.into_iter().fold(builder, AccessBuilder::service_token);
                Ok(Settings::Issuing(builder))
            }
            Role::Verifying { team_domain, certs_url, algorithms, get_identity } => {
                let mut builder = Access::verifier_builder(team_domain.host().as_str())?
                    .trusted_proxies(self.trusted_proxies.clone())
                    .algorithms(algorithms);
                if let Some(url) = certs_url {
                    builder = builder.certs_url(url);
                }
                if get_identity {
                    builder = asking_issuer(builder)?;
                }
                builder = applications.into_iter().fold(builder, VerifierBuilder::application);
                builder = sources.into_iter().fold(builder, VerifierBuilder::fact_source);
                builder = builder.definitions(definitions);
                builder = service_tokens.into_iter().fold(builder, VerifierBuilder::service_token);
                Ok(Settings::Verifying(builder))
            }
        }
    }
}

#[cfg(feature = "http-client")]
#[allow(clippy::unnecessary_wraps, reason = "as without a client")]
fn asking_issuer(builder: VerifierBuilder) -> Result<VerifierBuilder, ConfigError> {
    Ok(builder.get_identity())
}

#[cfg(not(feature = "http-client"))]
fn asking_issuer(_: VerifierBuilder) -> Result<VerifierBuilder, ConfigError> {
    Err(ConfigError::new(
        "access.issuer.get_identity: this program is built without the feature `http-client`",
    ))
}

/// The header speaks of the very client; the database of its network.
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
        sources.push(geo_database(path)?);
    }
    Ok(sources)
}

#[cfg(feature = "geoip")]
fn geo_database(path: &Path) -> Result<Arc<dyn FactSource>, ConfigError> {
    let opened = crate::source::GeoDatabase::open(path);
    opened
        .map(|database| Arc::new(database) as _)
        .map_err(|error| ConfigError::new(format!("access.facts.geoip_database: {error}")))
}

#[cfg(not(feature = "geoip"))]
fn geo_database(_: &Path) -> Result<Arc<dyn FactSource>, ConfigError> {
    Err(ConfigError::new(
        "access.facts.geoip_database: this program is built without the feature `geoip`",
    ))
}

fn with_mailer(builder: AccessBuilder, mail: &MailConfig) -> Result<AccessBuilder, ConfigError> {
    match mail {
        MailConfig::Console => Ok(builder.mailer(crate::login::mail::ConsoleMailer)),
        #[cfg(feature = "smtp")]
        MailConfig::Smtp(smtp) => Ok(builder.mailer(smtp_mailer(smtp)?)),
        #[cfg(not(feature = "smtp"))]
        MailConfig::Smtp(_) => Err(ConfigError::new(
            "access.mail.smtp: this program is built without the feature `smtp`",
        )),
    }
}

#[cfg(feature = "smtp")]
fn smtp_mailer(
    smtp: &super::mail::SmtpConfig,
) -> Result<crate::login::mail::SmtpMailer, ConfigError> {
    use super::mail::SmtpTlsConfig as Written;
    use crate::login::mail::{SmtpMailer, SmtpTls};

    let tls = match smtp.tls {
        Written::None => SmtpTls::DangerousNone,
        Written::StartTls => SmtpTls::StartTls,
        Written::Implicit => SmtpTls::Implicit,
    };
    let password = match &smtp.password_file {
        None => None,
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
            ConfigError::new(format!("access.mail.smtp.password_file: {}: {error}", path.display()))
        })?),
    };
    let (host, port) = (smtp.host.as_str(), smtp.port);
    match (&smtp.username, password) {
        (Some(username), Some(password)) => {
            let password = password.trim_end_matches(['\r', '\n']).to_owned();
            SmtpMailer::with_login(host, port, tls, &smtp.from, username.clone(), password)
        }
        _ => SmtpMailer::new(host, port, tls, &smtp.from),
    }
    .map_err(ConfigError::new)
}
