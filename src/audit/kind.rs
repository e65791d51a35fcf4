use std::fmt;
use std::path::Path;
use std::time::Duration;

/// Marks a type whose text may be logged: it never contains a secret.
///
/// Fields require such a type instead of any text, so that no code, cookie or token is logged by
/// accident.
pub(crate) trait Disclosed: fmt::Display {}

/// Fixed texts.
impl Disclosed for &'static str {}

/// The kind of an event, with the fields that only this kind has.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(all(feature = "config", feature = "proxy")),
    allow(dead_code, reason = "some are reported by a proxy that runs with a file")
)]
pub(crate) enum EventKind<'a> {
    /// A request without a credential was sent to the login.
    LoginRequired,
    /// A request was refused.
    RequestRefused,
    /// A request was refused unchecked, after too many failed attempts.
    TooManyAttempts,
    /// A request ended in a panic.
    RequestPanicked,
    /// An `OPTIONS` request passed unchecked, as its application is configured.
    OptionsPassed,
    /// Rules needed facts that no source provides, and the request was refused.
    FactsMissing { facts: &'a dyn Disclosed },
    /// A claim of a valid token is unusable.
    ClaimUnusable { claim: &'a dyn Disclosed, why: &'a dyn Disclosed },
    /// A response, or an upgraded connection, was closed because its access was revoked.
    ResponseClosed,

    /// A one-time PIN was requested. Anybody can do so; it is not a login.
    PinRequested { is_eligible: bool, digits: u32, is_shared: bool },
    /// A mail with a PIN was queued.
    MailQueued,
    /// A mail server accepted a mail with a PIN.
    MailSent { attempts: u32 },
    /// A mail with a PIN was not sent.
    MailFailed { outcome: &'static str, attempts: u32 },
    /// A PIN was not compared because it was too short for the present rate of guesses.
    ShortPinIgnored,
    /// A user logged in.
    LoginSucceeded,
    /// A user logged in whom no policy of the application allows.
    LoginDenied,
    /// A login was refused before an address was entered.
    LoginRefused,
    /// The application accepts none of the configured login methods.
    LoginImpossible,
    /// A step of a login took too long.
    LoginTimedOut { limit: Duration },
    /// An endpoint of the login ended in a panic.
    LoginPanicked,
    /// A user approved a command-line client.
    ClientApproved { with_session: bool },
    /// A session was ended by its user.
    LoggedOut,
    /// A session was ended because of its login at an identity provider.
    SessionEnded { why: &'static str },
    /// An identity provider now describes a user with a session in another way: other groups or claims.
    AttributesChanged,

    /// Sessions or tokens were revoked by an operator.
    Revoked { scope: RevocationScope<'a> },
    /// The signing key is being replaced.
    SigningKeyReplaced { key_id: &'a str, signs_from: u64 },
    /// The state was restored from a backup.
    StateRestored { service_tokens: usize },
    /// An operator used the administration API.
    Administration { action: Option<&'static str>, about: Option<&'a str>, status: u16 },
    /// A request to the administration API without the operator's token.
    AdministrationRefused { status: u16 },
    /// The configuration was replaced.
    ConfigurationReplaced {
        file: &'a Path,
        version: &'a str,
        applications: usize,
        policies: usize,
        service_tokens: usize,
        ingress_rules: usize,
        open_without_login: usize,
    },
    /// A new configuration was rejected.
    ConfigurationRejected { error: &'a str },

    /// A service token was refused.
    ServiceTokenRefused,
    /// More wrong secrets of one service token than are recorded one by one.
    ServiceTokenGuessed,
    /// More unknown service tokens than are recorded one by one.
    ServiceTokensUnknown,
    /// A service token expires soon.
    ServiceTokenExpiring { id: &'a str, hours_left: u64 },
    /// A service token of the store was created or changed.
    ServiceTokenChanged { id: &'a str, name: &'a str, client_id: &'a str, what: &'static str },
    /// A service token of the store was deleted.
    ServiceTokenDeleted { id: &'a str },
}

/// The scope of a revocation.
#[derive(Clone, Copy)]
pub(crate) enum RevocationScope<'a> {
    /// One session; its id is the session of the event.
    Session,
    /// Every session of a user; the address is that of the event.
    Person,
    /// Every token of an application.
    Application { audience: &'a str },
    /// Everything.
    Everything,
}

impl EventKind<'_> {
    /// Returns the name of the kind, which no release changes.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::RequestRefused => "request_refused",
            Self::TooManyAttempts => "too_many_attempts",
            Self::RequestPanicked => "request_panicked",
            Self::OptionsPassed => "options_passed",
            Self::FactsMissing { .. } => "facts_missing",
            Self::ClaimUnusable { .. } => "claim_unusable",
            Self::ResponseClosed => "response_closed",
            Self::PinRequested { .. } => "pin_requested",
            Self::MailQueued => "mail_queued",
            Self::MailSent { .. } => "mail_sent",
            Self::MailFailed { .. } => "mail_failed",
            Self::ShortPinIgnored => "short_pin_ignored",
            Self::LoginSucceeded => "login_succeeded",
            Self::LoginDenied => "login_denied",
            Self::LoginRefused => "login_refused",
            Self::LoginImpossible => "login_impossible",
            Self::LoginTimedOut { .. } => "login_timed_out",
            Self::LoginPanicked => "login_panicked",
            Self::ClientApproved { .. } => "client_approved",
            Self::LoggedOut => "logged_out",
            Self::SessionEnded { .. } => "session_ended",
            Self::AttributesChanged => "attributes_changed",
            Self::Revoked { .. } => "revoked",
            Self::SigningKeyReplaced { .. } => "signing_key_replaced",
            Self::StateRestored { .. } => "state_restored",
            Self::Administration { .. } => "administration",
            Self::AdministrationRefused { .. } => "administration_refused",
            Self::ConfigurationReplaced { .. } => "configuration_replaced",
            Self::ConfigurationRejected { .. } => "configuration_rejected",
            Self::ServiceTokenRefused => "service_token_refused",
            Self::ServiceTokenGuessed => "service_token_guessed",
            Self::ServiceTokensUnknown => "service_tokens_unknown",
            Self::ServiceTokenExpiring { .. } => "service_token_expiring",
            Self::ServiceTokenChanged { .. } => "service_token_changed",
            Self::ServiceTokenDeleted { .. } => "service_token_deleted",
        }
    }
}

impl RevocationScope<'_> {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Person => "person",
            Self::Application { .. } => "application",
            Self::Everything => "everything",
        }
    }
}
