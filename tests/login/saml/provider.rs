//! A SAML identity provider that says whatever a test wants.

use std::fmt::Write;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use saml_rs::binding::{base64_decode, deflate_raw_decode};
use saml_rs::crypto::construct_saml_signature;
use saml_rs::crypto::keys::load_private_key;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{NOW, query};

/// A signing key and its certificate.
pub(super) struct Key {
    pub(super) pem: String,
    /// In Base64.
    pub(super) certificate: String,
}

impl Key {
    fn generate(name: &str, size: KeySize) -> Self {
        let pair = KeyPair::generate(size).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let mut encoded = STANDARD.encode(der.as_ref());
        for line in (1..encoded.len().div_ceil(64)).rev() {
            encoded.insert(64 * line, '\n');
        }
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
        let signer = rcgen::KeyPair::from_pem(&pem).unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.self_signed(&signer).unwrap();
        Self { pem, certificate: STANDARD.encode(certificate.der()) }
    }

    /// The certificate in PEM.
    pub(super) fn certificate_pem(&self) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", self.certificate)
    }
}

pub(super) static CORP: LazyLock<Key> = LazyLock::new(|| Key::generate("corp", KeySize::Rsa2048));
pub(super) static PARTNER: LazyLock<Key> =
    LazyLock::new(|| Key::generate("partner", KeySize::Rsa2048));
/// A key that nobody trusts.
pub(super) static MALLORY: LazyLock<Key> =
    LazyLock::new(|| Key::generate("mallory", KeySize::Rsa2048));

pub(super) const CORP_ISSUER: &str = "https://idp.example.net/saml?a=1&b=2";
pub(super) const CORP_SSO: &str = "https://idp.example.net/sso?tenant=1&x=y";
pub(super) const PARTNER_ISSUER: &str = "urn:partner";
pub(super) const PARTNER_SSO: &str = "https://partner.example.net/sso";
pub(super) const MAIL: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";

/// What a browser brings to the provider.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) xml: String,
    pub(super) id: String,
    pub(super) acs: String,
    pub(super) relay_state: String,
}

impl Asked {
    pub(super) fn read(url: &str) -> Self {
        let request = query(url, "SAMLRequest").expect("a request");
        let xml = deflate_raw_decode(&base64_decode(&request).unwrap()).unwrap();
        let xml = String::from_utf8(xml).unwrap();
        let value = |name: &str| {
            let (_, rest) = xml.split_once(&format!(" {name}=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        Self {
            url: url.to_owned(),
            id: value("ID"),
            acs: value("AssertionConsumerServiceURL"),
            relay_state: query(url, "RelayState").expect("a relay state"),
            xml,
        }
    }
}

/// Which of the elements are signed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Signed {
    Nothing,
    Assertion,
    Response,
    Both,
}

/// An answer, honest unless a test changes it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) response_id: String,
    pub(super) assertion_id: String,
    pub(super) response_issuer: Option<String>,
    pub(super) issuer: String,
    pub(super) status: String,
    pub(super) destination: Option<String>,
    pub(super) in_response_to: Option<String>,
    pub(super) confirmed_in_response_to: Option<String>,
    pub(super) recipient: String,
    pub(super) audience: Option<String>,
    /// In seconds since 1970.
    pub(super) not_before: u64,
    pub(super) not_on_or_after: u64,
    pub(super) confirmed_until: u64,
    pub(super) name_id: String,
    pub(super) name_id_format: &'static str,
    pub(super) attributes: Vec<(String, Vec<String>)>,
    pub(super) context: &'static str,
    /// XML within the assertion and the response, behind all else.
    pub(super) more_in_assertion: String,
    pub(super) more_in_response: String,
    pub(super) signed: Signed,
}

