//! Elements of XML, within bounds, and why they are refused.

use quick_xml::XmlVersion;
use quick_xml::events::BytesStart;
use quick_xml::name::ResolveResult;

/// Why a document is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Misshapen {
    #[error("it is not well-formed XML")]
    NotXml,
    #[error("it is too large")]
    TooLarge,
    #[error("it has a document type, a comment, a CDATA section or a processing instruction")]
    Forbidden,
    #[error("it has an entity that XML does not define")]
    Entity,
    #[error("it is not a SAML 2.0 response")]
    NotResponse,
    #[error("it has several assertions")]
    SeveralAssertions,
    #[error("it has a response, an assertion or a signature in an unexpected place")]
    Misplaced,
    #[error("two of its elements have the same id, or one has none")]
    Ids,
    #[error("one of its parts is repeated")]
    Repeated,
    #[error("it is encrypted: set the provider to send signed assertions that are not encrypted")]
    Encrypted,
    #[error("a signature has parts that are not expected, or lacks some")]
    Signature,
    #[error("a signature does not refer to the element that contains it")]
    Reference,
    #[error(
        "a signature uses an algorithm that is not accepted: set the provider to RSA with SHA-256"
    )]
    Algorithm,
}

/// The namespace of an element.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Namespace {
    Protocol,
    Assertion,
    Signature,
    ExclusiveCanonicalization,
    Other,
}

impl Namespace {
    pub(super) fn of(resolved: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(name) = resolved else { return Self::Other };
        match name.into_inner() {
            PROTOCOL => Self::Protocol,
            ASSERTION => Self::Assertion,
            SIGNATURE => Self::Signature,
            EXCLUSIVE_CANONICALIZATION => Self::ExclusiveCanonicalization,
            _ => Self::Other,
        }
    }
}

/// The attributes of an element: names as written, and values.
#[derive(Debug)]
pub(super) struct Attributes(Vec<(String, String)>);

impl Attributes {
    pub(super) fn read(element: &BytesStart<'_>) -> Result<Self, Misshapen> {
        let mut all = Vec::new();
        for attribute in element.attributes() {
            let attribute = attribute.map_err(|_| Misshapen::NotXml)?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| Misshapen::Entity)?;
            if all.len() >= MAX_ATTRIBUTES || value.len() > MAX_VALUE_BYTES {
                return Err(Misshapen::TooLarge);
            }
            if !value.chars().all(is_character) {
                return Err(Misshapen::Entity);
            }
            all.push((attribute.key.into_inner().to_owned(), value.into_owned()));
        }
        Ok(Self(all))
    }

    /// Returns the value of an attribute without a prefix.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Returns the id of an element: of whatever a reader may take for one, there is only one.
    pub(super) fn id(&self) -> Result<Option<&str>, Misshapen> {
        let is_id = |key: &str| {
            let local = key.rsplit(':').next().unwrap_or_default();
            local.eq_ignore_ascii_case("id") || local.eq_ignore_ascii_case("assertionid")
        };
        let mut ids = self.0.iter().filter(|(key, _)| is_id(key)).map(|(_, value)| &**value);
        match (ids.next(), ids.next()) {
            (id, None) => Ok(id),
            (_, Some(_)) => Err(Misshapen::Ids),
        }
    }
}

/// Returns whether XML 1.0 allows a character.
pub(super) fn is_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A user in 1,000 groups has an assertion of some 100 KiB.
pub(super) const MAX_BYTES: usize = 192 * 1024;
pub(super) const MAX_ELEMENTS: usize = 8_192;
pub(super) const MAX_DEPTH: usize = 24;
pub(super) const MAX_ATTRIBUTES: usize = 32;
pub(super) const MAX_VALUE_BYTES: usize = 4 * 1024;

const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE_CANONICALIZATION: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
