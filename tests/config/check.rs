//! `check`: each kind of finding where it belongs and not beside it, suppression, and the formats.

use std::process::Command;

use proptest::prelude::*;
use tower_access::clock::Timestamp;
use tower_access::config::Config;
use tower_access::identity::Email;
use tower_access::inspect::lint::{LintKind, Severity};
use tower_access::inspect::{CheckReport, check_text};
use tower_access::policy::{Facts, Outcome, Policies, Policy, ServiceTokenFacts, Verdict};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const SMTP: &str = "mail: { smtp: { host: mail.example.com, from: access@example.com } }";
const ADA: &str =
    "{ name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] }";
const OPEN: &str = "{ name: Open, decision: bypass, include: [ { everyone: {} } ] }";
const HASH: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn report(text: &str) -> CheckReport {
    check_text(text, "f", NOW).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// A file with these applications, and more lines: below `access` with two blanks before them.
fn file(applications: &[&str], more: &str) -> String {
    let list: String = applications.iter().map(|one| format!("  - {{ {one} }}\n")).collect();
    format!("access:\n  {SMTP}\n  applications:\n{list}{more}")
}

/// An application with these policies.
fn policies(policies: &[&str]) -> String {
    format!("name: A, domain: a.example.com, policies: [ {} ]", policies.join(", "))
}

/// A policy that lets in Ada and others, with these rules.
fn allow(rules: &str) -> String {
    format!("{{ name: P, decision: allow, {rules} }}")
}

/// `id key` of all findings.
fn found(text: &str) -> Vec<String> {
    let report = report(text);
    report.findings().iter().map(|one| format!("{} {}", one.id, one.key)).collect()
}

#[track_caller]
fn finds(text: &str, expected: &[&str]) {
    assert_eq!(found(text), expected, "{text}");
}

#[track_caller]
fn finds_in_policy(policy: &str, more: &str, expected: &[&str]) {
    let all = found(&file(&[&policies(&[policy])], more));
    let short: Vec<String> =
        all.iter().map(|one| one.replace("access.applications[0].policies[0]", "P")).collect();
    assert_eq!(short, expected, "{policy}\n{more}");
}

// === destinations ===

/// CFG-10
#[test]
fn a_path_that_leaves_its_parent_open() {
    let app = |domain: &str, policy: &str| format!("domain: '{domain}', policies: [ {policy} ]");
    let admin = app("a.example.com/admin/*", ADA);
    let id = "path-leaves-parent-open access.applications[0].domain";
    finds(&file(&[&admin], ""), &[id]);
    let spelling = "letter-case-refused access.applications[0].domain";
    finds(&file(&[&admin, &app("a.example.com", OPEN)], ""), &[id, spelling]);
    // Covered by itself, by one that is there for it, by the same policies, or not worth it.
    finds(&file(&[&app("a.example.com/admin", ADA)], ""), &[]);
    finds(&file(&[&admin, &app("a.example.com/admin", OPEN)], ""), &[]);
    finds(&file(&[&admin, &app("a.example.com", ADA)], ""), &[]);
    finds(&file(&[&app("a.example.com/*", ADA)], ""), &[]);
    finds(&file(&[&app("a.example.com/admin*", ADA)], ""), &[]);
    let both = format!(
        "destinations: [ {{ uri: a.example.com/admin/* }}, {{ uri: a.example.com }} ], policies: [ {ADA} ]"
    );
    finds(&file(&[&both], ""), &[]);
    let public = app("a.example.com/public/*", OPEN);
    finds(&file(&[&public, &app("a.example.com", ADA)], ""), &[spelling]);
    let second = "destinations: [ { uri: b.example.com }, { uri: a.example.com/x/* } ], policies: \
                  [ { name: p, decision: allow, include: [ { email: { email: a@b.example } } ] } ]";
    finds(
        &file(&[second], ""),
        &["path-leaves-parent-open access.applications[0].destinations[1].uri"],
    );
}

/// CFG-10
#[test]
fn a_path_that_leaves_its_siblings_open() {
    let app = |domain: &str, policy: &str| format!("domain: '{domain}', policies: [ {policy} ]");
    let (site, closed_site) = (app("a.example.com", OPEN), app("a.example.com", ADA));
    let admin = app("a.example.com/admin", ADA);
    let text = file(&[&admin, &site], "");
    let spelling = "letter-case-refused access.applications[0].domain";
    finds(&text, &["path-leaves-sibling-open access.applications[0].domain", spelling]);
    assert!(report(&text).is_clean(), "a notice does not count");
    finds(&file(&[&admin, &closed_site], ""), &[]);
    finds(&file(&[&app("a.example.com/admin*", ADA), &site], ""), &[spelling]);
    finds(&file(&[&app("a.example.com/public", OPEN), &site], ""), &[]);
}

/// CFG-10
#[test]
fn a_wildcard_that_leaves_the_apex_open() {
    let app = |domain: &str| format!("domain: '{domain}', policies: [ {ADA} ]");
    finds(
        &file(&[&app("*.example.com")], ""),
        &["host-leaves-apex-open access.applications[0].domain"],
    );
    finds(&file(&[&app("*.example.com"), &app("example.com")], ""), &[]);
    finds(&file(&[&app("*.example.com"), &app("example.com/x")], ""), &[]);
    finds(&file(&[&app("*.localhost")], ""), &[]);
    finds(&file(&[&app("a*.example.com")], ""), &[]);
    finds(&file(&[&app("a.example.com")], ""), &[]);
}

#[test]
fn an_application_nobody_gets_to() {
    let app = |domain: &str| format!("domain: '{domain}', policies: [ {ADA} ]");
    finds(
        &file(&[&app("a.example.com/cdn-cgi/access/x")], ""),
        &["application-unreachable access.applications[0].domain"],
    );
    finds(&file(&[&app("a.example.com/cdn-cgi/accessory")], ""), &[]);
    // Every label begins with one of these characters.
    let mut all: Vec<String> = "abcdefghijklmnopqrstuvwxyz0123456789_"
        .chars()
        .map(|first| app(&format!("{first}*.example.com")))
        .collect();
    all.push(app("*.example.com"));
    all.push(app("example.com"));
    let texts: Vec<&str> = all.iter().map(String::as_str).collect();
    finds(&file(&texts, ""), &["application-unreachable access.applications[37].domain"]);
    let but_one: Vec<&str> = texts.iter().skip(1).copied().collect();
    finds(&file(&but_one, ""), &[]);
    let two = format!(
        "destinations: [ {{ uri: a.example.com/cdn-cgi/access }}, {{ uri: a.example.com }} ], policies: [ {ADA} ]"
    );
    finds(
        &file(&[&two], ""),
        &["destination-unreachable access.applications[0].destinations[0].uri"],
    );
    let both = format!(
        "destinations: [ {{ uri: a.example.com/cdn-cgi/access }}, {{ uri: b.example.com/cdn-cgi/access }} ], policies: [ {ADA} ]"
    );
    assert_eq!(found(&file(&[&both], "")).len(), 3);
}

#[test]
fn an_application_that_admits_nobody() {
    let id = "application-admits-nobody access.applications[0]";
    finds(&file(&["domain: a.example.com"], ""), &[id]);
    let deny = "{ name: D, decision: deny, include: [ { everyone: {} } ] }";
    finds(
        &file(
            &[&policies(&[&deny.replace("everyone: {}", "email_domain: { domain: b.example }")])],
            "",
        ),
        &[id],
    );
    // "Block Everyone" says what it does.
    finds(&file(&[&policies(&[deny])], ""), &[]);
    finds(&file(&[&policies(&[ADA, deny])], ""), &[]);
    finds(&file(&[&policies(&[OPEN])], ""), &[]);
}

// === policies ===

#[test]
fn a_policy_that_another_shadows() {
    let staff =
        "{ name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] }";
    let interns = "{ name: I, decision: deny, include: [ { email: { email: i@example.com } } ] }";
    let all = |list: &[&str]| found(&file(&[&policies(list)], ""));
    let second = "policy-shadowed access.applications[0].policies[1]";
    assert_eq!(all(&[staff, ADA]), [second]);
    assert_eq!(all(&[staff, interns]), [second]);
    assert_eq!(all(&[ADA, staff]), [""; 0]);
    assert_eq!(all(&[interns, staff]), [""; 0]);
    assert_eq!(
        all(&[staff, "{ name: N, decision: allow, include: [ { ip: { ip: 192.0.2.0/24 } } ] }"]),
        [""; 0]
    );
    // By precedence, not by place; and what needs no login comes first.
    let late = staff.replace("name:", "precedence: 9, name:");
    assert_eq!(all(&[&late, interns]), [""; 0]);
    assert_eq!(all(&[staff, OPEN]), ["policy-shadowed access.applications[0].policies[0]"]);
    // A missing fact can make a policy that denies apply where one that allows does not.
    let network = |name: &str, decision: &str, network: &str| {
        format!(
            "{{ name: {name}, decision: {decision}, include: [ {{ ip: {{ ip: {network} }} }} ] }}"
        )
    };
    let (wide, narrow) = ("192.0.2.0/24", "192.0.2.128/25");
    assert_eq!(all(&[&network("a", "allow", wide), &network("b", "allow", narrow)]), [second]);
    assert_eq!(all(&[&network("a", "deny", wide), &network("b", "allow", narrow)]), [second]);
    assert_eq!(all(&[&network("a", "deny", wide), &network("b", "deny", narrow), ADA]), [second]);
    assert_eq!(all(&[&network("a", "allow", wide), &network("b", "deny", narrow)]), [""; 0]);
    assert_eq!(all(&[&network("a", "bypass", wide), &network("b", "allow", narrow)]), [second]);
    // Require and exclude of both.
    let with = |name: &str, rest: &str| {
        format!(
            "{{ name: {name}, decision: allow, include: [ {{ email_domain: {{ domain: example.com }} }} ], {rest} }}"
        )
    };
    let (france, not_ada) = (
        "require: [ { geo: { country_code: FR } } ]",
        "exclude: [ { email: { email: ada@example.com } } ]",
    );
    assert_eq!(all(&[&with("a", france), staff]), [""; 0]);
    assert_eq!(all(&[staff, &with("a", france)]), [second]);
    assert_eq!(all(&[&with("a", not_ada), ADA]), [""; 0]);
    assert_eq!(all(&[&with("a", not_ada), interns]), [second]);
    assert_eq!(all(&[&with("a", not_ada), &with("b", not_ada)]), [second]);
    let text = file(&[&policies(&[staff, ADA])], "");
    let message = report(&text).findings()[0].to_string();
    assert_eq!(
        message,
        "f:4:141: warning: access.applications[0].policies[1]: never decides: the allow policy `Staff` comes \
         first, and applies to everybody this one applies to; remove it [policy-shadowed]"
    );
}

#[test]
fn shadowing_sees_through_groups_and_lists() {
    let more = "  groups:
    - { name: staff, include: [ { email_domain: { domain: example.com } }, { email_list: { id: board } } ] }
    - { name: french, include: [ { group: { id: staff } } ], require: [ { geo: { country_code: FR } } ] }
  lists:
    - { name: board, type: EMAIL, items: [ x@b.example, y@c.example ] }
";
    let by = |name: &str, rules: &str| {
        format!("{{ name: {name}, decision: allow, include: [ {rules} ] }}")
    };
    let group = |name: &str| format!("{{ group: {{ id: {name} }} }}");
    let all = |one: &str, two: &str| {
        let keep = by(
            "keep",
            "{ group: { id: french } }, { group: { id: staff } }, { email: { email: z@z.example } }",
        );
        let text = file(
            &[
                &policies(&[&by("one", one), &by("two", two)]),
                &format!("domain: b.example.com, policies: [ {keep} ]"),
            ],
            more,
        );
        found(&text).iter().any(|one| one.starts_with("policy-shadowed"))
    };
    let x = "{ email: { email: x@b.example } }";
    assert!(all(&group("staff"), x));
    assert!(all(&group("staff"), "{ email_list: { id: board } }"));
    assert!(all(&group("staff"), &group("french")));
    assert!(!all(&group("french"), &group("staff")));
    assert!(!all(&group("french"), x));
    assert!(!all("{ email_list: { id: board } }", "{ email: { email: z@b.example } }"));
    assert!(all(
        &format!("{}, {{ email_domain: {{ domain: b.example }} }}", group("staff")),
        "{ email: { email: q@b.example } }, { email: { email: y@c.example } }"
    ));
}

#[test]
fn a_policy_that_applies_to_nobody() {
    let id = ["policy-never-applies P.include"];
    let ada = "{ email: { email: ada@example.com } }";
    let domain = "{ email_domain: { domain: example.com } }";
    finds_in_policy(&allow(&format!("include: [ {ada} ], exclude: [ {domain} ]")), "", &id);
    finds_in_policy(&allow(&format!("include: [ {domain} ], exclude: [ {ada} ]")), "", &[]);
    finds_in_policy(
        &allow(&format!("include: [ {domain} ], exclude: [ {{ everyone: {{}} }} ]")),
        "",
        &id,
    );
    finds_in_policy(
        &allow(&format!(
            "include: [ {ada} ], require: [ {{ email_domain: {{ domain: b.example }} }} ]"
        )),
        "",
        &id,
    );
    finds_in_policy(&allow(&format!("include: [ {ada} ], require: [ {domain} ]")), "", &[]);
    // An unknown address is refused all the same.
    let deny = "{ name: D, decision: deny, include: [ { ip: { ip: 192.0.2.0/25 } } ], exclude: [ { ip: { ip: 192.0.2.0/24 } } ] }";
    let all = found(&file(&[&policies(&[deny, ADA])], ""));
    assert_eq!(all, [""; 0]);
    finds_in_policy(
        &allow("include: [ { group: { id: g } } ]"),
        "  groups: [ { name: g, include: [] } ]\n",
        &["policy-never-applies P.include", "group-matches-nobody access.groups[0].include"],
    );
}

#[test]
fn pol_04_a_policy_that_admits_everyone() {
    let everyone = "{ everyone: {} }";
    let id = ["allow-admits-everyone P.include[0]"];
    finds_in_policy(&allow(&format!("include: [ {everyone} ]")), "", &id);
    finds_in_policy(&allow("include: [ { login_method: { id: onetimepin } } ]"), "", &id);
    finds_in_policy(&allow("include: [ { ip: { ip: 0.0.0.0/0 } } ]"), "", &id);
    finds_in_policy(
        &allow("include: [ { group: { id: g } } ]"),
        "  groups: [ { name: g, include: [ { everyone: {} } ] } ]\n",
        &id,
    );
    finds_in_policy(
        &allow(&format!(
            "include: [ {everyone} ], require: [ {{ login_method: {{ id: onetimepin }} }} ]"
        )),
        "",
        &id,
    );
    let domain = "{ email_domain: { domain: example.com } }";
    finds_in_policy(&allow(&format!("include: [ {everyone} ], require: [ {domain} ]")), "", &[]);
    finds_in_policy(
        &allow("include: [ { group: { id: g } } ]"),
        "  groups: [ { name: g, include: [ { everyone: {} } ], require: [ { geo: { country_code: FR } } ] } ]\n",
        &[],
    );
    finds_in_policy(OPEN, "", &[]);
    let service = "{ name: S, decision: non_identity, include: [ { everyone: {} } ] }";
    finds_in_policy(service, "", &["service-auth-admits-everyone P.include[0]"]);
    finds_in_policy(
        "{ name: S, decision: non_identity, include: [ { any_valid_service_token: {} } ] }",
        "",
        &[],
    );
}

#[test]
fn a_public_provider_as_company_domain() {
    let domain = |domain: &str| format!("{{ email_domain: {{ domain: {domain} }} }}");
    let gmail = domain("gmail.com");
    finds_in_policy(
        &allow(&format!("include: [ {gmail} ]")),
        "",
        &["public-mail-domain P.include[0]"],
    );
    finds_in_policy(
        &allow(&format!("include: [ {{ everyone: {{}} }} ], require: [ {gmail} ]")),
        "",
        &["public-mail-domain P.require[0]"],
    );
    let group = format!("  groups: [ {{ name: g, include: [ {gmail} ] }} ]\n");
    finds_in_policy(
        &allow("include: [ { group: { id: g } } ]"),
        &group,
        &["public-mail-domain P.include[0]"],
    );
    finds_in_policy(&allow(&format!("include: [ {} ]", domain("example.com"))), "", &[]);
    let narrowed = "require: [ { ip: { ip: 192.0.2.0/24 } } ]";
    finds_in_policy(&allow(&format!("include: [ {gmail} ], {narrowed}")), "", &[]);
    finds_in_policy(
        &allow(&format!(
            "include: [ {{ everyone: {{}} }} ], require: [ {gmail} ], exclude: [ {gmail} ]"
        )),
        "",
        &["policy-never-applies P.include"],
    );
    let deny = format!("{{ name: D, decision: deny, include: [ {gmail} ] }}");
    finds(&file(&[&policies(&[&deny, ADA])], ""), &[]);
}

#[test]
fn requirements_that_contradict_each_other() {
    let require = |rules: &str| {
        allow(&format!(
            "include: [ {{ email_domain: {{ domain: example.com }} }} ], require: [ {rules} ]"
        ))
    };
    let geo = |country: &str| format!("{{ geo: {{ country_code: {country} }} }}");
    let id = ["contradictory-require P.require[1]"];
    finds_in_policy(&require(&format!("{}, {}", geo("FR"), geo("DE"))), "", &id);
    finds_in_policy(
        &allow(
            "include: [ { everyone: {} } ], require: [ { email_domain: { domain: a.example } }, { email_domain: { domain: b.example } } ]",
        ),
        "",
        &id,
    );
    finds_in_policy(
        &require("{ ip: { ip: 192.0.2.0/24 } }, { ip: { ip: 198.51.100.0/24 } }"),
        "",
        &id,
    );
    finds_in_policy(&require(&geo("FR")), "", &[]);
    finds_in_policy(&require(&format!("{}, {{ ip: {{ ip: 192.0.2.0/24 }} }}", geo("FR"))), "", &[]);
    let either = "  groups: [ { name: g, include: [ { geo: { country_code: FR } }, { geo: { country_code: DE } } ] } ]\n";
    finds_in_policy(&require(&format!("{{ group: {{ id: g }} }}, {}", geo("FR"))), either, &[]);
    finds_in_policy(&require(&format!("{{ group: {{ id: g }} }}, {}", geo("US"))), either, &id);
    // More than one claim can have a value.
    let issuer = format!(
        "access:\n  issuer: {{ team_domain: acme.cloudflareaccess.com }}\n  applications:\n  - {{ domain: a.example.com, aud: {}, policies: [ {} ] }}\n",
        "a".repeat(64),
        require("{ okta: { name: A } }, { okta: { name: B } }"),
    );
    finds(&issuer, &[]);
}

// === rules ===

#[test]
fn rules_that_make_no_difference() {
    let include = |rules: &str| allow(&format!("include: [ {rules} ]"));
    let ada = "{ email: { email: ada@example.com } }";
    let domain = "{ email_domain: { domain: example.com } }";
    let network = |network: &str| format!("{{ ip: {{ ip: {network} }} }}");
    finds_in_policy(&include(&format!("{ada}, {domain}")), "", &["redundant-rule P.include[0]"]);
    finds_in_policy(&include(&format!("{domain}, {ada}")), "", &["redundant-rule P.include[1]"]);
    finds_in_policy(&include(&format!("{ada}, {ada}")), "", &["redundant-rule P.include[1]"]);
    finds_in_policy(
        &include(&format!("{}, {}", network("192.0.2.0/24"), network("192.0.2.9"))),
        "",
        &["redundant-rule P.include[1]"],
    );
    finds_in_policy(
        &include(&format!("{}, {}", network("192.0.2.0/24"), network("192.0.3.9"))),
        "",
        &[],
    );
    finds_in_policy(
        &include(&format!("{ada}, {{ email_domain: {{ domain: b.example }} }}")),
        "",
        &[],
    );
    finds_in_policy(
        &include(&format!("{ada}, {{ everyone: {{}} }}")),
        "",
        &["everyone-beside-other-rules P.include[1]", "allow-admits-everyone P.include[1]"],
    );
    let board = "  lists: [ { name: board, id: b1, type: EMAIL, items: [ ada@example.com, x@b.example ] } ]\n";
    let list = |id: &str| format!("{{ email_list: {{ id: {id} }} }}");
    finds_in_policy(
        &include(&format!("{ada}, {}", list("board"))),
        board,
        &["redundant-rule P.include[0]"],
    );
    finds_in_policy(
        &include(&format!("{}, {}", list("b1"), list("board"))),
        board,
        &["redundant-rule P.include[1]"],
    );
    finds_in_policy(&include(&format!("{domain}, {}", list("b1"))), board, &[]);
    let covered = format!("{domain}, {{ email_domain: {{ domain: b.example }} }}, {}", list("b1"));
    finds_in_policy(&include(&covered), board, &["redundant-rule P.include[2]"]);
    let group = format!("  groups: [ {{ name: g, include: [ {domain} ] }} ]\n");
    finds_in_policy(
        &include(&format!("{ada}, {{ group: {{ id: g }} }}")),
        &group,
        &["redundant-rule P.include[0]"],
    );
    let narrow = group.replace("] }", "], require: [ { geo: { country_code: FR } } ] }");
    finds_in_policy(&include(&format!("{ada}, {{ group: {{ id: g }} }}")), &narrow, &[]);
    // Under `require` it is the other way round.
    let require = |rules: &str| allow(&format!("include: [ {domain} ], require: [ {rules} ]"));
    finds_in_policy(
        &require(&format!("{}, {}", network("192.0.2.0/24"), network("192.0.2.0/25"))),
        "",
        &["redundant-rule P.require[0]"],
    );
    finds_in_policy(&require("{ everyone: {} }"), "", &["redundant-rule P.require[0]"]);
    finds_in_policy(&require(&network("192.0.2.0/24")), "", &[]);
}

#[test]
fn exclusions_of_nobody() {
    let domain = "{ email_domain: { domain: example.com } }";
    let exclude = |rule: &str| allow(&format!("include: [ {domain} ], exclude: [ {rule} ]"));
    let id = ["exclude-without-effect P.exclude[0]"];
    finds_in_policy(&exclude("{ email: { email: eve@exmaple.com } }"), "", &id);
    finds_in_policy(&exclude("{ email: { email: eve@example.com } }"), "", &[]);
    finds_in_policy(&exclude("{ ip: { ip: 192.0.2.0/24 } }"), "", &[]);
    let board = "  lists: [ { name: b, type: EMAIL, items: [ x@b.example ] } ]\n";
    finds_in_policy(&exclude("{ email_list: { id: b } }"), board, &id);
}

#[test]
fn rules_that_nobody_can_meet() {
    let ada = "{ email: { email: ada@example.com } }";
    let tokens =
        format!("  service_tokens: [ {{ name: ci, client_id: c, client_secret_hash: {HASH} }} ]\n");
    let token = "{ service_token: { token_id: ci } }";
    finds_in_policy(
        &allow(&format!("include: [ {ada}, {token} ]")),
        &tokens,
        &["service-token-in-person-policy P.include[1]"],
    );
    finds_in_policy(
        &format!("{{ name: S, decision: non_identity, include: [ {token} ] }}"),
        &tokens,
        &[],
    );
    let never = ["rule-never-matches P.include[1]"];
    for rule in [
        "{ login_method: { id: google } }",
        "{ okta: { name: Ops } }",
        "{ github-organization: { name: acme } }",
        "{ auth_method: { auth_method: mfa } }",
        "{ oidc: { claim_name: a, claim_value: b } }",
    ] {
        finds_in_policy(&allow(&format!("include: [ {ada}, {rule} ]")), "", &never);
        // What is not known excludes, and what a one-time PIN is known not to say does not.
        let is_unknown = rule.contains("oidc");
        let excluded: &[&str] = if is_unknown { &[] } else { &["rule-never-matches P.exclude[0]"] };
        finds_in_policy(&allow(&format!("include: [ {ada} ], exclude: [ {rule} ]")), "", excluded);
    }
    finds_in_policy(
        &allow(&format!(
            "include: [ {ada} ], require: [ {{ login_method: {{ id: onetimepin }} }} ]"
        )),
        "",
        &[],
    );
}

#[test]
fn rules_about_what_nothing_tells() {
    let behind = "ingress: [ { service: 'http://127.0.0.1:9000' } ]\n";
    let trusted = format!("{behind}trusted_proxies: [ 192.0.2.1 ]\nlisten: 0.0.0.0:8080\n");
    let ada = "{ email: { email: ada@example.com } }";
    let geo = "{ geo: { country_code: FR } }";
    let findings = |head: &str, policy: &str, more: &str| {
        let report = report(&format!("{head}{}", file(&[&policies(&[policy])], more)));
        let about = |id: &LintKind| *id == LintKind::FactWithoutSource;
        let found = report.findings().iter().filter(|one| about(&one.id));
        found.map(|one| format!("{}: {}", one.key, one.message)).collect::<Vec<_>>()
    };
    let place = "access.applications[0].policies[0]";
    let allowed = allow(&format!("include: [ {ada} ], require: [ {geo} ]"));
    assert_eq!(
        findings(behind, &allowed, ""),
        [format!(
            "{place}.require[0]: `geo FR`: the country of a request is unknown, so \
             the rule never matches"
        )]
    );
    let excluded = allow(&format!("include: [ {ada} ], exclude: [ {geo} ]"));
    assert!(findings(behind, &excluded, "")[0].ends_with("so everybody is excluded"));
    let denied = format!("{{ name: D, decision: deny, include: [ {geo} ] }}");
    let denied = findings(behind, &denied, "");
    assert!(denied[0].ends_with("so the policy denies everybody it could be about"), "{denied:?}");
    let group = format!("  groups: [ {{ name: g, include: [ {geo} ] }} ]\n");
    let groups = findings(behind, ADA, &group);
    assert!(groups[0].starts_with("access.groups[0].include[0]: "), "{groups:?}");
    for rule in [
        "{ certificate: {} }",
        "{ common_name: { common_name: laptop } }",
        "{ device_posture: { integration_uid: aa } }",
        "{ user_risk_score: { user_risk_score: [ low ] } }",
    ] {
        let policy = allow(&format!("include: [ {ada} ], require: [ {rule} ]"));
        assert_eq!(findings(behind, &policy, "").len(), 1, "{rule}");
        assert!(findings("", &policy, "").is_empty(), "a program of one's own may know: {rule}");
    }
    // Where something tells it, there is nothing to say.
    let told = "  facts: { country_header: CF-IPCountry, certificate_headers: nginx }\n";
    assert!(findings(&trusted, &allowed, told).is_empty());
    let certificate = allow(&format!("include: [ {ada} ], require: [ {{ certificate: {{}} }} ]"));
    assert!(findings(&trusted, &certificate, told).is_empty());
    assert!(findings(behind, &allowed, "  facts: { geoip_database: /x.mmdb }\n").is_empty());
}

// === definitions and tokens ===

#[test]
fn definitions_that_nobody_needs() {
    let more = "  groups:
    - { name: used, include: [ { email_list: { id: used } } ] }
    - { name: forgotten, include: [ { email: { email: a@b.example } } ] }
  lists:
    - { name: used, type: EMAIL, items: [ a@b.example, A@B.example ] }
    - { name: nets, type: IP, items: [ 192.0.2.0/24, 192.0.2.7, 198.51.100.0/24 ] }
    - { name: empty, type: EMAIL, items: [] }
  policies:
    - { name: linked, decision: allow, include: [ { group: { id: used } }, { email_list: { id: empty } } ] }
    - { name: loose, decision: allow, include: [ { email: { email: a@b.example } } ] }
";
    let app = "domain: a.example.com, policies: [ linked ]";
    finds(
        &file(&[app], more),
        &[
            "unused-group access.groups[1]",
            "redundant-list-entry access.lists[0].items[1]",
            "unused-list access.lists[1]",
            "redundant-list-entry access.lists[1].items[1]",
            "empty-list access.lists[2].items",
            "unused-policy access.policies[1]",
        ],
    );
}

#[test]
fn a_linked_policy_is_reported_where_it_is_defined_and_once() {
    let more = "  policies: [ { name: all, decision: allow, include: [ { everyone: {} } ] } ]\n";
    let app = |host: &str| format!("name: {host}, domain: {host}.example.com, policies: [ all ]");
    let text = file(&[&app("a"), &app("b")], more);
    finds(&text, &["allow-admits-everyone access.policies[0].include[0]"]);
    let finding = report(&text).findings()[0].clone();
    assert_eq!((finding.line, finding.column), (Some(6), Some(56)));
    assert_eq!(finding.subject.policy.as_deref(), Some("all"));
    assert_eq!(finding.subject.application, None);
}

#[test]
fn svc_04_service_tokens_that_are_over_or_that_nobody_needs() {
    let token = |name: &str, more: &str| {
        format!(
            "    - {{ name: {name}, client_id: {name}.access, client_secret_hash: {HASH}{more} }}\n"
        )
    };
    let service = |rule: &str| {
        policies(&[&format!("{{ name: S, decision: non_identity, include: [ {rule} ] }}")])
    };
    let named =
        service("{ service_token: { token_id: ci } }, { service_token: { token_id: old.access } }");
    let (old, young) =
        (", expires_at: '2026-09-21T14:13:20Z'", ", expires_at: '2026-09-21T14:13:21Z'");
    let more = |tokens: &[String]| format!("  service_tokens:\n{}", tokens.concat());
    finds(&file(&[&named], &more(&[token("ci", ""), token("old", young)])), &[]);
    finds(
        &file(
            &[&named],
            &more(&[token("ci", ", enabled: false"), token("old", old), token("new", "")]),
        ),
        &[
            "service-token-disabled access.service_tokens[0].enabled",
            "service-token-expired access.service_tokens[1].expires_at",
            "service-token-unused access.service_tokens[2]",
        ],
    );
    let any = service("{ any_valid_service_token: {} }");
    finds(&file(&[&any], &more(&[token("new", "")])), &[]);
}

// === ingress and settings ===

#[test]
fn hosts_without_an_application_and_the_other_way_round() {
    let ingress = |rules: &str| format!("ingress:\n{rules}  - service: http_status:404\n");
    let app = policies(&[ADA]);
    let rule =
        |host: &str| format!("  - {{ hostname: '{host}', service: 'http://127.0.0.1:1' }}\n");
    finds(&file(&[&app], &ingress(&rule("a.example.com"))), &[]);
    finds(&file(&[&app], &ingress(&rule("*.example.com"))), &[]);
    finds(
        &file(&[&app], &ingress(&(rule("a.example.com") + &rule("b.example.com")))),
        &["ingress-without-application ingress[1].hostname"],
    );
    let fixed = "  - { hostname: b.example.com, service: 'http_status:410' }\n";
    finds(&file(&[&app], &ingress(&(rule("a.example.com") + fixed))), &[]);
    finds(
        &file(&[&app], &ingress(fixed)),
        &["application-without-ingress access.applications[0].domain"],
    );
    finds(&file(&[&app], "ingress: [ { service: 'http://127.0.0.1:1' } ]\n"), &[]);
}

#[test]
fn clients_that_all_seem_to_be_here() {
    let net =
        policies(&["{ name: N, decision: bypass, include: [ { ip: { ip: 192.0.2.0/24 } } ] }"]);
    let ingress = "ingress: [ { service: 'http://127.0.0.1:1' } ]\n";
    let listen = |address: &str, more: &str| format!("{ingress}listen: {address}\n{more}");
    let here = "127.0.0.1:8080";
    finds(&file(&[&net], &listen(here, "")), &["client-address-always-local listen"]);
    finds(&file(&[&net], &listen(here, "trusted_proxies: [ 127.0.0.1 ]\n")), &[]);
    finds(&file(&[&net], &listen("0.0.0.0:8080", "")), &[]);
    finds(&file(&[&net], ingress), &[]);
    let people = file(&[&policies(&[ADA])], &listen(here, ""));
    finds(&people, &["proxy-not-trusted listen"]);
}

#[test]
fn what_reading_notes_is_among_the_findings() {
    let text = "tunnel: x
trusted_proxies: [ 10.0.0.0/7 ]
ingress:
  - { hostname: a.example.com, path: x, service: 'https://127.0.0.1:1', originRequest: { noTLSVerify: true } }
  - { hostname: '*.example.com', service: 'http://127.0.0.1:1' }
  - { hostname: a.example.com, service: 'http://127.0.0.1:1' }
  - { service: http_status:404 }
access:
  mail: console
  applications:
    - { name: A, domain: a.example.com, http_only_cookie_attribute: false, policies: [ { name: P, decision: allow, include: [ { email: { email: a@b.example } } ] } ] }
";
    finds(
        text,
        &[
            "no-effect tunnel",
            "trusted-proxies-too-wide trusted_proxies",
            "letter-case-refused ingress[0].path",
            "ingress-path-not-anchored ingress[0].path",
            "weakened-default ingress[0].originRequest.noTLSVerify",
            "ingress-unreachable ingress[2]",
            "weakened-default access.mail",
            "weakened-default access.applications[0].http_only_cookie_attribute",
        ],
    );
    let report = report(text);
    let fixes: Vec<_> =
        report.findings().iter().map(|finding| finding.fix.as_deref().unwrap()).collect();
    assert_eq!(fixes[0], "remove it");
    assert_eq!(fixes[1], "name the proxies");
    assert_eq!(fixes[4], "better name its authority with `caPool`");
    assert_eq!(report.findings()[4].subject.hostname.as_deref(), Some("a.example.com"));
    assert_eq!(report.findings()[7].subject.value.as_deref(), Some("http_only_cookie_attribute"));
}

// === suppression ===

#[test]
fn findings_are_suppressed_one_by_one_and_with_a_reason() {
    let apps = [
        "name: Wiki, domain: a.example.com/x/*, policies: [ { name: p, decision: allow, include: [ { everyone: {} } ] } ]",
        "name: Site, domain: b.example.com/x/*, policies: [ { name: p, decision: allow, include: [ { email: { email: a@b.example } } ] } ]",
    ];
    let suppressed = |entries: &str| {
        let text = file(&apps, &format!("lint: {{ allow: [ {entries} ] }}\n"));
        let report = report(&text);
        let found = |is: bool| -> Vec<String> {
            let all = report.findings().iter().filter(|one| one.suppressed.is_some() == is);
            all.map(|one| format!("{} {}", one.id, one.key)).collect()
        };
        (found(true), found(false), report.is_clean())
    };
    let (parent, parent_of_site, everyone) = (
        "path-leaves-parent-open access.applications[0].domain",
        "path-leaves-parent-open access.applications[1].domain",
        "allow-admits-everyone access.applications[0].policies[0].include[0]",
    );
    let wiki = "{ id: path-leaves-parent-open, application: Wiki, reason: static }";
    let (yes, no, clean) = suppressed(wiki);
    assert_eq!(
        (yes, no, clean),
        (vec![parent.into()], vec![everyone.into(), parent_of_site.into()], false)
    );
    let site = "{ id: path-leaves-parent-open, value: b.example.com/x/*, reason: static }";
    let all = "{ id: allow-admits-everyone, application: Wiki, policy: p, reason: a trial }";
    let (yes, no, clean) = suppressed(&format!("{wiki}, {site}, {all}"));
    assert_eq!((yes.len(), no.len(), clean), (3, 0, true));
    // What stands for none or for several.
    let unused = "suppression-unused lint.allow[0]".to_owned();
    for entry in [
        "{ id: path-leaves-parent-open, application: Nobody, reason: x }",
        "{ id: policy-shadowed, application: Wiki, reason: x }",
        "{ id: no-such-id, application: Wiki, reason: x }",
        "{ id: path-leaves-parent-open, at: 'access.applications[7]', reason: x }",
    ] {
        let (yes, no, clean) = suppressed(entry);
        assert!(yes.is_empty() && !clean && no.contains(&unused), "{entry} {no:?}");
    }
    let (yes, no, _) = suppressed(&format!("{wiki}, {wiki}"));
    assert!(yes.len() == 1 && no.contains(&"suppression-unused lint.allow[1]".to_owned()));
    let twice = "name: W, destinations: [ { uri: a.example.com/x/* }, { uri: a.example.com/y/* } ], policies: [ { name: p, decision: allow, include: [ { email: { email: a@b.example } } ] } ]";
    let entry = "lint: { allow: [ { id: path-leaves-parent-open, application: W, reason: x } ] }\n";
    let all = found(&file(&[twice], entry));
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&"suppression-ambiguous lint.allow[0]".to_owned()));
    // Suppressions cannot hide that they are wrong.
    let own = "{ id: path-leaves-parent-open, application: X, reason: x }, { id: suppression-unused, at: 'lint.allow[0]', reason: x }";
    let (yes, no, _) = suppressed(own);
    assert!(yes.is_empty() && no.len() == 5, "{no:?}");
}

