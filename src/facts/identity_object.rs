//! The identity object: an issuer's data about a user (section 12 of the contract).
//!
//! Parsed leniently, member by member: a missing or malformed member makes only
//! its own facts unknown. It never makes them known and empty.

use serde_json::{Map, Value};

use crate::identity::{Attributes, ClaimValues, Email, LoginMethod, Organization, ProviderGroup};
use crate::policy::DevicePosture;

/// The facts about a user from the identity object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct IdentityObject {
    pub(crate) email: Option<Email>,
    pub(crate) attributes: Attributes,
    pub(crate) device_posture: Option<DevicePosture>,
}

impl IdentityObject {
    /// Parses the JSON text; `None` if it is not an object.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        match serde_json::from_slice(json).ok()? {
            Value::Object(members) => Some(Self::from_members(&members)),
            _ => None,
        }
    }

    pub(crate) fn from_members(members: &Map<String, Value>) -> Self {
        let login_method = members.get("idp").and_then(login_method);
        let kind = login_method.as_ref().map(|method| &*method.kind);
        let attributes = Attributes {
            groups: members.get("groups").and_then(|groups| all_groups(groups, kind)),
            authentication_methods: members.get("amr").and_then(texts),
            authentication_contexts: members.get("acrs").and_then(texts),
            organizations: members.get("organizations").and_then(organizations),
            organizations_are_partial: members
                .get("organizations_are_partial")
                .is_some_and(|flag| *flag != Value::Bool(false)),
            oidc_claims: members.get("oidc_fields").and_then(claims),
            saml_attributes: members.get("saml_attributes").and_then(claims),
            login_method,
            ..Attributes::default()
        };
        Self {
            email: members.get("email").and_then(|email| email.as_str()?.parse().ok()),
            attributes,
            device_posture: members.get("devicePosture").and_then(device_posture),
        }
    }
}

/// Requires both parts: rules compare either.
fn login_method(value: &Value) -> Option<LoginMethod> {
    let part = |name| value.get(name).and_then(text);
    Some(LoginMethod { id: part("id")?, kind: part("type")? })
}

fn all_groups(value: &Value, kind: Option<&str>) -> Option<Vec<ProviderGroup>> {
    bounded(value.as_array()?)?.iter().map(|value| group(value, kind)).collect()
}

/// An object, or a string: the provider determines which of the group's names it is.
fn group(value: &Value, kind: Option<&str>) -> Option<ProviderGroup> {
    if let Some(text) = text(value) {
        let named = Some(text);
        return Some(match kind {
            Some("azureAD") => ProviderGroup { id: named, ..ProviderGroup::default() },
            Some("google" | "google-apps" | "gsuite") => {
                ProviderGroup { email: named, ..ProviderGroup::default() }
            }
            _ => ProviderGroup { name: named, ..ProviderGroup::default() },
        });
    }
    let members = value.as_object()?;
    // A part that is present but not a string does not count as absent.
    let part = |name| match members.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(text)) if text.is_empty() => Some(None),
        Some(other) => text(other).map(Some),
    };
    let group = ProviderGroup { id: part("id")?, name: part("name")?, email: part("email")? };
    let says_something = group != ProviderGroup::default();
    says_something.then_some(group)
}

/// As this crate writes them. Teams that are absent are unknown.
fn organizations(value: &Value) -> Option<Vec<Organization>> {
    bounded(value.as_array()?)?;
    serde_json::from_value(value.clone()).ok()
}

fn claims(value: &Value) -> Option<ClaimValues> {
    bounded_map(value.as_object()?)?;
    serde_json::from_value(value.clone()).ok()
}

/// Reads the results of a device; none mean that it passed no check. One unreadable result makes all
/// unknown.
fn device_posture(value: &Value) -> Option<DevicePosture> {
    bounded_map(value.as_object()?)?
        .iter()
        .map(|(id, check)| Some((id.as_str().into(), check.get("success")?.as_bool()?)))
        .collect()
}

