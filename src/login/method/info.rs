//! Login methods as checks and tools see them: what a login by each can make of a rule.
//!
//! | rule | can be met by a login of this type |
//! | --- | --- |
//! | `login_method` | of any type |
//! | `auth_method` (`amr`), `auth_context` (`acrs`) | OpenID Connect, SAML; the one-time PIN has `otp` |
//! | `azureAD` (groups by id), `gsuite` (by address) | OpenID Connect, but not Google, whose tokens have no groups |
//! | `okta` (groups by name) | the same, and SAML |
//! | `oidc` | OpenID Connect |
//! | `saml` | SAML |
//! | `github-organization` | GitHub |
//! | `cloudflare_account_member` | of none |
//!
//! Rules about groups are met by groups of every provider. A rule with `identity_provider_id` is met by
//! logins of that method only.
//!
//! What a login leaves unknown opens nothing, and keeps out where the rule is meant to keep out.

#[cfg(feature = "config")]
use crate::policy::Attribute;
use crate::policy::{Rule, Test, TextTest};
use crate::util::suggest::closest;

/// A login method, for checks and tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct MethodInfo<'a> {
    pub(crate) id: &'a str,
    /// The type: `onetimepin`, `oidc`, …
    pub(crate) kind: &'a str,
    /// The name that users see.
    pub(crate) name: &'a str,
}

/// What a rule about a login can be for users who log in by one method.
#[cfg(feature = "config")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// Met by some users.
    Some,
    /// Met by nobody, and it is known of everybody.
    Nobody,
    /// Met by nobody, and unknown of some users or of all.
    Unknown,
}

#[cfg(feature = "config")]
impl MethodInfo<'_> {
    pub(crate) fn is_one_time_pin(&self) -> bool {
        self.kind == ONE_TIME_PIN
    }

    /// Returns whom a rule is met by, among the users who log in by this method. Meaningful for facts
    /// that a login reports.
    pub(crate) fn reach(&self, test: &TextTest<'_>) -> Reach {
        let TextTest { attribute, value, provider, .. } = test;
        if provider.is_some_and(|id| id != self.id) {
            return Reach::Nobody;
        }
        let kind = Kind::of(self.kind);
        match (attribute, kind) {
            (Attribute::LoginMethod, _) if value.as_deref() == Some(self.id) => Reach::Some,
            (Attribute::AuthenticationMethod, Kind::OneTimePin)
                if value.as_deref() == Some("otp") =>
            {
                Reach::Some
            }
            (Attribute::LoginMethod | Attribute::Account, _)
            | (
                Attribute::AuthenticationMethod
                | Attribute::AuthenticationContext
                | Attribute::GroupId
                | Attribute::GroupName
                | Attribute::GroupEmail
                | Attribute::Organization,
                Kind::OneTimePin,
            ) => Reach::Nobody,
            (
                Attribute::AuthenticationMethod | Attribute::AuthenticationContext,
                Kind::OpenId | Kind::Google | Kind::Saml,
            )
            | (Attribute::GroupId | Attribute::GroupEmail, Kind::OpenId)
            | (Attribute::GroupName, Kind::OpenId | Kind::Saml)
            | (Attribute::Oidc, Kind::OpenId | Kind::Google)
            | (Attribute::Saml, Kind::Saml)
            | (Attribute::Organization, Kind::GitHub)
            | (Attribute::CommonName | Attribute::DevicePosture, _) => Reach::Some,
            (
                Attribute::AuthenticationMethod
                | Attribute::AuthenticationContext
                | Attribute::GroupId
                | Attribute::GroupName
                | Attribute::GroupEmail
                | Attribute::Oidc
                | Attribute::Saml
                | Attribute::Organization,
                _,
            ) => Reach::Unknown,
        }
    }
}

/// The types of login methods, as far as their facts differ.
#[cfg(feature = "config")]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    OneTimePin,
    GitHub,
    Saml,
    Google,
    /// OpenID Connect.
    OpenId,
}

#[cfg(feature = "config")]
impl Kind {
    fn of(kind: &str) -> Self {
        match kind {
            ONE_TIME_PIN => Self::OneTimePin,
            "github" => Self::GitHub,
            "saml" => Self::Saml,
            "google" | "google-apps" => Self::Google,
            _ => Self::OpenId,
        }
    }
}

