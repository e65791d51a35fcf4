//! Signature wrapping: a signed assertion is somewhere in the answer, and a forged one beside it.

use http::StatusCode;

use super::provider::{assertion_of, sign, signature_of};
use super::*;
use crate::support::log::Log;

const USER: &str = "mallory@example.com";
const VICTIM: &str = "ada@example.com";

/// A response of the provider about the attacker, and a forged assertion about the victim.
struct Parts {
    reply: Reply,
    /// The whole response, whose assertion is signed.
    honest: String,
    /// The signed assertion of it.
    signed: String,
    /// The same without its signature.
    bare: String,
    signature: String,
    /// An unsigned assertion about the victim.
    forged: String,
}

impl Parts {
    fn new(asked: &Asked) -> Self {
        let reply = Reply::to(asked, USER);
        let honest = reply.xml(&CORP);
        let signed = assertion_of(&honest).to_owned();
        let signature = signature_of(&signed).to_owned();
        let bare = signed.replace(&signature, "");
        let forged = Reply::to(asked, VICTIM).with(|it| it.assertion_id = "_forged".to_owned());
        Self { reply, bare, signature, honest, signed, forged: forged.assertion() }
    }

    /// The forged assertion with something right behind its issuer.
    fn forged_with(&self, inner: &str) -> String {
        self.forged.replacen("</saml:Issuer>", &format!("</saml:Issuer>{inner}"), 1)
    }

    fn forged_with_end(&self, inner: &str) -> String {
        self.forged.replace("</saml:Assertion>", &format!("{inner}</saml:Assertion>"))
    }

    fn forged_with_id_of_the_signed(&self) -> String {
        self.forged.replacen("_forged", &self.reply.assertion_id, 1)
    }

    /// The signature with an object that has something in it.
    fn signature_around(&self, inner: &str) -> String {
        let object = format!("<ds:Object>{inner}</ds:Object></ds:Signature>");
        self.signature.replace("</ds:Signature>", &object)
    }
}

type Wrap = fn(&Parts) -> String;

