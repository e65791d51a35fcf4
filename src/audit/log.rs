//! Events as lines of the log.
//!
//! All text is passed to the subscriber as a string, which `fmt` quotes and escapes, so that no value
//! looks like another field or another line.

use std::borrow::Cow;

use super::{Event, EventKind, RevocationScope};
use crate::random::to_hex;
use crate::secret::sha256;

/// Writes an event in one line with a level, a message and the fields that are known. It
/// formats only if a subscriber listens.
macro_rules! line {
    ($level:ident, $event:ident, $message:literal $(, $name:ident = $value:expr)* $(,)?) => {
        tracing::$level!(
            target: "tower_access::audit",
            event = $event.kind.as_str(),
            reference = $event.reference,
            reason = $event.reason.map(ToString::to_string),
            application = $event.application.map(|application| application.name),
            application_id = $event.application.map(|application| application.id),
            host = $event.host,
            token = $event.token_error,
            email = $event.email.map(visible).as_deref(),
            user_id = $event.user_id,
            session = $event.session_id.map(hashed),
            login_method = $event.login_method,
            service_token = $event.service_token,
            address = $event.address.map(tracing::field::display),
            peer = $event.peer.map(tracing::field::display),
            verdict = $event.verdict.map(ToString::to_string),
            $($name = $value,)*
            $message
        )
    };
}

pub(super) fn write(event: &Event<'_>) {
    use EventKind as Kind;

    match event.kind {
        // Every login begins with it, so it needs no attention.
        Kind::LoginRequired => line!(debug, event, "login required"),
        Kind::RequestRefused => line!(info, event, "refused"),
        // Another line reports it once a minute.
        Kind::TooManyAttempts => line!(debug, event, "refused unchecked: too many failed attempts"),
        Kind::RequestPanicked => line!(
            error,
            event,
            "refused: a panic, in a callback or in this crate; the panic hook has reported where"
        ),
        Kind::OptionsPassed => line!(debug, event, "an OPTIONS request is allowed without a check"),
        Kind::FactsMissing { facts } => line!(
            warn,
            event,
            "rules need facts that no source provides",
            missing = facts.to_string()
        ),
        Kind::ClaimUnusable { claim, why } => line!(
            info,
            event,
            "a claim of a valid token is unusable: treated as unknown",
            claim = claim.to_string(),
            why = why.to_string()
        ),
        Kind::ResponseClosed => line!(info, event, "response closed: access revoked"),

        Kind::PinRequested { is_eligible, digits, is_shared } => line!(
            info,
            event,
            "one-time PIN requested",
            eligible = is_eligible,
            digits = digits,
            shared = is_shared
        ),
        Kind::MailQueued => line!(info, event, "mail queued"),
        Kind::MailSent { attempts } => line!(info, event, "mail sent", attempts = attempts),
        Kind::MailFailed { outcome, attempts } => {
            line!(warn, event, "mail not sent", outcome = outcome, attempts = attempts);
        }
        Kind::ShortPinIgnored => line!(
            warn,
            event,
            "too many wrong codes: short codes are ignored, longer codes are mailed"
        ),
        Kind::LoginSucceeded => line!(info, event, "logged in"),
        Kind::LoginDenied => line!(info, event, "login refused: no policy allows this user"),
        Kind::LoginRefused => line!(info, event, "login refused before it began"),
        Kind::LoginImpossible => {
            line!(
                warn,
                event,
                "login impossible: none of the application's login methods is configured"
            )
        }
        Kind::LoginTimedOut { limit } => line!(
            error,
            event,
            "a login step timed out: the store or another service did not respond",
            limit = tracing::field::debug(limit)
        ),
        Kind::LoginPanicked => line!(
            error,
            event,
            "responded with 500: a panic, in a callback or in this crate; the panic hook has \
             reported where"
        ),
        Kind::ClientApproved { with_session } => {
            line!(info, event, "a command-line client was approved", with_session = with_session)
        }
        Kind::LoggedOut => line!(info, event, "logged out"),
        Kind::SessionEnded { why } => line!(info, event, "session ended", why = why),
        Kind::AttributesChanged => {
            line!(info, event, "the identity provider has changed the attributes of a user");
        }

        Kind::Revoked { scope } => {
            let audience = match scope {
                RevocationScope::Application { audience } => Some(audience),
                RevocationScope::Session
                | RevocationScope::Person
                | RevocationScope::Everything => None,
            };
            line!(info, event, "revoked", scope = scope.as_str(), audience = audience);
        }
        Kind::SigningKeyReplaced { key_id, signs_from } => line!(
            info,
            event,
            "the signing key was replaced",
            key_id = key_id,
            signs_from = signs_from
        ),
        Kind::StateRestored { service_tokens } => line!(
            warn,
            event,
            "the state was restored: all sessions are ended, the signing key is new, and service \
             tokens of the store are deleted",
            service_tokens = service_tokens
        ),
        Kind::Administration { action, about, status } => {
            line!(info, event, "administration", action = action, about = about, status = status)
        }
        Kind::AdministrationRefused { status } => {
            line!(warn, event, "administration refused", status = status);
        }
        Kind::ConfigurationReplaced {
            file,
            version,
            applications,
            policies,
            service_tokens,
            ingress_rules,
            open_without_login,
        } => line!(
            info,
            event,
            "the configuration was replaced",
            file = file.display().to_string(),
            version = version,
            applications = applications,
            policies = policies,
            service_tokens = service_tokens,
            ingress_rules = ingress_rules,
            open_without_login = open_without_login
        ),
        Kind::ConfigurationRejected { error } => {
            line!(
                error,
                event,
                "the new configuration was rejected; the present one stays active",
                error = error
            );
        }

        Kind::ServiceTokenRefused => line!(info, event, "service token refused"),
        Kind::ServiceTokenGuessed => line!(
            warn,
            event,
            "too many wrong secrets are sent for a service token: further ones of this minute are \
             not logged"
        ),
        Kind::ServiceTokensUnknown => line!(
            warn,
            event,
            "too many service tokens are sent that do not exist: further ones of this minute are \
             not logged"
        ),
        Kind::ServiceTokenExpiring { id, hours_left } => line!(
            warn,
            event,
            "a service token expires soon: refresh or replace it",
            id = id,
            hours_left = hours_left
        ),
        Kind::ServiceTokenChanged { id, name, client_id, what } => line!(
            info,
            event,
            "a service token was changed",
            id = id,
            name = name,
            client_id = client_id,
            what = what
        ),
        Kind::ServiceTokenDeleted { id } => {
            line!(info, event, "a service token was deleted", id = id);
        }
    }
}

/// Returns an address unchanged if it is visible ASCII, as all verified ones are. Escapes others, so
/// that entered text cannot look like another address.
fn visible(email: &str) -> Cow<'_, str> {
    if email.bytes().all(|byte| byte.is_ascii_graphic()) {
        email.into()
    } else {
        email.escape_default().to_string().into()
    }
}

/// The first half of the SHA-256 hash of a session's id, in hexadecimal: tells sessions apart.
fn hashed(session_id: &str) -> String {
    let mut text = to_hex(&sha256(session_id.as_bytes()));
    text.truncate(32);
    text
}
