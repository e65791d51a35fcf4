//! What policies, files and addresses mean at their edges.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower::Layer;
use tower_access::address::{PeerAddress, TrustedProxies, client_address};
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::config::{Config, NoteKind};
use tower_access::explain::Question;
use tower_access::inspect::lint::LintKind;
use tower_access::inspect::{Deployment, check_text};
use tower_access::policy::{Outcome, Policy, Rule};
use tower_access::{Access, AccessLayer};

use crate::support::{Origin, clock, send};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const ADA: &str =
    "{ name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] }";

fn file(applications: &str) -> String {
    format!("access: {{ mail: console, applications: [ {applications} ] }}")
}

// === policies ===

/// POL-16, POL-17, POL-19: there are no rules about times or bodies, and no policy that only watches.
/// What asks for one is refused by name, never skipped.
#[test]
fn pol_16_pol_17_pol_19_what_is_not_there_is_refused() {
    for rule in [
        json!({ "time": { "after": "22:00", "before": "06:00" } }),
        json!({ "schedule": { "zone": "Europe/Paris" } }),
        json!({ "weekday": { "weekday": "monday" } }),
        json!({ "body": { "contains": "x" } }),
        json!({ "method": { "method": "GTE" } }),
        json!({ "protocol": { "protocol": "htps" } }),
    ] {
        for list in ["include", "require", "exclude"] {
            let mut policy = json!({ "name": "p", "decision": "allow", "include": [] });
            policy[list] = json!([rule]);
            let error = serde_json::from_value::<Policy>(policy).unwrap_err().to_string();
            assert!(error.contains("is not a selector"), "{error}");
        }
    }
    for key in ["shadow", "dry_run", "report_only", "enforce", "log_only"] {
        let mut policy =
            json!({ "name": "p", "decision": "deny", "include": [{ "everyone": {} }] });
        policy[key] = json!(true);
        assert!(serde_json::from_value::<Policy>(policy).is_err(), "{key}");
    }
    for decision in ["log", "shadow", "audit", "Allow", "ALLOW", ""] {
        let policy = json!({ "name": "p", "decision": decision, "include": [{ "everyone": {} }] });
        assert!(serde_json::from_value::<Policy>(policy).is_err(), "{decision}");
    }
}

/// What no application covers is closed, and the proxy's last rule covers everything.
#[tokio::test]
async fn pol_20_what_no_application_covers_is_closed() {
    let text = file(&format!(
        "{{ domain: a.example.com/docs, policies: [ {{ name: O, decision: bypass, include: [ {{ everyone: {{}} }} ] }} ] }}, \
         {{ domain: b.example.com, policies: [ {ADA} ] }}"
    ));
    let deployment = Deployment::parse(&text, "access.yml").unwrap();
    let service = AccessLayer::new(Config::parse(&text, "access.yml").unwrap().access().unwrap())
        .layer(Origin::default());
    for (host, path, open) in [
        ("a.example.com", "/docs", true),
        ("a.example.com", "/docs/x", true),
        ("a.example.com", "/", false),
        ("a.example.com", "/docs2", false),
        ("c.example.com", "/docs", false),
        ("example.com", "/docs", false),
        ("x.a.example.com", "/docs", false),
        ("192.0.2.1", "/docs", false),
        ("localhost", "/docs", false),
    ] {
        for method in ["GET", "POST", "OPTIONS", "HEAD"] {
            let request = Request::builder().method(method).uri(path).header("host", host);
            let answer = send(&service, request.body(Full::default()).unwrap()).await;
            assert_eq!(answer.status() == StatusCode::OK, open, "{method} {host}{path}");
        }
        let said = deployment.explain(&Question::new(format!("https://{host}{path}")), NOW).outcome;
        assert_eq!(said == Outcome::Bypassed, open, "{host}{path}");
    }
    let ingress =
        |rules: &str| Config::parse(&format!("ingress: [ {rules} ]\n{text}"), "access.yml");
    let one = "{ hostname: a.example.com, service: 'http://127.0.0.1:9' }";
    let errors = ingress(one).unwrap_err().to_string();
    assert!(errors.contains("the last rule must match all URLs"), "{errors}");
    assert!(ingress(&format!("{one}, {{ service: 'http_status:404' }}")).is_ok());
}

