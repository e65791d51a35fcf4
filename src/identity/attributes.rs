//! Attributes of a user other than the email address.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};
use serde::{Deserialize, Serialize};

/// Attributes of a user other than the email address, from the login method and other sources.
///
/// `None` is a missing fact: a rule that needs it counts as not met if meeting it would grant access,
/// and as met if meeting it would refuse access. An empty list is a known fact: the user is in no group.
///
/// ```
/// use tower_access::identity::{Attributes, LoginMethod};
///
/// let mut ada = Attributes::default();
/// ada.login_method = Some(LoginMethod { id: "0d9c3a4e".into(), kind: "oidc".into() });
/// ada.oidc_claims = Some([("department", "r-and-d")].into_iter().collect());
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Attributes {
    /// The login method of the latest login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_method: Option<LoginMethod>,
    /// The authentication methods (`amr`): values of RFC 8176 or of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_methods: Option<Vec<Box<str>>>,
    /// The authentication contexts that the login satisfied (`acrs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication_contexts: Option<Vec<Box<str>>>,
    /// The user's groups at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<ProviderGroup>>,
    /// The GitHub organizations that the user is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<Organization>>,
    /// Whether the user may be a member of further organizations: then no other one is known to be absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub organizations_are_partial: bool,
    /// Claims of the provider's ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_claims: Option<ClaimValues>,
    /// Attributes of the provider's SAML assertion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saml_attributes: Option<ClaimValues>,
    /// The Cloudflare accounts that the user is a member of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Box<str>>>,
    /// The user's risk level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskLevel>,
}

impl Attributes {
    /// Creates the attributes of a login with a one-time PIN. Such a user is known to have no groups; claims
    /// are unknown. `id` is that of the login method.
    pub(crate) fn one_time_pin(id: &str) -> Self {
        Self {
            login_method: Some(LoginMethod { id: id.into(), kind: "onetimepin".into() }),
            authentication_methods: Some(vec!["otp".into()]),
            authentication_contexts: Some(Vec::new()),
            groups: Some(Vec::new()),
            organizations: Some(Vec::new()),
            accounts: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Fills in missing attributes from another source.
    pub(crate) fn fill_missing_from(&mut self, other: &Self) {
        fn take<T: Clone>(known: &mut Option<T>, other: &Option<T>) {
            if known.is_none() {
                known.clone_from(other);
            }
        }
        take(&mut self.login_method, &other.login_method);
        take(&mut self.authentication_methods, &other.authentication_methods);
        take(&mut self.authentication_contexts, &other.authentication_contexts);
        take(&mut self.groups, &other.groups);
        if self.organizations.is_none() {
            self.organizations_are_partial = other.organizations_are_partial;
        }
        take(&mut self.organizations, &other.organizations);
        take(&mut self.accounts, &other.accounts);
        take(&mut self.risk, &other.risk);
        for (known, other) in [
            (&mut self.oidc_claims, &other.oidc_claims),
            (&mut self.saml_attributes, &other.saml_attributes),
        ] {
            match (known.as_mut(), other) {
                (Some(known), Some(other)) => known.fill_missing_from(other),
                _ => take(known, other),
            }
        }
    }
}

/// A login method: an identity provider, or the one-time PIN.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LoginMethod {
    /// The id that rules name.
    pub id: Box<str>,
    /// The type, such as `onetimepin`, `oidc`, `saml`, `azureAD`, `github`, `okta`, `cloudflare`.
    pub kind: Box<str>,
}

/// A group at an identity provider, identified by one or more of these.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProviderGroup {
    /// The id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Box<str>>,
    /// The name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Box<str>>,
    /// The email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Box<str>>,
}

/// A GitHub organization.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Organization {
    /// The name.
    pub name: Box<str>,
    /// The teams in it that the user is a member of; `None` if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<Box<str>>>,
}

/// A user's risk level.
#[derive(
    Clone, Copy, Debug, serde::Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Low risk.
    Low,
    /// Medium risk.
    Medium,
    /// High risk.
    High,
    /// Not scored yet.
    Unscored,
}

impl RiskLevel {
    /// All levels.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Unscored];

    /// Returns the level's name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Unscored => "unscored",
        }
    }
}

/// Claims or attributes by name, each with one or more texts.
///
/// Values that are not texts (numbers, `true`, objects) are never compared with a text: only the texts of
/// such a claim are known.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClaimValues(BTreeMap<Box<str>, Values>);

