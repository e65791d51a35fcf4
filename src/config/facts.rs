//! `facts`: where facts come from that a request does not prove itself.

use std::path::PathBuf;

use http::HeaderName;

use crate::facts::{CertificateHeaders, SubjectHeader};
use crate::headers;

use super::keys;
use super::reader::{Place, Reader};
use super::tree::Value;

/// Where facts come from that a request does not prove itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FactsConfig {
    /// `geoip_database`: a file in MaxMind's format, read when the engine is built. Asked after
    /// the header.
    pub geoip_database: Option<PathBuf>,
    /// `country_header`: the header in which trusted proxies tell the client's country.
    pub country_header: Option<HeaderName>,
    /// `certificate_headers`: the headers in which trusted proxies tell of the client's
    /// certificate: `cloudflare`, `nginx`, or `verified`, `common_name` or `distinguished_name`,
    /// and `revoked`.
    pub certificate_headers: Option<CertificateHeaders>,
}

/// Reads `access.facts`.
pub(super) fn read(reader: &mut Reader, root: &Place<'_>, access: &Place<'_>) -> FactsConfig {
    let mut facts = FactsConfig::default();
    let Some(place) = access.get("facts") else { return facts };
    if !reader.mapping(&place, &[keys::FACTS]) {
        return facts;
    }
    if let Some(path) = reader.optional::<PathBuf>(&place, "geoip_database") {
        if path.value.as_os_str().is_empty() {
            reader.error_at(path.at, &path.key, "`geoip_database` is empty; write the file's path");
        }
        facts.geoip_database = Some(path.value);
    }
    facts.country_header = header(reader, &place, "country_header");
    if let Some(headers) = place.get("certificate_headers") {
        facts.certificate_headers = certificate_headers(reader, &headers);
    }
    let trusts_nobody =
        root.get("trusted_proxies").is_none_or(|list| list.items().next().is_none());
    for key in ["country_header", "certificate_headers"] {
        if trusts_nobody && place.get(key).is_some() {
            reader.note_no_effect(
                &place,
                key,
                "these headers count from trusted proxies alone, and `trusted_proxies` names none",
            );
        }
    }
    facts
}

fn certificate_headers(reader: &mut Reader, place: &Place<'_>) -> Option<CertificateHeaders> {
    match &place.node.value {
        Value::Text(text) if text == "cloudflare" => Some(CertificateHeaders::cloudflare()),
        Value::Text(text) if text == "nginx" => Some(CertificateHeaders::nginx()),
        Value::Mapping(_) => {
            const KEYS: &[&str] = &["verified", "revoked", "common_name", "distinguished_name"];
            if !reader.mapping(place, &[KEYS]) {
                return None;
            }
            reader.required(
                place,
                &["verified"],
                ": write the header that says whether the proxy has verified the certificate",
            );
            let verified = header(reader, place, "verified");
            let revoked = header(reader, place, "revoked");
            let common_name = header(reader, place, "common_name");
            let distinguished_name = header(reader, place, "distinguished_name");
            let subject = match (place.get("common_name"), place.get("distinguished_name")) {
                (Some(_), None) => SubjectHeader::CommonName(common_name?),
                (None, Some(_)) => SubjectHeader::DistinguishedName(distinguished_name?),
                _ => {
                    reader.error(
                        place,
                        "write one of `common_name` and `distinguished_name`: the header in which \
                         the certificate's subject stands",
                    );
                    return None;
                }
            };
            let headers = CertificateHeaders::new(verified?, subject);
            Some(revoked.into_iter().fold(headers, CertificateHeaders::revoked))
        }
        _ => {
            reader.error(
                place,
                "no set of headers; write `cloudflare`, `nginx` or `{ verified: …, common_name: … }`",
            );
            None
        }
    }
}

fn header(reader: &mut Reader, parent: &Place<'_>, key: &str) -> Option<HeaderName> {
    let name = reader.parsed::<HeaderName>(parent, key)?;
    // Without it requests do not work, and it is taken from those whom nobody trusts.
    if headers::is_ours(name.value.as_str()) || NEEDED.contains(&name.value.as_str()) {
        let message =
            format_args!("`{}` has another meaning; name a header of its own", name.value);
        reader.error_at(name.at, &name.key, message);
        return None;
    }
    Some(name.value)
}

const NEEDED: [&str; 12] = [
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
