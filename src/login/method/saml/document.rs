//! What the XML of an answer may look like, checked before the library reads it.
//!
//! A signature covers one element, and software has often used another one: the signed assertion is
//! moved to a place where only the verifier looks, and a forged one takes its place. Here no document
//! has two elements that could be mistaken for each other: there is one `Response`, at most one
//! `Assertion`, and a `Signature` only as a child of the element that it refers to. Documents of another
//! shape are refused, whatever their signatures say.
//!
//! Comments, CDATA sections, processing instructions and document types are refused as well: parsers
//! disagree about them, and they may be inserted without breaking a signature.
//!
//! Reads what the library does not: the attributes, whole, and the authentication contexts. All of it
//! is inside of the assertion, and outside of its signature. So it is signed if the assertion is.

use std::collections::HashSet;

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::reader::NsReader;

use super::element::{
    Attributes, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, Misshapen, Namespace, is_character,
};
use super::signature::SignatureShape;

/// An answer of the expected shape. Nothing of it is verified.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) response_id: String,
    pub(super) in_response_to: Option<String>,
    /// The first level of the status.
    pub(super) status: Option<String>,
    pub(super) response_issuer: Option<String>,
    /// `None` if there is no assertion.
    pub(super) assertion: Option<Assertion>,
}

/// The assertion of an answer.
#[derive(Debug, Default)]
pub(super) struct Assertion {
    pub(super) id: String,
    /// The attributes in their order. One of them may occur repeatedly.
    pub(super) attributes: Vec<(String, Values)>,
    /// The classes of the authentication contexts.
    pub(super) contexts: Vec<String>,
}

/// The values of an attribute.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) texts: Vec<String>,
    /// Whether there are values that are not texts.
    pub(super) has_others: bool,
}

/// An element whose end was not read yet.
#[derive(Debug)]
struct Open {
    namespace: Namespace,
    name: String,
    id: Option<String>,
    text: String,
    has_children: bool,
    /// The children that must not be repeated.
    single: Vec<&'static str>,
}

impl Document {
    /// Reads the XML of an answer.
    pub(super) fn read(xml: &str) -> Result<Self, Misshapen> {
        if xml.len() > MAX_BYTES {
            return Err(Misshapen::TooLarge);
        }
        if !xml.chars().all(is_character) {
            return Err(Misshapen::NotXml);
        }
        let mut reader = NsReader::from_str(xml);
        let mut walk = Walk::default();
        let mut is_first = true;
        loop {
            let (namespace, event) = reader.read_resolved_event().map_err(|_| Misshapen::NotXml)?;
            let namespace = Namespace::of(&namespace);
            match event {
                Event::Start(element) => walk.open(namespace, &element)?,
                Event::Empty(element) => {
                    walk.open(namespace, &element)?;
                    walk.close()?;
                }
                Event::End(_) => walk.close()?,
                Event::Text(text) => walk.text(text.as_ref())?,
                Event::GeneralRef(reference) => walk.reference(&reference)?,
                Event::Decl(declaration) if is_first => declared(&declaration)?,
                Event::Decl(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::PI(_)
                | Event::DocType(_) => return Err(Misshapen::Forbidden),
                Event::Eof => return walk.finish(),
            }
            is_first = false;
        }
    }
}

/// Checks an XML declaration: the text was decoded as UTF-8.
fn declared(declaration: &BytesDecl<'_>) -> Result<(), Misshapen> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name)) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(Misshapen::NotXml),
    }
}

#[derive(Debug, Default)]
struct Walk {
    document: Document,
    stack: Vec<Open>,
    elements: usize,
    ids: HashSet<String>,
    /// The signature that is being read, and how many elements are around it.
    signature: Option<(SignatureShape, usize)>,
    has_ended: bool,
}

