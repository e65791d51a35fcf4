//! Logins at a SAML provider: the steps, the cookies, what policies see, and what other sites can post.

mod forms;
mod hostile;
mod provider;
mod wrapped;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use saml_rs::crypto::verify_message_signature;
use serde_json::{Value, json};
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::login::SamlProvider;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::{MasterSecret, SecretText};
use tower_access::store::MemoryStore;
use tower_access::{Access, AccessLayer};

use self::provider::{
    Asked, CORP, CORP_ISSUER, CORP_SSO, MAIL, MALLORY, PARTNER, PARTNER_ISSUER, PARTNER_SSO, Reply,
    Signed, encode,
};
use crate::support::ledger::Ledger;
use crate::support::{self, Answer, Mailbox, Origin, clock, log_in};

type Service = tower_access::layer::AccessService<Origin>;
type Browser = support::Browser<Service>;

const WIKI: &str = "https://wiki.example.com";
const TEAM_HOST: &str = "login.example.com";
const TEAM: &str = "https://login.example.com";
const ACS: &str = "https://login.example.com/cdn-cgi/access/callback";

struct World {
    store: Arc<Ledger>,
    clock: Arc<ManualClock>,
    mail: Mailbox,
    service: Service,
}

fn corp() -> SamlProvider {
    SamlProvider::new("corp", CORP_ISSUER, CORP_SSO, [&CORP.certificate]).unwrap()
}

fn rule(rule: Value) -> Rule {
    serde_json::from_value(rule).unwrap()
}

fn application(name: &str, policy: Policy) -> Application {
    Application::new(name, &format!("{name}.example.com")).unwrap().policy(policy)
}

impl World {
    fn new() -> Self {
        Self::with(corp().name("Example Corp.").attributes(["groups", "department"]))
    }

    fn with(corp: SamlProvider) -> Self {
        let clock = clock();
        let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), 10_000));
        let mail = Mailbox::default();
        let partner =
            SamlProvider::new("partner", PARTNER_ISSUER, PARTNER_SSO, [PARTNER.certificate_pem()]);
        let staff = || Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
        let ops = json!({ "saml": {
            "attribute_name": "department", "attribute_value": "ops",
            "identity_provider_id": "corp" } });
        let access = Access::builder()
            .team_domain(TEAM_HOST.parse().unwrap())
            .application(application("wiki", staff()))
            .application(application("ops", Policy::allow("ops").include(rule(ops))))
            .application(application(
                "strong",
                Policy::allow("strong").include(Rule::everyone()).require(Rule::auth_method("mfa")),
            ))
            .application(application(
                "mailed",
                Policy::allow("mailed").include(Rule::login_method("onetimepin")),
            ))
            .application(application(
                "outsiders",
                Policy::allow("outsiders")
                    .include(Rule::everyone())
                    .exclude(rule(json!({ "saml": {
                        "attribute_name": "groups", "attribute_value": "staff" } }))),
            ))
            .identity_provider(corp)
            .identity_provider(partner.unwrap())
            .master_secret(MasterSecret::from_bytes([1; 32]))
            .store(Arc::clone(&store))
            .mailer(mail.clone())
            .clock(Arc::clone(&clock))
            .build()
            .unwrap();
        let service = AccessLayer::new(access).layer(Origin::default());
        Self { store, clock, mail, service }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.service.clone())
    }

    /// The PIN login of somebody else works, and nothing of SAML concerns it.
    async fn other_methods_work(&self) {
        let mut browser = self.browser();
        let seen =
            log_in(&mut browser, &self.mail, &format!("{WIKI}/pin"), "pin@example.com").await;
        assert_eq!(seen, "origin saw /pin");
    }
}

/// Begins a login by a method, at a page.
async fn begin(browser: &mut Browser, url: &str, method: &str) -> Asked {
    let answer = start(browser, url, method).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    Asked::read(answer.location())
}

