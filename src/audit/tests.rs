use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::subscriber::{NoSubscriber, with_default};

use super::{Application, Disclosed, Event, EventKind, RevocationScope, record};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What `fmt` prints of an event: level, target, message, fields.
fn printed(event: &Event<'_>) -> String {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .without_time()
        .with_writer(move || writer.clone())
        .finish();
    with_default(subscriber, || record(event));
    String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
}

/// One event of each kind, and the line it makes.
fn samples() -> Vec<(Event<'static>, &'static str)> {
    let of = Event::new;
    let wiki = Application { id: "wiki-1", name: "Wiki" };
    let address = Some([192, 0, 2, 7].into());
    vec![
        (
            of(EventKind::LoginRequired)
                .reference("0f")
                .application(wiki)
                .host("wiki.example")
                .token_error(Some("expired"))
                .address(address),
            "DEBUG tower_access::audit: login required event=\"login_required\" reference=\"0f\" \
             application=\"Wiki\" application_id=\"wiki-1\" host=\"wiki.example\" \
             token=\"expired\" address=192.0.2.7",
        ),
        (
            of(EventKind::RequestRefused)
                .reference("0f")
                .reason(&"no policy lets this identity in")
                .application(wiki)
                .email("ada@example.com")
                .address(None)
                .verdict(Some(&"7c1e93b2-2-denied")),
            " INFO tower_access::audit: refused event=\"request_refused\" reference=\"0f\" \
             reason=\"no policy lets this identity in\" application=\"Wiki\" \
             application_id=\"wiki-1\" email=\"ada@example.com\" address=unknown \
             verdict=\"7c1e93b2-2-denied\"",
        ),
        (
            of(EventKind::TooManyAttempts).reference("0f").address(address),
            "DEBUG tower_access::audit: refused unchecked: too many failed attempts \
             event=\"too_many_attempts\" reference=\"0f\" address=192.0.2.7",
        ),
        (
            of(EventKind::RequestPanicked).reference("0f").reason(&"internal error"),
            "ERROR tower_access::audit: refused: a panic, in a callback or in this crate; the panic \
             hook has reported where event=\"request_panicked\" reference=\"0f\" \
             reason=\"internal error\"",
        ),
        (
            of(EventKind::OptionsPassed).application(wiki).address(address),
            "DEBUG tower_access::audit: an OPTIONS request is allowed without a check \
             event=\"options_passed\" application=\"Wiki\" application_id=\"wiki-1\" \
             address=192.0.2.7",
        ),
        (
            of(EventKind::FactsMissing { facts: &"country,risk_score" }).reference("0f"),
            " WARN tower_access::audit: rules need facts that no source provides \
             event=\"facts_missing\" reference=\"0f\" missing=\"country,risk_score\"",
        ),
        (
            of(EventKind::ClaimUnusable { claim: &"email", why: &"is too long" }).user_id("u-1"),
            " INFO tower_access::audit: a claim of a valid token is unusable: treated as \
             unknown event=\"claim_unusable\" user_id=\"u-1\" claim=\"email\" why=\"is too long\"",
        ),
        (
            of(EventKind::ResponseClosed).host("wiki.example").email("ada@example.com"),
            " INFO tower_access::audit: response closed: access revoked \
             event=\"response_closed\" host=\"wiki.example\" email=\"ada@example.com\"",
        ),
        (
            of(EventKind::PinRequested { is_eligible: false, digits: 6, is_shared: true })
                .application(wiki)
                .email("ada@example.com"),
            " INFO tower_access::audit: one-time PIN requested event=\"pin_requested\" \
             application=\"Wiki\" application_id=\"wiki-1\" email=\"ada@example.com\" \
             eligible=false digits=6 shared=true",
        ),
        (
            of(EventKind::MailQueued).application(wiki).email("ada@example.com"),
            " INFO tower_access::audit: mail queued event=\"mail_queued\" application=\"Wiki\" \
             application_id=\"wiki-1\" email=\"ada@example.com\"",
        ),
        (
            of(EventKind::MailSent { attempts: 2 }).email("ada@example.com"),
            " INFO tower_access::audit: mail sent event=\"mail_sent\" email=\"ada@example.com\" attempts=2",
        ),
        (
            of(EventKind::MailFailed { outcome: "expired", attempts: 9 }).email("ada@example.com"),
            " WARN tower_access::audit: mail not sent event=\"mail_failed\" email=\"ada@example.com\" \
             outcome=\"expired\" attempts=9",
        ),
        (
            of(EventKind::ShortPinIgnored).address(address),
            " WARN tower_access::audit: too many wrong codes: short codes are ignored, \
             longer codes are mailed event=\"short_pin_ignored\" address=192.0.2.7",
        ),
        (
            of(EventKind::LoginSucceeded).session_id("q2ZkWf0yTn9sVb3L").login_method("onetimepin"),
            " INFO tower_access::audit: logged in event=\"login_succeeded\" \
             session=\"5ed64d03cb1bfde703ab2b93013eeba1\" login_method=\"onetimepin\"",
        ),
        (
            of(EventKind::LoginDenied).email("o'brien@example.com"),
            " INFO tower_access::audit: login refused: no policy allows this user \
             event=\"login_denied\" email=\"o'brien@example.com\"",
        ),
        (
            of(EventKind::LoginRefused).reference("0f"),
            " INFO tower_access::audit: login refused before it began event=\"login_refused\" \
             reference=\"0f\"",
        ),
        (
            of(EventKind::LoginImpossible),
            " WARN tower_access::audit: login impossible: none of the application's login methods is \
             configured event=\"login_impossible\"",
        ),
        (
            of(EventKind::LoginTimedOut { limit: Duration::from_secs(20) }),
            "ERROR tower_access::audit: a login step timed out: the store or another service did \
             not respond event=\"login_timed_out\" limit=20s",
        ),
        (
            of(EventKind::LoginPanicked),
            "ERROR tower_access::audit: responded with 500: a panic, in a callback or in this crate; \
             the panic hook has reported where event=\"login_panicked\"",
        ),
        (
            of(EventKind::ClientApproved { with_session: true }),
            " INFO tower_access::audit: a command-line client was approved \
             event=\"client_approved\" with_session=true",
        ),
        (of(EventKind::LoggedOut), " INFO tower_access::audit: logged out event=\"logged_out\""),
        (
            of(EventKind::SessionEnded { why: "refused by the identity provider" }),
            " INFO tower_access::audit: session ended event=\"session_ended\" \
             why=\"refused by the identity provider\"",
        ),
        (
            of(EventKind::AttributesChanged),
            " INFO tower_access::audit: the identity provider has changed the attributes of a user \
             event=\"attributes_changed\"",
        ),
        (
            of(EventKind::Revoked { scope: RevocationScope::Application { audience: "a1" } }),
            " INFO tower_access::audit: revoked event=\"revoked\" scope=\"application\" \
             audience=\"a1\"",
        ),
        (
            of(EventKind::SigningKeyReplaced { key_id: "k", signs_from: 7 }),
            " INFO tower_access::audit: the signing key was replaced \
             event=\"signing_key_replaced\" key_id=\"k\" signs_from=7",
        ),
        (
            of(EventKind::StateRestored { service_tokens: 2 }),
            " WARN tower_access::audit: the state was restored: all sessions are ended, the signing \
             key is new, and service tokens of the store are deleted event=\"state_restored\" \
             service_tokens=2",
        ),
        (
            of(EventKind::Administration { action: Some("reload"), about: None, status: 200 }),
            " INFO tower_access::audit: administration event=\"administration\" \
             action=\"reload\" status=200",
        ),
        (
            of(EventKind::AdministrationRefused { status: 403 }),
            " WARN tower_access::audit: administration refused event=\"administration_refused\" \
             status=403",
        ),
        (
            of(EventKind::ConfigurationReplaced {
                file: Path::new("/etc/access.yml"),
                version: "1f",
                applications: 1,
                policies: 2,
                service_tokens: 3,
                ingress_rules: 4,
                open_without_login: 5,
            }),
            " INFO tower_access::audit: the configuration was replaced \
             event=\"configuration_replaced\" file=\"/etc/access.yml\" version=\"1f\" \
             applications=1 policies=2 service_tokens=3 ingress_rules=4 open_without_login=5",
        ),
        (
            of(EventKind::ConfigurationRejected { error: "a.yml:1:1: unknown key" }),
            "ERROR tower_access::audit: the new configuration was rejected; the present one stays active \
             event=\"configuration_rejected\" error=\"a.yml:1:1: unknown key\"",
        ),
        (
            of(EventKind::ServiceTokenRefused).service_token("ci").reason(&"it has expired"),
            " INFO tower_access::audit: service token refused event=\"service_token_refused\" \
             reason=\"it has expired\" service_token=\"ci\"",
        ),
        (
            of(EventKind::ServiceTokenGuessed).service_token("ci"),
            " WARN tower_access::audit: too many wrong secrets are sent for a service token: \
             further ones of this minute are not logged event=\"service_token_guessed\" \
             service_token=\"ci\"",
        ),
        (
            of(EventKind::ServiceTokensUnknown),
            " WARN tower_access::audit: too many service tokens are sent that do not exist: further \
             ones of this minute are not logged event=\"service_tokens_unknown\"",
        ),
        (
            of(EventKind::ServiceTokenExpiring { id: "t", hours_left: 5 }).service_token("ci"),
            " WARN tower_access::audit: a service token expires soon: refresh or replace it \
             event=\"service_token_expiring\" service_token=\"ci\" id=\"t\" hours_left=5",
        ),
        (
            of(EventKind::ServiceTokenChanged {
                id: "t",
                name: "ci",
                client_id: "c.access",
                what: "made",
            }),
            " INFO tower_access::audit: a service token was changed \
             event=\"service_token_changed\" id=\"t\" name=\"ci\" client_id=\"c.access\" \
             what=\"made\"",
        ),
        (
            of(EventKind::ServiceTokenDeleted { id: "t" }),
            " INFO tower_access::audit: a service token was deleted \
             event=\"service_token_deleted\" id=\"t\"",
        ),
    ]
}

