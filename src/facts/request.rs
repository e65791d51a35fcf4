//! A request as sources of facts see it.

use std::fmt;
use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName};

use crate::clock::Timestamp;
use crate::identity::Email;

/// A request as sources of facts see it.
#[derive(Clone, Copy)]
pub struct RequestView<'a> {
    pub(crate) sender: Sender,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
    pub(crate) person: Option<Person<'a>>,
    pub(crate) now: Timestamp,
}

/// The addresses of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender {
    /// The client's address; `None` if it is unknown.
    pub(crate) address: Option<IpAddr>,
    /// Whether the peer is a trusted proxy, and forwards for a client.
    pub(crate) is_trusted_proxy: bool,
}

/// The user of a request, proved or, during a login, claimed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person<'a> {
    /// `None` if the issuer's token has no valid address.
    pub(crate) email: Option<&'a Email>,
    /// `None` until the address is proved, and if the issuer's token has no id.
    pub(crate) user_id: Option<&'a str>,
}

impl<'a> RequestView<'a> {
    /// Returns the client's address, behind trusted proxies; `None` if it is unknown.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.sender.address
    }

    /// Whether a trusted proxy forwarded it. Headers from other peers can be forged.
    #[must_use]
    pub fn is_from_trusted_proxy(&self) -> bool {
        self.sender.is_trusted_proxy
    }

    /// Returns the only line of a header that a trusted proxy wrote; `None` if another peer sent it, or
    /// if it is repeated or not text.
    #[must_use]
    pub fn trusted_header(&self, name: &HeaderName) -> Option<&'a str> {
        if !self.is_from_trusted_proxy() {
            return None;
        }
        let mut lines = self.headers.get_all(name).iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.to_str().ok(),
            _ => None,
        }
    }

    /// Returns all headers except Access credentials, from any sender.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// Returns the extensions that outer services added to the request.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// Returns the email address of the user; `None` before a login, for services, and
    /// for users whose token has no valid address. During a login: the unproved address that the user entered.
    #[must_use]
    pub fn email(&self) -> Option<&'a Email> {
        self.person.and_then(|person| person.email)
    }

    /// Returns the user's id; `None` until a login has proved it.
    #[must_use]
    pub fn user_id(&self) -> Option<&'a str> {
        self.person.and_then(|person| person.user_id)
    }

    /// Returns the time of the request.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// Omits the headers, which may contain secrets.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("address", &self.address())
            .field("is_from_trusted_proxy", &self.is_from_trusted_proxy())
            .field("email", &self.email())
            .finish_non_exhaustive()
    }
}