/// CFG-10: a rule that never matches, an opening beside what is kept closed, a wildcard that misses
/// what is above it: each is a finding with an id.
#[test]
fn cfg_10_openings_that_are_not_meant_are_findings_with_ids() {
    let found = |applications: &str| -> Vec<LintKind> {
        let report = check_text(&file(applications), "access.yml", NOW).unwrap();
        let of_interest = |id: &LintKind| *id != LintKind::WeakenedDefault;
        report.findings().iter().map(|finding| finding.id).filter(of_interest).collect()
    };
    let open = "{ name: O, decision: bypass, include: [ { everyone: {} } ] }";
    let app =
        |domain: &str, policy: &str| format!("{{ domain: '{domain}', policies: [ {policy} ] }}");
    let both = |one: (&str, &str), two: (&str, &str)| {
        format!("{}, {}", app(one.0, one.1), app(two.0, two.1))
    };
    let shop = "shop.example.com";
    for (applications, id) in [
        (both(("shop.example.com/admin", ADA), (shop, open)), LintKind::PathLeavesSiblingOpen),
        (both(("shop.example.com/admin/*", ADA), (shop, open)), LintKind::PathLeavesParentOpen),
        (app("*.example.com", ADA), LintKind::HostLeavesApexOpen),
        (app(shop, &format!("{open}, {ADA}")), LintKind::PolicyShadowed),
        (
            app(
                shop,
                &ADA.replace(
                    "} } ]",
                    "} } ], exclude: [ { email_domain: { domain: example.com } } ]",
                ),
            ),
            LintKind::PolicyNeverApplies,
        ),
        (
            app(shop, &ADA.replace("} } ]", "} }, { login_method: { id: okta } } ]")),
            LintKind::RuleNeverMatches,
        ),
    ] {
        let mut kinds = found(&applications);
        // What other spellings of the paths come to is noted beside it.
        kinds.retain(|kind| *kind != LintKind::LetterCaseRefused);
        assert_eq!(kinds, [id], "{applications}");
        assert!(!id.as_str().is_empty());
    }
    assert_eq!(found(&both((shop, ADA), ("example.com", open))), []);
}

// === files ===

/// A file as an editor of another system writes it.
#[test]
fn a_byte_order_mark_and_carriage_returns_change_nothing_and_utf_16_is_refused() {
    let text = format!(
        "# by a script\ntunnel: 11111111-2222-3333-4444-555555555555\ncredentials-file: \
         C:\\Users\\ada\\.cloudflared\\t.json\n\ningress:\n  - hostname: a.example.com\n    service: \
         http://localhost:5678\n  - service: http_status:404\n{}\n",
        file(&format!("{{ name: A, domain: a.example.com, policies: [ {ADA} ] }}"))
    );
    let path =
        std::env::temp_dir().join(format!("tower-access-encoding-{}.yml", std::process::id()));
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let loaded = Config::load(&path);
        std::fs::remove_file(&path).unwrap();
        loaded
    };
    let lines = text.replace('\n', "\r\n");
    let plain = load(text.as_bytes()).unwrap();
    for written in
        [text.clone(), lines.clone(), format!("\u{feff}{text}"), format!("\u{feff}{lines}")]
    {
        let config = load(written.as_bytes()).unwrap();
        assert_eq!(config.ingress[0].hostname, plain.ingress[0].hostname);
        assert_eq!(config.ingress[0].service, "http://localhost:5678");
        assert_eq!(config.access.applications[0].name(), "A");
        let without_effect: Vec<&str> = config
            .notes()
            .iter()
            .filter(|note| note.kind() == NoteKind::HasNoEffect)
            .map(|note| note.key())
            .collect();
        assert_eq!(without_effect, ["tunnel", "credentials-file"]);
    }
    let wide = |text: &str, little: bool| -> Vec<u8> {
        let bytes = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    };
    let marked = format!("\u{feff}{lines}");
    for bytes in [
        wide(&marked, true),
        wide(&marked, false),
        lines.replace("ada", "ad\u{e0}").chars().map(|c| u8::try_from(c).unwrap()).collect(),
    ] {
        let errors = load(&bytes).unwrap_err().to_string();
        assert!(errors.contains("UTF-8"), "{errors}");
    }
    for bytes in [wide(&lines, true), wide(&lines, false)] {
        let errors = load(&bytes).unwrap_err().to_string();
        assert!(errors.lines().count() == 1 && errors.contains("UTF-8"), "{errors}");
    }
}

