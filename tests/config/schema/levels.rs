//! Every key of every level: each is accepted, within its bounds, by the reader and the schema; no other
//! key is.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Schema, read};

/// A level of the file.
struct Level {
    /// Its name in the schema: its path without brackets. Empty for the file itself.
    name: &'static str,
    /// Where it is in `file`.
    pointer: &'static str,
    file: Value,
}

/// A file with an empty level where one is needed.
fn level(name: &'static str, pointer: &'static str, keys: Value) -> Level {
    let mut file = json!({
        "access": { "mail": "console", "applications": [{ "domain": "wiki.example.com" }] },
    });
    merge(&mut file, keys);
    Level { name, pointer, file }
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// All levels but the values of selectors, each with the keys that it requires.
fn levels() -> Vec<Level> {
    let everyone = json!([{ "everyone": {} }]);
    let policy = json!({ "name": "p", "decision": "deny", "include": everyone });
    let application = |application: Value| json!({ "access": { "applications": [application] } });
    let access = |key: &str, value: Value| json!({ "access": { key: value } });
    let rule = |rule: Value| {
        let group = json!({ "name": "g", "include": [rule] });
        json!({ "access": { "groups": [group] } })
    };
    let smtp = json!({ "host": "mail.example.com", "from": "access@example.com" });
    let redis = json!({ "url": "redis://127.0.0.1:6379/0", "secret_file": "/etc/access/secret" });
    let test = json!({ "request": { "url": "https://wiki.example.com/" }, "expect": "denied" });
    let issuer = json!({ "team_domain": "acme.cloudflareaccess.com" });
    let of_issuer = |issuer: Value| {
        let aud = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";
        let application = json!({ "domain": "wiki.example.com", "aud": aud });
        json!({ "access": { "mail": null, "issuer": issuer, "applications": [application] } })
    };
    let token = json!({
        "name": "ci",
        "client_id": "ci.access",
        "client_secret_hash": format!("sha256:{}", "ab".repeat(32)),
    });
    vec![
        level("", "", json!({})),
        level("ingress", "/ingress/0", json!({ "ingress": [{ "service": "http://127.0.0.1:1" }] })),
        level("originRequest", "/originRequest", json!({ "originRequest": {} })),
        level(
            "originRequest.access",
            "/originRequest/access",
            json!({ "originRequest": { "access": {} } }),
        ),
        level("state", "/state", json!({ "state": { "file": "/var/lib/access/state.redb" } })),
        level("state.redis", "/state/redis", json!({ "state": { "redis": redis } })),
        level("admin", "/admin", json!({ "admin": { "token_file": "/run/secrets/token" } })),
        level("limits", "/limits", json!({ "limits": {} })),
        level("limits.listen", "/limits/listen", json!({ "limits": { "listen": {} } })),
        level("lint", "/lint", json!({ "lint": {} })),
        level(
            "lint.allow",
            "/lint/allow/0",
            json!({ "lint": { "allow": [{ "id": "path-leaves-parent-open", "reason": "r", "at": "access" }] } }),
        ),
        level("tests", "/tests/0", json!({ "tests": [test] })),
        level("tests.request", "/tests/0/request", json!({ "tests": [test] })),
        level(
            "tests.request.certificate",
            "/tests/0/request/certificate",
            json!({ "tests": [{
                "request": {
                    "url": "https://wiki.example.com/",
                    "certificate": { "common_name": "laptop-7" },
                },
                "expect": "denied",
            }] }),
        ),
        level(
            "tests.identity",
            "/tests/0/identity",
            json!({ "tests": [{ "request": test["request"], "expect": "denied", "identity": {} }] }),
        ),
        level("access", "/access", json!({})),
        level("access.applications", "/access/applications/0", json!({})),
        level(
            "access.applications.destinations",
            "/access/applications/0/destinations/0",
            application(json!({ "destinations": [{ "uri": "wiki.example.com" }] })),
        ),
        level(
            "access.applications.policies",
            "/access/applications/0/policies/0",
            merged(
                access("policies", json!([policy])),
                application(json!({ "domain": "wiki.example.com", "policies": [{ "id": "p" }] })),
            ),
        ),
        level(
            "access.applications.cors_headers",
            "/access/applications/0/cors_headers",
            application(
                json!({ "domain": "wiki.example.com", "cors_headers": { "allowed_origins": ["https://ui.example.com"], "allowed_methods": ["GET"] } }),
            ),
        ),
        level("access.policies", "/access/policies/0", access("policies", json!([policy]))),
        level(
            "access.groups",
            "/access/groups/0",
            access("groups", json!([{ "name": "g", "include": everyone }])),
        ),
        level(
            "access.lists",
            "/access/lists/0",
            access("lists", json!([{ "name": "l", "type": "IP", "items": [] }])),
        ),
        level(
            "access.lists.items",
            "/access/lists/0/items/0",
            access(
                "lists",
                json!([{ "name": "l", "type": "IP", "items": [{ "value": "192.0.2.1" }] }]),
            ),
        ),
        level(
            "access.service_tokens",
            "/access/service_tokens/0",
            access("service_tokens", json!([token])),
        ),
        level(
            "access.identity_providers",
            "/access/identity_providers/0",
            access("identity_providers", json!([provider("")])),
        ),
        level(
            "access.identity_providers.config",
            "/access/identity_providers/0/config",
            access("identity_providers", json!([provider("")])),
        ),
        level("access.one_time_pin", "/access/one_time_pin", access("one_time_pin", json!({}))),
        level(
            "access.one_time_pin.limits",
            "/access/one_time_pin/limits",
            access("one_time_pin", json!({ "limits": {} })),
        ),
        level("access.key_rotation", "/access/key_rotation", access("key_rotation", json!({}))),
        level(
            "access.external_evaluation",
            "/access/external_evaluation",
            access("external_evaluation", json!({})),
        ),
        level("access.facts", "/access/facts", access("facts", json!({}))),
        level(
            "access.facts.certificate_headers",
            "/access/facts/certificate_headers",
            access(
                "facts",
                json!({ "certificate_headers": { "verified": "X-Verified", "common_name": "X-Name" } }),
            ),
        ),
        level("access.issuer", "/access/issuer", of_issuer(issuer.clone())),
        level(
            "access.issuer.key_refresh",
            "/access/issuer/key_refresh",
            of_issuer(merged(issuer, json!({ "key_refresh": {} }))),
        ),
        level("access.mail", "/access/mail", access("mail", json!({ "console": {} }))),
        level(
            "access.mail.console",
            "/access/mail/console",
            access("mail", json!({ "console": {} })),
        ),
        level("access.mail.smtp", "/access/mail/smtp", access("mail", json!({ "smtp": smtp }))),
        level(
            "access.mail.maildir",
            "/access/mail/maildir",
            access("mail", json!({ "maildir": { "path": "/p" } })),
        ),
        level(
            "access.mail.webhook",
            "/access/mail/webhook",
            access("mail", json!({ "webhook": { "url": "https://mail.example.com/" } })),
        ),
        level(
            "access.mail.template",
            "/access/mail/template",
            access("mail", json!({ "console": {}, "template": {} })),
        ),
        level("rule", "/access/groups/0/include/0", rule(json!({}))),
    ]
}

/// An identity provider of a type that has this key, with what the type requires.
fn provider(key: &str) -> Value {
    let (kind, mut config) = match key {
        "apps_domain" => ("google-apps", json!({ "apps_domain": "example.com" })),
        "okta_account" | "authorization_server_id" => {
            ("okta", json!({ "okta_account": "https://example.okta.com" }))
        }
        "directory_id" | "support_groups" => ("azureAD", json!({ "directory_id": "d" })),
        "onelogin_account" => ("onelogin", json!({ "onelogin_account": "https://x.onelogin.com" })),
        "ping_env_id" => ("pingone", json!({ "ping_env_id": "p" })),
        "base_url" => ("github", json!({})),
        "sso_target_url"
        | "idp_public_certs"
        | "sign_request"
        | "email_attribute_name"
        | "attributes"
        | "accept_signed_response"
        | "request_key_file"
        | "request_certificate_file" => (
            "saml",
            json!({ "issuer_url": "i", "sso_target_url": "https://i.example", "idp_public_certs": ["c"] }),
        ),
        _ => ("oidc", json!({ "issuer_url": "https://id.example.com" })),
    };
    if kind != "saml" {
        merge(&mut config, json!({ "client_id": "access" }));
        if key != "client_secret" {
            merge(&mut config, json!({ "client_secret_file": "/s" }));
        }
    }
    json!({ "name": "Corp", "type": kind, "config": config })
}

fn merged(mut one: Value, other: Value) -> Value {
    merge(&mut one, other);
    one
}

impl Level {
    /// The file with these keys in the level.
    fn with(&self, keys: Value) -> Value {
        let mut file = self.file.clone();
        merge(file.pointer_mut(self.pointer).unwrap(), keys);
        file
    }

    /// The file with a key, and with what the key needs beside it.
    fn with_key(&self, key: &str, value: &Value) -> Value {
        let (is_on, is_empty) = (*value == json!(true), *value == json!([]));
        let mut file = self.file.clone();
        if self.name == "access.identity_providers.config" {
            file["access"]["identity_providers"] = json!([provider(key)]);
        }
        merge(file.pointer_mut(self.pointer).unwrap(), json!({ key: value }));
        let level = file.pointer_mut(self.pointer).unwrap();
        let beside = match (self.name, key) {
            ("admin", "token") => json!({ "token_file": null }),
            ("admin", "listen") => json!({ "dangerous_listen_anywhere": true }),
            ("state", "redis") => json!({ "file": null }),
            ("state.redis" | "access.mail.smtp", "username") => json!({ "password_file": "/p" }),
            ("state.redis", "ca_file") => json!({ "url": "rediss://redis.example.com" }),
            ("access", "issuer") => {
                json!({ "mail": null, "applications": [{ "domain": "a.example", "aud": "ab".repeat(32) }] })
            }
            ("access.identity_providers", "config") => {
                json!({ "config": { "client_secret_file": null } })
            }
            ("access.identity_providers.config", "auth_url" | "token_url" | "certs_url") => {
                let mut all = json!({
                    "auth_url": "https://a.example", "token_url": "https://a.example",
                    "certs_url": "https://a.example",
                });
                all[key] = value.clone();
                all
            }
            (
                "access.identity_providers.config",
                "sign_request" | "request_key_file" | "request_certificate_file",
            ) if is_on || value.is_string() => {
                let mut all = json!({
                    "sign_request": true, "request_key_file": "/k", "request_certificate_file": "/c",
                });
                all[key] = value.clone();
                all
            }
            ("access.mail.smtp", "password_file" | "password") => json!({ "username": "u" }),
            ("access.facts.certificate_headers", "distinguished_name") => {
                json!({ "common_name": null })
            }
            ("access.applications", "destinations" | "self_hosted_domains") => {
                json!({ "domain": null })
            }
            ("access.applications.cors_headers", "allow_all_origins") if is_on => {
                json!({ "allowed_origins": [] })
            }
            ("access.applications.cors_headers", "allow_all_methods") if is_on => {
                json!({ "allowed_methods": [] })
            }
            ("access.applications.cors_headers", "allowed_origins") if is_empty => {
                json!({ "allow_all_origins": true })
            }
            ("access.applications.cors_headers", "allowed_methods") if is_empty => {
                json!({ "allow_all_methods": true })
            }
            ("", "insecure_public_scheme") => {
                json!({ "access": { "applications": [{ "domain": "localhost" }] } })
            }
            _ => json!({}),
        };
        merge(level, beside);
        if self.name == "ingress" && key != "service" && key != "originRequest" {
            file["ingress"].as_array_mut().unwrap().push(json!({ "service": "http_status:404" }));
        } else if self.name == "access.mail" && !["console", "template"].contains(&key) {
            level.as_object_mut().unwrap().remove("console");
        }
        file
    }
}

/// Descriptions of the keys of a level.
fn properties<'s>(schema: &'s Schema, name: &str) -> &'s Map<String, Value> {
    let level = if name.is_empty() { &schema.json } else { &schema.json["$defs"][name] };
    level["properties"].as_object().unwrap_or_else(|| panic!("no level {name}"))
}

