//! From a provider's claims to the user: whose address it is, groups, and what rules compare.

use std::fmt;

use serde_json::Value;

use super::claims::ClaimSet;
use super::presets::{EmailProof, GroupText};
use super::settings::{EMAIL, OpenIdProvider};
use crate::identity::{Attributes, Email, ProviderGroup};

/// A user as described by the provider.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) email: Email,
    pub(super) attributes: Attributes,
    pub(super) name: Option<Box<str>>,
}

/// Why a user of the provider may not log in.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum UnfitUser {
    /// There is no address in the claim of this name.
    NoEmail(Box<str>),
    /// The address is none that can be used here.
    Malformed,
    /// The provider does not say that the address is the user's.
    Unverified(EmailProof),
    /// `hd` is not the domain.
    HostedDomain,
}

impl fmt::Display for UnfitUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEmail(claim) => write!(
                f,
                "the provider returned no email address in the claim `{claim}`: check the scopes and the \
                 claims that are configured there"
            ),
            Self::Malformed => {
                f.write_str("the provider returned an email address that cannot be used here")
            }
            Self::Unverified(EmailProof::EmailVerified) => f.write_str(
                "the provider does not say that the email address is the user's (`email_verified` is not \
                 true)",
            ),
            Self::Unverified(EmailProof::VerifiedDomain) => f.write_str(
                "the provider does not say that the domain of the email address is verified: add the \
                 optional claim `xms_edov` or `verified_primary_email` to the ID token",
            ),
            Self::HostedDomain => {
                f.write_str("the account is not one of the configured Workspace domain (`hd`)")
            }
        }
    }
}

/// What a source of claims says about the address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Word {
    Verified,
    Unverified,
    Nothing,
}

/// Returns whether the userinfo endpoint may have claims that the ID token lacks.
pub(super) fn wants_userinfo(settings: &OpenIdProvider, token: &ClaimSet) -> bool {
    let lacks = |name: &str| !token.has(name);
    let lacks_groups = settings.groups().is_some() && lacks(GROUPS) && !has_overage(token, GROUPS);
    let lacks_word = !settings.trusts_unverified_email
        && settings.preset.email == EmailProof::EmailVerified
        && word(settings, token) == Word::Nothing;
    settings.preset.asks_userinfo
        && (lacks(&settings.email_claim)
            || lacks_word
            || lacks_groups
            || settings.claims.iter().any(|name| lacks(name)))
}

/// Reads the claims of a user: those of the ID token, and others of the userinfo endpoint.
pub(super) fn read(
    settings: &OpenIdProvider,
    token: &ClaimSet,
    userinfo: Option<&ClaimSet>,
) -> Result<Profile, UnfitUser> {
    if let Some(domain) = &settings.hosted_domain {
        let stated = token.get("hd").and_then(Value::as_str);
        if !stated.is_some_and(|stated| stated.eq_ignore_ascii_case(domain.as_str())) {
            return Err(UnfitUser::HostedDomain);
        }
    }
    let sources: Vec<&ClaimSet> = std::iter::once(token).chain(userinfo).collect();
    let email = email(settings, &sources)?;
    let claim = |name: &str| sources.iter().find_map(|source| source.get(name));
    let names = settings.claims.iter().map(|name| &**name);
    let names = names.chain(settings.groups().map(|_| GROUPS));
    let kept = names.filter(|name| !has_overage(token, name));
    let kept: serde_json::Map<String, Value> =
        kept.filter_map(|name| Some((name.to_owned(), claim(name)?.clone()))).collect();
    let attributes = Attributes {
        authentication_methods: list(token.get("amr")),
        authentication_contexts: contexts(token),
        groups: groups(settings, &sources),
        oidc_claims: serde_json::from_value(Value::Object(kept)).ok(),
        ..Attributes::default()
    };
    let name = sources.iter().find_map(|source| {
        source.short_text("name").or_else(|| source.short_text("preferred_username"))
    });
    Ok(Profile { email, attributes, name })
}

