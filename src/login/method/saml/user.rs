//! The user that a verified assertion describes.

use saml_rs::{NameIdFormat, SsoSession};

use super::SamlProvider;
use super::document::{Assertion, Values};
use crate::identity::{Attributes, ClaimValues, Email, ProviderGroup};
use crate::login::method::Authenticated;
use crate::session::ProviderAccount;

/// The error of an assertion without the user's email address.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("the assertion has no email address: let the provider send the attribute {0:?}")]
    Attribute(Box<str>),
    #[error(
        "the assertion has no email address: let the provider send an attribute `email`, or name the \
         attribute that has it (`email_attribute_name`)"
    )]
    None,
    #[error("what the assertion has as the email address is not one")]
    NotAddress,
}

/// Returns the user of a verified session, with the attributes that policies can use.
pub(super) fn authenticated(
    settings: &SamlProvider,
    session: &SsoSession,
    assertion: &Assertion,
) -> Result<Authenticated, NoAddress> {
    let address = address(settings, session, assertion)?;
    let email: Email = address.parse().map_err(|_| NoAddress::NotAddress)?;
    let attributes = Attributes {
        authentication_methods: methods(&assertion.contexts),
        authentication_contexts: contexts(&assertion.contexts),
        groups: groups(settings, assertion),
        saml_attributes: Some(kept(settings, assertion)),
        ..Attributes::default()
    };
    let index = session.authn_session().session_index().map(|index| index.as_str().into());
    let account = ProviderAccount {
        subject: session.name_id().value().into(),
        session: index,
        ..ProviderAccount::default()
    };
    Ok(Authenticated { email, attributes, account: Some(account) })
}

/// Returns the email address, as the provider says it.
fn address<'a>(
    settings: &SamlProvider,
    session: &'a SsoSession,
    assertion: &'a Assertion,
) -> Result<&'a str, NoAddress> {
    let first = |name: &str| {
        let values = assertion.attributes.iter().filter(|(key, _)| key == name);
        let mut texts = values.flat_map(|(_, values)| &values.texts).map(|text| text.trim());
        texts.find(|text| !text.is_empty())
    };
    if let Some(name) = &settings.email_attribute {
        return first(name).ok_or_else(|| NoAddress::Attribute(name.clone()));
    }
    let name_id = session.name_id();
    let of_name_id = || {
        let is_address = name_id.format() == Some(&NameIdFormat::EmailAddress);
        is_address.then(|| name_id.value().trim())
    };
    USUAL_NAMES.iter().find_map(|name| first(name)).or_else(of_name_id).ok_or(NoAddress::None)
}

/// Returns the listed attributes. One with a value that is not a text is unknown: its other values do
/// not say what the user lacks.
fn kept(settings: &SamlProvider, assertion: &Assertion) -> ClaimValues {
    let mut kept = ClaimValues::default();
    for name in &settings.attributes {
        let values = || assertion.attributes.iter().filter(|(key, _)| **key == **name);
        if values().any(|(_, values)| values.has_others) {
            continue;
        }
        for text in values().flat_map(|(_, Values { texts, .. })| texts) {
            kept.insert(&**name, &**text);
        }
    }
    kept
}

/// Returns the groups, if the attribute is listed and the provider has sent it.
fn groups(settings: &SamlProvider, assertion: &Assertion) -> Option<Vec<ProviderGroup>> {
    let is_groups = |name: &str| name.eq_ignore_ascii_case("groups");
    if !settings.attributes.iter().any(|name| is_groups(name)) {
        return None;
    }
    let sent: Vec<_> = assertion.attributes.iter().filter(|(name, _)| is_groups(name)).collect();
    let count: usize = sent.iter().map(|(_, values)| values.texts.len()).sum();
    if sent.is_empty() || count > MAX_GROUPS || sent.iter().any(|(_, values)| values.has_others) {
        return None;
    }
    let names = sent.iter().flat_map(|(_, values)| &values.texts);
    let group =
        |name: &String| ProviderGroup { name: Some((&**name).into()), ..ProviderGroup::default() };
    Some(names.map(group).collect())
}

fn contexts(classes: &[String]) -> Option<Vec<Box<str>>> {
    let known = classes.iter().filter(|class| !class.is_empty());
    let known: Vec<Box<str>> = known.take(MAX_CONTEXTS).map(|class| (&**class).into()).collect();
    (!known.is_empty()).then_some(known)
}

/// Returns the methods (RFC 8176) that the classes of authentication contexts stand for. Unknown if one
/// of the classes says nothing about the method.
fn methods(classes: &[String]) -> Option<Vec<Box<str>>> {
    let method = |class: &String| {
        let known = METHODS.iter().find(|(known, _)| known == class);
        known.map(|(_, method)| Box::from(*method))
    };
    let methods: Option<Vec<Box<str>>> = classes.iter().take(MAX_CONTEXTS).map(method).collect();
    methods.filter(|methods| !methods.is_empty())
}

/// Where the email address usually is.
const USUAL_NAMES: &[&str] = &[
    "email",
    "mail",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "urn:oid:0.9.2342.19200300.100.1.3",
];
const METHODS: &[(&str, &str)] = &[
    ("urn:oasis:names:tc:SAML:2.0:ac:classes:Password", "pwd"),
    ("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport", "pwd"),
    ("urn:oasis:names:tc:SAML:2.0:ac:classes:Smartcard", "sc"),
    ("urn:oasis:names:tc:SAML:2.0:ac:classes:SmartcardPKI", "sc"),
    ("https://refeds.org/profile/mfa", "mfa"),
    ("http://schemas.microsoft.com/claims/multipleauthn", "mfa"),
];
const MAX_GROUPS: usize = 1_000;
const MAX_CONTEXTS: usize = 8;
