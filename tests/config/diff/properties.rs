//! Random configurations, and random requests of both.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use tower_access::explain::{Question, SimulatedCertificate};
use tower_access::identity::RiskLevel;
use tower_access::inspect::{DiffReport, Effect, diff};
use tower_access::policy::Outcome;

use super::meaning::Both;
use super::{NOW, deployment};

fn word(all: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    select(all)
}

const EMAILS: &[&str] =
    &["ada@one.example", "bob@one.example", "eve@two.example", "new@three.example"];
const STRANGERS: &[&str] = &["stranger@one.example", "stranger@two.example", "x@nowhere.example"];
const DOMAINS: &[&str] = &["one.example", "two.example"];
const NETWORKS: &[&str] =
    &["192.0.2.0/24", "192.0.2.128/25", "192.0.2.7", "2001:db8::/32", "0.0.0.0/0", "::/0"];
const ADDRESSES: &[&str] = &[
    "192.0.2.7",
    "192.0.2.8",
    "192.0.2.200",
    "203.0.113.1",
    "2001:db8::7",
    "2001:db9::7",
    "::ffff:192.0.2.7",
];
const COUNTRIES: &[&str] = &["FR", "DE", "T1"];
const METHODS: &[&str] = &["onetimepin", "idp-1", "idp-2"];
const EVALUATORS: &[&str] = &["https://one.example/evaluate", "https://two.example/evaluate"];

/// A rule, about people or not.
fn rule(about_people: bool, groups: usize) -> BoxedStrategy<Value> {
    let of_requests = prop_oneof![
        2 => Just(json!({"everyone": {}})),
        3 => word(NETWORKS).prop_map(|ip| json!({"ip": {"ip": ip}})),
        1 => Just(json!({"ip_list": {"id": "offices"}})),
        2 => word(COUNTRIES).prop_map(|code| json!({"geo": {"country_code": code}})),
        1 => Just(json!({"certificate": {}})),
        1 => word(&["cn-1", "cn-2"]).prop_map(|name| json!({"common_name": {"common_name": name}})),
        1 => Just(json!({"any_valid_service_token": {}})),
        2 => word(&["ci", "backup.access", "theirs"]).prop_map(|id| json!({"service_token": {"token_id": id}})),
        1 => word(&["check-1", "check-2"]).prop_map(|id| json!({"device_posture": {"integration_uid": id}})),
    ];
    let provider = || prop::option::weighted(0.3, word(METHODS));
    let with = |mut value: Value, provider: Option<&str>| {
        let inner = value.as_object_mut().unwrap().values_mut().next().unwrap();
        if let Some(provider) = provider {
            inner["identity_provider_id"] = provider.into();
        }
        value
    };
    let of_people = prop_oneof![
        4 => word(EMAILS).prop_map(|email| json!({"email": {"email": email}})),
        3 => word(DOMAINS).prop_map(|domain| json!({"email_domain": {"domain": domain}})),
        1 => Just(json!({"email_list": {"id": "board"}})),
        1 => word(METHODS).prop_map(|id| json!({"login_method": {"id": id}})),
        1 => word(&["mfa", "otp"]).prop_map(|name| json!({"auth_method": {"auth_method": name}})),
        1 => (word(&["c1", "c2"]), provider()).prop_map(move |(id, provider)| with(json!({"auth_context": {"id": "x", "ac_id": id, "identity_provider_id": "idp-1"}}), provider)),
        1 => (word(&["g-1", "g-2"]), provider()).prop_map(move |(id, provider)| with(json!({"azureAD": {"id": id}}), provider)),
        1 => (word(&["g-1", "ops@one.example"]), provider()).prop_map(move |(id, provider)| with(json!({"okta": {"name": id}}), provider)),
        1 => (word(&["Ops@one.example"]), provider()).prop_map(move |(id, provider)| with(json!({"gsuite": {"email": id}}), provider)),
        1 => (word(&["acme", "Evil"]), prop::option::of(word(&["ops", "dev"])), provider()).prop_map(move |(name, team, provider)| {
            let mut value = json!({"github-organization": {"name": name}});
            if let Some(team) = team {
                value["github-organization"]["team"] = team.into();
            }
            with(value, provider)
        }),
        1 => (word(&["dept", "Groups"]), word(&["a", "b"]), provider()).prop_map(move |(name, value, provider)| with(json!({"oidc": {"claim_name": name, "claim_value": value}}), provider)),
        1 => (word(&["dept", "groups"]), word(&["a", "b"]), provider()).prop_map(move |(name, value, provider)| with(json!({"saml": {"attribute_name": name, "attribute_value": value}}), provider)),
        1 => select(vec![json!(["low"]), json!(["low", "medium"]), json!(["unscored"])]).prop_map(|levels| json!({"user_risk_score": {"user_risk_score": levels}})),
        1 => prop::option::of(word(&["account-1", "account-2"])).prop_map(|id| match id {
            Some(id) => json!({"cloudflare_account_member": {"account_id": id}}),
            None => json!({"cloudflare_account_member": {}}),
        }),
        1 => word(EVALUATORS).prop_map(|url| json!({"external_evaluation": {"evaluate_url": url, "keys_url": "https://one.example/keys"}})),
    ];
    let mut all = of_requests.boxed();
    if about_people {
        all = prop_oneof![1 => all, 1 => of_people].boxed();
    }
    if groups > 0 {
        let group = (0..groups).prop_map(|number| json!({"group": {"id": format!("g{number}")}}));
        all = prop_oneof![5 => all, 1 => group].boxed();
    }
    all
}

