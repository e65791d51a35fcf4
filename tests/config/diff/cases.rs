//! Each kind of sentence.

use tower_access::inspect::{DiffReport, TokenChange, diff};

use super::{NOW, deployment};

/// A file with one application, of which these are the policies, and whatever else.
fn wiki(policies: &str, more: &str) -> String {
    format!(
        "
access:
  mail: console
  applications:
    - {{ name: Wiki, domain: wiki.example.com/docs, policies: [ {policies} ] }}
{more}"
    )
}

fn report(old: &str, new: &str) -> DiffReport {
    diff(&deployment(old), &deployment(new), NOW)
}

/// The sentences, in order.
fn sentences(report: &DiffReport) -> Vec<&str> {
    assert_eq!(report.undecided, []);
    let statements = report.places.iter().flat_map(|place| &place.statements);
    statements.map(|statement| &*statement.text).collect()
}

/// What changes when the policies of an application do.
fn policies(old: &str, new: &str) -> Vec<String> {
    let report = report(&wiki(old, ""), &wiki(new, ""));
    sentences(&report).into_iter().map(str::to_owned).collect()
}

fn allow(include: &str) -> String {
    format!("{{ name: Staff, decision: allow, {include} }}")
}

/// What changes when what is included in an `allow` policy does.
fn includes(old: &str, new: &str) -> Vec<String> {
    policies(&allow(old), &allow(new))
}

#[test]
fn people_by_name() {
    let (ada, bob) =
        ("{ email: { email: ada@example.com } }", "{ email: { email: bob@example.com } }");
    let both = format!("include: [ {ada}, {bob} ]");
    let one = format!("include: [ {bob} ]");
    assert_eq!(includes(&both, &one), ["ada@example.com loses access"]);
    assert_eq!(includes(&one, &both), ["ada@example.com gains access"]);
    assert_eq!(
        includes(&both, "include: [ { email: { email: eve@example.com } } ]"),
        ["eve@example.com gains access", "ada@example.com, bob@example.com lose access",]
    );
    assert_eq!(includes(&both, &format!("include: [ {bob}, {ada} ]")), [""; 0]);
}

#[test]
fn people_by_domain_and_everyone_else() {
    let domain = "include: [ { email_domain: { domain: example.org } } ]";
    assert_eq!(
        includes("include: [ { email: { email: ada@example.org } } ]", domain),
        ["everybody in example.org except ada@example.org gains access"]
    );
    assert_eq!(
        includes(domain, "include: [ { everyone: {} } ]"),
        ["everybody outside example.org gains access"]
    );
    let all_but =
        "include: [ { everyone: {} } ], exclude: [ { email: { email: eve@example.com } } ]";
    assert_eq!(
        includes("include: [ { everyone: {} } ]", all_but),
        ["eve@example.com loses access"]
    );
    assert_eq!(
        includes(domain, all_but),
        ["everybody outside example.org except eve@example.com gains access"]
    );
}

#[test]
fn people_by_lists_and_groups() {
    let file = |items: &str, group: &str| {
        let more = format!(
            "  lists: [ {{ name: board, type: EMAIL, items: [ {items} ] }} ]
  groups: [ {{ name: Team, include: [ {group} ] }} ]"
        );
        let include = "include: [ { email_list: { id: board } }, { group: { id: Team } } ]";
        wiki(&allow(include), &more)
    };
    let eve = "{ email: { email: eve@example.com } }";
    let zoe = "{ email: { email: eve@example.com } }, { email: { email: zoe@example.com } }";
    let small = file("ada@example.com", eve);
    let large = file("ada@example.com", zoe);
    assert_eq!(sentences(&report(&small, &large)), ["zoe@example.com gains access"]);
    let people: Vec<String> = (0..250).map(|number| format!("p{number}@example.com")).collect();
    let many = report(&small, &file(&people.join(", "), eve));
    assert_eq!(
        sentences(&many),
        ["all of list board (250 addresses in all) gain access", "ada@example.com loses access"]
    );
    let who = &many.places[0].statements[0].who;
    assert_eq!((who.addresses.len(), who.more), (100, 150));
    assert_eq!(who.known_as, ["list board"]);
    // The group's own rules are not the list's.
    let outside =
        report(&large, &wiki(&allow("include: [ { email: { email: a@b.example } } ]"), ""));
    assert_eq!(
        sentences(&outside),
        ["a@b.example gains access", "all of group Team (3 addresses in all) lose access",]
    );
}

