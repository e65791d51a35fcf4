//! The next step that the page of a refusal offers to its user.
//!
//! Links lead to this host or to the configured login. A page reveals whether this host has an
//! application at `/`, which a plain request reveals as well.

use std::borrow::Cow;

use http::Method;

use super::super::resources::ResourceError;
use super::super::{Engine, Role};
use super::{Rejection, RejectionKind};
use crate::login::ReturnTarget;

/// What the user can do after a refusal.
pub(super) struct NextStep {
    /// The link of the button.
    pub(super) url: Option<String>,
    /// The label of the button.
    pub(super) label: &'static str,
    /// The front page of this host, if it has an application and is another page.
    pub(super) home: Option<&'static str>,
    /// Advice in words.
    pub(super) advice: &'static str,
}

/// Returns the next step after a refusal. `login_url` is the login, if one helps.
pub(super) fn next_step(
    engine: &Engine,
    rejection: &Rejection,
    login_url: Option<String>,
) -> NextStep {
    let home = front_page(engine, rejection);
    // Browsers read two slashes at the start of a path as a host.
    let again = || {
        let target = ReturnTarget::parse(&return_path(engine, rejection), "");
        Some(target.as_str().to_owned())
    };
    let (url, label, advice) = match rejection.kind() {
        RejectionKind::LoginRequired => (login_url, "Log in", ""),
        RejectionKind::Token(_) => (login_url, "Log in again", ""),
        RejectionKind::Denied
        | RejectionKind::ServiceRequired
        | RejectionKind::Resource(ResourceError::NotCovered | ResourceError::TooManyApplications)
        | RejectionKind::Preflight
        | RejectionKind::ForeignOrigin => (
            sign_out_url(engine).filter(|_| rejection.request.has_session),
            "Use another account",
            "Please contact your system administrator, with the reference below.",
        ),
        RejectionKind::ServiceToken => {
            (None, "", "Check its client id and secret, and whether it is still valid.")
        }
        RejectionKind::AmbiguousCredential => (
            sign_out_url(engine),
            "Log out",
            "Log out, or delete the cookies of this site, and come again.",
        ),
        RejectionKind::Host | RejectionKind::Path(_) | RejectionKind::Resource(_) => {
            (None, "", "Check the address, or begin at the front page.")
        }
        RejectionKind::NoApplication => (None, "", "Check the address."),
        RejectionKind::TooManyAttempts | RejectionKind::KeysUnavailable => {
            (again(), "Try again", "")
        }
        RejectionKind::NotAuthenticated | RejectionKind::Internal => (
            again(),
            "Try again",
            "If that does not help, show your system administrator the reference below.",
        ),
    };
    NextStep { url, label, home, advice }
}

/// Returns the path to return to after a login: the requested page. After a form, which browsers do not
/// send again, it is the page of the form if its `Referer` is of this origin, or the front page.
pub(super) fn return_path<'a>(engine: &Engine, rejection: &'a Rejection) -> Cow<'a, str> {
    let request = &rejection.request;
    if matches!(request.method, Method::GET | Method::HEAD) || !request.wants_page() {
        return Cow::Borrowed(&request.path_and_query);
    }
    let target = match (&request.host, &request.referer) {
        (Some(host), Some(referer)) if !referer.starts_with('/') => {
            ReturnTarget::parse(referer, &engine.public_origins.origin(host))
        }
        _ => ReturnTarget::root(),
    };
    Cow::Owned(target.as_str().to_owned())
}

/// Returns the URL of the logout, which lets the user choose another account.
fn sign_out_url(engine: &Engine) -> Option<String> {
    match &engine.role {
        Role::Issuing(_) => Some("/cdn-cgi/access/logout".to_owned()),
        Role::Verifying(verifying) => {
            Some(format!("{}/cdn-cgi/access/logout", verifying.team_domain.issuer()))
        }
    }
}

fn front_page(engine: &Engine, rejection: &Rejection) -> Option<&'static str> {
    let request = &rejection.request;
    let host = request.host.as_ref()?;
    let is_elsewhere = request.path_and_query.split('?').next() != Some("/");
    (is_elsewhere && engine.applications.route(host, "/").is_some()).then_some("/")
}