async fn start(browser: &mut Browser, url: &str, method: &str) -> Answer {
    let answer = browser.get(url).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    browser.get(&format!("{}&connector_id={method}", answer.location())).await
}

/// Posts fields from the provider's site, as a browser does.
async fn post(browser: &mut Browser, fields: &[(&str, &str)]) -> Answer {
    browser.headers.push(("origin", "https://idp.example.net".to_owned()));
    browser.headers.push(("sec-fetch-site", "cross-site".to_owned()));
    browser.headers.push(("sec-fetch-mode", "navigate".to_owned()));
    let answer = browser.post(ACS, fields).await;
    browser.headers.truncate(1);
    answer
}

/// Brings an answer in XML back.
async fn bring(browser: &mut Browser, asked: &Asked, xml: &str) -> Answer {
    let relay_state = ("RelayState", &*asked.relay_state);
    post(browser, &[("SAMLResponse", &encode(xml)), relay_state]).await
}

/// Logs a user in at `corp`, and ends at the page or where else that leads.
async fn enter(browser: &mut Browser, url: &str, change: impl FnOnce(&mut Reply)) -> Answer {
    let asked = begin(browser, url, "corp").await;
    let reply = Reply::to(&asked, "ada@example.com").with(change);
    let answer = bring(browser, &asked, &reply.xml(&CORP)).await;
    if answer.status() != StatusCode::FOUND {
        return answer;
    }
    browser.visit(answer.location()).await.1
}

fn is_logged_in(browser: &Browser) -> bool {
    browser.cookie(TEAM_HOST, "CF_Authorization").is_some()
}

