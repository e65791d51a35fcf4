//! Where a request carries its credential.
//!
//! Which places count depends on the role, and so does their order; the first one that holds a
//! credential decides. There is no falling back from a bad credential to another place, except
//! among cookies of the same name, where a planted one must not keep the good one from counting,
//! and from a service token where [`service_token`](crate::service_token) is not strict.

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
