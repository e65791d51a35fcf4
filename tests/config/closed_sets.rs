//! Values outside of the set they come from (POL-21): refused where the file is read, with the place
//! and what was meant, in every list and by every spelling; never a rule that keeps nobody out.

use serde_json::{Value, json};
use tower_access::Access;
use tower_access::address::Country;
use tower_access::application::Application;
use tower_access::clock::Timestamp;
use tower_access::config::Config;
use tower_access::explain::Question;
use tower_access::inspect::import::{Import, ImportNoteKind, import};
use tower_access::inspect::lint::{LintKind, Severity};
use tower_access::inspect::{Deployment, check_text};
use tower_access::login::mail::{Mail, MailFuture, Mailer};
use tower_access::policy::{Group, Outcome, Policy, Rule};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const NO_COUNTRIES: [&str; 10] = ["UK", "uk", "EU", "EN", "AA", "YU", "QQ", "XX", "AP", "ZZ"];

/// A rule about somebody.
const ADA: &str = "{ email: { email: ada@example.com } }";

/// The lists in which a rule can stand: a file, and the key path of the rule.
fn everywhere(rule: &str) -> Vec<(String, String)> {
    let file = |policies: &str, more: &str| {
        format!(
            "access:\n  mail: console\n  applications:\n    - name: Shop\n      domain: \
             shop.example.com\n      policies:\n{policies}\n{more}"
        )
    };
    let policy = |decision: &str, rules: &str| {
        format!("        - {{ name: P, decision: {decision}, {rules} }}")
    };
    let inline = "access.applications[0].policies[0]";
    let mut all = Vec::new();
    for decision in ["allow", "deny"] {
        for (rules, at) in [
            (format!("include: [ {ADA}, {rule} ]"), "include[1]"),
            (format!("include: [ {ADA} ], require: [ {rule} ]"), "require[0]"),
            (format!("include: [ {ADA} ], exclude: [ {rule} ]"), "exclude[0]"),
        ] {
            all.push((file(&policy(decision, &rules), ""), format!("{inline}.{at}")));
            let linked = format!("  policies:\n{}", policy(decision, &rules));
            all.push((file("        - P", &linked), format!("access.policies[0].{at}")));
            // A group that another one names, which a policy names.
            let groups = format!(
                "  groups:\n    - {{ name: inner, {rules} }}\n    - {{ name: outer, include: [ {{ \
                 group: {{ id: inner }} }} ] }}"
            );
            for list in [
                "include: [ { group: { id: outer } } ]",
                "include: [ { everyone: {} } ], exclude: [ { group: { id: outer } } ]",
            ] {
                let file = file(&policy(decision, list), &groups);
                all.push((file, format!("access.groups[0].{at}")));
            }
        }
    }
    all
}

/// The only error of a file: its key path and its message.
#[track_caller]
fn only_error(text: &str) -> (String, String) {
    let errors = Config::parse(text, "access.yml").err().unwrap_or_else(|| panic!("{text}"));
    let found: Vec<_> = errors.iter().collect();
    let [error] = found[..] else { panic!("{text}\n{errors}") };
    let (line, at) = (error.location().unwrap().line, error.key().rsplit('.').next().unwrap());
    let key = at.split('[').next().unwrap();
    assert!(text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap().contains(key), "{error}");
    (error.key().to_owned(), error.message().to_owned())
}

// === countries ===

#[test]
fn pol_21_a_code_of_no_country_is_an_error_in_every_list() {
    for code in NO_COUNTRIES {
        let spellings = [
            format!("{{ geo: {{ country_code: {code} }} }}"),
            format!("{{ \"geo\": {{ \"country_code\": \"{code}\" }} }}"),
        ];
        for rule in spellings {
            for (file, at) in everywhere(&rule) {
                let (key, message) = only_error(&file);
                assert_eq!(key, format!("{at}.geo.country_code"));
                assert!(message.contains("country code"), "{code}: {message}");
            }
        }
    }
}

