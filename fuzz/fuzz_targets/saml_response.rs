//! Any text as the answer of a SAML provider, through the layers: nothing panics, and nobody is logged in
//! but the user of the one assertion that the provider has signed.
//!
//! Control bytes, which XML does not allow, stand for parts of honest and forged answers.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use saml_rs::crypto::construct_saml_signature;
use saml_rs::crypto::keys::load_private_key;
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt};
use tower_access::application::Application;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::layer::AccessService;
use tower_access::login::SamlProvider;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

const USER: &str = "ada@example.com";
const ISSUER: &str = "https://idp.example.net";
const HOST: &str = "wiki.example.com";
const ACS: &str = "https://wiki.example.com/cdn-cgi/access/callback";
/// 2026-09-21T14:13:20Z.
const NOW: u64 = 1_790_000_000;

/// The provider's key in PEM, and its certificate in Base64.
static KEY: LazyLock<(String, String)> = LazyLock::new(|| {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let mut encoded = STANDARD.encode(der.as_ref());
    for line in (1..encoded.len().div_ceil(64)).rev() {
        encoded.insert(64 * line, '\n');
    }
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{encoded}\n-----END PRIVATE KEY-----\n");
    let signer = rcgen::KeyPair::from_pem(&pem).unwrap();
    let parameters = rcgen::CertificateParams::new(vec!["idp.example.net".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&signer).unwrap();
    (pem, STANDARD.encode(certificate.der()))
});

/// A service behind the layers that nobody reaches without a login.
#[derive(Clone)]
struct Inner;

impl Service<Request<Full<Bytes>>> for Inner {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::default())))
    }
}

struct World {
    runtime: Runtime,
    service: AccessService<Inner>,
    begun: Option<Begun>,
    /// How many users have logged in. Each has left records in the store.
    users: usize,
}

/// A pending login of a browser.
struct Begun {
    cookies: String,
    relay_state: String,
    /// What the control bytes stand for.
    parts: Vec<String>,
}

impl World {
    fn new() -> Self {
        let provider = SamlProvider::new("corp", ISSUER, "https://idp.example.net/sso", [&KEY.1]);
        let application = Application::new("Wiki", HOST).unwrap();
        let access = Access::builder()
            .application(application.policy(Policy::allow("all").include(Rule::everyone())))
            .identity_provider(provider.unwrap())
            .without_one_time_pin()
            .clock(Arc::new(ManualClock::new(Timestamp::from_unix_seconds(NOW))))
            .build()
            .unwrap();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap(),
            service: AccessLayer::new(access).layer(Inner),
            begun: None,
            users: 0,
        }
    }

    /// Brings an answer back. Returns the claims of the session that it begins.
    fn bring(&self, begun: &Begun, xml: &[u8]) -> Option<String> {
        let response = STANDARD.encode(xml).replace('+', "%2B");
        let body = format!("SAMLResponse={response}&RelayState={}", begun.relay_state);
        session(&self.send("POST", ACS, &begun.cookies, body))
    }

    fn send(&self, method: &str, url: &str, cookies: &str, body: String) -> HeaderMap {
        let request = Request::builder()
            .method(method)
            .uri(url.trim_start_matches("https://wiki.example.com"))
            .header("host", HOST)
            .header("accept", "text/html")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(COOKIE, cookies)
            .body(Full::from(body))
            .unwrap();
        let answer = self.runtime.block_on(self.service.clone().oneshot(request)).unwrap();
        // 502: the answer is not accepted.
        assert!(matches!(answer.status().as_u16(), 200..=403 | 413 | 502), "{}", answer.status());
        answer.headers().clone()
    }

    fn begin(&self) -> Begun {
        let login = self.send("GET", "/docs", "", String::new());
        let mut cookies = cookies(&login);
        let location = login[LOCATION].to_str().unwrap();
        let start =
            self.send("GET", &format!("{location}&connector_id=corp"), &cookies, String::new());
        cookies.push_str(&self::cookies(&start));
        let relay_state = start[LOCATION].to_str().unwrap().split("RelayState=").nth(1).unwrap();
        let id = format!("_{}", relay_state.split('.').nth(1).unwrap());
        Begun { cookies, relay_state: relay_state.to_owned(), parts: parts(&id) }
    }
}