fn rules(people: bool, groups: usize) -> impl Strategy<Value = [Vec<Value>; 3]> {
    let list = move |least, most| prop::collection::vec(rule(people, groups), least..=most);
    (list(1, 3), list(0, 2), list(0, 2))
        .prop_map(|(include, require, exclude)| [include, require, exclude])
}

/// Groups that refer to earlier ones; the last alone is about people.
fn groups() -> impl Strategy<Value = Vec<Value>> {
    (rules(false, 0), rules(false, 1), rules(true, 2)).prop_map(|(one, two, three)| {
        let all = [one, two, three].into_iter().enumerate();
        all.map(|(number, [include, require, exclude])| {
            json!({"id": format!("g{number}"), "name": format!("Group {number}"),
                   "include": include, "require": require, "exclude": exclude})
        })
        .collect()
    })
}

fn policies() -> impl Strategy<Value = Vec<Value>> {
    let policy = word(&["allow", "allow", "allow", "deny", "bypass", "non_identity"]).prop_flat_map(|decision| {
        let people = matches!(decision, "allow" | "deny");
        let linked = prop::option::weighted(0.2, word(&["app-1", "app-2"]));
        (rules(people, if people { 3 } else { 2 }), linked).prop_map(move |([mut include, require, exclude], linked)| {
            if let Some(linked) = linked.filter(|_| decision == "non_identity") {
                include.push(json!({"linked_app_token": {"app_uid": linked}}));
            }
            json!({"decision": decision, "include": include, "require": require, "exclude": exclude})
        })
    });
    prop::collection::vec(policy, 0..4).prop_map(|mut policies| {
        for (number, policy) in policies.iter_mut().enumerate() {
            policy["name"] = format!("p{number}").into();
        }
        policies
    })
}

const PLACES: &[&str] = &[
    "h.example",
    "h.example/x",
    "h.example/x/*",
    "h.example/*/y",
    "h.example/x*",
    "*.example",
    "i.example/x/y",
    "i.example",
];
const URLS: &[&str] = &[
    "https://h.example/",
    "https://h.example/x",
    "https://h.example/x/",
    "https://h.example/x/y",
    "https://h.example/x/z",
    "https://h.example/a/y",
    "https://h.example/xa",
    "https://h.example/xa/y/b",
    "https://i.example/",
    "https://i.example/x/y/z",
    "https://j.example/x",
    "https://k.j.example/",
];

/// A file, as JSON, which is YAML.
fn file() -> impl Strategy<Value = Value> {
    let application = (policies(), prop::bool::weighted(0.1), prop::bool::weighted(0.1)).prop_map(
        |(policies, options, allowed)| {
            json!({"policies": policies, "options_preflight_bypass": options,
               "allowed_idps": if allowed { json!(["onetimepin"]) } else { json!([]) }})
        },
    );
    let places = prop::sample::subsequence(PLACES, 1..4);
    let applications = (places, prop::collection::vec(application, 3));
    let enabled = (any::<bool>(), any::<bool>());
    let board = prop::sample::subsequence(EMAILS, 0..3);
    let offices = prop::sample::subsequence(NETWORKS, 0..3);
    (applications, groups(), enabled, board, offices, prop::bool::weighted(0.15)).prop_map(
        |((places, applications), groups, (ci, backup), board, offices, verifies)| {
            let audience = |number: usize| format!("{number:064x}");
            let mut applications: Vec<Value> = places
                .iter()
                .zip(applications)
                .enumerate()
                .map(|(number, (place, mut application))| {
                    application["name"] = (*place).into();
                    application["domain"] = (*place).into();
                    if verifies {
                        application["aud"] = audience(number).into();
                        application.as_object_mut().unwrap().remove("allowed_idps");
                        application.as_object_mut().unwrap().remove("options_preflight_bypass");
                    }
                    application
                })
                .collect();
            if !verifies {
                // Those whose tokens may be brought.
                applications.extend(["app-1", "app-2", "other"].map(|id| {
                    json!({"id": id, "name": format!("linked {id}"), "domain": format!("{id}.example")})
                }));
            }
            let hash = "sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971";
            let mut access = json!({
                "applications": applications,
                "groups": groups,
                "lists": [{"name": "board", "type": "EMAIL", "items": board}, {"name": "offices", "type": "IP", "items": offices}],
                "service_tokens": [
                    {"name": "ci", "client_id": "ci.access", "client_secret_hash": hash, "enabled": ci},
                    {"name": "backup", "client_id": "backup.access", "client_secret_hash": hash, "enabled": backup},
                    {"name": "idle", "client_id": "idle.access", "client_secret_hash": hash},
                ],
            });
            if verifies {
                access["issuer"] = json!({"team_domain": "acme.cloudflareaccess.com"});
            } else {
                access["mail"] = "console".into();
            }
            loadable(json!({ "access": access }))
        },
    )
}