#[test]
fn suppressions_without_a_reason_or_a_name_refuse_the_file() {
    for (entry, words) in [
        ("{ id: x, application: A }", "`reason` is missing"),
        ("{ id: x, application: A, reason: ' ' }", "empty reason"),
        ("{ application: A, reason: x }", "`id` is missing"),
        ("{ id: x, reason: x }", "every finding of its kind"),
        ("{ id: x, reason: x, aplication: A }", "did you mean `application`?"),
        ("x", "expected"),
    ] {
        let text = file(&[&policies(&[ADA])], &format!("lint: {{ allow: [ {entry} ] }}\n"));
        let errors = check_text(&text, "f", NOW).unwrap_err();
        assert_eq!(errors.iter().count(), 1, "{errors}");
        assert!(errors.to_string().contains(words), "{errors}");
        assert!(errors.to_string().starts_with("f:5:"), "{errors}");
        assert!(Config::parse(&text, "f").is_err());
    }
    let unknown = file(&[&policies(&[ADA])], "lint: { alow: [] }\n");
    assert!(check_text(&unknown, "f", NOW).is_err());
}

/// The largest files there are: nothing is compared without end, and what could not be compared is
/// told.
#[test]
fn large_files_are_checked_all_the_same() {
    let many = |count: usize, one: &dyn Fn(usize) -> String| -> String {
        (0..count).map(one).collect::<Vec<_>>().join(", ")
    };
    let email = |number: usize| format!("{{ email: {{ email: u{number}@b.example }} }}");
    let people = file(
        &[&policies(&[&allow(&format!(
            "include: [ {} ], exclude: [ {} ]",
            many(9_000, &email),
            many(9_000, &|number| email(number + 9_000)),
        ))])],
        "",
    );
    assert_eq!(found(&people).len(), 9_000);
    let list = many(4_000, &|number| {
        format!("{{ name: p{number}, decision: allow, include: [ {} ] }}", email(number))
    });
    let single = file(&[&policies(&[&list])], "");
    finds(&single, &[]);
    // Two groups in each of many, twice at each level.
    let groups = (1..60).map(|number| {
        let inner = number - 1;
        format!("    - {{ name: g{number}, include: [ {{ group: {{ id: g{inner} }} }}, {{ group: {{ id: g{inner} }} }} ], require: [ {{ group: {{ id: g{inner} }} }} ] }}\n")
    });
    let groups: String = groups.collect();
    let more = format!("  groups:\n    - {{ name: g0, include: [ {} ] }}\n{groups}", email(0));
    let nested = file(
        &[&policies(&[&allow(
            "include: [ { group: { id: g59 } } ], exclude: [ { group: { id: g58 } } ]",
        )])],
        &more,
    );
    assert!(found(&nested).contains(&"check-incomplete access".to_owned()));
}

