//! Policies, groups and lists that are wrong: each is refused with its place, in bounded time and
//! memory.
//!
//! JSON is read as a library reads it, YAML as a file of the proxy.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower_access::config::{Config, ConfigErrors};
use tower_access::policy::{
    Definitions, Facts, Group, List, Outcome, Policies, Policy, PolicyError, Rule, Selector,
};

// ---- JSON

/// A good rule for each selector, in all its forms.
fn rules() -> Vec<Value> {
    vec![
        json!({"everyone": {}}),
        json!({"email": {"email": "ada@example.com"}}),
        json!({"email_domain": {"domain": "example.com"}}),
        json!({"email_list": {"id": "a5b2"}}),
        json!({"ip": {"ip": "203.0.113.0/24"}}),
        json!({"ip_list": {"id": "b6c3"}}),
        json!({"geo": {"country_code": "FR"}}),
        json!({"group": {"id": "6f0e"}}),
        json!({"certificate": {}}),
        json!({"common_name": {"common_name": "laptop-7"}}),
        json!({"service_token": {"token_id": "3c2b"}}),
        json!({"any_valid_service_token": {}}),
        json!({"linked_app_token": {"app_uid": "5e4d"}}),
        json!({"login_method": {"id": "1f0e"}}),
        json!({"auth_method": {"auth_method": "mfa"}}),
        json!({"auth_context": {"id": "0e1f", "ac_id": "c1", "identity_provider_id": "1f0e"}}),
        json!({"azureAD": {"id": "9a8b", "identity_provider_id": "1f0e"}}),
        json!({"github-organization": {"name": "acme", "team": "ops", "identity_provider_id": "1f0e"}}),
        json!({"gsuite": {"email": "ops@example.com", "identity_provider_id": "1f0e"}}),
        json!({"okta": {"name": "Ops", "identity_provider_id": "1f0e"}}),
        json!({"saml": {"attribute_name": "a", "attribute_value": "b", "identity_provider_id": "1f0e"}}),
        json!({"oidc": {"claim_name": "a", "claim_value": "b", "identity_provider_id": "1f0e"}}),
        json!({"device_posture": {"integration_uid": "7c6b"}}),
        json!({"external_evaluation": {"evaluate_url": "https://e.example/", "keys_url": "https://e.example/keys"}}),
        json!({"user_risk_score": {"user_risk_score": ["low"]}}),
        json!({"cloudflare_account_member": {"account_id": "0f1e"}}),
    ]
}

/// Parts of rules that may be left out; nothing and an empty text are what exports write then.
const OPTIONAL: [&str; 5] =
    ["identity_provider_id", "team", "account_id", "id of auth_context", ""];

