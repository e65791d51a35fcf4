use super::*;
use crate::login::method::saml::element::{MAX_ATTRIBUTES, MAX_VALUE_BYTES};

const NAMES: &str = "xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
                     xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
                     xmlns:s=\"http://www.w3.org/2000/09/xmldsig#\"";

fn response(inner: &str) -> String {
    format!("<p:Response {NAMES} ID=\"r\" InResponseTo=\"q\">{inner}</p:Response>")
}

fn assertion(inner: &str) -> String {
    format!("<a:Assertion ID=\"a\">{inner}</a:Assertion>")
}

fn signature(of: &str) -> String {
    format!(
        "<s:Signature><s:SignedInfo><s:CanonicalizationMethod \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/><s:SignatureMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/><s:Reference URI=\"#{of}\">\
         <s:Transforms><s:Transform \
         Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"/><s:Transform \
         Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></s:Transforms><s:DigestMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><s:DigestValue>x</s:DigestValue>\
         </s:Reference></s:SignedInfo><s:SignatureValue>x</s:SignatureValue><s:KeyInfo><s:X509Data>\
         <s:X509Certificate>x</s:X509Certificate></s:X509Data></s:KeyInfo></s:Signature>"
    )
}

fn refused(xml: &str) -> Misshapen {
    Document::read(xml).expect_err(xml)
}

#[test]
fn an_answer_is_read_with_its_attributes_and_contexts() {
    let inner = format!(
        "<a:Issuer> idp </a:Issuer>{}<p:Status><p:StatusCode Value=\"ok\"><p:StatusCode Value=\"no\"/>\
         </p:StatusCode></p:Status>{}",
        signature("r"),
        assertion(&format!(
            "<a:Issuer>other</a:Issuer>{}<a:AuthnStatement><a:AuthnContext><a:AuthnContextClassRef>\
             urn:x</a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement><a:AttributeStatement>\
             <a:Attribute Name=\"groups\"><a:AttributeValue>a&amp;b&#x21;</a:AttributeValue>\
             <a:AttributeValue/></a:Attribute></a:AttributeStatement><a:AttributeStatement><a:Attribute \
             Name=\"id\"><a:AttributeValue><a:NameID>x</a:NameID></a:AttributeValue></a:Attribute>\
             <a:Attribute Name=\"groups\"><a:AttributeValue>c</a:AttributeValue></a:Attribute>\
             </a:AttributeStatement>",
            signature("a")
        ))
    );
    let xml = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}\n", response(&inner));
    let document = Document::read(&xml).unwrap();
    assert_eq!(document.response_id, "r");
    assert_eq!(document.in_response_to.as_deref(), Some("q"));
    assert_eq!(document.response_issuer.as_deref(), Some(" idp "));
    assert_eq!(document.status.as_deref(), Some("ok"));
    let assertion = document.assertion.unwrap();
    assert_eq!(assertion.id, "a");
    assert_eq!(assertion.contexts, ["urn:x"]);
    let read: Vec<_> = assertion
        .attributes
        .iter()
        .map(|(name, values)| (&**name, values.texts.join("|"), values.has_others))
        .collect();
    assert_eq!(
        read,
        [
            ("groups", "a&b!|".to_owned(), false),
            ("id", String::new(), true),
            ("groups", "c".to_owned(), false)
        ]
    );
}

#[test]
fn nothing_is_read_from_elements_in_other_places_and_namespaces() {
    let value = "<a:Attribute Name=\"x\"><a:AttributeValue>y</a:AttributeValue></a:Attribute>";
    let context =
        "<a:AuthnContext><a:AuthnContextClassRef>z</a:AuthnContextClassRef></a:AuthnContext>";
    let inner = format!(
        "<p:Extensions><a:AttributeStatement>{value}</a:AttributeStatement></p:Extensions>{}",
        assertion(&format!(
            "{value}{context}<p:AttributeStatement>{value}</p:AttributeStatement><a:Advice>\
             <a:AttributeStatement>{value}</a:AttributeStatement><a:AuthnStatement>{context}\
             </a:AuthnStatement></a:Advice>"
        ))
    );
    let assertion = Document::read(&response(&inner)).unwrap().assertion.unwrap();
    assert!(assertion.attributes.is_empty() && assertion.contexts.is_empty(), "{assertion:?}");
}

