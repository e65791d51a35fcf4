//! The certificate of a TLS peer.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::policy::Certificate;

/// The certificate of the TLS peer, as a request extension.
///
/// The code that terminates TLS inserts it, next to
/// [`PeerAddress`](crate::address::PeerAddress). It is about the peer: if the peer is a trusted proxy, it does not identify the client and is ignored.
///
/// ```
/// use http::Request;
/// use tower_access::facts::PeerCertificate;
///
/// # fn verified_peer() -> Option<&'static str> { Some("laptop-7.example.com") }
/// let certificate = match verified_peer() {
///     Some(common_name) => PeerCertificate::verified(Some(common_name)),
///     None => PeerCertificate::Missing,
/// };
/// let request = Request::builder().extension(certificate).body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum PeerCertificate {
    /// Unknown: TLS ended elsewhere, or no certificate was requested.
    #[default]
    Unknown,
    /// The peer sent no certificate, or an invalid one.
    Missing,
    /// The peer sent a valid certificate.
    Verified(VerifiedCertificate),
}

/// A certificate whose chain and signature the TLS layer has verified. Cheap to clone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedCertificate(Arc<Verified>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Verified {
    common_name: Option<Box<str>>,
    /// The first and last second in which it is valid.
    validity: Option<(Timestamp, Timestamp)>,
}

impl PeerCertificate {
    /// Creates a valid certificate from the common name of its subject, if it has one.
    ///
    /// The TLS layer has verified it: the chain up to an authority that counts for this host, and
    /// that the peer has the key.
    #[must_use]
    pub fn verified(common_name: Option<&str>) -> Self {
        let common_name = common_name.filter(|name| !name.is_empty()).map(Into::into);
        Self::Verified(VerifiedCertificate(Arc::new(Verified { common_name, validity: None })))
    }

    /// Limits the certificate's validity to a period, both ends included:
    /// a connection may live longer than the certificate it began with.
    #[must_use]
    pub fn valid_between(self, not_before: Timestamp, not_after: Timestamp) -> Self {
        match self {
            Self::Verified(VerifiedCertificate(known)) => {
                let validity = Some((not_before, not_after));
                let known = Verified { validity, ..Arc::unwrap_or_clone(known) };
                Self::Verified(VerifiedCertificate(Arc::new(known)))
            }
            Self::Unknown | Self::Missing => self,
        }
    }

    /// Returns its state at a time: outside its validity it counts as missing.
    pub(super) fn at(self, now: Timestamp) -> Self {
        match &self {
            Self::Verified(VerifiedCertificate(known))
                if known.validity.is_some_and(|(from, to)| now < from || to < now) =>
            {
                Self::Missing
            }
            Self::Unknown | Self::Missing | Self::Verified(_) => self,
        }
    }

    pub(super) fn as_fact(&self) -> Certificate<'_> {
        match self {
            Self::Unknown => Certificate::Unknown,
            Self::Missing => Certificate::Missing,
            Self::Verified(verified) => Certificate::Good { common_name: verified.common_name() },
        }
    }
}

impl VerifiedCertificate {
    /// Returns the common name of its subject, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.0.common_name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_good_in_its_time_alone() {
        let at = Timestamp::from_unix_seconds;
        let certificate = PeerCertificate::verified(Some("a")).valid_between(at(10), at(20));
        for (now, is_good) in [(9, false), (10, true), (20, true), (21, false)] {
            let expected = if is_good { certificate.clone() } else { PeerCertificate::Missing };
            assert_eq!(certificate.clone().at(at(now)), expected, "{now}");
        }
        let forever = PeerCertificate::verified(None);
        assert_eq!(forever.clone().at(at(u64::MAX)), forever);
    }

    #[test]
    fn a_name_of_no_characters_is_no_name() {
        let certificate = PeerCertificate::verified(Some(""));
        assert_eq!(certificate.as_fact(), Certificate::Good { common_name: None });
    }
}
