//! Builds the mailer of a file.

use super::{MailConfig, MaildirConfig, SmtpConfig, WebhookConfig};
use crate::engine::ConfigError;
use crate::login::mail::{ConsoleMailer, Mailer};

impl MailConfig {
    /// Reads the files that it names, and builds the mailer. Makes no connection.
    pub(in crate::config) fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        match self {
            Self::Console => Ok(Box::new(ConsoleMailer)),
            Self::Smtp(smtp) => smtp.mailer(),
            Self::Maildir(maildir) => maildir.mailer(),
            Self::Webhook(webhook) => webhook.mailer(),
        }
    }
}

#[cfg(feature = "smtp")]
impl SmtpConfig {
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        use super::SmtpTlsConfig;
        use crate::config::file::{read_secret, read_text_file};
        use crate::login::mail::{SmtpMailer, SmtpTls};

        let tls = match self.tls {
            SmtpTlsConfig::None => SmtpTls::DangerousNone,
            SmtpTlsConfig::StartTls => SmtpTls::StartTls,
            SmtpTlsConfig::Implicit => SmtpTls::Implicit,
        };
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => Some(password.clone()),
            (None, None) => None,
            (None, Some(path)) => Some(read_secret(path, "access.mail.smtp.password_file")?),
        };
        let (host, port) = (self.host.as_str(), self.port);
        let mut mailer = match (&self.username, password) {
            (Some(username), Some(password)) => {
                let password = password.expose().to_owned();
                SmtpMailer::with_login(host, port, tls, &self.from, username.clone(), password)
            }
            _ => SmtpMailer::new(host, port, tls, &self.from),
        }
        .map_err(ConfigError::new)?;
        if let Some(path) = &self.ca_file {
            let failed = |error: &dyn std::fmt::Display| {
                ConfigError::new(format!("access.mail.smtp.ca_file: {}: {error}", path.display()))
            };
            let pem = read_text_file(path, MAX_CA_BYTES).map_err(|error| failed(&error))?;
            mailer = mailer.ca_certificates(pem.as_bytes()).map_err(|error| failed(&error))?;
        }
        if let Some(name) = &self.hello_name {
            mailer = mailer.hello_name(name).map_err(ConfigError::new)?;
        }
        Ok(Box::new(mailer.timeout(self.timeout)))
    }
}

#[cfg(feature = "smtp")]
impl MaildirConfig {
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        use crate::login::mail::MaildirMailer;

        let mailer = MaildirMailer::new(&self.path, &self.from);
        mailer.map(|mailer| Box::new(mailer) as _).map_err(ConfigError::new)
    }
}

#[cfg(feature = "http-client")]
impl WebhookConfig {
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        use crate::config::file::read_secret;
        use crate::login::mail::WebhookMailer;

        let failed = |error| ConfigError::new(format!("access.mail.webhook: {error}"));
        let mut mailer = WebhookMailer::new(&self.url).map_err(failed)?;
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, None) => None,
            (None, Some(path)) => Some(read_secret(path, "access.mail.webhook.token_file")?),
        };
        if let Some(token) = token {
            mailer = mailer.token(&token).map_err(failed)?;
        }
        Ok(Box::new(mailer))
    }
}

#[cfg(not(feature = "smtp"))]
impl SmtpConfig {
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        Err(missing_feature("smtp", "smtp"))
    }
}

#[cfg(not(feature = "smtp"))]
impl MaildirConfig {
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        Err(missing_feature("maildir", "smtp"))
    }
}

#[cfg(not(feature = "http-client"))]
impl WebhookConfig {
    #[allow(clippy::unused_self, reason = "as with the feature")]
    fn mailer(&self) -> Result<Box<dyn Mailer>, ConfigError> {
        Err(missing_feature("webhook", "http-client"))
    }
}

#[cfg(not(all(feature = "smtp", feature = "http-client")))]
fn missing_feature(key: &str, feature: &str) -> ConfigError {
    ConfigError::new(format!(
        "access.mail.{key}: this program is built without the feature `{feature}`; build it with \
         `{feature}` as well"
    ))
}

#[cfg(feature = "smtp")]
const MAX_CA_BYTES: usize = 1 << 20;