#[test]
fn pol_21_the_error_names_the_country_that_was_meant() {
    let message = |code: &str| {
        let rule = format!("{{ geo: {{ country_code: {code} }} }}");
        only_error(&everywhere(&rule)[0].0).1
    };
    assert!(message("UK").contains("write `GB`"), "{}", message("UK"));
    assert!(message("EU").contains("the European Union"), "{}", message("EU"));
    assert!(
        message("XX").starts_with("invalid country code: write two letters"),
        "{}",
        message("XX")
    );
}

#[test]
fn pol_21_countries_are_taken_without_a_word() {
    for code in ["GB", "FR", "us", "NO", "T1", "t1", "XK", "UA", "BQ"] {
        for (file, _) in everywhere(&format!("{{ geo: {{ country_code: {code} }} }}")) {
            let config = Config::parse(&file, "access.yml").unwrap();
            assert!(config.notes().iter().all(|note| !note.key().contains("geo")), "{code}");
        }
        assert!(Rule::geo(code).is_ok());
    }
}

#[test]
fn pol_21_documents_and_programs_name_countries_alone() {
    for code in NO_COUNTRIES {
        let geo = json!({ "geo": { "country_code": code } });
        for list in ["include", "require", "exclude"] {
            let mut policy = json!({ "name": "p", "decision": "allow", "include": [] });
            policy[list] = json!([geo]);
            let error = serde_json::from_value::<Policy>(policy.clone()).unwrap_err();
            assert!(error.to_string().contains("country code"), "{error}");
            let group = json!({ "name": "g", "include": policy["include"], list: [geo] });
            assert!(serde_json::from_value::<Group>(group).is_err());
        }
        assert!(Rule::geo(code).is_err());
        assert!(code.parse::<Country>().is_err());
    }
}

#[test]
fn pol_21_tests_and_questions_name_countries_alone() {
    let (file, _) = &everywhere("{ geo: { country_code: GB } }")[0];
    let with = |code: &str| {
        format!(
            "{file}\ntests:\n  - request: {{ url: 'https://shop.example.com/', country: {code} }}\n    \
             expect: denied\n"
        )
    };
    assert!(Config::parse(&with("GB"), "access.yml").is_ok());
    let (key, message) = only_error(&with("UK"));
    assert_eq!((&*key, message.contains("write `GB`")), ("tests[0].request.country", true));
    let question =
        |code: &str| json!({ "request": { "url": "https://a.example/", "country": code } });
    assert!(serde_json::from_value::<Question>(question("gb")).is_ok());
    assert!(serde_json::from_value::<Question>(question("UK")).is_err());
}

fn imported(policy: &Value, others: &[Value]) -> Import {
    let application = json!({
        "id": "a1", "type": "self_hosted", "name": "Wiki", "domain": "wiki.example.com",
        "policies": [policy, { "id": "last", "name": "Last", "decision": "allow", "precedence": 9,
                               "include": [{ "email": { "email": "ada@example.com" } }] }],
    });
    let mut texts = vec![application.to_string()];
    texts.extend(others.iter().map(Value::to_string));
    import(&[("export.json", texts.join("\n"))]).unwrap()
}

#[track_caller]
fn outcome(import: &Import, email: &str) -> Outcome {
    let deployment = Deployment::parse(import.yaml(), "import").unwrap();
    let question = Question::new("https://wiki.example.com/").with_email(email.parse().unwrap());
    deployment.explain(&question, NOW).outcome
}