impl Walk {
    fn open(&mut self, namespace: Namespace, element: &BytesStart<'_>) -> Result<(), Misshapen> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS || self.stack.len() >= MAX_DEPTH {
            return Err(Misshapen::TooLarge);
        }
        let name = element.local_name().into_inner().to_owned();
        let attributes = Attributes::read(element)?;
        if let Some(id) = attributes.id()?
            && !self.ids.insert(id.to_owned())
        {
            return Err(Misshapen::Ids);
        }
        self.check_place(namespace, &name)?;
        self.check_single(namespace, &name)?;
        if let Some((shape, _)) = &mut self.signature {
            let parent = self.stack.last().map(|parent| &*parent.name).unwrap_or_default();
            shape.element(parent, (namespace, &name), &attributes)?;
        } else if namespace == Namespace::Signature && name == "Signature" {
            let owner = self.stack.last().and_then(|owner| owner.id.clone());
            let shape = SignatureShape::new(owner.ok_or(Misshapen::Ids)?);
            self.signature = Some((shape, self.stack.len()));
        }
        self.note(namespace, &name, &attributes)?;
        if let Some(parent) = self.stack.last_mut() {
            parent.has_children = true;
        }
        self.stack.push(Open {
            namespace,
            name,
            id: attributes.get("ID").map(ToOwned::to_owned),
            text: String::new(),
            has_children: false,
            single: Vec::new(),
        });
        Ok(())
    }

    /// Checks elements that software looks for, in any spelling and namespace.
    fn check_place(&self, namespace: Namespace, name: &str) -> Result<(), Misshapen> {
        let here = (self.stack.len(), namespace, name);
        if self.stack.is_empty() {
            let is_response = !self.has_ended && here == (0, Namespace::Protocol, "Response");
            return if is_response { Ok(()) } else { Err(Misshapen::NotResponse) };
        }
        match &*name.to_ascii_lowercase() {
            "response" => Err(Misshapen::Misplaced),
            "assertion" if here != (1, Namespace::Assertion, "Assertion") => {
                Err(Misshapen::Misplaced)
            }
            "assertion" if self.document.assertion.is_some() => Err(Misshapen::SeveralAssertions),
            "signature" => {
                let is_expected = namespace == Namespace::Signature
                    && name == "Signature"
                    && (self.is_at(&RESPONSE) || self.is_at(&RESPONSE_ASSERTION));
                if is_expected { Ok(()) } else { Err(Misshapen::Misplaced) }
            }
            "encryptedassertion" | "encryptedid" | "encryptedattribute" | "encrypteddata"
            | "encryptedkey" => Err(Misshapen::Encrypted),
            _ => Ok(()),
        }
    }

    /// Checks that what is read as one is one.
    fn check_single(&mut self, namespace: Namespace, name: &str) -> Result<(), Misshapen> {
        let singles: &[&'static str] = if self.is_at(&RESPONSE) {
            &["Signature", "Issuer", "Status"]
        } else if self.is_at(&RESPONSE_ASSERTION) {
            &["Signature", "Issuer", "Subject", "Conditions"]
        } else if self.is_at(&SUBJECT) {
            &["NameID"]
        } else {
            &[]
        };
        let Some(single) = singles.iter().find(|single| **single == name) else { return Ok(()) };
        let Some(parent) = self.stack.last_mut() else { return Ok(()) };
        if namespace == Namespace::Other || parent.single.contains(single) {
            return Err(Misshapen::Repeated);
        }
        parent.single.push(single);
        Ok(())
    }

    /// Notes what is read from the start of an element.
    fn note(
        &mut self,
        namespace: Namespace,
        name: &str,
        attributes: &Attributes,
    ) -> Result<(), Misshapen> {
        let text = |name| attributes.get(name).map(ToOwned::to_owned);
        let id = || text("ID").filter(|id| !id.is_empty()).ok_or(Misshapen::Ids);
        if self.stack.is_empty() {
            self.document.response_id = id()?;
            self.document.in_response_to = text("InResponseTo");
        } else if self.is_at(&RESPONSE) && (namespace, name) == (Namespace::Assertion, "Assertion")
        {
            self.document.assertion = Some(Assertion { id: id()?, ..Assertion::default() });
        } else if self.is_at(&STATUS) && (namespace, name) == (Namespace::Protocol, "StatusCode") {
            if self.document.status.is_some() {
                return Err(Misshapen::Repeated);
            }
            self.document.status = text("Value");
        } else if self.is_at(&STATEMENT) && (namespace, name) == (Namespace::Assertion, "Attribute")
        {
            let name = text("Name").unwrap_or_default();
            if let Some(assertion) = &mut self.document.assertion {
                assertion.attributes.push((name, Values::default()));
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Misshapen> {
        let Some(closed) = self.stack.pop() else { return Err(Misshapen::NotXml) };
        if self.signature.as_ref().is_some_and(|(_, depth)| *depth == self.stack.len())
            && let Some((shape, _)) = self.signature.take()
        {
            shape.finish()?;
        }
        if closed.namespace == Namespace::Assertion {
            self.note_text(closed);
        }
        self.has_ended |= self.stack.is_empty();
        Ok(())
    }

    /// Notes what is read from the text of an element.
    fn note_text(&mut self, closed: Open) {
        if self.is_at(&RESPONSE) && closed.name == "Issuer" {
            self.document.response_issuer = Some(closed.text);
            return;
        }
        let (in_attribute, in_context) = (self.is_at(&ATTRIBUTE), self.is_at(&CONTEXT));
        let Some(assertion) = &mut self.document.assertion else { return };
        if in_context && closed.name == "AuthnContextClassRef" {
            assertion.contexts.push(closed.text.trim().to_owned());
        } else if in_attribute
            && closed.name == "AttributeValue"
            && let Some((_, values)) = assertion.attributes.last_mut()
        {
            if closed.has_children {
                values.has_others = true;
            } else {
                values.texts.push(closed.text);
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Misshapen> {
        match self.stack.last_mut() {
            Some(element) => {
                element.text.push_str(text);
                Ok(())
            }
            None if text.bytes().all(|byte| byte.is_ascii_whitespace()) => Ok(()),
            None => Err(Misshapen::NotXml),
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Misshapen> {
        let element = self.stack.last_mut().ok_or(Misshapen::NotXml)?;
        match reference.resolve_char_ref() {
            Ok(Some(character)) if is_character(character) => element.text.push(character),
            Ok(Some(_)) | Err(_) => return Err(Misshapen::Entity),
            Ok(None) => {
                let text = resolve_predefined_entity(reference.as_ref());
                element.text.push_str(text.ok_or(Misshapen::Entity)?);
            }
        }
        Ok(())
    }

    /// Returns whether the open elements are these.
    fn is_at(&self, path: &[(Namespace, &str)]) -> bool {
        self.stack.len() == path.len()
            && self
                .stack
                .iter()
                .zip(path)
                .all(|(open, (namespace, name))| open.namespace == *namespace && open.name == *name)
    }

    fn finish(self) -> Result<Document, Misshapen> {
        if !self.stack.is_empty() || !self.has_ended {
            return Err(Misshapen::NotXml);
        }
        Ok(self.document)
    }
}

const RESPONSE: [(Namespace, &str); 1] = [(Namespace::Protocol, "Response")];
const STATUS: [(Namespace, &str); 2] = [RESPONSE[0], (Namespace::Protocol, "Status")];
const RESPONSE_ASSERTION: [(Namespace, &str); 2] =
    [RESPONSE[0], (Namespace::Assertion, "Assertion")];
const SUBJECT: [(Namespace, &str); 3] =
    [RESPONSE[0], RESPONSE_ASSERTION[1], (Namespace::Assertion, "Subject")];
const STATEMENT: [(Namespace, &str); 3] =
    [RESPONSE[0], RESPONSE_ASSERTION[1], (Namespace::Assertion, "AttributeStatement")];
const ATTRIBUTE: [(Namespace, &str); 4] =
    [RESPONSE[0], RESPONSE_ASSERTION[1], STATEMENT[2], (Namespace::Assertion, "Attribute")];
const CONTEXT: [(Namespace, &str); 4] = [
    RESPONSE[0],
    RESPONSE_ASSERTION[1],
    (Namespace::Assertion, "AuthnStatement"),
    (Namespace::Assertion, "AuthnContext"),
];

#[cfg(test)]
mod tests;