#[test]
fn networks_and_countries() {
    let staff = "include: [ { email_domain: { domain: example.org } } ]";
    let with = |rule: &str| format!("{staff}, require: [ {rule} ]");
    assert_eq!(
        includes(staff, &with("{ ip: { ip: 192.0.2.0/24 } }")),
        [
            "everybody in example.org loses access, from outside 192.0.2.0/24 or from an unknown address",
            "whoever has not logged in is refused and was asked to log in before, from outside 192.0.2.0/24",
        ]
    );
    assert_eq!(
        includes(&with("{ ip: { ip: 192.0.2.0/24 } }"), &with("{ ip: { ip: 192.0.2.0/25 } }")),
        [
            "everybody in example.org loses access, from 192.0.2.128/25",
            "whoever has not logged in is refused and was asked to log in before, from 192.0.2.128/25",
        ]
    );
    assert_eq!(
        includes(&with("{ geo: { country_code: FR } }"), &with("{ geo: { country_code: DE } }")),
        [
            "everybody in example.org gains access, in DE",
            "everybody in example.org loses access, in FR",
            "whoever has not logged in is asked to log in and was refused before, in DE",
            "whoever has not logged in is refused and was asked to log in before, in FR",
        ]
    );
}

#[test]
fn what_is_known_of_people_and_devices() {
    let all = "include: [ { everyone: {} } ]";
    let with = |rule: &str| format!("{all}, require: [ {rule} ]");
    for (old, new, expected) in [
        (
            "include: [ { okta: { name: ops } } ]".to_owned(),
            "include: [ { okta: { name: dev } } ]".to_owned(),
            &[
                "everybody who has logged in gains access, in the provider's group dev, outside the provider's group ops",
                "everybody who has logged in loses access, outside the provider's group dev, in the provider's group ops",
            ][..],
        ),
        (
            with("{ auth_method: { auth_method: mfa } }"),
            all.to_owned(),
            &["everybody who has logged in gains access, who did not prove it by mfa or where the auth method is unknown"],
        ),
        (
            all.to_owned(),
            with("{ device_posture: { integration_uid: disk } }"),
            &[
                "everybody who has logged in loses access, on a device that does not pass disk or where the device posture is unknown",
                "whoever has not logged in is refused and was asked to log in before, on a device that does not pass disk",
            ],
        ),
        (
            all.to_owned(),
            with("{ common_name: { common_name: laptop } }"),
            &[
                "everybody who has logged in loses access, with a certificate but that of laptop or without a certificate or where the certificate is unknown",
                "whoever has not logged in is refused and was asked to log in before, with a certificate but that of laptop or without a certificate",
            ],
        ),
        (
            all.to_owned(),
            format!("{all}, exclude: [ {{ user_risk_score: {{ user_risk_score: [ high ] }} }} ]"),
            &["everybody who has logged in loses access, at the risk high or where the risk is unknown"],
        ),
        (
            all.to_owned(),
            with("{ external_evaluation: { evaluate_url: 'https://e.example/', keys_url: 'https://e.example/keys' } }"),
            &["everybody who has logged in loses access, where https://e.example/ says no or where https://e.example/ was not asked"],
        ),
        (
            "include: [ { oidc: { claim_name: dept, claim_value: a, identity_provider_id: okta } } ]".to_owned(),
            "include: [ { oidc: { claim_name: dept, claim_value: a } } ]".to_owned(),
            &["everybody who has logged in gains access, logged in by another method than okta or where the login method is unknown, with the claim dept=a"],
        ),
        (
            all.to_owned(),
            with("{ cloudflare_account_member: {} }"),
            &[
                "everybody who has logged in loses access, logged in by a method of another type than cloudflare or where the login type is unknown",
                "everybody who has logged in loses access, in no account or where the account is unknown",
            ],
        ),
        (
            "include: [ { github-organization: { name: acme } } ]".to_owned(),
            "include: [ { github-organization: { name: acme, team: ops } } ]".to_owned(),
            &["everybody who has logged in loses access, in the organization acme, outside the organization acme/ops"],
        ),
    ] {
        assert_eq!(includes(&old, &new), expected, "{old} => {new}");
    }
}

