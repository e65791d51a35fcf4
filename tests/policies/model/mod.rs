//! The engine against the contract's sentences: random policies, groups, lists and facts, decided
//! by both.
//!
//! The reference (`reference`) shares no code with the engine and knows its documents (`documents`)
//! and facts (`facts`) in words of its own. A case that fails is made smaller (`choices`) and
//! printed. `ACCESS_MODEL_CASES` and `ACCESS_MODEL_SEED` are for longer runs and other cases.
#![allow(unreachable_pub, reason = "parts of one model")]

mod choices;
mod documents;
mod facts;
mod reference;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use tower_access::identity::{Attributes, Organization};
use tower_access::policy::{
    Decision, Definitions, Explanation, Fact, Facts, List, Outcome, Policies, Policy, PolicyResult,
    RuleExplanation, RuleResult, Selector, Verdict,
};

use self::choices::{Choices, shrink};
use self::documents::{Rule, Set};
use self::facts::{Part, World};
use self::reference::{Decided, Reference, Said};

/// Decision, explanation and every rule in it, for a hundred thousand sets of policies.
#[test]
fn pol_04_pol_05_pol_18_a_hundred_thousand_sets_are_decided_and_explained_as_the_contract_says() {
    let counts = run(100_000, 1, decides_as_the_reference_does);
    let all = counts.worlds;
    let share = |part: usize, least: usize, what: &str| {
        let per_mille = part * 1_000 / all;
        println!("{what}: {per_mille} of 1,000");
        assert!(per_mille >= least, "{what}: {per_mille} of 1,000 are too few to say anything");
    };
    // What follows keeps the test from going hollow.
    for (place, outcome) in OUTCOMES.iter().enumerate() {
        share(counts.outcomes[place], 40, outcome.as_str());
    }
    share(counts.denied_by_policy, 40, "denied by a policy");
    share(counts.without_address, 10, "of a person without an address");
    share(counts.for_want_of_facts, 10, "decided for want of facts");
    share(counts.many_groups, 20, "in more groups than are looked at one by one");
    share(counts.decided_by_many_groups, 10, "decided by a policy about those");
    share(counts.long_lists, 20, "with long lists");
    share(counts.deep, 20, "with deep groups");
    share(counts.ties, 10, "with a precedence that is a place in the list");
    for (place, selector) in Selector::ALL.into_iter().enumerate() {
        let [misses, maybes, hits] = counts.rules[place];
        println!("{}: {hits} hits, {misses} misses, {maybes} open", selector.key());
        let is_never_open = matches!(
            selector,
            Selector::Everyone
                | Selector::ServiceToken
                | Selector::AnyValidServiceToken
                | Selector::LinkedAppToken
        );
        let least = all / 2_000;
        assert!(hits >= least, "{}: {hits} hits", selector.key());
        assert!(maybes >= least || is_never_open, "{}: {maybes} open", selector.key());
        assert!(misses >= least || selector == Selector::Everyone, "{}: {misses}", selector.key());
    }
}

/// A fact that is missing opens nothing that it would not open whatever it were.
#[test]
fn pol_06_what_opens_without_a_fact_opens_whatever_the_fact_is() {
    let counts = run(30_000, 2, missing_facts_open_nothing);
    assert!(counts.opened_without * 20 > counts.worlds, "{counts:?}");
    assert!(counts.closed_without * 20 > counts.worlds, "{counts:?}");
}

#[test]
fn pol_04_neither_order_inside_lists_nor_what_stands_behind_the_deciding_policy_matters() {
    let counts = run(30_000, 3, order_makes_no_difference);
    assert!(counts.behind * 5 > counts.worlds, "{counts:?}");
}