// === formats ===

#[test]
fn json_stays_as_it_is() {
    let text = file(
        &[
            "name: A, domain: a.example.com, policies: [ { name: P, decision: allow, include: [ { everyone: {} } ] } ]",
        ],
        "lint: { allow: [ { id: allow-admits-everyone, policy: P, reason: a trial } ] }\n",
    );
    let json = serde_json::to_value(report(&text).with_build_error("no file")).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "version": 1,
            "file": "f",
            "valid": true,
            "summary": { "errors": 1, "warnings": 0, "notices": 0, "suppressed": 1 },
            "findings": [
                {
                    "id": "cannot-be-run",
                    "severity": "error",
                    "file": "f",
                    "key": "",
                    "message": "no file",
                },
                {
                    "id": "allow-admits-everyone",
                    "severity": "warning",
                    "file": "f",
                    "line": 4,
                    "column": 90,
                    "key": "access.applications[0].policies[0].include[0]",
                    "message": "anybody who can receive mail is allowed: `everyone` requires a login only",
                    "fix": "name the allowed users, such as `email_domain: { domain: example.com }`",
                    "application": "A",
                    "policy": "P",
                    "value": "everyone",
                    "suppressed": "a trial",
                },
            ],
            "meaning": {
                "listen": "127.0.0.1:8080",
                "issuer": "here",
                "login": null,
                "idle_timeout": null,
                "applications": [{
                    "name": "A",
                    "destinations": ["a.example.com"],
                    "session_duration": "24h",
                    "policies": [
                        { "name": "P", "decision": "allow", "include": 1, "require": 0, "exclude": 0 },
                    ],
                }],
                "public": [],
                "closed": [],
                "ingress_rules": 0,
            },
        })
    );
    let errors = check_text("acces: {}\n", "f", NOW).unwrap_err();
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!((&json["valid"], &json["meaning"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(json["findings"][0]["id"], "invalid");
    assert_eq!(json["findings"][0]["message"], "unknown key");
    assert_eq!(json["findings"][0]["fix"], "did you mean `access`?");
    assert_eq!(json["findings"][0]["line"], 1);
}

#[test]
fn ids_are_unique_and_kebab_case() {
    let mut ids: Vec<&str> = LintKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert!(ids.iter().all(|id| id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), LintKind::ALL.len());
    assert_eq!(LintKind::Invalid.severity(), Severity::Error);
}

#[test]
fn exit_codes_are_0_fine_1_findings_2_usage() {
    let proxy = env!("CARGO_BIN_EXE_proxy");
    let folder = std::env::temp_dir().join(format!("tower-access-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let run = |name: &str, text: Option<&str>, more: &[&str]| {
        let file = folder.join(name);
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let output = Command::new(proxy).arg("check").arg(&file).args(more).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), text)
    };
    let fine = file(&[&policies(&[ADA])], "ingress: [ { service: 'http://127.0.0.1:1' } ]\n");
    let finding = file(&["domain: a.example.com"], "");
    let json = ["--format", "json"];
    let (code, text) = run("fine.yml", Some(&fine), &[]);
    assert!(code == Some(0) && text.starts_with("OK "), "{text}");
    let (code, text) = run("finding.yml", Some(&finding), &[]);
    assert!(code == Some(1) && text.contains("[application-admits-nobody]"), "{text}");
    let (code, text) = run("wrong.yml", Some("acces: {}\n"), &[]);
    assert!(code == Some(1) && text.contains("did you mean `access`?"), "{text}");
    assert!(text.contains("wrong.yml:1:1: error: acces: unknown key"), "{text}");
    let (code, text) = run("wrong.yml", None, &json);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &read["findings"][0]["id"]), (Some(1), &"invalid".into()));
    let (code, text) = run("finding.yml", None, &json);
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &read["summary"]["warnings"]), (Some(1), &1.into()));
    let password = fine.replace("from:", "username: u, password_file: /nonexistent/p, from:");
    let (code, text) = run("password.yml", Some(&password), &[]);
    assert!(code == Some(1) && text.contains("[cannot-be-run]"), "{text}");
    let (code, text) = run("embedded.yml", Some(&file(&[&policies(&[ADA])], "")), &[]);
    assert!(code == Some(0) && text.contains("no `ingress`"), "{text}");
    assert_eq!(run("missing.yml", None, &[]).0, Some(2));
    assert_eq!(run("fine.yml", None, &["--format", "xml"]).0, Some(2));
    std::fs::remove_dir_all(&folder).unwrap();
}

