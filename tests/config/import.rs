//! From Cloudflare's API to a configuration.
#![allow(clippy::needless_pass_by_value, reason = "cases are written down as values")]

use serde_json::{Value, json};
use tower_access::clock::Timestamp;
use tower_access::config::{Config, Role};
use tower_access::explain::Question;
use tower_access::inspect::Deployment;
use tower_access::inspect::import::{Import, ImportError, ImportNoteKind, import};
use tower_access::policy::Outcome;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

/// A whole account, as the API answers.
const APPLICATIONS: &str = r#"{
  "success": true, "errors": [], "messages": [],
  "result": [
    {
      "id": "3f1c2b7e-8d0a-4f8b-9f62-9a2f6a5e1c10", "uid": "3f1c2b7e-8d0a-4f8b-9f62-9a2f6a5e1c10",
      "aud": "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
      "type": "self_hosted", "name": "Wiki", "domain": "wiki.example.com", "domain_type": "public",
      "self_hosted_domains": ["wiki.example.com", "docs.example.com/internal"],
      "destinations": [
        { "type": "public", "uri": "wiki.example.com" },
        { "type": "public", "uri": "docs.example.com/internal" },
        { "type": "private", "cidr": "10.0.0.0/8", "l4_protocol": "tcp", "port_range": "80" }
      ],
      "session_duration": "12h", "allowed_idps": [], "tags": ["a"], "logo_url": "https://example.com/l.png",
      "auto_redirect_to_identity": false, "app_launcher_visible": true,
      "http_only_cookie_attribute": true, "same_site_cookie_attribute": "lax",
      "enable_binding_cookie": false, "path_cookie_attribute": false, "options_preflight_bypass": false,
      "service_auth_401_redirect": true, "custom_deny_message": "Ask IT: yes, really", "custom_pages": [],
      "policies": [
        { "id": "b7d2a4c6-0001-4000-8000-000000000001", "name": "Staff", "decision": "allow",
          "precedence": 2, "reusable": true,
          "include": [{ "email_domain": { "domain": "example.com" } },
                      { "email_list": { "id": "a5b29c3d4e6f40718293a4b5c6d7e8f9" } }],
          "exclude": [{ "email": { "email": "intern@example.com" } }],
          "require": [{ "group": { "id": "6f0e1d2c-3b4a-4958-8776-655443322110" } }],
          "session_duration": "8h", "approval_required": false, "purpose_justification_required": false,
          "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z" },
        { "id": "b7d2a4c6-0002-4000-8000-000000000002", "name": "CI", "decision": "non_identity",
          "precedence": 1, "include": [{ "service_token": { "token_id": "3c2b1a09-8877-4665-8544-332211009988" } }],
          "exclude": [], "require": [] }
      ],
      "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"
    },
    {
      "id": "9d8c7b6a-1111-4222-8333-444455556666", "aud": "", "type": "self_hosted", "name": "Status",
      "domain": "status.example.com:443/public", "session_duration": "24h",
      "policies": [{ "id": "0a0b0c0d-0003-4000-8000-000000000003", "name": "Public", "decision": "bypass",
                     "precedence": 1, "include": [{ "everyone": {} }] }]
    },
    { "id": "5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716", "type": "saas", "name": "CRM",
      "saas_app": { "sp_entity_id": "https://crm.example.net" }, "policies": [] },
    { "id": "aaaa3c2b-1a09-4f8e-9d7c-6b5a49382716", "type": "ssh", "name": "Shell",
      "domain": "ssh.example.com", "policies": ["b7d2a4c6-0001-4000-8000-000000000001"] },
    { "id": "bbbb3c2b-1a09-4f8e-9d7c-6b5a49382716", "type": "self_hosted", "name": "Wildcard",
      "domain": "*.example.com",
      "policies": [{ "id": "b7d2a4c6-0001-4000-8000-000000000001", "precedence": 1 }] }
  ],
  "result_info": { "page": 1, "per_page": 50, "count": 5, "total_count": 5, "total_pages": 1 }
}"#;