/// What the reader and the schema say about files, and where they differ.
struct Comparison<'s> {
    schema: &'s Schema,
    complaints: Vec<String>,
}

impl<'s> Comparison<'s> {
    fn new(schema: &'s Schema) -> Self {
        Self { schema, complaints: Vec::new() }
    }

    fn complain_unless(&mut self, is_right: bool, about: String) {
        if !is_right {
            self.complaints.push(about);
        }
    }

    /// Both say the same; returns what.
    fn both(&mut self, file: &Value, about: &str) -> bool {
        let (read, checked) = (read(&file.to_string()), self.schema.check(file));
        let is_accepted = read.is_ok();
        let complaint = match (read, checked) {
            (Ok(_), Ok(())) | (Err(_), Err(_)) => return is_accepted,
            (Ok(_), Err(error)) => format!("{about}: refused by the schema alone: {error}"),
            (Err(error), Ok(())) => format!("{about}: refused by the reader alone: {error}"),
        };
        self.complaints.push(complaint);
        is_accepted
    }

    fn accept(&mut self, file: &Value, about: &str) {
        if !self.both(file, about) {
            let error = read(&file.to_string()).err();
            self.complain_unless(false, format!("{about}: refused: {error:?}"));
        }
    }

    fn refuse(&mut self, file: &Value, about: &str) {
        let is_accepted = self.both(file, about);
        self.complain_unless(!is_accepted, format!("{about}: accepted"));
    }
}