/// An export with a code that is no country's keeps out at least whom it kept out.
#[test]
fn pol_21_an_import_says_so_and_becomes_no_wider() {
    let uk = || json!({ "geo": { "country_code": "UK" } });
    let staff = || json!({ "email_domain": { "domain": "example.com" } });
    let policy = |decision: &str, list: &str, rules: Value| {
        let mut policy = json!({ "id": "p", "name": "P", "decision": decision, "precedence": 1,
                                 "include": [staff()] });
        policy[list] = rules;
        policy
    };
    let group = json!({ "id": "g", "name": "G", "include": [uk()] });
    let to_group = || json!([{ "group": { "id": "g" } }]);
    for (policy, others, bob, ada) in [
        // The policy is left out; the next one decides.
        (policy("allow", "exclude", json!([uk()])), vec![], Outcome::Denied, Outcome::Allowed),
        (policy("allow", "require", json!([uk()])), vec![], Outcome::Denied, Outcome::Allowed),
        (
            policy("allow", "exclude", to_group()),
            vec![group.clone()],
            Outcome::Denied,
            Outcome::Allowed,
        ),
        // The rule is left out, and fewer get in.
        (
            policy("allow", "include", json!([uk(), staff()])),
            vec![],
            Outcome::Allowed,
            Outcome::Allowed,
        ),
        // In the place of those that are not known, everyone.
        (policy("deny", "include", json!([uk()])), vec![], Outcome::Denied, Outcome::Denied),
        (policy("deny", "include", to_group()), vec![group], Outcome::Denied, Outcome::Denied),
    ] {
        let import = imported(&policy, &others);
        assert_eq!(outcome(&import, "bob@example.com"), bob, "{policy}\n{}", import.yaml());
        assert_eq!(outcome(&import, "ada@example.com"), ada, "{policy}\n{}", import.yaml());
        assert!(!import.is_complete());
        let mut notes = import.notes().iter();
        assert!(
            notes.any(|note| note.message().contains("`UK` is not a country code")),
            "{policy}"
        );
    }
}

// === login methods ===

#[test]
fn pol_21_a_login_method_that_does_not_exist_is_an_error_where_it_would_keep_out() {
    for (file, at) in everywhere("{ login_method: { id: onetimpin } }") {
        // Where it stands in the policy decides, and how often it is turned on the way.
        let turns = [file.contains("decision: deny"), at.contains("exclude")];
        let by_group = at.contains("groups") && file.contains("exclude: [ { group");
        let turns = turns.into_iter().chain([by_group]).filter(|turn| *turn).count();
        if turns % 2 == 1 {
            let (key, message) = only_error(&file);
            assert_eq!(key, format!("{at}.login_method.id"));
            assert!(message.contains("excludes nobody; did you mean `onetimepin`?"), "{message}");
        } else {
            let report = check_text(&file, "access.yml", NOW).unwrap();
            let found = report.findings().iter().any(|finding| {
                finding.id == LintKind::RuleNeverMatches && finding.key.starts_with(&at)
            });
            assert!(found, "{at}\n{file}\n{report}");
        }
    }
    // A login method of another place, by which nobody comes in here: noted, and found once.
    for (file, at) in everywhere("{ login_method: { id: okta } }") {
        let config = Config::parse(&file, "access.yml").unwrap();
        let noted = config.notes().iter().any(|note| note.key().starts_with(&at));
        let keeps_out = Config::parse(&file.replace("okta", "onetimpin"), "access.yml").is_err();
        assert_eq!(noted, keeps_out, "{file}");
        let report = check_text(&file, "access.yml", NOW).unwrap();
        let found = report.findings().iter().filter(|finding| finding.key.starts_with(&at));
        assert!(found.clone().any(|finding| finding.id == LintKind::RuleNeverMatches), "{report}");
        assert!(found.clone().all(|finding| finding.id != LintKind::SurprisingSetting), "{report}");
    }
    for (file, _) in everywhere("{ login_method: { id: onetimepin } }") {
        assert!(Config::parse(&file, "access.yml").is_ok(), "{file}");
    }
    let renamed =
        |file: &str| file.replace("mail: console", "mail: console\n  one_time_pin: { id: pin }");
    for (file, _) in everywhere("{ login_method: { id: pin } }") {
        assert!(Config::parse(&renamed(&file), "access.yml").is_ok(), "{file}");
    }
}