const OTHERS: &str = r#"
{ "success": true, "errors": [], "messages": [], "result": [
  { "id": "6f0e1d2c-3b4a-4958-8776-655443322110", "uid": "6f0e1d2c-3b4a-4958-8776-655443322110",
    "name": "Office or VPN", "is_default": false, "exclude": [], "require": [],
    "include": [{ "ip": { "ip": "203.0.113.0/24" } }, { "ip_list": { "id": "b6c30d4e5f7041829304b5c6d7e8f9a0" } }],
    "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z" } ] }
[ { "id": "a5b29c3d4e6f40718293a4b5c6d7e8f9", "name": "Board", "type": "EMAIL", "count": 2,
    "items": [ { "value": "eve@partner.example", "created_at": "2026-01-02T03:04:05Z" },
               { "value": "no", "created_at": "2026-01-02T03:04:05Z" } ] },
  { "id": "b6c30d4e5f7041829304b5c6d7e8f9a0", "name": "VPN", "type": "IP", "count": 1 },
  { "id": "c6c30d4e5f7041829304b5c6d7e8f9a0", "name": "Laptops", "type": "SERIAL", "count": 7 } ]
{ "id": "3c2b1a09-8877-4665-8544-332211009988", "name": "CI", "client_id": "9c0d5f8b7e6a41d2b3c4d5e6f7a8b9c0.access",
  "duration": "8760h", "expires_at": "2027-09-01T00:00:00Z", "enabled": true, "last_seen_at": null }
{ "success": true, "result": [
  { "id": "0d9c3a4e-0000-4000-8000-000000000001", "type": "onetimepin", "name": "One-time PIN login", "config": {} },
  { "id": "1d9c3a4e-0000-4000-8000-000000000002", "type": "okta", "name": "Okta",
    "config": { "client_id": "x", "okta_account": "https://acme.okta.example" } } ] }
{ "success": true, "result": { "auth_domain": "acme.cloudflareaccess.com", "name": "Acme", "session_duration": "72h",
  "login_design": { "header_text": "Hello" }, "deny_unmatched_requests": true, "is_ui_read_only": false } }
{ "id": "f70e", "name": "a tunnel", "connections": [] }
"#;

const VPN: &str = r#"{ "success": true, "result": [[ { "value": "198.51.100.0/25", "description": "Paris" } ]] }"#;

fn account() -> Import {
    import(&[
        ("export/apps.json", APPLICATIONS),
        ("export/others.json", OTHERS),
        ("export/b6c30d4e5f7041829304b5c6d7e8f9a0.json", VPN),
    ])
    .unwrap()
}

/// An application with these keys added, imported together with other objects.
fn with(more: Value, others: &[Value]) -> Import {
    let mut application = json!({
        "id": "a1", "type": "self_hosted", "name": "Wiki", "domain": "wiki.example.com",
        "policies": [{ "id": "p1", "name": "Staff", "decision": "allow", "precedence": 1,
                       "include": [{ "email_domain": { "domain": "example.com" } }] }],
    });
    for (key, value) in more.as_object().unwrap() {
        application[key] = value.clone();
    }
    let mut texts: Vec<String> = vec![application.to_string()];
    texts.extend(others.iter().map(Value::to_string));
    import(&[("export.json", texts.join("\n"))]).unwrap()
}

fn pin() -> Value {
    json!({ "id": "pin", "type": "onetimepin", "name": "PIN", "config": {} })
}

/// Of a type that does not exist here.
fn linkedin() -> Value {
    json!({ "id": "linkedin", "type": "linkedin", "name": "LinkedIn", "config": {} })
}

fn refusal(files: &[(&str, &str)]) -> String {
    import(files).unwrap_err().to_string()
}

/// What happens to a person's request.
#[track_caller]
fn outcome(import: &Import, url: &str, email: &str) -> Outcome {
    let deployment = Deployment::parse(import.yaml(), "import").unwrap();
    let question = Question::new(url)
        .with_email(email.parse().unwrap())
        .with_address("203.0.113.9".parse().unwrap());
    deployment.explain(&question, NOW).outcome
}

