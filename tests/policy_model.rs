//! The evaluator against a slow and obvious model.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

use std::net::IpAddr;

use proptest::prelude::*;
use tower_access::identity::Email;
use tower_access::policy::{
    Decision, Definitions, Facts, Group, Outcome, Policies, Policy, Rule, ServiceTokenFacts,
};

const EMAILS: [&str; 4] = ["a@x.example", "b@x.example", "a@y.example", "c@z.example"];
const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.200", "198.51.100.7", "2001:db8::1"];
const TOKENS: [&str; 2] = ["t1", "t2"];
const GROUPS: usize = 3;

/// What is known, in the model's words.
#[derive(Clone, Copy, Debug)]
struct Known {
    email: Option<&'static str>,
    address: IpAddr,
    token: Option<&'static str>,
}

fn holds(rule: &Rule, known: Known, groups: &[Group]) -> bool {
    match rule {
        Rule::Everyone => true,
        Rule::Email(email) => known.email == Some(email.as_str()),
        Rule::EmailDomain(domain) => {
            known.email.is_some_and(|email| email.split('@').nth(1) == Some(domain.as_str()))
        }
        Rule::Ip(network) => network.contains(&known.address),
        Rule::Group(id) => {
            let group = groups.iter().find(|group| group.id() == &**id).unwrap();
            applies(&group.include, &group.require, &group.exclude, known, groups)
        }
        Rule::ServiceToken(id) => known.token == Some(id),
        Rule::AnyValidServiceToken => known.token.is_some(),
        other => panic!("{other:?}"),
    }
}

fn applies(
    include: &[Rule],
    require: &[Rule],
    exclude: &[Rule],
    known: Known,
    groups: &[Group],
) -> bool {
    include.iter().any(|rule| holds(rule, known, groups))
        && require.iter().all(|rule| holds(rule, known, groups))
        && !exclude.iter().any(|rule| holds(rule, known, groups))
}

fn policy_applies(policy: &Policy, known: Known, groups: &[Group]) -> bool {
    applies(&policy.include, &policy.require, &policy.exclude, known, groups)
}

/// Section 8.2 of the contract, word for word; somebody has logged in, or shows a service token.
fn model(policies: &[Policy], known: Known, groups: &[Group]) -> (Outcome, Option<String>) {
    let first = [Decision::Bypass, Decision::NonIdentity];
    for policy in policies.iter().filter(|policy| first.contains(&policy.decision)) {
        // Nobody has logged in as far as these are concerned.
        if policy_applies(policy, Known { email: None, ..known }, groups) {
            let outcome = match policy.decision {
                Decision::Bypass => Outcome::Bypassed,
                _ => Outcome::ServiceAllowed,
            };
            return (outcome, Some(policy.id().to_owned()));
        }
    }
    if known.email.is_some() {
        for policy in policies.iter().filter(|policy| !first.contains(&policy.decision)) {
            if policy_applies(policy, known, groups) {
                let outcome = match policy.decision {
                    Decision::Allow => Outcome::Allowed,
                    _ => Outcome::Denied,
                };
                return (outcome, Some(policy.id().to_owned()));
            }
        }
    }
    (Outcome::Denied, None)
}

fn rule(about_people: bool, groups: usize) -> BoxedStrategy<Rule> {
    let network = prop::sample::select(vec!["192.0.2.0/24", "192.0.2.200", "2001:db8::/32"]);
    let anybody = prop_oneof![
        1 => Just(Rule::everyone()),
        3 => network.prop_map(|network| Rule::ip(network).unwrap()),
        2 => prop::sample::select(TOKENS.to_vec()).prop_map(Rule::service_token),
        1 => Just(Rule::any_valid_service_token()),
    ];
    let people = prop_oneof![
        prop::sample::select(EMAILS.to_vec()).prop_map(|email| Rule::email(email).unwrap()),
        prop::sample::select(vec!["x.example", "y.example"])
            .prop_map(|domain| Rule::email_domain(domain).unwrap()),
    ];
    let mut rules = anybody.boxed();
    if about_people {
        rules = prop_oneof![2 => rules, 2 => people].boxed();
    }
    if groups > 0 {
        let group = (0..groups).prop_map(|number| Rule::group(format!("g{number}")));
        rules = prop_oneof![4 => rules, 1 => group].boxed();
    }
    rules
}

fn lists(about_people: bool, groups: usize) -> impl Strategy<Value = [Vec<Rule>; 3]> {
    let list = move |most| prop::collection::vec(rule(about_people, groups), 0..=most);
    (list(3), list(2), list(2)).prop_map(|(include, require, exclude)| [include, require, exclude])
}