#[test]
fn flow_05_elements_that_could_be_mistaken_for_each_other_are_refused() {
    let one = assertion("");
    let two = one.replace("\"a\"", "\"b\"");
    for (inner, error) in [
        (format!("{one}{two}"), Misshapen::SeveralAssertions),
        (format!("<p:Extensions>{two}</p:Extensions>{one}"), Misshapen::Misplaced),
        (assertion(&two), Misshapen::Misplaced),
        (assertion(&format!("<a:Advice>{two}</a:Advice>")), Misshapen::Misplaced),
        (format!("{one}<a:assertion/>"), Misshapen::Misplaced),
        (format!("{one}<x:Assertion xmlns:x=\"urn:x\"/>"), Misshapen::Misplaced),
        (response(&one), Misshapen::Ids),
        (response(&one).replace("\"r\"", "\"o\""), Misshapen::Misplaced),
        (format!("{one}<p:x ID=\"a\"/>"), Misshapen::Ids),
        (format!("{one}<p:x Id=\"r\"/>"), Misshapen::Ids),
        (format!("{one}<p:x xml:id=\"r\"/>"), Misshapen::Ids),
        (format!("{one}<p:x p:AssertionID=\"r\"/>"), Misshapen::Ids),
        (one.replace("ID=\"a\"", "ID=\"a\" Id=\"b\""), Misshapen::Ids),
        (one.replace("ID=\"a\"", "Id=\"a\""), Misshapen::Ids),
        (one.replace("ID=\"a\"", "ID=\"\""), Misshapen::Ids),
        (one.replace("ID=\"a\"", ""), Misshapen::Ids),
        (format!("<a:Issuer/><a:Issuer/>{one}"), Misshapen::Repeated),
        (assertion("<a:Subject/><a:Subject/>"), Misshapen::Repeated),
        (assertion("<a:Conditions/><a:Conditions/>"), Misshapen::Repeated),
        (assertion("<a:Subject><a:NameID/><a:NameID/></a:Subject>"), Misshapen::Repeated),
        (assertion("<x:Issuer xmlns:x=\"urn:x\"/>"), Misshapen::Repeated),
        ("<p:Status/><p:Status/>".to_owned(), Misshapen::Repeated),
        (
            "<p:Status><p:StatusCode Value=\"y\"/><p:StatusCode Value=\"x\"/></p:Status>"
                .to_owned(),
            Misshapen::Repeated,
        ),
        ("<a:EncryptedAssertion/>".to_owned(), Misshapen::Encrypted),
        (assertion("<a:Subject><a:EncryptedID/></a:Subject>"), Misshapen::Encrypted),
    ] {
        assert_eq!(refused(&response(&inner)), error, "{inner}");
    }
}