const WRAPPED: &[(&str, Wrap)] = &[
    ("the forged one first", |it| it.reply.around(&format!("{}{}", it.forged, it.signed))),
    ("the forged one second", |it| it.reply.around(&format!("{}{}", it.signed, it.forged))),
    ("the signed one in the forged one", |it| it.reply.around(&it.forged_with_end(&it.signed))),
    ("the signature in the forged one, the other behind", |it| {
        it.reply.around(&format!("{}{}", it.forged_with(&it.signature), it.bare))
    }),
    ("the signature in the forged one, the other in front", |it| {
        it.reply.around(&format!("{}{}", it.bare, it.forged_with(&it.signature)))
    }),
    ("the signed one in the signature of the forged one", |it| {
        it.reply.around(&it.forged_with(&it.signature_around(&it.bare)))
    }),
    ("the same with one id", |it| {
        let forged = it.forged_with_id_of_the_signed();
        let inner = format!("</saml:Issuer>{}", it.signature_around(&it.bare));
        it.reply.around(&forged.replacen("</saml:Issuer>", &inner, 1))
    }),
    ("the signature moved to the forged one", |it| it.reply.around(&it.forged_with(&it.signature))),
    ("the same with the id of the signed one", |it| {
        let inner = format!("</saml:Issuer>{}", it.signature);
        it.reply.around(&it.forged_with_id_of_the_signed().replacen("</saml:Issuer>", &inner, 1))
    }),
    ("two with one id", |it| {
        it.reply.around(&format!("{}{}", it.forged_with_id_of_the_signed(), it.signed))
    }),
    ("the signed one in extensions", |it| {
        let extensions = format!("<samlp:Extensions>{}</samlp:Extensions>", it.signed);
        let xml = it.reply.around(&it.forged);
        xml.replacen("<samlp:Status>", &format!("{extensions}<samlp:Status>"), 1)
    }),
    ("the forged one in extensions", |it| {
        let extensions = format!("<samlp:Extensions>{}</samlp:Extensions>", it.forged);
        it.honest.replacen("<samlp:Status>", &format!("{extensions}<samlp:Status>"), 1)
    }),
    ("the signed one as advice", |it| {
        it.reply.around(&it.forged_with_end(&format!("<saml:Advice>{}</saml:Advice>", it.signed)))
    }),
    ("the signed one in the confirmation of the forged one", |it| {
        let (before, after) = it.forged.split_once("<saml:SubjectConfirmationData ").unwrap();
        let (attributes, after) = after.split_once("/>").unwrap();
        it.reply.around(&format!(
            "{before}<saml:SubjectConfirmationData {attributes}>{}</saml:SubjectConfirmationData>{after}",
            it.signed
        ))
    }),
    ("the honest response in a forged one", |it| {
        it.reply.around(&format!("{}{}", it.forged, it.honest)).replacen(
            &it.reply.response_id,
            "_outer",
            1,
        )
    }),
    ("the honest response in the signature of a forged one", |it| {
        let object = it.signature_around(&it.honest);
        let xml = it.reply.around(&it.forged).replacen(&it.reply.response_id, "_outer", 1);
        xml.replacen("<samlp:Status>", &format!("{object}<samlp:Status>"), 1)
    }),
    ("the forged one in lower case", |it| {
        let forged = it.forged.replace("saml:Assertion", "saml:assertion");
        it.reply.around(&format!("{forged}{}", it.signed))
    }),
    ("the forged one in another namespace", |it| {
        let forged = it.forged.replace("SAML:2.0:assertion", "SAML:1.0:assertion");
        it.reply.around(&format!("{forged}{}", it.signed))
    }),
    ("the signed one in another namespace", |it| {
        let signed = it.signed.replace("SAML:2.0:assertion", "SAML:1.0:assertion");
        it.reply.around(&format!("{}{signed}", it.forged))
    }),
    ("two documents", |it| format!("{}{}", it.honest, it.reply.around(&it.forged))),
    ("a second subject", |it| {
        let (_, subject) = it.forged.split_once("<saml:Subject>").unwrap();
        let (subject, _) = subject.split_once("</saml:Subject>").unwrap();
        it.honest.replacen(
            "<saml:Subject>",
            &format!("<saml:Subject>{subject}</saml:Subject><saml:Subject>"),
            1,
        )
    }),
    ("an attribute within the signature", |it| {
        let statement = "<saml:AttributeStatement/>";
        it.honest.replace("</ds:Signature>", &format!("{statement}</ds:Signature>"))
    }),
    ("another id beside the id", |it| it.honest.replacen(" Version=", " Id=\"_x\" Version=", 1)),
    ("an encrypted assertion", |it| {
        it.reply.around(
            "<saml:EncryptedAssertion xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\"/>",
        )
    }),
    ("a document type", |it| format!("<!DOCTYPE samlp:Response>{}", it.honest)),
    ("an entity", |it| {
        let doctype = "<!DOCTYPE r [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>";
        format!("{doctype}{}", it.honest.replace(USER, "&e;@example.com"))
    }),
    ("an unknown entity", |it| it.honest.replace(USER, "&e;@example.com")),
    ("a comment in the address", |it| it.honest.replace(USER, "mallory@example.com<!---->.evil")),
    ("a comment in the name", |it| it.honest.replace("8f14e45f", "8f14<!-- -->e45f")),
    ("a comment in front", |it| format!("<!-- x -->{}", it.honest)),
    ("a comment between elements", |it| {
        it.honest.replace("<saml:Subject>", "<!-- x --><saml:Subject>")
    }),
    ("a processing instruction", |it| it.honest.replace("8f14e45f", "8f14<?x?>e45f")),
    ("a CDATA section", |it| it.honest.replace("8f14e45f", "<![CDATA[8f14e45f]]>")),
    ("another encoding", |it| format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{}", it.honest)),
    ("a control character", |it| it.honest.replace("8f14e45f", "8f14&#1;e45f")),
];

#[tokio::test]
async fn flow_05_no_wrapping_gets_a_forged_assertion_through() {
    let world = World::new();
    let log = Log::of_this_test();
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let parts = Parts::new(&asked);
    for (name, wrap) in WRAPPED {
        let xml = wrap(&parts);
        assert_ne!(xml, parts.honest, "{name}");
        let answer = bring(&mut browser, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{name}: {}", answer.text);
        assert!(!is_logged_in(&browser), "{name}");
        let cause = log.with("method", "corp").pop().unwrap();
        let cause = cause.field("cause").unwrap();
        assert!(!cause.contains(VICTIM) && !cause.contains(USER), "{name}: {cause}");
    }
    assert_eq!(world.store.kinds().into_keys().collect::<Vec<_>>(), Vec::<String>::new());
    // The same document, unharmed.
    let answer = bring(&mut browser, &asked, &parts.honest).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    world.other_methods_work().await;
}

#[tokio::test]
async fn flow_05_no_wrapping_gets_a_forged_assertion_through_a_signed_response() {
    let world = World::with(corp().accept_signed_response());
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let parts = Parts::new(&asked);
    let honest = sign(&parts.reply.around(&parts.bare), true, &CORP);
    let signature = signature_of(&honest);
    let forged = parts.reply.around(&parts.forged);
    let outer = forged.replacen(&parts.reply.response_id, "_outer", 1);
    let with = |xml: &str, inner: &str| {
        xml.replacen("<samlp:Status>", &format!("{inner}<samlp:Status>"), 1)
    };
    let around = signature
        .replace("</ds:Signature>", &format!("<ds:Object>{honest}</ds:Object></ds:Signature>"));
    let moved =
        |inner: &str| honest.replace("</samlp:Response>", &format!("{inner}</samlp:Response>"));
    for xml in [
        with(&forged, signature),
        with(&outer, signature),
        with(&outer, &around),
        with(&outer, &honest),
        format!("{honest}{forged}"),
        moved(&parts.forged),
        honest.replace(&parts.bare, &parts.forged),
        honest.replace(&parts.bare, &format!("{}{}", parts.forged, parts.bare)),
        honest.replace(USER, VICTIM),
    ] {
        assert_ne!(xml, honest);
        let answer = bring(&mut browser, &asked, &xml).await;
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{xml}");
        assert!(!is_logged_in(&browser), "{xml}");
    }
    let answer = bring(&mut browser, &asked, &honest).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
}