/// Which login methods there are, the issuer knows.
#[test]
fn pol_21_login_methods_of_an_issuer_are_not_held_against_ours() {
    let text = format!(
        "access:\n  issuer: {{ team_domain: acme.example.com }}\n  applications:\n    - {{ domain: \
         a.example, aud: {}, policies: [ {{ name: P, decision: allow, include: [ {ADA} ], exclude: [ {{ \
         login_method: {{ id: okta }} }} ] }} ] }}\n",
        "7a".repeat(32)
    );
    assert!(Config::parse(&text, "access.yml").is_ok());
}

#[derive(Debug)]
struct NoMail;

impl Mailer for NoMail {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        panic!("mailed {mail:?}")
    }
}

#[test]
fn pol_21_a_program_cannot_keep_out_by_a_misspelt_login_method() {
    let build = |policy: Policy| {
        let application = Application::new("App", "app.example").unwrap().policy(policy);
        Access::builder().mailer(NoMail).application(application).build()
    };
    let ada = || Rule::email("ada@example.com").unwrap();
    let okta = || Rule::login_method("okta");
    let pin = || Rule::login_method("onetimepin");
    let typo = || Rule::login_method("onetimpin");
    for policy in
        [Policy::allow("p").include(ada()).exclude(typo()), Policy::deny("p").include(typo())]
    {
        let error = build(policy).unwrap_err().to_string();
        assert!(error.contains("`login_method onetimpin` excludes nobody"), "{error}");
    }
    assert!(build(Policy::allow("p").include(ada()).exclude(pin())).is_ok());
    assert!(build(Policy::allow("p").include(okta())).is_ok());
}

/// Who was kept out by another login method does not come in by it here; who comes in by PIN did
/// before.
#[test]
fn pol_21_an_import_with_login_methods_that_nobody_comes_by_becomes_no_wider() {
    let pin = json!({ "id": "pin", "type": "onetimepin", "name": "PIN", "config": {} });
    let okta = || json!({ "login_method": { "id": "okta" } });
    let staff = || json!({ "email_domain": { "domain": "example.com" } });
    let group = json!({ "id": "g", "name": "G", "include": [okta()] });
    let to_group = || json!([{ "group": { "id": "g" } }]);
    let policy = |decision: &str, include: Value, exclude: Value| {
        json!({ "id": "p", "name": "P", "decision": decision, "precedence": 1,
                "include": include, "exclude": exclude })
    };
    for (policy, bob) in [
        (policy("allow", json!([staff()]), json!([okta()])), Outcome::Allowed),
        (policy("allow", json!([staff()]), to_group()), Outcome::Allowed),
        (policy("deny", json!([okta()]), json!([])), Outcome::Denied),
        (policy("deny", json!([okta(), staff()]), json!([])), Outcome::Denied),
        (
            policy("deny", json!([staff()]), json!([{ "login_method": { "id": "pin" } }])),
            Outcome::Denied,
        ),
    ] {
        let import = imported(&policy, &[pin.clone(), group.clone()]);
        assert_eq!(outcome(&import, "bob@example.com"), bob, "{policy}\n{}", import.yaml());
        let closed = import.notes().iter().any(|note| note.kind() == ImportNoteKind::Closed);
        assert!(!closed && import.is_complete(), "{policy}\n{:?}", import.notes());
    }
}

// === values that providers may add to ===