fn kinds_at<'a>(import: &'a Import, key: &str) -> Vec<(ImportNoteKind, &'a str)> {
    import
        .notes()
        .iter()
        .filter(|note| note.key() == key)
        .map(|note| (note.kind(), note.message()))
        .collect()
}

#[test]
fn groups_that_were_not_read_before_are_not_read_now() {
    let entra = |config: Value| json!({ "id": "entra", "type": "azureAD", "name": "Entra", "config": config });
    let with_groups = |value: Option<bool>| {
        let mut config =
            json!({ "client_id": "x", "directory_id": "7d3c1e0a-0000-4000-8000-0123456789ab" });
        if let Some(value) = value {
            config["support_groups"] = value.into();
        }
        with(json!({}), &[entra(config)]).yaml().to_owned()
    };
    assert!(with_groups(Some(true)).contains("support_groups: true"));
    for value in [None, Some(false)] {
        assert!(with_groups(value).contains("support_groups: false"), "{}", with_groups(value));
    }
}

#[test]
fn a_whole_account_is_carried_over() {
    let import = account();
    let config = Config::parse(import.yaml(), "import").unwrap();
    let names: Vec<&str> = config.access.applications.iter().map(|it| it.name()).collect();
    assert_eq!(names, ["Wiki", "Status", "Shell", "Wildcard"]);
    let destinations: Vec<String> =
        config.access.applications[0].destinations().iter().map(ToString::to_string).collect();
    assert_eq!(destinations, ["wiki.example.com", "docs.example.com/internal"]);
    let [group] = config.access.definitions.groups() else { panic!() };
    assert_eq!(
        (group.id(), &*group.name, group.conditions.include.len()),
        ("6f0e1d2c-3b4a-4958-8776-655443322110", "Office or VPN", 2)
    );
    let sizes: Vec<(&str, usize)> =
        config.access.definitions.lists().iter().map(|list| (&*list.name, list.len())).collect();
    assert_eq!(sizes, [("Board", 1), ("VPN", 1)]);
    assert_eq!(config.access.session_duration.unwrap().as_secs(), 72 * 3600);
    let Role::Issuing { one_time_pin: Some(one_time_pin), team_domain, .. } = &config.access.role
    else {
        panic!()
    };
    assert_eq!((&*one_time_pin.id, team_domain), ("0d9c3a4e-0000-4000-8000-000000000001", &None));
    let [token] = &config.access.service_tokens[..] else { panic!() };
    assert_eq!((token.token_id(), token.enabled), ("3c2b1a09-8877-4665-8544-332211009988", false));
    // The client secret of the identity provider is to be added.
    let error = config.access().unwrap_err().to_string();
    assert!(error.contains("/etc/access/1d9c3a4e-0000-4000-8000-000000000002-secret"), "{error}");
    let secret = std::env::temp_dir().join(format!("tower-access-import-{}", std::process::id()));
    std::fs::write(&secret, "hush\n").unwrap();
    let yaml = import.yaml().replace(
        "/etc/access/1d9c3a4e-0000-4000-8000-000000000002-secret",
        &secret.display().to_string(),
    );
    assert!(Config::parse(&yaml, "import").unwrap().access().is_ok());
    std::fs::remove_file(&secret).unwrap();

    for (url, email, expected) in [
        ("https://wiki.example.com/", "ada@example.com", Outcome::Allowed),
        ("https://wiki.example.com/", "eve@partner.example", Outcome::Allowed),
        ("https://wiki.example.com/", "intern@example.com", Outcome::Denied),
        ("https://docs.example.com/internal/x", "ada@example.com", Outcome::Allowed),
        ("https://other.example.com/", "ada@example.com", Outcome::Allowed),
        ("https://other.example.com/", "ada@example.net", Outcome::Denied),
        ("https://status.example.com/public/x", "ada@example.net", Outcome::Bypassed),
        // The wildcard would let her in; the application that cannot be carried over stays in front.
        ("https://ssh.example.com/", "ada@example.com", Outcome::Denied),
    ] {
        assert_eq!(outcome(&import, url, email), expected, "{url} {email}\n{}", import.yaml());
    }
}

