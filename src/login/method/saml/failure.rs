//! The pages of logins that a provider's answer did not finish.

use http::StatusCode;

use super::SamlMethod;
use super::element::Misshapen;
use super::peer::PeerError;
use super::user::NoAddress;
use crate::login::{EndpointRequest, Flow, Login};
use crate::pages::{Page, Problem};
use crate::util::response::ResponseBytes;

/// Why a login has failed. Its text is for the log: what failed, and never what an assertion says about
/// a user.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the answer is not a SAML response in Base64")]
    Unreadable,
    #[error("the answer is refused: {0}")]
    Misshapen(#[from] Misshapen),
    #[error("the answer is refused: {0}")]
    Refused(#[from] PeerError),
    #[error("the answer is refused: it was issued by another provider than {expected:?}")]
    Issuer { expected: Box<str> },
    #[error("the provider returned the status {0:?}")]
    Status(String),
    #[error(transparent)]
    NoAddress(#[from] NoAddress),
    #[error("a request cannot be made: {0}")]
    Request(PeerError),
}

impl SamlMethod {
    /// Logs a failure, and returns its page with a link that starts the login again.
    pub(super) fn failed(
        &self,
        login: &Login,
        request: &EndpointRequest,
        flow: &Flow,
        failure: &Failure,
    ) -> ResponseBytes {
        let reference = login.reference();
        let (method, cause) = (&*self.settings.id, failure.to_string());
        let (status, title, message) = failure.page(&self.settings.name);
        if status.is_server_error() {
            tracing::error!(method, cause, reference, "a login at a provider failed");
        } else {
            tracing::warn!(method, cause, reference, "a login at a provider was refused");
        }
        let start = login.start_url(flow, request.now);
        let page = Problem::new(title, &message)
            .host(flow.host.as_str())
            .reference(&*reference)
            .retry(&*start, "Start again");
        login.page(status, &Page::Problem(page))
    }
}

impl Failure {
    fn page(&self, name: &str) -> (StatusCode, &'static str, String) {
        match self {
            Self::Unreadable => (
                StatusCode::BAD_REQUEST,
                "This answer cannot be read",
                format!(
                    "What your browser brought back from {name} is incomplete. Please start again."
                ),
            ),
            Self::Misshapen(_) | Self::Refused(_) | Self::Issuer { .. } => (
                StatusCode::BAD_GATEWAY,
                "The identity provider did not answer as expected",
                format!(
                    "The answer of {name} cannot be accepted. Please start again. If this happens \
                     again, tell your system administrator, with the reference below."
                ),
            ),
            Self::Request(_) => (
                StatusCode::BAD_GATEWAY,
                "The identity provider is not set up correctly",
                format!(
                    "{name} cannot be asked to log you in. Please tell your system administrator, with \
                     the reference below."
                ),
            ),
            Self::Status(_) => (
                StatusCode::FORBIDDEN,
                "The login was refused",
                format!(
                    "{name} did not let you log in, or you cancelled. You can start again, or log in \
                     another way."
                ),
            ),
            Self::NoAddress(_) => (
                StatusCode::FORBIDDEN,
                "Required attributes are missing",
                format!(
                    "{name} did not say which email address you have. Please contact your system \
                     administrator."
                ),
            ),
        }
    }
}
