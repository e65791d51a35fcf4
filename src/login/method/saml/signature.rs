//! What a signature may look like.

use super::element::{Attributes, Misshapen, Namespace};

/// The parts of a signature that were read.
#[derive(Debug)]
pub(super) struct SignatureShape {
    /// The id of the element that contains the signature.
    owner: String,
    seen: Vec<&'static str>,
    transforms: usize,
}

impl SignatureShape {
    pub(super) fn new(owner: String) -> Self {
        Self { owner, seen: Vec::new(), transforms: 0 }
    }

    /// Checks an element in the signature.
    pub(super) fn element(
        &mut self,
        parent: &str,
        (namespace, name): (Namespace, &str),
        attributes: &Attributes,
    ) -> Result<(), Misshapen> {
        if (namespace, name) == (Namespace::ExclusiveCanonicalization, "InclusiveNamespaces") {
            let is_expected = matches!(parent, "Transform" | "CanonicalizationMethod");
            return if is_expected { Ok(()) } else { Err(Misshapen::Signature) };
        }
        let expected = PARTS.iter().find(|part| part.parent == parent && part.name == name);
        let part = expected.filter(|_| namespace == Namespace::Signature);
        let part = part.ok_or(Misshapen::Signature)?;
        if part.is_single {
            if self.seen.contains(&part.name) {
                return Err(Misshapen::Signature);
            }
            self.seen.push(part.name);
        }
        let accepted: &[&str] = match name {
            "CanonicalizationMethod" => &[EXCLUSIVE],
            "SignatureMethod" => SIGNATURES,
            "DigestMethod" => DIGESTS,
            "Transform" => {
                self.transforms += 1;
                if self.transforms > MAX_TRANSFORMS {
                    return Err(Misshapen::Signature);
                }
                &[ENVELOPED, EXCLUSIVE]
            }
            "Reference" => {
                let target = attributes.get("URI").and_then(|uri| uri.strip_prefix('#'));
                let is_own = target == Some(&*self.owner);
                return if is_own { Ok(()) } else { Err(Misshapen::Reference) };
            }
            _ => return Ok(()),
        };
        let algorithm = attributes.get("Algorithm").ok_or(Misshapen::Signature)?;
        if accepted.contains(&algorithm) { Ok(()) } else { Err(Misshapen::Algorithm) }
    }

    /// Checks that the signature is complete.
    pub(super) fn finish(self) -> Result<(), Misshapen> {
        let is_there = |part: &Part| !part.is_required || self.seen.contains(&part.name);
        if PARTS.iter().all(is_there) { Ok(()) } else { Err(Misshapen::Signature) }
    }
}

/// An element that may occur in a signature.
struct Part {
    parent: &'static str,
    name: &'static str,
    /// Whether it occurs once at most.
    is_single: bool,
    is_required: bool,
}

const fn required(parent: &'static str, name: &'static str) -> Part {
    Part { parent, name, is_single: true, is_required: true }
}

const fn single(parent: &'static str, name: &'static str) -> Part {
    Part { parent, name, is_single: true, is_required: false }
}

/// A hint about the key. It is not used: the key is the configured one.
const fn hint(parent: &'static str, name: &'static str) -> Part {
    Part { parent, name, is_single: false, is_required: false }
}

const PARTS: &[Part] = &[
    required("Signature", "SignedInfo"),
    required("Signature", "SignatureValue"),
    single("Signature", "KeyInfo"),
    required("SignedInfo", "CanonicalizationMethod"),
    required("SignedInfo", "SignatureMethod"),
    required("SignedInfo", "Reference"),
    required("Reference", "Transforms"),
    required("Reference", "DigestMethod"),
    required("Reference", "DigestValue"),
    hint("Transforms", "Transform"),
    hint("KeyInfo", "KeyName"),
    hint("KeyInfo", "KeyValue"),
    hint("KeyValue", "RSAKeyValue"),
    hint("RSAKeyValue", "Modulus"),
    hint("RSAKeyValue", "Exponent"),
    hint("KeyInfo", "X509Data"),
    hint("X509Data", "X509Certificate"),
    hint("X509Data", "X509SubjectName"),
    hint("X509Data", "X509SKI"),
    hint("X509Data", "X509IssuerSerial"),
    hint("X509IssuerSerial", "X509IssuerName"),
    hint("X509IssuerSerial", "X509SerialNumber"),
];
const MAX_TRANSFORMS: usize = 2;

const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const SIGNATURES: &[&str] = &[
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
];
const DIGESTS: &[&str] = &[
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];
