//! Every sentence that an explanation can print: one line, with one blank between two words.

use std::fs;
use std::path::Path;

use tower_access::clock::Timestamp;
use tower_access::explain::{Question, RequestExplanation};
use tower_access::inspect::Deployment;

const FILE: &str = "
access:
  mail: console
  strict_service_token_auth: false
  service_tokens:
    - { name: ci, client_id: ci.access, client_secret_hash: 'sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971', expires_at: 2026-10-01T00:00:00Z }
    - { name: off, client_id: off.access, client_secret_hash: 'sha256:3d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971', enabled: false }
  applications:
    - name: Wiki
      domain: wiki.example.com
      allowed_idps: [ onetimepin ]
      policies:
        - { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ], require: [ { ip: { ip: 192.0.2.0/24 } } ] }
    - name: Wiki admin
      domain: wiki.example.com/admin
      policies: [ { name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] } ]
    - name: Preflight
      domain: preflight.example.com
      options_preflight_bypass: true
    - name: Cors
      domain: cors.example.com
      cors_headers: { allow_all_origins: true, allow_all_methods: true }
    - name: Shut
      domain: shut.example.com
      policies: [ { name: Risk, decision: deny, include: [ { user_risk_score: { user_risk_score: [ high ] } } ] } ]
";

const ISSUED_ELSEWHERE: &str = "
access:
  issuer: { team_domain: team.example.com }
  applications:
    - name: Wiki
      domain: wiki.example.com
      aud: 9d2f41a66b9e5b5b6e5bd8e7f4b1f2a60d0c9a1c8c5c34c2a2c6f5d1f1b0a7e3
      policies: [ { name: CI, decision: non_identity, include: [ { any_valid_service_token: {} } ] } ]
";

fn explain(file: &str, question: &Question) -> RequestExplanation {
    let file = Deployment::parse(file, "access.yml").unwrap_or_else(|errors| panic!("{errors}"));
    file.explain(question, Timestamp::from_unix_seconds(1_780_000_000))
}

fn question(json: &str) -> Question {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn is_one_line(sentence: &str) -> bool {
    let has_runs = sentence.contains("  ") || sentence.trim() != sentence;
    !has_runs && !sentence.contains(char::is_control)
}

#[test]
fn reasons_and_notes_are_single_lines_without_runs_of_blanks() {
    let request = r#""request": {"url": "wiki.example.com""#;
    let admin = r#""request": {"url": "wiki.example.com/admin"}"#;
    let ada = r#""identity": {"email": "ada@example.com""#;
    let rows = [
        (r#""request": {"url": "ftp://wiki.example.com"}"#.to_owned(), "unsupported scheme `ftp`"),
        (r#""request": {"url": "wi\nki/"}"#.to_owned(), "`wi\\nki"),
        (r#""request": {"url": "wiki.example.com/%zz"}"#.to_owned(), "refused with 400"),
        (
            r#""request": {"url": "else.example.com"}"#.to_owned(),
            "no application covers this host and path",
        ),
        (format!(r#"{request}}}"#), "a login could grant access"),
        (format!(r#"{request}}}, {ada}}}"#), "`Staff` could, but the client's address is not"),
        (format!(r#"{request}, "ip": "192.0.2.7"}}, {ada}}}"#), "allow policy `Staff` applies"),
        (format!(r#"{request}, "ip": "10.0.0.1"}}, {ada}}}"#), "no policy applies"),
        (format!(r#"{request}, "ip": "10.0.0.1"}}"#), "no login could change that"),
        (format!(r#"{request}}}, {ada}, "login_method": "okta"}}"#), "`allowed_idps`"),
        (format!(r#"{request}}}, {ada}, "service_token": "ci"}}"#), "names several requesters"),
        (format!(r#"{request}, "method": "MOVE"}}"#), "acts on everything below: `Wiki admin`"),
        (
            format!(r#"{admin}, "identity": {{"service_token": "ci"}}"#),
            "it is ignored (`strict_service_token_auth` is off)",
        ),
        (format!(r#"{admin}, "identity": {{"service_token": "off"}}"#), "is disabled"),
        (
            format!(
                r#"{admin}, "identity": {{"service_token": "ci"}}, "at": "2027-01-01T00:00:00Z""#
            ),
            "has expired",
        ),
        (
            format!(r#"{admin}, "identity": {{"service_token": "a\nb"}}"#),
            "unknown service token `a\\nb`",
        ),
        (
            format!(r#"{admin}, "identity": {{"linked_application": "a\nb"}}"#),
            "application `a\\nb` is unknown, or no rule accepts its token",
        ),
        (
            r#""request": {"url": "preflight.example.com", "method": "OPTIONS"}"#.to_owned(),
            "every OPTIONS request passes unchecked (`options_preflight_bypass`)",
        ),
        (
            r#""request": {"url": "cors.example.com", "method": "OPTIONS"}"#.to_owned(),
            "before policies are evaluated (`cors_headers`)",
        ),
        (
            format!(r#""request": {{"url": "shut.example.com"}}, {ada}}}"#),
            "the deny policy `Risk` may apply: the user's risk level is not known",
        ),
    ];
    for (text, expected) in rows {
        holds_on_one_line(FILE, &question(&format!("{{{text}}}")), expected);
    }
    let by_ci = Question::new("wiki.example.com/admin").with_service_token("ci");
    let strict = FILE.replace("_auth: false", "_auth: true");
    holds_on_one_line(&strict, &by_ci, "and a service cannot log in");
    let by_service = Question::new("wiki.example.com").with_service_token("deploy");
    holds_on_one_line(ISSUED_ELSEWHERE, &by_service, "is assumed to be one of the issuer's");
}

#[track_caller]
fn holds_on_one_line(file: &str, question: &Question, expected: &str) {
    let explained = explain(file, question);
    let sentences = || explained.notes.iter().chain([&explained.reason]);
    assert!(sentences().any(|sentence| sentence.contains(expected)), "{expected}: {explained}");
    for sentence in sentences() {
        assert!(is_one_line(sentence), "{sentence:?}");
    }
}

/// A continued line whose `\` is missing leaves its indentation in the sentence.
#[test]
fn no_text_in_the_source_of_explanations_has_a_run_of_blanks() {
    for folder in ["src/engine/explain", "src/policy/explain"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.trim_start();
                // Marks and indentation of a list come before or after all words.
                let words = code.replace("\"  ", "\"").replace("?   \"", "?\"");
                let is_sentence = !code.starts_with("//") && words.contains("  ");
                assert!(!is_sentence, "{}:{}: {code}", path.display(), number + 1);
            }
        }
    }
}
