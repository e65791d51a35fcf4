//! Facts from headers of a trusted proxy.

use http::HeaderName;

use super::country_code::CountryCodes;
use super::distinguished_name::common_name;
use super::{FactSource, PeerCertificate, RequestView};
use crate::address::Country;

/// Facts from headers of a trusted proxy: the client's country and certificate.
///
/// Only headers you name are read, and only from peers in the engine's `trusted_proxies`. From
/// other peers they are ignored, and removed before an inner service sees them.
///
/// Every trusted proxy must set each of these headers itself, or remove it: a header that it
/// forwards from its clients can be forged.
///
/// The fact is unknown if its header is repeated or its value cannot be read, and for the country
/// `XX` or a code of no country (`EU`).
///
/// ```
/// use tower_access::facts::{CertificateHeaders, TrustedHeaders};
///
/// // Behind Cloudflare, with its managed transform for TLS client authentication:
/// let cloudflare = TrustedHeaders::new()
///     .country_from("cf-ipcountry".parse()?)
///     .certificate_from(CertificateHeaders::cloudflare());
///
/// // Behind nginx, with these lines (nothing else may set these headers):
/// //   proxy_set_header X-SSL-Client-Verify $ssl_client_verify;
/// //   proxy_set_header X-SSL-Client-S-DN $ssl_client_s_dn;
/// let nginx = TrustedHeaders::new().certificate_from(CertificateHeaders::nginx());
/// # Ok::<(), http::header::InvalidHeaderName>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustedHeaders {
    country: Option<HeaderName>,
    country_codes: CountryCodes,
    certificate: Option<CertificateHeaders>,
    /// All of them.
    names: Vec<HeaderName>,
}

/// The headers in which a proxy that terminates TLS describes the client's certificate.
///
/// One says whether the proxy has verified it: `SUCCESS` (as nginx and Apache write it) or `true`
/// (as Cloudflare does) is a good one; `NONE`, `FAILED` with anything behind it, `false` is none.
/// Every other value, and no value, is unknown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateHeaders {
    verified: HeaderName,
    revoked: Option<HeaderName>,
    subject: SubjectHeader,
}

/// The format of the header with the certificate's subject.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SubjectHeader {
    /// The common name alone.
    CommonName(HeaderName),
    /// The whole distinguished name as RFC 2253 writes it: `CN=laptop-7,O=Example`.
    DistinguishedName(HeaderName),
}

impl TrustedHeaders {
    /// Creates a source that reads no header yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the country from this header: `Cf-IpCountry`, `CloudFront-Viewer-Country`,
    /// `X-Vercel-IP-Country` and others contain two letters.
    #[must_use]
    pub fn country_from(mut self, header: HeaderName) -> Self {
        self.country = Some(header);
        self.named()
    }

    /// Reads the certificate from these headers.
    #[must_use]
    pub fn certificate_from(mut self, headers: CertificateHeaders) -> Self {
        self.certificate = Some(headers);
        self.named()
    }

    fn named(mut self) -> Self {
        let certificate = self.certificate.iter().flat_map(CertificateHeaders::names);
        self.names = self.country.iter().chain(certificate).cloned().collect();
        self
    }
}

impl CertificateHeaders {
    /// Creates it from the header with the verification result and the one with the subject.
    #[must_use]
    pub fn new(verified: HeaderName, subject: SubjectHeader) -> Self {
        Self { verified, revoked: None, subject }
    }

    /// Names a header that is `true` if the certificate is revoked. With any other value than `true`
    /// or `false`, or without it, the certificate is unknown.
    #[must_use]
    pub fn revoked(mut self, header: HeaderName) -> Self {
        self.revoked = Some(header);
        self
    }

    /// Returns the headers of Cloudflare's managed transform "Add TLS client auth headers":
    /// `Cf-Cert-Verified`, `Cf-Cert-Revoked`, `Cf-Cert-Subject-DN-RFC2253`.
    #[must_use]
    pub fn cloudflare() -> Self {
        let subject = HeaderName::from_static("cf-cert-subject-dn-rfc2253");
        Self::new(
            HeaderName::from_static("cf-cert-verified"),
            SubjectHeader::DistinguishedName(subject),
        )
        .revoked(HeaderName::from_static("cf-cert-revoked"))
    }

    /// Returns the usual headers of nginx: `X-SSL-Client-Verify` (`$ssl_client_verify`) and
    /// `X-SSL-Client-S-DN` (`$ssl_client_s_dn`).
    #[must_use]
    pub fn nginx() -> Self {
        let subject = HeaderName::from_static("x-ssl-client-s-dn");
        Self::new(
            HeaderName::from_static("x-ssl-client-verify"),
            SubjectHeader::DistinguishedName(subject),
        )
    }

    fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let (SubjectHeader::CommonName(subject) | SubjectHeader::DistinguishedName(subject)) =
            &self.subject;
        [&self.verified, subject].into_iter().chain(&self.revoked)
    }

    fn read(&self, request: &RequestView<'_>) -> PeerCertificate {
        let Some(verified) = request.trusted_header(&self.verified) else {
            return PeerCertificate::Unknown;
        };
        match verified {
            "SUCCESS" | "true" => {}
            "NONE" | "FAILED" | "false" => return PeerCertificate::Missing,
            failed if failed.starts_with("FAILED:") => return PeerCertificate::Missing,
            _ => return PeerCertificate::Unknown,
        }
        match self.revoked.as_ref().map(|header| request.trusted_header(header)) {
            None | Some(Some("false")) => {}
            Some(Some("true")) => return PeerCertificate::Missing,
            Some(_) => return PeerCertificate::Unknown,
        }
        let name = match &self.subject {
            SubjectHeader::CommonName(header) => {
                request.trusted_header(header).map(|name| Ok(Some(name.to_owned())))
            }
            SubjectHeader::DistinguishedName(header) => {
                request.trusted_header(header).map(common_name)
            }
        };
        match name {
            Some(Ok(name)) => PeerCertificate::verified(name.as_deref()),
            Some(Err(_)) | None => PeerCertificate::Unknown,
        }
    }
}

