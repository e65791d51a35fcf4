//! The issuers whose tokens are accepted.

use std::sync::Arc;

use crate::application::{CanonicalHost, CompiledApplication, PublicOrigins};

/// The issuers whose tokens are accepted.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) enum IssuerName<'a> {
    /// The team domain, for all hosts.
    Fixed(&'a Arc<str>),
    /// The host of the request.
    OfHost(&'a PublicOrigins, &'a CanonicalHost),
    /// Any host of an application.
    OfApplication(&'a PublicOrigins, &'a CompiledApplication),
}

impl IssuerName<'_> {
    /// Compares names byte for byte.
    pub(in crate::engine) fn is(self, name: &Arc<str>) -> bool {
        match self {
            Self::Fixed(issuer) => Arc::ptr_eq(issuer, name) || issuer == name,
            Self::OfHost(origins, host) => origins.is_issuer(name, host),
            Self::OfApplication(origins, application) => {
                let host = name.split_once("://").and_then(|(_, host)| host.parse().ok());
                host.is_some_and(|host: CanonicalHost| {
                    let mut destinations = application.application.destinations.iter();
                    origins.is_issuer(name, &host)
                        && destinations.any(|one| one.matches_host(host.as_str()))
                })
            }
        }
    }

    /// Returns the name in a token if it is accepted.
    pub(super) fn accept(self, name: String) -> Option<Arc<str>> {
        match self {
            Self::Fixed(issuer) if **issuer == *name => Some(Arc::clone(issuer)),
            _ => Some(name.into()).filter(|name| self.is(name)),
        }
    }
}