#[test]
fn how_people_get_in() {
    let staff = allow("include: [ { email_domain: { domain: example.org } } ]");
    let open = format!(
        "{{ name: Open, decision: bypass, include: [ {{ ip: {{ ip: 192.0.2.0/24 }} }} ] }}, {staff}"
    );
    assert_eq!(
        policies(&staff, &open),
        [
            "whoever has not logged in and everybody outside example.org gain access, without any check, from 192.0.2.0/24",
            "everybody in example.org keeps access: allowed before, bypassed now, from 192.0.2.0/24",
        ]
    );
    let opened =
        format!("{{ name: Open, decision: bypass, include: [ {{ everyone: {{}} }} ] }}, {staff}");
    let shown = report(&wiki(&opened, ""), &wiki(&staff, "")).to_string();
    assert_eq!(
        shown,
        "
`Wiki` (wiki.example.com/docs), wiki.example.com/docs
  - whoever has not logged in loses access and is asked to log in
      bypassed by `Open` (b3e2514c-1-bypassed) -> login required (c86717c8-0-login_required)
      explain FILE --url https://wiki.example.com/docs
  - everybody outside example.org loses access
      bypassed by `Open` (b3e2514c-1-bypassed) -> denied (c86717c8-0-denied)
      explain FILE --url https://wiki.example.com/docs --email someone@elsewhere.example
  ~ everybody in example.org keeps access: bypassed before, allowed now
      bypassed by `Open` (b3e2514c-1-bypassed) -> allowed by `Staff` (c86717c8-1-allowed)
      explain FILE --url https://wiki.example.com/docs --email someone@example.org
"
    );
}

const HASH: &str = "sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971";
const OTHER_HASH: &str = "sha256:3d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971";

#[test]
fn service_tokens() {
    let machines =
        "{ name: Machines, decision: non_identity, include: [ { any_valid_service_token: {} } ] }";
    let file = |tokens: &str| wiki(machines, &format!("  service_tokens: [ {tokens} ]"));
    let ci = |hash: &str, more: &str| {
        format!("{{ name: ci, client_id: ci.access, client_secret_hash: '{hash}'{more} }}")
    };
    let good = file(&ci(HASH, ""));
    for (new, change, text) in [
        (
            file(&ci(HASH, ", enabled: false")),
            TokenChange::SwitchedOff,
            Some("service token ci loses access"),
        ),
        (
            file(&ci(HASH, ", expires_at: 2026-01-01T00:00:00Z")),
            TokenChange::Expiry,
            Some("service token ci loses access"),
        ),
        (file(&ci(HASH, ", expires_at: 2027-01-01T00:00:00Z")), TokenChange::Expiry, None),
        (file(&ci(OTHER_HASH, "")), TokenChange::Secret, None),
        (file(""), TokenChange::Removed, Some("service token ci loses access")),
    ] {
        let report = report(&good, &new);
        assert_eq!(sentences(&report), text.into_iter().collect::<Vec<_>>());
        assert_eq!(report.service_tokens.len(), 1);
        assert_eq!(report.service_tokens[0].changes, [change]);
        assert!(!report.is_empty());
    }
}

#[test]
fn svc_a_token_of_the_same_name_is_another_one() {
    let named = "{ name: Machines, decision: non_identity, include: [ { service_token: { token_id: ci } } ] }";
    let file = |client: &str| {
        let token = format!(
            "  service_tokens: [ {{ name: ci, client_id: {client}, client_secret_hash: '{HASH}' }} ]"
        );
        wiki(named, &token)
    };
    let report = report(&file("one.access"), &file("two.access"));
    assert_eq!(
        sentences(&report),
        ["service token ci gains access", "service token ci loses access"]
    );
    let ids: Vec<_> =
        report.places[0].statements.iter().map(|one| &*one.who.service_tokens[0]).collect();
    assert_eq!(ids, ["two.access", "one.access"]);
}

