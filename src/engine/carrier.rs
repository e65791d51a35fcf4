//! Where a request carries its credential.
//!
//! Which places count depends on the role, and so does their order; the first one that holds a
//! credential decides. There is no falling back from a bad credential to another place, except
//! among cookies of the same name, where a planted one must not keep the good one from counting,
//! and from a service token where [`service_token`](crate::service_token) is not strict.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::single_header::{self, Found};
use crate::headers::{self, Ours};

/// A place where a token may be.
///
/// | role | order |
/// | --- | --- |
/// | verifying ([`Access::verifier`](crate::Access::verifier)) | [`AssertionHeader`](Self::AssertionHeader), then [`Cookie`](Self::Cookie) |
/// | issuing (`Access::builder`) | service tokens ([how](crate::service_token)), then [`TokenHeader`](Self::TokenHeader), then [`Cookie`](Self::Cookie) |
///
/// Each can be switched off in its role: `without_carrier` of the builders.
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
    /// The header that counts in this role.
    header_of_role: Carrier,
    header: bool,
    cookie: bool,
    /// Switched off, and never on in this role.
    misplaced: Option<Carrier>,
}

impl Carriers {
    /// All places of a role: its header, and the cookie.
    pub(super) fn with_header(header_of_role: Carrier) -> Self {
        Self { header_of_role, header: true, cookie: true, misplaced: None }
    }

    pub(super) fn without(mut self, carrier: Carrier) -> Self {
        match carrier {
            Carrier::Cookie => self.cookie = false,
            header if header == self.header_of_role => self.header = false,
            other => self.misplaced = Some(other),
        }
        self
    }

    /// Whether the settings make sense.
    pub(super) fn check(self) -> Result<(), String> {
        if let Some(carrier) = self.misplaced {
            return Err(format!("{carrier:?} never carries a token in this role: leave it out"));
        }
        if !self.header && !self.cookie {
            return Err("no place is left where a request could carry a token".to_owned());
        }
        Ok(())
    }

    pub(super) fn header(self) -> bool {
        self.header
    }

    pub(super) fn cookie(self) -> bool {
        self.cookie
    }
}

/// The credentials a request brought in headers, taken before the headers are scrubbed.
#[derive(Clone, Debug, Default)]
pub(super) struct Brought {
    pub(super) assertion: Once,
    pub(super) token: Once,
    pub(super) client_id: Once,
    pub(super) client_secret: Once,
}

/// A header that has to be there once or not at all.
#[derive(Clone, Debug, Default)]
pub(super) enum Once {
    #[default]
    Absent,
    /// Once, and still among the headers: nobody need take it out who only puts it back.
    InPlace(HeaderValue),
    One(HeaderValue),
    Many,
}

impl Brought {
    /// Takes them out, together with every header that could be taken for one of ours; but leaves
    /// an assertion where it is that is the only one, `in_place`, until it is judged.
    pub(super) fn take(headers: &mut HeaderMap, in_place: bool) -> Self {
        let mut brought = Self::default();
        match headers::look(headers) {
            Ours::Absent => return brought,
            Ours::Assertion(token) if in_place => {
                brought.assertion = Once::InPlace(token.clone());
                return brought;
            }
            Ours::Assertion(_) | Ours::Several => {}
        }
        headers::take_ours(headers, |name, value| {
            let place = match () {
                () if *name == headers::JWT_ASSERTION => &mut brought.assertion,
                () if *name == headers::TOKEN => &mut brought.token,
                () if *name == headers::CLIENT_ID => &mut brought.client_id,
                () if *name == headers::CLIENT_SECRET => &mut brought.client_secret,
                () => return,
            };
            *place = value.map_or(Once::Many, Once::One);
        });
        brought
    }

    /// Takes a service token out of the one header an application reads them from. Where the usual
    /// two are there as well nothing says which of them counts.
    pub(super) fn take_service_token(&mut self, headers: &mut HeaderMap, name: &HeaderName) {
        let Some(found) = single_header::take(headers, name) else { return };
        let is_alone = !self.shows_service_token();
        (self.client_id, self.client_secret) = match found {
            Found::Token(id, secret) if is_alone => (Once::One(id), Once::One(secret)),
            Found::Token(..) | Found::Unreadable => (Once::Many, Once::Many),
        };
    }

    /// Whether any part of a service token is there.
    pub(super) fn shows_service_token(&self) -> bool {
        !matches!((&self.client_id, &self.client_secret), (Once::Absent, Once::Absent))
    }

    /// Removes the assertion that was left in place, unless it was found good.
    pub(super) fn settle(&self, headers: &mut HeaderMap, is_good: bool) {
        if matches!(self.assertion, Once::InPlace(_)) && !is_good {
            headers.remove(headers::JWT_ASSERTION);
        }
    }
}
