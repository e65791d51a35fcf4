//! No answer of a login tells who may log in: 2,000 tries with addresses that may, among as many with
//! addresses that may not, in random order, each with its own browser and network. All their answers are
//! the same: status, header lines, cookies, and every byte of the pages, apart from the address, the
//! browser's own id, and the nonce, whose length is the same.
//!
//! This is about the one-time PIN, the only method in which whether an address may log in is ours to judge.
//! With others the provider has judged the user before it says an address. Times are compared in
//! `benches/login_timing.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Full;
use tokio::sync::Semaphore;
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::layer::AccessService;
use tower_access::login::OneTimePin;
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::{Answer, Origin, clock, query, send};

const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
/// Of each kind of address.
const TRIES: u32 = 2_000;
/// In one block the clock stands still. Its wrong codes are few enough to leave all codes as short as they
/// were, and the next block is more than a day later.
const BLOCK: u32 = 40;

/// A mail server that is so slow that no mail is delivered before all answers are there.
#[derive(Clone, Debug)]
struct SlowServer {
    delivered: Arc<Mutex<Vec<Mail>>>,
    awake: Arc<Semaphore>,
}

impl Mailer for SlowServer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(async move {
            self.awake.acquire().await.unwrap().forget();
            self.delivered.lock().unwrap().push(mail);
            Ok(())
        })
    }
}

struct World {
    service: AccessService<Origin>,
    mail: SlowServer,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    let (clock, delivered) = (clock(), Arc::default());
    let mail = SlowServer { delivered, awake: Arc::new(Semaphore::new(0)) };
    let staff = Policy::allow("staff")
        .include(Rule::email_domain("example.com").unwrap())
        .exclude(Rule::email_domain("blocked.com").unwrap());
    let gone = Policy::deny("gone").include(Rule::email_domain("goneaway.co").unwrap());
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(
            Application::new("Wiki", "wiki.example.com")
                .unwrap()
                .audience(AUDIENCE.parse().unwrap())
                .policy(gone)
                .policy(staff),
        )
        // So long that none is found by chance.
        .one_time_pin(OneTimePin::new().digits(12))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    World { service: AccessLayer::new(access).layer(Origin::default()), mail, clock }
}

/// What kind of address somebody tries. All addresses have the same length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    MayLogIn,
    OfAnotherDomain,
    Excluded,
    Denied,
    NoAddress,
}

impl Kind {
    fn of(number: u32) -> Self {
        let others = [Self::OfAnotherDomain, Self::Excluded, Self::Denied, Self::NoAddress];
        match number % 2 {
            0 => Self::MayLogIn,
            _ => others[number as usize / 2 % others.len()],
        }
    }

    fn address(self, number: u32) -> String {
        let domain = match self {
            Self::MayLogIn => "@example.com",
            Self::OfAnotherDomain => "@example.net",
            Self::Excluded => "@blocked.com",
            Self::Denied => "@goneaway.co",
            Self::NoAddress => ".example.com",
        };
        format!("somebody{number:06}{domain}")
    }
}

/// An answer, as whoever compares answers sees it.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Seen {
    step: &'static str,
    status: u16,
    /// All header lines, `Set-Cookie` among them.
    headers: Vec<(String, String)>,
    body: String,
}

/// One try, with a browser of its own.
struct Try<'a> {
    service: &'a AccessService<Origin>,
    number: u32,
    email: String,
    nonce: String,
    seen: Vec<Seen>,
}

