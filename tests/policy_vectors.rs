//! Decisions about the cases in `tests/vectors/policies.jsonl`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

use serde::Deserialize;
use tower_access::identity::Email;
use tower_access::policy::{Facts, Group, Outcome, Policies, Policy, ServiceTokenFacts};

#[derive(Deserialize)]
struct Case {
    id: String,
    policies: Vec<Policy>,
    groups: Vec<Group>,
    identity: Option<Person>,
    request: Request,
    expect: Expected,
}

#[derive(Deserialize)]
struct Person {
    email: String,
}

#[derive(Deserialize)]
struct Request {
    ip: std::net::IpAddr,
    service_token_id: Option<String>,
}

#[derive(Deserialize)]
struct Expected {
    policy_id: Option<String>,
    acceptable: Vec<String>,
}

#[test]
fn every_case_is_decided_as_stated() {
    let mut decided = 0;
    for line in include_str!("vectors/policies.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let policies = Policies::compile(&case.policies, &case.groups)
            .unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let email: Option<Email> = case.identity.map(|person| person.email.parse().unwrap());
        let verdict = policies.evaluate(&Facts {
            email: email.as_ref(),
            address: Some(case.request.ip),
            service_token: case
                .request
                .service_token_id
                .as_deref()
                .map(|id| ServiceTokenFacts { id, client_id: "ci.access" }),
        });
        let decision = match verdict.outcome() {
            Outcome::Allowed => "allow",
            Outcome::ServiceAllowed => "non_identity",
            Outcome::Bypassed => "bypass",
            Outcome::LoginRequired => "login",
            Outcome::Denied => "deny",
            other => panic!("{}: {other}", case.id),
        };
        assert!(
            case.expect.acceptable.iter().any(|right| right == decision),
            "{}: {decision}",
            case.id
        );
        assert_eq!(
            verdict.policy().map(|policy| policy.id()),
            case.expect.policy_id.as_deref(),
            "{}",
            case.id
        );
        decided += 1;
    }
    assert_eq!(decided, 28);
}
