//! Policies as written in a configuration.

use std::fmt;
use std::time::Duration;

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::GoDuration;

use super::conditions::Conditions;
use super::object::Object;
use super::rule::Rule;

/// What a policy does when its rules hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decision {
    /// Grants access to a user who has logged in.
    Allow,
    /// Refuses access; later policies are not evaluated.
    Deny,
    /// Passes the request on without any check or identity.
    Bypass,
    /// "Service Auth": grants access without a login, for service tokens and network rules.
    NonIdentity,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Bypass => "bypass",
            Self::NonIdentity => "non_identity",
        })
    }
}

/// A decision and the rules under which it applies: Cloudflare's policy object (section 8.1).
///
/// Read from JSON or YAML, or built:
///
/// ```
/// use tower_access::policy::{Policy, Rule};
///
/// let staff = Policy::allow("staff").include(Rule::email_domain("example.com")?);
/// let open = Policy::bypass("open").include(Rule::everyone());
/// # Ok::<(), tower_access::policy::RuleError>(())
/// ```
///
/// Reading fails if a policy enables a feature that is not supported yet (approval, purpose
/// justification, isolation, MFA).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Object<Document>")]
#[non_exhaustive]
pub struct Policy {
    /// The policy's id. Default: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The display name.
    pub name: Box<str>,
    /// What the policy does when its conditions are met.
    pub decision: Decision,
    /// The order of evaluation, lowest first. Default: the position in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence: Option<u32>,
    /// The rules under which the policy applies.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// Lifetime of application tokens that this policy allows. Default: that of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<GoDuration>,
}

impl Policy {
    /// Creates a policy without rules. It applies to no request until `include` has a rule.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, decision: Decision) -> Self {
        Self {
            id: None,
            name: name.into(),
            decision,
            precedence: None,
            conditions: Conditions::default(),
            session_duration: None,
        }
    }

    /// Creates a policy that grants access to users who log in and match.
    #[must_use]
    pub fn allow(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Allow)
    }

    /// Creates a policy that refuses access to users who match.
    #[must_use]
    pub fn deny(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Deny)
    }

    /// Creates a policy that passes matching requests on without any check.
    #[must_use]
    pub fn bypass(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Bypass)
    }

    /// Creates a policy that grants access without a login, for service tokens and network rules.
    #[must_use]
    pub fn service_auth(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::NonIdentity)
    }

    /// Sets the id. Default: the name.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Replaces all rules.
    #[must_use]
    pub fn with_conditions(mut self, conditions: Conditions) -> Self {
        self.conditions = conditions;
        self
    }

    /// Adds a rule to `include`.
    #[must_use]
    pub fn include(mut self, rule: Rule) -> Self {
        self.conditions.include.push(rule);
        self
    }

    /// Adds a rule to `require`.
    #[must_use]
    pub fn require(mut self, rule: Rule) -> Self {
        self.conditions.require.push(rule);
        self
    }

    /// Adds a rule to `exclude`.
    #[must_use]
    pub fn exclude(mut self, rule: Rule) -> Self {
        self.conditions.exclude.push(rule);
        self
    }

    /// Sets the order of evaluation, lowest first. Default: the position in the list.
    #[must_use]
    pub fn precedence(mut self, precedence: u32) -> Self {
        self.precedence = Some(precedence);
        self
    }

    /// Sets the lifetime of application tokens that this policy allows. Default: that of the
    /// application.
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration.into());
        self
    }

    /// Returns the policy's id: the name if it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// A policy in JSON or YAML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "a policy")]
struct Document {
    #[serde(default)]
    id: Option<Box<str>>,
    name: Box<str>,
    decision: Decision,
    #[serde(default)]
    precedence: Option<u32>,
    include: Vec<Rule>,
    #[serde(default)]
    require: Vec<Rule>,
    #[serde(default)]
    exclude: Vec<Rule>,
    #[serde(default)]
    session_duration: Option<GoDuration>,
    #[serde(default, rename = "approval_required")]
    _approval_required: UnsupportedSetting,
    #[serde(default, rename = "purpose_justification_required")]
    _purpose_justification_required: UnsupportedSetting,
    #[serde(default, rename = "isolation_required")]
    _isolation_required: UnsupportedSetting,
    #[serde(default, rename = "mfa_config")]
    _mfa_config: UnsupportedSetting,
    // Exported keys that do not affect access, or only together with the features above.
    #[serde(default, rename = "approval_groups")]
    _approval_groups: IgnoredAny,
    #[serde(default, rename = "purpose_justification_prompt")]
    _purpose_justification_prompt: IgnoredAny,
    #[serde(default, rename = "connection_rules")]
    _connection_rules: IgnoredAny,
    #[serde(default, rename = "reusable")]
    _reusable: IgnoredAny,
    #[serde(default, rename = "app_count")]
    _app_count: IgnoredAny,
    #[serde(default, rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    _updated_at: IgnoredAny,
}

impl From<Object<Document>> for Policy {
    fn from(Object(document): Object<Document>) -> Self {
        let Document {
            id,
            name,
            decision,
            precedence,
            include,
            require,
            exclude,
            session_duration,
            ..
        } = document;
        let conditions = Conditions { include, require, exclude };
        Self { id, name, decision, precedence, conditions, session_duration }
    }
}

/// An unsupported feature, which may only be disabled.
///
/// Ignoring an enabled one would admit users whom it is meant to exclude.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UnsupportedSetting;

impl<'de> Deserialize<'de> for UnsupportedSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null | serde_json::Value::Bool(false) => Ok(Self),
            _ => Err(de::Error::custom(
                "not supported yet: remove the key, or set it to `false`; ignoring it would grant more access",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_exported_policy() {
        let policy: Policy = serde_json::from_str(
            r#"{"id":"b7d2","name":"Staff","decision":"allow","precedence":1,
                "include":[{"email_domain":{"domain":"example.com"}}],
                "session_duration":"8h","approval_required":false,"approval_groups":[],
                "purpose_justification_required":false,"isolation_required":false,
                "reusable":true,"app_count":2,"created_at":"2026-01-02T03:04:05Z"}"#,
        )
        .unwrap();
        assert_eq!(policy.id(), "b7d2");
        assert_eq!(policy.decision, Decision::Allow);
        assert_eq!(policy.session_duration.unwrap().get(), Duration::from_secs(8 * 3600));
    }

    #[test]
    fn what_is_not_supported_is_refused_when_switched_on() {
        for key in ["approval_required", "purpose_justification_required", "isolation_required"] {
            let json = format!(r#"{{"name":"x","decision":"allow","include":[],"{key}":true}}"#);
            let error = serde_json::from_str::<Policy>(&json).unwrap_err().to_string();
            assert!(error.contains("not supported yet"), "{error}");
        }
    }

    #[test]
    fn pol_09_unknown_keys_and_decisions_are_refused() {
        for json in [
            r#"{"name":"x","decision":"allow","include":[],"inclued":[]}"#,
            r#"{"name":"x","decision":"permit","include":[]}"#,
            r#"{"name":"x","decision":"allow"}"#,
            r#"{"name":"x","decision":"allow","include":{}}"#,
        ] {
            assert!(serde_json::from_str::<Policy>(json).is_err(), "{json}");
        }
    }
}
