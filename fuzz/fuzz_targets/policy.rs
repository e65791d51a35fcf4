//! Policies, groups and lists in JSON: what is accepted is decided and explained alike, for facts
//! made of what the rules name, and nothing that is missing opens.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use tower_access::identity::{
    Attributes, ClaimValues, Email, LoginMethod, Organization, ProviderGroup,
};
use tower_access::policy::{
    Certificate, Definitions, DevicePosture, EvaluatorResults, Facts, Group,
    LinkedApplicationFacts, List, ListItems, Policies, Policy, Rule, ServiceTokenFacts,
};

#[derive(Deserialize)]
struct Case {
    policies: Vec<Policy>,
    #[serde(default)]
    groups: Vec<Group>,
    #[serde(default)]
    lists: Vec<List>,
}

/// Somebody of whom much is said that the rules ask for.
#[derive(Default)]
struct World {
    emails: BTreeSet<Email>,
    attributes: Attributes,
    addresses: Vec<std::net::IpAddr>,
    countries: Vec<tower_access::address::Country>,
    common_name: Option<String>,
    service_token: Option<String>,
    application: Option<String>,
    posture: DevicePosture,
    answers: Vec<(tower_access::policy::Evaluator, bool)>,
}

fuzz_target!(|case: &[u8]| {
    let Ok(Case { policies, groups, lists }) = serde_json::from_slice(case) else { return };
    // What was read is written and read again.
    for policy in &policies {
        let again: Policy = serde_json::from_value(serde_json::to_value(policy).unwrap()).unwrap();
        assert_eq!(again, *policy);
    }
    let Ok(definitions) = Definitions::new(groups, lists) else { return };
    let Ok(policies) = Policies::compile(&policies, &definitions) else { return };
    let mut world = World::default();
    let in_policies = policies.documents().iter().flat_map(|one| one.conditions.rules());
    let in_groups = policies.definitions().groups().iter().flat_map(|one| one.conditions.rules());
    in_policies.chain(in_groups).take(1_000).for_each(|rule| world.take(rule));
    for list in policies.definitions().lists() {
        match &list.items {
            ListItems::Emails(emails) => world.emails.extend(emails.first().cloned()),
            ListItems::Networks(networks) => {
                world.addresses.extend(networks.first().map(|network| network.addr()));
            }
            _ => {}
        }
    }
    world.judge(&policies);
});

impl World {
    fn take(&mut self, rule: &Rule) {
        let person = &mut self.attributes;
        let mut provider = None;
        match rule {
            Rule::Email(email) => {
                self.emails.insert(email.clone());
            }
            Rule::EmailDomain(domain) => self.emails.extend(format!("a@{domain}").parse().ok()),
            Rule::Ip(network) => self.addresses.extend([network.network(), network.broadcast()]),
            Rule::Geo(country) => self.countries.push(*country),
            Rule::CommonName(name) => self.common_name = Some(name.to_string()),
            Rule::ServiceToken(id) => self.service_token = Some(id.to_string()),
            Rule::AnyValidServiceToken => self.service_token = Some("any".into()),
            Rule::LinkedAppToken(id) => self.application = Some(id.to_string()),
            Rule::LoginMethod(id) => provider = Some(id.clone()),
            Rule::AuthMethod(method) => {
                person.authentication_methods.get_or_insert_default().push(method.clone());
            }
            Rule::AuthContext(context) => {
                person.authentication_contexts.get_or_insert_default().push(context.ac_id.clone());
                provider = context.identity_provider_id.clone();
            }
            Rule::AzureGroup(group) => {
                let group = ProviderGroup { id: Some(group.id.clone()), ..Default::default() };
                person.groups.get_or_insert_default().push(group);
            }
            Rule::OktaGroup(group) => {
                let group = ProviderGroup { name: Some(group.name.clone()), ..Default::default() };
                person.groups.get_or_insert_default().push(group);
            }
            Rule::GsuiteGroup(group) => {
                let group =
                    ProviderGroup { email: Some(group.email.clone()), ..Default::default() };
                person.groups.get_or_insert_default().push(group);
            }
            Rule::GithubOrganization(one) => {
                let teams = one.team.clone().map(|team| vec![team]);
                let one = Organization { name: one.name.clone(), teams };
                person.organizations.get_or_insert_default().push(one);
            }
            Rule::Saml(one) => {
                let claims = person.saml_attributes.get_or_insert_with(ClaimValues::default);
                claims.insert(one.attribute_name.clone(), one.attribute_value.clone());
                provider = one.identity_provider_id.clone();
            }
            Rule::Oidc(one) => {
                let claims = person.oidc_claims.get_or_insert_with(ClaimValues::default);
                claims.insert(one.claim_name.clone(), one.claim_value.clone());
                provider = one.identity_provider_id.clone();
            }
            Rule::DevicePosture(check) => {
                self.posture.insert(check.clone(), check.len() % 2 == 0);
            }
            Rule::ExternalEvaluation(evaluator) => {
                self.answers.push(((**evaluator).clone(), evaluator.keys_url().len() % 2 == 0));
            }
            Rule::UserRiskScore(levels) => person.risk = levels.iter().last(),
            Rule::CloudflareAccountMember(account) => {
                person.accounts.get_or_insert_default().extend(account.clone());
            }
            _ => {}
        }
        if let Some(id) = provider {
            person.login_method = Some(LoginMethod { id, kind: "cloudflare".into() });
        }
    }

    fn judge(&self, policies: &Policies) {
        let answers: EvaluatorResults = self.answers.iter().cloned().collect();
        let mut emails: Vec<Option<&Email>> = self.emails.iter().take(3).map(Some).collect();
        emails.push(None);
        for email in emails {
            for address in self.addresses.iter().copied().take(2).map(Some).chain([None]) {
                let common_name = self.common_name.as_deref();
                let all = Facts {
                    email,
                    attributes: Some(&self.attributes),
                    address,
                    country: self.countries.first().copied(),
                    certificate: Certificate::Good { common_name },
                    device_posture: Some(&self.posture),
                    evaluations: Some(&answers),
                    ..Facts::default()
                };
                let client_id = "client";
                let token =
                    self.service_token.as_deref().map(|id| ServiceTokenFacts::new(id, client_id));
                let opens = agrees(policies, &all);
                agrees(policies, &Facts { service_token: token, ..all });
                let linked_application =
                    self.application.as_deref().map(|id| LinkedApplicationFacts::new(id, id));
                agrees(policies, &Facts { linked_application, ..all });
                for less in [
                    Facts { email: None, ..all },
                    Facts { attributes: None, ..all },
                    Facts { address: None, ..all },
                    Facts { country: None, ..all },
                    Facts { certificate: Certificate::Unknown, ..all },
                    Facts { device_posture: None, ..all },
                    Facts { evaluations: None, ..all },
                ] {
                    assert!(opens || !agrees(policies, &less), "{less:?} opens, {all:?} does not");
                }
            }
        }
    }
}

/// Whether the facts open. The explanation says the same.
fn agrees(policies: &Policies, facts: &Facts<'_>) -> bool {
    let verdict = policies.evaluate(facts);
    let explanation = policies.explain(facts);
    assert_eq!(Some(explanation.id), verdict.id(), "{facts:?}\n{explanation}");
    assert_eq!(explanation.policy.as_deref(), verdict.policy().map(|policy| policy.id()));
    if verdict.outcome() == tower_access::policy::Outcome::Allowed {
        assert!(policies.could_allow(facts));
    }
    verdict.outcome().grants_access()
}