/// Behind an issuer some rules are refused, elsewhere tokens that nobody knows: everybody stands in their place.
fn loadable(mut file: Value) -> Value {
    fn replace(value: &mut Value, of_issuer: bool) {
        let is_theirs = value.pointer("/service_token/token_id") == Some(&"theirs".into());
        let has = |key: &str| value.get(key).is_some();
        if of_issuer && (has("linked_app_token") || has("external_evaluation"))
            || !of_issuer && is_theirs
        {
            *value = json!({"everyone": {}});
        }
        match value {
            Value::Array(all) => all.iter_mut().for_each(|value| replace(value, of_issuer)),
            Value::Object(all) => all.values_mut().for_each(|value| replace(value, of_issuer)),
            _ => {}
        }
    }
    let of_issuer = file["access"].get("issuer").is_some();
    replace(&mut file, of_issuer);
    file
}

/// A file, and one in which little or everything is different.
fn files() -> impl Strategy<Value = (Value, Value)> {
    let change = (file(), file(), any::<prop::sample::Index>()).prop_map(|(old, other, which)| {
        // One part of the file comes from another one.
        let mut new = old.clone();
        let parts = ["groups", "lists", "service_tokens", "policies", "policies", "policies"];
        match parts[which.index(parts.len())] {
            "policies" => {
                let from = other["access"]["applications"][0]["policies"].clone();
                new["access"]["applications"][0]["policies"] = from;
            }
            part => new["access"][part] = other["access"][part].clone(),
        }
        (old, loadable(new))
    });
    prop_oneof![2 => change, 1 => (file(), file())]
}

fn some(all: &'static [&'static str], most: usize) -> impl Strategy<Value = Option<Vec<Box<str>>>> {
    let list = prop::sample::subsequence(all, 0..=most);
    prop::option::of(list.prop_map(|all| all.into_iter().map(Box::from).collect()))
}

fn question() -> impl Strategy<Value = Question> {
    let email = prop_oneof![2 => word(EMAILS), 1 => word(STRANGERS)];
    let who = prop_oneof![
        6 => email.prop_map(|email| Question::new("").with_email(email.parse().unwrap())),
        2 => Just(Question::new("")),
        2 => word(&["ci.access", "backup.access", "idle.access", "none.access", "theirs"])
            .prop_map(|id| Question::new("").with_service_token(id)),
        1 => word(&["app-1", "app-2", "other"]).prop_map(|id| {
            let mut question = Question::new("");
            question.identity.linked_application = Some(id.into());
            question
        }),
    ];
    let whence = (
        word(URLS),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.8, word(ADDRESSES)),
        prop::option::weighted(0.7, word(&["FR", "DE", "T1", "IT"])),
        prop::option::weighted(0.6, word(&["none", "cn-1", "cn-2", "cn-3"])),
        some(&["check-1", "check-2", "check-3"], 2),
    );
    let claims = prop::option::of((some(&["a", "b", "c"], 2), some(&["a", "b", "c"], 2)));
    let attributes = (
        prop::option::of((
            word(&["onetimepin", "idp-1", "idp-2", "idp-3"]),
            prop::option::of(word(&["cloudflare", "oidc"])),
        )),
        some(&["mfa", "pwd", "otp"], 2),
        some(&["c1", "c2", "c3"], 2),
        some(&["g-1", "g-2", "g-3", "ops@one.example"], 3),
        some(&["acme", "acme/ops", "acme/x", "evil/dev", "evil", "else"], 3),
        some(&["account-1", "account-2", "zzz"], 2),
        claims,
        prop::option::of(select(RiskLevel::ALL.to_vec())),
    );
    let evaluations = [prop::option::of(any::<bool>()), prop::option::of(any::<bool>())];
    (who, whence, prop::option::weighted(0.7, attributes), evaluations).prop_map(
        |(
            mut question,
            (url, options, ip, country, certificate, posture),
            attributes,
            evaluations,
        )| {
            let request = &mut question.request;
            request.url = url.into();
            request.method = options.then(|| "OPTIONS".into());
            request.ip = ip.map(|ip| ip.parse().unwrap());
            request.country = country.map(|country| country.parse().unwrap());
            request.certificate = certificate.map(|name| match name {
                "none" => SimulatedCertificate::None,
                name => SimulatedCertificate::CommonName(name.into()),
            });
            request.device_posture = posture;
            let identity = &mut question.identity;
            if identity.email.is_none() {
                return question;
            }
            for (url, answer) in EVALUATORS.iter().zip(evaluations) {
                if let Some(answer) = answer {
                    identity.evaluations.insert((*url).into(), answer);
                }
            }
            if let Some((login, methods, contexts, groups, organizations, accounts, claims, risk)) =
                attributes
            {
                if let Some((id, kind)) = login {
                    identity.login_method = Some(id.into());
                    identity.login_type = kind.map(Box::from);
                }
                identity.auth_methods = methods;
                identity.auth_contexts = contexts;
                identity.groups = groups;
                identity.organizations = organizations;
                identity.accounts = accounts;
                identity.claims = claims.map(|(dept, groups)| {
                    let all = [("dept", dept), ("groups", groups)];
                    all.into_iter()
                        .filter_map(|(name, values)| Some((name.into(), values?)))
                        .collect()
                });
                identity.risk = risk;
            }
            question
        },
    )
}

