//! What policies cost: `cargo bench --features full --bench policies`.
//!
//! Prints criterion's timings, then allocations, time to build, memory, and what it takes to build
//! large and odd definitions. Panics when a decision allocates.
#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench states what it expects"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use tower_access::address::Country;
use tower_access::identity::{
    Attributes, Email, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
use tower_access::policy::{
    AuthContext, AzureGroup, Certificate, Definitions, DevicePosture, Evaluator, EvaluatorResults,
    Facts, GithubOrganization, Group, GsuiteGroup, List, OktaGroup, Outcome, Policies, Policy,
    Rule, ServiceTokenFacts,
};

const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Policies of so many rules: emails, domains, networks, and groups, half of them with conditions
/// of their own. Ada is the last rule of the last policy.
fn policies(count: usize) -> Policies {
    let (policies, groups) = documents(count);
    Policies::compile(&policies, &Definitions::new(groups, []).unwrap()).unwrap()
}

fn documents(count: usize) -> ([Policy; 3], Vec<Group>) {
    let mut groups = Vec::new();
    let mut staff = Policy::allow("staff");
    let machines = Policy::service_auth("machines").include(Rule::service_token("ci"));
    let barred = Policy::deny("barred").include(Rule::email("mallory@example.com").unwrap());
    for number in 0..count.saturating_sub(1) {
        let email = |number: usize| Rule::email(&format!("person{number}@example.com")).unwrap();
        let network = |number: usize| {
            let (high, low) = (number / 256 % 256, number % 256);
            Rule::ip(&format!("{}.{high}.{low}.0/24", 11 + number / 65_536)).unwrap()
        };
        staff = staff.include(match number % 8 {
            0..=2 => email(number),
            3 => Rule::email_domain(&format!("team{number}.example.com")).unwrap(),
            4 | 5 => network(number),
            6 => {
                let name = format!("plain{number}");
                groups.push(Group::new(&*name).include(email(number)).include(network(number)));
                Rule::group(name)
            }
            _ => {
                let name = format!("strict{number}");
                let group = Group::new(&*name).include(email(number)).include(network(number));
                groups.push(group.require(Rule::geo("FR").unwrap()).exclude(email(number + 1)));
                Rule::group(name)
            }
        });
    }
    ([machines, barred, staff.include(ada_rule())], groups)
}

fn ada_rule() -> Rule {
    Rule::Email(ada())
}

fn ada() -> Email {
    "ada.lovelace@example.com".parse().unwrap()
}

/// Some who ask, and what they get.
fn callers(judge: &mut dyn FnMut(&str, Outcome, &Facts<'_>)) {
    let (ada, stranger) = (ada(), "stranger@nowhere.example".parse().unwrap());
    let known = Facts {
        address: Some("192.0.2.1".parse().unwrap()),
        country: Some("FR".parse().unwrap()),
        certificate: Certificate::Missing,
        ..Facts::default()
    };
    let token = Some(ServiceTokenFacts::new("ci", "ci.access"));
    let facts = Facts { email: Some(&ada), ..known };
    judge("allowed person, last rule", Outcome::Allowed, &facts);
    let facts = Facts { email: Some(&stranger), ..known };
    judge("denied stranger", Outcome::Denied, &facts);
    judge("before login", Outcome::LoginRequired, &known);
    judge("service token", Outcome::ServiceAllowed, &Facts { service_token: token, ..known });
}

fn evaluate(criterion: &mut Criterion) {
    for count in SIZES {
        let policies = policies(count);
        callers(&mut |name, outcome, facts| {
            assert_eq!(policies.evaluate(facts).outcome(), outcome, "{name}");
            let mut group = criterion.benchmark_group(format!("policies: {name}"));
            group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, _| {
                bencher.iter(|| policies.evaluate(black_box(facts)));
            });
            group.finish();
        });
    }
}

fn explain(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policies: explanation, when asked for");
    group.sample_size(10);
    for count in [10, 1_000, 10_000] {
        let policies = policies(count);
        callers(&mut |name, _, facts| {
            if name == "denied stranger" {
                group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bencher, _| {
                    bencher.iter(|| policies.explain(black_box(facts)));
                });
            }
        });
    }
    group.finish();
}

