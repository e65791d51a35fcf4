//! Logins that wait for their code: what they cost, and what is in the text that stands for one.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt};
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::secret::MasterSecret;
use tower_access::store::{MemoryStore, Store};
use tower_access::{Access, AccessLayer};

use crate::support::ledger::Ledger;
use crate::support::{
    self, Browser, Form, Mailbox, Origin, absolute, another_code, clock, query, send,
};

type Service = tower_access::layer::AccessService<Origin>;

const WIKI: &str = "https://wiki.example.com";
const TEAM: &str = "https://login.example.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    store: Arc<Ledger>,
    clock: Arc<ManualClock>,
    mail: Mailbox,
    service: Service,
}

fn world(records_per_kind: usize) -> World {
    let clock = clock();
    let store = Ledger::new(MemoryStore::new(Arc::clone(&clock), records_per_kind));
    let mail = Mailbox::default();
    let service = engine(&store, &clock, &mail, 1);
    World { store, clock, mail, service }
}

fn engine(
    store: &Arc<impl Store>,
    clock: &Arc<ManualClock>,
    mail: &Mailbox,
    secret: u8,
) -> Service {
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(Policy::allow("staff").include(Rule::email_domain("example.com").unwrap())),
        )
        .master_secret(MasterSecret::from_bytes([secret; 32]))
        .store(Arc::clone(store))
        .mailer(mail.clone())
        .clock(Arc::clone(clock))
        .build()
        .unwrap();
    AccessLayer::new(access).layer(Origin::default())
}

/// A stranger's request, from a network of its own, with as little before it as it takes.
fn stranger(number: u32, path: &str, body: String) -> Request<Full<Bytes>> {
    // Multiplied by an odd number all addresses differ, in all their parts.
    let address = Ipv4Addr::from(number.wrapping_mul(2_654_435_761));
    Request::builder()
        .method(if body.is_empty() { "GET" } else { "POST" })
        .uri(format!("/cdn-cgi/access/{path}"))
        .header("host", "login.example.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("cookie", format!("CF_Session={number:032x}"))
        .extension(PeerAddress(IpAddr::V4(address)))
        .body(Full::from(body))
        .unwrap()
}

impl World {
    /// A stranger begins a login; the nonce of it.
    async fn begin(&self, number: u32) -> String {
        let path = format!("verify-code/wiki.example.com?kid={AUDIENCE}&redirect_url=%2F");
        // Some of them know what the addresses look like that may log in.
        let domain = if number.is_multiple_of(100) { "example.com" } else { "evil.example" };
        let body = format!("email=stranger{number}%40{domain}");
        let answer = send(&self.service, stranger(number, &path, body)).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{number}: {}", answer.text);
        query(answer.location(), "nonce").unwrap()
    }

    /// Somebody with a browser that was never here logs in.
    async fn real_person_logs_in(&self, number: u8) {
        let service = self.service.clone().map_request(move |mut request: Request<Full<Bytes>>| {
            request.extensions_mut().insert(PeerAddress(IpAddr::from([192, 0, 2, number])));
            request
        });
        let mut browser = Browser::new(service);
        let email = format!("person{number}@example.com");
        let before = self.mail.len();
        let form = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), &email).await;
        let code = self.mail.code(before + 1).await;
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
        let (_, page) = browser.visit(done.location()).await;
        assert_eq!(page.text, "origin saw /x");
    }

    fn browser(&self) -> Browser<Service> {
        Browser::new(self.service.clone())
    }
}