// === properties ===

const EMAILS: [&str; 4] = ["a@x.example", "b@x.example", "a@y.example", "c@z.example"];
const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.200", "198.51.100.7"];

fn rule(about_people: bool, groups: usize) -> BoxedStrategy<String> {
    let anybody = prop_oneof![
        2 => Just("everyone: {}".to_owned()),
        4 => prop::sample::select(vec!["192.0.2.0/24", "192.0.2.128/25", "192.0.2.200", "198.51.100.0/24"])
            .prop_map(|network| format!("ip: {{ ip: {network} }}")),
        2 => prop::sample::select(vec!["FR", "DE"])
            .prop_map(|country| format!("geo: {{ country_code: {country} }}")),
        1 => Just("ip_list: { id: nets }".to_owned()),
        1 => Just("any_valid_service_token: {}".to_owned()),
        1 => Just("service_token: { token_id: t1 }".to_owned()),
    ];
    let people = prop_oneof![
        4 => prop::sample::select(EMAILS.to_vec())
            .prop_map(|email| format!("email: {{ email: {email} }}")),
        4 => prop::sample::select(vec!["x.example", "y.example"])
            .prop_map(|domain| format!("email_domain: {{ domain: {domain} }}")),
        1 => Just("email_list: { id: board }".to_owned()),
    ];
    let mut rules = anybody.boxed();
    if about_people {
        rules = prop_oneof![2 => rules, 3 => people].boxed();
    }
    if groups > 0 {
        let group = (0..groups).prop_map(|number| format!("group: {{ id: g{number} }}"));
        rules = prop_oneof![4 => rules, 1 => group].boxed();
    }
    rules.prop_map(|rule| format!("{{ {rule} }}")).boxed()
}

