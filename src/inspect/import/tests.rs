//! What is imported decides as what was exported, and never lets in more when something is lost.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::address::Country;
use crate::config::Config;
use crate::identity::{Attributes, Email, LoginMethod};
use crate::policy::{
    Certificate, Definitions, DevicePosture, Facts, Group, List, Outcome, Policies, Policy,
    ServiceTokenFacts,
};

use super::{Import, import};

/// A case of the vectors: policies, and a request.
#[derive(Clone, Deserialize)]
struct Case {
    id: String,
    policies: Vec<Value>,
    groups: Vec<Value>,
    lists: Vec<Value>,
    identity: Option<Person>,
    request: Request,
}

#[derive(Clone, Deserialize)]
struct Person {
    email: Email,
    idp: Provider,
    amr: Option<Vec<Box<str>>>,
}

#[derive(Clone, Deserialize)]
struct Provider {
    id: Box<str>,
    r#type: Box<str>,
}

#[derive(Clone, Deserialize)]
struct Request {
    ip: std::net::IpAddr,
    country: Country,
    client_cert_cn: Option<String>,
    service_token_id: Option<String>,
}

fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let text = include_str!("../../../tests/vectors/policies.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    });
    &CASES
}

/// What happens to a request, and by which policy.
fn decide(policies: &Policies, case: &Case) -> (Outcome, Option<String>) {
    let attributes = case.identity.clone().map(|person| Attributes {
        login_method: Some(LoginMethod { id: person.idp.id, kind: person.idp.r#type }),
        authentication_methods: person.amr,
        ..Attributes::default()
    });
    let none = DevicePosture::new();
    let verdict = policies.evaluate(&Facts {
        email: case.identity.as_ref().map(|person| &person.email),
        attributes: attributes.as_ref(),
        address: Some(case.request.ip),
        country: Some(case.request.country),
        certificate: match &case.request.client_cert_cn {
            Some(name) => Certificate::Good { common_name: Some(name) },
            None => Certificate::Missing,
        },
        service_token: case.request.service_token_id.as_deref().map(|id| ServiceTokenFacts {
            id,
            client_id: "ci.access",
            name: None,
        }),
        device_posture: Some(&none),
        ..Facts::default()
    });
    (verdict.outcome(), verdict.policy().map(|policy| policy.id().to_owned()))
}

fn lets_in(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Allowed | Outcome::ServiceAllowed | Outcome::Bypassed)
}

/// The policies as exported, without an import.
fn exported(case: &Case) -> Policies {
    fn all<T: serde::de::DeserializeOwned>(values: &[Value]) -> Vec<T> {
        values.iter().map(|value| serde_json::from_value(value.clone()).unwrap()).collect()
    }
    let groups: Vec<Group> = all(&case.groups);
    let lists: Vec<List> = all(&case.lists);
    let definitions = Definitions::new(groups, lists).unwrap();
    Policies::compile(&all::<Policy>(&case.policies), &definitions).unwrap()
}

/// The policies of the only application of a configuration.
fn imported(import: &Import) -> Policies {
    let config = Config::parse(import.yaml(), "import").unwrap();
    let [application] = &config.access.applications[..] else { panic!("{}", import.yaml()) };
    Policies::compile(&application.policies, &config.access.definitions).unwrap()
}

/// The case as the API would answer it: an application and what its rules refer to.
fn answers(case: &Case, shared: bool) -> Vec<(String, String)> {
    let mut ids: Vec<&str> = Vec::new();
    collect_tokens(&case.policies, &mut ids);
    collect_tokens(&case.groups, &mut ids);
    ids.sort_unstable();
    ids.dedup();
    let tokens: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "id": id, "name": format!("token {id}"), "client_id": format!("{id}.access") }))
        .collect();
    let links: Vec<Value> = case
        .policies
        .iter()
        .map(|policy| json!({ "id": policy["id"], "precedence": policy["precedence"] }))
        .collect();
    let policies = if shared { &links } else { &case.policies };
    let envelope = |result: &[Value]| {
        json!({ "success": true, "errors": [], "messages": [], "result": result }).to_string()
    };
    let application = json!({
        "id": "f1", "type": "self_hosted", "name": case.id, "domain": "app.example",
        "policies": policies,
    });
    let mut files = vec![
        ("apps.json".to_owned(), envelope(&[application])),
        ("groups.json".to_owned(), Value::Array(case.groups.clone()).to_string()),
        ("lists.json".to_owned(), envelope(&case.lists)),
        ("service_tokens.json".to_owned(), envelope(&tokens)),
        (
            "identity_providers.json".to_owned(),
            json!({ "id": "4b7828f2-cfcf-52c7-b99b-2e359256aa39", "type": "onetimepin", "name": "PIN",
                    "config": {} })
            .to_string(),
        ),
    ];
    if shared {
        files.push(("policies.json".to_owned(), envelope(&case.policies)));
    }
    files
}