#[tokio::test]
async fn dos_03_a_flood_of_logins_leaves_counters_and_nothing_else() {
    let world = world(70_000);
    let (mut resent, mut guessed) = (0, 0);
    for number in 0..FLOOD {
        let nonce = world.begin(number).await;
        if number.is_multiple_of(100) {
            let again = stranger(number, &format!("resend-code?nonce={nonce}"), String::new());
            assert_eq!(send(&world.service, again).await.status(), StatusCode::FOUND);
            resent += 1;
        }
        if number.is_multiple_of(10) {
            // No code at all; and now and then one.
            let code = if number.is_multiple_of(200) { "123456" } else { "hello" };
            guessed += usize::from(code == "123456");
            let body = format!("nonce={nonce}&code={code}");
            let answer = send(&world.service, stranger(number, "callback", body)).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
        }
        // Mail goes out beside the requests.
        tokio::task::yield_now().await;
        if number % (FLOOD / 4) == FLOOD / 8 {
            world.real_person_logs_in(u8::try_from(number / (FLOOD / 4)).unwrap()).await;
        }
    }
    world.real_person_logs_in(10).await;
    let kinds = world.store.kinds();
    for (kind, (records, bytes)) in &kinds {
        let bound = match kind.as_str() {
            // Everybody's counters, and the sum of each kind.
            "mail-by-network"
            | "mail-by-wide-network"
            | "mail-by-address"
            | "mail-by-address-and-network" => 65_537,
            "guess-by-network" | "guess-by-wide-network" => guessed + 1,
            // Three windows, each with what was taken back.
            "guess-chance" => 6,
            // Of those whose buckets are full by chance; and of each browser, as long as there is room.
            "mail-by-shared-code" | "mail-by-browser" | "mail-by-browser-and-day" => 30_000,
            "pin-era" => 1,
            "pin-attempt" => guessed + 5,
            "pin-resent" => resent,
            // One for each kind that is counted, and five people.
            "records" | "pin-used" | "session" | "person" | "grant" | "grant-by-session"
            | "known-networks" => 5,
            other => panic!("what is {other}?"),
        };
        assert!(*records <= bound, "{kind}: {records} records, {bytes} bytes");
    }
    assert_eq!(world.store.records("pin-attempt"), guessed + 5);
    world.clock.advance(31 * MINUTE);
    world.real_person_logs_in(11).await;
}

/// Debug builds are slow; `benches/memory.rs` does a million.
const FLOOD: u32 = 40_000;

#[tokio::test]
async fn dos_03_a_login_costs_the_store_nothing_and_an_attempt_a_counter() {
    let world = world(1_000);
    world.begin(1).await;
    let before = world.store.kinds();
    // The same network and address again: the same counters.
    let nonce = world.begin(1).await;
    assert_eq!(world.store.kinds(), before, "not a byte");
    let type_in = async |code: &str| {
        let body = format!("nonce={nonce}&code={code}");
        let answer = send(&world.service, stranger(1, "callback", body)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        answer.text
    };
    for code in ["", "1", "12345", "1234567", "abcdef"] {
        if code.is_empty() {
            continue;
        }
        assert!(type_in(code).await.contains("3 attempts"));
    }
    assert_eq!(world.store.kinds(), before, "what is no code writes nothing");
    assert!(type_in("123456").await.contains("2 attempts"));
    let (records, bytes) = world.store.kinds()["pin-attempt"];
    assert_eq!(records, 1);
    assert!(bytes < 64, "{bytes} bytes");
}

#[tokio::test]
async fn otp_09_nothing_can_be_read_from_a_nonce_nor_from_its_length() {
    let world = world(1_000);
    let mut lengths = Vec::new();
    for email in ["anna@example.com", "anna@ex.ampl.com", "anna@nobody.exam"] {
        for _ in 0..3 {
            let mut browser = world.browser();
            let (url, page) = browser.visit(&format!("{WIKI}/secret-page")).await;
            let sent = Form::of(&url, &page.text).submit(&mut browser, &[("email", email)]).await;
            let nonce = query(sent.location(), "nonce").unwrap();
            let bytes = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
            for word in ["anna", "example", "secret", AUDIENCE, "code", "true", "false"] {
                assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()));
            }
            lengths.push(nonce.len());
        }
    }
    world.mail.code(3).await;
    assert_eq!(world.mail.len(), 3, "one of the addresses may log in");
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
}