fn lists(about_people: bool, groups: usize) -> impl Strategy<Value = String> {
    let list = move |least, most| {
        prop::collection::vec(rule(about_people, groups), least..=most)
            .prop_map(|rules| rules.join(", "))
    };
    (list(1, 3), list(0, 1), list(0, 1)).prop_map(|(include, require, exclude)| {
        format!("include: [ {include} ], require: [ {require} ], exclude: [ {exclude} ]")
    })
}

/// A file with some policies, and groups of which the first two are not about people.
fn small_file() -> impl Strategy<Value = String> {
    let policy = prop_oneof![
        1 => Just("bypass").prop_flat_map(|decision| (Just(decision), lists(false, 2))),
        1 => Just("non_identity").prop_flat_map(|decision| (Just(decision), lists(false, 2))),
        4 => Just("allow").prop_flat_map(|decision| (Just(decision), lists(true, 3))),
        3 => Just("deny").prop_flat_map(|decision| (Just(decision), lists(true, 3))),
    ];
    (prop::collection::vec(policy, 2..5), lists(false, 0), lists(false, 1), lists(true, 2)).prop_map(
        |(policies, first, second, third)| {
            let policies: Vec<String> = policies
                .iter()
                .enumerate()
                .map(|(number, (decision, rules))| {
                    format!("{{ name: p{number}, decision: {decision}, {rules} }}")
                })
                .collect();
            let app = format!("domain: a.example.com, policies: [ {} ]", policies.join(", "));
            let more = format!(
                "  groups:\n    - {{ name: g0, {first} }}\n    - {{ name: g1, {second} }}\n    - {{ name: g2, {third} }}\n  \
                 lists:\n    - {{ name: board, type: EMAIL, items: [ a@x.example, c@z.example ] }}\n    \
                 - {{ name: nets, type: IP, items: [ 192.0.2.0/25, 198.51.100.7 ] }}\n  \
                 service_tokens: [ {{ name: t1, client_id: c1, client_secret_hash: {HASH} }} ]\n"
            );
            file(&[&app], &more)
        },
    )
}

