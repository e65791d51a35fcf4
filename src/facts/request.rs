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

/// Who is at the other end, as far as addresses go.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender {
    /// The client's address; `None` when it is unknown.
    pub(crate) address: Option<IpAddr>,
    /// Whether the peer is a trusted proxy, and asks for somebody else.
    pub(crate) is_trusted_proxy: bool,
}

/// Who makes a request, or says so while logging in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person<'a> {
    /// `None` where the issuer's token has no address that can be used.
    pub(crate) email: Option<&'a Email>,
    /// `None` while the address is not proved yet, and where the issuer's token has none.
    pub(crate) user_id: Option<&'a str>,
}

impl<'a> RequestView<'a> {
    /// The client's address, behind trusted proxies; `None` when it is unknown.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.sender.address
    }

    /// Whether a trusted proxy sent it on: what anybody else writes into headers, anybody can.
    #[must_use]
    pub fn is_from_trusted_proxy(&self) -> bool {
        self.sender.is_trusted_proxy
    }

    /// The one line of a header that a trusted proxy wrote; `None` when another peer sent it, and
    /// when it is there twice or is no text.
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

    /// All headers but credentials of Access, whoever wrote them.
    #[must_use]
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// What services further out have left with the request.
    #[must_use]
    pub fn extensions(&self) -> &'a Extensions {
        self.extensions
    }

    /// The address of the person who makes the request; `None` before a login, for services, and
    /// for people whose token has no address that can be used. While somebody is logging in, the address they say is theirs.
    #[must_use]
    pub fn email(&self) -> Option<&'a Email> {
        self.person.and_then(|person| person.email)
    }

    /// The person's id; `None` as long as no login has proved who it is.
    #[must_use]
    pub fn user_id(&self) -> Option<&'a str> {
        self.person.and_then(|person| person.user_id)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// Without the headers, which may hold secrets.
impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView")
            .field("address", &self.address())
            .field("is_from_trusted_proxy", &self.is_from_trusted_proxy())
            .field("email", &self.email())
            .finish_non_exhaustive()
    }
}