impl Drop for Comparison<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.complaints.is_empty(), "{}", self.complaints.join("\n"));
        }
    }
}

#[test]
fn every_level_of_the_schema_is_tried() {
    let schema = Schema::new();
    let defined: BTreeSet<&str> =
        schema.json["$defs"].as_object().unwrap().keys().map(String::as_str).collect();
    let selectors = defined.iter().filter(|name| name.starts_with("rule."));
    assert!(selectors.count() >= 20);
    let tried: BTreeSet<&str> = levels().iter().map(|level| level.name).collect();
    let is_missing = |name: &&&str| !tried.contains(**name) && !name.starts_with("rule.");
    assert_eq!(defined.iter().filter(is_missing).collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_example_is_accepted_in_its_place() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        for (key, property) in properties(&schema, level.name) {
            for example in property["examples"].as_array().into_iter().flatten() {
                let file = references(level.with_key(key, example));
                comparison.accept(&file, &format!("{}.{key}", level.name));
            }
        }
    }
}

/// Defines what examples refer to.
fn references(mut file: Value) -> Value {
    let defined = json!({
        "groups": [{ "id": "Staff", "name": "g2", "include": [{ "everyone": {} }] }],
        "lists": [
            { "id": "board", "name": "l2", "type": "EMAIL", "items": [] },
            { "id": "Offices", "name": "l3", "type": "IP", "items": [] },
        ],
        "policies": [{ "id": "staff", "name": "p2", "decision": "deny", "include": [{ "everyone": {} }] }],
        "service_tokens": [{ "id": "ci", "name": "t2", "client_id": "2.access", "client_secret_hash": format!("sha256:{}", "cd".repeat(32)) }],
        "applications": [{ "id": "portal", "name": "Portal", "domain": "portal.example.com", "aud": "cd".repeat(32) }],
    });
    let names = |entry: &Value| ["id", "name"].map(|key| entry[key].clone());
    let is_local = !file["insecure_public_scheme"].is_null();
    let is_added = |key: &str| key != "applications" || !is_local;
    for (key, entries) in defined.as_object().unwrap().iter().filter(|(key, _)| is_added(key)) {
        let list = file["access"].as_object_mut().unwrap().entry(key).or_insert(json!([]));
        let Some(list) = list.as_array_mut() else { continue };
        for entry in entries.as_array().unwrap() {
            let is_taken = list.iter().any(|other| names(other).contains(&entry["id"]));
            if !is_taken {
                list.push(entry.clone());
            }
        }
    }
    file
}