#[test]
fn what_was_not_carried_over_is_listed() {
    let import = account();
    let notes: Vec<String> = import.notes().iter().map(ToString::to_string).collect();
    assert!(!import.is_complete());
    for words in [
        "export/others.json: `a tunnel`: not an application",
        "export/apps.json: application `CRM` (5e4d3c2b-1a09-4f8e-9d7c-6b5a49382716): type: applications of type `saas`",
        "application `Shell` (aaaa3c2b-1a09-4f8e-9d7c-6b5a49382716): applications of type `ssh` are not served here; the application was imported and refuses everyone",
        "application `Wiki` (3f1c2b7e-8d0a-4f8b-9f62-9a2f6a5e1c10): destinations[2]: destinations of type `private`",
        "application `Status` (9d8c7b6a-1111-4222-8333-444455556666): domain: `status.example.com:443/public`: applications have no ports",
        "list `Board` (a5b29c3d4e6f40718293a4b5c6d7e8f9): items: `no` is not a valid email address",
        "list `Laptops` (c6c30d4e5f7041829304b5c6d7e8f9a0): type:",
        "service token `CI` (3c2b1a09-8877-4665-8544-332211009988): client_secret: exports contain no secrets, so the token is switched off; write `sha256:` and the output of `printf %s SECRET | sha256sum`",
        "identity provider `Okta` (1d9c3a4e-0000-4000-8000-000000000002): config.client_secret: exports do not contain it",
        "organization `Acme`: auth_domain: this host cannot run the login",
        "organization `Acme`: login_design:",
        "ingress: exports do not contain your services",
        "access.mail: codes are printed",
    ] {
        assert!(notes.iter().any(|note| note.contains(words)), "{words}\n{}", notes.join("\n"));
    }
    assert_eq!(notes.len(), 13, "{}", notes.join("\n"));
}

#[test]
fn the_file_reads_well() {
    let yaml = account().yaml().to_owned();
    for line in [
        "# ingress:",
        "#   - hostname: wiki.example.com",
        "    - id: \"3f1c2b7e-8d0a-4f8b-9f62-9a2f6a5e1c10\"",
        "      name: Wiki",
        "        - { type: public, uri: docs.example.com/internal }",
        "      custom_deny_message: \"Ask IT: yes, really\"",
        "        - { id: b7d2a4c6-0001-4000-8000-000000000001, precedence: 2 }  # Staff",
        "        - { email_list: { id: a5b29c3d4e6f40718293a4b5c6d7e8f9 } }  # Board",
        "        - { group: { id: \"6f0e1d2c-3b4a-4958-8776-655443322110\" } }  # Office or VPN",
        "      enabled: false",
        "  mail: console",
    ] {
        assert!(yaml.lines().any(|found| found == line), "{line}\n{yaml}");
    }
    assert_eq!(yaml, account().yaml());
    let other_order = import(&[
        ("export/b6c30d4e5f7041829304b5c6d7e8f9a0.json", VPN),
        ("export/others.json", OTHERS),
        ("export/apps.json", APPLICATIONS),
    ]);
    assert_eq!(yaml, other_order.unwrap().yaml());
}

#[test]
fn a_good_export_leaves_nothing_to_say_but_what_no_export_has() {
    let import = with(json!({}), &[]);
    assert!(import.is_complete());
    let keys: Vec<&str> = import.notes().iter().map(|note| note.key()).collect();
    assert_eq!(keys, ["ingress", "access.mail"]);
    assert_eq!(outcome(&import, "https://wiki.example.com/", "ada@example.com"), Outcome::Allowed);
}