fn effect(old: Outcome, new: Outcome) -> Option<Effect> {
    match (old.grants_access(), new.grants_access()) {
        _ if old == new => None,
        (false, true) => Some(Effect::Gains),
        (true, false) => Some(Effect::Loses),
        _ => Some(Effect::Changes),
    }
}

fn is_complete(report: &DiffReport) -> bool {
    report.more == 0
        && !report
            .undecided
            .iter()
            .any(|one| one.reason.contains("too many") || one.reason.contains("more than"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_file_does_not_differ_from_itself(file in file()) {
        let text = file.to_string();
        let report = diff(&deployment(&text), &deployment(&text), NOW);
        prop_assert!(report.is_empty(), "{report}");
        prop_assert_eq!(report.to_string(), "no difference for anybody\n");
    }

    #[test]
    fn explain_confirms_every_witness((old, new) in files()) {
        let (old, new) = (deployment(&old.to_string()), deployment(&new.to_string()));
        let report = diff(&old, &new, NOW);
        let both = Both { old: &old, new: &new };
        for place in &report.places {
            for statement in &place.statements {
                let witness = &statement.witness;
                for (deployment, said, application) in
                    [(&old, &witness.old, &place.old), (&new, &witness.new, &place.new)]
                {
                    let explained = deployment.explain(&witness.question, NOW);
                    prop_assert_eq!(explained.outcome, said.outcome, "{}\n{}", statement, explained);
                    prop_assert_eq!(explained.id, said.id);
                    prop_assert_eq!(
                        explained.deciding_policy().map(|policy| policy.name.clone()),
                        said.policy.clone()
                    );
                    prop_assert_eq!(
                        explained.application.map(|application| application.id),
                        application.as_ref().map(|application| application.id.to_string())
                    );
                }
                prop_assert_eq!(effect(witness.old.outcome, witness.new.outcome), Some(statement.effect));
                let about = both.about(&report.places, &witness.question);
                prop_assert!(about.contains(&statement), "{}", statement);
            }
        }
        for moved in &report.moved {
            let question = Question::new(moved.url.clone());
            for (deployment, said) in [(&old, &moved.old), (&new, &moved.new)] {
                let explained = deployment.explain(&question, NOW).application;
                prop_assert_eq!(
                    explained.map(|application| application.id),
                    said.as_ref().map(|application| application.id.to_string())
                );
            }
        }
    }

    #[test]
    fn statements_are_about_all_differences_and_nothing_else(
        (old, new) in files(),
        questions in prop::collection::vec(question(), 100),
    ) {
        let (old, new) = (deployment(&old.to_string()), deployment(&new.to_string()));
        let report = diff(&old, &new, NOW);
        let both = Both { old: &old, new: &new };
        for question in &questions {
            let [before, after] = [&old, &new].map(|one| one.explain(question, NOW));
            let expected = effect(before.outcome, after.outcome);
            let about = both.about(&report.places, question);
            for statement in &about {
                prop_assert_eq!(
                    Some(statement.effect), expected,
                    "{}\n{:?}: {} -> {}\n{}", question, statement.when, before.outcome, after.outcome, statement
                );
            }
            if expected.is_some() && is_complete(&report) {
                prop_assert!(
                    !about.is_empty(),
                    "{}: {} -> {}\n{}", question, before.outcome, after.outcome, report
                );
            }
        }
    }
}
