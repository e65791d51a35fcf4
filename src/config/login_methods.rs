//! The login methods of a file, and checks of rules that name one.

use crate::engine::ConfigError;
use crate::identity::Attributes;
use crate::login::{MethodInfo, MethodSettings, OneTimePin, meant_methods, unknown_method};
use crate::policy::{
    Decision, Definitions, Policy, RestrictiveRule, Rule, RuleOwner, restrictive_rules,
};

use super::application::ReadApplication;
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

    /// Returns the ids of the login methods by which anybody on the Internet can log in.
    pub(crate) fn public_login_methods(&self) -> Vec<&str> {
        let Self::Issuing { one_time_pin, identity_providers, .. } = self else {
            return Vec::new();
        };
        let pin = one_time_pin.iter().map(|pin| &*pin.id);
        let others = identity_providers.iter().filter(|provider| provider.is_public());
        pin.chain(others.map(|provider| &*provider.id)).collect()
    }

    /// Returns who can log in without having been let in by anybody, as a part of a sentence.
    pub(super) fn anybody(&self) -> Option<String> {
        match self {
            Self::Issuing { one_time_pin: Some(_), .. } => Some("who can receive mail".to_owned()),
            Self::Issuing { identity_providers, .. } => {
                let public = identity_providers.iter().find(|provider| provider.is_public())?;
                let name: String = public.name.chars().take(80).collect();
                Some(format!("with an account at `{}`", name.escape_debug()))
            }
            Self::Verifying { .. } => Some("whom the issuer lets log in".to_owned()),
        }
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

    /// Returns the attributes of all users who log in by one-time PIN, if there are other login methods.
    pub(crate) fn one_time_pin_beside_others(&self) -> Option<Attributes> {
        match self {
            Self::Issuing { one_time_pin: Some(pin), identity_providers, .. }
                if !identity_providers.is_empty() =>
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

/// Reports rules that name unknown login methods and are meant to keep users out, and keep out nobody.
/// Rules that let users in are findings of `check` only.
///
/// A misspelt login method is an error. Others come from files of other deployments, where they exist;
/// here nobody logs in by them, and they are noted.
pub(super) fn check(
    reader: &mut Reader,
    written: &Parts<'_, '_>,
    definitions: &Definitions,
    known: &[&str],
) {
    let policies = policies_of(written, |_| true);
    let groups: Vec<&NodeRef<'_>> =
        written.groups.iter().filter_map(|(place, group)| group.as_ref().map(|_| place)).collect();
    let is_unknown = |rule: &Rule| unknown_method(rule, known).is_some();
    let rules = policies.iter().map(|(_, policy)| *policy);
    for RestrictiveRule { holder, list, number, rule } in
        restrictive_rules(rules, definitions, is_unknown)
    {
        let place = match holder {
            RuleOwner::Policy(number) => policies.get(number).map(|(place, _)| *place),
            RuleOwner::Group(number) => groups.get(number).copied(),
        };
        let place = place.and_then(|place| place.get(list.as_str())?.items().nth(number));
        let id = place.and_then(|place| id_of_method(&place, rule));
        let (Some(at), Some(text)) = (id, unknown_method(rule, known)) else { continue };
        let shown: String = text.chars().take(80).collect();
        let message = format!("there is no login method `{shown}`, and the rule excludes nobody");
        match (&*meant_methods(text, known), known) {
            ([], [only]) => {
                let only = format_args!("{message}; the only one is `{only}`, remove the rule");
                reader.note(NoteKind::Surprises, &at, only);
            }
            ([], _) => reader.note(
                NoteKind::Surprises,
                &at,
                format_args!("{message}; there are `{}`, remove the rule", known.join("`, `")),
            ),
            (meant, _) => {
                let meant = meant.join("` or `");
                reader.error(&at, format_args!("{message}; did you mean `{meant}`?"));
            }
        }
    }
}

/// Notes the policies that allow everybody who can log in, if anybody can.
pub(super) fn note_everyone(reader: &mut Reader, written: &Parts<'_, '_>) {
    let Some(who) = written.anybody else { return };
    let accepts_public = |read: &&ReadApplication<'_>| {
        let accepted = &read.application.allowed_login_methods;
        let public = &written.public_login_methods;
        accepted.is_empty() || accepted.iter().any(|id| public.contains(&&**id))
    };
    for (place, policy) in policies_of(written, accepts_public) {
        if policy.decision == Decision::Allow
            && policy.conditions.require.is_empty()
            && policy.conditions.include.contains(&Rule::Everyone)
            && let Some(include) = place.get("include")
        {
            reader.note(
                NoteKind::Surprises,
                &include,
                format_args!(
                    "anybody {who} is allowed: `everyone` in an allow policy requires no more"
                ),
            );
        }
    }
}

/// Returns the policies of some applications and the shared ones, each once: linked policies where they
/// are defined.
fn policies_of<'a, 't>(
    written: &Parts<'a, 't>,
    is_wanted: impl Fn(&&'a ReadApplication<'t>) -> bool,
) -> Vec<(&'a NodeRef<'t>, &'a Policy)> {
    let applications = written.applications.iter().filter(is_wanted);
    let inline = applications.flat_map(|read| &read.policies);
    let inline = inline.map(|(place, policy)| (place, policy));
    let reusable = written.reusable.policies.iter();
    let reusable = reusable.filter_map(|(place, policy)| Some((place, policy.as_ref()?)));
    inline.filter(|(place, _)| place.get("decision").is_some()).chain(reusable).collect()
}

/// Returns the place of the id of the login method that a rule names.
fn id_of_method<'t>(place: &NodeRef<'t>, rule: &Rule) -> Option<NodeRef<'t>> {
    let value = rule.selector().keys().iter().find_map(|key| place.get(key))?;
    match rule {
        Rule::LoginMethod(_) => value.get("id"),
        _ => value.get("identity_provider_id"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// Reads a file with two providers, the one-time PIN and this list of a policy.
    fn parse(list: &str) -> Result<Config, String> {
        let text = format!(
            "access:\n  mail: console\n  identity_providers:\n\
             \x20   - {{ id: corp, name: Corp, type: okta, config: {{ okta_account: 'https://a.okta.example', client_id: a, client_secret_file: /run/s }} }}\n\
             \x20   - {{ name: GitHub, type: github, config: {{ client_id: a, client_secret_file: /run/s }} }}\n\
             \x20   - {{ name: PIN, type: onetimepin }}\n\
             \x20 applications: [ {{ domain: a.example, policies: [ {{ name: p, decision: allow,\n\
             \x20   {list} }} ] }} ]\n"
        );
        Config::parse(&text, "f").map_err(|errors| errors.to_string())
    }

    #[test]
    fn pol_21_a_misspelt_provider_in_a_rule_that_keeps_out_is_an_error() {
        for (rule, key, meant) in [
            ("login_method: { id: gihub }", "login_method.id", "github"),
            ("login_method: { id: CORP }", "login_method.id", "corp"),
            (
                "okta: { name: Sales, identity_provider_id: crop }",
                "okta.identity_provider_id",
                "corp",
            ),
            (
                "github_organization: { name: rivals, identity_provider_id: git-hub }",
                "github_organization.identity_provider_id",
                "github",
            ),
            (
                "auth_context: { id: x, ac_id: c1, identity_provider_id: corpo }",
                "auth_context.identity_provider_id",
                "corp",
            ),
        ] {
            let list = format!("include: [ {{ everyone: {{}} }} ], exclude: [ {{ {rule} }} ]");
            let error = parse(&list).unwrap_err();
            assert!(error.contains(key), "{error}");
            assert!(error.contains("and the rule excludes nobody"), "{error}");
            assert!(error.contains(&format!("did you mean `{meant}`?")), "{error}");
            // Where it would let in, it lets in nobody.
            assert!(parse(&format!("include: [ {{ {rule} }} ]")).is_ok());
        }
    }

    #[test]
    fn a_provider_of_another_deployment_is_noted() {
        let list =
            |rule: &str| format!("include: [ {{ everyone: {{}} }} ], exclude: [ {{ {rule} }} ]");
        for rule in [
            "login_method: { id: 4b7828f2-cfcf-52c7-b99b-2e359256aa39 }",
            "azureAD: { id: g, identity_provider_id: 4b7828f2-cfcf-52c7-b99b-2e359256aa39 }",
        ] {
            let config = parse(&list(rule)).unwrap();
            let notes: Vec<&str> = config.notes().iter().map(|note| note.message()).collect();
            let about = "there are `onetimepin`, `corp`, `github`, remove the rule";
            assert!(notes.iter().any(|note| note.contains(about)), "{notes:?}");
        }
        let known = parse(&list("okta: { name: Sales, identity_provider_id: corp }")).unwrap();
        assert!(known.notes().iter().all(|note| !note.message().contains("login method")));
    }
}
