//! Facts other than email and IP addresses, compared with many values at once.

use crate::identity::{Attributes, ClaimMatch};

use super::compile::{Operand, TextOperand, Texts};
use super::facts::{Certificate, Fact, Facts};
use super::rule::Attribute;
use super::truth::Truth;

/// Returns whether one of the texts matches the facts.
pub(super) fn compare(operand: &Operand, texts: &Texts, facts: &Facts<'_>) -> Truth {
    let has = |text: &str| texts.contains(text);
    match operand {
        Operand::AnyServiceToken => Truth::known(facts.service_token.is_some()),
        Operand::ServiceToken => {
            Truth::known(facts.service_token.is_some_and(|token| token.is_any(has)))
        }
        Operand::LinkedApplication => Truth::known(
            facts.linked_application.is_some_and(|linked| has(linked.id) || has(linked.name)),
        ),
        Operand::Text(text) => compare_text(text, texts, facts),
        Operand::Risk(levels) => compare_for_user(facts, Fact::RiskScore, &None, |person| {
            person.risk.map(|level| levels.contains(level))
        }),
        Operand::Evaluation(evaluator) => match (facts.has_user(), facts.evaluations) {
            (false, _) => facts.without_user(),
            (true, answers) => answers
                .and_then(|results| results.get(evaluator))
                .map_or(Truth::Open(Fact::ExternalEvaluation), Truth::known),
        },
    }
}

fn compare_text(operand: &TextOperand, texts: &Texts, facts: &Facts<'_>) -> Truth {
    let TextOperand { attribute, name, provider, is_any } = operand;
    let has = |text: &str| *is_any || texts.contains(text);
    match attribute {
        Attribute::CommonName => match facts.certificate {
            Certificate::Unknown => Truth::Open(Fact::Certificate),
            Certificate::Missing => Truth::Fails,
            Certificate::Good { common_name } => {
                Truth::known(*is_any || common_name.is_some_and(has))
            }
        },
        Attribute::DevicePosture => match facts.device_posture {
            None => Truth::Open(Fact::DevicePosture),
            Some(results) => {
                Truth::known(results.iter().any(|(check, is_passed)| *is_passed && has(check)))
            }
        },
        Attribute::LoginMethod => compare_for_user(facts, Fact::LoginMethod, provider, |person| {
            person.login_method.as_ref().map(|method| has(&method.id))
        }),
        Attribute::AuthenticationMethod => {
            compare_for_user(facts, Fact::AuthenticationMethods, provider, |person| {
                any(person.authentication_methods.as_deref(), |method| has(method))
            })
        }
        Attribute::AuthenticationContext => {
            compare_for_user(facts, Fact::AuthenticationContexts, provider, |person| {
                any(person.authentication_contexts.as_deref(), |context| has(context))
            })
        }
        Attribute::GroupId => compare_for_user(facts, Fact::ProviderGroups, provider, |person| {
            any(person.groups.as_deref(), |group| group.id.as_deref().is_some_and(has))
        }),
        Attribute::GroupName => compare_for_user(facts, Fact::ProviderGroups, provider, |person| {
            any(person.groups.as_deref(), |group| group.name.as_deref().is_some_and(has))
        }),
        Attribute::GroupEmail => {
            compare_for_user(facts, Fact::ProviderGroups, provider, |person| {
                any(person.groups.as_deref(), |group| {
                    group.email.as_deref().is_some_and(|email| in_lower_case(email, has))
                })
            })
        }
        Attribute::Organization => {
            compare_for_user(facts, Fact::Organizations, provider, |person| match name {
                None => organization(person, has),
                Some(organization) => team(person, organization, has),
            })
        }
        Attribute::Saml => compare_for_user(facts, Fact::SamlAttributes, provider, |person| {
            claimed(person.saml_attributes.as_ref()?.says_any(name.as_deref()?, has))
        }),
        Attribute::Oidc => compare_for_user(facts, Fact::OidcClaims, provider, |person| {
            claimed(person.oidc_claims.as_ref()?.says_any(name.as_deref()?, has))
        }),
        Attribute::Account => compare_for_user(facts, Fact::Accounts, provider, |person| {
            is_account_member(person, has)
        }),
    }
}

impl Facts<'_> {
    /// Returns whether the request has a credential that is not a user's: such a request cannot log in.
    pub(super) fn has_non_user_credential(&self) -> bool {
        self.service_token.is_some() || self.linked_application.is_some()
    }

    /// Returns the value of rules about users for a request without a user.
    pub(super) fn without_user(&self) -> Truth {
        if self.has_non_user_credential() { Truth::Fails } else { Truth::Open(Fact::Person) }
    }

    /// Returns the value of rules about email addresses for a request without one.
    pub(super) fn without_email(&self) -> Truth {
        if self.has_user() { Truth::Open(Fact::Email) } else { self.without_user() }
    }
}

/// Compares an attribute of the user, if the login method is the one that the rule names.
fn compare_for_user(
    facts: &Facts<'_>,
    fact: Fact,
    provider: &Option<Box<str>>,
    says: impl FnOnce(&Attributes) -> Option<bool>,
) -> Truth {
    if !facts.has_user() {
        return facts.without_user();
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

fn claimed(claimed: ClaimMatch) -> Option<bool> {
    match claimed {
        ClaimMatch::Yes => Some(true),
        ClaimMatch::No => Some(false),
        ClaimMatch::Unknown => None,
    }
}

fn organization(person: &Attributes, has: impl Fn(&str) -> bool) -> Option<bool> {
    let found = any(person.organizations.as_deref(), |one| in_lower_case(&one.name, &has));
    found.filter(|found| *found || !person.organizations_are_partial)
}

/// An organization may be listed more than once, with different teams.
fn team(person: &Attributes, organization: &str, has: impl Fn(&str) -> bool) -> Option<bool> {
    let is_it = |name: &str| name == organization;
    let (mut is_listed, mut is_member) = (false, Some(false));
    for one in person.organizations.as_deref()? {
        if in_lower_case(&one.name, is_it) {
            is_listed = true;
            match any(one.teams.as_deref(), |team| in_lower_case(team, &has)) {
                Some(false) => {}
                Some(true) => return Some(true),
                None => is_member = None,
            }
        }
    }
    is_member.filter(|_| is_listed || !person.organizations_are_partial)
}

/// Only identity providers of type `cloudflare` report accounts.
fn is_account_member(person: &Attributes, has: impl Fn(&str) -> bool) -> Option<bool> {
    let is_cloudflare = person.login_method.as_ref().map(|method| &*method.kind == "cloudflare");
    match (is_cloudflare, any(person.accounts.as_deref(), |account| has(account))) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Passes the text on in lower case; without allocating, except for long texts.
fn in_lower_case(text: &str, judge: impl Fn(&str) -> bool) -> bool {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return judge(text);
    }
    let mut copy = [0; MAX_COPY];
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

/// Longest text that is folded on the stack; email addresses have at most 254 bytes.
const MAX_COPY: usize = 256;