#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Values {
    texts: Vec<Box<str>>,
    /// Whether there were values that are not texts, or too many values.
    has_others: bool,
}

/// The result of comparing a claim with a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ClaimMatch {
    /// The claim has this value.
    Yes,
    /// The claim is present without this value.
    No,
    /// The claim is absent, or has values that cannot be compared.
    Unknown,
}

impl ClaimValues {
    /// Adds a value to a claim, which stores at most 1,000 values.
    pub fn insert(&mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) {
        self.0.entry(name.into()).or_default().push(value.into());
    }

    /// Reads claims that are hints in a token: best effort, and truncated if long. A list may have been
    /// longer, so a value is never known to be absent.
    pub(crate) fn from_hints(members: &serde_json::Map<String, serde_json::Value>) -> Self {
        let values = |value: &serde_json::Value| {
            let mut values = Values::deserialize(value).ok()?;
            values.has_others |= value.is_array();
            Some(values)
        };
        let claims = members.iter();
        Self(
            claims.filter_map(|(name, value)| Some((Box::from(&**name), values(value)?))).collect(),
        )
    }

    /// Adds the claims of another source that are absent here.
    fn fill_missing_from(&mut self, other: &Self) {
        for (name, values) in &other.0 {
            if self.named(name).next().is_none() {
                self.0.insert(name.clone(), values.clone());
            }
        }
    }

    /// Compares a claim with a whole value. The name `groups` is compared without letter case.
    pub(crate) fn says(&self, name: &str, value: &str) -> ClaimMatch {
        self.says_any(name, |text| text == value)
    }

    pub(crate) fn says_any(&self, name: &str, mut is_it: impl FnMut(&str) -> bool) -> ClaimMatch {
        let (mut is_there, mut has_others) = (false, false);
        for values in self.named(name) {
            is_there = true;
            has_others |= values.has_others;
            if values.texts.iter().any(|text| is_it(text)) {
                return ClaimMatch::Yes;
            }
        }
        if is_there && !has_others { ClaimMatch::No } else { ClaimMatch::Unknown }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Values> {
        let folded = name.eq_ignore_ascii_case("groups");
        let exact = if folded { None } else { self.0.get(name) };
        let all = folded.then_some(&self.0).into_iter().flatten();
        all.filter(|(key, _)| key.eq_ignore_ascii_case("groups"))
            .map(|(_, values)| values)
            .chain(exact)
    }
}

impl Values {
    fn push(&mut self, value: Box<str>) {
        if self.texts.len() < MAX_VALUES_PER_CLAIM {
            self.texts.push(value);
        } else {
            self.has_others = true;
        }
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for ClaimValues {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(claims: I) -> Self {
        let mut values = Self::default();
        for (name, value) in claims {
            values.insert(name, value);
        }
        values
    }
}

/// Writes each claim as a text or a list of texts. A `null` in a list stands for values that cannot be
/// compared.
impl Serialize for ClaimValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut claims = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            claims.serialize_entry(name, values)?;
        }
        claims.end()
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let ([text], false) = (&*self.texts, self.has_others) {
            return serializer.serialize_str(text);
        }
        let mut list = serializer.serialize_seq(None)?;
        for text in &self.texts {
            list.serialize_element(text)?;
        }
        if self.has_others {
            list.serialize_element(&())?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for ClaimValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Reads a text, a list of texts, or any value that is present and cannot be compared.
struct OneOrMany;

impl OneOrMany {
    fn other<E>() -> Result<Values, E> {
        Ok(Values { texts: Vec::new(), has_others: true })
    }
}

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Values;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Values, E> {
        Ok(Values { texts: vec![text.into()], has_others: false })
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Values, E> {
        Self::other()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Values, E> {
        Self::other()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Values, E> {
        Self::other()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Values, E> {
        Self::other()
    }

    fn visit_unit<E: de::Error>(self) -> Result<Values, E> {
        Self::other()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
        let mut values = Values::default();
        while let Some(element) = list.next_element::<Element>()? {
            match element.0 {
                Some(text) => values.push(text),
                None => values.has_others = true,
            }
        }
        Ok(values)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Self::other()
    }
}

/// An element of a list: a text, or something else.
struct Element(Option<Box<str>>);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(Some(text.into()))),
            _ => Ok(Self(None)),
        }
    }
}

/// Most values of one claim: they are compared on every request.
const MAX_VALUES_PER_CLAIM: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(json: &str) -> ClaimValues {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn pol_07_claims_are_compared_by_type_and_as_a_whole() {
        let claims = claims(
            r#"{"one":"ops","many":["ops","dev"],"number":7,"mixed":["ops",7],"nested":{"a":"ops"},
                "nothing":null,"empty":[],"GROUPS":["g"],"Groups":["h"]}"#,
        );
        for (name, value, expected) in [
            ("one", "ops", ClaimMatch::Yes),
            ("one", "op", ClaimMatch::No),
            ("one", "OPS", ClaimMatch::No),
            ("One", "ops", ClaimMatch::Unknown),
            ("many", "dev", ClaimMatch::Yes),
            ("many", "ops,dev", ClaimMatch::No),
            ("number", "7", ClaimMatch::Unknown),
            ("mixed", "ops", ClaimMatch::Yes),
            ("mixed", "7", ClaimMatch::Unknown),
            ("nested", "ops", ClaimMatch::Unknown),
            ("nothing", "", ClaimMatch::Unknown),
            ("empty", "ops", ClaimMatch::No),
            ("missing", "ops", ClaimMatch::Unknown),
            ("groups", "g", ClaimMatch::Yes),
            ("gROUPS", "h", ClaimMatch::Yes),
            ("groups", "x", ClaimMatch::No),
        ] {
            assert_eq!(claims.says(name, value), expected, "{name} {value}");
        }
    }