#[test]
fn applications_that_come_and_go() {
    let file = |second: &str| {
        format!(
            "
access:
  mail: console
  applications:
    - {{ name: Blog, domain: blog.example.com, policies: [ {{ name: Editors, decision: allow, include: [ {{ email: {{ email: ada@example.com }} }} ] }} ] }}
{second}"
        )
    };
    let public = "    - { name: Feed, domain: blog.example.com/feed, policies: [ { name: Open, decision: bypass, include: [ { everyone: {} } ] } ] }";
    let shown = report(&file(""), &file(public));
    assert_eq!(
        sentences(&shown),
        [
            "whoever has not logged in and everybody who has logged in except ada@example.com gain access, without any check",
            "ada@example.com keeps access: allowed before, bypassed now",
        ]
    );
    let text = shown.to_string();
    assert!(
        text.starts_with(
            "application `Feed` (blog.example.com/feed) added
blog.example.com/feed moved: `Blog` (blog.example.com) -> `Feed` (blog.example.com/feed)

`Blog` (blog.example.com) -> `Feed` (blog.example.com/feed), blog.example.com/feed
  + whoever"
        ),
        "{text}"
    );
    // The other way round, and where nothing else covers it.
    let alone = "    - { name: Feed, domain: feed.example.com, policies: [ { name: Open, decision: bypass, include: [ { everyone: {} } ] } ] }";
    let gone = report(&file(alone), &file(""));
    assert_eq!(sentences(&gone), ["anybody loses access"]);
    assert_eq!(gone.moved[0].new, None);
    // What the change does not touch is not there.
    assert_eq!(gone.places.len(), 1);
}

#[test]
fn path_18_a_wildcard_that_takes_a_part_away_is_found() {
    let file = |pattern: &str| {
        format!(
            "
access:
  mail: console
  applications:
    - {{ name: All, domain: h.example, policies: [ {{ name: Staff, decision: allow, include: [ {{ everyone: {{}} }} ] }} ] }}
    - {{ name: Part, domain: {pattern}, policies: [ {{ name: None, decision: deny, include: [ {{ everyone: {{}} }} ] }} ] }}
"
        )
    };
    for (old, new) in [
        ("h.example/a*/c", "h.example/*b/c"),
        ("h.example/x", "h.example/x/*"),
        ("h.example/x/*", "h.example/*/y"),
    ] {
        let report = report(&file(old), &file(new));
        assert_eq!(report.undecided, []);
        let pairs: Vec<(&str, &str)> = report
            .moved
            .iter()
            .map(|moved| (&*moved.old.as_ref().unwrap().name, &*moved.new.as_ref().unwrap().name))
            .collect();
        assert!(pairs.contains(&("All", "Part")) != (new == "h.example/x/*"), "{pairs:?}");
        assert!(pairs.contains(&("Part", "All")), "{pairs:?}");
        assert!(sentences(&report).contains(&"everybody who has logged in gains access"));
    }
}

#[test]
fn requests_by_options_are_let_through() {
    let file = |setting: &str| {
        format!(
            "
access:
  mail: console
  applications: [ {{ name: Api, domain: api.example, options_preflight_bypass: {setting}, policies: [] }} ]
"
        )
    };
    assert_eq!(
        sentences(&report(&file("false"), &file("true"))),
        ["anybody gains access, without any check, by the method OPTIONS"]
    );
}

#[test]
fn what_cannot_be_decided_is_said() {
    // Each network, country and group by itself, and thousands of combinations of them.
    let rules = |from: usize| -> String {
        let rules = (from..from + 9).map(|number| {
            format!(
                "{{ name: P{number}, decision: allow, include: [ {{ okta: {{ name: g{number} }} }} ], \
                 require: [ {{ ip: {{ ip: 192.0.2.{number} }} }}, {{ geo: {{ country_code: A{} }} }}, \
                 {{ device_posture: {{ integration_uid: c{number} }} }} ] }}",
                char::from(b"DEFGILMOQR"[number])
            )
        });
        rules.collect::<Vec<_>>().join(", ")
    };
    let (old, new) = (wiki(&rules(0), ""), wiki(&rules(1), ""));
    let (old, new) = (deployment(&old), deployment(&new));
    let report = diff(&old, &new, NOW);
    assert_eq!(report.undecided.len(), 1);
    let reason = &report.undecided[0].reason;
    assert!(reason.contains("too many"), "{reason}");
    assert_eq!(*report.undecided[0].applications, [Box::<str>::from("Wiki")]);
    // What is said all the same is true.
    assert!(!report.places[0].statements.is_empty());
    for statement in &report.places[0].statements {
        let witness = &statement.witness;
        assert_eq!(old.explain(&witness.question, NOW).outcome, witness.old.outcome);
        assert_eq!(new.explain(&witness.question, NOW).outcome, witness.new.outcome);
    }
    assert!(diff(&old, &old, NOW).is_empty());

    let saml = "include: [ { saml: { attribute_name: dept, attribute_value: a } }, { oidc: { claim_name: dept, claim_value: a } } ]";
    let one = "include: [ { saml: { attribute_name: dept, attribute_value: a } } ]";
    let report = self::report(&wiki(&allow(saml), ""), &wiki(&allow(one), ""));
    assert_eq!(report.places, []);
    assert!(!report.is_empty());
    let text = report.to_string();
    assert!(text.contains("the claim `dept` is named by oidc and saml"), "{text}");
}