impl Try<'_> {
    fn browser(&self) -> String {
        format!("{:032x}", self.number)
    }

    async fn ask(&mut self, step: &'static str, path: &str, form: &[(&str, &str)]) -> Answer {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let address = Ipv4Addr::from(self.number.wrapping_mul(2_654_435_761));
        let request = Request::builder()
            .method(if form.is_empty() { "GET" } else { "POST" })
            .uri(path)
            .header("host", "login.example.com")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("cookie", format!("CF_Session={}", self.browser()))
            .extension(PeerAddress(IpAddr::V4(address)))
            .body(Full::<Bytes>::from(body))
            .unwrap();
        let answer = send(self.service, request).await;
        if let Some(nonce) = answer
            .parts
            .headers
            .get("location")
            .and_then(|location| query(location.to_str().unwrap(), "nonce"))
        {
            self.nonce = nonce;
        }
        let blank = |text: &str| {
            let text = text.replace(&self.email, "ADDRESS").replace(&self.browser(), "BROWSER");
            // Of the same length: a longer text would tell as much as another one.
            text.replace(&self.nonce, &"N".repeat(self.nonce.len()))
        };
        self.seen.push(Seen {
            step,
            status: answer.status().as_u16(),
            headers: lines(&answer.parts.headers, blank),
            body: blank(&answer.text),
        });
        answer
    }

    /// Everything that can be asked without the code.
    async fn all_steps(mut self) -> Vec<Seen> {
        let begin = format!(
            "/cdn-cgi/access/verify-code/wiki.example.com?kid={AUDIENCE}&redirect_url=%2Fdocs"
        );
        let email = self.email.clone();
        let answer = self.ask("the address", &begin, &[("email", &email)]).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let page = answer.location().to_owned();
        self.ask("the code page", &page, &[]).await;
        let linked = format!("/cdn-cgi/access/emailed-code?nonce={}", self.nonce);
        self.ask("the page of the link", &linked, &[]).await;
        let nonce = self.nonce.clone();
        for (step, code) in [
            ("no code", "hello"),
            ("a wrong code", "000000000000"),
            ("another", "000000000001"),
            ("the last", "000000000002"),
            ("one too many", "000000000003"),
        ] {
            let form = [("nonce", &*nonce), ("code", code)];
            self.ask(step, "/cdn-cgi/access/callback", &form).await;
        }
        let resend = format!("/cdn-cgi/access/resend-code?nonce={nonce}");
        let answer = self.ask("a new code", &resend, &[]).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{}", answer.text);
        let page = answer.location().to_owned();
        self.ask("its page", &page, &[]).await;
        self.seen
    }
}

/// All lines, sorted by name.
fn lines(headers: &HeaderMap, blank: impl Fn(&str) -> String) -> Vec<(String, String)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), blank(value.to_str().unwrap()))
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

/// The same numbers in another order, always the same one.
fn shuffle(numbers: &mut [u32], mut state: u64) {
    for end in (1..numbers.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        numbers.swap(end, usize::try_from(state >> 33).unwrap() % (end + 1));
    }
}

#[tokio::test]
async fn otp_09_of_4000_tries_no_answer_tells_who_may_log_in() {
    let world = world();
    let mut mailed = 0;
    for block in 0..TRIES / BLOCK {
        let mut numbers: Vec<_> = (0..2 * BLOCK).map(|n| block * 2 * BLOCK + n).collect();
        shuffle(&mut numbers, u64::from(block));
        let mut seen = BTreeMap::<Vec<Seen>, Vec<(u32, Kind)>>::new();
        for number in numbers {
            let kind = Kind::of(number);
            let email = kind.address(number);
            let service = &world.service;
            let one = Try { service, number, email, nonce: "-".to_owned(), seen: Vec::new() };
            seen.entry(one.all_steps().await).or_default().push((number, kind));
        }
        let mut different = seen.iter();
        let (first, who) = different.next().unwrap();
        if let Some((other, others)) = different.next() {
            let step = first.iter().zip(other).find(|(one, other)| one != other);
            panic!("{who:?} and {others:?} are told apart by {step:#?}");
        }
        assert_eq!(world.mail.delivered.lock().unwrap().len(), mailed, "answers wait for no mail");
        // Two codes for each address that may log in, and no mail to others.
        mailed += 2 * BLOCK as usize;
        world.mail.awake.add_permits(2 * BLOCK as usize);
        while world.mail.delivered.lock().unwrap().len() < mailed {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_secs(37 * 3_600));
    }
    tokio::task::yield_now().await;
    let mail = world.mail.delivered.lock().unwrap();
    assert_eq!(mail.len(), 2 * TRIES as usize);
    assert!(mail.iter().all(|mail| mail.to.as_str().ends_with("@example.com")));
}