/// All that can be known of a request, as far as these files ask.
fn all_facts(emails: &[Email]) -> Vec<Facts<'_>> {
    let token = |id| Some(ServiceTokenFacts::new(id, "x"));
    let who = emails.iter().map(|email| (Some(email), None)).chain([
        (None, None),
        (None, token("t1")),
        (None, token("t2")),
    ]);
    let mut all = Vec::new();
    for (email, service_token) in who {
        for address in ADDRESSES.iter().map(|address| address.parse().ok()).chain([None]) {
            for country in [None, Some("FR"), Some("US")] {
                let country = country.map(|country| country.parse().unwrap());
                all.push(Facts { email, service_token, address, country, ..Facts::default() });
            }
        }
    }
    all
}

/// What taking a policy out changes. Somebody may have been asked to log in before being refused,
/// and nobody in particular may have been refused by another policy: that makes no difference.
fn difference(text: &str, without: usize) -> Option<String> {
    let config = Config::parse(text, "f").unwrap();
    let compile =
        |policies: &[Policy]| Policies::compile(policies, &config.access.definitions).unwrap();
    let mut policies = config.access.applications[0].policies().to_vec();
    // Places in the list count as precedences.
    for (policy, place) in policies.iter_mut().zip(1..) {
        policy.precedence = Some(place);
    }
    let all = compile(&policies);
    policies.remove(without);
    let rest = compile(&policies);
    let emails: Vec<Email> = EMAILS.iter().map(|email| email.parse().unwrap()).collect();
    all_facts(&emails).iter().find_map(|facts| {
        let (one, two) = (all.evaluate(facts), rest.evaluate(facts));
        let is_somebody = facts.email.is_some() || facts.service_token.is_some();
        let name = |verdict: &Verdict| {
            verdict.policy().filter(|_| is_somebody).map(|policy| policy.name().to_owned())
        };
        let asks_in_vain =
            one.outcome() == Outcome::LoginRequired && two.outcome() == Outcome::Denied;
        let is_same = one.outcome() == two.outcome() && name(&one) == name(&two);
        (!is_same && !asks_in_vain).then(|| format!("{facts:?}: {one:?} {two:?}"))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// What is said never to decide makes no difference.
    #[test]
    fn policies_that_never_decide_make_no_difference(text in small_file()) {
        let report = report(&text);
        for finding in report.findings() {
            let is_one = [LintKind::PolicyShadowed, LintKind::PolicyNeverApplies]
                .contains(&finding.id);
            if let (true, Some(name)) = (is_one, &finding.subject.policy) {
                let number: usize = name[1..].parse().unwrap();
                let difference = difference(&text, number);
                prop_assert!(difference.is_none(), "{finding}\n{text}\n{}", difference.unwrap());
            }
        }
    }

    /// Nor does a rule that is said to make none.
    #[test]
    fn rules_that_are_redundant_make_no_difference(text in small_file()) {
        let report = report(&text);
        for finding in report.findings() {
            let is_one = [LintKind::RedundantRule, LintKind::ExcludeWithoutEffect]
                .contains(&finding.id);
            if let (true, Some(_)) = (is_one, &finding.subject.policy) {
                let difference = without_rule(&text, &finding.key);
                prop_assert!(difference.is_none(), "{finding}\n{text}\n{}", difference.unwrap());
            }
        }
    }

    /// Whatever a file says, checking it ends.
    #[test]
    fn damaged_files_never_panic(
        text in small_file(),
        at in any::<prop::sample::Index>(),
        put in prop::sample::select(vec!["", ": ", "{", "}", "[", "]", "~", "1", "x", "lint: {}", "é"]),
    ) {
        let mut text = text.into_bytes();
        let at = at.index(text.len());
        text.splice(at..(at + 3).min(text.len()), put.bytes());
        let text = String::from_utf8_lossy(&text).into_owned();
        match check_text(&text, "f", NOW) {
            Ok(report) => prop_assert!(!report.to_string().is_empty()),
            Err(errors) => prop_assert!(serde_json::to_value(&errors).unwrap()["valid"] == false),
        }
    }
}

/// What taking out one rule changes, by its key path.
fn without_rule(text: &str, key: &str) -> Option<String> {
    let config = Config::parse(text, "f").unwrap();
    let compile =
        |policies: &[Policy]| Policies::compile(policies, &config.access.definitions).unwrap();
    let mut policies = config.access.applications[0].policies().to_vec();
    let all = compile(&policies);
    let numbers: Vec<usize> =
        key.split(['[', ']']).filter_map(|part| part.parse().ok()).skip(1).collect();
    let policy = &mut policies[numbers[0]];
    let list = match key {
        key if key.contains(".include") => &mut policy.conditions.include,
        key if key.contains(".require") => &mut policy.conditions.require,
        _ => &mut policy.conditions.exclude,
    };
    list.remove(numbers[1]);
    let rest = compile(&policies);
    let emails: Vec<Email> = EMAILS.iter().map(|email| email.parse().unwrap()).collect();
    all_facts(&emails).iter().find_map(|facts| {
        let (one, two) = (all.evaluate(facts), rest.evaluate(facts));
        let name = |verdict: &Verdict| verdict.policy().map(|policy| policy.name().to_owned());
        let is_same = one.outcome() == two.outcome() && name(&one) == name(&two);
        (!is_same).then(|| format!("{facts:?}: {one:?} {two:?}"))
    })
}