#[test]
fn the_json_is_stable() {
    let report = report(
        &wiki(&allow("include: [ { email: { email: ada@example.com } } ]"), ""),
        &wiki(
            &allow(
                "include: [ { email_domain: { domain: example.com } } ], require: [ { geo: { country_code: FR } } ]",
            ),
            "",
        ),
    );
    let json = serde_json::to_value(&report).unwrap();
    let [old, new] = ["a6eb6eea", "2b610ee5"];
    let application = serde_json::json!({ "id": "wiki.example.com/docs", "name": "Wiki" });
    let url = "https://wiki.example.com/docs";
    assert_eq!(
        json,
        serde_json::json!({
            "version": 1,
            "old": "access.yml",
            "new": "access.yml",
            "applications": [],
            "moved": [],
            "service_tokens": [],
            "places": [{
                "old": application,
                "new": application,
                "places": ["wiki.example.com/docs"],
                "statements": [
                    {
                        "effect": "gains",
                        "text": "everybody in example.com except ada@example.com gains access, in FR",
                        "who": { "domains": ["example.com"], "not_addresses": ["ada@example.com"] },
                        "when": [{ "fact": "country", "is": ["FR"] }],
                        "witness": {
                            "question": {
                                "request": { "url": url, "country": "FR" },
                                "identity": { "email": "someone@example.com" },
                            },
                            "arguments": "--url https://wiki.example.com/docs --email someone@example.com --country FR",
                            "old": { "outcome": "denied", "id": format!("{old}-0-denied") },
                            "new": { "outcome": "allowed", "id": format!("{new}-1-allowed"), "policy": "Staff" },
                        },
                    },
                    {
                        "effect": "loses",
                        "text": "ada@example.com loses access, in any country but FR or in an unknown country",
                        "who": { "addresses": ["ada@example.com"] },
                        "when": [{ "fact": "country", "is_not": ["FR"], "or_unknown": true }],
                        "witness": {
                            "question": {
                                "request": { "url": url },
                                "identity": { "email": "ada@example.com" },
                            },
                            "arguments": "--url https://wiki.example.com/docs --email ada@example.com",
                            "old": { "outcome": "allowed", "id": format!("{old}-1-allowed"), "policy": "Staff" },
                            "new": { "outcome": "denied", "id": format!("{new}-0-denied") },
                        },
                    },
                    {
                        "effect": "changes",
                        "text": "whoever has not logged in is refused and was asked to log in before, in any country but FR",
                        "who": { "nobody": true },
                        "when": [{ "fact": "country", "is_not": ["FR"] }],
                        "witness": {
                            "question": { "request": { "url": url, "country": "AQ" } },
                            "arguments": "--url https://wiki.example.com/docs --country AQ",
                            "old": { "outcome": "login_required", "id": format!("{old}-0-login_required") },
                            "new": { "outcome": "denied", "id": format!("{new}-0-denied") },
                        },
                    },
                ],
            }],
            "undecided": [],
        })
    );
}