#[test]
fn pol_21_values_in_no_register_are_findings() {
    let finding = |rule: &str| {
        let text = &everywhere(rule)[0].0;
        let report = check_text(text, "access.yml", NOW).unwrap();
        let mut found = report.findings().iter();
        found.find(|finding| finding.id == LintKind::UnregisteredValue).map(|finding| {
            (finding.key.clone(), finding.message.clone(), finding.fix.clone().unwrap())
        })
    };
    assert_eq!(LintKind::UnregisteredValue.severity(), Severity::Warning);
    let method = |name: &str| finding(&format!("{{ auth_method: {{ auth_method: {name} }} }}"));
    for name in ["mfa", "hwk", "swk", "otp", "pwd", "fpt", "sms", "wia", "pin"] {
        assert_eq!(method(name), None, "{name}");
    }
    let (key, message, fix) = method("MFA").unwrap();
    assert_eq!(key, "access.applications[0].policies[0].include[1]");
    assert!(message.contains("RFC 8176") && fix.contains("write `mfa`"), "{message} {fix}");
    assert!(method("ngcmfa").is_some());
    let context = |id: &str| finding(&format!("{{ auth_context: {{ ac_id: {id} }} }}"));
    assert_eq!(context("c1"), None);
    assert!(context("C1").is_some() && context("c100").is_some());
}

/// A one-time PIN says that it is one, and nothing else.
#[test]
fn pol_21_what_a_one_time_pin_does_not_say_keeps_nobody_out_and_is_a_finding() {
    let messages = |rules: &str| -> Vec<String> {
        let text = format!(
            "access:\n  mail: console\n  applications:\n    - domain: a.example\n      policies:\n        \
             - {{ name: P, decision: {rules} }}\n        - {{ name: Q, decision: allow, include: [ {ADA} ] }}\n"
        );
        let report = check_text(&text, "access.yml", NOW).unwrap();
        let found = report.findings().iter();
        found
            .filter(|finding| finding.id == LintKind::RuleNeverMatches)
            .map(|finding| finding.message.clone())
            .collect()
    };
    for rule in [
        "okta: { name: ops }",
        "auth_method: { auth_method: mfa }",
        "gsuite: { email: a@b.example }",
    ] {
        for rules in [
            format!("deny, include: [ {{ {rule} }} ]"),
            format!("deny, include: [ {ADA} ], require: [ {{ {rule} }} ]"),
            format!("allow, include: [ {ADA} ], exclude: [ {{ {rule} }} ]"),
        ] {
            let found = messages(&rules);
            assert!(
                matches!(&found[..], [one] if one.ends_with("the rule has no effect")),
                "{rules} {found:?}"
            );
        }
        // It lets nobody in, and denies nobody more.
        assert_eq!(messages(&format!("allow, include: [ {{ {rule} }} ]")).len(), 1);
    }
    assert!(messages("deny, include: [ { auth_method: { auth_method: otp } } ]").is_empty());
    // A claim nobody makes is unknown, and what is unknown keeps out.
    assert!(messages("deny, include: [ { oidc: { claim_name: a, claim_value: b } } ]").is_empty());
}

// === settings ===

