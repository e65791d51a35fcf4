//! Mail handed to another service over HTTPS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue};
use serde::Serialize;
use url::Url;

use super::{Mail, MailError, MailFuture, Mailer};
use crate::secret::SecretText;
use crate::util::fetch::{Fetch, HttpError, Request};
use crate::util::{new_http_client, trusted_url};

/// Posts each mail to a service of yours, which delivers it: by the API of a mail provider, or by another
/// way than mail.
///
/// The request has a JSON body with the texts `to`, `subject`, `text` and `html`, and `sender_name` if the
/// template has one; and `Authorization: Bearer TOKEN` if there is a token. What the service answers decides what happens to the mail:
///
/// | status | the mail |
/// | --- | --- |
/// | 2xx | is sent |
/// | 422 | is given up: this recipient does not exist or takes no mail |
/// | 408, 425, 429, 503 | is sent again later: the service works and asks to wait |
/// | other 5xx, no answer within 20 seconds | is sent again later |
/// | all others; redirects are not followed | is given up; an operator has to do something |
///
/// The service may get a mail twice, for example if its answer is lost.
///
/// ```
/// use tower_access::login::mail::WebhookMailer;
///
/// let token = "6f1ed002ab5595859014ebf0951522d9".to_owned();
/// let mailer = WebhookMailer::new("https://mail.example.com/codes")?.token(&token.into())?;
/// assert!(WebhookMailer::new("http://mail.example.com/codes").is_err());
/// # Ok::<(), tower_access::login::mail::WebhookError>(())
/// ```
#[derive(Clone)]
pub struct WebhookMailer {
    client: Arc<dyn Fetch>,
    url: Url,
    /// The value of `Authorization`.
    token: Option<HeaderValue>,
}

/// The error of a webhook that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// Others could read the mail on the way, or it is not a URL.
    #[error("{0}")]
    Url(String),
    /// The token has characters that a header cannot have.
    #[error("the token has characters that a header cannot have")]
    Token,
    /// The HTTP client cannot be created.
    #[error("{0}")]
    Client(String),
}

#[derive(Serialize)]
struct Body<'a> {
    to: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender_name: Option<&'a str>,
    subject: &'a str,
    text: &'a str,
    html: &'a str,
}

impl WebhookMailer {
    /// Creates a mailer that posts to this URL: `https`, or `http` to this machine.
    ///
    /// # Errors
    ///
    /// If others could read the mail on the way, or if TLS cannot be set up.
    pub fn new(url: &str) -> Result<Self, WebhookError> {
        let url = trusted_url::parse(url).map_err(|error| WebhookError::Url(error.to_string()))?;
        let client = new_http_client(TIME_LIMIT);
        let client = client.map_err(|error| WebhookError::Client(error.to_string()))?;
        Ok(Self { client, url, token: None })
    }

    /// Sends this token as `Authorization: Bearer TOKEN`.
    ///
    /// # Errors
    ///
    /// If it has characters that a header cannot have.
    pub fn token(mut self, token: &SecretText) -> Result<Self, WebhookError> {
        let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        let mut value = value.map_err(|_| WebhookError::Token)?;
        value.set_sensitive(true);
        self.token = Some(value);
        Ok(self)
    }

    async fn post(&self, mail: Mail) -> Result<(), MailError> {
        let Mail { to, sender_name, subject, text, html, .. } = &mail;
        let sender_name = sender_name.as_deref();
        let body = Body { to: to.as_str(), sender_name, subject, text, html };
        let body = serde_json::to_vec(&body).map_err(MailError::permanent)?;
        let mut request = Request::post_json(&self.url, body, MAX_REPLY_BYTES).take_any_status();
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        match self.client.send(request).await {
            Ok(reply) => judge(reply.status),
            // It would be sent again and again.
            Err(error @ HttpError::TooLarge(_)) => Err(MailError::permanent(error)),
            Err(error) => Err(MailError::new(format!("the webhook: {error}"))),
        }
    }
}

fn judge(status: StatusCode) -> Result<(), MailError> {
    let message = |what: &str| format!("the webhook returned status {status}: {what}");
    match status.as_u16() {
        200..=299 => Ok(()),
        422 => Err(MailError::recipient_refused(message("the recipient is refused"))),
        408 | 425 | 429 | 503 => Err(MailError::delayed(message("it asks to try again later"))),
        500..=599 => Err(MailError::new(message("look into its log"))),
        300..=399 => Err(MailError::permanent(message("redirects are not followed; check `url`"))),
        401 | 403 => Err(MailError::permanent(message("check `token_file` or `token`"))),
        _ => Err(MailError::permanent(message("check `url`"))),
    }
}

impl Mailer for WebhookMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(self.post(mail))
    }
}

/// Omits the token, and the path of the URL, which may be a secret.
impl fmt::Debug for WebhookMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookMailer").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// The limit of an attempt.
const TIME_LIMIT: Duration = Duration::from_secs(20);
/// Nothing of it is used.
const MAX_REPLY_BYTES: usize = 64 << 10;