#[tokio::test]
async fn flow_07_a_nonce_of_elsewhere_or_of_yesterday_leads_back_to_the_start() {
    let world = world(1_000);
    let mut browser = world.browser();
    let form = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    let (nonce, code) = (form.value("nonce").to_owned(), world.mail.code(1).await);
    let fields = format!("kid={AUDIENCE}&redirect_url=%2Fx&nonce=");
    let code_page =
        |nonce: &str| format!("{TEAM}/cdn-cgi/access/verify-code/wiki.example.com?{fields}{nonce}");
    // Every step refuses it, with a way on.
    let refused = async |browser: &mut Browser<Service>, nonce: &str| {
        let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={nonce}");
        let callback = format!("{TEAM}/cdn-cgi/access/callback");
        for (answer, has_no_address) in [
            (browser.get(&code_page(nonce)).await, false),
            (browser.get(&resend).await, true),
            (browser.post(&callback, &[("nonce", nonce), ("code", &code)]).await, true),
        ] {
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{}", answer.text);
            assert!(answer.text.contains("Invalid session"), "{}", answer.text);
            // The address of the code page says what the login was for.
            let Some(link) = answer.text.split("<a class=\"button").nth(1) else {
                assert!(has_no_address, "a way on");
                continue;
            };
            let start = absolute(TEAM, &support::attribute(link, "href").unwrap());
            let (_, page) = browser.visit(&start).await;
            assert_eq!(page.status(), StatusCode::OK, "{start}");
        }
    };
    // Another master secret; another store; texts of an older version, changed ones, invented ones.
    let other_secret = engine(&world.store, &world.clock, &world.mail, 2);
    refused(&mut browser.at(other_secret), &nonce).await;
    let other_store = Arc::new(MemoryStore::new(Arc::clone(&world.clock), 1_000));
    let forgetful = engine(&other_store, &world.clock, &world.mail, 1);
    refused(&mut browser.at(forgetful.clone()), &nonce).await;
    // The other store has begun an era of its own meanwhile.
    support::ask_for_code(
        &mut Browser::new(forgetful.clone()),
        &format!("{WIKI}/"),
        "a@example.com",
    )
    .await;
    refused(&mut browser.at(forgetful), &nonce).await;
    let changed = format!("{}A{}", &nonce[..40], &nonce[41..]);
    let changed = if changed == nonce { format!("B{}", &nonce[1..]) } else { changed };
    let old_kind = "0123456789abcdef".repeat(2);
    for text in [&*old_kind, &changed, &nonce[..nonce.len() - 4], "A", "AAAA", &nonce[16..]] {
        refused(&mut browser, text).await;
    }
    // What is no text of ours at all, or longer than any, is a request that cannot be read.
    for text in ["%00", "a%20b", "a.b", "..%2F", "", &"A".repeat(12_289)] {
        assert_eq!(browser.get(&code_page(text)).await.status(), StatusCode::BAD_REQUEST, "{text}");
    }
    let mut thief = world.browser();
    thief.visit(&format!("{WIKI}/x")).await;
    refused(&mut thief, &nonce).await;
    // None of this has done the login any harm.
    let page = browser.get(&code_page(&nonce)).await;
    assert_eq!(page.status(), StatusCode::OK);
    world.clock.advance(30 * MINUTE);
    refused(&mut browser, &nonce).await;
    world.clock.advance(24 * 60 * MINUTE);
    refused(&mut browser, &nonce).await;
}