#[test]
fn pol_09_a_policy_never_becomes_wider() {
    let url = "https://wiki.example.com/";
    let unknown = json!({ "new_selector": { "x": 1 } });
    let domain = json!({ "email_domain": { "domain": "example.com" } });
    let ada = json!({ "email": { "email": "ada@example.com" } });
    let policy = |decision: &str, list: &str, rules: Value, precedence: u32| {
        let mut policy = json!({ "id": format!("p{precedence}"), "name": "p", "decision": decision,
                                 "precedence": precedence, "include": [domain] });
        policy[list] = rules;
        policy
    };
    let allow = policy("allow", "require", json!([]), 9);
    for (policies, expected) in [
        (json!([policy("allow", "include", json!([unknown, domain]), 1)]), Outcome::Allowed),
        (json!([policy("allow", "include", json!([unknown]), 1)]), Outcome::Denied),
        (json!([policy("allow", "require", json!([unknown]), 1)]), Outcome::Denied),
        (json!([policy("allow", "exclude", json!([unknown]), 1)]), Outcome::Denied),
        (json!([policy("allow", "require", json!({}), 1)]), Outcome::Denied),
        (json!([policy("allow", "approval_required", json!(true), 1)]), Outcome::Denied),
        (json!([policy("allow", "new_key", json!("x"), 1)]), Outcome::Denied),
        (json!([policy("allow", "new_key", json!(false), 1)]), Outcome::Allowed),
        (json!([policy("permit", "require", json!([]), 1), allow]), Outcome::Denied),
        (json!([policy("deny", "include", json!([unknown]), 1), allow]), Outcome::Denied),
        (json!([policy("deny", "include", json!([]), 1), allow]), Outcome::Allowed),
        (json!([policy("deny", "require", json!([unknown]), 1), allow]), Outcome::Denied),
        (json!([policy("deny", "exclude", json!([unknown, ada]), 1), allow]), Outcome::Allowed),
        (json!([policy("deny", "exclude", json!([unknown]), 1), allow]), Outcome::Denied),
        (json!([{ "id": "gone", "precedence": 1 }, allow]), Outcome::Denied),
        (json!(["gone", allow]), Outcome::Denied),
        (json!([allow, { "id": "gone", "precedence": 10 }]), Outcome::Allowed),
        (json!([7, allow]), Outcome::Denied),
        (json!([]), Outcome::Denied),
        (json!("p"), Outcome::Denied),
        (json!(null), Outcome::Denied),
    ] {
        let import = with(json!({ "policies": policies }), &[]);
        assert_eq!(
            outcome(&import, url, "ada@example.com"),
            expected,
            "{policies}\n{}",
            import.yaml()
        );
        let everything =
            expected == Outcome::Allowed && !policies.to_string().contains("new_selector");
        if !everything && policies != json!([]) {
            let told = import.notes().iter().any(|note| {
                note.kind() != ImportNoteKind::ToBeAdded && note.file() == "export.json"
            });
            assert!(
                told || policies.to_string().contains("false"),
                "{policies} {:?}",
                import.notes()
            );
        }
    }
}