    #[test]
    fn pol_07_ten_thousand_values_are_bounded_and_never_forgotten() {
        let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
        let claims: ClaimValues =
            serde_json::from_value(serde_json::json!({ "many": many })).unwrap();
        assert_eq!(claims.says("many", "7"), ClaimMatch::Yes);
        assert_eq!(claims.says("many", "9999"), ClaimMatch::Unknown);
    }

    #[test]
    fn claims_are_the_same_after_they_were_written() {
        let claims = claims(
            r#"{"one":"ops","many":["ops","dev"],"number":7,"mixed":["ops",7],"nothing":null,"empty":[]}"#,
        );
        let text = serde_json::to_string(&claims).unwrap();
        assert_eq!(serde_json::from_str::<ClaimValues>(&text).unwrap(), claims, "{text}");
        let many: ClaimValues = (0..2_000).map(|number| ("many", number.to_string())).collect();
        let text = serde_json::to_string(&many).unwrap();
        assert_eq!(serde_json::from_str::<ClaimValues>(&text).unwrap(), many);
    }

    #[test]
    fn hints_never_say_that_a_list_has_no_such_value() {
        let hints = serde_json::json!({ "groups": ["ops"], "department": "r-and-d", "empty": [] });
        let claims = ClaimValues::from_hints(hints.as_object().unwrap());
        for (name, value, expected) in [
            ("groups", "ops", ClaimMatch::Yes),
            ("groups", "dev", ClaimMatch::Unknown),
            ("department", "r-and-d", ClaimMatch::Yes),
            ("department", "dev", ClaimMatch::No),
            ("empty", "ops", ClaimMatch::Unknown),
        ] {
            assert_eq!(claims.says(name, value), expected, "{name} {value}");
        }
    }

    #[test]
    fn what_one_source_says_the_other_does_not_add_to() {
        let mut told = Attributes {
            oidc_claims: Some(claims(r#"{"groups":["ops"],"level":"1"}"#)),
            groups: Some(Vec::new()),
            ..Attributes::default()
        };
        let token = Attributes {
            oidc_claims: Some(claims(r#"{"Groups":["dev"],"level":"2","more":"x"}"#)),
            saml_attributes: Some(claims(r#"{"more":"x"}"#)),
            groups: Some(vec![ProviderGroup::default()]),
            ..Attributes::default()
        };
        told.fill_missing_from(&token);
        let oidc = told.oidc_claims.as_ref().unwrap();
        assert_eq!(oidc.says("groups", "dev"), ClaimMatch::No);
        assert_eq!(oidc.says("level", "2"), ClaimMatch::No);
        assert_eq!(oidc.says("more", "x"), ClaimMatch::Yes);
        assert_eq!(told.saml_attributes, token.saml_attributes);
        assert_eq!(told.groups, Some(Vec::new()));
    }
}
