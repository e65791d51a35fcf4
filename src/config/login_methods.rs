//! The login methods of a file, and checks of rules that name one.

use crate::engine::ConfigError;
use crate::identity::Attributes;
use crate::login::{MethodInfo, MethodSettings, OneTimePin};
use crate::policy::{Definitions, Policy, RestrictiveRule, Rule, RuleOwner, restrictive_rules};
use crate::util::suggest::closest;

use super::error::NoteKind;
use super::identity_provider::IdentityProviderConfig;
use super::parts::Parts;
use super::reader::{NodeRef, Reader};
use super::settings::{OneTimePinConfig, Role};

impl Role {
    /// Returns the login methods; `None` if the issuer runs the login.
    pub(crate) fn login_methods(&self) -> Option<Vec<MethodInfo<'_>>> {
        let Self::Issuing { one_time_pin, identity_providers, .. } = self else { return None };
        let pin = one_time_pin.iter().map(|pin| OneTimePin::info_of(&pin.id));
        let others = identity_providers.iter().map(IdentityProviderConfig::info);
        Some(pin.chain(others).collect())
    }

    /// Returns the attributes of all users who log in, if they are always the same.
    pub(crate) fn usual_login(&self) -> Option<Attributes> {
        match self {
            Self::Issuing { one_time_pin: Some(pin), identity_providers, .. }
                if identity_providers.is_empty() =>
            {
                Some(Attributes::one_time_pin(&pin.id))
            }
            Self::Issuing { .. } | Self::Verifying { .. } => None,
        }
    }

    /// Returns the settings of the login methods. Reads the files of the identity providers.
    pub(super) fn method_settings(&self) -> Result<MethodSettings, ConfigError> {
        let Self::Issuing { one_time_pin, identity_providers, .. } = self else {
            return Ok(MethodSettings::default());
        };
        let providers = identity_providers.iter().map(IdentityProviderConfig::provider);
        let providers = providers.collect::<Result<Vec<_>, _>>()?;
        Ok(MethodSettings::new(one_time_pin.as_ref().map(OneTimePin::from), providers))
    }
}

impl From<&OneTimePinConfig> for OneTimePin {
    fn from(config: &OneTimePinConfig) -> Self {
        let OneTimePinConfig { id, expires_in, attempts, digits, link, limits } = config.clone();
        Self::new()
            .id(id)
            .expires_in(expires_in)
            .attempts(attempts)
            .digits(digits)
            .link_in_mail(link)
            .limits(limits)
    }
}

/// Reports rules about unknown login methods that are meant to keep users out, and keep out nobody. Rules
/// that let users in are findings of `check` only.
///
/// A misspelt login method is an error. Others come from files of other deployments, where they exist;
/// here nobody logs in by them, and they are noted.
pub(super) fn check(
    reader: &mut Reader,
    written: &Parts<'_, '_>,
    definitions: &Definitions,
    known: &[&str],
) {
    let inline = written.applications.iter().flat_map(|read| &read.policies);
    let inline = inline.map(|(place, policy)| (place, policy));
    let reusable = written.reusable.policies.iter();
    let reusable = reusable.filter_map(|(place, policy)| Some((place, policy.as_ref()?)));
    // Linked policies are reported where they are defined.
    let policies: Vec<(&NodeRef<'_>, &Policy)> =
        inline.filter(|(place, _)| place.get("decision").is_some()).chain(reusable).collect();
    let groups: Vec<&NodeRef<'_>> =
        written.groups.iter().filter_map(|(place, group)| group.as_ref().map(|_| place)).collect();
    let is_unknown = |rule: &Rule| matches!(rule, Rule::LoginMethod(id) if !known.contains(&&**id));
    let rules = policies.iter().map(|(_, policy)| *policy);
    for RestrictiveRule { holder, list, number, rule } in
        restrictive_rules(rules, definitions, is_unknown)
    {
        let place = match holder {
            RuleOwner::Policy(number) => policies.get(number).map(|(place, _)| *place),
            RuleOwner::Group(number) => groups.get(number).copied(),
        };
        let place = place.and_then(|place| place.get(list.as_str())?.items().nth(number));
        let id = place.and_then(|rule| rule.get("login_method")?.get("id"));
        let (Some(at), Rule::LoginMethod(text)) = (id, rule) else { continue };
        let shown: String = text.chars().take(80).collect();
        let message = format!("there is no login method `{shown}`, and the rule excludes nobody");
        let meant = closest(text, known.iter().copied().chain([ONE_TIME_PIN]));
        if meant.is_some() {
            let known = known.join("` or `");
            reader.error(&at, format_args!("{message}; did you mean `{known}`?"));
        } else {
            let known = known.join("` and `");
            let only = format_args!("{message}; the only one is `{known}`, remove the rule");
            reader.note(NoteKind::Surprises, &at, only);
        }
    }
}

/// The default id of the one-time PIN.
const ONE_TIME_PIN: &str = "onetimepin";