#[test]
fn pol_09_what_rules_name_has_to_be_there() {
    let rule_to = |kind: &str, id: &str| json!({ kind: { "id": id } });
    let policies = |rule: Value| {
        json!({ "policies": [
            { "id": "p1", "name": "deny", "decision": "deny", "precedence": 1, "include": [rule] },
            { "id": "p2", "name": "allow", "decision": "allow", "precedence": 2, "include": [{ "everyone": {} }] },
        ] })
    };
    let everyone = json!([{ "email": { "email": "x@x.example" } }]);
    let group = |more: Value| {
        let mut group = json!({ "id": "g", "name": "G", "include": everyone });
        for (key, value) in more.as_object().unwrap() {
            group[key] = value.clone();
        }
        group
    };
    let sms = || json!({ "include": [{ "auth_method": { "auth_method": "sms" } }] });
    let list =
        |kind: &str, items: Value| json!({ "id": "l", "name": "L", "type": kind, "items": items });
    let to_g = || policies(rule_to("group", "g"));
    let to_l = || policies(rule_to("ip_list", "l"));
    for (application, others, is_whole) in [
        (to_g(), vec![group(json!({}))], true),
        (to_g(), vec![], false),
        (to_g(), vec![group(json!({ "include": [{ "new": {} }] }))], false),
        (to_g(), vec![group(json!({ "include": [{ "group": { "id": "g" } }] }))], false),
        (to_g(), vec![group(json!({ "include": [{ "group": { "id": "h" } }] }))], false),
        (to_g(), vec![group(json!({ "new_key": 1 }))], false),
        // Elsewhere only ids count: a name that looks like one is nobody.
        (policies(rule_to("group", "G")), vec![group(json!({}))], false),
        (to_l(), vec![list("IP", json!([{ "value": "192.0.2.0/24" }]))], true),
        (to_l(), vec![list("IP", json!([]))], true),
        (to_l(), vec![list("IP", json!([{ "value": "192.0.2.0-192.0.2.9" }]))], false),
        (to_l(), vec![list("EMAIL", json!([]))], false),
        (to_l(), vec![json!({ "id": "l", "name": "L", "type": "IP", "count": 1 })], false),
        (to_l(), vec![json!({ "id": "l", "name": "L", "type": "IP", "count": 0 })], true),
        (policies(json!({ "service_token": { "token_id": "t" } })), vec![], false),
        (policies(json!({ "login_method": { "id": "okta" } })), vec![pin()], true),
        // Whoever was refused by this came in by another login method, and comes in by PIN now.
        (policies(json!({ "login_method": { "id": "okta" } })), vec![], false),
        (
            policies(json!({ "okta": { "name": "x", "identity_provider_id": "okta" } })),
            vec![],
            false,
        ),
        (to_g(), vec![group(sms()), pin()], true),
        (to_g(), vec![group(sms())], false),
        (to_g(), vec![group(json!({ "exclude": sms()["include"] }))], false),
    ] {
        let import = with(application, &others);
        let expected = if is_whole { Outcome::Allowed } else { Outcome::Denied };
        let found = outcome(&import, "https://wiki.example.com/", "ada@example.com");
        assert_eq!(found, expected, "{others:?}\n{}", import.yaml());
        assert_eq!(import.is_complete(), is_whole, "{others:?}");
    }
}

#[test]
fn cfg_04_settings_that_keep_people_out_are_not_lost() {
    let url = "https://wiki.example.com/";
    for (setting, expected) in [
        (json!({ "allowed_idps": [] }), Outcome::Allowed),
        (json!({ "allowed_idps": ["linkedin"] }), Outcome::Denied),
        (json!({ "allowed_idps": ["unknown"] }), Outcome::Denied),
        (json!({ "allowed_idps": "okta" }), Outcome::Denied),
        (json!({ "mfa_config": { "allowed_authenticators": ["totp"] } }), Outcome::Denied),
        (json!({ "mfa_config": { "mfa_disabled": true } }), Outcome::Allowed),
        (json!({ "mfa_config": {} }), Outcome::Allowed),
        (json!({ "brand_new": { "on": true } }), Outcome::Denied),
        (json!({ "brand_new": { "on": false, "list": [] } }), Outcome::Allowed),
        (json!({ "type": "vnc" }), Outcome::Denied),
        (json!({ "type": "brand_new" }), Outcome::Denied),
        (json!({ "custom_pages": ["x"] }), Outcome::Allowed),
        (json!({ "allow_iframe": true }), Outcome::Allowed),
        (json!({ "session_duration": "1d" }), Outcome::Allowed),
        (json!({ "cors_headers": { "allow_all_origins": true } }), Outcome::Allowed),
        (json!({ "scim_config": { "enabled": true } }), Outcome::Allowed),
    ] {
        let import = with(setting.clone(), &[pin(), linkedin()]);
        assert_eq!(
            outcome(&import, url, "ada@example.com"),
            expected,
            "{setting}\n{}",
            import.yaml()
        );
    }
    let import = with(json!({ "allowed_idps": ["linkedin", "pin"] }), &[pin(), linkedin()]);
    let deployment = Deployment::parse(import.yaml(), "import").unwrap();
    let question = Question::new(url).with_email("ada@example.com".parse().unwrap());
    assert_eq!(deployment.explain(&question, NOW).outcome, Outcome::Allowed, "{}", import.yaml());
    assert!(import.yaml().contains("allowed_idps: [ pin ]"), "{}", import.yaml());
}