/// CFG-09: nobody is taken for somebody without proof: there is no such mode. What there is for trying
/// out is said loudly: codes that are printed, and a name that only this machine answers to.
#[tokio::test]
async fn cfg_09_there_is_no_mode_in_which_identities_are_made_up() {
    for key in
        ["development", "dev_mode", "mock_identity", "insecure_identity", "debug", "fake_user"]
    {
        for place in [format!("{key}: true\naccess:"), format!("access:\n  {key}: true")] {
            let text = format!(
                "{place}\n  mail: console\n  applications: [ {{ domain: a.example, policies: [ {ADA} ] }} ]\n"
            );
            let errors = Config::parse(&text, "access.yml").unwrap_err().to_string();
            assert!(errors.contains("unknown key"), "{errors}");
        }
    }
    let text = file(&format!(
        "{{ domain: localhost, policies: [ {ADA} ] }}, {{ domain: a.example.com, policies: [ {ADA} ] }}"
    ));
    let config = Config::parse(&text, "access.yml").unwrap();
    let mut notes = config.notes().iter();
    assert!(notes.any(|note| note.kind() == NoteKind::Weakens && note.key() == "access.mail"));
    // Where nothing is said, the proxy listens on this machine alone.
    assert!(config.listen.ip().is_loopback());
    let service = AccessLayer::new(config.access().unwrap()).layer(Origin::default());
    for host in ["localhost", "a.example.com"] {
        for address in ["127.0.0.1", "192.0.2.7"] {
            let request = Request::builder()
                .uri("/")
                .header("host", host)
                .header("cf-access-authenticated-user-email", "ada@example.com")
                .extension(PeerAddress(address.parse().unwrap()))
                .body(Full::default())
                .unwrap();
            assert_ne!(send(&service, request).await.status(), StatusCode::OK, "{host} {address}");
        }
    }
}

// === addresses ===

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn proxies() -> TrustedProxies {
    let networks = ["10.0.0.0/8", "127.0.0.0/8", "fd00::/8"];
    TrustedProxies::new(networks.map(|network| network.parse().unwrap())).unwrap()
}

