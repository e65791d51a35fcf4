//! Large configuration files: what they may be, and that reading them takes time in proportion.

use std::fmt::Write;
use std::time::{Duration, Instant};

use tower_access::config::Config;

fn with_rules(count: usize, rule: impl Fn(usize) -> String) -> String {
    let mut text = String::from(
        "access:\n  mail: console\n  applications:\n    - domain: a.example\n      policies:\n        \
         - name: many\n          decision: allow\n          include:\n",
    );
    for number in 0..count {
        writeln!(text, "            - {}", rule(number)).unwrap();
    }
    text
}

/// A slow machine is no defect, work that grows with the square is one: hours, not minutes.
const MOST: Duration = Duration::from_secs(300);

fn within(most: Duration, what: &str, work: impl FnOnce()) {
    let begin = Instant::now();
    work();
    let taken = begin.elapsed();
    assert!(taken < most, "{what} took {taken:?}");
}

#[test]
fn a_hundred_thousand_rules_are_read() {
    let text = with_rules(100_000, |number| {
        format!("{{ email: {{ email: person{number}@example.com }} }}")
    });
    within(MOST, "100,000 rules", || {
        let config = Config::parse(&text, "f").unwrap();
        let rules: usize = config
            .access
            .definitions
            .groups()
            .iter()
            .map(|group| group.conditions.include.len())
            .sum();
        assert_eq!((config.access.applications.len(), rules), (1, 0));
        config.access().unwrap();
    });
}

#[test]
fn many_mistakes_take_no_longer() {
    let text = with_rules(20_000, |number| format!("{{ group: {{ id: group{number} }} }}"));
    let mut text = format!("{text}  groups:\n");
    for number in 0..20_000 {
        writeln!(text, "    - {{ name: grupe{number}, include: [ {{ everyone: {{}} }} ] }}")
            .unwrap();
    }
    within(MOST, "20,000 unknown groups", || {
        let errors = Config::parse(&text, "f").unwrap_err();
        assert!(errors.to_string().contains("there is no rule group `group7`"), "{errors}");
    });
}

#[test]
fn many_policies_are_linked() {
    let mut text = String::from(
        "access:\n  mail: console\n  applications:\n    - domain: a.example\n      policies:\n",
    );
    for number in 0..10_000 {
        writeln!(text, "        - policy{number}").unwrap();
    }
    text.push_str("  policies:\n");
    for number in 0..10_000 {
        writeln!(
            text,
            "    - {{ name: policy{number}, decision: allow, include: [ {{ everyone: {{}} }} ] }}"
        )
        .unwrap();
    }
    within(MOST, "10,000 links", || {
        let config = Config::parse(&text, "f").unwrap();
        assert_eq!(config.access.applications.len(), 1);
    });
}

#[test]
fn large_policies_cannot_be_linked_without_end() {
    let mut text = String::from(
        "access:\n  mail: console\n  policies:\n    - name: large\n      decision: allow\n      include:\n",
    );
    text.push_str(&"        - { everyone: {} }\n".repeat(40_000));
    text.push_str("  applications:\n");
    for number in 0..26 {
        writeln!(text, "    - {{ domain: a{number}.example, policies: [ large ] }}").unwrap();
    }
    let error = Config::parse(&text, "f").unwrap_err().to_string();
    assert!(
        error.contains("applications[25].policies[0]: the policies linked to so far"),
        "{error}"
    );
}

#[test]
fn what_is_too_large_is_refused_at_once() {
    let blank = " ".repeat(100 << 20);
    within(Duration::from_secs(2), "100 MiB", || {
        let error = Config::parse(&blank, "f").unwrap_err().to_string();
        assert_eq!(error, "f: larger than 16 mebibytes; make the file smaller");
    });
    let commas = format!("a: [{}]", "x,".repeat(7 << 20));
    within(MOST, "seven million items", || {
        let error = Config::parse(&commas, "f").unwrap_err().to_string();
        assert!(error.contains("more than 2000000 keys and values"), "{error}");
    });
}
