//! What a single rule comes to, read off the rule as written.

use crate::identity::{Attributes, Claimed, Email};
use crate::policy::definitions::Definitions;
use crate::policy::facts::{Certificate, Fact, Facts};
use crate::policy::list::{Items, List};
use crate::policy::rule::Rule;

use super::Known;

/// Any rule but one about a group.
pub(super) fn known(rule: &Rule, definitions: &Definitions, facts: &Facts<'_>) -> Known {
    match rule {
        Rule::Everyone => Known::True,
        // Groups are walked by the caller; a rule that cannot be evaluated opens nothing.
        Rule::Group(_) => Known::Open(Fact::Person),
        // Nobody is on an empty list, whatever is not known.
        Rule::EmailList(name) | Rule::IpList(name)
            if definitions.list(name).is_some_and(List::is_empty) =>
        {
            Known::False
        }
        Rule::Ip(network) => address(facts, |address| network.contains(&address)),
        Rule::IpList(name) => match definitions.list(name).map(|list| &list.items) {
            Some(Items::Networks(networks)) => {
                address(facts, |address| networks.iter().any(|network| network.contains(&address)))
            }
            _ => Known::Open(Fact::Address),
        },
        Rule::Geo(country) => match facts.country {
            Some(known) => yes_or_no(known == *country),
            None => Known::Open(Fact::Country),
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
            None => Known::Open(Fact::DevicePosture),
        },
        _ => about_person(rule, definitions, facts),
    }
}

fn about_person(rule: &Rule, definitions: &Definitions, facts: &Facts<'_>) -> Known {
    if !facts.has_person() {
        // A service is no person and will never be one.
        return if facts.is_somebody_else() { Known::False } else { Known::Open(Fact::Person) };
    }
    match rule {
        Rule::Email(_) | Rule::EmailDomain(_) | Rule::EmailList(_) => match facts.email {
            Some(email) => about_address(rule, definitions, email),
            None => Known::Open(Fact::Email),
        },
        Rule::ExternalEvaluation(evaluator) => {
            match facts.evaluations.and_then(|answers| answers.of(evaluator)) {
                Some(success) => yes_or_no(success),
                None => Known::Open(Fact::ExternalEvaluation),
            }
        }
        _ => attribute(rule, facts.attributes),
    }
}

fn about_address(rule: &Rule, definitions: &Definitions, email: &Email) -> Known {
    match rule {
        Rule::Email(address) => yes_or_no(address == email),
        Rule::EmailDomain(domain) => yes_or_no(domain.as_str() == email.domain()),
        Rule::EmailList(name) => match definitions.list(name).map(|list| &list.items) {
            Some(Items::Emails(emails)) => yes_or_no(emails.contains(email)),
            _ => Known::Open(Fact::Person),
        },
        _ => Known::Open(Fact::Person),
    }
}

/// What the login method told.
fn attribute(rule: &Rule, attributes: Option<&Attributes>) -> Known {
    let nothing = Attributes::default();
    let person = attributes.unwrap_or(&nothing);
    let none: Option<&str> = None;
    let (fact, provider, says) = match rule {
        Rule::LoginMethod(id) => {
            let says = person.login_method.as_ref().map(|method| method.id == *id);
            (Fact::LoginMethod, none, says)
        }
        Rule::AuthMethod(asked) => {
            let says = person.authentication_methods.as_ref().map(|all| all.contains(asked));
            (Fact::AuthenticationMethods, none, says)
        }
        Rule::AuthContext(context) => {
            let all = person.authentication_contexts.as_ref();
            let says = all.map(|all| all.contains(&context.ac_id));
            (Fact::AuthenticationContexts, context.identity_provider_id.as_deref(), says)
        }
        Rule::AzureGroup(asked) => {
            let says = person
                .groups
                .as_ref()
                .map(|all| all.iter().any(|group| group.id.as_ref() == Some(&asked.id)));
            (Fact::ProviderGroups, asked.identity_provider_id.as_deref(), says)
        }
        Rule::OktaGroup(asked) => {
            let says = person
                .groups
                .as_ref()
                .map(|all| all.iter().any(|group| group.name.as_ref() == Some(&asked.name)));
            (Fact::ProviderGroups, asked.identity_provider_id.as_deref(), says)
        }
        Rule::GsuiteGroup(asked) => {
            let is_it = |email: &str| email.to_lowercase() == asked.email.to_lowercase();
            let says = person
                .groups
                .as_ref()
                .map(|all| all.iter().any(|group| group.email.as_deref().is_some_and(is_it)));
            (Fact::ProviderGroups, asked.identity_provider_id.as_deref(), says)
        }
        Rule::GithubOrganization(asked) => {
            let provider = asked.identity_provider_id.as_deref();
            (Fact::Organizations, provider, member(person, &asked.name, asked.team.as_deref()))
        }
        Rule::Saml(asked) => {
            let claims = person.saml_attributes.as_ref();
            let says = claims.map_or(Claimed::Unknown, |claims| {
                claims.says(&asked.attribute_name, &asked.attribute_value)
            });
            (Fact::SamlAttributes, asked.identity_provider_id.as_deref(), claimed(says))
        }
        Rule::Oidc(asked) => {
            let claims = person.oidc_claims.as_ref();
            let says = claims.map_or(Claimed::Unknown, |claims| {
                claims.says(&asked.claim_name, &asked.claim_value)
            });
            (Fact::OidcClaims, asked.identity_provider_id.as_deref(), claimed(says))
        }
        Rule::UserRiskScore(levels) => {
            (Fact::RiskScore, none, person.risk.map(|level| levels.contains(level)))
        }
        Rule::CloudflareAccountMember(account) => {
            (Fact::Accounts, none, is_account_member(person, account.as_deref()))
        }
        _ => (Fact::Person, none, None),
    };
    let is_of_provider = match (provider, &person.login_method) {
        (None, _) => Some(true),
        (Some(_), None) => None,
        (Some(asked), Some(method)) => Some(*method.id == *asked),
    };
    if is_of_provider == Some(false) || says == Some(false) {
        Known::False
    } else if attributes.is_none() {
        Known::Open(fact)
    } else if is_of_provider.is_none() {
        Known::Open(Fact::LoginMethod)
    } else if says.is_none() {
        Known::Open(fact)
    } else {
        Known::True
    }
}

fn member(person: &Attributes, name: &str, team: Option<&str>) -> Option<bool> {
    let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
    let organizations = person.organizations.as_ref()?;
    let mut found = organizations.iter().filter(|one| same(&one.name, name)).peekable();
    let Some(team) = team else { return Some(found.peek().is_some()) };
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

fn claimed(claimed: Claimed) -> Option<bool> {
    match claimed {
        Claimed::Yes => Some(true),
        Claimed::No => Some(false),
        Claimed::Unknown => None,
    }
}

fn certificate(facts: &Facts<'_>, is_it: impl FnOnce(Option<&str>) -> bool) -> Known {
    match facts.certificate {
        Certificate::Unknown => Known::Open(Fact::Certificate),
        Certificate::Missing => Known::False,
        Certificate::Good { common_name } => yes_or_no(is_it(common_name)),
    }
}

fn address(facts: &Facts<'_>, is_inside: impl FnOnce(std::net::IpAddr) -> bool) -> Known {
    match facts.address {
        Some(address) => yes_or_no(is_inside(address.to_canonical())),
        None => Known::Open(Fact::Address),
    }
}

fn yes_or_no(holds: bool) -> Known {
    if holds { Known::True } else { Known::False }
}