#[test]
fn every_default_that_is_a_value_is_accepted_in_its_place() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        for (key, property) in properties(&schema, level.name) {
            if let Some(default) = property.get("default") {
                let file = level.with_key(key, default);
                comparison.accept(&file, &format!("{}.{key}", level.name));
            }
        }
    }
}

#[test]
fn every_bound_is_that_of_the_reader() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    let mut tried = 0;
    for level in levels() {
        for (key, property) in properties(&schema, level.name) {
            let bound = |name: &str| property[name].as_i64();
            let (Some(min), Some(max)) = (bound("minimum"), bound("maximum")) else { continue };
            for (value, is_in_range) in
                [(min - 1, false), (min, true), (max, true), (max + 1, false)]
            {
                let about = format!("{}.{key}: {value}", level.name);
                let file = level.with_key(key, &json!(value));
                if !is_in_range {
                    comparison.refuse(&file, &about);
                    continue;
                }
                // Limits of the login bound each other: only the reader compares them.
                let errors = read(&file.to_string()).err().unwrap_or_default();
                comparison.complain_unless(!errors.contains("out of range"), about);
                schema.check(&file).unwrap();
            }
            tried += 1;
        }
    }
    assert!(tried >= 30, "{tried}");
}

/// The schema says the bounds of durations in words.
#[test]
fn every_duration_has_the_bounds_of_the_reader() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    let mut tried = 0;
    for level in levels() {
        for (key, property) in properties(&schema, level.name) {
            let description = property["description"].as_str().unwrap_or_default();
            let Some((_, bounds)) = description.split_once("A duration from ") else { continue };
            let (min, bounds) = bounds.split_once(" to ").unwrap();
            let max = bounds.split('.').next().unwrap();
            for (value, is_in_range) in
                [(min.into(), true), (max.into(), true), (format!("{max}1ms"), false)]
            {
                let file = level.with_key(key, &json!(value));
                schema.check(&file).unwrap();
                let errors = read(&file.to_string()).err().unwrap_or_default();
                let about = format!("{}.{key}: {value}: {errors}", level.name);
                let is_out = errors.contains("out of range");
                comparison.complain_unless(is_out != is_in_range, about);
            }
            tried += 1;
        }
    }
    assert!(tried >= 25, "{tried}");
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        comparison.refuse(&level.with(json!({ "no_such_key": false })), level.name);
    }
    for (name, selector) in properties(&schema, "rule") {
        let mut value = selector["examples"][0].clone();
        value["no_such_key"] = json!("x");
        comparison.refuse(&rule(json!({ name: value })), name);
    }
}

