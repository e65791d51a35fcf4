//! The credentials that a request presents in headers.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::single_header::{self, Found};
use crate::headers::{self, Ours};

/// The credentials that a request presents in headers, taken before the headers are scrubbed.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentedCredentials {
    pub(super) assertion: HeaderField,
    pub(super) token: HeaderField,
    pub(super) client_id: HeaderField,
    pub(super) client_secret: HeaderField,
}

/// A header that has to be there once or not at all.
#[derive(Clone, Debug, Default)]
pub(super) enum HeaderField {
    #[default]
    Absent,
    /// HeaderField, and still among the headers: nobody need take it out who only puts it back.
    InPlace(HeaderValue),
    Single(HeaderValue),
    Repeated,
}

impl PresentedCredentials {
    /// Takes them out, together with every header that could be taken for one of ours; but leaves
    /// an assertion where it is that is the only one, `in_place`, until it is judged.
    pub(super) fn take(headers: &mut HeaderMap, in_place: bool) -> Self {
        let mut presented = Self::default();
        match headers::look(headers) {
            Ours::Absent => return presented,
            Ours::Assertion(token) if in_place => {
                presented.assertion = HeaderField::InPlace(token.clone());
                return presented;
            }
            Ours::Assertion(_) | Ours::Several => {}
        }
        headers::take_ours(headers, |name, value| {
            let place = match () {
                () if *name == headers::JWT_ASSERTION => &mut presented.assertion,
                () if *name == headers::TOKEN => &mut presented.token,
                () if *name == headers::CLIENT_ID => &mut presented.client_id,
                () if *name == headers::CLIENT_SECRET => &mut presented.client_secret,
                () => return,
            };
            *place = value.map_or(HeaderField::Repeated, HeaderField::Single);
        });
        presented
    }

    /// Takes a service token out of the one header an application reads them from. Where the usual
    /// two are there as well nothing says which of them counts.
    pub(super) fn take_service_token(&mut self, headers: &mut HeaderMap, name: &HeaderName) {
        let Some(found) = single_header::take(headers, name) else { return };
        let is_alone = !self.has_service_token();
        (self.client_id, self.client_secret) = match found {
            Found::Token(id, secret) if is_alone => {
                (HeaderField::Single(id), HeaderField::Single(secret))
            }
            Found::Token(..) | Found::Unreadable => (HeaderField::Repeated, HeaderField::Repeated),
        };
    }

    /// Whether any part of a service token is there.
    pub(super) fn has_service_token(&self) -> bool {
        !matches!(
            (&self.client_id, &self.client_secret),
            (HeaderField::Absent, HeaderField::Absent)
        )
    }

    /// Removes the assertion that was left in place, unless it was found good.
    pub(super) fn settle(&self, headers: &mut HeaderMap, is_good: bool) {
        if matches!(self.assertion, HeaderField::InPlace(_)) && !is_good {
            headers.remove(headers::JWT_ASSERTION);
        }
    }
}