/// A policy with all selectors, a person of whom everything is known, and no rule that is met but
/// the last.
struct Everything {
    policies: Policies,
    email: Email,
    attributes: Attributes,
    posture: DevicePosture,
    answers: EvaluatorResults,
}

impl Everything {
    fn new() -> Self {
        let provider = "0d9c3a4e";
        let mut policy = Policy::allow("all")
            .include(Rule::email("somebody@example.com").unwrap())
            .include(Rule::email_domain("example.org").unwrap())
            .include(Rule::email_list("emails"))
            .include(Rule::ip("198.51.100.0/24").unwrap())
            .include(Rule::ip_list("networks"))
            .include(Rule::geo("PT").unwrap())
            .include(Rule::group("group"))
            .include(Rule::common_name("laptop-7"))
            .include(Rule::service_token("ci"))
            .include(Rule::any_valid_service_token())
            .include(Rule::login_method("1f0e"))
            .include(Rule::auth_method("hwk"))
            .include(Rule::oidc("department", "ops"))
            .include(Rule::saml("department", "ops"))
            .include(Rule::device_posture("disk"))
            .include(
                Rule::external_evaluation("https://e.example.com/", "https://e.example.com/keys")
                    .unwrap(),
            )
            .include(Rule::user_risk_score(&[RiskLevel::Low]).unwrap())
            .include(Rule::CloudflareAccountMember(Some("0f1e".into())))
            .require(Rule::everyone())
            .exclude(Rule::CloudflareAccountMember(None));
        policy.conditions.include.extend([
            Rule::AuthContext(Box::new(AuthContext::new("c2").with_identity_provider(provider))),
            Rule::AzureGroup(Box::new(AzureGroup::new("9a8b").with_identity_provider(provider))),
            Rule::GithubOrganization(Box::new(
                GithubOrganization::new("Acme").with_team("Dev").with_identity_provider(provider),
            )),
            Rule::GsuiteGroup(Box::new(
                GsuiteGroup::new("Dev@example.com").with_identity_provider(provider),
            )),
            Rule::OktaGroup(Box::new(OktaGroup::new("Dev").with_identity_provider(provider))),
            Rule::Certificate,
        ]);
        let linked = Policy::service_auth("linked").include(Rule::linked_app_token("5e4d"));
        let group = Group::new("group")
            .include(Rule::email_domain("example.com").unwrap())
            .exclude(Rule::geo("FR").unwrap());
        let lists = [
            List::emails("emails", ["list@example.com".parse().unwrap()]),
            List::networks("networks", ["203.0.113.0/24".parse().unwrap()]),
        ];
        let definitions = Definitions::new([group], lists).unwrap();
        let mut attributes = Attributes::default();
        let login = LoginMethod { id: "0d9c3a4e".into(), kind: "oidc".into() };
        attributes.login_method = Some(login);
        attributes.authentication_methods = Some(vec!["pwd".into(), "otp".into()]);
        attributes.authentication_contexts = Some(vec!["c1".into()]);
        let group = |name: &str| ProviderGroup {
            id: Some(format!("{name}-id").into()),
            name: Some(name.into()),
            email: Some(format!("{name}@Example.com").into()),
        };
        attributes.groups = Some(vec![group("Ops"), group("Staff"), group("Admins")]);
        attributes.organizations =
            Some(vec![Organization { name: "ACME".into(), teams: Some(vec!["Ops".into()]) }]);
        attributes.oidc_claims = Some([("department", "r-and-d")].into_iter().collect());
        attributes.saml_attributes = Some([("department", "r-and-d")].into_iter().collect());
        attributes.accounts = Some(vec!["1f2e".into()]);
        attributes.risk = Some(RiskLevel::High);
        let evaluator =
            Evaluator::new("https://e.example.com/", "https://e.example.com/keys").unwrap();
        Self {
            policies: Policies::compile(&[linked, policy], &definitions).unwrap(),
            email: ada(),
            attributes,
            posture: [("disk".into(), false)].into_iter().collect(),
            answers: [(evaluator, false)].into_iter().collect(),
        }
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            email: Some(&self.email),
            attributes: Some(&self.attributes),
            address: Some("192.0.2.1".parse().unwrap()),
            country: Some("FR".parse().unwrap()),
            certificate: Certificate::Good { common_name: Some("laptop-8") },
            device_posture: Some(&self.posture),
            evaluations: Some(&self.answers),
            ..Facts::default()
        }
    }
}