fn collect_tokens<'a>(holders: &'a [Value], ids: &mut Vec<&'a str>) {
    for holder in holders {
        for list in ["include", "require", "exclude"] {
            let rules = holder[list].as_array().map_or(&[][..], Vec::as_slice);
            ids.extend(rules.iter().filter_map(|rule| rule["service_token"]["token_id"].as_str()));
        }
    }
}

#[test]
fn every_case_is_decided_as_before_the_import() {
    let cases = cases();
    assert_eq!(cases.len(), 300);
    for case in cases {
        let exported = exported(case);
        for shared in [false, true] {
            let import = import(&answers(case, shared)).unwrap();
            let lost: Vec<String> = import
                .notes()
                .iter()
                .filter(|note| note.key() != "client_secret")
                .filter(|note| note.kind() != super::ImportNoteKind::ToBeAdded)
                .map(ToString::to_string)
                .collect();
            assert!(lost.is_empty(), "{}: {lost:?}", case.id);
            let imported = imported(&import);
            for request in std::iter::once(case).chain(cases.iter().step_by(10)) {
                let (before, after) = (decide(&exported, request), decide(&imported, request));
                assert_eq!(before, after, "{} asked by {}\n{}", case.id, request.id, import.yaml());
            }
        }
    }
}

/// Something that cannot be carried over.
#[derive(Clone, Debug)]
enum Damage {
    /// A rule of a policy becomes one that is not known.
    PolicyRule(prop::sample::Index, prop::sample::Index),
    /// A rule of a group does.
    GroupRule(prop::sample::Index, prop::sample::Index),
    GroupMissing(prop::sample::Index),
    ListMissing(prop::sample::Index),
    ListShort(prop::sample::Index),
    PolicyMissing(prop::sample::Index),
    TokensMissing,
    /// Nobody could log in by one-time PIN.
    ProvidersMissing,
    /// A key that asks for something that is not there.
    PolicyKey(prop::sample::Index, &'static str, Value),
    ApplicationKey(&'static str, Value),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        6 => (index(), index()).prop_map(|(policy, rule)| Damage::PolicyRule(policy, rule)),
        3 => (index(), index()).prop_map(|(group, rule)| Damage::GroupRule(group, rule)),
        2 => index().prop_map(Damage::GroupMissing),
        1 => index().prop_map(Damage::ListMissing),
        1 => index().prop_map(Damage::ListShort),
        2 => index().prop_map(Damage::PolicyMissing),
        1 => Just(Damage::TokensMissing),
        1 => Just(Damage::ProvidersMissing),
        1 => (index(), prop::sample::select(vec![
            ("approval_required", json!(true)), ("new_condition", json!({ "a": 1 })),
            ("include", json!({})), ("decision", json!("permit")), ("precedence", json!(1)),
        ])).prop_map(|(policy, (key, value))| Damage::PolicyKey(policy, key, value)),
        1 => prop::sample::select(vec![
            ("mfa_config", json!({ "allowed_authenticators": ["totp"] })),
            ("allowed_idps", json!(["other"])), ("new_setting", json!(true)),
            ("cors_headers", json!({ "allow_all_origins": true })), ("type", json!("ssh")),
        ]).prop_map(|(key, value)| Damage::ApplicationKey(key, value)),
    ]
}

fn pick<'a>(values: &'a mut [Value], index: &prop::sample::Index) -> Option<&'a mut Value> {
    if values.is_empty() { None } else { Some(index.get_mut(values)) }
}

