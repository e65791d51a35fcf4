//! `check` lists what stays closed on the hosts of `ingress`, and the two ways to mean it.

use tower_access::clock::Timestamp;
use tower_access::inspect::lint::{Finding, LintKind, Severity};
use tower_access::inspect::{CheckReport, check_text};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const SHOP: &str = "{ hostname: shop.example.com, service: 'http://127.0.0.1:8001' }";
const END: &str = "{ service: 'http_status:404' }";

/// A file with these rules, and an application for each of these domains.
fn file(rules: &[&str], domains: &[&str]) -> String {
    let rules: String = rules.iter().map(|rule| format!("  - {rule}\n")).collect();
    let application = |domain: &&str| {
        format!(
            "    - {{ name: '{domain}', domain: '{domain}', policies: [ {{ name: S, decision: allow, \
             include: [ {{ email_domain: {{ domain: example.com }} }} ] }} ] }}\n"
        )
    };
    let applications: String = domains.iter().map(application).collect();
    format!(
        "ingress:\n{rules}access:\n  mail: {{ smtp: {{ host: mail.example.com, from: a@example.com }} \
         }}\n  applications:\n{applications}"
    )
}

fn report(text: &str) -> CheckReport {
    check_text(text, "f", NOW).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

fn closed(report: &CheckReport) -> Vec<&Finding> {
    report.findings().iter().filter(|it| it.id == LintKind::HostPartlyClosed).collect()
}

/// The places that are closed.
fn places(rules: &[&str], domains: &[&str]) -> Vec<String> {
    let report = report(&file(rules, domains));
    closed(&report).iter().map(|it| it.subject.value.clone().unwrap()).collect()
}

#[test]
fn a_host_of_which_a_path_alone_is_an_application() {
    let report = report(&file(&[SHOP, END], &["shop.example.com/admin"]));
    assert!(!report.is_clean());
    let [finding] = closed(&report)[..] else { panic!("{report}") };
    assert_eq!(finding.severity, Severity::Warning);
    assert_eq!(
        finding.to_string(),
        "f:2:17: warning: ingress[0].hostname: every path of `shop.example.com` but `/admin` is \
         closed, because no application covers the rest; to open the rest, add an application \
         with `domain: 'shop.example.com'` (and a `bypass` policy if it is public); to keep it \
         closed, narrow this rule with `path: ^/admin(/|$)` and add `- { hostname: \
         'shop.example.com', service: 'http_status:404' }` after it [host-partly-closed]"
    );
}

/// Whoever does what the finding says has none left.
#[test]
fn both_ways_to_mean_it_end_the_finding() {
    let narrow =
        "{ hostname: shop.example.com, path: '^/admin(/|$)', service: 'http://127.0.0.1:8001' }";
    let rest = "{ hostname: 'shop.example.com', service: 'http_status:404' }";
    assert!(places(&[narrow, rest, END], &["shop.example.com/admin"]).is_empty());
    assert!(places(&[SHOP, END], &["shop.example.com/admin", "shop.example.com"]).is_empty());
    // With the words of the finding, for every kind of path.
    for domains in [
        &["shop.example.com/admin"][..],
        &["shop.example.com/admin/*", "shop.example.com/stock"],
        &["shop.example.com/adm*"],
        &["*.example.com/admin", "shop.example.com/x_1/y-2"],
    ] {
        let report = report(&file(&[SHOP, END], domains));
        let [finding] = closed(&report)[..] else { panic!("{report}") };
        let quoted: Vec<&str> = finding.fix.as_deref().unwrap().split('`').collect();
        let path = quoted.iter().find_map(|text| text.strip_prefix("path: ")).unwrap();
        let rest = quoted.iter().find_map(|text| text.strip_prefix("- ")).unwrap();
        let narrow = SHOP.replace("service", &format!("path: '{path}', service"));
        assert!(places(&[&narrow, rest, END], domains).is_empty(), "{narrow} {rest}");
    }
    // Or the file says that it is meant.
    let text = file(&[SHOP, END], &["shop.example.com/admin"])
        + "lint: { allow: [ { id: host-partly-closed, value: shop.example.com, reason: old paths } ] }\n";
    assert_eq!(closed(&report(&text))[0].suppressed.as_deref(), Some("old paths"));
}

#[test]
fn whole_hosts_and_fixed_answers_are_no_finding() {
    for domains in
        [&["shop.example.com"][..], &["*.example.com", "shop.example.com/x"], &["*.example.com"]]
    {
        assert!(places(&[SHOP, END], domains).is_empty(), "{domains:?}");
    }
    // Nobody covers anything of it: that is another finding.
    let none = report(&file(&[SHOP, END], &["wiki.example.com"]));
    assert!(closed(&none).is_empty());
    assert!(none.to_string().contains("[ingress-without-application]"), "{none}");
}

#[test]
fn it_is_listed_path_by_path_and_host_by_host() {
    let rule = |host: &str, path: &str| {
        format!("{{ hostname: '{host}', path: '{path}', service: 'http://127.0.0.1:8001' }}")
    };
    let rules = [
        rule("shop.example.com", "^/admin(/|$)"),
        rule("shop.example.com", "^/img"),
        rule("shop.example.com", "(?i)^/api/"),
        rule("shop.example.com", r"\\.(css|js)$"),
        rule("shop.example.com", "^/(a|b)"),
    ];
    let mut rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    rules.extend([SHOP, END]);
    assert_eq!(
        places(&rules, &["shop.example.com/admin"]),
        ["shop.example.com/img", "shop.example.com/api", "shop.example.com"]
    );
    let report = report(&file(&rules, &["shop.example.com/admin"]));
    assert!(report.to_string().contains(
        "`shop.example.com/img` is closed, because applications cover only `/admin` of this host"
    ));
    // A host that a wildcard, or a rule without hostname, serves; once, and not where an earlier
    // rule takes it.
    let wild = "{ hostname: '*.example.com', service: 'http://127.0.0.1:8001' }";
    let all = "{ service: 'http://127.0.0.1:8001' }";
    let domains = ["shop.example.com/admin", "wiki.example.com", "a.test/x"];
    assert_eq!(places(&[wild, END], &domains), ["shop.example.com"]);
    assert_eq!(places(&[wild, all], &domains), ["shop.example.com", "a.test"]);
    assert_eq!(places(&[SHOP, wild, END], &domains), ["shop.example.com"]);
    assert_eq!(places(&[wild, END], &["*.example.com/admin"]), ["*.example.com"]);
    assert_eq!(places(&[SHOP, END], &["*.example.com/admin"]), ["shop.example.com"]);
    let upper = SHOP.replace("shop", "SHOP");
    assert_eq!(places(&[&upper, END], &["shop.example.com/admin"]), ["shop.example.com"]);
}

#[test]
fn hosts_of_the_login_need_no_application() {
    let login = |host: &str| format!("{{ hostname: {host}, service: 'http://127.0.0.1:8001' }}");
    let (team, transfer) = (login("Login.example.com"), login("transfer.example.com"));
    let more = "  team_domain: login.example.com\n  transfer_host: transfer.example.com\n";
    let text = file(&[&team, &transfer, SHOP, END], &["shop.example.com"]) + more;
    let report = report(&text);
    assert!(report.is_clean(), "{report}");
    assert!(!report.to_string().contains("closed"), "{report}");
    assert!(report.config().uncovered_hostnames().is_empty());
}

#[test]
fn many_hosts_and_paths_are_bounded() {
    let domains: Vec<String> = (0..300).map(|n| format!("h{n}.example.com/admin")).collect();
    let domains: Vec<&str> = domains.iter().map(String::as_str).collect();
    let all = "{ service: 'http://127.0.0.1:8001' }";
    assert_eq!(places(&[all], &domains).len(), 100);
    let paths: Vec<String> = (0..20).map(|n| format!("shop.example.com/p{n}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let report = report(&file(&[SHOP, END], &paths));
    let [finding] = closed(&report)[..] else { panic!("{report}") };
    assert!(finding.message.contains("`/p15` and 12 more is closed"), "{finding}");
}