/// A person in so many groups of the provider, and rules about so many others.
fn of_provider(memberships: usize, rules: usize) -> (Policies, Attributes) {
    let id = |number: usize| -> Box<str> {
        format!("{number:08x}-3b4a-4958-8776-{:012x}", number * 7_919).into()
    };
    let mut attributes = Attributes::default();
    let groups = (0..memberships).map(|number| ProviderGroup {
        id: Some(id(number + 1_000_000)),
        name: None,
        email: None,
    });
    attributes.groups = Some(groups.collect());
    let mut policy = Policy::allow("groups");
    policy
        .conditions
        .include
        .extend((0..rules).map(|number| Rule::AzureGroup(Box::new(AzureGroup::new(id(number))))));
    (Policies::compile(&[policy], &Definitions::default()).unwrap(), attributes)
}

fn selectors(criterion: &mut Criterion) {
    let everything = Everything::new();
    let facts = everything.facts();
    assert_eq!(everything.policies.evaluate(&facts).outcome(), Outcome::Allowed);
    let mut group = criterion.benchmark_group("policies: selectors");
    group.bench_function("all 26", |bencher| {
        bencher.iter(|| everything.policies.evaluate(black_box(&facts)));
    });
    let ada = ada();
    for memberships in [10, 200] {
        let (policies, attributes) = of_provider(memberships, 500);
        let facts = Facts { email: Some(&ada), attributes: Some(&attributes), ..Facts::default() };
        assert_eq!(policies.evaluate(&facts).outcome(), Outcome::Denied);
        group.bench_function(format!("in {memberships} provider groups, 500 rules"), |bencher| {
            bencher.iter(|| policies.evaluate(black_box(&facts)));
        });
    }
    group.finish();
}

fn allocations() {
    println!("\nallocations of a decision (count, bytes)");
    for count in SIZES {
        let policies = policies(count);
        callers(&mut |name, _, facts| {
            let info = allocation_counter::measure(|| {
                black_box(policies.evaluate(facts));
            });
            assert_eq!(info.count_total, 0, "{count} rules, {name}");
        });
    }
    let everything = Everything::new();
    let facts = everything.facts();
    let info = allocation_counter::measure(|| {
        black_box(everything.policies.evaluate(&facts));
    });
    println!("  10 to 100,000 rules, all callers: 0, 0");
    println!("  all 26 selectors: {}, {}", info.count_total, info.bytes_total);
    assert_eq!(info.count_total, 0, "all selectors");
    let nested = nested(100, 3, 3, true);
    let policies =
        Policies::compile(&[Policy::allow("p").include(Rule::group("g99"))], &nested).unwrap();
    let ada = ada();
    let info = allocation_counter::measure(|| {
        black_box(policies.evaluate(&Facts { email: Some(&ada), ..Facts::default() }));
    });
    println!("  100 groups in groups: {}, {}", info.count_total, info.bytes_total);
    assert_eq!(info.count_total, 0, "groups in groups");
}

/// So many groups, each with so many rules and referring to so many others, in layers.
fn nested(count: usize, rules: usize, references: usize, has_require: bool) -> Definitions {
    let layer = count.div_ceil(40).max(references);
    let groups = (0..count).map(|number| {
        let mut group = Group::new(format!("g{number}"));
        for rule in 0..rules {
            let email = format!("person{}@example.com", number * rules + rule);
            group = group.include(Rule::email(&email).unwrap());
        }
        if let Some(below) = (number / layer).checked_sub(1) {
            for reference in 0..references {
                let inner = below * layer + (number * 7 + reference * 13) % layer;
                group = group.include(Rule::group(format!("g{inner}")));
            }
        }
        if has_require { group.require(Rule::geo("FR").unwrap()) } else { group }
    });
    Definitions::new(groups.collect::<Vec<_>>(), []).unwrap()
}

