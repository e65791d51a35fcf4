use std::fmt;
use std::net::IpAddr;

use super::kind::{Disclosed, EventKind};

/// An audit event. Fields that are unknown, or do not apply to its kind, are omitted.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(super) kind: EventKind<'a>,
    pub(super) reference: Option<&'a str>,
    pub(super) reason: Option<&'a dyn Disclosed>,
    pub(super) verdict: Option<&'a dyn Disclosed>,
    pub(super) token_error: Option<&'static str>,
    pub(super) application: Option<Application<'a>>,
    pub(super) host: Option<&'a str>,
    pub(super) address: Option<ClientAddress>,
    pub(super) peer: Option<IpAddr>,
    pub(super) email: Option<&'a str>,
    pub(super) user_id: Option<&'a str>,
    pub(super) session_id: Option<&'a str>,
    pub(super) login_method: Option<&'a str>,
    pub(super) service_token: Option<&'a str>,
}

/// An application, by its name and id.
#[derive(Clone, Copy)]
pub(crate) struct Application<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: &'a str,
}

/// The address of a client, which may be unknown.
#[derive(Clone, Copy)]
pub(super) struct ClientAddress(Option<IpAddr>);

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl<'a> Event<'a> {
    /// Creates an event with its kind only.
    #[must_use]
    pub(crate) fn new(kind: EventKind<'a>) -> Self {
        Self {
            kind,
            reference: None,
            reason: None,
            verdict: None,
            token_error: None,
            application: None,
            host: None,
            address: None,
            peer: None,
            email: None,
            user_id: None,
            session_id: None,
            login_method: None,
            service_token: None,
        }
    }

    /// Sets the reference that the response shows.
    pub(crate) fn reference(self, reference: &'a str) -> Self {
        Self { reference: Some(reference), ..self }
    }

    /// Sets the reason.
    pub(crate) fn reason(self, reason: &'a dyn Disclosed) -> Self {
        Self { reason: Some(reason), ..self }
    }

    /// Sets the id of the verdict, which is also in the explanation of the request.
    pub(crate) fn verdict<T: Disclosed>(self, id: Option<&'a T>) -> Self {
        Self { verdict: id.map(|id| id as &dyn Disclosed), ..self }
    }

    /// Sets the error of the request's token.
    pub(crate) fn token_error(self, name: Option<&'static str>) -> Self {
        Self { token_error: name, ..self }
    }

    pub(crate) fn application(self, application: impl Into<Option<Application<'a>>>) -> Self {
        Self { application: application.into(), ..self }
    }

    /// Sets the host that the request was sent to.
    pub(crate) fn host(self, host: impl Into<Option<&'a str>>) -> Self {
        Self { host: host.into(), ..self }
    }

    /// Sets the client's address; `None` is recorded as unknown.
    pub(crate) fn address(self, address: Option<IpAddr>) -> Self {
        Self { address: Some(ClientAddress(address)), ..self }
    }

    /// Sets the other end of the connection, where that is not the client of an application.
    #[cfg(all(feature = "config", feature = "proxy"))]
    pub(crate) fn peer(self, peer: Option<IpAddr>) -> Self {
        Self { peer, ..self }
    }

    /// Sets the email address of a user, which may be unverified.
    pub(crate) fn email(self, email: impl Into<Option<&'a str>>) -> Self {
        Self { email: email.into(), ..self }
    }

    pub(crate) fn user_id(self, user_id: impl Into<Option<&'a str>>) -> Self {
        Self { user_id: user_id.into(), ..self }
    }

    /// Sets the session by its id, of which sinks get a hash.
    pub(crate) fn session_id(self, id: &'a str) -> Self {
        Self { session_id: Some(id), ..self }
    }

    /// Sets the id of the login method.
    pub(crate) fn login_method(self, id: &'a str) -> Self {
        Self { login_method: Some(id), ..self }
    }

    /// Sets the name of a service token.
    pub(crate) fn service_token(self, name: &'a str) -> Self {
        Self { service_token: Some(name), ..self }
    }
}
