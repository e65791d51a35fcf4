//! Where a request carries its credential.
//!
//! Which places count depends on the role, and so does their order; the first one that holds a
//! credential decides. There is no falling back from a bad credential to another place, except
//! among cookies of the same name, where a planted one must not keep the good one from counting.

use http::HeaderMap;
use http::header::HeaderValue;

use crate::headers;

/// A place where a token may be.
///
/// | role | order |
/// | --- | --- |
/// | verifying ([`Access::verifier`](crate::Access::verifier)) | [`AssertionHeader`](Self::AssertionHeader), then [`Cookie`](Self::Cookie) |
/// | issuing (`Access::builder`) | service tokens, then [`TokenHeader`](Self::TokenHeader), then [`Cookie`](Self::Cookie) |
///
/// Each can be switched off: `without_carrier` of the builders.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Carrier {
    /// The header `Cf-Access-Jwt-Assertion`, which an issuer adds. Counts where somebody else
    /// issues; from outside it is no credential.
    AssertionHeader,
    /// The header `cf-access-token`, which programs send. Counts where we issue.
    TokenHeader,
    /// The cookie `CF_Authorization`.
    Cookie,
}

/// Which of the places count.
#[derive(Clone, Copy, Debug)]
pub(super) struct Carriers {
    header: bool,
    cookie: bool,
}

impl Default for Carriers {
    fn default() -> Self {
        Self { header: true, cookie: true }
    }
}

impl Carriers {
    pub(super) fn without(mut self, carrier: Carrier) -> Self {
        match carrier {
            Carrier::AssertionHeader | Carrier::TokenHeader => self.header = false,
            Carrier::Cookie => self.cookie = false,
        }
        self
    }

    pub(super) fn header(self) -> bool {
        self.header
    }

    pub(super) fn cookie(self) -> bool {
        self.cookie
    }

    pub(super) fn any(self) -> bool {
        self.header || self.cookie
    }
}

/// The credentials a request brought in headers, taken before the headers are scrubbed.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) assertion: Once,
    #[cfg(feature = "login")]
    pub(super) token: Once,
    #[cfg(feature = "login")]
    pub(super) client_id: Once,
    #[cfg(feature = "login")]
    pub(super) client_secret: Once,
}

/// A header that has to be there once or not at all.
#[derive(Debug, Default)]
pub(super) enum Once {
    #[default]
    Absent,
    One(HeaderValue),
    Many,
}

impl Brought {
    pub(super) fn by(headers: &HeaderMap) -> Self {
        let once = |name| {
            let mut lines = headers.get_all(name).iter();
            match (lines.next(), lines.next()) {
                (None, _) => Once::Absent,
                (Some(line), None) => Once::One(line.clone()),
                (Some(_), Some(_)) => Once::Many,
            }
        };
        Self {
            assertion: once(headers::JWT_ASSERTION),
            #[cfg(feature = "login")]
            token: once(headers::TOKEN),
            #[cfg(feature = "login")]
            client_id: once(headers::CLIENT_ID),
            #[cfg(feature = "login")]
            client_secret: once(headers::CLIENT_SECRET),
        }
    }
}