impl FactSource for TrustedHeaders {
    fn trusted_headers(&self) -> &[HeaderName] {
        &self.names
    }

    fn country(&self, request: &RequestView<'_>) -> Option<Country> {
        // Without an address the headers' client is unknown.
        request.address()?;
        let header = self.country.as_ref()?;
        self.country_codes.read(request.trusted_header(header)?, header)
    }

    fn certificate(&self, request: &RequestView<'_>) -> PeerCertificate {
        let headers = self.certificate.as_ref();
        headers.map(|headers| headers.read(request)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use http::{Extensions, HeaderMap, HeaderValue};

    use super::*;
    use crate::clock::Timestamp;
    use crate::facts::Sender;

    fn with<T>(
        is_trusted_proxy: bool,
        lines: &[(&'static str, &'static str)],
        ask: impl Fn(&RequestView<'_>) -> T,
    ) -> T {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        ask(&RequestView {
            sender: Sender { address: "192.0.2.7".parse().ok(), is_trusted_proxy },
            headers: &headers,
            extensions: &Extensions::new(),
            person: None,
            now: Timestamp::default(),
        })
    }

    #[test]
    fn ip_01_pol_15_a_country_is_one_line_of_a_trusted_proxy() {
        let source = TrustedHeaders::new().country_from(HeaderName::from_static("cf-ipcountry"));
        let country = |is_trusted, lines: &[(&'static str, &'static str)]| {
            with(is_trusted, lines, |request| source.country(request))
        };
        let france = "FR".parse().ok();
        assert_eq!(country(true, &[("cf-ipcountry", "FR")]), france);
        assert_eq!(country(true, &[("cf-ipcountry", "fr")]), france);
        for lines in [
            &[][..],
            &[("cf-ipcountry", "XX")],
            &[("cf-ipcountry", "")],
            &[("cf-ipcountry", "FRA")],
            &[("cf-ipcountry", "FR, DE")],
            &[("cf-ipcountry", "FR"), ("cf-ipcountry", "FR")],
            &[("cf_ipcountry", "FR")],
        ] {
            assert_eq!(country(true, lines), None, "{lines:?}");
        }
        assert_eq!(country(false, &[("cf-ipcountry", "FR")]), None);
    }

    #[test]
    fn ip_01_a_certificate_is_what_a_trusted_proxy_has_verified() {
        let nginx = TrustedHeaders::new().certificate_from(CertificateHeaders::nginx());
        let read = |is_trusted, lines: &[(&'static str, &'static str)]| {
            with(is_trusted, lines, |request| nginx.certificate(request))
        };
        let (verify, subject) = ("x-ssl-client-verify", "x-ssl-client-s-dn");
        let named = PeerCertificate::verified(Some("laptop-7"));
        let dn = "CN=laptop-7,O=Example";
        for (lines, expected) in [
            (&[(verify, "SUCCESS"), (subject, dn)][..], named),
            (&[(verify, "SUCCESS"), (subject, "O=Example")], PeerCertificate::verified(None)),
            (&[(verify, "NONE"), (subject, dn)], PeerCertificate::Missing),
            (&[(verify, "FAILED:expired"), (subject, dn)], PeerCertificate::Missing),
            (&[(verify, "SUCCESS")], PeerCertificate::Unknown),
            (&[(subject, dn)], PeerCertificate::Unknown),
            (&[(verify, ""), (subject, dn)], PeerCertificate::Unknown),
            // Without a certificate, HAProxy says the same as with a good one.
            (&[(verify, "0"), (subject, dn)], PeerCertificate::Unknown),
            (&[(verify, "SUCCESS"), (verify, "SUCCESS"), (subject, dn)], PeerCertificate::Unknown),
            (&[(verify, "SUCCESS"), (subject, dn), (subject, dn)], PeerCertificate::Unknown),
            (&[(verify, "SUCCESS"), (subject, "CN=a,CN=b")], PeerCertificate::Unknown),
        ] {
            assert_eq!(read(true, lines), expected, "{lines:?}");
            assert_eq!(read(false, lines), PeerCertificate::Unknown, "{lines:?}");
        }
    }

    #[test]
    fn a_revoked_certificate_is_none() {
        let source = TrustedHeaders::new().certificate_from(CertificateHeaders::cloudflare());
        let subject = ("cf-cert-subject-dn-rfc2253", "CN=laptop-7");
        for (revoked, expected) in [
            (Some("false"), PeerCertificate::verified(Some("laptop-7"))),
            (Some("true"), PeerCertificate::Missing),
            (Some(""), PeerCertificate::Unknown),
            (None, PeerCertificate::Unknown),
        ] {
            let mut lines = vec![("cf-cert-verified", "true"), subject];
            lines.extend(revoked.map(|value| ("cf-cert-revoked", value)));
            let found = with(true, &lines, |request| source.certificate(request));
            assert_eq!(found, expected, "{revoked:?}");
        }
    }
}