#[test]
fn a_second_factor_for_everyone_closes_what_does_not_decline_it() {
    let organization =
        json!({ "auth_domain": "login.example.com", "mfa_required_for_all_apps": true });
    let url = "https://wiki.example.com/";
    let closed = with(json!({}), std::slice::from_ref(&organization));
    assert_eq!(outcome(&closed, url, "ada@example.com"), Outcome::Denied);
    let open = with(json!({ "mfa_config": { "mfa_disabled": true } }), &[organization]);
    assert_eq!(outcome(&open, url, "ada@example.com"), Outcome::Allowed);
    assert!(open.yaml().contains("  team_domain: login.example.com\n"), "{}", open.yaml());
}

#[test]
fn rtr_nothing_less_specific_takes_the_place_of_what_is_left_out() {
    let wide = json!({ "id": "w", "type": "self_hosted", "domain": "*.example.com",
                       "policies": [{ "id": "e", "name": "e", "decision": "bypass", "include": [{ "everyone": {} }] }] });
    let host = json!({ "id": "h", "type": "self_hosted", "domain": "other.example.com",
                       "policies": [{ "id": "e", "precedence": 1 }] });
    let everyone = |domain: &str, url: &str| {
        let import = with(json!({ "domain": domain }), &[wide.clone(), host.clone()]);
        outcome(&import, url, "eve@evil.example")
    };
    // As a host can be written, and as it cannot.
    assert_eq!(everyone("wiki.example.com", "https://any.example.com/"), Outcome::Bypassed);
    assert_eq!(everyone("wiki.example.com/a/../b", "https://wiki.example.com/"), Outcome::Denied);
    assert_eq!(
        everyone("wiki.example.com/a*b*c", "https://wiki.example.com/axbxc"),
        Outcome::Denied
    );
    assert_eq!(everyone("wiki.example.com/a*b*c", "https://other.example.com/"), Outcome::Bypassed);
    assert_eq!(everyone("wi ki.example.com", "https://any.example.com/"), Outcome::Denied);
    assert_eq!(everyone("wi ki.example.com", "https://other.example.com/"), Outcome::Bypassed);
    assert_eq!(everyone("other.example.com", "https://other.example.com/"), Outcome::Denied);
    let import = with(json!({ "domain": "bücher.example.com" }), &[]);
    assert!(import.yaml().contains("domain: xn--bcher-kva.example.com"), "{}", import.yaml());
}

#[test]
fn one_object_in_several_files_is_one() {
    let application = |more: Value| {
        let mut application = json!({ "id": "a", "type": "self_hosted", "domain": "a.example", "name": "A",
                                      "updated_at": "2026-01-01T00:00:00Z" });
        for (key, value) in more.as_object().unwrap() {
            application[key] = value.clone();
        }
        application.to_string()
    };
    let policies = r#"[{ "id": "p", "name": "P", "decision": "allow", "precedence": 1, "include": [{ "everyone": {} }] }]"#;
    let bare = application(json!({}));
    let named = application(json!({ "name": "B" }));
    let newer = application(json!({ "name": "B", "updated_at": "2026-01-02T00:00:00Z" }));
    let same = import(&[("1", &*bare), ("2", &*bare), ("a/policies.json", policies)]).unwrap();
    assert_eq!(outcome(&same, "https://a.example/", "x@y.example"), Outcome::Allowed);
    let other_name = import(&[("1", &*bare), ("policies.json", policies)]).unwrap();
    assert_eq!(outcome(&other_name, "https://a.example/", "x@y.example"), Outcome::Denied);
    assert!(other_name.yaml().contains("name: P\n"), "policies that nobody links to are kept");
    assert!(matches!(
        import(&[("1", &*bare), ("2", &*named)]),
        Err(ImportError::TwoVersions { .. })
    ));
    for files in [[("1", &*bare), ("2", &*newer)], [("1", &*newer), ("2", &*bare)]] {
        let import = import(&files).unwrap();
        assert!(import.yaml().contains("name: B\n"), "{}", import.yaml());
        assert_eq!(kinds_at(&import, "name").len(), 1);
    }
}