#[test]
fn a_hundred_applications_and_a_list_of_ten_thousand_are_compared_in_time() {
    let people: Vec<String> = (0..10_000).map(|number| format!("p{number}@example.com")).collect();
    let file = |count: usize| {
        let mut text = "access:\n  mail: console\n  applications:\n".to_owned();
        for number in 0..100 {
            text.push_str(&format!("    - {{ name: A{number}, domain: h{number}.example, policies: [ {{ name: P, decision: allow, include: [ {{ email_list: {{ id: all }} }} ] }} ] }}\n"));
        }
        text.push_str(&format!(
            "  lists: [ {{ name: all, type: EMAIL, items: [ {} ] }} ]\n",
            people[..count].join(", ")
        ));
        text
    };
    let (old, new) = (deployment(&file(10_000)), deployment(&file(9_999)));
    let report = diff(&old, &new, NOW);
    assert_eq!(report.places.len(), 100);
    assert_eq!(report.undecided, []);
    assert_eq!(report.places[0].statements[0].text, "p9999@example.com loses access");
}

#[test]
fn whom_to_believe_is_said_and_not_compared() {
    let file = |access: &str, rest: &str| {
        format!(
            "access:
  {access}
  applications:
    - {{ id: wiki, name: Wiki, domain: wiki.example, aud: '{}', policies: [ {{ name: p, decision: bypass, include: [ {{ ip: {{ ip: 192.0.2.0/24 }} }} ] }} ] }}
{rest}
",
            "7a".repeat(32)
        )
    };
    let ours = file("mail: console", "");
    let theirs = file("issuer: { team_domain: acme.cloudflareaccess.com }", "");
    for (old, new, about) in [
        (ours.clone(), theirs.clone(), "`access.issuer` differs"),
        (theirs.clone(), theirs.replace("acme", "evil"), "`access.issuer` differs"),
        (
            ours.clone(),
            file("mail: console", "trusted_proxies: [ 203.0.113.0/24 ]"),
            "`trusted_proxies` differs",
        ),
        (ours.clone(), ours.replace("7a7a", "7b7b"), "`aud` differs"),
        (
            ours.clone(),
            file("facts: { country_header: cf-ipcountry }\n  mail: console", ""),
            "`access.facts` differs",
        ),
    ] {
        let report = diff(&deployment(&old), &deployment(&new), NOW);
        assert!(!report.is_empty(), "{about}");
        assert!(report.to_string().contains(about), "{about}: {report}");
        assert!(diff(&deployment(&new), &deployment(&new), NOW).is_empty(), "{about}");
    }
    let issuer = |more: &str| {
        file(&format!("issuer: {{ team_domain: acme.cloudflareaccess.com{more} }}"), "")
    };
    for setting in [
        "certs_url: https://keys.example/",
        "algorithms: [ ES256 ]",
        "get_identity: true",
        "leeway: 5s",
        "key_refresh: { cool_down: 20s }",
    ] {
        let report = diff(&deployment(&theirs), &deployment(&issuer(&format!(", {setting}"))), NOW);
        assert!(report.to_string().contains("`access.issuer` differs"), "{setting}: {report}");
    }
    let github = |more: &str| {
        let config = format!("{{ client_id: a, client_secret_file: /run/s{more} }}");
        let provider = format!("{{ name: GitHub, type: github, config: {config} }}");
        file(
            &format!(
                "mail: console\n  identity_providers: [ {{ name: PIN, type: onetimepin }}, {provider} ]"
            ),
            "",
        )
    };
    for (old, new) in [
        (&ours, &github("")),
        (&github(""), &ours),
        (&github(""), &github(", base_url: 'https://github.example.com'")),
        (&github(""), &github("").replace("client_id: a", "client_id: b")),
        (&github(""), &github("").replace("{ name: PIN, type: onetimepin }, ", "")),
    ] {
        let report = diff(&deployment(old), &deployment(new), NOW).to_string();
        assert!(
            report.contains("`access.identity_providers` or `access.one_time_pin` differs"),
            "{report}"
        );
    }
    // Whom users have to believe has not changed.
    let renamed = github("").replace("GitHub", "Git").replace("/run/s", "/run/t");
    assert!(diff(&deployment(&github("")), &deployment(&renamed), NOW).is_empty());
    // What is written out and is the default anyway is no difference.
    let written_out = issuer(", algorithms: [ RS256 ], get_identity: false");
    assert!(diff(&deployment(&theirs), &deployment(&written_out), NOW).is_empty());
}
