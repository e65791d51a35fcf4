//! Codes as people paste them: with what mail programs leave around and between the digits.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tower::Layer;
use tower_access::application::Application;
use tower_access::clock::ManualClock;
use tower_access::policy::{Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::wire::{VERSIONS, Wire};
use crate::support::{self, Browser, Form, Mailbox, Origin, clock};

const WIKI: &str = "https://wiki.example.com";

struct World {
    wire: Wire,
    mail: Mailbox,
    clock: Arc<ManualClock>,
}

async fn world(version: http::Version) -> World {
    let (clock, mail) = (clock(), Mailbox::default());
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let access = Access::builder()
        .application(Application::new("Wiki", "wiki.example.com").unwrap().policy(staff))
        .mailer(mail.clone())
        .clock(Arc::clone(&clock))
        .build()
        .unwrap();
    let wire = Wire::to(AccessLayer::new(access).layer(Origin::default()), version).await;
    World { wire, mail, clock }
}

impl World {
    /// A new browser, at the page for the code.
    async fn ask(&self) -> (Browser<Wire>, Form, String) {
        // Mail for one address is limited.
        self.clock.advance(Duration::from_secs(3_600));
        let before = self.mail.len();
        let mut browser = Browser::new(self.wire.clone());
        let url = format!("{WIKI}/x");
        let form = support::ask_for_code(&mut browser, &url, "ada@example.com").await;
        (browser, form, self.mail.code(before + 1).await)
    }
}

/// What stands before a code, between its halves, and behind it.
const READ: [(&str, &str, &str); 22] = [
    ("", "", ""),
    ("", " ", ""),
    (" ", "", " "),
    ("", "", "\t"),
    ("", "", "\n"),
    ("", "", "\r\n"),
    ("\n\t ", "", ""),
    ("", "\u{a0}", ""),
    ("", "\u{2009}", ""),
    ("", "\u{202f}", ""),
    ("", "", "\u{3000}"),
    ("\u{200b}", "\u{200b}", "\u{200b}"),
    ("\u{200e}", "", "\u{200f}"),
    ("\u{202a}", "", "\u{202c}"),
    ("\u{2068}", "", "\u{2069}"),
    ("\u{feff}", "", ""),
    ("", "\u{ad}", ""),
    ("", "\u{2060}", "\u{180e}"),
    ("", "-", ""),
    ("", " - ", "\n"),
    ("", "\u{2011}", ""),
    ("", "\u{2013}", ""),
];

#[tokio::test]
async fn otp_07_a_code_is_read_with_what_comes_along_when_it_is_pasted() {
    for version in VERSIONS {
        let world = world(version).await;
        for (before, between, after) in READ {
            let (mut browser, form, code) = world.ask().await;
            let (start, end) = code.split_at(3);
            let typed = format!("{before}{start}{between}{end}{after}");
            let done = form.submit(&mut browser, &[("code", &typed)]).await;
            assert_eq!(done.status(), StatusCode::FOUND, "{typed:?}: {}", done.text);
            let (_, page) = browser.visit(done.location()).await;
            assert!(page.text.starts_with("origin saw"), "{}", page.text);
        }
        let (mut browser, form, code) = world.ask().await;
        let spread: String = code.chars().map(|digit| format!("{digit}\u{200d} ")).collect();
        let done = form.submit(&mut browser, &[("code", &spread)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{spread:?}: {}", done.text);
    }
}

#[tokio::test]
async fn otp_07_what_is_no_code_says_what_one_looks_like_and_costs_nothing() {
    for version in VERSIONS {
        let world = world(version).await;
        let (mut browser, form, code) = world.ask().await;
        let full_width: String = code
            .chars()
            .map(|digit| char::from_u32(u32::from(digit) - u32::from('0') + 0xff10).unwrap())
            .collect();
        let arabic = format!("{}\u{666}", &code[..5]);
        for typed in [
            "",
            " ",
            "\u{200b}",
            &code[..5],
            &format!("{code}1"),
            &format!("{code}a"),
            &format!("+{code}"),
            &format!("-{code}"),
            &format!("{code}-"),
            &format!("{}--{}", &code[..3], &code[3..]),
            &format!("Your code is {code}"),
            &format!("{code}\0"),
            &format!("{code}{}", "\u{200b}".repeat(500)),
            &full_width,
            &format!("{}\u{ff11}", &code[..5]),
            &arabic,
        ] {
            let refused = form.submit(&mut browser, &[("code", typed)]).await;
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{typed:?}");
            let says = refused.text.contains("A code consists of 6 digits")
                && refused.text.contains("3 attempts left")
                && refused.text.contains("name=\"code\"");
            assert!(says, "{typed:?}: {}", refused.text);
        }
        let done = form.submit(&mut browser, &[("code", &code)]).await;
        assert_eq!(done.status(), StatusCode::FOUND, "{}", done.text);
    }
}

#[tokio::test]
async fn otp_07_a_form_without_a_code_or_with_two_is_none() {
    let world = world(VERSIONS[0]).await;
    let (mut browser, form, code) = world.ask().await;
    let missing = form.submit(&mut browser, &[]).await;
    assert_eq!(missing.status(), StatusCode::BAD_REQUEST);
    let twice = form.submit(&mut browser, &[("code", &code), ("code", &code)]).await;
    assert_eq!(twice.status(), StatusCode::BAD_REQUEST);
    let large = form.submit(&mut browser, &[("code", &" ".repeat(1_000_000))]).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn otp_01_a_code_in_another_spelling_is_the_same_guess() {
    let world = world(VERSIONS[0]).await;
    let (mut browser, form, code) = world.ask().await;
    let wrong = support::another_code(&code);
    for (typed, left) in [
        (wrong.clone(), "2 attempts left"),
        (format!("{}-{}", &wrong[..3], &wrong[3..]), "1 attempt left"),
        (format!("\u{feff}{wrong}"), "Too many wrong codes"),
        (code, "Too many wrong codes"),
    ] {
        let refused = form.submit(&mut browser, &[("code", &typed)]).await;
        assert!(refused.text.contains(left), "{typed:?}: {}", refused.text);
    }
}
