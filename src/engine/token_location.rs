//! Where a request carries its token.
//!
//! The role decides which locations are read, and in which order; the first that holds a credential
//! decides. An invalid credential does not fall back to another location, with two exceptions:
//! among cookies of one name, where a planted cookie must not disable the valid one, and from a
//! service token unless [`service_token`](crate::service_token) is strict.

/// A location where a request may carry a token.
///
/// | role | order |
/// | --- | --- |
/// | verifying ([`Access::verifier`](crate::Access::verifier)) | [`AssertionHeader`](Self::AssertionHeader), then [`Cookie`](Self::Cookie) |
/// | issuing (`Access::builder`) | service tokens ([how](crate::service_token)), then [`TokenHeader`](Self::TokenHeader), then [`Cookie`](Self::Cookie) |
///
/// `without_token_location` of the builders switches one off.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenLocation {
    /// The header `Cf-Access-Jwt-Assertion`, which an issuer adds. Read by an engine that verifies;
    /// an engine that issues ignores and removes it.
    AssertionHeader,
    /// The header `cf-access-token`, which programs send. Read by an engine that issues.
    TokenHeader,
    /// The cookie `CF_Authorization`.
    Cookie,
}

/// The locations that are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenLocations {
    /// The header that this role reads.
    role_header: TokenLocation,
    header: bool,
    cookie: bool,
    /// Switched off, although this role never reads it.
    misplaced: Option<TokenLocation>,
}

impl TokenLocations {
    /// Returns all locations of a role: its header and the cookie.
    pub(super) fn with_header(role_header: TokenLocation) -> Self {
        Self { role_header, header: true, cookie: true, misplaced: None }
    }

    pub(super) fn without(mut self, location: TokenLocation) -> Self {
        match location {
            TokenLocation::Cookie => self.cookie = false,
            header if header == self.role_header => self.header = false,
            other => self.misplaced = Some(other),
        }
        self
    }

    /// Rejects settings that make no sense for the role.
    pub(super) fn check(self) -> Result<(), String> {
        if let Some(location) = self.misplaced {
            return Err(format!(
                "`without_token_location`: this role never reads {location:?}; leave the call out"
            ));
        }
        if !self.header && !self.cookie {
            return Err("`without_token_location`: the header and the cookie are both switched off; leave one on".to_owned());
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
