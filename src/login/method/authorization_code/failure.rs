//! The pages of logins that a provider did not finish.

use std::fmt;

use http::StatusCode;

use super::quoted::quoted;
use super::{AuthorizationCode, Callback, TokenError};
use crate::login::{EndpointRequest, Flow, Login};
use crate::pages::{Page, Problem};
use crate::util::response::ResponseBytes;

/// Why a login has failed: what the user reads, and what the log says.
#[derive(Debug)]
pub(in crate::login::method) struct Failure {
    kind: Kind,
    /// For the log: what failed, and what to do. Never contains a token, a code or a secret.
    cause: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// The provider does not respond, or sends what cannot be used.
    Provider,
    /// The provider is set up in a way that does not fit.
    Configuration,
    /// The provider has refused, or the user has.
    Refused,
    /// The provider wants to see the user.
    Interaction,
    /// The provider did not accept the code.
    Code,
    /// The user is known, and may not log in.
    User,
    /// The answer does not belong to the login.
    Foreign,
    /// The code was redeemed before.
    Repeated,
}

impl Failure {
    fn new(kind: Kind, cause: impl fmt::Display) -> Self {
        Self { kind, cause: cause.to_string() }
    }

    /// The provider is down, slow, or sends what cannot be used.
    pub(in crate::login::method) fn provider(cause: impl fmt::Display) -> Self {
        Self::new(Kind::Provider, cause)
    }

    /// The provider does not have the expected settings, or this server does not.
    pub(in crate::login::method) fn configuration(cause: impl fmt::Display) -> Self {
        Self::new(Kind::Configuration, cause)
    }

    /// The user is known, and may not log in by this method: no verified address, another domain.
    pub(in crate::login::method) fn user(cause: impl fmt::Display) -> Self {
        Self::new(Kind::User, cause)
    }

    /// The answer comes from another provider than the one that the user was sent to.
    pub(in crate::login::method) fn foreign(cause: impl fmt::Display) -> Self {
        Self::new(Kind::Foreign, cause)
    }

    pub(super) fn repeated() -> Self {
        Self::new(Kind::Repeated, "the code was redeemed before")
    }

    /// Reads an error of the authorization endpoint (RFC 6749, section 4.1.2.1; OpenID Connect Core,
    /// section 3.1.2.6).
    pub(in crate::login::method) fn of_callback(error: &str, callback: &Callback) -> Self {
        let kind = match error {
            "access_denied" => Kind::Refused,
            "login_required"
            | "consent_required"
            | "interaction_required"
            | "account_selection_required" => Kind::Interaction,
            "invalid_request"
            | "unauthorized_client"
            | "unsupported_response_type"
            | "invalid_scope"
            // GitHub's own.
            | "redirect_uri_mismatch"
            | "application_suspended" => Kind::Configuration,
            // `server_error`, `temporarily_unavailable`, and whatever else there may be.
            _ => Kind::Provider,
        };
        let description = callback.description.as_deref().unwrap_or_default();
        Self::new(kind, format_args!("the provider returned {}", quoted(error, description)))
    }

    /// Reads an error of the token endpoint.
    pub(in crate::login::method) fn of_tokens(error: &TokenError) -> Self {
        let kind = match error {
            TokenError::Refused { error, .. } => match &**error {
                // GitHub has its own word.
                "invalid_grant" | "bad_verification_code" => Kind::Code,
                "invalid_client"
                | "incorrect_client_credentials"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "redirect_uri_mismatch"
                | "invalid_scope"
                | "invalid_request" => Kind::Configuration,
                _ => Kind::Provider,
            },
            TokenError::Unavailable(_) | TokenError::Unreadable(_) => Kind::Provider,
        };
        Self::new(kind, error)
    }
}

