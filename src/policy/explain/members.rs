//! The result of a single rule, from the rule as written.

use crate::identity::{Attributes, ClaimMatch, Email, ProviderGroup};
use crate::policy::definitions::Definitions;
use crate::policy::facts::{Certificate, Fact, Facts};
use crate::policy::list::{List, ListItems};
use crate::policy::rule::Rule;
use crate::policy::truth::Truth;

/// Evaluates any rule except one about a group.
pub(super) fn truth(rule: &Rule, definitions: &Definitions, facts: &Facts<'_>) -> Truth {
    match rule {
        Rule::Everyone => Truth::Holds,
        // The caller walks groups; a rule that cannot be evaluated grants no access.
        Rule::Group(_) => Truth::Open(Fact::Person),
        // An empty list never matches, even if the fact is missing.
        Rule::EmailList(name) | Rule::IpList(name)
            if definitions.list(name).is_some_and(List::is_empty) =>
        {
            Truth::Fails
        }
        Rule::Ip(network) => address(facts, |address| network.contains(&address)),
        Rule::IpList(name) => match definitions.list(name).map(|list| &list.items) {
            Some(ListItems::Networks(networks)) => {
                address(facts, |address| networks.iter().any(|network| network.contains(&address)))
            }
            Some(ListItems::Emails(_)) | None => Truth::Open(Fact::Address),
        },
        Rule::Geo(country) => match facts.country {
            Some(known) => yes_or_no(known == *country),
            None => Truth::Open(Fact::Country),
        },
        Rule::Certificate => certificate(facts, |_| true),
        Rule::CommonName(name) => certificate(facts, |common_name| common_name == Some(name)),
        Rule::ServiceToken(id) => {
            yes_or_no(facts.service_token.is_some_and(|token| token.is_any(|name| *name == **id)))
        }
        Rule::AnyValidServiceToken => yes_or_no(facts.service_token.is_some()),
        Rule::LinkedAppToken(id) => yes_or_no(
            facts
                .linked_application
                .is_some_and(|linked| linked.id == &**id || linked.name == &**id),
        ),
        Rule::DevicePosture(check) => match facts.device_posture {
            Some(results) => yes_or_no(results.get(check).copied().unwrap_or(false)),
            None => Truth::Open(Fact::DevicePosture),
        },
        Rule::Email(address) => person_with_email(facts, |email| yes_or_no(address == email)),
        Rule::EmailDomain(domain) => {
            person_with_email(facts, |email| yes_or_no(domain.as_str() == email.domain()))
        }
        Rule::EmailList(name) => {
            person_with_email(facts, |email| match definitions.list(name).map(|list| &list.items) {
                Some(ListItems::Emails(emails)) => yes_or_no(emails.contains(email)),
                Some(ListItems::Networks(_)) | None => Truth::Open(Fact::Person),
            })
        }
        Rule::ExternalEvaluation(evaluator) => {
            person(facts, || match facts.evaluations.and_then(|results| results.get(evaluator)) {
                Some(success) => yes_or_no(success),
                None => Truth::Open(Fact::ExternalEvaluation),
            })
        }
        Rule::LoginMethod(id) => attribute(facts, Fact::LoginMethod, &None, |person| {
            person.login_method.as_ref().map(|method| method.id == *id)
        }),
        Rule::AuthMethod(asked) => attribute(facts, Fact::AuthenticationMethods, &None, |person| {
            person.authentication_methods.as_ref().map(|all| all.contains(asked))
        }),
        Rule::AuthContext(asked) => {
            let provider = &asked.identity_provider_id;
            attribute(facts, Fact::AuthenticationContexts, provider, |person| {
                person.authentication_contexts.as_ref().map(|all| all.contains(&asked.ac_id))
            })
        }
        Rule::AzureGroup(asked) => {
            let is_it = |group: &ProviderGroup| group.id.as_ref() == Some(&asked.id);
            provider_group(facts, &asked.identity_provider_id, is_it)
        }
        Rule::OktaGroup(asked) => {
            let is_it = |group: &ProviderGroup| group.name.as_ref() == Some(&asked.name);
            provider_group(facts, &asked.identity_provider_id, is_it)
        }
        Rule::GsuiteGroup(asked) => {
            let same = |email: &str| email.to_lowercase() == asked.email.to_lowercase();
            let is_it = |group: &ProviderGroup| group.email.as_deref().is_some_and(same);
            provider_group(facts, &asked.identity_provider_id, is_it)
        }
        Rule::GithubOrganization(asked) => {
            attribute(facts, Fact::Organizations, &asked.identity_provider_id, |person| {
                is_member(person, &asked.name, asked.team.as_deref())
            })
        }
        Rule::Saml(asked) => {
            attribute(facts, Fact::SamlAttributes, &asked.identity_provider_id, |person| {
                let claims = person.saml_attributes.as_ref()?;
                claimed(claims.says(&asked.attribute_name, &asked.attribute_value))
            })
        }
        Rule::Oidc(asked) => {
            attribute(facts, Fact::OidcClaims, &asked.identity_provider_id, |person| {
                let claims = person.oidc_claims.as_ref()?;
                claimed(claims.says(&asked.claim_name, &asked.claim_value))
            })
        }
        Rule::UserRiskScore(levels) => attribute(facts, Fact::RiskScore, &None, |person| {
            person.risk.map(|level| levels.contains(level))
        }),
        Rule::CloudflareAccountMember(account) => {
            attribute(facts, Fact::Accounts, &None, |person| {
                is_account_member(person, account.as_deref())
            })
        }
    }
}