fn texts(value: &Value) -> Option<Vec<Box<str>>> {
    bounded(value.as_array()?)?.iter().map(text).collect()
}

fn text(value: &Value) -> Option<Box<str>> {
    value.as_str().map(Box::from)
}

fn bounded(list: &[Value]) -> Option<&[Value]> {
    (list.len() <= MAX_ENTRIES).then_some(list)
}

fn bounded_map(members: &Map<String, Value>) -> Option<&Map<String, Value>> {
    (members.len() <= MAX_ENTRIES).then_some(members)
}

/// A longer list is unknown.
const MAX_ENTRIES: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> IdentityObject {
        IdentityObject::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn organizations_are_read_as_they_are_written() {
        let read = |more: Value| {
            let mut object = json!({ "email": "ada@example.com" });
            object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let attributes = read(&object).attributes;
            (attributes.organizations, attributes.organizations_are_partial)
        };
        let organization = |name: &str, teams: Option<&[&str]>| Organization {
            name: name.into(),
            teams: teams.map(|teams| teams.iter().map(|team| (*team).into()).collect()),
        };
        let both = vec![organization("acme", Some(&["ops"])), organization("club", None)];
        let written = json!(both);
        assert_eq!(read(json!({ "organizations": written })), (Some(both.clone()), false));
        for flag in [json!(true), json!(null), json!("no")] {
            let object = json!({ "organizations": written, "organizations_are_partial": flag });
            assert_eq!(read(object), (Some(both.clone()), true));
        }
        assert_eq!(read(json!({})), (None, false));
        for unreadable in [json!(null), json!("acme"), json!(["acme"]), json!([{ "teams": [] }])] {
            assert_eq!(read(json!({ "organizations": unreadable })), (None, false));
        }
        let unknown_teams = json!([{ "name": "acme", "teams": null }]);
        let acme = vec![organization("acme", None)];
        assert_eq!(read(json!({ "organizations": unknown_teams })), (Some(acme), false));
    }

    #[test]
    fn the_object_of_the_contract_is_read() {
        let object = read(&json!({
            "id": "00u1abcd", "name": "Ada L", "email": "Ada@example.com",
            "amr": ["pwd", "mfa"], "acrs": ["c1"],
            "groups": [{ "id": "g-1", "name": "Ops", "email": "ops@example.com" }, "plain"],
            "oidc_fields": { "department": "r-and-d" },
            "saml_attributes": {},
            "idp": { "id": "0d9c3a4e", "type": "oidc" },
            "devicePosture": {
                "a1b2": { "id": "a1b2", "success": true, "check": { "exists": true } },
                "c3d4": { "success": false },
            },
            "version": 2,
        }));
        assert_eq!(object.email.unwrap().as_str(), "ada@example.com");
        let known = object.attributes;
        let method = LoginMethod { id: "0d9c3a4e".into(), kind: "oidc".into() };
        assert_eq!(known.login_method, Some(method));
        assert_eq!(known.authentication_methods, Some(vec!["pwd".into(), "mfa".into()]));
        assert_eq!(known.authentication_contexts, Some(vec!["c1".into()]));
        let group = |id: Option<&str>, name: Option<&str>, email: Option<&str>| ProviderGroup {
            id: id.map(Into::into),
            name: name.map(Into::into),
            email: email.map(Into::into),
        };
        let groups = vec![
            group(Some("g-1"), Some("Ops"), Some("ops@example.com")),
            group(None, Some("plain"), None),
        ];
        assert_eq!(known.groups, Some(groups));
        assert_eq!(known.oidc_claims, Some([("department", "r-and-d")].into_iter().collect()));
        assert_eq!(known.saml_attributes, Some(ClaimValues::default()));
        assert_eq!((known.accounts, known.organizations, known.risk), (None, None, None));
        let posture = [("a1b2".into(), true), ("c3d4".into(), false)];
        assert_eq!(object.device_posture, Some(posture.into_iter().collect()));
    }

    #[test]
    fn plain_groups_are_what_their_provider_calls_them() {
        for (kind, expected) in [
            ("azureAD", ProviderGroup { id: Some("g".into()), ..ProviderGroup::default() }),
            ("google-apps", ProviderGroup { email: Some("g".into()), ..ProviderGroup::default() }),
            ("okta", ProviderGroup { name: Some("g".into()), ..ProviderGroup::default() }),
        ] {
            let object = read(&json!({ "idp": { "id": "i", "type": kind }, "groups": ["g"] }));
            assert_eq!(object.attributes.groups, Some(vec![expected]), "{kind}");
        }
    }

    #[test]
    fn pol_06_pol_07_what_is_not_what_it_should_be_is_unknown_and_never_empty() {
        for (member, values) in [
            ("idp", json!([7, "x", null, [], {}, { "id": "a" }, { "id": 7, "type": "oidc" }])),
            ("amr", json!([7, "pwd", null, {}, ["pwd", 7], [["pwd"]], vec!["x"; 10_001]])),
            ("acrs", json!([7, "c1", null, {}, ["c1", null]])),
            (
                "groups",
                json!([7, "ops", null, {}, [7], [null], [{}], [{ "id": 7 }], ["a", { "name": [] }]]),
            ),
            ("oidc_fields", json!([7, "x", null, [], ["a"]])),
            ("saml_attributes", json!([7, "x", null, [["a", "b"]]])),
            (
                "devicePosture",
                json!([7, [], null, { "a": true }, { "a": {} }, { "a": { "success": "true" } }]),
            ),
            ("email", json!([7, null, {}, "no address"])),
        ] {
            for value in values.as_array().unwrap() {
                let mut members = Map::new();
                members.insert(member.to_owned(), value.clone());
                let object = IdentityObject::from_members(&members);
                assert_eq!(object, IdentityObject::default(), "{member}: {value:.100}");
            }
        }
        for text in ["", "[]", "7", "null", "{", "\"x\""] {
            assert!(IdentityObject::parse(text.as_bytes()).is_none(), "{text}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z@.]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            let key = prop_oneof![
                Just("id"),
                Just("type"),
                Just("name"),
                Just("email"),
                Just("success"),
                Just("x")
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..5).prop_map(|members| {
                    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
                }),
            ]
        })
    }

    proptest! {
        /// Whatever a member is, the others are what they would be without it.
        #[test]
        fn no_member_takes_another_one_along(junk in any_json(), which in 0_usize..7) {
            let members = ["idp", "amr", "acrs", "groups", "oidc_fields", "saml_attributes", "devicePosture"];
            let good = json!({
                "idp": { "id": "i", "type": "okta" }, "amr": ["mfa"], "acrs": ["c1"], "groups": ["g"],
                "oidc_fields": { "a": "b" }, "saml_attributes": { "a": "b" },
                "devicePosture": { "a": { "success": true } },
            });
            let mut changed = good.clone();
            changed[members[which]] = junk;
            let (good, mut changed) = (read(&good), read(&changed));
            match which {
                0 => changed.attributes.login_method = good.attributes.login_method.clone(),
                1 => changed.attributes.authentication_methods = good.attributes.authentication_methods.clone(),
                2 => changed.attributes.authentication_contexts = good.attributes.authentication_contexts.clone(),
                4 => changed.attributes.oidc_claims = good.attributes.oidc_claims.clone(),
                5 => changed.attributes.saml_attributes = good.attributes.saml_attributes.clone(),
                6 => changed.device_posture = good.device_posture.clone(),
                _ => {}
            }
            // What a plain group is called depends on the provider.
            changed.attributes.groups = good.attributes.groups.clone();
            prop_assert_eq!(changed, good);
        }
    }
}