fn build() {
    println!(
        "\nbuilding (milliseconds), what is kept (bytes for each rule, as written and compiled)"
    );
    for count in SIZES {
        let (policies, groups) = documents(count);
        measured(&format!("{count} rules, mixed"), count, || {
            Policies::compile(&policies, &Definitions::new(groups.clone(), []).unwrap()).unwrap()
        });
    }
    for (name, rule) in [
        (
            "emails",
            (|number| Rule::email(&format!("person{number}@example.com")).unwrap())
                as fn(usize) -> Rule,
        ),
        ("domains", |number| Rule::email_domain(&format!("team{number}.example.com")).unwrap()),
        ("networks", |number| {
            let bits = u32::try_from(number).unwrap() << 8 | 0x0b00_0000;
            Rule::ip(&format!("{}/28", IpAddr::from(bits.to_be_bytes()))).unwrap()
        }),
    ] {
        let policy = (0..100_000).map(rule).fold(Policy::allow("p"), Policy::include);
        measured(&format!("100000 {name}"), 100_000, || {
            Policies::compile(std::slice::from_ref(&policy), &Definitions::default()).unwrap()
        });
    }
}

fn odd_definitions() {
    println!("\nbuilding large definitions (milliseconds, bytes kept)");
    measured("100,000 groups of one rule", 100_000, || nested(100_000, 1, 0, false));
    measured("100,000 groups with conditions", 100_000, || nested(100_000, 1, 0, true));
    for (name, has_require) in [("plain", false), ("with conditions", true)] {
        let definitions = measured(
            &format!("10,000 groups of 10 rules, each referring to 10 others, {name}"),
            10_000,
            || nested(10_000, 10, 10, has_require),
        );
        let top = Policy::allow("p").include(Rule::group("g9999"));
        let all = (0..10_000).map(|number| Rule::group(format!("g{number}")));
        let all = all.fold(Policy::allow("p"), Policy::include);
        for (which, policy) in [("the last", top), ("all", all)] {
            let policies = measured(&format!("  a policy about {which}"), 1, || {
                Policies::compile(std::slice::from_ref(&policy), &definitions).unwrap()
            });
            let stranger = "stranger@nowhere.example".parse().unwrap();
            let country: Country = "FR".parse().unwrap();
            let facts =
                Facts { email: Some(&stranger), country: Some(country), ..Facts::default() };
            let start = Instant::now();
            for _ in 0..100 {
                black_box(policies.evaluate(&facts));
            }
            println!("    decided in {:?}", start.elapsed() / 100);
        }
    }
    let emails = (0..5_000).map(|number| format!("person{number}@example.com").parse().unwrap());
    let definitions = Definitions::new([], [List::emails("staff", emails)]).unwrap();
    measured("1,000 applications sharing a list of 5,000", 1_000, || {
        (0..1_000)
            .map(|_| {
                let policy = Policy::allow("staff").include(Rule::email_list("staff"));
                Policies::compile(&[policy], &definitions).unwrap()
            })
            .collect::<Vec<_>>()
    });
    let lists = (0..20).map(|list| {
        let email = |number: usize| format!("person{number}-{list}@example.com").parse().unwrap();
        List::emails(format!("l{list}"), (0..5_000).map(email))
    });
    let definitions = Definitions::new([], lists.collect::<Vec<_>>()).unwrap();
    measured("1,000 applications sharing 20 lists of 5,000", 1_000, || {
        (0..1_000)
            .map(|_| {
                let lists = (0..20).map(|list| Rule::email_list(format!("l{list}")));
                let policy = lists.fold(Policy::allow("staff"), Policy::include);
                Policies::compile(&[policy], &definitions).unwrap()
            })
            .collect::<Vec<_>>()
    });
    let claims = |number: usize| Rule::oidc(format!("claim{number}"), "yes");
    let policy = (0..10_000).map(claims).fold(Policy::allow("p"), Policy::include);
    measured("10,000 rules about a claim each", 10_000, || {
        Policies::compile(std::slice::from_ref(&policy), &Definitions::default()).unwrap()
    });
}

/// Builds twice: once for the time, once for the memory, since counting slows down.
fn measured<T>(name: &str, count: usize, build: impl Fn() -> T) -> T {
    let start = Instant::now();
    drop(black_box(build()));
    let milliseconds = start.elapsed().as_secs_f64() * 1_000.0;
    let mut built = None;
    let info = allocation_counter::measure(|| built = Some(build()));
    let each = info.bytes_current / i64::try_from(count).unwrap();
    println!("  {name}: {milliseconds:.1} ms, {} bytes, {each} each", info.bytes_current);
    built.unwrap()
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    evaluate(&mut criterion);
    explain(&mut criterion);
    selectors(&mut criterion);
    criterion.final_summary();
    build();
    odd_definitions();
    allocations();
}
