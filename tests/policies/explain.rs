//! Explanations: of a running engine, which have to agree with its verdicts, and of a file.

use http::{Request, StatusCode};
use http_body_util::Full;
use tower::Layer;
use tower_access::address::PeerAddress;
use tower_access::application::{Application, NotSelectedReason};
use tower_access::clock::Timestamp;
use tower_access::explain::{Question, RequestExplanation, SimulatedCertificate};
use tower_access::inspect::Deployment;
use tower_access::policy::{Group, Outcome, Policy, PolicyResult, Rule, RuleResult, Verdict};
use tower_access::test_util::TestIssuer;
use tower_access::{AccessLayer, headers};

use crate::support::{NOW, Origin, send};

const FILE: &str = "
access:
  mail: console
  lists:
    - { name: board, type: EMAIL, items: [ ada@example.com ] }
  groups:
    - { id: g1, name: office, include: [ { ip: { ip: 192.0.2.0/24 } } ], exclude: [ { geo: { country_code: KP } } ] }
  service_tokens:
    - { name: ci, client_id: ci.access, client_secret_hash: 'sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971', expires_at: 2026-10-01T00:00:00Z }
    - { name: off, client_id: off.access, client_secret_hash: 'sha256:3d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971', enabled: false }
  policies:
    - { id: p1, name: Staff, decision: allow, include: [ { email_list: { id: board } } ], require: [ { group: { id: office } } ] }
  applications:
    - name: Wiki
      domain: wiki.example.com
      policies: [ Staff, { name: Machines, decision: non_identity, include: [ { any_valid_service_token: {} } ] } ]
    - name: Open
      domain: wiki.example.com/public
      policies: [ { name: open, decision: bypass, include: [ { everyone: {} } ] } ]
tests:
  - name: staff in the office
    request: { url: 'https://wiki.example.com/x', ip: 192.0.2.7, country: FR }
    identity: { email: ada@example.com }
    expect: allowed
    policy: p1
    application: Wiki
  - name: staff \"at\" <home>
    request: { url: 'https://wiki.example.com/x', ip: 203.0.113.7, country: FR }
    identity: { email: ada@example.com }
    expect: allowed
    policy: Staff
  - request: { url: wiki.example.com/public/a }
    expect: bypassed
    application: Open
  - request: { url: wiki.example.com }
    expect: login_required
";