/// Returns the address, if one source states both the address and that it is the user's.
fn email(settings: &OpenIdProvider, sources: &[&ClaimSet]) -> Result<Email, UnfitUser> {
    let text = |source: &ClaimSet| {
        let text = source.get(&settings.email_claim)?.as_str()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mut stated =
        sources.iter().filter_map(|source| Some((text(source)?, word(settings, source))));
    let first = stated.clone().next();
    let Some((text, _)) = first else {
        return Err(UnfitUser::NoEmail(settings.email_claim.clone()));
    };
    if settings.trusts_unverified_email {
        return text.parse().map_err(|_| UnfitUser::Malformed);
    }
    // The first source that says something about its own address.
    match stated.find(|(_, word)| *word != Word::Nothing) {
        Some((text, Word::Verified)) => text.parse().map_err(|_| UnfitUser::Malformed),
        Some(_) | None => Err(UnfitUser::Unverified(settings.preset.email)),
    }
}

/// Returns what a source says about the address in it.
fn word(settings: &OpenIdProvider, source: &ClaimSet) -> Word {
    let address = source.get(&settings.email_claim).and_then(Value::as_str);
    let Some(address) = address else { return Word::Nothing };
    let flag = |name: &str| match source.get(name) {
        None => Word::Nothing,
        Some(value) if is_true(value) => Word::Verified,
        Some(_) => Word::Unverified,
    };
    // These claims are about `email`.
    let about_email = |name: &str| {
        if *settings.email_claim == *EMAIL { flag(name) } else { Word::Nothing }
    };
    match settings.preset.email {
        EmailProof::EmailVerified => about_email("email_verified"),
        EmailProof::VerifiedDomain => {
            let lists = ["verified_primary_email", "verified_secondary_email"];
            let listed = lists.iter().filter_map(|name| list(source.get(name))).flatten();
            if listed.into_iter().any(|listed| listed.eq_ignore_ascii_case(address.trim())) {
                return Word::Verified;
            }
            about_email("xms_edov")
        }
    }
}

/// Some providers write `"true"`; Entra writes `xms_edov` as 1.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text == "true" || text == "1",
        Value::Number(number) => number.as_u64() == Some(1),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns the groups; `None` if they are unknown: absent, too many, or partly of a form that is not
/// understood.
fn groups(settings: &OpenIdProvider, sources: &[&ClaimSet]) -> Option<Vec<ProviderGroup>> {
    let text_is = settings.groups()?;
    if sources.iter().any(|source| has_overage(source, GROUPS)) {
        return None;
    }
    let value = sources.iter().find_map(|source| source.get(GROUPS))?;
    match value {
        Value::Array(list) if list.len() <= MAX_GROUPS => {
            list.iter().map(|value| group(value, text_is)).collect()
        }
        Value::String(_) | Value::Object(_) => Some(vec![group(value, text_is)?]),
        _ => None,
    }
}

fn group(value: &Value, text_is: GroupText) -> Option<ProviderGroup> {
    let (mut id, mut name, mut email) = (None, None, None);
    match value {
        Value::String(text) => match text_is {
            GroupText::Id => id = Some(text.as_str().into()),
            GroupText::Name => name = Some(text.as_str().into()),
        },
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str).map(Into::into);
            (id, name, email) = (text("id"), text("name"), text("email"));
        }
        _ => return None,
    }
    let is_named = id.is_some() || name.is_some() || email.is_some();
    is_named.then_some(ProviderGroup { id, name, email })
}

/// Returns whether a claim is not in the token because it is too large (OpenID Connect Core, section
/// 5.6.2).
fn has_overage(source: &ClaimSet, name: &str) -> bool {
    let elsewhere = source.get("_claim_names").and_then(Value::as_object);
    elsewhere.is_some_and(|names| names.contains_key(name))
        || name == GROUPS && source.get("hasgroups").is_some_and(is_true)
}

/// Returns the authentication contexts: `acrs` of Entra, and `acr`.
fn contexts(token: &ClaimSet) -> Option<Vec<Box<str>>> {
    if !token.contains_key("acrs") && !token.contains_key("acr") {
        return None;
    }
    let mut contexts = Vec::new();
    for name in ["acrs", "acr"] {
        if let Some(value) = token.get(name) {
            contexts.extend(list(Some(value))?);
        }
    }
    Some(contexts)
}

/// Returns a text or a list of texts; `None` for anything else.
fn list(value: Option<&Value>) -> Option<Vec<Box<str>>> {
    match value? {
        Value::String(text) => Some(vec![text.as_str().into()]),
        Value::Array(list) if list.len() <= MAX_VALUES => {
            list.iter().map(|value| value.as_str().map(Into::into)).collect()
        }
        _ => None,
    }
}

const GROUPS: &str = "groups";
const MAX_GROUPS: usize = 2_000;
const MAX_VALUES: usize = 64;

#[cfg(test)]
mod tests;
