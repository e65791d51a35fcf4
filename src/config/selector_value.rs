//! What to write where a rule's selector has no mapping for its value.

use crate::policy::Selector;

use super::tree::{Node, Value};

/// The sentence for a selector's value that is no mapping; `None` for another key.
pub(super) fn hint(key: &str, node: &Node) -> Option<String> {
    let selector = Selector::from_key(key)?;
    if matches!(node.value, Value::Mapping(_)) {
        return None;
    }
    let found = node.value.kind();
    let shape = match field(selector) {
        Field::Nothing => format!("{key}: {{}}"),
        Field::Text(field) => {
            let value = node.text().filter(|text| is_plain(text)).unwrap_or("…");
            format!("{key}: {{ {field}: {value} }}")
        }
        Field::Shape(shape) => format!("{key}: {{ {shape} }}"),
    };
    Some(format!("found {found}, expected a mapping; write `{shape}`"))
}

enum Field {
    Nothing,
    Text(&'static str),
    Shape(&'static str),
}

fn field(selector: Selector) -> Field {
    Field::Text(match selector {
        Selector::Everyone | Selector::Certificate | Selector::AnyValidServiceToken => {
            return Field::Nothing;
        }
        Selector::Email | Selector::GsuiteGroup => "email",
        Selector::EmailDomain => "domain",
        Selector::EmailList
        | Selector::IpList
        | Selector::Group
        | Selector::LoginMethod
        | Selector::AzureGroup
        | Selector::AuthContext => "id",
        Selector::Ip => "ip",
        Selector::Geo => "country_code",
        Selector::CommonName => "common_name",
        Selector::ServiceToken => "token_id",
        Selector::LinkedAppToken => "app_uid",
        Selector::AuthMethod => "auth_method",
        Selector::GithubOrganization | Selector::OktaGroup => "name",
        Selector::DevicePosture => "integration_uid",
        Selector::CloudflareAccountMember => "account_id",
        Selector::Saml => return Field::Shape("attribute_name: …, attribute_value: …"),
        Selector::Oidc => return Field::Shape("claim_name: …, claim_value: …"),
        Selector::ExternalEvaluation => return Field::Shape("evaluate_url: …, keys_url: …"),
        Selector::UserRiskScore => return Field::Shape("user_risk_score: [ low ]"),
    })
}

/// Whether YAML reads a text as itself without quotes.
fn is_plain(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@._-/".contains(&byte))
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}