impl AuthorizationCode {
    /// Logs a failure, and returns its page with a link that starts the login again.
    pub(in crate::login::method) fn failed(
        &self,
        login: &Login,
        request: &EndpointRequest,
        flow: Option<&Flow>,
        failure: &Failure,
    ) -> ResponseBytes {
        let reference = login.reference();
        let (method, cause) = (&*self.method, &*failure.cause);
        match failure.kind {
            Kind::Provider | Kind::Configuration => {
                tracing::error!(method, cause, reference, "a login at a provider failed");
            }
            Kind::Refused | Kind::Code | Kind::User | Kind::Foreign => {
                tracing::warn!(method, cause, reference, "a login at a provider was refused");
            }
            Kind::Interaction | Kind::Repeated => {
                tracing::info!(method, cause, reference, "a login at a provider was not finished");
            }
        }
        let (status, title, message) = failure.kind.page(&self.name);
        let start = match flow {
            Some(flow) => Some(login.start_url(flow, request.now)),
            None => login.directory.landing_path(&request.host),
        };
        let page = Problem::new(title, &message)
            .host(flow.map_or(&request.host, |flow| &flow.host).as_str())
            .reference(&*reference)
            .retry(start.as_deref(), "Start again");
        login.page(status, &Page::Problem(page))
    }
}

impl Kind {
    fn page(self, name: &str) -> (StatusCode, &'static str, String) {
        match self {
            Self::Provider => (
                StatusCode::BAD_GATEWAY,
                "The identity provider did not answer as expected",
                format!(
                    "{name} is not available right now, or sent an answer that cannot be used. Please \
                     start again in a few minutes, or log in another way."
                ),
            ),
            Self::Configuration => (
                StatusCode::BAD_GATEWAY,
                "The identity provider is not set up correctly",
                format!(
                    "{name} and this site do not agree on how users log in. Please tell your system \
                     administrator, with the reference below."
                ),
            ),
            Self::Refused => (
                StatusCode::FORBIDDEN,
                "The login was refused",
                format!(
                    "{name} did not let you log in, or you cancelled. You can start again, or log in \
                     another way."
                ),
            ),
            Self::Interaction => (
                StatusCode::FORBIDDEN,
                "The identity provider needs an answer from you",
                format!(
                    "{name} could not log you in without asking. Please start again, and answer what it \
                     asks."
                ),
            ),
            Self::Code => (
                StatusCode::FORBIDDEN,
                "The login has expired",
                format!("{name} did not accept its own answer any more. Please start again."),
            ),
            Self::User => (
                StatusCode::FORBIDDEN,
                "This account cannot be used here",
                format!(
                    "{name} knows you, but not in the way this site requires: with a verified email \
                     address, in the right organization. Please start again with another account, or \
                     contact your system administrator."
                ),
            ),
            Self::Foreign => (
                StatusCode::FORBIDDEN,
                "This answer belongs to another login",
                format!("It does not come from {name}. Please start again."),
            ),
            Self::Repeated => (
                StatusCode::FORBIDDEN,
                "This login was used before",
                "Each login works once. Please start again.".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_callback(error: &str) -> Failure {
        let description = Some("line\nbreak \u{1b}[31m".to_owned() + &"x".repeat(10_000));
        let callback = Callback { code: Err(error.to_owned()), description, issuer: None };
        Failure::of_callback(error, &callback)
    }

    #[test]
    fn each_error_of_a_provider_has_a_page() {
        for (error, status) in [
            ("access_denied", StatusCode::FORBIDDEN),
            ("login_required", StatusCode::FORBIDDEN),
            ("consent_required", StatusCode::FORBIDDEN),
            ("interaction_required", StatusCode::FORBIDDEN),
            ("server_error", StatusCode::BAD_GATEWAY),
            ("temporarily_unavailable", StatusCode::BAD_GATEWAY),
            ("invalid_scope", StatusCode::BAD_GATEWAY),
            ("<script>", StatusCode::BAD_GATEWAY),
        ] {
            let failure = of_callback(error);
            let (found, title, message) = failure.kind.page("Corp");
            assert_eq!(found, status, "{error}");
            assert!(!title.contains(error) && !message.contains(error), "{error}");
        }
    }

    #[test]
    fn what_a_provider_says_is_short_and_escaped_in_the_log() {
        let cause = of_callback("server_error\n").cause;
        assert!(cause.len() < 1_000, "{cause}");
        assert!(!cause.contains(char::is_control), "{cause}");
        assert!(cause.starts_with("the provider returned \"server_error\\n\" (\"line"), "{cause}");
    }
}
