//! A policy as it is written down.

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
    /// Access for a person who has logged in.
    Allow,
    /// Refusal; later policies are not looked at.
    Deny,
    /// The request goes on without any check or identity.
    Bypass,
    /// "Service Auth": access without a login, for service tokens and network rules.
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

/// A decision and the rules under which it is taken: Cloudflare's policy object (section 8.1).
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
/// Parts of a policy that are not supported yet (approval, purpose justification, isolation, MFA)
/// are refused by name when they are switched on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Object<Document>")]
pub struct Policy {
    /// The policy's id; its name when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// What people call it.
    pub name: Box<str>,
    /// What it does.
    pub decision: Decision,
    /// Lower goes first. Left out: the position in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precedence: Option<u32>,
    /// When it applies.
    #[serde(flatten)]
    pub conditions: Conditions,
    /// How long an application token that this policy allows lives; the application's when `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<GoDuration>,
}

impl Policy {
    /// A policy without rules. It applies to nobody until `include` holds something.
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

    /// Access for people who log in and match.
    #[must_use]
    pub fn allow(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Allow)
    }

    /// Refusal for those who match.
    #[must_use]
    pub fn deny(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Deny)
    }

    /// No check at all for requests that match.
    #[must_use]
    pub fn bypass(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::Bypass)
    }

    /// Access without a login, for service tokens and network rules.
    #[must_use]
    pub fn service_auth(name: impl Into<Box<str>>) -> Self {
        Self::new(name, Decision::NonIdentity)
    }

    /// Adds to `include`.
    #[must_use]
    pub fn include(mut self, rule: Rule) -> Self {
        self.conditions.include.push(rule);
        self
    }

    /// Adds to `require`.
    #[must_use]
    pub fn require(mut self, rule: Rule) -> Self {
        self.conditions.require.push(rule);
        self
    }

    /// Adds to `exclude`.
    #[must_use]
    pub fn exclude(mut self, rule: Rule) -> Self {
        self.conditions.exclude.push(rule);
        self
    }

    /// Sets the position among the policies; lower goes first.
    #[must_use]
    pub fn precedence(mut self, precedence: u32) -> Self {
        self.precedence = Some(precedence);
        self
    }

    /// Sets how long an application token lives that this policy allows.
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration.into());
        self
    }

    /// The policy's id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }
}

/// A policy on the wire.
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
    _approval_required: SwitchedOff,
    #[serde(default, rename = "purpose_justification_required")]
    _purpose_justification_required: SwitchedOff,
    #[serde(default, rename = "isolation_required")]
    _isolation_required: SwitchedOff,
    #[serde(default, rename = "mfa_config")]
    _mfa_config: SwitchedOff,
    // Keys of an export that say nothing about access, or only with the switches above.
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

/// A feature that does not exist here and may only be switched off.
///
/// Ignoring one that is switched on would let people in that it was meant to keep out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SwitchedOff;

impl<'de> Deserialize<'de> for SwitchedOff {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null | serde_json::Value::Bool(false) => Ok(Self),
            _ => Err(de::Error::custom(
                "not supported yet: leave it out (or `false`); ignoring it would open more than it should",
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
