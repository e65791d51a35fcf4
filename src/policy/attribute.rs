//! Facts beside addresses of people and machines, compared with many values at once.

use crate::identity::{Attributes, Claimed};

use super::compile::{Attribute, Texts};
use super::facts::{Certificate, Fact, Facts};
use super::truth::Truth;

/// Whether one of the values is what the facts say.
pub(super) fn attribute(asked: &Attribute, values: &Texts, facts: &Facts<'_>) -> Truth {
    let has = |text: &str| values.contains(text);
    match asked {
        Attribute::Certificate => match facts.certificate {
            Certificate::Unknown => Truth::Open(Fact::Certificate),
            Certificate::Missing => Truth::Fails,
            Certificate::Good { .. } => Truth::Holds,
        },
        Attribute::CommonName => match facts.certificate {
            Certificate::Unknown => Truth::Open(Fact::Certificate),
            Certificate::Missing => Truth::Fails,
            Certificate::Good { common_name } => Truth::known(common_name.is_some_and(has)),
        },
        Attribute::AnyServiceToken => Truth::known(facts.service_token.is_some()),
        Attribute::ServiceToken => {
            Truth::known(facts.service_token.is_some_and(|token| token.is_any(has)))
        }
        Attribute::LinkedApplication => Truth::known(
            facts.linked_application.is_some_and(|linked| has(linked.id) || has(linked.name)),
        ),
        Attribute::DevicePosture => match facts.device_posture {
            None => Truth::Open(Fact::DevicePosture),
            Some(results) => {
                Truth::known(results.iter().any(|(check, is_passed)| *is_passed && has(check)))
            }
        },
        Attribute::Evaluation(evaluator) => match (facts.has_person(), facts.evaluations) {
            (false, _) => facts.nobody(),
            (true, answers) => answers
                .and_then(|answers| answers.of(evaluator))
                .map_or(Truth::Open(Fact::ExternalEvaluation), Truth::known),
        },
        Attribute::LoginMethod => of_person(facts, Fact::LoginMethod, &None, |person| {
            person.login_method.as_ref().map(|method| has(&method.id))
        }),
        Attribute::AuthenticationMethod => {
            of_person(facts, Fact::AuthenticationMethods, &None, |person| {
                any(person.authentication_methods.as_deref(), |method| has(method))
            })
        }
        Attribute::AuthenticationContext(provider) => {
            of_person(facts, Fact::AuthenticationContexts, provider, |person| {
                any(person.authentication_contexts.as_deref(), |context| has(context))
            })
        }
        Attribute::AzureGroup(provider) => {
            of_person(facts, Fact::ProviderGroups, provider, |person| {
                any(person.groups.as_deref(), |group| group.id.as_deref().is_some_and(has))
            })
        }
        Attribute::OktaGroup(provider) => {
            of_person(facts, Fact::ProviderGroups, provider, |person| {
                any(person.groups.as_deref(), |group| group.name.as_deref().is_some_and(has))
            })
        }
        Attribute::GsuiteGroup(provider) => {
            of_person(facts, Fact::ProviderGroups, provider, |person| {
                any(person.groups.as_deref(), |group| {
                    group.email.as_deref().is_some_and(|email| in_lower_case(email, has))
                })
            })
        }
        Attribute::Organization(provider) => {
            of_person(facts, Fact::Organizations, provider, |person| {
                any(person.organizations.as_deref(), |one| in_lower_case(&one.name, has))
            })
        }
        Attribute::Team(organization, provider) => {
            of_person(facts, Fact::Organizations, provider, |person| {
                team(person, organization, has)
            })
        }
        Attribute::Saml(name, provider) => {
            of_person(facts, Fact::SamlAttributes, provider, |person| {
                claimed(person.saml_attributes.as_ref()?.says_any(name, has))
            })
        }
        Attribute::Oidc(name, provider) => of_person(facts, Fact::OidcClaims, provider, |person| {
            claimed(person.oidc_claims.as_ref()?.says_any(name, has))
        }),
        Attribute::Risk(levels) => of_person(facts, Fact::RiskScore, &None, |person| {
            person.risk.map(|level| levels.contains(level))
        }),
        Attribute::AnyAccount => account(facts, |_| true),
        Attribute::Account => account(facts, has),
    }
}

