//! The credentials that a request presents in headers.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::single_header::{self, SingleHeader};
use crate::headers::{self, IdentityHeaders};

/// The credentials that a request presents in headers, taken before the headers are scrubbed.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentedCredentials {
    pub(super) assertion: HeaderField,
    pub(super) token: HeaderField,
    /// `None` if the request has no part of a service token.
    pub(super) service_token: Option<Box<PresentedPair>>,
}

/// The two halves of a service token, of which one may be missing.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentedPair {
    pub(super) client_id: HeaderField,
    pub(super) client_secret: HeaderField,
}

/// A header that may occur at most once.
#[derive(Clone, Debug, Default)]
pub(super) enum HeaderField {
    #[default]
    Absent,
    /// Once, and still among the headers, where it may stay if it is valid.
    InPlace(HeaderValue),
    Single(HeaderValue),
    Repeated,
}

impl PresentedCredentials {
    /// Removes them from the headers, with every header that could be read as one of ours. With
    /// `in_place`, a single assertion stays until it is verified.
    pub(super) fn take(headers: &mut HeaderMap, in_place: bool) -> Self {
        let mut presented = Self::default();
        match headers::find_identity_headers(headers) {
            IdentityHeaders::Absent => return presented,
            IdentityHeaders::Assertion(token) if in_place => {
                presented.assertion = HeaderField::InPlace(token.clone());
                return presented;
            }
            IdentityHeaders::Assertion(_) | IdentityHeaders::Several => {}
        }
        headers::take_identity_headers(headers, |name, value| {
            let pair = &mut presented.service_token;
            let field = match () {
                () if *name == headers::JWT_ASSERTION => &mut presented.assertion,
                () if *name == headers::TOKEN => &mut presented.token,
                () if *name == headers::CLIENT_ID => &mut pair.get_or_insert_default().client_id,
                () if *name == headers::CLIENT_SECRET => {
                    &mut pair.get_or_insert_default().client_secret
                }
                () => return,
            };
            *field = value.map_or(HeaderField::Repeated, HeaderField::Single);
        });
        presented
    }

    /// Removes a service token from the header of the application's setting. If the two standard
    /// headers are present as well, the service token is ambiguous.
    pub(super) fn take_service_token(&mut self, headers: &mut HeaderMap, name: &HeaderName) {
        let Some(found) = single_header::take(headers, name) else { return };
        let is_alone = !self.has_service_token();
        let (client_id, client_secret) = match found {
            SingleHeader::Token(id, secret) if is_alone => {
                (HeaderField::Single(id), HeaderField::Single(secret))
            }
            SingleHeader::Token(..) | SingleHeader::Unreadable => {
                (HeaderField::Repeated, HeaderField::Repeated)
            }
        };
        self.service_token = Some(Box::new(PresentedPair { client_id, client_secret }));
    }

    /// Returns whether any part of a service token is present.
    pub(super) fn has_service_token(&self) -> bool {
        self.service_token.is_some()
    }

    /// Removes the assertion that was left in place, unless it is valid.
    pub(super) fn settle(&self, headers: &mut HeaderMap, is_valid: bool) {
        if matches!(self.assertion, HeaderField::InPlace(_)) && !is_valid {
            headers.remove(headers::JWT_ASSERTION);
        }
    }
}
