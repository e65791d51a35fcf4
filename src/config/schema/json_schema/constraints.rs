//! Rules about several keys of one level.

use serde_json::{Value, json};

use crate::config::identity_provider::{ProviderConfig, ProviderKind};

/// Returns what the keys of a level must satisfy together, beyond the schema of each.
pub(super) fn constraints(level: &str) -> Option<Vec<Value>> {
    Some(match level {
        "" => vec![json!({ "properties": { "ingress": { "type": "array", "minItems": 1 } } })],
        "access" => vec![
            json!({ "properties": { "applications": { "minItems": 1 } } }),
            excludes("issuer", &OF_A_LOGIN),
        ],
        "access.applications[]" => vec![json!({
            "anyOf": [
                written("domain"),
                any_entry("destinations"),
                any_entry("self_hosted_domains"),
            ],
        })],
        "access.applications[].cors_headers" => vec![
            one_of(&[vec![is_on("allow_all_origins")], vec![any_entry("allowed_origins")]]),
            one_of(&[vec![is_on("allow_all_methods")], vec![any_entry("allowed_methods")]]),
            json!({ "not": { "allOf": [is_on("allow_all_headers"), any_entry("allowed_headers")] } }),
            json!({ "not": { "allOf": [is_on("allow_all_origins"), is_on("allow_credentials")] } }),
        ],
        "access.identity_providers[]" => ProviderKind::ALL.iter().map(of_kind).collect(),
        "access.identity_providers[].config" => vec![
            json!({
                "if": written("client_id"),
                "then": exactly_one_of("client_secret", "client_secret_file"),
            }),
            one_of(&[
                vec![
                    is_on("sign_request"),
                    written("request_key_file"),
                    written("request_certificate_file"),
                ],
                vec![not(&json!({ "anyOf": [
                    is_on("sign_request"),
                    written("request_key_file"),
                    written("request_certificate_file"),
                ] }))],
            ]),
            one_of(&[
                ["auth_url", "token_url", "certs_url"].map(written).to_vec(),
                vec![not(&any_of(&["auth_url", "token_url", "certs_url"]))],
            ]),
        ],
        "access.policies[]" => vec![json!({ "properties": { "include": { "minItems": 1 } } })],
        "access.mail" => vec![one_of(&[
            // `console` alone, without a value, counts.
            vec![json!({ "required": ["console"] })],
            vec![written("smtp")],
            vec![written("maildir")],
            vec![written("webhook")],
        ])],
        "access.mail.webhook" => {
            vec![json!({ "not": { "allOf": [written("token"), written("token_file")] } })]
        }
        "access.mail.template" => ["text", "html"].map(|part| {
            json!({ "not": { "allOf": [written(part), written(&format!("{part}_file"))] } })
        }).to_vec(),
        "access.mail.smtp" => vec![
            json!({ "not": { "allOf": [written("password"), written("password_file")] } }),
            json!({
                "if": written("username"),
                "then": any_of(&["password", "password_file"]),
                "else": not(&any_of(&["password", "password_file"])),
            }),
            json!({
                "if": { "required": ["tls"], "properties": { "tls": { "const": "none" } } },
                "then": not(&written("ca_file")),
            }),
        ],
        "access.facts.certificate_headers" => {
            vec![exactly_one_of("common_name", "distinguished_name")]
        }
        "admin" => vec![exactly_one_of("token_file", "token")],
        "state" => vec![exactly_one_of("file", "redis"), excludes("redis", &["secret_file"])],
        "state.redis" => vec![
            json!({ "if": written("username"), "then": written("password_file") }),
            json!({
                "if": written("ca_file"),
                "then": { "properties": { "url": { "pattern": r"^rediss://|\$\{" } } },
            }),
        ],
        "lint.allow[]" => vec![any_of(&[
            "application",
            "policy",
            "group",
            "list",
            "service_token",
            "hostname",
            "value",
            "at",
        ])],
        "tests[].identity" => vec![
            excludes("email", &["service_token", "linked_application"]),
            excludes("service_token", &["linked_application"]),
        ],
        "rule" => vec![json!({ "minProperties": 1, "maxProperties": 1 })],
        "rule.user_risk_score" => {
            vec![json!({ "properties": { "user_risk_score": { "minItems": 1 } } })]
        }
        _ => return None,
    })
}

/// What an identity provider of a type must have.
fn of_kind(kind: &ProviderKind) -> Value {
    let mut rules: Vec<_> = kind.required().iter().map(|key| written(key)).collect();
    let required = if rules.is_empty() { json!({}) } else { written("config") };
    let others = ProviderConfig::LEVEL.names.iter().filter(|key| !kind.has(key));
    rules.push(not(&any_of(&others.copied().collect::<Vec<_>>())));
    let config = json!({
        "properties": { "config": { "anyOf": [{ "type": "null" }, { "allOf": rules }] } },
    });
    json!({
        "if": { "required": ["type"], "properties": { "type": { "const": kind.as_str() } } },
        "then": { "allOf": [required, config] },
    })
}

/// The key has a value: null is the same as omitting it.
fn written(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "not": { "type": "null" } } } })
}

fn is_on(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "const": true } } })
}

/// The key has a list that is not empty.
fn any_entry(key: &str) -> Value {
    json!({ "required": [key], "properties": { key: { "type": "array", "minItems": 1 } } })
}

fn not(schema: &Value) -> Value {
    json!({ "not": schema })
}

fn any_of(keys: &[&str]) -> Value {
    json!({ "anyOf": keys.iter().map(|key| written(key)).collect::<Vec<_>>() })
}

fn one_of(forms: &[Vec<Value>]) -> Value {
    let forms = forms.iter().map(|all| json!({ "allOf": all }));
    json!({ "oneOf": forms.collect::<Vec<_>>() })
}

fn exactly_one_of(first: &str, second: &str) -> Value {
    json!({ "oneOf": [written(first), written(second)] })
}

fn excludes(key: &str, others: &[&str]) -> Value {
    json!({ "if": written(key), "then": not(&any_of(others)) })
}

/// The keys of a login, which the issuer runs if there is one.
const OF_A_LOGIN: [&str; 7] = [
    "team_domain",
    "transfer_host",
    "identity_providers",
    "one_time_pin",
    "key_rotation",
    "external_evaluation",
    "mail",
];