impl Facts<'_> {
    /// Whether something that is no person and will never be one makes the request.
    pub(super) fn is_somebody_else(&self) -> bool {
        self.service_token.is_some() || self.linked_application.is_some()
    }

    /// What rules about people come to without one.
    pub(super) fn nobody(&self) -> Truth {
        if self.is_somebody_else() { Truth::Fails } else { Truth::Open(Fact::Person) }
    }

    /// What rules about addresses come to without one.
    pub(super) fn no_address(&self) -> Truth {
        if self.has_person() { Truth::Open(Fact::Email) } else { self.nobody() }
    }
}

/// What is said of a person, if the login method is the one asked for.
fn of_person(
    facts: &Facts<'_>,
    fact: Fact,
    provider: &Option<Box<str>>,
    says: impl FnOnce(&Attributes) -> Option<bool>,
) -> Truth {
    if !facts.has_person() {
        return facts.nobody();
    }
    let Some(person) = facts.attributes else { return Truth::Open(fact) };
    let is_of_provider = match (provider, &person.login_method) {
        (None, _) => Some(true),
        (Some(_), None) => None,
        (Some(asked), Some(method)) => Some(*asked == method.id),
    };
    match (is_of_provider, says(person)) {
        (Some(false), _) | (_, Some(false)) => Truth::Fails,
        (Some(true), Some(true)) => Truth::Holds,
        (None, _) => Truth::Open(Fact::LoginMethod),
        (_, None) => Truth::Open(fact),
    }
}

fn any<T>(list: Option<&[T]>, is_it: impl FnMut(&T) -> bool) -> Option<bool> {
    list.map(|list| list.iter().any(is_it))
}

fn claimed(claimed: Claimed) -> Option<bool> {
    match claimed {
        Claimed::Yes => Some(true),
        Claimed::No => Some(false),
        Claimed::Unknown => None,
    }
}

/// An organization may be there more than once, with other teams each time.
fn team(person: &Attributes, organization: &str, has: impl Fn(&str) -> bool) -> Option<bool> {
    let is_it = |name: &str| name == organization;
    let mut is_member = Some(false);
    for one in person.organizations.as_deref()? {
        if in_lower_case(&one.name, is_it) {
            match any(one.teams.as_deref(), |team| in_lower_case(team, &has)) {
                Some(false) => {}
                Some(true) => return Some(true),
                None => is_member = None,
            }
        }
    }
    is_member
}

/// Accounts are told by the identity provider of type `cloudflare` alone.
fn account(facts: &Facts<'_>, has: impl Fn(&str) -> bool) -> Truth {
    of_person(facts, Fact::Accounts, &None, |person| {
        let is_cloudflare =
            person.login_method.as_ref().map(|method| &*method.kind == "cloudflare");
        match (is_cloudflare, any(person.accounts.as_deref(), |account| has(account))) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    })
}

/// The text in lower case; in all but rare cases without asking for memory.
fn in_lower_case(text: &str, judge: impl Fn(&str) -> bool) -> bool {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return judge(text);
    }
    let mut copy = [0; LONGEST_COPY];
    if text.is_ascii()
        && let Some(copy) = copy.get_mut(..text.len())
    {
        copy.copy_from_slice(text.as_bytes());
        copy.make_ascii_lowercase();
        if let Ok(lower) = std::str::from_utf8(copy) {
            return judge(lower);
        }
    }
    judge(&text.to_lowercase())
}

/// No name is longer that people meet: addresses have 254 bytes at most.
const LONGEST_COPY: usize = 256;