fn behind_proxy(lines: &[(&'static str, &str)]) -> Option<IpAddr> {
    client_address(Some("10.0.0.1".parse().unwrap()), &headers(lines), &proxies())
}

/// `Forwarded` is read by nobody, in no spelling: it makes no address known.
#[test]
fn ip_04_forwarded_makes_no_address_known() {
    for value in [
        "for=192.0.2.7",
        "for=\"1.1.1.1, 10.0.0.1\";proto=https",
        "for=192.0.2.7;for=10.0.0.1",
        "for=\"[2001:db8::1]:443\"",
        "for=\"\\\"192.0.2.7\\\"\"",
        "For=192.0.2.7, for=198.51.100.1",
        "for=\"192.0.2.7",
        "for=_hidden",
        "192.0.2.7",
    ] {
        assert_eq!(behind_proxy(&[("forwarded", value)]), None, "{value}");
        let both = [("forwarded", value), ("x-forwarded-for", "198.51.100.9")];
        assert_eq!(behind_proxy(&both), "198.51.100.9".parse().ok(), "{value}");
        let peer = "203.0.113.9".parse().ok();
        assert_eq!(client_address(peer, &headers(&[("forwarded", value)]), &proxies()), peer);
        // Nor is its grammar read in the other header: a quoted comma hides nothing.
        assert_eq!(behind_proxy(&[("x-forwarded-for", value)]).is_some(), value == "192.0.2.7");
    }
}

#[test]
fn ip_03_ip_05_spellings_of_forwarded_addresses() {
    for (text, expected) in [
        ("192.0.2.7:4711", Some("192.0.2.7")),
        ("[2001:db8:1::7]", Some("2001:db8:1::7")),
        ("[2001:db8:1::7]:443", Some("2001:db8:1::7")),
        ("2001:DB8:1:0:0:0:0:7", Some("2001:db8:1::7")),
        ("::ffff:192.0.2.7", Some("192.0.2.7")),
        ("[::ffff:192.0.2.7]:80", Some("192.0.2.7")),
        ("192.0.2.7, 127.0.0.1:5555", Some("192.0.2.7")),
        ("192.0.2.7,\t[::ffff:127.0.0.1]:1", Some("192.0.2.7")),
        ("192.0.2.7, [fd00::1]:8080", Some("192.0.2.7")),
        ("198.51.100.1, 192.0.2.7", Some("192.0.2.7")),
        ("192.0.2.7,", None),
        ("192.0.2.7, ", None),
        (",", None),
        ("2001:db8:1::7%eth0", None),
        ("[2001:db8:1::7%eth0]:443", None),
        ("2001:db8:1::7:443:1:2:3:4", None),
        ("[2001:db8:1::7", None),
        ("2001:db8:1::7]", None),
        ("[192.0.2.7]", None),
        ("192.0.2.7:", None),
        ("192.0.2.7:99999", None),
        ("192.0.2.7:-1", None),
        ("192.0.2.07", None),
        ("0xc0.0.2.7", None),
        ("3221225991", None),
        ("192.0.2", None),
        ("localhost", None),
        ("127.0.0.1", None),
        ("\"192.0.2.7\"", None),
        ("192.0.2.7 127.0.0.1", None),
    ] {
        let expected = expected.map(|address| address.parse().unwrap());
        assert_eq!(behind_proxy(&[("x-forwarded-for", text)]), expected, "{text}");
    }
}

fn app(policy: Policy) -> impl FnOnce() -> AccessLayer {
    move || {
        let access = Access::builder()
            .clock(clock())
            .trusted_proxies(proxies())
            .application(Application::new("App", "app.example").unwrap().policy(policy))
            .build()
            .unwrap();
        AccessLayer::new(access)
    }
}

/// A peer without an address (a Unix socket, a program that does not say): unknown. No header speaks
/// for it, and no rule about networks opens, whichever way it is written.
#[tokio::test]
async fn ip_07_a_peer_without_an_address_is_unknown() {
    let network = || Rule::ip("192.0.2.0/24").unwrap();
    let everywhere = || [Rule::ip("0.0.0.0/0").unwrap(), Rule::ip("::/0").unwrap()];
    let [v4, v6] = everywhere();
    for (policy, at_home) in [
        (Policy::bypass("p").include(network()), true),
        (Policy::bypass("p").include(v4).include(v6), true),
        (Policy::bypass("p").include(Rule::everyone()).require(network()), true),
        (
            Policy::bypass("p")
                .include(Rule::everyone())
                .exclude(Rule::ip("198.51.100.0/24").unwrap()),
            true,
        ),
    ] {
        let service = app(policy.clone())().layer(Origin::default());
        let ask = |peer: Option<&str>, forwarded: Option<&str>| {
            let mut request = Request::builder().uri("/").header("host", "app.example");
            if let Some(peer) = peer {
                request = request.extension(PeerAddress(peer.parse().unwrap()));
            }
            if let Some(forwarded) = forwarded {
                request = request.header("x-forwarded-for", forwarded);
            }
            let request = request.body(Full::default()).unwrap();
            let service = service.clone();
            async move { send(&service, request).await.status() == StatusCode::OK }
        };
        assert_eq!(ask(Some("192.0.2.7"), None).await, at_home, "{policy:?}");
        assert!(!ask(None, None).await, "{policy:?}");
        assert!(!ask(None, Some("192.0.2.7")).await, "{policy:?}");
        assert!(!ask(Some("10.0.0.1"), Some("192.0.2.7,")).await, "{policy:?}: unknown");
        assert!(ask(Some("10.0.0.1"), Some("192.0.2.7:80")).await, "{policy:?}");
    }
}