/// Evaluates a rule about the user.
fn person(facts: &Facts<'_>, says: impl FnOnce() -> Truth) -> Truth {
    if facts.has_user() {
        says()
    } else if facts.has_non_user_credential() {
        // A service never becomes a user.
        Truth::Fails
    } else {
        Truth::Open(Fact::Person)
    }
}

fn person_with_email(facts: &Facts<'_>, says: impl FnOnce(&Email) -> Truth) -> Truth {
    person(facts, || facts.email.map_or(Truth::Open(Fact::Email), says))
}

fn provider_group(
    facts: &Facts<'_>,
    provider: &Option<Box<str>>,
    is_it: impl Fn(&ProviderGroup) -> bool,
) -> Truth {
    attribute(facts, Fact::ProviderGroups, provider, |person| {
        person.groups.as_ref().map(|all| all.iter().any(is_it))
    })
}

/// Evaluates a rule about an attribute that the login method reported.
fn attribute(
    facts: &Facts<'_>,
    fact: Fact,
    provider: &Option<Box<str>>,
    says: impl FnOnce(&Attributes) -> Option<bool>,
) -> Truth {
    person(facts, || {
        let Some(person) = facts.attributes else { return Truth::Open(fact) };
        let says = says(person);
        let is_of_provider = match (provider, &person.login_method) {
            (None, _) => Some(true),
            (Some(_), None) => None,
            (Some(asked), Some(method)) => Some(method.id == *asked),
        };
        if is_of_provider == Some(false) || says == Some(false) {
            Truth::Fails
        } else if is_of_provider.is_none() {
            Truth::Open(Fact::LoginMethod)
        } else if says.is_none() {
            Truth::Open(fact)
        } else {
            Truth::Holds
        }
    })
}

fn is_member(person: &Attributes, name: &str, team: Option<&str>) -> Option<bool> {
    let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    let organizations = person.organizations.as_ref()?;
    let mut found = organizations.iter().filter(|one| same(&one.name, name)).peekable();
    if found.peek().is_none() {
        return (!person.organizations_are_partial).then_some(false);
    }
    let Some(team) = team else { return Some(true) };
    let answers: Vec<Option<bool>> = found
        .map(|one| one.teams.as_ref().map(|teams| teams.iter().any(|known| same(known, team))))
        .collect();
    if answers.contains(&Some(true)) {
        Some(true)
    } else if answers.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn is_account_member(person: &Attributes, account: Option<&str>) -> Option<bool> {
    let is_cloudflare = person.login_method.as_ref().map(|method| *method.kind == *"cloudflare");
    let is_member = person.accounts.as_ref().map(|accounts| match account {
        None => !accounts.is_empty(),
        Some(account) => accounts.iter().any(|known| **known == *account),
    });
    if is_cloudflare == Some(false) || is_member == Some(false) {
        return Some(false);
    }
    Some(is_cloudflare? && is_member?)
}

fn claimed(claimed: ClaimMatch) -> Option<bool> {
    match claimed {
        ClaimMatch::Yes => Some(true),
        ClaimMatch::No => Some(false),
        ClaimMatch::Unknown => None,
    }
}

fn certificate(facts: &Facts<'_>, is_it: impl FnOnce(Option<&str>) -> bool) -> Truth {
    match facts.certificate {
        Certificate::Unknown => Truth::Open(Fact::Certificate),
        Certificate::Missing => Truth::Fails,
        Certificate::Good { common_name } => yes_or_no(is_it(common_name)),
    }
}

fn address(facts: &Facts<'_>, is_inside: impl FnOnce(std::net::IpAddr) -> bool) -> Truth {
    match facts.address {
        Some(address) => yes_or_no(is_inside(address.to_canonical())),
        None => Truth::Open(Fact::Address),
    }
}

fn yes_or_no(holds: bool) -> Truth {
    if holds { Truth::Holds } else { Truth::Fails }
}