#[test]
fn flow_05_a_signature_is_where_it_belongs_and_refers_to_its_own_element() {
    let good = signature("a");
    let with = |from: &str, to: &str| {
        let changed = good.replacen(from, to, 1);
        assert_ne!(changed, good, "{from}");
        response(&assertion(&changed))
    };
    assert!(Document::read(&response(&assertion(&good))).is_ok());
    let twice = format!("{good}{good}");
    let subject = format!("<a:Subject>{good}</a:Subject>");
    for (xml, error) in [
        (response(&format!("{good}{}", assertion(""))), Misshapen::Reference),
        (response(&assertion(&signature("r"))), Misshapen::Reference),
        (response(&assertion(&twice)), Misshapen::Repeated),
        (response(&assertion(&subject)), Misshapen::Misplaced),
        (response(&format!("<p:Status>{good}</p:Status>")), Misshapen::Misplaced),
        (response(&assertion("<a:Signature/>")), Misshapen::Misplaced),
        (response(&assertion("<x:SIGNATURE xmlns:x=\"urn:x\"/>")), Misshapen::Misplaced),
        (response(&assertion("<s:Signature/>")), Misshapen::Signature),
        (with("URI=\"#a\"", "URI=\"\""), Misshapen::Reference),
        (with("URI=\"#a\"", ""), Misshapen::Reference),
        (with("URI=\"#a\"", "URI=\"a\""), Misshapen::Reference),
        (with("URI=\"#a\"", "URI=\"#xpointer(id('a'))\""), Misshapen::Reference),
        (with("URI=\"#a\"", "URI=\"file:///etc/passwd\""), Misshapen::Reference),
        (with("#rsa-sha256", "#rsa-sha1"), Misshapen::Algorithm),
        (with("xmldsig-more#rsa-sha256", "xmldsig-more#ecdsa-sha256"), Misshapen::Algorithm),
        (with("xmlenc#sha256", "xmlenc#sha1"), Misshapen::Algorithm),
        (with("xml-exc-c14n#", "xml-exc-c14n#WithComments"), Misshapen::Algorithm),
        (with("#enveloped-signature", "#base64"), Misshapen::Algorithm),
        (with(" Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"", ""), Misshapen::Signature),
        (with("</s:Signature>", "<s:Object/></s:Signature>"), Misshapen::Signature),
        (with("</s:SignedInfo>", "<s:Reference URI=\"#a\"/></s:SignedInfo>"), Misshapen::Signature),
        (with("</s:Signature>", "<s:SignedInfo/></s:Signature>"), Misshapen::Signature),
        (
            with("<s:KeyInfo>", "<s:KeyInfo><s:RetrievalMethod URI=\"http://x\"/>"),
            Misshapen::Signature,
        ),
        (with("<s:KeyInfo>", "<s:KeyInfo><a:Attribute/>"), Misshapen::Signature),
        (
            with(
                "</s:Transforms>",
                "<s:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></s:Transforms>",
            ),
            Misshapen::Signature,
        ),
        (with("<s:SignatureValue>x</s:SignatureValue>", ""), Misshapen::Signature),
        (with("<s:DigestValue>x</s:DigestValue>", ""), Misshapen::Signature),
    ] {
        assert_eq!(refused(&xml), error, "{xml}");
    }
}

#[test]
fn what_parsers_disagree_about_is_refused() {
    let good = response(&assertion("<a:Issuer>x</a:Issuer>"));
    assert!(Document::read(&good).is_ok());
    let inside = |to: &str| good.replacen("<a:Issuer>x", &format!("<a:Issuer>{to}"), 1);
    for (xml, error) in [
        (inside("<!-- -->"), Misshapen::Forbidden),
        (inside("<![CDATA[x]]>"), Misshapen::Forbidden),
        (inside("<?x y?>"), Misshapen::Forbidden),
        (inside("<?xml version=\"1.0\"?>"), Misshapen::Forbidden),
        (format!("<!DOCTYPE r>{good}"), Misshapen::Forbidden),
        (format!("<?xml version=\"1.0\"?><?xml version=\"1.0\"?>{good}"), Misshapen::Forbidden),
        (format!("{good}<!-- -->"), Misshapen::Forbidden),
        (format!("<?xml version=\"1.0\" encoding=\"utf-16\"?>{good}"), Misshapen::NotXml),
        (inside("&lol;"), Misshapen::Entity),
        (inside("&#0;"), Misshapen::Entity),
        (inside("&#xFFFF;"), Misshapen::Entity),
        (inside("&#xD800;"), Misshapen::Entity),
        (inside("\u{1}"), Misshapen::NotXml),
        (inside("\u{fffe}"), Misshapen::NotXml),
        (good.replacen("ID=\"r\"", "ID=\"r\" x=\"&lol;\"", 1), Misshapen::Entity),
        (good.replacen("ID=\"r\"", "ID=\"r\" x=\"&#2;\"", 1), Misshapen::Entity),
        (good.replacen("ID=\"r\"", "ID=\"r\" ID=\"r\"", 1), Misshapen::NotXml),
        (format!("\u{feff}x{good}"), Misshapen::NotXml),
        (format!("{good}<x/>"), Misshapen::NotResponse),
        (good[..good.len() - 1].to_owned(), Misshapen::NotXml),
        (good.replace("</a:Issuer>", "</a:Other>"), Misshapen::NotXml),
        (String::new(), Misshapen::NotXml),
        ("<a/>".to_owned(), Misshapen::NotResponse),
        (good.replace("SAML:2.0:protocol", "SAML:1.1:protocol"), Misshapen::NotResponse),
    ] {
        assert_eq!(refused(&xml), error, "{xml}");
    }
}

#[test]
fn dos_01_a_document_is_bounded_in_every_direction() {
    let many = |text: &str, count: usize| text.repeat(count);
    for (inner, count) in [
        (many("<p:x/>", MAX_ELEMENTS), "elements"),
        (many("<p:x>", MAX_DEPTH) + &many("</p:x>", MAX_DEPTH), "depth"),
        (
            format!(
                "<p:x {}/>",
                (0..=MAX_ATTRIBUTES).map(|it| format!("a{it}=\"\" ")).collect::<String>()
            ),
            "attributes",
        ),
        (format!("<p:x a=\"{}\"/>", many("x", MAX_VALUE_BYTES + 1)), "value"),
        (many("x", MAX_BYTES), "bytes"),
    ] {
        assert_eq!(refused(&response(&inner)), Misshapen::TooLarge, "{count}");
    }
    let inner = assertion(&many("<p:x/>", MAX_ELEMENTS - 2));
    assert!(Document::read(&response(&inner)).is_ok());
}
