//! Decisions about the cases in `tests/vectors/policies.jsonl`.

use serde::Deserialize;
use tower_access::address::Country;
use tower_access::identity::{Attributes, Email, LoginMethod};
use tower_access::policy::{
    Certificate, Definitions, DevicePosture, Facts, Group, List, Outcome, Policies, Policy,
    ServiceTokenFacts,
};

#[derive(Deserialize)]
struct Case {
    id: String,
    policies: Vec<Policy>,
    groups: Vec<Group>,
    lists: Vec<List>,
    identity: Option<Person>,
    request: Request,
    expect: Expected,
}

#[derive(Deserialize)]
struct Person {
    email: String,
    idp: Provider,
    amr: Option<Vec<Box<str>>>,
}

#[derive(Deserialize)]
struct Provider {
    id: Box<str>,
    r#type: Box<str>,
}

#[derive(Deserialize)]
struct Request {
    ip: std::net::IpAddr,
    country: Country,
    client_cert_cn: Option<String>,
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
    for line in include_str!("../vectors/policies.jsonl").lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let definitions = Definitions::new(case.groups, case.lists)
            .unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let policies = Policies::compile(&case.policies, &definitions)
            .unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let email: Option<Email> =
            case.identity.as_ref().map(|person| person.email.parse().unwrap());
        let attributes = case.identity.map(|person| {
            let mut attributes = Attributes::default();
            attributes.login_method =
                Some(LoginMethod { id: person.idp.id, kind: person.idp.r#type });
            attributes.authentication_methods = person.amr;
            attributes
        });
        let none = DevicePosture::new();
        let facts = Facts {
            email: email.as_ref(),
            attributes: attributes.as_ref(),
            address: Some(case.request.ip),
            country: Some(case.request.country),
            certificate: match &case.request.client_cert_cn {
                Some(name) => Certificate::Good { common_name: Some(name) },
                None => Certificate::Missing,
            },
            service_token: case
                .request
                .service_token_id
                .as_deref()
                .map(|id| ServiceTokenFacts::new(id, "ci.access")),
            device_posture: Some(&none),
            ..Facts::default()
        };
        let verdict = policies.evaluate(&facts);
        let explanation = policies.explain(&facts);
        assert_eq!(Some(explanation.id), verdict.id(), "{}: {explanation}", case.id);
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
    assert_eq!(decided, 300);
}