/// Groups that refer to earlier ones. Only the last may be about people, and only policies that
/// ask for a login refer to it.
fn groups() -> impl Strategy<Value = Vec<Group>> {
    (lists(false, 0), lists(false, 1), lists(true, 2)).prop_map(|(first, second, third)| {
        [first, second, third]
            .into_iter()
            .enumerate()
            .map(|(number, [include, require, exclude])| {
                let mut group = Group::new(format!("g{number}"));
                (group.include, group.require, group.exclude) = (include, require, exclude);
                group
            })
            .collect()
    })
}

fn policies() -> impl Strategy<Value = Vec<Policy>> {
    let decision = prop::sample::select(vec![
        Decision::Allow,
        Decision::Allow,
        Decision::Deny,
        Decision::Bypass,
        Decision::NonIdentity,
    ]);
    let policy = decision.prop_flat_map(|decision| {
        let login = matches!(decision, Decision::Allow | Decision::Deny);
        lists(login, if login { GROUPS } else { GROUPS - 1 }).prop_map(
            move |[include, require, exclude]| {
                let mut policy = Policy::new("", decision);
                (policy.include, policy.require, policy.exclude) = (include, require, exclude);
                policy
            },
        )
    });
    prop::collection::vec(policy, 0..6).prop_map(|mut policies| {
        for (number, policy) in policies.iter_mut().enumerate() {
            policy.id = Some(format!("p{number}").into());
        }
        policies
    })
}

fn known() -> impl Strategy<Value = Known> {
    let address = prop::sample::select(ADDRESSES.to_vec());
    let token = prop::option::of(prop::sample::select(TOKENS.to_vec()));
    let email = prop::option::of(prop::sample::select(EMAILS.to_vec()));
    (email, address, token).prop_map(|(email, address, token)| Known {
        email,
        address: address.parse().unwrap(),
        token,
    })
}

fn evaluate(
    compiled: &Policies,
    email: Option<&str>,
    address: Option<IpAddr>,
    token: Option<&str>,
) -> (Outcome, Option<String>) {
    let email: Option<Email> = email.map(|email| email.parse().unwrap());
    let verdict = compiled.evaluate(&Facts {
        email: email.as_ref(),
        address,
        service_token: token.map(|id| ServiceTokenFacts { id, client_id: "x.access" }),
        ..Facts::default()
    });
    (verdict.outcome(), verdict.policy().map(|policy| policy.id().to_owned()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn pol_04_pol_05_decides_as_the_model_does(
        policies in policies(),
        groups in groups(),
        known in known(),
    ) {
        let compiled = Policies::compile(&policies, &Definitions::new(groups.clone(), []).unwrap()).unwrap();
        let decided = evaluate(&compiled, known.email, Some(known.address), known.token);
        let expected = model(&policies, known, &groups);
        if known.email.is_some() || known.token.is_some() || expected.0.opens() {
            prop_assert_eq!(decided, expected);
            return Ok(());
        }
        // Nobody has logged in: a login is asked for if it could help anybody.
        let could_help = EMAILS.iter().chain(&["stranger@nowhere.example"]).any(|email| {
            model(&policies, Known { email: Some(email), ..known }, &groups).0 == Outcome::Allowed
        });
        match decided.0 {
            Outcome::Denied => prop_assert!(!could_help, "{:?}", decided),
            // Rules that contradict each other are only found out after the login.
            Outcome::LoginRequired => {}
            other => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn pol_04_the_order_inside_a_list_makes_no_difference(
        policies in policies(),
        groups in groups(),
        known in known(),
    ) {
        let mut turned = policies.clone();
        for policy in &mut turned {
            policy.include.reverse();
            policy.require.reverse();
            policy.exclude.reverse();
        }
        let decide = |policies: &[Policy]| {
            let compiled = Policies::compile(policies, &Definitions::new(groups.clone(), []).unwrap()).unwrap();
            evaluate(&compiled, known.email, Some(known.address), known.token)
        };
        prop_assert_eq!(decide(&policies), decide(&turned));
    }

    #[test]
    fn pol_06_an_unknown_address_opens_nothing_that_any_address_would_not(
        policies in policies(),
        groups in groups(),
        known in known(),
    ) {
        let compiled = Policies::compile(&policies, &Definitions::new(groups.clone(), []).unwrap()).unwrap();
        let blind = evaluate(&compiled, known.email, None, known.token);
        if blind.0.opens() {
            for address in ADDRESSES {
                let seen = evaluate(&compiled, known.email, Some(address.parse().unwrap()), known.token);
                prop_assert!(seen.0.opens(), "{:?} opened, {address} gives {:?}", blind, seen);
            }
        }
    }
}