fn spoil_rule(holder: Option<&mut Value>, index: &prop::sample::Index) {
    let Some(holder) = holder else { return };
    let lists = ["include", "require", "exclude"];
    let places: Vec<(&str, usize)> = lists
        .into_iter()
        .flat_map(|list| {
            let count = holder[list].as_array().map_or(0, Vec::len);
            (0..count).map(move |number| (list, number))
        })
        .collect();
    if !places.is_empty() {
        let (list, number) = index.get(&places);
        holder[*list][*number] = json!({ "new_selector": { "x": 1 } });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is lost on the way: who gets in after the import got in before.
    #[test]
    fn pol_nobody_gets_in_by_what_was_lost(
        number in 0..300_usize,
        shared in any::<bool>(),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let cases = cases();
        let case = &cases[number];
        let exported = exported(case);
        let mut damaged = case.clone();
        let mut application: Option<(&str, Value)> = None;
        let mut without = Vec::new();
        let mut missing: Vec<Value> = Vec::new();
        for damage in &damages {
            match damage {
                Damage::PolicyRule(policy, rule) => {
                    spoil_rule(pick(&mut damaged.policies, policy), rule);
                }
                Damage::GroupRule(group, rule) => spoil_rule(pick(&mut damaged.groups, group), rule),
                Damage::GroupMissing(group) if !damaged.groups.is_empty() => {
                    damaged.groups.remove(group.index(damaged.groups.len()));
                }
                Damage::ListMissing(list) if !damaged.lists.is_empty() => {
                    damaged.lists.remove(list.index(damaged.lists.len()));
                }
                Damage::ListShort(list) => {
                    if let Some(list) = pick(&mut damaged.lists, list) {
                        let items = list["items"].as_array_mut().unwrap();
                        let count = items.len();
                        items.pop();
                        list["count"] = json!(count);
                    }
                }
                Damage::PolicyMissing(policy) => {
                    missing.extend(pick(&mut damaged.policies, policy).map(|policy| policy["id"].clone()));
                }
                Damage::PolicyKey(policy, key, value) => {
                    if let Some(policy) = pick(&mut damaged.policies, policy) {
                        // Two policies of one precedence are only told apart where links are exported.
                        policy[*key] = value.clone();
                    }
                }
                Damage::TokensMissing => without.push("service_tokens.json"),
                Damage::ProvidersMissing => without.push("identity_providers.json"),
                Damage::ApplicationKey(key, value) => application = Some((key, value.clone())),
                Damage::GroupMissing(_) | Damage::ListMissing(_) => {}
            }
        }
        // A precedence that was changed is another configuration, not one that lost something.
        prop_assume!(!damages.iter().any(|it| matches!(it, Damage::PolicyKey(_, "precedence", _))));
        let mut files = answers(&damaged, shared || !missing.is_empty());
        for (name, text) in &mut files {
            if name == "policies.json" {
                let mut answer: Value = serde_json::from_str(text).unwrap();
                answer["result"].as_array_mut().unwrap().retain(|policy| !missing.contains(&policy["id"]));
                *text = answer.to_string();
            }
            if let ("apps.json", Some((key, value))) = (&**name, &application) {
                let mut answer: Value = serde_json::from_str(text).unwrap();
                answer["result"][0][*key] = value.clone();
                *text = answer.to_string();
            }
        }
        files.retain(|(name, _)| !without.contains(&&**name));
        let import = import(&files).unwrap();
        let imported = imported(&import);
        for request in cases {
            let before = decide(&exported, request);
            let mut request = request.clone();
            if without.contains(&"identity_providers.json") && let Some(person) = &mut request.identity {
                // The same person, now by one-time PIN.
                person.idp = Provider { id: "onetimepin".into(), r#type: "onetimepin".into() };
                person.amr = Some(Vec::new());
            }
            let after = decide(&imported, &request);
            prop_assert!(
                !lets_in(after.0) || lets_in(before.0),
                "{} asked by {}: {before:?} {after:?}\n{}", case.id, request.id, import.yaml()
            );
        }
    }

    /// Bytes that are no answer of the API's are refused or read, and what is read can be loaded.
    #[test]
    fn random_objects_never_panic(
        key in prop::sample::select(vec!["policies", "destinations", "id", "type", "domain", "precedence",
            "include", "decision", "result", "success", "items", "count", "auth_domain", "session_duration"]),
        value in prop::sample::select(vec![json!(null), json!(true), json!(-1), json!(1e300), json!(""),
            json!("x"), json!([]), json!([1]), json!([[[]]]), json!({}), json!([{}]), json!({"id": 1}),
            json!([{"id": 1}]), json!("*.*"), json!("a.example:1/b"), json!("é.example/ü"), json!("0s")]),
        nested in any::<bool>(),
    ) {
        let mut policy = json!({ "id": "p", "name": "p", "decision": "allow",
            "include": [{ "email": { "email": "a@b.example" } }] });
        let mut application = json!({ "id": "a", "type": "self_hosted", "domain": "a.example" });
        if nested { policy[key] = value } else { application[key] = value }
        let listed = application.get("policies").is_some();
        if !listed { application["policies"] = json!([policy]) }
        let whole = json!([application, { "id": "z", "name": "z", "domain": "z.example", "policies": [] }]);
        if let Ok(import) = import(&[("f", whole.to_string())]) {
            prop_assert!(Config::parse(import.yaml(), "f").is_ok(), "{}", import.yaml());
        }
    }
}