#[tokio::test]
async fn a_user_logs_in_and_returns_to_the_page() {
    let world = World::new();
    let mut browser = world.browser();
    let answer = start(&mut browser, &format!("{WIKI}/docs?page=2"), "corp").await;
    assert!(answer.location().starts_with("https://idp.example.net/sso?tenant=1&x=y&SAMLRequest="));
    let asked = Asked::read(answer.location());
    let name = format!("CF_SamlLogin_{}", &asked.id[1..]);
    let cookie = answer.set_cookie(&name).unwrap();
    for attribute in ["; HttpOnly", "; SameSite=None; Secure", "; Path=/cdn-cgi/access; "] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(cookie.len() < 1_500, "{}", cookie.len());
    assert!(asked.relay_state.len() <= 80);
    assert_eq!(asked.acs, ACS);
    for part in [
        &format!("<saml:Issuer>{ACS}</saml:Issuer>"),
        " Destination=\"https://idp.example.net/sso?tenant=1&amp;x=y\"",
        " IssueInstant=\"2026-09-21T14:13:20Z\"",
        " ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"",
    ] {
        assert!(asked.xml.contains(part), "{}", asked.xml);
    }
    assert_eq!(world.store.kinds().into_keys().collect::<Vec<_>>(), Vec::<String>::new());
    let reply = Reply::to(&asked, "Ada@Example.com");
    let answer = bring(&mut browser, &asked, &reply.xml(&CORP)).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    assert!(answer.set_cookie(&name).unwrap().contains("01 Jan 1970"));
    let (_, page) = browser.visit(answer.location()).await;
    assert_eq!(page.text, "origin saw /docs?page=2");
    let identity = browser.get(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
    let identity: Value = serde_json::from_str(&identity.text).unwrap();
    assert_eq!(identity["email"], "ada@example.com");
    assert_eq!(identity["idp"], json!({ "id": "corp", "type": "saml" }));
    assert_eq!(identity["amr"], json!(["pwd"]));
    assert_eq!(world.store.records("saml-used"), 2);
    assert_eq!(world.mail.len(), 0);
}

#[tokio::test]
async fn a_provider_may_sign_the_response_as_well() {
    let world = World::new();
    let mut browser = world.browser();
    let answer = enter(&mut browser, &format!("{WIKI}/"), |it| it.signed = Signed::Both).await;
    assert_eq!((answer.status(), &*answer.text), (StatusCode::OK, "origin saw /"));
}

#[tokio::test]
async fn a_signed_response_suffices_only_where_it_is_accepted() {
    for (accepts, signed, enters) in [
        (false, Signed::Response, false),
        (true, Signed::Response, true),
        (true, Signed::Both, true),
        (true, Signed::Assertion, false),
        (true, Signed::Nothing, false),
    ] {
        let corp = if accepts { corp().accept_signed_response() } else { corp() };
        let world = World::with(corp);
        let mut browser = world.browser();
        let answer = enter(&mut browser, &format!("{WIKI}/"), |it| it.signed = signed).await;
        let status = if enters { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
        assert_eq!(answer.status(), status, "{accepts} {signed:?}");
        assert_eq!(is_logged_in(&browser), enters, "{accepts} {signed:?}");
    }
}

#[tokio::test]
async fn policies_see_attributes_groups_and_the_authentication_context() {
    let world = World::new();
    let attribute = |name: &str, values: &[&str]| {
        (name.to_owned(), values.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    };
    let refeds = "https://refeds.org/profile/mfa";
    for (more, context, ops, strong, outsiders) in [
        (vec![], "", false, false, false),
        (vec![attribute("department", &["dev", "ops"])], "", true, false, false),
        (vec![attribute("Department", &["ops"])], "", false, false, false),
        (vec![attribute("groups", &["guests"])], refeds, false, true, true),
        (
            vec![attribute("groups", &["guests"]), attribute("groups", &["a", "staff"])],
            "",
            false,
            false,
            false,
        ),
        (vec![], "urn:oasis:names:tc:SAML:2.0:ac:classes:Password", false, false, false),
    ] {
        for (name, opens) in
            [("ops", ops), ("strong", strong), ("outsiders", outsiders), ("mailed", false)]
        {
            let mut browser = world.browser();
            let change = |reply: &mut Reply| {
                reply.attributes.extend(more.clone());
                reply.context = context;
            };
            // Everybody gets a session, and not everybody gets in.
            let answer = enter(&mut browser, &format!("{WIKI}/"), change).await;
            assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text);
            let (_, answer) = browser.visit(&format!("https://{name}.example.com/")).await;
            let status = if opens { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status(), status, "{name} {more:?} {context}");
        }
    }
}

#[tokio::test]
async fn the_address_comes_from_the_usual_places_or_the_configured_one() {
    const NAME_ID: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress";
    let attribute = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
    for (configured, attributes, name_id, email) in [
        (None, vec![attribute("email", "a@example.com")], None, Some("a@example.com")),
        (None, vec![attribute("mail", "\n  b@example.com\n")], None, Some("b@example.com")),
        (None, vec![attribute(MAIL, "c@example.com")], None, Some("c@example.com")),
        (
            None,
            vec![attribute("urn:oid:0.9.2342.19200300.100.1.3", "d@example.com")],
            None,
            Some("d@example.com"),
        ),
        (None, vec![], Some("e@example.com"), Some("e@example.com")),
        (
            None,
            vec![attribute("email", "f@example.com")],
            Some("e@example.com"),
            Some("f@example.com"),
        ),
        (
            Some("upn"),
            vec![attribute("upn", "g@example.com"), attribute("email", "f@example.com")],
            None,
            Some("g@example.com"),
        ),
        (Some("upn"), vec![attribute("email", "f@example.com")], Some("e@example.com"), None),
        (None, vec![attribute("Name", "h@example.com")], None, None),
        (None, vec![attribute("email", "ada")], None, None),
        (None, vec![attribute("email", "a@example.com b@example.com")], None, None),
        (None, vec![attribute("email", "")], None, None),
    ] {
        let corp = configured.map_or_else(corp, |name: &str| corp().email_attribute(name));
        let world = World::with(corp);
        let mut browser = world.browser();
        let answer = enter(&mut browser, &format!("{WIKI}/"), |reply| {
            reply.attributes.clone_from(&attributes);
            if let Some(name_id) = name_id {
                (reply.name_id, reply.name_id_format) = (name_id.to_owned(), NAME_ID);
            }
        })
        .await;
        let Some(email) = email else {
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{attributes:?}");
            assert!(answer.text.contains("Required attributes are missing"), "{}", answer.text);
            assert!(!is_logged_in(&browser));
            assert_eq!(world.store.records("saml-used"), 0);
            continue;
        };
        assert_eq!(answer.status(), StatusCode::OK, "{attributes:?}: {}", answer.text);
        let identity = browser.get(&format!("{WIKI}/cdn-cgi/access/get-identity")).await;
        assert!(identity.text.contains(&format!("\"email\":\"{email}\"")), "{}", identity.text);
    }
}

#[tokio::test]
async fn any_of_the_configured_certificates_may_have_signed() {
    let both = [
        CORP.certificate.clone(),
        format!("{}\n{}", MALLORY.certificate_pem(), PARTNER.certificate_pem()),
    ];
    let world = World::with(SamlProvider::new("corp", CORP_ISSUER, CORP_SSO, both).unwrap());
    for key in [&CORP, &MALLORY, &PARTNER] {
        let mut browser = world.browser();
        let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
        let reply = Reply::to(&asked, "ada@example.com");
        let answer = bring(&mut browser, &asked, &reply.xml(key)).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    }
}

#[tokio::test]
async fn requests_are_signed_with_the_configured_key() {
    let key = SecretText::from(PARTNER.pem.clone());
    let corp = corp().sign_requests(key, &PARTNER.certificate_pem()).unwrap();
    assert!(!format!("{corp:?}").contains("PRIVATE"), "{corp:?}");
    let world = World::with(corp);
    let mut browser = world.browser();
    let asked = begin(&mut browser, &format!("{WIKI}/"), "corp").await;
    let (_, parameters) = asked.url.split_once("x=y&").unwrap();
    let (octets, signature) = parameters.split_once("&Signature=").unwrap();
    let algorithm = support::query(&asked.url, "SigAlg").unwrap();
    assert_eq!(algorithm, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256");
    let signature = support::query(&format!("?s={signature}"), "s").unwrap();
    let verify = |text: &str, key: &provider::Key| {
        verify_message_signature(text, &signature, &key.certificate, &algorithm).unwrap()
    };
    assert!(verify(octets, &PARTNER));
    assert!(!verify(octets, &CORP) && !verify(&octets.replace("RelayState", "x"), &PARTNER));
    let answer =
        bring(&mut browser, &asked, &Reply::to(&asked, "ada@example.com").xml(&CORP)).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let metadata = browser.get(&format!("{TEAM}/cdn-cgi/access/corp/saml-metadata")).await;
    assert!(metadata.text.contains("AuthnRequestsSigned=\"true\""), "{}", metadata.text);
    assert!(metadata.text.contains(&PARTNER.certificate), "{}", metadata.text);
}

#[tokio::test]
async fn metadata_says_where_answers_go() {
    let world = World::new();
    let mut browser = world.browser();
    for path in ["saml-metadata", "corp/saml-metadata", "partner/saml-metadata"] {
        let answer = browser.get(&format!("{TEAM}/cdn-cgi/access/{path}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/samlmetadata+xml"));
        for part in [
            &format!("entityID=\"{ACS}\""),
            &format!("Location=\"{ACS}\""),
            "Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\"",
            "WantAssertionsSigned=\"true\"",
            "AuthnRequestsSigned=\"false\"",
        ] {
            assert!(answer.text.contains(part), "{part}: {}", answer.text);
        }
        let answer = browser.send("POST", &format!("{TEAM}/cdn-cgi/access/{path}"), "").await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    for url in [
        format!("{TEAM}/cdn-cgi/access/onetimepin/saml-metadata"),
        format!("{TEAM}/cdn-cgi/access/unknown/saml-metadata"),
        format!("{TEAM}/cdn-cgi/access/saml-metadata/corp"),
        format!("{WIKI}/cdn-cgi/access/saml-metadata"),
        format!("{WIKI}/cdn-cgi/access/corp/saml-metadata"),
    ] {
        assert_eq!(browser.get(&url).await.status(), StatusCode::NOT_FOUND, "{url}");
    }
}

#[tokio::test]
async fn without_a_team_domain_each_host_is_a_service_provider_of_its_own() {
    let access = Access::builder()
        .application(application("wiki", Policy::allow("all").include(Rule::everyone())))
        .identity_provider(corp())
        .without_one_time_pin()
        .clock(clock())
        .build()
        .unwrap();
    let origin = Origin::default();
    let mut browser = Browser::new(AccessLayer::new(access).layer(origin.clone()));
    let asked = begin(&mut browser, &format!("{WIKI}/docs"), "corp").await;
    assert_eq!(asked.acs, format!("{WIKI}/cdn-cgi/access/callback"));
    let xml = Reply::to(&asked, "ada@example.com").xml(&CORP);
    let fields = [("SAMLResponse", &*encode(&xml)), ("RelayState", &asked.relay_state)];
    let answer = browser.post(&asked.acs, &fields).await;
    assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
    let (_, page) = browser.visit(answer.location()).await;
    assert_eq!(page.text, "origin saw /docs");
    // The cookies of pending logins are for the login alone, wherever a browser may send them.
    browser.set_cookie("wiki.example.com", "CF_SamlLogin_x", "1");
    assert_eq!(browser.get(&format!("{WIKI}/docs")).await.status(), StatusCode::OK);
    let seen = &origin.last().headers["cookie"];
    assert!(!seen.to_str().unwrap().contains("CF_SamlLogin"), "{seen:?}");
}

#[tokio::test]
async fn a_long_page_is_found_again() {
    let world = World::new();
    let mut browser = world.browser();
    let path = format!("/search?q={}", "a%20b+".repeat(600));
    let asked = begin(&mut browser, &format!("{WIKI}{path}"), "corp").await;
    let cookie = browser.cookie(TEAM_HOST, &format!("CF_SamlLogin_{}", &asked.id[1..])).unwrap();
    assert!(cookie.len() < 1_500, "{}", cookie.len());
    let reply = Reply::to(&asked, "ada@example.com").xml(&CORP);
    let answer = bring(&mut browser, &asked, &reply).await;
    let (_, page) = browser.visit(answer.location()).await;
    assert!(page.text == format!("origin saw {path}") || page.text.contains(&path[..40]));
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_what_to_do() {
    let weak = "MIIBkTCB+wIJAKHHIG";
    let certificates = |texts: &[&str]| texts.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for (id, issuer, url, certificates, says) in [
        (
            "",
            "i",
            CORP_SSO,
            certificates(&[&CORP.certificate]),
            "the id of the login method is empty",
        ),
        ("corp", " ", CORP_SSO, certificates(&[&CORP.certificate]), "`issuer_url`"),
        ("corp", "i", "http://idp.example.net/", certificates(&[&CORP.certificate]), "use `https`"),
        ("corp", "i", "idp", certificates(&[&CORP.certificate]), "`sso_target_url`"),
        ("corp", "i", CORP_SSO, certificates(&[]), "there is none"),
        ("corp", "i", CORP_SSO, certificates(&[" "]), "there is none"),
        ("corp", "i", CORP_SSO, certificates(&["not base 64!"]), "neither PEM nor Base64"),
        ("corp", "i", CORP_SSO, certificates(&[weak]), "`idp_public_certs`"),
        ("corp", "i", CORP_SSO, certificates(&[&CORP.pem]), "`idp_public_certs`"),
    ] {
        let error = SamlProvider::new(id, issuer, url, certificates).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let elliptic = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap();
    let error = SamlProvider::new("corp", "i", CORP_SSO, [elliptic.cert.pem()]).unwrap_err();
    assert!(error.to_string().contains("not an RSA key"), "{error}");
    let key = SecretText::from("no key".to_owned());
    let error = corp().sign_requests(key, &CORP.certificate).unwrap_err().to_string();
    assert!(error.contains("the key for signed requests"), "{error}");
    let key = SecretText::from(CORP.pem.clone());
    let error = corp().sign_requests(key, "x").unwrap_err().to_string();
    assert!(error.contains("the certificate for signed requests"), "{error}");
}

#[tokio::test]
async fn flow_05_two_logins_at_once_end_in_any_order_each_with_its_own_user() {
    #[derive(Clone, Copy)]
    enum Step {
        Begin(usize),
        End(usize),
    }
    use Step::{Begin, End};
    for steps in [
        [Begin(0), End(0), Begin(1), End(1)],
        [Begin(0), Begin(1), End(0), End(1)],
        [Begin(0), Begin(1), End(1), End(0)],
    ] {
        for one_browser in [true, false] {
            let world = World::new();
            let mut browsers = [world.browser(), world.browser()];
            let mut asked = [None, None];
            for step in steps {
                let (Begin(number) | End(number)) = step;
                let browser = &mut browsers[if one_browser { 0 } else { number }];
                match step {
                    Begin(_) => {
                        let url = format!("{WIKI}/{number}");
                        if is_logged_in(browser) {
                            assert_eq!(
                                browser.visit(&url).await.1.text,
                                format!("origin saw /{number}")
                            );
                        } else {
                            asked[number] = Some(begin(browser, &url, "corp").await);
                        }
                    }
                    End(_) => {
                        let Some(asked) = &asked[number] else { continue };
                        let email = format!("user{number}@example.com");
                        let xml = Reply::to(asked, &email).xml(&CORP);
                        let answer = bring(browser, asked, &xml).await;
                        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
                        let (_, page) = browser.visit(answer.location()).await;
                        assert_eq!(page.text, format!("origin saw /{number}"));
                        let url = format!("{WIKI}/cdn-cgi/access/get-identity");
                        assert!(browser.get(&url).await.text.contains(&email));
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn flow_06_a_browser_keeps_the_newest_logins_in_a_bounded_header() {
    for (length, most) in [(1, 8), (480, 4)] {
        let world = World::new();
        let mut browser = world.browser();
        let name = |asked: &Asked| format!("CF_SamlLogin_{}", &asked.id[1..]);
        let rubbish = format!("CF_SamlLogin_{:032}", 0);
        browser.plant(TEAM_HOST, &rubbish, "rubbish");
        let mut begun = Vec::new();
        for number in 10..30 {
            world.clock.advance(Duration::from_secs(1));
            let method = if number % 2 == 0 { "corp" } else { "partner" };
            let url = format!("{WIKI}/{}/{number}", "x".repeat(length));
            begun.push(begin(&mut browser, &url, method).await);
        }
        assert!(browser.cookie(TEAM_HOST, &rubbish).is_none());
        let kept: Vec<_> = begun.iter().map(|it| browser.cookie(TEAM_HOST, &name(it))).collect();
        let (gone, kept) = kept.split_at(begun.len() - most);
        assert!(gone.iter().all(Option::is_none), "{length}");
        let sizes: Vec<_> = kept.iter().map(|it| it.as_ref().unwrap().len()).collect();
        assert!(sizes.iter().sum::<usize>() < 6 * 1024, "{sizes:?}");
        // In any order, each tab gets to its own page.
        for asked in [&begun[18], &begun[16]] {
            let xml = Reply::to(asked, "ada@example.com").xml(&CORP);
            let answer = bring(&mut browser, asked, &xml).await;
            let (_, page) = browser.visit(answer.location()).await;
            let number = if asked.id == begun[18].id { 28 } else { 26 };
            assert!(page.text.ends_with(&format!("/{number}")), "{}", page.text);
        }
    }
}
