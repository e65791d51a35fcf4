//! Lists of email addresses and networks.

use ipnet::IpNet;
use serde::de::{self, Deserializer, IgnoredAny};
use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::identity::Email;

use super::object::Object;
use super::rule::{Network, RuleError, parse_network};

/// A named list of email addresses or of networks that rules refer to by id (section 9.3).
///
/// ```
/// use tower_access::policy::List;
///
/// let board = List::emails("board", ["ada@example.com".parse()?]);
/// let offices: List = serde_json::from_str(
///     r#"{"name": "offices", "type": "IP", "items": [{"value": "192.0.2.0/24"}, "2001:db8::/32"]}"#,
/// )?;
/// assert_eq!(offices.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct List {
    /// The id that rules refer to. Default: the name.
    pub id: Option<Box<str>>,
    /// The display name.
    pub name: Box<str>,
    /// The entries.
    pub items: ListItems,
}

/// The entries of a list.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ListItems {
    /// Email addresses: type `EMAIL`.
    Emails(Vec<Email>),
    /// Networks: type `IP`.
    Networks(Vec<IpNet>),
}

impl List {
    /// Creates a list of email addresses.
    #[must_use]
    pub fn emails(name: impl Into<Box<str>>, emails: impl IntoIterator<Item = Email>) -> Self {
        Self { id: None, name: name.into(), items: ListItems::Emails(emails.into_iter().collect()) }
    }

    /// Creates a list of networks. Host bits are dropped.
    #[must_use]
    pub fn networks(name: impl Into<Box<str>>, networks: impl IntoIterator<Item = IpNet>) -> Self {
        let networks = networks.into_iter().map(|network| network.trunc()).collect();
        Self { id: None, name: name.into(), items: ListItems::Networks(networks) }
    }

    /// Sets the id that rules refer to. Default: the name.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Returns the id that rules refer to: the name if it has none.
    #[must_use]
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.name)
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.items {
            ListItems::Emails(emails) => emails.len(),
            ListItems::Networks(networks) => networks.len(),
        }
    }

    /// Returns whether the list has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A list in JSON or YAML, with the exported keys that do not affect access.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "a list")]
struct Document {
    #[serde(default)]
    id: Option<Box<str>>,
    name: Box<str>,
    #[serde(rename = "type")]
    kind: Kind,
    items: Vec<Item>,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "count")]
    _count: IgnoredAny,
    #[serde(default, rename = "list_count")]
    _list_count: IgnoredAny,
    #[serde(default, rename = "created_at")]
    _created_at: IgnoredAny,
    #[serde(default, rename = "updated_at")]
    _updated_at: IgnoredAny,
}

#[derive(Clone, Copy, Deserialize, Serialize)]
enum Kind {
    #[serde(rename = "EMAIL")]
    Email,
    #[serde(rename = "IP")]
    Ip,
}

/// An entry: the text, or an object with the text and a description.
#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Text(String),
    Object(Object<ItemObject>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemObject {
    value: String,
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "created_at")]
    _created_at: IgnoredAny,
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Object(Document { id, name, kind, items, .. }) = Object::deserialize(deserializer)?;
        let texts = items.into_iter().map(|item| match item {
            Item::Text(text) => text,
            Item::Object(Object(item)) => item.value,
        });
        let refuse = |text: &str, error: RuleError| {
            let shown: String = text.chars().take(80).collect();
            de::Error::custom(format_args!("`{}`: {error}", shown.escape_debug()))
        };
        let items = match kind {
            Kind::Email => ListItems::Emails(
                texts
                    .map(|text| {
                        text.parse().map_err(|error: _| refuse(&text, RuleError::Email(error)))
                    })
                    .collect::<Result<_, _>>()?,
            ),
            Kind::Ip => ListItems::Networks(
                texts
                    .map(|text| {
                        parse_network(&text).ok_or_else(|| refuse(&text, RuleError::Network))
                    })
                    .collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self { id, name, items })
    }
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_struct("List", 4)?;
        if let Some(id) = &self.id {
            list.serialize_field("id", id)?;
        }
        list.serialize_field("name", &self.name)?;
        match &self.items {
            ListItems::Emails(emails) => {
                list.serialize_field("type", &Kind::Email)?;
                list.serialize_field("items", emails)?;
            }
            ListItems::Networks(networks) => {
                list.serialize_field("type", &Kind::Ip)?;
                let texts: Vec<Network> = networks.iter().copied().map(Network).collect();
                list.serialize_field("items", &texts)?;
            }
        }
        list.end()
    }
}