/// The names and values of the cookies that a response sets.
fn cookies(headers: &HeaderMap) -> String {
    let pairs = headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    pairs.map(|line| format!("{}; ", line.split(';').next().unwrap())).collect()
}

fn assertion(request: &str, id: &str, user: &str) -> String {
    format!(
        "<a:Assertion xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{id}\" Version=\"2.0\" \
         IssueInstant=\"2026-09-21T14:13:20Z\"><a:Issuer>{ISSUER}</a:Issuer><a:Subject><a:NameID \
         Format=\"urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress\">{user}</a:NameID>\
         <a:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
         <a:SubjectConfirmationData NotOnOrAfter=\"2026-09-21T15:13:20Z\" Recipient=\"{ACS}\" \
         InResponseTo=\"{request}\"/></a:SubjectConfirmation></a:Subject><a:Conditions \
         NotBefore=\"2026-09-21T14:13:20Z\" NotOnOrAfter=\"2026-09-21T15:13:20Z\"><a:AudienceRestriction>\
         <a:Audience>{ACS}</a:Audience></a:AudienceRestriction></a:Conditions></a:Assertion>"
    )
}

fn parts(request: &str) -> Vec<String> {
    let open = format!(
        "<p:Response xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"_r\" Version=\"2.0\" \
         IssueInstant=\"2026-09-21T14:13:20Z\" Destination=\"{ACS}\" InResponseTo=\"{request}\">\
         <p:Status><p:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>"
    );
    let close = "</p:Response>";
    let bare = assertion(request, "_a", USER);
    let key = load_private_key(&KEY.0, None).unwrap();
    let algorithm = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let whole = format!("{open}{bare}{close}");
    let signed =
        construct_saml_signature(&whole, false, &key, &KEY.1, algorithm, &[], None).unwrap();
    let signature = {
        let start = signed.find("<ds:Signature ").unwrap();
        let end = signed.find("</ds:Signature>").unwrap() + "</ds:Signature>".len();
        signed[start..end].to_owned()
    };
    let honest = bare.replacen("</a:Issuer>", &format!("</a:Issuer>{signature}"), 1);
    let forged = assertion(request, "_f", "eve@example.com");
    let same_id = assertion(request, "_a", "eve@example.com");
    let split = |text: &str| {
        let (start, end) = text.split_once("</a:Issuer>").unwrap();
        [format!("{start}</a:Issuer>"), end.to_owned()]
    };
    let [forged_start, forged_end] = split(&forged);
    let [same_start, same_end] = split(&same_id);
    let around = signature.replace("</ds:Signature>", "<ds:Object>");
    vec![
        signed,
        open,
        close.to_owned(),
        honest,
        bare,
        signature,
        forged,
        same_id,
        forged_start,
        forged_end,
        same_start,
        same_end,
        around,
        "</ds:Object></ds:Signature>".to_owned(),
    ]
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new({
        let world = World::new();
        let begun = world.begin();
        assert!(world.bring(&begun, &with_parts(&[1], &begun.parts)).is_some(), "an honest answer");
        world
    });
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        let begun = world.begun.take().unwrap_or_else(|| world.begin());
        match world.bring(&begun, &with_parts(data, &begun.parts)) {
            // An answer is accepted once: the next one is for another login.
            Some(claims) => {
                assert!(claims.contains(&format!("\"email\":\"{USER}\"")), "{claims}");
                world.users += 1;
            }
            None => world.begun = Some(begun),
        }
        if world.users >= 1_000 {
            *world = World::new();
        }
    });
});

/// The claims of the session that a response begins.
fn session(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
    let mut tokens = cookies.filter_map(|line| line.strip_prefix("CF_Authorization="));
    let claims = tokens.next()?.split('.').nth(1)?;
    Some(String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap())
}

/// The text with a part in place of every control byte.
fn with_parts(data: &[u8], parts: &[String]) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in data {
        let place = match byte {
            1..=8 => usize::from(byte - 1),
            14..=31 => usize::from(byte - 6),
            _ => usize::MAX,
        };
        match parts.get(place) {
            Some(part) => text.extend_from_slice(part.as_bytes()),
            None => text.push(*byte),
        }
    }
    text
}