#[tokio::test]
async fn otp_08_the_newest_code_counts_on_every_page_of_the_login() {
    let world = world(1_000);
    let mut browser = world.browser();
    let older = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    let first = world.mail.code(1).await;
    let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", older.value("nonce"));
    let again = browser.get(&resend).await;
    let second = world.mail.code(2).await;
    let url = absolute(TEAM, again.location());
    let newer = Form::of(&url, &browser.get(&url).await.text);
    for form in [&older, &newer] {
        if first != second {
            let refused = form.submit(&mut browser, &[("code", &first)]).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{}", refused.text);
        }
    }
    let mut without_session = browser.at(world.service.clone());
    let done = older.submit(&mut browser, &[("code", &second)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    for form in [&older, &newer] {
        let used = form.submit(&mut without_session, &[("code", &second)]).await;
        assert!(used.text.contains("already been used"), "{}", used.text);
    }
    let again = without_session.get(&resend).await;
    assert!(again.text.contains("already been used"), "{}", again.text);
    // Whoever has the session goes on.
    let again = browser.get(&resend).await;
    assert!(again.location().starts_with(&format!("{WIKI}/cdn-cgi/access/authorized?")));
    assert_eq!(world.mail.len(), 2, "a login that is over sends no mail");
}

#[tokio::test]
async fn otp_16_a_login_goes_on_half_an_hour_after_its_latest_code() {
    let world = world(1_000);
    let mut browser = world.browser();
    let form = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    world.mail.code(1).await;
    let resend = format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
    for mails in 2..=3 {
        world.clock.advance(29 * MINUTE);
        assert_eq!(browser.get(&resend).await.status(), StatusCode::FOUND);
        world.mail.code(mails).await;
    }
    let code = world.mail.code(3).await;
    let wrong = form.submit(&mut browser, &[("code", &another_code(&code))]).await;
    assert!(wrong.text.contains("2 attempts"), "{}", wrong.text);
    let mut without_session = browser.at(world.service.clone());
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    world.clock.advance(60 * MINUTE);
    let over = form.submit(&mut without_session, &[("code", &code)]).await;
    assert_eq!(over.status(), StatusCode::FORBIDDEN, "{}", over.text);
}

#[tokio::test]
async fn flow_03_the_longest_login_still_fits() {
    let world = world(1_000);
    let path = format!("/{}?{}", "\"".repeat(600), "\\\"".repeat(700));
    let email = format!("{}@example.com", "\u{1d11e}".repeat(242));
    let mut browser = world.browser();
    for email in [&*email, "ada@example.com"] {
        let target: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let url = format!(
            "{TEAM}/cdn-cgi/access/login/wiki.example.com?kid={AUDIENCE}&redirect_url={target}"
        );
        let page = browser.get(&url).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
        let sent = Form::of(&url, &page.text).submit(&mut browser, &[("email", email)]).await;
        assert_eq!(sent.status(), StatusCode::FOUND, "{}", sent.text);
        let url = absolute(TEAM, sent.location());
        assert!(url.len() < 14_000, "{}", url.len());
        let page = browser.get(&url).await;
        assert_eq!(page.status(), StatusCode::OK, "{}", page.text);
    }
    let (url, page) = browser.visit(&format!("{WIKI}/{}", "a".repeat(2_000))).await;
    let sent =
        Form::of(&url, &page.text).submit(&mut browser, &[("email", "bob@example.com")]).await;
    assert!(sent.location().len() < 5_000, "an ordinary one: {}", sent.location().len());
}

#[tokio::test]
async fn otp_04_of_many_that_bring_the_right_code_at_once_one_gets_in() {
    let world = world(1_000);
    let mut browser = world.browser();
    let form = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    let code = world.mail.code(1).await;
    let (form, code) = (&form, &code);
    // Three attempts there are, so three that come at once get as far as their code.
    let tries = (0..10).map(|_| {
        let mut browser = browser.at(world.service.clone());
        async move { form.submit(&mut browser, &[("code", code)]).await.status() }
    });
    let statuses = futures_util::future::join_all(tries).await;
    let found = statuses.iter().filter(|status| **status == StatusCode::FOUND).count();
    assert_eq!(found, 1, "{statuses:?}");
    assert_eq!(world.store.records("session"), 1);
}

#[tokio::test]
async fn otp_08_two_that_ask_for_a_new_code_at_once_get_one() {
    let world = world(1_000);
    let mut browser = world.browser();
    let form = support::ask_for_code(&mut browser, &format!("{WIKI}/x"), "ada@example.com").await;
    world.mail.code(1).await;
    let resend = &format!("{TEAM}/cdn-cgi/access/resend-code?nonce={}", form.value("nonce"));
    let clicks = (0..2).map(|_| {
        let mut browser = browser.at(world.service.clone());
        async move { browser.get(resend).await.status() }
    });
    let statuses = futures_util::future::join_all(clicks).await;
    assert_eq!(statuses, [StatusCode::FOUND; 2]);
    let code = world.mail.code(2).await;
    let done = form.submit(&mut browser, &[("code", &code)]).await;
    assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
}