#[test]
fn pol_09_every_part_of_every_rule_has_one_type() {
    let others = [json!(null), json!(7), json!(true), json!(""), json!([]), json!({}), json!([{}])];
    let mut refused = 0;
    for rule in rules() {
        let (selector, value) = rule.as_object().unwrap().iter().next().unwrap();
        assert!(serde_json::from_value::<Rule>(rule.clone()).is_ok(), "{rule}");
        // The value as a whole.
        for other in others.iter().filter(|other| **other != json!({})).chain(&[json!("x")]) {
            refused += refuses::<Rule>(&json!({ selector: other }));
        }
        // A key too many, twice, and one selector too many.
        let mut more = rule.clone();
        more[selector]["colour"] = json!("red");
        refused += refuses::<Rule>(&more);
        let text = rule.to_string();
        refused +=
            refuses_text::<Rule>(&text.replacen('}', r#","colour":1}"#, 1).replace("{,", "{"));
        let twice =
            format!("{},{}", text.strip_suffix('}').unwrap(), text.strip_prefix('{').unwrap());
        refused += refuses_text::<Rule>(&twice);
        for key in value.as_object().unwrap().keys() {
            let is_optional = OPTIONAL.contains(&key.as_str())
                || (selector, key.as_str()) == (&"auth_context".to_owned(), "id");
            for other in &others {
                let mut wrong = rule.clone();
                wrong[selector][key] = other.clone();
                if is_optional && (other.is_null() || *other == json!("")) {
                    assert!(serde_json::from_value::<Rule>(wrong).is_ok(), "{selector} {key}");
                } else {
                    refused += refuses::<Rule>(&wrong);
                }
            }
            let mut without = rule.clone();
            without[selector].as_object_mut().unwrap().remove(key);
            if is_optional || selector == "cloudflare_account_member" {
                assert!(serde_json::from_value::<Rule>(without).is_ok(), "{selector} {key}");
            } else {
                refused += refuses::<Rule>(&without);
            }
            let entry = format!("\"{key}\":{}", value[key]);
            let twice = text.replacen(&entry, &format!("{entry},{entry}"), 1);
            assert!(
                refuses_text::<Rule>(&twice) == 1 && refusal::<Rule>(&twice).contains("duplicate")
            );
        }
    }
    assert_eq!(rules().len(), Selector::ALL.len());
    assert!(refused > 400, "{refused}");
}

#[test]
fn pol_09_every_part_of_policies_groups_and_lists_has_one_type() {
    let policy = json!({
        "id": "b7d2", "name": "Staff", "decision": "allow", "precedence": 1,
        "include": [{"everyone": {}}], "require": [{"everyone": {}}], "exclude": [{"everyone": {}}],
        "session_duration": "8h", "approval_required": false,
        "purpose_justification_required": false, "isolation_required": false,
    });
    let group = json!({
        "id": "b7d2", "name": "Staff",
        "include": [{"everyone": {}}], "require": [{"everyone": {}}], "exclude": [{"everyone": {}}],
    });
    let list = json!({"id": "b7d2", "name": "Staff", "type": "EMAIL", "items": ["a@b.example"]});
    every_key_has_one_type::<Policy>(&policy, &["id", "precedence", "session_duration"]);
    every_key_has_one_type::<Group>(&group, &["id"]);
    every_key_has_one_type::<List>(&list, &["id"]);
}

/// Nothing is what exports write for those keys that may be left out.
fn every_key_has_one_type<T: DeserializeOwned>(good: &Value, nullable: &[&str]) {
    let parse = |value: &Value| serde_json::from_value::<T>(value.clone()).is_ok();
    assert!(parse(good), "{good}");
    for (key, value) in good.as_object().unwrap() {
        for other in [
            json!(null),
            json!(-7),
            json!(true),
            json!("{}"),
            json!([[]]),
            json!({"a": 1}),
            json!([7]),
        ] {
            let mut wrong = good.clone();
            wrong[key] = other.clone();
            let is_fine = match key.as_str() {
                "id" | "name" => other.is_string(),
                _ => value.is_boolean() && other.is_null(),
            } || other.is_null() && nullable.contains(&key.as_str());
            assert_eq!(parse(&wrong), is_fine, "{key}: {other}");
        }
        let entry = format!("\"{key}\":{value}");
        refuses_text::<T>(&good.to_string().replacen(&entry, &format!("{entry},{entry}"), 1));
    }
    let mut more = good.clone();
    more["colour"] = json!("red");
    refuses::<T>(&more);
    for other in ["null", "7", "\"x\"", "[]", "{}", "true", ""] {
        refuses_text::<T>(other);
    }
}

#[test]
fn pol_03_values_that_mean_nothing_are_refused() {
    for (rule, expected) in [
        (r#"{"ip":{"ip":"192.0.2.0/33"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"192.0.2.0/-1"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"192.0.2.0/24/24"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"192.0.2.0/255.255.255.0"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"192.0.2.0-192.0.2.9"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"0300.0.2.0/24"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"192.0.2/24"}}"#, "invalid network"),
        (r#"{"ip":{"ip":" 192.0.2.0/24"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"2001:db8::/129"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"fe80::1%eth0"}}"#, "invalid network"),
        (r#"{"ip":{"ip":"::ffff:192.0.2.0/90x"}}"#, "invalid network"),
        (r#"{"geo":{"country_code":"fr "}}"#, "country code"),
        (r#"{"geo":{"country_code":"FRA"}}"#, "country code"),
        (r#"{"geo":{"country_code":"F"}}"#, "country code"),
        (r#"{"geo":{"country_code":"ФР"}}"#, "country code"),
        (r#"{"geo":{"country_code":""}}"#, "country code"),
        (
            r#"{"email_domain":{"domain":"@example.com"}}"#,
            "invalid domain of email addresses: write `example.com`",
        ),
        (r#"{"email_domain":{"domain":"*.example.com"}}"#, "invalid domain of email addresses"),
        (r#"{"email_domain":{"domain":"example.com."}}"#, "invalid domain of email addresses"),
        (r#"{"email":{"email":"*@example.com"}}"#, ""),
        (r#"{"user_risk_score":{"user_risk_score":["LOW"]}}"#, "unknown variant"),
        (r#"{"user_risk_score":{"user_risk_score":"low"}}"#, "invalid type"),
    ] {
        // An address may begin with a star, and is that of one person.
        if expected.is_empty() {
            let rule: Rule = serde_json::from_str(rule).unwrap();
            assert!(matches!(rule, Rule::Email(email) if email.as_str() == "*@example.com"));
            continue;
        }
        assert!(refusal::<Rule>(rule).contains(expected), "{rule}: {}", refusal::<Rule>(rule));
    }
    // Where the mistake is, in a document of some lines.
    let text = "{\n \"name\": \"p\",\n \"decision\": \"allow\",\n \"include\": [\n  { \"geo\": { \"country_code\": \"XX\" } }\n ]\n}";
    assert!(refusal::<Policy>(text).contains("at line 5 column 3"), "{}", refusal::<Policy>(text));
}

#[test]
fn pol_08_what_groups_and_lists_refer_to_is_there_and_no_circle() {
    let group =
        |name: &str, rules: &[Rule]| rules.iter().cloned().fold(Group::new(name), Group::exclude);
    let lists = || [List::networks("offices", []), List::emails("board", [])];
    // In each of the three lists, and behind other groups.
    for wrong in [Rule::group("nowhere"), Rule::ip_list("nowhere"), Rule::email_list("offices")] {
        for group in [
            Group::new("a").include(wrong.clone()),
            Group::new("a").require(wrong.clone()),
            Group::new("a").exclude(wrong.clone()),
        ] {
            let groups = [Group::new("b").include(Rule::group("a")), group];
            let error = Definitions::new(groups, lists()).unwrap_err();
            assert!(error.to_string().starts_with("`a` refers to"), "{error}");
        }
    }
    let circle = [
        group("a", &[Rule::everyone(), Rule::group("b")]),
        group("b", &[Rule::group("d"), Rule::group("c")]),
        group("c", &[Rule::group("a")]),
        group("d", &[]),
    ];
    let error = Definitions::new(circle, []).unwrap_err();
    assert_eq!(error, PolicyError::Circle { path: "a -> b -> c -> a".into() });
    // A thousand groups in a circle, a hundred thousand in a row.
    let row = |count: usize, last: usize| {
        let groups = (0..count).map(|number| {
            let next = if number + 1 == count { last } else { number + 1 };
            Group::new(format!("g{number}")).include(Rule::group(format!("g{next}")))
        });
        bounded(Duration::from_secs(120), 0, || Definitions::new(groups.collect::<Vec<_>>(), []))
    };
    assert!(matches!(row(500, 0).unwrap_err(), PolicyError::Circle { .. }));
    assert!(matches!(row(100_000, 0).unwrap_err(), PolicyError::TooDeep { .. }));
    let shown = row(100_000, 99_999).unwrap_err().to_string();
    assert!(shown.len() < 20_000, "{} bytes", shown.len());
}

#[test]
fn json_is_read_in_bounded_depth_time_and_memory() {
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    for wrong in [
        format!(r#"{{"name":"p","decision":"allow","include":{}}}"#, deep("[", "]")),
        format!(
            r#"{{"name":"p","decision":"allow","include":[{{"group":{}1{}}}]}}"#,
            r#"{"id":"#.repeat(100_000),
            "}".repeat(100_000)
        ),
        format!(
            r#"{{"name":"p","decision":"allow","include":[],"mfa_config":{}}}"#,
            deep("[", "]")
        ),
        format!(
            r#"{{"name":"p","decision":"allow","include":[],"approval_required":{}}}"#,
            deep("[", "]")
        ),
        format!(
            r#"{{"name":"p","decision":"allow","include":[],"precedence":{}}}"#,
            "9".repeat(1_000_000)
        ),
        format!(r#"{{"name":"p","decision":"{}","include":[]}}"#, "x".repeat(1_000_000)),
        format!(
            r#"{{"name":"p","decision":"allow","include":[{{"{}":{{}}}}]}}"#,
            "x".repeat(1_000_000)
        ),
    ] {
        let error = bounded(Duration::from_secs(120), 8 * wrong.len(), || {
            serde_json::from_str::<Policy>(&wrong).unwrap_err()
        });
        assert!(error.line() == 1, "{error}");
    }
    // Keys of exports that say nothing about access are skipped, whatever is in them.
    let odd = format!(
        r#"{{"name":"p","decision":"allow","include":[],"created_at":{}}}"#,
        deep("[", "]")
    );
    bounded(Duration::from_secs(120), 8 * odd.len(), || {
        serde_json::from_str::<Policy>(&odd).unwrap()
    });
    // A refusal of a hundred megabytes is short.
    let mut large = String::from(r#"{"name":"p","decision":"allow","include":[{""#);
    large.extend(std::iter::repeat_n('x', 100_000_000));
    large.push_str(r#"":{}}]}"#);
    let error = bounded(Duration::from_secs(240), 2 * large.len(), || {
        serde_json::from_str::<Policy>(&large).unwrap_err().to_string()
    });
    assert!(error.len() < 2_000, "{} bytes", error.len());
}

#[test]
fn huge_lists_are_read_and_compiled_in_proportion() {
    let entries: Vec<String> =
        (0..100_000).map(|number| format!("\"person{number}@example.com\"")).collect();
    let text = format!(r#"{{"name":"all","type":"EMAIL","items":[{}]}}"#, entries.join(","));
    let policies = bounded(Duration::from_secs(240), 24 * text.len(), || {
        let list: List = serde_json::from_str(&text).unwrap();
        let definitions = Definitions::new([], [list]).unwrap();
        let policy = Policy::allow("all").include(Rule::email_list("all"));
        Policies::compile(&[policy], &definitions).unwrap()
    });
    for (email, outcome) in [
        ("person99999@example.com", Outcome::Allowed),
        ("person100000@example.com", Outcome::Denied),
    ] {
        let email = email.parse().unwrap();
        let facts = Facts { email: Some(&email), ..Facts::default() };
        assert_eq!(policies.evaluate(&facts).outcome(), outcome);
    }
    // One that is wrong among them is named, and nothing of the others.
    let wrong = text.replacen("person77777@", "person77777", 1);
    let error = refusal::<List>(&wrong);
    assert!(error.contains("`person77777example.com`") && error.len() < 300, "{error}");
}

#[test]
fn what_applications_share_is_kept_once() {
    let emails = (0..5_000).map(|number| format!("person{number}@example.com").parse().unwrap());
    let lists = (0..20).map(|list| List::emails(format!("l{list}"), emails.clone()));
    let definitions = Definitions::new(
        [Group::new("staff").include(Rule::email_list("l0")).require(Rule::geo("FR").unwrap())],
        lists.collect::<Vec<_>>(),
    )
    .unwrap();
    let all = (0..20).map(|list| Rule::email_list(format!("l{list}")));
    let policy = all.fold(Policy::allow("staff"), Policy::include).include(Rule::group("staff"));
    let mut applications = Vec::new();
    let info = allocation_counter::measure(|| {
        applications.extend(
            (0..1_000)
                .map(|_| Policies::compile(std::slice::from_ref(&policy), &definitions).unwrap()),
        );
    });
    // A copy of the lists would take some megabytes for each of them.
    assert!(info.bytes_max < 10_000_000, "{} bytes", info.bytes_max);
}

#[test]
fn groups_that_refer_to_many_others_are_compiled_in_proportion() {
    // Forty layers, each group referring to ten of the layer below: written out, each of the last
    // would have ten thousand rules.
    for has_require in [false, true] {
        let groups = (0..4_000_usize).map(|number| {
            let mut group = Group::new(format!("g{number}"));
            for rule in 0..4 {
                let email = format!("person{}@example.com", number * 4 + rule);
                group = group.include(Rule::email(&email).unwrap());
            }
            if number >= 100 {
                let below = number / 100 * 100 - 100;
                for reference in 0..10 {
                    let inner = below + (number * 7 + reference * 13) % 100;
                    group = group.include(Rule::group(format!("g{inner}")));
                }
            }
            if has_require { group.require(Rule::everyone()) } else { group }
        });
        let groups: Vec<Group> = groups.collect();
        let policies = bounded(Duration::from_secs(240), 40_000_000, || {
            let definitions = Definitions::new(groups, []).unwrap();
            let all = (0..4_000).map(|number| Rule::group(format!("g{number}")));
            let policy = all.fold(Policy::allow("all"), Policy::include);
            let top = Policy::deny("top").include(Rule::group("g3999"));
            Policies::compile(&[top, policy], &definitions).unwrap()
        });
        let decide = |email: &str| {
            let email = email.parse().unwrap();
            let facts = Facts { email: Some(&email), ..Facts::default() };
            assert_eq!(
                Some(policies.explain(&facts).id),
                policies.evaluate(&facts).id(),
                "{email} {has_require}"
            );
            policies.evaluate(&facts).policy().map(|policy| policy.name().to_owned())
        };
        assert_eq!(decide("person0@example.com").as_deref(), Some("top"));
        assert_eq!(decide("person15992@example.com").as_deref(), Some("all"));
        assert_eq!(decide("person16000@example.com"), None);
    }
}

// ---- YAML

/// A file with one application; more lines of `access` go before it.
fn file(more: &str, policy: &str) -> String {
    format!(
        "access:\n  mail: console\n{more}  applications:\n  - domain: a.example\n    policies:\n    \
         - name: p\n      decision: allow\n{policy}"
    )
}

fn errors(text: &str) -> ConfigErrors {
    match Config::parse(text, "f") {
        Ok(_) => panic!("nothing is wrong with\n{text}"),
        Err(errors) => errors,
    }
}

#[test]
fn pol_09_mistakes_in_a_file_have_their_line_and_key() {
    let everyone = "      include: [ { everyone: {} } ]\n";
    let rule =
        |rule: &str| file("", &format!("      include:\n      - everyone: {{}}\n      - {rule}\n"));
    let groups = |groups: &str| file(&format!("  groups:\n{groups}"), everyone);
    let lists = |lists: &str| file(&format!("  lists:\n{lists}"), everyone);
    let policy = "access.applications[0].policies[0]";
    for (text, line, key, message) in [
        // Values of rules.
        (rule("ip: { ip: 192.0.2.0/33 }"), 10, "include[1].ip.ip", "invalid network"),
        (rule("geo: { country_code: XX }"), 10, "include[1].geo.country_code", "country code"),
        (rule("geo: { country_code: NO }"), 0, "", ""),
        (rule("geo: { country_code: 7 }"), 10, "include[1].geo.country_code", "found a number"),
        (rule("email: { email: }"), 10, "include[1].email.email", "found nothing"),
        (
            rule("email: { email: '' }"),
            10,
            "include[1].email.email",
            "invalid email address: write `name@example.com`",
        ),
        (rule("email:"), 10, "include[1].email", "found nothing"),
        (rule("everyone:"), 10, "include[1].everyone", "found nothing"),
        (rule("group: { id: '' }"), 10, "include[1].group.id", "empty text"),
        (rule("group: { id: nobody }"), 10, "include[1].group.id", "there is no rule group"),
        (rule("ip_list: { id: nobody }"), 10, "include[1].ip_list.id", "there is no list"),
        (rule("emial: { email: a@b.example }"), 10, "include[1].emial", "did you mean `email`?"),
        (
            rule("saml: { attribute_name: a }"),
            10,
            "include[1].saml",
            "`attribute_value` is missing",
        ),
        (rule("okta: { name: a, nmae: b }"), 10, "include[1].okta.nmae", "did you mean `name`?"),
        (rule("{ everyone: {}, certificate: {} }"), 10, "include[1]", "one selector"),
        (rule("{}"), 10, "include[1]", "empty rule"),
        (rule("everyone"), 10, "include[1]", "found a text"),
        (rule(""), 10, "include[1]", "found nothing"),
        (
            rule("user_risk_score: { user_risk_score: [ none ] }"),
            10,
            "include[1].user_risk_score.user_risk_score[0]",
            "unknown value `none`",
        ),
        (
            rule(
                "external_evaluation: { evaluate_url: 'http://e.example/', keys_url: 'https://e.example/' }",
            ),
            10,
            "include[1].external_evaluation",
            "invalid URL of an evaluator",
        ),
        // Keys that stand there twice.
        (rule("{ everyone: {}, everyone: {} }"), 10, "", "duplicate key"),
        (file("", &format!("{everyone}      include: []\n")), 9, "", "duplicate key"),
        (file("  groups: []\n  groups: []\n", everyone), 4, "", "duplicate key"),
        // Groups.
        (
            groups("  - { name: a, include: [ { group: { id: a } } ] }\n"),
            4,
            "access.groups[0]",
            "cycle: a -> a",
        ),
        (
            groups(
                "  - { name: a, include: [ { everyone: {} } ] }\n  - { name: b, include: [ { group: { id: c } } ] }\n  - { name: c, include: [], exclude: [ { group: { id: b } } ] }\n",
            ),
            5,
            "access.groups[1]",
            "cycle: b -> c -> b",
        ),
        (
            groups("  - { name: a, include: [ { group: { id: b } } ] }\n"),
            4,
            "access.groups[0].include[0].group.id",
            "there is no rule group `b`",
        ),
        (
            groups("  - { name: a, include: [] }\n  - { id: a, name: b, include: [] }\n"),
            5,
            "access.groups[1].id",
            "two groups have the id `a`",
        ),
        (groups("  - { name: a }\n"), 4, "access.groups[0]", "`include` is missing"),
        (groups("  - { include: [] }\n"), 4, "access.groups[0]", "`name` is missing"),
        (groups("  - a\n"), 4, "access.groups[0]", "found a text"),
        (file("  groups: { a: [] }\n", everyone), 3, "access.groups", "found a mapping"),
        // Lists.
        (
            lists("  - { name: a, type: EMAIL, items: [ a@b.example, 7 ] }\n"),
            4,
            "access.lists[0].items[1]",
            "",
        ),
        (
            lists("  - { name: a, type: IP, items: [ 192.0.2.1, 192.0.2.0/99 ] }\n"),
            4,
            "access.lists[0]",
            "`192.0.2.0/99`: invalid network",
        ),
        (lists("  - { name: a, type: IP, items: [], items: [] }\n"), 4, "", "duplicate key"),
        (
            lists("  - { name: a, type: IP, items: [ { value: 192.0.2.1, valeu: 1 } ] }\n"),
            4,
            "access.lists[0].items[0]",
            "",
        ),
    ] {
        if key.is_empty() && message.is_empty() {
            // `NO` is Norway, not `false`.
            assert!(Config::parse(&text, "f").is_ok(), "{text}");
            continue;
        }
        let found = errors(&text);
        let first = found.iter().next().unwrap();
        assert_eq!(first.location().map(|at| at.line), Some(line), "{text}\n{found}");
        let key =
            if key.starts_with("include") { format!("{policy}.{key}") } else { key.to_owned() };
        assert!(first.key().starts_with(&key), "{text}\n{found}");
        assert!(first.message().contains(message), "{text}\n{found}");
    }
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_and_hardly_read() {
    let mut text = file("", "      include:\n");
    while text.len() < 100_000_000 {
        text.push_str("      - email: { email: somebody.with.a.long.name@example.com }\n");
    }
    let found = bounded(Duration::from_secs(30), 1_000_000, || errors(&text));
    assert!(found.to_string().contains("larger than"), "{found}");
    // From disk: no more is read than a file may have.
    let folder = std::env::temp_dir().join(format!("tower-access-large-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("access.yml");
    std::fs::write(&path, &text).unwrap();
    let found = bounded(Duration::from_secs(120), 64_000_000, || Config::load(&path).unwrap_err());
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(found.to_string().contains("larger than"), "{found}");
}

#[test]
fn bombs_and_depth_cost_no_more_than_their_files() {
    let everyone = "      include: [ { everyone: {} } ]\n";
    let mut laughs =
        String::from("  lists:\n  - &l0 { name: l, type: IP, items: [ 192.0.2.1 ] }\n");
    for level in 1..30 {
        let below = vec![format!("*l{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("  - &l{level} [ {below} ]\n"));
    }
    // One list of rules in each of a thousand policies.
    let staff = vec!["{ everyone: {} }"; 1_000].join(", ");
    let mut many = format!("  groups:\n  - {{ name: g0, include: &staff [ {staff} ] }}\n");
    for number in 1..1_000 {
        many.push_str(&format!("  - {{ name: g{number}, include: *staff }}\n"));
    }
    let deep = |open: &str, close: &str| {
        format!("  groups: {}x{}\n", open.repeat(50_000), close.repeat(50_000))
    };
    for more in [
        laughs,
        many,
        deep("[ ", " ]"),
        deep("{ a: ", " }"),
        deep("- ", ""),
        format!("  groups: {}\n", "&a ".repeat(50_000)),
        format!("  groups: [ *a{} ]\n", ", *a".repeat(50_000)),
        format!("  ? {}\n  : 1\n", "x".repeat(500_000)),
    ] {
        let text = file(&more, everyone);
        // The parser keeps what it replays for an alias.
        let found = bounded(Duration::from_secs(240), 100_000_000, || errors(&text));
        assert!(found.to_string().len() < 20_000, "{} bytes", found.to_string().len());
    }
}

#[test]
fn thousands_of_mistakes_are_told_in_bounded_time_and_length() {
    let mut groups = String::from("  groups:\n");
    for number in 0..4_000 {
        groups.push_str(&format!("  - {{ name: group-number-{number}, include: [ {{ group: {{ id: group-nummer-{number} }} }} ] }}\n"));
    }
    let mut rules = String::from("      include:\n");
    for number in 0..4_000 {
        rules.push_str(&format!("      - emial: {{ email: person{number}@example.com }}\n"));
    }
    for text in [file(&groups, "      include: [ { everyone: {} } ]\n"), file("", &rules)] {
        let found = bounded(Duration::from_secs(240), 200_000_000, || errors(&text));
        assert!(found.to_string().len() < 100_000, "{} bytes", found.to_string().len());
    }
}

// ---- Helpers

fn refusal<T: DeserializeOwned>(text: &str) -> String {
    match serde_json::from_str::<T>(text) {
        Ok(_) => panic!("read: {text}"),
        Err(error) => error.to_string(),
    }
}

/// Refuses with the place; one, to be counted.
fn refuses<T: DeserializeOwned>(value: &Value) -> usize {
    refuses_text::<T>(&value.to_string())
}

fn refuses_text<T: DeserializeOwned>(text: &str) -> usize {
    let error = refusal::<T>(text);
    assert!(error.contains(" at line 1 column "), "{text}: {error}");
    1
}

/// Does something in so much time and memory; zero bytes: whatever it takes.
fn bounded<T>(time: Duration, bytes: usize, work: impl FnOnce() -> T) -> T {
    let (start, mut done, mut work) = (Instant::now(), None, Some(work));
    let info = allocation_counter::measure(|| done = work.take().map(|work| work()));
    assert!(start.elapsed() < time, "it took {:?}", start.elapsed());
    let most = usize::try_from(info.bytes_max).unwrap();
    assert!(bytes == 0 || most < bytes, "{most} bytes at once, more than {bytes}");
    done.unwrap()
}
