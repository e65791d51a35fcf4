//! `facts`: sources of facts that a request does not prove itself.

use std::path::PathBuf;
use std::str::FromStr;

use http::HeaderName;

use crate::facts::{CertificateHeaders, SubjectHeader};
use crate::headers;

use super::error::NoteKind;
use super::reader::{NodeRef, Reader};
use super::schema::{FilePath, Read, Shape, Written, document, from_text};
use super::tree::Value;

/// Sources of facts that a request does not prove itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FactsConfig {
    /// `geoip_database`: a file in MaxMind's format, which is read when the engine is built. The header
    /// takes precedence.
    pub geoip_database: Option<PathBuf>,
    /// `country_header`: the header in which trusted proxies send the client's country.
    pub country_header: Option<HeaderName>,
    /// `certificate_headers`: the headers in which trusted proxies describe the client's
    /// certificate: `cloudflare`, `nginx`, or `verified`, `common_name` or `distinguished_name`,
    /// and `revoked`.
    pub certificate_headers: Option<CertificateHeaders>,
}

document! {
    /// Sources of facts that a request does not prove itself.
    pub(super) struct Facts in "access.facts" {
        /// A database of countries in the format of MaxMind, which is read when the program starts or
        /// reloads. The country header takes precedence.
        "geoip_database" geoip_database: FilePath {
            default: "none", example: "/var/lib/GeoIP/GeoLite2-Country.mmdb",
        }
        /// The header in which trusted proxies send the country of the client.
        "country_header" country_header: FactHeader { default: "none", example: "Cf-IpCountry", }
        /// The headers in which trusted proxies describe the certificate of the client: `cloudflare`,
        /// `nginx`, or their names.
        "certificate_headers" certificate_headers: CertificateHeaders {
            default: "none", example: "nginx",
        }
    }
}

document! {
    /// Headers about the certificate of the client: `verified`, and one of `common_name` and
    /// `distinguished_name`.
    pub(super) struct CertificateHeaderNames in "access.facts.certificate_headers" {
        /// The header that says whether the proxy has verified the certificate.
        "verified" verified: FactHeader {
            required: ": write the header that says whether the proxy has verified the certificate",
            example: "X-Client-Verify",
        }
        /// The header that says whether the certificate was revoked.
        "revoked" revoked: FactHeader { default: "none", example: "X-Client-Revoked", }
        /// The header with the common name of the certificate.
        "common_name" common_name: FactHeader { default: "none", example: "X-Client-CN", }
        /// The header with the distinguished name of the certificate.
        "distinguished_name" distinguished_name: FactHeader {
            default: "none", example: "X-Client-DN",
        }
    }
}

from_text! {
    FactHeader: Shape::Text { form: "header name", pattern: Some("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") };
}

impl Read for CertificateHeaders {
    type Output = Self;

    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Choice(&["cloudflare", "nginx"]), CertificateHeaderNames::shape()])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        match &place.node.value {
            Value::Text(text) if text == "cloudflare" => Some(Self::cloudflare()),
            Value::Text(text) if text == "nginx" => Some(Self::nginx()),
            Value::Mapping(_) => {
                let names = CertificateHeaderNames::read(reader, place)?;
                let subject =
                    match (names.common_name.is_written(), names.distinguished_name.is_written()) {
                        (true, false) => SubjectHeader::CommonName(names.common_name.value()?.0),
                        (false, true) => {
                            SubjectHeader::DistinguishedName(names.distinguished_name.value()?.0)
                        }
                        _ => {
                            reader.error(
                            place,
                            "write one of `common_name` and `distinguished_name`: the header with \
                                 the subject of the certificate",
                        );
                            return None;
                        }
                    };
                let headers = Self::new(names.verified.value()?.0, subject);
                Some(names.revoked.apply(headers, |headers, name| headers.revoked(name.0)))
            }
            _ => {
                reader.error(
                    place,
                    "invalid set of headers; write `cloudflare`, `nginx` or `{ verified: …, \
                     common_name: … }`",
                );
                None
            }
        }
    }
}

/// Builds the settings, and notes headers without effect because no proxy is trusted.
pub(super) fn build(reader: &mut Reader, root: &NodeRef<'_>, facts: Facts) -> FactsConfig {
    let trusts_nobody =
        root.get("trusted_proxies").is_none_or(|list| list.items().next().is_none());
    let country = facts.country_header.written().map(Written::key_position);
    let certificate = facts.certificate_headers.written().map(Written::key_position);
    for key in [country, certificate].into_iter().flatten().filter(|_| trusts_nobody) {
        reader.note(
            NoteKind::HasNoEffect,
            &key,
            "these headers count from trusted proxies only, and `trusted_proxies` is empty",
        );
    }
    FactsConfig {
        geoip_database: facts.geoip_database.value(),
        country_header: facts.country_header.value().map(|header| header.0),
        certificate_headers: facts.certificate_headers.value(),
    }
}

/// A header in which a trusted proxy sends a fact.
#[derive(Debug)]
pub(super) struct FactHeader(HeaderName);

impl FromStr for FactHeader {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name: HeaderName = text.parse().map_err(|error| format!("{error}"))?;
        // Requests do not work without it, and it is removed from untrusted requests.
        if headers::is_identity_header(name.as_str()) || RESERVED.contains(&name.as_str()) {
            return Err(format!("`{name}` has another meaning; name a dedicated header"));
        }
        Ok(Self(name))
    }
}

const RESERVED: [&str; 12] = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "origin",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
];