#[test]
fn pages_belong_together() {
    let page = |number: u32, of: u32| {
        json!({ "success": true, "result": [
            { "id": number.to_string(), "type": "self_hosted", "domain": format!("{number}.example"), "policies": [] }
        ], "result_info": { "page": number, "per_page": 1, "count": 1, "total_count": of } })
        .to_string()
    };
    let whole = import(&[("1", page(1, 2)), ("2", page(2, 2))]).unwrap();
    assert_eq!(Config::parse(whole.yaml(), "f").unwrap().access.applications.len(), 2);
    assert!(matches!(
        import(&[("1", page(1, 2)), ("again", page(1, 2))]),
        Err(ImportError::PagesMissing { found: 1, total: 2, .. })
    ));
}

#[test]
fn secrets_that_were_kept_are_hashed() {
    let token =
        json!({ "id": "t", "name": "CI", "client_id": "9c.access", "client_secret": "hush" });
    let import = with(json!({}), &[token]);
    assert!(!import.yaml().contains("hush"));
    let config = Config::parse(import.yaml(), "f").unwrap();
    assert!(config.access.service_tokens[0].enabled);
    assert!(config.access.service_tokens[0].secret_hash.matches("hush"));
}

#[test]
fn what_cannot_be_imported_says_why() {
    for (files, words) in [
        (vec![("a.json", "")], "a.json: invalid JSON: the file is empty"),
        (
            vec![("a.json", "{")],
            "a.json: invalid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (vec![("a.json", "[]")], "there is no application"),
        (vec![("a.json", "[7, null, \"x\"]")], "there is no application"),
        (
            vec![(
                "a.json",
                r#"{"success":false,"errors":[{"code":10000,"message":"Authentication\nerror"}],"result":null}"#,
            )],
            "a.json: the API refused the request: Authentication error (10000)",
        ),
        (vec![("a.json", r#"{"id":"x","type":"saas","name":"x"}"#)], "there is no application"),
        (
            vec![(
                "a.json",
                r#"{"id":"x","type":"self_hosted","destinations":[{"type":"private","cidr":"10.0.0.0/8"}]}"#,
            )],
            "there is no application",
        ),
    ] {
        let error = refusal(&files);
        assert!(error.contains(words), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&[("a.json", &deep)]).contains("recursion limit"));
}

#[test]
fn names_cannot_break_out_of_a_comment_or_a_text() {
    let name = "x\naccess: {}\n# \u{2028}- \u{202e}\"";
    let group = json!({ "id": "g", "name": name, "include": [{ "everyone": {} }] });
    let policies = json!([{ "id": "p", "name": name, "decision": "allow", "precedence": 1, "reusable": true,
                            "include": [{ "group": { "id": "g" } }] }]);
    let import = with(json!({ "name": name, "policies": policies }), &[group]);
    let config = Config::parse(import.yaml(), "f").unwrap();
    assert_eq!(config.access.applications[0].name(), name);
    assert!(import.notes().iter().all(|note| !note.to_string().contains(['\n', '\u{202e}'])));
}

#[test]
fn a_large_export_is_imported_in_time_that_grows_with_it() {
    let emails: Vec<Value> = (0..20_000)
        .map(|number| json!({ "email": { "email": format!("p{number}@example.com") } }))
        .collect();
    let mut many: Vec<Value> = (0..500)
        .map(|number| {
            json!({ "id": format!("many{number}"), "type": "self_hosted", "domain": format!("a{number}.example"),
                    "custom_pages": ["x"], "policies": [{ "id": "q", "precedence": 1 }] })
        })
        .collect();
    many.push(json!({ "id": "q", "name": "Q", "decision": "allow", "include": [emails[0]] }));
    let policies = json!([{ "id": "p", "name": "P", "decision": "allow", "precedence": 1, "include": emails }]);
    let begin = std::time::Instant::now();
    let import = with(json!({ "policies": policies }), &many);
    let taken = begin.elapsed();
    assert_eq!(kinds_at(&import, "custom_pages").len(), 500);
    assert!(taken.as_secs() < 300, "{taken:?}");
}