/// A file with a rule.
fn rule(rule: Value) -> Value {
    levels().iter().find(|level| level.name == "rule").unwrap().with(rule)
}

/// Every key that the schema has is known to the reader, whatever it thinks of the value.
#[test]
fn every_key_of_the_schema_is_known_to_the_reader() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        for key in properties(&schema, level.name).keys() {
            for value in [json!(false), json!({ "x": 1 }), json!("text")] {
                let file = level.with_key(key, &value);
                let errors = read(&file.to_string()).err().unwrap_or_default();
                let is_known = !errors.contains(&format!("{key}: unknown key"));
                comparison.complain_unless(is_known, format!("{}.{key}: {errors}", level.name));
            }
        }
    }
}

/// Null is the same as omitting a key, unless the reader says otherwise.
#[test]
fn null_is_accepted_where_the_reader_accepts_it() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        for key in properties(&schema, level.name).keys() {
            let file = level.with(json!({ key: null }));
            comparison.both(&file, &format!("{}.{key}", level.name));
        }
    }
}

#[test]
fn keys_without_effect_are_accepted_as_the_schema_says() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        let others = properties(&schema, level.name).iter();
        for (key, _) in others.filter(|(_, property)| property["examples"].is_null()) {
            for value in [
                json!(false),
                json!(true),
                json!(0),
                json!(1),
                json!(""),
                json!("text"),
                json!([]),
                json!({}),
                json!({ "enabled": false }),
                json!({ "enabled": true }),
                json!({ "mfa_disabled": true }),
            ] {
                let file = level.with(json!({ key: value }));
                comparison.both(&file, &format!("{}.{key}: {value}", level.name));
            }
        }
    }
}

/// Keys of each kind of value are refused by both if they have another one.
#[test]
fn values_of_other_types_are_refused_by_both() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        let keys = properties(&schema, level.name).iter();
        for (key, _) in keys.filter(|(_, property)| !property["examples"].is_null()) {
            for value in [json!(true), json!(-5), json!(1.5), json!([[]]), json!({ "x": [] })] {
                let file = level.with_key(key, &value);
                comparison.both(&file, &format!("{}.{key}: {value}", level.name));
            }
        }
    }
}

/// The required keys of the schema are those of the reader.
#[test]
fn every_required_key_is_missed_by_both() {
    let schema = Schema::new();
    let mut comparison = Comparison::new(&schema);
    for level in levels() {
        let keys = level.file.pointer(level.pointer).unwrap().as_object().unwrap().keys();
        for key in keys {
            let mut file = level.file.clone();
            file.pointer_mut(level.pointer).unwrap().as_object_mut().unwrap().remove(key);
            comparison.both(&file, &format!("{} without {key}", level.name));
        }
    }
    for (name, selector) in properties(&schema, "rule") {
        let example = selector["examples"][0].as_object().unwrap();
        for key in example.keys() {
            let mut value = example.clone();
            value.remove(key);
            let file = references(rule(json!({ name: value })));
            comparison.both(&file, &format!("{name} without {key}"));
        }
    }
}

/// Two keys of a level at a time: the schema refuses nothing that the reader accepts.
#[test]
fn the_schema_is_never_stricter_about_two_keys() {
    let schema = Schema::new();
    let mut refused = Vec::new();
    let mut accepted = 0;
    for level in levels() {
        let properties: Vec<_> = properties(&schema, level.name).iter().collect();
        let examples = properties.iter().filter_map(|(key, property)| {
            Some((key.as_str(), property["examples"].as_array()?.first()?))
        });
        let examples: Vec<_> = examples.collect();
        for (number, (one, value)) in examples.iter().enumerate() {
            for (other, more) in &examples[number + 1..] {
                let file = references(level.with(json!({ *one: value, *other: more })));
                let is_refused = schema.check(&file).is_err();
                if is_refused && read(&file.to_string()).is_ok() {
                    refused.push(format!("{}: {one} and {other}", level.name));
                }
                accepted += usize::from(!is_refused);
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(accepted > 1_000, "{accepted}");
}