fn deployment() -> Deployment {
    Deployment::parse(FILE, "access.yml").unwrap_or_else(|errors| panic!("{errors}"))
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

fn explain(question: &Question) -> RequestExplanation {
    deployment().explain(question, now())
}

fn ada(url: &str) -> Question {
    Question::new(url).with_email("ada@example.com".parse().unwrap())
}

#[tokio::test]
async fn pol_18_an_explanation_has_the_id_of_the_verdict_of_a_live_request() {
    let issuer = TestIssuer::new();
    let staff = Group::new("staff").include(Rule::email_domain("example.com").unwrap());
    let application = Application::new("Wiki", "wiki.example.com")
        .unwrap()
        .audience(TestIssuer::AUDIENCE.parse().unwrap())
        .policy(Policy::deny("mallory").include(Rule::email("mallory@example.com").unwrap()))
        .policy(
            Policy::allow("staff")
                .include(Rule::group("staff"))
                .require(Rule::ip("192.0.2.0/24").unwrap()),
        );
    let open = Application::new("Open", "wiki.example.com/public")
        .unwrap()
        .policy(Policy::bypass("open").include(Rule::everyone()));
    let access = issuer
        .verifier_builder()
        .application(application)
        .application(open)
        .group(staff)
        .build()
        .unwrap();
    let origin = Origin::default();
    let service = AccessLayer::new(access.clone()).layer(origin.clone());
    let mut ids = std::collections::HashSet::new();
    for (path, email, address, outcome) in [
        ("/", None, "192.0.2.1", Outcome::LoginRequired),
        ("/", None, "203.0.113.1", Outcome::Denied),
        ("/", Some("ada@example.com"), "192.0.2.1", Outcome::Allowed),
        ("/", Some("ada@example.com"), "203.0.113.1", Outcome::Denied),
        ("/", Some("mallory@example.com"), "192.0.2.1", Outcome::Denied),
        ("/public/%61", Some("ada@example.com"), "203.0.113.1", Outcome::Bypassed),
    ] {
        let url = format!("https://wiki.example.com{path}");
        let mut request = Request::get(&url).body(Full::default()).unwrap();
        request.extensions_mut().insert(PeerAddress(address.parse().unwrap()));
        if let Some(email) = email {
            let token = issuer.token_for(email).parse().unwrap();
            request.headers_mut().insert(headers::JWT_ASSERTION, token);
        }
        let calls = origin.count();
        let answer = send(&service, request).await;
        let verdict = answer.parts.extensions.get::<Verdict>().unwrap();

        let mut question = Question::new(&url).with_address(address.parse().unwrap());
        question.identity.email = email.map(|email| email.parse().unwrap());
        let explained = access.explain(&question);
        assert_eq!(verdict.outcome(), outcome, "{explained}");
        assert_eq!(explained.outcome, outcome, "{explained}");
        assert_eq!(explained.id, verdict.id(), "{explained}");
        assert_eq!(
            explained.deciding_policy().map(|policy| &*policy.name),
            verdict.policy().map(|policy| policy.name()),
        );
        assert_eq!(origin.count() - calls, usize::from(outcome.grants_access()));
        ids.insert(verdict.id());
    }
    assert_eq!(ids.len(), 5, "two of the six are refused by no policy");
}

#[test]
fn every_rule_is_told_with_what_it_came_to() {
    let explained =
        explain(&ada("https://wiki.example.com/docs").with_address([192, 0, 2, 9].into()));
    assert_eq!(explained.outcome, Outcome::Denied);
    assert_eq!(
        explained.reason,
        "no policy applies; `Staff` could, but the country of the client's address is not known"
    );
    assert_eq!(explained.application.as_ref().unwrap().name, "Wiki");
    assert_eq!(explained.other_applications[0].why, NotSelectedReason::PathDiffers);
    let policies = &explained.explanation.as_ref().unwrap().policies;
    // Service Auth is asked first, whatever the order in the file.
    assert_eq!((&*policies[0].name, policies[0].result), ("Machines", PolicyResult::NotMet));
    assert_eq!(policies[1].result, PolicyResult::NotMetForWantOfFacts);
    assert_eq!(policies[1].include[0].result, RuleResult::Hit);
    let group = policies[1].require[0].group.as_ref().unwrap();
    assert_eq!(group.include[0].result, RuleResult::Hit);
    assert_eq!(group.exclude[0].result, RuleResult::Missing);
    assert_eq!(
        explained.to_string().lines().skip(10).collect::<Vec<_>>().join("\n"),
        "  allow `Staff`: a fact is missing: does not apply
    include
      hit  email_list board
    require
      ?    group office (the country of the client's address is not known)
           include
             hit  ip 192.0.2.0/24
           exclude
             ?    geo KP (the country of the client's address is not known)

verdict "
            .to_owned()
            + &explained.id.unwrap().to_string()
    );
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["outcome"], "denied");
    assert_eq!(json["explanation"]["policies"][1]["require"][0]["missing"], "country");
    assert_eq!(json["other_applications"][0]["why"]["reason"], "path_differs");
}

#[test]
fn addresses_are_read_as_the_layers_read_them() {
    for (url, outcome, reason) in [
        ("https://wiki.example.com/public/a", Outcome::Bypassed, "applies"),
        ("WIKI.example.com.:8443/public?x=/", Outcome::Bypassed, "applies"),
        ("https://wiki.example.com/public/../x", Outcome::Denied, "dot segment"),
        ("https://wiki.example.com/public%2fx", Outcome::Denied, "encoded slash"),
        ("https://other.example.com/", Outcome::Denied, "no application covers this host and path"),
        ("https://user@wiki.example.com/", Outcome::Denied, "the host is missing, ambiguous"),
        ("ftp://wiki.example.com/", Outcome::Denied, "unsupported scheme"),
        ("", Outcome::Denied, "the host is missing, ambiguous"),
    ] {
        let explained = explain(&Question::new(url));
        assert_eq!(explained.outcome, outcome, "{url}: {explained}");
        assert!(explained.reason.contains(reason), "{url}: {}", explained.reason);
    }
}

#[test]
fn service_tokens_count_while_they_are_good() {
    let by = |id: &str| Question::new("https://wiki.example.com/").with_service_token(id);
    for id in ["ci", "ci.access"] {
        assert_eq!(explain(&by(id)).outcome, Outcome::ServiceAllowed, "{id}");
    }
    let mut later = by("ci");
    later.at = Some("2026-10-01T00:00:00Z".parse().unwrap());
    for (question, note) in [
        (later, "has expired"),
        (by("off"), "is disabled"),
        (by("nobody"), "unknown service token `nobody`"),
    ] {
        let explained = explain(&question);
        assert!(!explained.outcome.grants_access());
        assert!(explained.notes[0].contains(note), "{explained}");
    }
    let mut both = by("ci");
    both.identity.email = Some("ada@example.com".parse().unwrap());
    assert!(explain(&both).reason.contains("names several requesters"));
}

#[test]
fn a_person_came_in_by_one_time_pin_unless_something_else_is_said() {
    let file =
        FILE.replace("{ email_list: { id: board } }", "{ login_method: { id: onetimepin } }");
    let deployment = Deployment::parse(&file, "access.yml").unwrap();
    let mut question = ada("https://wiki.example.com/").with_address([192, 0, 2, 9].into());
    question.request.country = Some("FR".parse().unwrap());
    assert_eq!(deployment.explain(&question, now()).outcome, Outcome::Allowed);
    question.identity.login_method = Some("okta-1".into());
    assert_eq!(deployment.explain(&question, now()).outcome, Outcome::Denied);
}

/// A file with the one-time PIN, a provider and GitHub.
const METHODS: &str = "
access:
  mail: console
  identity_providers:
    - { name: PIN, type: onetimepin }
    - { id: corp, name: Corp, type: okta, config: { okta_account: 'https://a.okta.example', client_id: a, client_secret_file: /run/s } }
    - { name: GitHub, type: github, config: { client_id: a, client_secret_file: /run/s } }
  applications:
    - name: Wiki
      domain: wiki.example.com
      policies:
        - { name: Mailed, decision: allow, include: [ { auth_method: { auth_method: otp } } ], require: [ { login_method: { id: onetimepin } } ] }
        - { name: Ops, decision: allow, include: [ { okta: { name: Ops, identity_provider_id: corp } } ] }
        - { name: Acme, decision: allow, include: [ { github-organization: { name: acme } } ], exclude: [ { okta: { name: Left, identity_provider_id: corp } } ] }
    - name: Corp
      domain: corp.example.com
      allowed_idps: [ corp ]
      policies: [ { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] } ]
tests:
  - name: in the group
    request: { url: https://wiki.example.com/ }
    identity: { email: ada@example.com, login_method: corp, groups: [ Ops ] }
    expect: allowed
  - name: the group of another login
    request: { url: https://wiki.example.com/ }
    identity: { email: ada@example.com, login_method: github, groups: [ Ops ] }
    expect: denied
  - name: by mail
    request: { url: https://wiki.example.com/ }
    identity: { email: ada@example.com, login_method: onetimepin }
    expect: allowed
  - name: a member
    request: { url: https://wiki.example.com/ }
    identity: { email: ada@example.com, login_method: github, organizations: [ Acme/ops ] }
    expect: allowed
  - name: not a member
    request: { url: https://wiki.example.com/ }
    identity: { email: ada@example.com, login_method: github, organizations: [] }
    expect: denied
";

#[test]
fn with_several_login_methods_a_question_names_one() {
    let deployment = Deployment::parse(METHODS, "access.yml").unwrap();
    let report = deployment.run_tests(now());
    assert_eq!((report.passed, report.failed), (5, 0), "{report}");
    let explain = |url: &str, method: Option<&str>| {
        let mut question = ada(url);
        question.identity.login_method = method.map(Into::into);
        deployment.explain(&question, now())
    };
    // Nothing is known of a login that nobody names.
    let explained = explain("https://wiki.example.com/", None);
    assert_eq!(explained.outcome, Outcome::Denied);
    let note = "name one with `login_method`: `onetimepin`, `corp`, `github`";
    assert!(explained.notes[0].contains(note), "{explained}");
    let explained = explain("https://wiki.example.com/", Some("crop"));
    assert_eq!(explained.outcome, Outcome::Denied);
    let note =
        "nobody logs in by `crop` here; the login methods are `onetimepin`, `corp`, `github`";
    assert!(explained.notes[0].contains(note), "{explained}");
    for (method, outcome) in [
        (Some("corp"), Outcome::Allowed),
        (Some("github"), Outcome::LoginRequired),
        (Some("onetimepin"), Outcome::LoginRequired),
    ] {
        let explained = explain("https://corp.example.com/", method);
        assert_eq!(explained.outcome, outcome, "{explained}");
    }
    assert!(explain("https://corp.example.com/", None).notes[0].contains("`login_method`"));
}

#[test]
fn a_file_is_held_against_its_tests() {
    let report = deployment().run_tests(now());
    assert_eq!((report.passed, report.failed), (3, 1));
    assert!(!report.is_passed());
    let failed = &report.tests[1];
    assert_eq!((failed.line, failed.differences.len()), (27, 2));
    let text = report.to_string();
    assert!(
        text.starts_with("pass staff in the office\nFAIL staff \"at\" <home> (access.yml:27)\n")
    );
    assert!(text.contains(
        "  - outcome: allowed\n  + outcome: denied\n  - policy: Staff\n  + policy: none\n"
    ));
    assert!(text.contains("miss ip 192.0.2.0/24"), "{text}");
    assert!(text.ends_with("3 passed, 1 failed\n"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["version"], &json["failed"]), (&1.into(), &1.into()));
    assert_eq!(json["tests"][1]["differences"][0]["expected"], "allowed");
}

#[test]
fn test_reports_are_xml_whatever_they_hold() {
    let xml = deployment().run_tests(now()).to_junit();
    assert!(xml.contains(r#"<testsuite name="access.yml" tests="4" failures="1" errors="0">"#));
    assert!(xml.contains(r#"name="staff &quot;at&quot; &lt;home&gt;""#), "{xml}");
    assert!(xml.contains(r#"<failure message="outcome: expected allowed, is denied; policy: "#));
    let file = FILE.replace("staff in the office", r#""bell \a]]>&""#);
    let xml = Deployment::parse(&file, "access.yml").unwrap().run_tests(now()).to_junit();
    assert!(xml.contains("bell \u{fffd}]]&gt;&amp;"), "{xml}");
}

#[test]
fn pol_09_tests_that_cannot_be_read_are_refused_where_they_stand() {
    for (written, place, words) in [
        ("expect: bypassed", "tests[2].expect", "unknown value"),
        ("request: { url: wiki.example.com/public/a }", "tests[2].request", "unknown key"),
    ] {
        let wrong = match written {
            "expect: bypassed" => "expect: opened",
            _ => "request: { uri: wiki.example.com/public/a }",
        };
        let errors = Deployment::parse(&FILE.replace(written, wrong), "access.yml").unwrap_err();
        let text = errors.to_string();
        assert!(text.contains(place) && text.contains(words), "{text}");
    }
    let both =
        FILE.replace("{ email: ada@example.com }", "{ email: ada@example.com, service_token: ci }");
    let errors = Deployment::parse(&both, "access.yml").unwrap_err();
    assert!(errors.to_string().contains("tests[0]"), "{errors}");
}

#[test]
fn a_question_is_written_as_arguments_of_the_command_line() {
    let mut question = ada("https://wiki.example.com/it's").with_address([192, 0, 2, 9].into());
    question.request.country = Some("FR".parse().unwrap());
    question.request.certificate = Some(SimulatedCertificate::CommonName("laptop 7".into()));
    question.identity.groups = Some(Vec::new());
    question.identity.claims =
        Some([("department".into(), vec!["ops".into()])].into_iter().collect());
    question.at = Some("2027-01-31T00:00:00Z".parse().unwrap());
    assert_eq!(
        question.to_string(),
        r"--url 'https://wiki.example.com/it'\''s' --email ada@example.com --no-groups --claim department=ops --ip 192.0.2.9 --country FR --certificate-cn 'laptop 7' --at 2027-01-31T00:00:00Z"
    );
    let json = serde_json::to_string(&question).unwrap();
    assert_eq!(serde_json::from_str::<Question>(&json).unwrap(), question);
}

#[tokio::test]
async fn removing_an_address_from_a_policy_closes_the_door_at_the_next_request() {
    let issuer = TestIssuer::new();
    let with = |people: &[&str]| {
        let mut staff = Policy::allow("staff");
        for email in people {
            staff = staff.include(Rule::email(email).unwrap());
        }
        let application = Application::new("Wiki", "wiki.example.com")
            .unwrap()
            .audience(TestIssuer::AUDIENCE.parse().unwrap())
            .policy(staff);
        let access = issuer.verifier_builder().application(application).build().unwrap();
        AccessLayer::new(access).layer(Origin::default())
    };
    let token = issuer.token_for("ada@example.com");
    let request = || {
        Request::get("https://wiki.example.com/")
            .header(headers::JWT_ASSERTION, &token)
            .body(Full::default())
            .unwrap()
    };
    let before = with(&["ada@example.com", "grace@example.com"]);
    assert_eq!(send(&before, request()).await.status(), StatusCode::OK);
    // The same token, still good, under what is configured now.
    let after = with(&["grace@example.com"]);
    assert_eq!(send(&after, request()).await.status(), StatusCode::FORBIDDEN);
}