/// Returns the login method that a rule names, if it is none of these ids.
pub(crate) fn unknown_method<'r>(rule: &'r Rule, known: &[&str]) -> Option<&'r str> {
    named_method(rule).filter(|id| !known.contains(id))
}

/// Returns the login method that a rule names: by its value, or as the one that has to report the fact.
pub(crate) fn named_method(rule: &Rule) -> Option<&str> {
    match (rule, rule.test()) {
        (Rule::LoginMethod(id), _) => Some(id),
        (_, Test::Text(TextTest { provider, .. })) => provider,
        _ => None,
    }
}

/// Returns the login methods that a misspelt id may mean; none if it resembles no id.
pub(crate) fn meant_methods<'a>(id: &str, known: &[&'a str]) -> Vec<&'a str> {
    // The default id of the one-time PIN means it, whatever its id is.
    match closest(id, known.iter().copied().chain([ONE_TIME_PIN])) {
        Some(meant) => match known.iter().find(|known| **known == meant) {
            Some(meant) => vec![meant],
            None => known.to_vec(),
        },
        None => Vec::new(),
    }
}

/// The type of the one-time PIN, and its default id.
const ONE_TIME_PIN: &str = "onetimepin";

#[cfg(all(test, feature = "config"))]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reach(kind: &str, rule: Value) -> Reach {
        let rule: Rule = serde_json::from_value(rule).unwrap();
        let Test::Text(test) = rule.test() else { panic!("{rule:?}") };
        MethodInfo { id: "corp", kind, name: "Corp" }.reach(&test)
    }

    const KINDS: [&str; 6] = ["onetimepin", "github", "saml", "google-apps", "azureAD", "oidc"];

    #[test]
    fn each_type_of_login_has_its_facts() {
        let (yes, no, open) = (Reach::Some, Reach::Nobody, Reach::Unknown);
        for (rule, expected) in [
            (json!({"login_method": {"id": "corp"}}), [yes; 6]),
            (json!({"login_method": {"id": "other"}}), [no; 6]),
            (json!({"auth_method": {"auth_method": "mfa"}}), [no, open, yes, yes, yes, yes]),
            (json!({"auth_method": {"auth_method": "otp"}}), [yes, open, yes, yes, yes, yes]),
            (
                json!({"auth_context": {"id": "x", "ac_id": "c1", "identity_provider_id": "corp"}}),
                [no, open, yes, yes, yes, yes],
            ),
            (json!({"azureAD": {"id": "g"}}), [no, open, open, open, yes, yes]),
            (json!({"gsuite": {"email": "a@b.example"}}), [no, open, open, open, yes, yes]),
            (json!({"okta": {"name": "Ops"}}), [no, open, yes, open, yes, yes]),
            (
                json!({"okta": {"name": "Ops", "identity_provider_id": "corp"}}),
                [no, open, yes, open, yes, yes],
            ),
            (json!({"okta": {"name": "Ops", "identity_provider_id": "other"}}), [no; 6]),
            (json!({"github-organization": {"name": "acme"}}), [no, yes, open, open, open, open]),
            (
                json!({"oidc": {"claim_name": "a", "claim_value": "b"}}),
                [open, open, open, yes, yes, yes],
            ),
            (
                json!({"saml": {"attribute_name": "a", "attribute_value": "b"}}),
                [open, open, yes, open, open, open],
            ),
            (json!({"cloudflare_account_member": {}}), [no; 6]),
        ] {
            let found = KINDS.map(|kind| reach(kind, rule.clone()));
            assert_eq!(found, expected, "{rule}");
        }
    }

    #[test]
    fn a_misspelt_method_means_the_closest_one() {
        let known = ["corp", "github"];
        assert_eq!(meant_methods("gihub", &known), ["github"]);
        assert_eq!(meant_methods("Corp", &known), ["corp"]);
        assert_eq!(meant_methods("one-time-pin", &["code"]), ["code"]);
        assert_eq!(meant_methods("onetimepin", &known), ["corp", "github"]);
        assert_eq!(meant_methods("4b7828f2-cfcf-52c7", &known), [""; 0]);
    }
}