/// Each setting with a known set of values refuses another one where it stands.
#[test]
fn pol_21_settings_take_known_values_alone() {
    let policy = format!("{{ name: P, decision: allow, include: [ {ADA} ] }}");
    let application = |more: &str| {
        format!(
            "access: {{ mail: console, applications: [ {{ domain: a.example, policies: [ {policy} ]{more} }} ] }}"
        )
    };
    let access = |more: &str| {
        format!(
            "access: {{ applications: [ {{ domain: a.example, policies: [ {policy} ] }} ], {more} }}"
        )
    };
    let with_mail = |more: &str| access(&format!("mail: console, {more}"));
    let service = |service: &str| {
        format!(
            "{}\ningress: [ {{ service: '{service}' }} ]\n",
            with_mail("team_domain: t.example")
        )
    };
    let rule = |rule: &str| with_mail(&format!("groups: [ {{ name: g, include: [ {rule} ] }} ]"));
    let cors = "cors_headers: { allow_all_origins: true, allowed_methods: [ GET, METHOD ] }";
    let issuer = |algorithm: &str| {
        format!(
            "access: {{ issuer: {{ team_domain: t.example, algorithms: [ {algorithm} ] }}, applications: [ \
             {{ domain: a.example, aud: {} }} ] }}",
            "7a".repeat(32)
        )
    };
    let smtp = |more: &str| {
        access(&format!("mail: {{ smtp: {{ host: m.example, from: a@b.example, {more} }} }}"))
    };
    let in_app = "access.applications[0]";
    for (good, bad, text, key) in [
        (
            "allow",
            "alow",
            application("").replace("decision: allow", "decision: ¤"),
            format!("{in_app}.policies[0].decision"),
        ),
        (
            "POST",
            "get",
            application(&format!(", {}", cors.replace("METHOD", "¤"))),
            format!("{in_app}.cors_headers.allowed_methods[1]"),
        ),
        (
            "PATCH",
            "GTE",
            application(&format!(", {}", cors.replace("METHOD", "¤"))),
            format!("{in_app}.cors_headers.allowed_methods[1]"),
        ),
        (
            "strict",
            "Strict",
            application(", same_site_cookie_attribute: ¤"),
            format!("{in_app}.same_site_cookie_attribute"),
        ),
        (
            "lax",
            "lacks",
            application(", same_site_cookie_attribute: ¤"),
            format!("{in_app}.same_site_cookie_attribute"),
        ),
        ("self_hosted", "selfhosted", application(", type: ¤"), format!("{in_app}.type")),
        ("24h", "24", application(", session_duration: ¤"), format!("{in_app}.session_duration")),
        (
            "744h",
            "745h",
            application(", session_duration: ¤"),
            format!("{in_app}.session_duration"),
        ),
        (
            "onetimepin",
            "onetimpin",
            application(", allowed_idps: [ ¤ ]"),
            format!("{in_app}.allowed_idps[0]"),
        ),
        ("https", "htps", service("¤://127.0.0.1:9"), "ingress[0].service".to_owned()),
        ("http", "tcp", service("¤://127.0.0.1:9"), "ingress[0].service".to_owned()),
        ("wss", "ftp", service("¤://127.0.0.1:9"), "ingress[0].service".to_owned()),
        ("unix", "unx", service("¤:/run/a.sock"), "ingress[0].service".to_owned()),
        ("404", "1000", service("http_status:¤"), "ingress[0].service".to_owned()),
        ("hello_world", "bastion", service("¤"), "ingress[0].service".to_owned()),
        ("ES256", "HS256", issuer("¤"), "access.issuer.algorithms[0]".to_owned()),
        ("EdDSA", "none", issuer("¤"), "access.issuer.algorithms[0]".to_owned()),
        ("starttls", "ssl", smtp("tls: ¤"), "access.mail.smtp.tls".to_owned()),
        (
            "3072",
            "1024",
            with_mail("key_rotation: { rsa_bits: ¤ }"),
            "access.key_rotation.rsa_bits".to_owned(),
        ),
        (
            "nginx",
            "ngnix",
            format!(
                "{}\ntrusted_proxies: [ 10.0.0.0/8 ]\n",
                with_mail("facts: { certificate_headers: ¤ }")
            ),
            "access.facts.certificate_headers".to_owned(),
        ),
        (
            "EMAIL",
            "EMIAL",
            with_mail("lists: [ { name: l, type: ¤, items: [] } ]"),
            "access.lists[0].type".to_owned(),
        ),
        (
            "high",
            "hihg",
            rule("{ user_risk_score: { user_risk_score: [ low, ¤ ] } }"),
            "access.groups[0].include[0].user_risk_score.user_risk_score[1]".to_owned(),
        ),
        (
            "login_required",
            "login",
            format!(
                "{}\ntests: [ {{ request: {{ url: a.example }}, expect: ¤ }} ]\n",
                with_mail("team_domain: t.example")
            ),
            "tests[0].expect".to_owned(),
        ),
    ] {
        let good = text.replace('¤', good);
        let bad = text.replace('¤', bad);
        if let Err(errors) = Config::parse(&good, "access.yml") {
            panic!("{good}\n{errors}");
        }
        assert_eq!(only_error(&bad).0, key, "{bad}");
    }
}
