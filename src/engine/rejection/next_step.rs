//! What a person who was refused is told to do next: no page is a dead end.
//!
//! Links lead to this host or to the login that is configured. What a page tells of this host, whether
//! there is an application at its front, a plain request tells as well.

use std::borrow::Cow;

use http::Method;

use super::super::resources::ResourceError;
use super::super::{Engine, Role};
use super::{Rejection, RejectionKind};
use crate::login::ReturnTarget;

/// What a person can do about a refusal.
pub(super) struct NextStep {
    /// Where the button leads.
    pub(super) url: Option<String>,
    /// What stands on it.
    pub(super) label: &'static str,
    /// The front page of this host, where it is another one and there is an application.
    pub(super) home: Option<&'static str>,
    /// What to do, in words.
    pub(super) advice: &'static str,
}

/// What to do about a refusal; the login, where one helps, is at this address.
pub(super) fn next_step(
    engine: &Engine,
    rejection: &Rejection,
    login_url: Option<String>,
) -> NextStep {
    let home = front_page(engine, rejection);
    // Browsers take a path that begins with two slashes for another host.
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

/// Where a person comes back to who was refused: the page that was asked for. A form is not sent
/// again: that leads to the page it was on, where the browser tells one of this origin, or to the
/// front page.
pub(super) fn return_path<'a>(engine: &Engine, rejection: &'a Rejection) -> Cow<'a, str> {
    let request = &rejection.request;
    if matches!(request.method, Method::GET | Method::HEAD) || !request.is_read_by_a_person() {
        return Cow::Borrowed(&request.path_and_query);
    }
    let target = match (&request.host, &request.referer) {
        (Some(host), Some(referer)) if !referer.starts_with('/') => {
            ReturnTarget::parse(referer, &engine.public_origins.of(host))
        }
        _ => ReturnTarget::root(),
    };
    Cow::Owned(target.as_str().to_owned())
}

/// Where the proof of a login is given up, so that another account can be used.
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
    (is_elsewhere && engine.directory.route(host, "/").is_some()).then_some("/")
}