impl Reply {
    /// The answer of the provider `corp` about a user.
    pub(super) fn to(asked: &Asked, email: &str) -> Self {
        let id = &asked.id;
        Self {
            response_id: format!("_r{}", &id[1..]),
            assertion_id: format!("_a{}", &id[1..]),
            response_issuer: Some(CORP_ISSUER.to_owned()),
            issuer: CORP_ISSUER.to_owned(),
            status: "urn:oasis:names:tc:SAML:2.0:status:Success".to_owned(),
            destination: Some(asked.acs.clone()),
            in_response_to: Some(id.clone()),
            confirmed_in_response_to: Some(id.clone()),
            recipient: asked.acs.clone(),
            audience: Some(asked.acs.clone()),
            not_before: NOW,
            not_on_or_after: NOW + 3600,
            confirmed_until: NOW + 3600,
            name_id: "8f14e45f".to_owned(),
            name_id_format: "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
            attributes: vec![(MAIL.to_owned(), vec![email.to_owned()])],
            context: "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport",
            more_in_assertion: String::new(),
            more_in_response: String::new(),
            signed: Signed::Assertion,
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The assertion, without a signature.
    pub(super) fn assertion(&self) -> String {
        let optional = |name: &str, value: &Option<String>| {
            value.as_ref().map_or_else(String::new, |it| format!(" {name}=\"{}\"", escape(it)))
        };
        let audience = self.audience.as_ref().map_or_else(String::new, |audience| {
            format!(
                "<saml:AudienceRestriction><saml:Audience>{}</saml:Audience></saml:AudienceRestriction>",
                escape(audience)
            )
        });
        let mut attributes = String::new();
        for (name, values) in &self.attributes {
            write!(attributes, "<saml:Attribute Name=\"{}\">", escape(name)).unwrap();
            for value in values {
                let value = escape(value);
                write!(attributes, "<saml:AttributeValue>{value}</saml:AttributeValue>").unwrap();
            }
            attributes.push_str("</saml:Attribute>");
        }
        format!(
            "<saml:Assertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" \
             Version=\"2.0\" IssueInstant=\"{now}\"><saml:Issuer>{issuer}</saml:Issuer><saml:Subject>\
             <saml:NameID Format=\"{format}\">{name_id}</saml:NameID><saml:SubjectConfirmation \
             Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData \
             NotOnOrAfter=\"{confirmed_until}\" Recipient=\"{recipient}\"{in_response_to}/>\
             </saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore=\"{not_before}\" \
             NotOnOrAfter=\"{not_on_or_after}\">{audience}</saml:Conditions><saml:AuthnStatement \
             AuthnInstant=\"{now}\" SessionIndex=\"_s1\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>{context}</saml:AuthnContextClassRef></saml:AuthnContext>\
             </saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement>{more}\
             </saml:Assertion>",
            id = escape(&self.assertion_id),
            now = at(NOW),
            issuer = escape(&self.issuer),
            format = self.name_id_format,
            name_id = self.name_id,
            confirmed_until = at(self.confirmed_until),
            recipient = escape(&self.recipient),
            in_response_to = optional("InResponseTo", &self.confirmed_in_response_to),
            not_before = at(self.not_before),
            not_on_or_after = at(self.not_on_or_after),
            context = self.context,
            more = self.more_in_assertion,
        )
    }

    /// The response around an assertion.
    pub(super) fn around(&self, assertion: &str) -> String {
        let optional = |name: &str, value: &Option<String>| {
            value.as_ref().map_or_else(String::new, |it| format!(" {name}=\"{}\"", escape(it)))
        };
        let issuer = self.response_issuer.as_ref().map_or_else(String::new, |issuer| {
            format!(
                "<saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">{}</saml:Issuer>",
                escape(issuer)
            )
        });
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"{id}\" \
             Version=\"2.0\" IssueInstant=\"{now}\"{destination}{in_response_to}>{issuer}<samlp:Status>\
             <samlp:StatusCode Value=\"{status}\"/></samlp:Status>{assertion}{more}</samlp:Response>",
            id = escape(&self.response_id),
            now = at(NOW),
            destination = optional("Destination", &self.destination),
            in_response_to = optional("InResponseTo", &self.in_response_to),
            status = escape(&self.status),
            more = self.more_in_response,
        )
    }

    /// The answer in XML, signed with a key.
    pub(super) fn xml(&self, key: &Key) -> String {
        let xml = self.around(&self.assertion());
        match self.signed {
            Signed::Nothing => xml,
            Signed::Assertion => sign(&xml, false, key),
            Signed::Response => sign(&xml, true, key),
            Signed::Both => sign(&sign(&xml, false, key), true, key),
        }
    }
}

/// The assertion in a response.
pub(super) fn assertion_of(xml: &str) -> &str {
    let start = xml.find("<saml:Assertion").unwrap();
    let end = xml.rfind("</saml:Assertion>").unwrap() + "</saml:Assertion>".len();
    &xml[start..end]
}

/// The first signature in a text.
pub(super) fn signature_of(xml: &str) -> &str {
    let start = xml.find("<ds:Signature ").unwrap();
    let end = xml.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
    &xml[start..end]
}

pub(super) fn sign(xml: &str, whole: bool, key: &Key) -> String {
    let private = load_private_key(&key.pem, None).unwrap();
    construct_saml_signature(xml, whole, &private, &key.certificate, RSA_SHA256, &[], None).unwrap()
}

/// As a browser posts it.
pub(super) fn encode(xml: &str) -> String {
    STANDARD.encode(xml)
}

fn at(seconds: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap();
    at.format(&Rfc3339).unwrap()
}