#[test]
fn each_kind_makes_its_line() {
    for (event, line) in samples() {
        assert_eq!(printed(&event), format!("{line}\n"));
    }
}

#[test]
fn each_kind_has_a_name_of_its_own() {
    let names: Vec<_> = samples().iter().map(|(event, _)| event.kind.as_str()).collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len());
}

#[test]
fn revocations_say_what_was_revoked() {
    for (scope, expected) in [
        (RevocationScope::Session, "session"),
        (RevocationScope::Person, "person"),
        (RevocationScope::Everything, "everything"),
    ] {
        let line = printed(&Event::new(EventKind::Revoked { scope }));
        assert!(line.ends_with(&format!(" scope=\"{expected}\"\n")), "{line}");
    }
}

/// OBS-01: a value is one value of one line, whatever stands in it.
#[test]
fn obs_01_no_value_forges_a_field_or_a_line() {
    for text in [
        "\n INFO tower_access::audit: FORGED",
        "\r\nFORGED",
        "x\" FORGED=\"1",
        "x FORGED=1",
        "\u{1b}[31m FORGED=1",
        "\u{2028}FORGED=1",
        "\u{202e}FORGED=1",
        "\u{0}",
    ] {
        let of = Event::new(EventKind::RequestRefused);
        let application = Application { id: text, name: text };
        for event in [
            of.reference(text),
            of.application(application),
            of.host(text),
            of.email(text),
            of.user_id(text),
            of.login_method(text),
            of.service_token(text),
            Event::new(EventKind::ConfigurationRejected { error: text }),
            Event::new(EventKind::Administration { action: None, about: Some(text), status: 404 }),
            Event::new(EventKind::ServiceTokenDeleted { id: text }),
            Event::new(EventKind::ConfigurationReplaced {
                file: Path::new(text),
                version: text,
                applications: 0,
                policies: 0,
                service_tokens: 0,
                ingress_rules: 0,
                open_without_login: 0,
            }),
        ] {
            let line = printed(&event);
            let line = line.strip_suffix('\n').unwrap();
            let hostile = ['\u{2028}', '\u{202e}'];
            assert!(!line.contains(|c: char| c.is_control() || hostile.contains(&c)), "{line}");
            // What stands outside of quotes is ours.
            let unescaped = line.replace("\\\\", "").replace("\\\"", "");
            let outside: String = unescaped.split('"').step_by(2).collect();
            assert!(!outside.contains("FORGED"), "{line}");
        }
    }
}

#[test]
fn an_address_that_looks_like_another_is_escaped() {
    let line = printed(&Event::new(EventKind::LoginDenied).email("\u{430}da@example.com"));
    assert!(line.contains("u{430}da@example.com"), "{line}");
}

#[test]
fn nothing_is_formatted_while_nobody_listens() {
    struct Counted(Cell<u32>);

    impl fmt::Display for Counted {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            Ok(())
        }
    }

    impl Disclosed for Counted {}

    let reason = Counted(Cell::new(0));
    let event = Event::new(EventKind::RequestRefused).reason(&reason).verdict(Some(&reason));
    with_default(NoSubscriber::new(), || record(&event));
    assert_eq!(reason.0.get(), 0);
    assert!(!printed(&event).is_empty());
    assert_eq!(reason.0.get(), 2);
}