/// What the tests above found, made small.
#[test]
fn cases_that_were_found_stay_right() {
    let judge = |policies: &str, lists: &str, attributes: Attributes, expected: Outcome| {
        let policies: Vec<Policy> = serde_json::from_str(policies).unwrap();
        let lists: Vec<List> = serde_json::from_str(lists).unwrap();
        let definitions = Definitions::new([], lists).unwrap();
        let engine = Policies::compile(&policies, &definitions).unwrap();
        let ada = "ada@example.com".parse().unwrap();
        let facts = Facts { email: Some(&ada), attributes: Some(&attributes), ..Facts::default() };
        let (verdict, explanation) = (engine.evaluate(&facts), engine.explain(&facts));
        assert_eq!(verdict.outcome(), expected, "{explanation}");
        assert_eq!(verdict.id(), Some(explanation.id), "{explanation}");
        engine
    };
    let denied = |rule: &str| {
        let allow = r#"{"name":"a","decision":"allow","include":[{"everyone":{}}]}"#;
        format!(r#"[{{"name":"d","decision":"deny","include":[{rule}]}},{allow}]"#)
    };
    // Nobody is on an empty list; the explanation held an unknown address to be on it.
    let list = r#"[{"name":"l","type":"IP","items":[]}]"#;
    let of_list = denied(r#"{"ip_list":{"id":"l"}}"#);
    judge(&of_list, list, Attributes::default(), Outcome::Allowed);
    // Who is in no account is a member of none, however the login went.
    let mut nowhere = Attributes::default();
    nowhere.accounts = Some(Vec::new());
    let member = denied(r#"{"cloudflare_account_member":{}}"#);
    judge(&member, "[]", nowhere, Outcome::Allowed);
    // An organization that is told twice: the second entry was not looked at.
    let mut twice = Attributes::default();
    let entry = |name: &str, teams: &[&str]| Organization {
        name: name.into(),
        teams: Some(teams.iter().copied().map(Into::into).collect()),
    };
    twice.organizations = Some(vec![entry("acme", &[]), entry("Acme", &["ops"])]);
    let team = denied(r#"{"github-organization":{"name":"acme","team":"ops"}}"#);
    judge(&team, "[]", twice, Outcome::Denied);
    // A rule that names a login method asks for it.
    let of_method = denied(r#"{"okta":{"name":"ops","identity_provider_id":"i1"}}"#);
    let engine = judge(&of_method, "[]", Attributes::default(), Outcome::Denied);
    assert!(engine.uses_fact(Fact::LoginMethod) && engine.uses_fact(Fact::ProviderGroups));
}

fn decides_as_the_reference_does(choices: &mut Choices, counts: &mut Counts) -> Outcomes {
    let set = Set::random(choices);
    let engine = compile(&set)?;
    for _ in 0..3 {
        let world = World::random(choices);
        let reference = Reference { set: &set, world: &world };
        let expected = reference.decide();
        let (verdict, explanation, could_allow) = world.with_facts(|facts| {
            (engine.evaluate(facts), engine.explain(facts), engine.could_allow(facts))
        });
        counts.count(&set, &world, expected, &explanation);
        compare("the engine", answer(&verdict), answer_of(expected))
            .map_err(|problem| format!("{problem}\n{explanation}"))?;
        explains(&reference, &verdict, &explanation, counts)?;
        compare("could_allow", could_allow, reference.could_allow())?;
        let is_missing = !verdict.missing_facts().is_empty();
        if is_missing && verdict.outcome() != Outcome::Denied {
            return Err(format!("{verdict:?} tells what is missing and is no refusal"));
        }
    }
    let nothing = World {
        certificate: Some(facts::Shown::Nothing),
        posture: Some(Vec::new()),
        ..World::default()
    };
    let reference = Reference { set: &set, world: &nothing };
    let expected: Vec<String> = reference
        .order()
        .into_iter()
        .filter(|place| {
            let decision = set.policies[*place].decision;
            matches!(decision, Decision::Bypass | Decision::NonIdentity)
                && reference.policy(*place) != Said::No
        })
        .map(|place| format!("p{place}"))
        .collect();
    let open: Vec<String> = engine.open_without_proof().map(|one| one.id().to_owned()).collect();
    compare("open_without_proof", open, expected)
}

/// The explanation agrees with the verdict, and what it says of every rule with the reference.
fn explains(
    reference: &Reference<'_>,
    verdict: &Verdict,
    explanation: &Explanation,
    counts: &mut Counts,
) -> Outcomes {
    compare("the explanation's id", Some(explanation.id), verdict.id())?;
    compare("the explanation's outcome", explanation.outcome, verdict.outcome())?;
    let policy = verdict.policy().map(|policy| policy.id());
    compare("the explanation's policy", explanation.policy.as_deref(), policy)?;
    let deciders: Vec<&str> = explanation
        .policies
        .iter()
        .filter(|policy| {
            matches!(policy.result, PolicyResult::Decides | PolicyResult::DecidesForWantOfFacts)
        })
        .map(|policy| &*policy.id)
        .collect();
    if policy.is_some_and(|policy| !deciders.contains(&policy)) {
        return Err(format!("{policy:?} decides, and is explained as {deciders:?}"));
    }
    let places: Vec<usize> = (0..reference.set.policies.len()).collect();
    compare("the number of policies", explanation.policies.len(), places.len())?;
    for explained in &explanation.policies {
        let place: usize = explained.id.trim_start_matches('p').parse().unwrap();
        let condition = &reference.set.policies[place].condition;
        for (rules, explained) in [
            (&condition.include, &explained.include),
            (&condition.require, &explained.require),
            (&condition.exclude, &explained.exclude),
        ] {
            compare("the number of rules", explained.len(), rules.len())?;
            for (rule, explained) in rules.iter().zip(explained) {
                let said = reference.rule(*rule, Said::Maybe);
                counts.rule(*rule, said);
                let expected = match said {
                    Said::No => RuleResult::Miss,
                    Said::Maybe => RuleResult::Missing,
                    Said::Yes => RuleResult::Hit,
                };
                compare(&format!("{rule:?} in p{place}"), explained.result, expected)?;
                let RuleExplanation { missing, .. } = explained;
                compare("that a fact is missing", missing.is_some(), said == Said::Maybe)?;
            }
        }
    }
    Ok(())
}

/// For each fact: the facts without it, and the same with others in its place.
fn missing_facts_open_nothing(choices: &mut Choices, counts: &mut Counts) -> Outcomes {
    let set = Set::random(choices);
    let engine = compile(&set)?;
    let decide = |world: &World| world.with_facts(|facts| engine.evaluate(facts));
    let world = World::random(choices);
    let others = [World::random(choices), World::random(choices)];
    counts.worlds += 1;
    let with = decide(&world);
    for part in Part::ALL {
        let without = decide(&world.with_part_of(part, &World::default()));
        for other in
            others.iter().map(|other| world.with_part_of(part, other)).chain([world.clone()])
        {
            let with = decide(&other);
            if without.outcome().grants_access() && !with.outcome().grants_access() {
                return Err(format!(
                    "{without:?} without {part:?}, and {with:?} with that of {other:?}"
                ));
            }
            // A refusal for which no fact was missing stands whatever the missing facts are.
            let is_final = without.outcome() == Outcome::Denied
                && without.missing_facts().is_empty()
                && part != Part::Person;
            if is_final && answer(&without) != answer(&with) {
                return Err(format!("{without:?} without {part:?} asks for nothing, but {with:?}"));
            }
            // What no rule asks for makes no difference.
            if part.fact().is_some_and(|fact| !engine.uses_fact(fact))
                && answer(&without) != answer(&with)
            {
                return Err(format!("no rule asks for {part:?}: {without:?}, but {with:?}"));
            }
        }
        if without.outcome().grants_access() {
            counts.opened_without += 1;
        } else if with.outcome().grants_access() {
            counts.closed_without += 1;
        }
    }
    for part in world.without_details() {
        let without = decide(&part);
        if without.outcome().grants_access() && !with.outcome().grants_access() {
            return Err(format!("{without:?} with {part:?}, and {with:?} with all"));
        }
    }
    Ok(())
}

fn order_makes_no_difference(choices: &mut Choices, counts: &mut Counts) -> Outcomes {
    let set = Set::random(choices);
    let engine = compile(&set)?;
    let world = World::random(choices);
    let decide = |engine: &Policies| world.with_facts(|facts| answer(&engine.evaluate(facts)));
    let expected = decide(&engine);
    counts.worlds += 1;
    compare("in another order", decide(&compile(&set.reordered(choices))?), expected.clone())?;
    let reference = Reference { set: &set, world: &world };
    if let Some(last) = reference.decide().last {
        let (first, second): (Vec<usize>, Vec<usize>) =
            reference.order().into_iter().partition(|place| {
                let decision = set.policies[*place].decision;
                matches!(decision, Decision::Bypass | Decision::NonIdentity)
            });
        let order: Vec<usize> = first.into_iter().chain(second).collect();
        let behind = order.iter().skip_while(|place| **place != last).skip(1);
        for place in behind {
            counts.behind += 1;
            let other = compile(&set.with_other_rules(*place, choices))?;
            compare(&format!("with other rules in p{place}"), decide(&other), expected.clone())?;
        }
    }
    Ok(())
}

fn compile(set: &Set) -> Result<Policies, String> {
    let (policies, groups, lists) = set.written();
    let definitions = Definitions::new(groups, lists).map_err(|error| error.to_string())?;
    Policies::compile(&policies, &definitions).map_err(|error| error.to_string())
}

type Answer = (Outcome, Option<String>);

fn answer(verdict: &Verdict) -> Answer {
    (verdict.outcome(), verdict.policy().map(|policy| policy.id().to_owned()))
}

fn answer_of(decided: Decided) -> Answer {
    (decided.outcome, decided.policy.map(|place| format!("p{place}")))
}

#[allow(clippy::needless_pass_by_value, reason = "what is compared is made for it")]
fn compare<T: std::fmt::Debug + PartialEq>(what: &str, found: T, expected: T) -> Outcomes {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, expected {expected:?}"))
    }
}

/// Fine, or what is wrong.
type Outcomes = Result<(), String>;
type Check = fn(&mut Choices, &mut Counts) -> Outcomes;

/// Checks so many cases on all cores. The first that fails is made smaller and printed.
fn run(cases: u64, seed: u64, check: Check) -> Counts {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let cases = number("ACCESS_MODEL_CASES").unwrap_or(cases);
    let seed = number("ACCESS_MODEL_SEED").unwrap_or(0).wrapping_mul(1_000) + seed;
    let (next, total) = (AtomicU64::new(0), Mutex::new(Counts::default()));
    let failed: Mutex<Option<Vec<u32>>> = Mutex::new(None);
    let work = || {
        let mut counts = Counts::default();
        loop {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases || failed.lock().unwrap().is_some() {
                break;
            }
            let mut choices = Choices::seeded(seed.wrapping_mul(0x0100_0000_01b3) ^ case << 20);
            if outcome_of(check, &mut choices, &mut counts).is_err() {
                *failed.lock().unwrap() = Some(choices.into_made());
            }
        }
        total.lock().unwrap().add(&counts);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    if let Some(choices) = failed.into_inner().unwrap() {
        let fails = |choices: &[u32]| {
            outcome_of(check, &mut Choices::given(choices), &mut Counts::default()).is_err()
        };
        let smallest = shrink(choices, fails);
        let problem = outcome_of(check, &mut Choices::given(&smallest), &mut Counts::default());
        panic!("{}\n{}", problem.unwrap_err(), show(&smallest));
    }
    total.into_inner().unwrap()
}

fn outcome_of(check: Check, choices: &mut Choices, counts: &mut Counts) -> Outcomes {
    catch_unwind(AssertUnwindSafe(|| check(choices, counts)))
        .unwrap_or_else(|_| Err("a panic, see above".to_owned()))
}

/// A case for people to read: the documents in JSON, and the facts.
fn show(case: &[u32]) -> String {
    let mut choices = Choices::given(case);
    let set = Set::random(&mut choices);
    let (policies, groups, lists) = set.written();
    let world = World::random(&mut choices);
    format!(
        "policies {}\ngroups {}\nlists {}\nthe first facts {world:?}\nchoices {case:?}",
        serde_json::to_string(&policies).unwrap(),
        serde_json::to_string(&groups).unwrap(),
        serde_json::to_string(&lists).unwrap(),
    )
}

/// What the cases were like.
#[derive(Debug, Default)]
struct Counts {
    worlds: usize,
    outcomes: [usize; 5],
    denied_by_policy: usize,
    for_want_of_facts: usize,
    without_address: usize,
    many_groups: usize,
    decided_by_many_groups: usize,
    long_lists: usize,
    deep: usize,
    ties: usize,
    /// By selector: misses, open ones, hits.
    rules: [[usize; 3]; Selector::ALL.len()],
    opened_without: usize,
    closed_without: usize,
    behind: usize,
}

impl Counts {
    fn count(&mut self, set: &Set, world: &World, decided: Decided, explanation: &Explanation) {
        self.worlds += 1;
        let place = OUTCOMES.iter().position(|outcome| *outcome == decided.outcome).unwrap();
        self.outcomes[place] += 1;
        let is_refusal = decided.outcome == Outcome::Denied;
        self.denied_by_policy += usize::from(is_refusal && decided.policy.is_some());
        self.without_address += usize::from(world.email.is_some() && !world.knows_email);
        self.for_want_of_facts += usize::from(
            explanation
                .policies
                .iter()
                .any(|policy| policy.result == PolicyResult::DecidesForWantOfFacts),
        );
        self.many_groups += usize::from(set.has_many_groups && world.email.is_some());
        let decided_by_last = decided.policy.is_some_and(|place| place + 1 == set.policies.len());
        self.decided_by_many_groups += usize::from(set.has_many_groups && decided_by_last);
        self.long_lists += usize::from(set.has_long_lists);
        self.deep += usize::from(set.is_deep);
        let is_tied = |place: usize| {
            set.policies[place].precedence.is_none()
                && set
                    .policies
                    .iter()
                    .any(|policy| policy.precedence.map(u64::from) == Some(place as u64 + 1))
        };
        self.ties += usize::from((0..set.policies.len()).any(is_tied));
    }

    fn rule(&mut self, rule: Rule, said: Said) {
        let place = match said {
            Said::No => 0,
            Said::Maybe => 1,
            Said::Yes => 2,
        };
        self.rules[rule.selector()][place] += 1;
    }

    fn add(&mut self, other: &Self) {
        let Self {
            worlds,
            outcomes,
            denied_by_policy,
            for_want_of_facts,
            without_address,
            many_groups,
            decided_by_many_groups,
            long_lists,
            deep,
            ties,
            rules,
            opened_without,
            closed_without,
            behind,
        } = other;
        for (sum, more) in [
            (&mut self.worlds, worlds),
            (&mut self.denied_by_policy, denied_by_policy),
            (&mut self.for_want_of_facts, for_want_of_facts),
            (&mut self.without_address, without_address),
            (&mut self.many_groups, many_groups),
            (&mut self.decided_by_many_groups, decided_by_many_groups),
            (&mut self.long_lists, long_lists),
            (&mut self.deep, deep),
            (&mut self.ties, ties),
            (&mut self.opened_without, opened_without),
            (&mut self.closed_without, closed_without),
            (&mut self.behind, behind),
        ] {
            *sum += more;
        }
        let sums = self.outcomes.iter_mut().chain(self.rules.iter_mut().flatten());
        sums.zip(outcomes.iter().chain(rules.iter().flatten()))
            .for_each(|(sum, more)| *sum += more);
    }
}

const OUTCOMES: [Outcome; 5] = [
    Outcome::Allowed,
    Outcome::ServiceAllowed,
    Outcome::Bypassed,
    Outcome::LoginRequired,
    Outcome::Denied,
];
