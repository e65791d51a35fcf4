//! Recognises the API's objects by their shape.

use serde_json::{Map, Value};

/// The kind of an object.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    Application,
    Policy,
    Group,
    List,
    /// Entries of a list, without the list.
    Items,
    ServiceToken,
    IdentityProvider,
    Organization,
}

impl Kind {
    /// Returns the kind of an object; `None` if it is unknown.
    pub(super) fn from_object(object: &Map<String, Value>) -> Option<Self> {
        let has = |key: &str| object.get(key).is_some_and(|value| !value.is_null());
        let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
        if has("decision") {
            return Some(Self::Policy);
        }
        let is_application = has("aud")
            || has("destinations")
            || has("self_hosted_domains")
            || has("domain") && (has("name") || has("policies"))
            || APPLICATION_TYPES.contains(&kind);
        let found = if is_application {
            Self::Application
        } else if LIST_TYPES.contains(&kind) {
            Self::List
        } else if PROVIDER_TYPES.contains(&kind) || !kind.is_empty() && has("config") {
            Self::IdentityProvider
        } else if has("client_id") {
            Self::ServiceToken
        } else if has("auth_domain") {
            Self::Organization
        } else if has("include") {
            Self::Group
        } else {
            return None;
        };
        Some(found)
    }

    /// Whether this is an entry of a list: a value with remarks, without a name.
    pub(super) fn is_item(value: &Value) -> bool {
        value.as_object().is_some_and(|item| {
            item.get("value").is_some_and(Value::is_string)
                && item
                    .keys()
                    .all(|key| matches!(key.as_str(), "value" | "description" | "created_at"))
        })
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Policy => "policy",
            Self::Group => "group",
            Self::List => "list",
            Self::Items => "list entries",
            Self::ServiceToken => "service token",
            Self::IdentityProvider => "identity provider",
            Self::Organization => "organization",
        }
    }
}

/// Section 7.1 of the contract.
const APPLICATION_TYPES: &[&str] = &[
    "self_hosted",
    "saas",
    "ssh",
    "vnc",
    "rdp",
    "infrastructure",
    "app_launcher",
    "warp",
    "biso",
    "bookmark",
    "dash_sso",
    "mcp",
    "mcp_portal",
    "proxy_endpoint",
    "end_user",
];

/// Section 9.3 of the contract.
const LIST_TYPES: &[&str] =
    &["EMAIL", "IP", "SERIAL", "URL", "DOMAIN", "CATEGORY", "LOCATION", "DEVICE", "AAGUID"];

/// Section 16 of the contract.
const PROVIDER_TYPES: &[&str] = &[
    "onetimepin",
    "azureAD",
    "saml",
    "centrify",
    "facebook",
    "github",
    "google-apps",
    "google",
    "linkedin",
    "oidc",
    "okta",
    "onelogin",
    "pingone",
    "yandex",
    "cloudflare",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_has_its_kind() {
        for (json, kind) in [
            (r#"{"id":"1","aud":"7a","type":"self_hosted"}"#, Some(Kind::Application)),
            (r#"{"id":"1","type":"saas","name":"x"}"#, Some(Kind::Application)),
            (r#"{"name":"x","domain":"a.example"}"#, Some(Kind::Application)),
            (r#"{"destinations":[],"type":"new_type"}"#, Some(Kind::Application)),
            (r#"{"decision":"allow","include":[]}"#, Some(Kind::Policy)),
            (r#"{"decision":"permit"}"#, Some(Kind::Policy)),
            (r#"{"id":"1","name":"g","include":[]}"#, Some(Kind::Group)),
            (r#"{"id":"1","name":"l","type":"EMAIL","count":1}"#, Some(Kind::List)),
            (r#"{"id":"1","name":"l","type":"SERIAL"}"#, Some(Kind::List)),
            (r#"{"id":"1","client_id":"x.access"}"#, Some(Kind::ServiceToken)),
            (r#"{"type":"oidc","config":{"client_id":"x"}}"#, Some(Kind::IdentityProvider)),
            (r#"{"type":"onetimepin","config":{}}"#, Some(Kind::IdentityProvider)),
            (r#"{"type":"newprovider","config":{}}"#, Some(Kind::IdentityProvider)),
            (r#"{"auth_domain":"acme.cloudflareaccess.com","name":"A"}"#, Some(Kind::Organization)),
            (r#"{"id":"1","name":"tunnel"}"#, None),
            (r#"{"decision":null}"#, None),
            ("{}", None),
        ] {
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(Kind::from_object(value.as_object().unwrap()), kind, "{json}");
        }
    }
}
