//! What is said about a file that is wrong: the exact sentence, its place and its key.

use tower_access::config::{Config, Environment};

const STAFF: &str =
    "{ name: S, decision: allow, include: [ { email_domain: { domain: example.com } } ] }";

fn errors(text: &str) -> String {
    match Config::parse(text, "f") {
        Ok(_) => panic!("accepted\n{text}"),
        Err(errors) => errors.to_string(),
    }
}

/// A file with this rule of `ingress`, on line 2.
fn rule(rule: &str) -> String {
    format!("ingress:\n  - {{ {rule} }}\n  - service: http_status:404\n{}", access(""))
}

/// `access` with one application, and more lines behind it.
fn access(more: &str) -> String {
    format!(
        "access:\n  mail: console\n  applications:\n    - {{ domain: a.example, policies: [ {STAFF} \
         ] }}\n{more}"
    )
}

/// A file whose application, on line 4, has this as well.
fn application(more: &str) -> String {
    format!("access:\n  mail: console\n  applications:\n    - {{ domain: a.example, {more} }}\n")
}

/// A file whose policy has this rule under `include`.
fn selector(rule: &str) -> String {
    application(&format!("policies: [ {{ name: S, decision: allow, include: [ {{ {rule} }} ] }} ]"))
}

#[track_caller]
fn says(text: &str, expected: &str) {
    assert_eq!(errors(text), expected, "{text}");
}

#[test]
fn cfg_03_a_setting_at_the_wrong_level_is_told_where_it_belongs() {
    let to = "hostname: a.example, service: 'https://10.0.0.1:443'";
    for (key, meant) in [
        ("httpHostHeader: inner.example", "httpHostHeader"),
        ("connectTimeout: 30s", "connectTimeout"),
        ("noTLSVerify: true", "noTLSVerify"),
        ("caPool: /etc/ca.pem", "caPool"),
        ("http2Origin: true", "http2Origin"),
    ] {
        let name = key.split(':').next().unwrap();
        says(
            &rule(&format!("{to}, {key}")),
            &format!(
                "f:2:61: ingress[0].{name}: unknown key; write `{meant}` below `originRequest` of the \
                 rule"
            ),
        );
    }
    for (text, expected) in [
        (
            rule(&format!("{to}, session_duration: 1h")),
            "f:2:61: ingress[0].session_duration: unknown key; write `session_duration` below \
             `access` or in an application",
        ),
        (
            access("session_duration: 1h\n"),
            "f:5:1: session_duration: unknown key; write `session_duration` below `access` or in an \
             application",
        ),
        (
            access("  trusted_proxies: [ 10.0.0.1 ]\n"),
            "f:5:3: access.trusted_proxies: unknown key; write `trusted_proxies` at the top level",
        ),
        (
            application("decision: allow, policies: []"),
            "f:4:28: access.applications[0].decision: unknown key; write `decision` in a policy",
        ),
        (
            access("  digits: 8\n"),
            "f:5:3: access.digits: unknown key; write `digits` below `access.one_time_pin`",
        ),
        (
            access("token_file: /run/secrets/admin\n"),
            "f:5:1: token_file: unknown key; write `token_file` below `access.mail.webhook` or below \
             `admin`",
        ),
        (
            access("smtp: { host: mail.example }\n"),
            "f:5:1: smtp: unknown key; write `smtp` below `access.mail`",
        ),
        (
            access("redis: { url: 'redis://[::1]' }\n"),
            "f:5:1: redis: unknown key; write `redis` below `state`",
        ),
        (access("mail: console\n"), "f:5:1: mail: unknown key; write `mail` below `access`"),
        (
            access("  allow_all_origins: true\n"),
            "f:5:3: access.allow_all_origins: unknown key; write `allow_all_origins` below \
             `cors_headers` of an application",
        ),
        (
            rule(&format!("{to}, insecure_allow_encoded_slashes: true")),
            "f:2:61: ingress[0].insecure_allow_encoded_slashes: unknown key; write \
             `insecure_allow_encoded_slashes` in an application",
        ),
    ] {
        says(&text, expected);
    }
}

#[test]
fn cfg_03_a_flag_of_cloudflareds_is_told_its_key() {
    let to = "hostname: a.example, service: 'https://10.0.0.1:443'";
    for (flag, meant) in [
        ("no-tls-verify", "noTLSVerify"),
        ("http-host-header", "httpHostHeader"),
        ("origin-server-name", "originServerName"),
        ("origin-ca-pool", "caPool"),
        ("proxy-connect-timeout", "connectTimeout"),
        ("proxy-keepalive-connections", "keepAliveConnections"),
        ("http2-origin", "http2Origin"),
    ] {
        says(
            &rule(&format!("{to}, {flag}: x")),
            &format!(
                "f:2:61: ingress[0].{flag}: unknown key; write `{meant}` below `originRequest` of the \
                 rule (flags are spelled differently)"
            ),
        );
    }
    // At the top level as well.
    says(
        &access("no-tls-verify: true\n"),
        "f:5:1: no-tls-verify: unknown key; write `noTLSVerify` below `originRequest` of the rule (flags \
         are spelled differently)",
    );
}

#[test]
fn cfg_03_one_origin_without_ingress_is_shown_the_rules_to_write() {
    for (key, service) in [
        ("url: http://localhost:9000", "http://localhost:9000"),
        ("unix-socket: /run/app.sock", "unix:/run/app.sock"),
        ("hello-world: true", "hello_world"),
        ("url: 9000", "http://localhost:8000"),
        ("url: \"http://it's\"", "http://localhost:8000"),
    ] {
        let name = key.split(':').next().unwrap();
        let rules = format!(
            "[ {{ hostname: a.example, service: '{service}' }}, {{ service: 'http_status:404' }} ]"
        );
        says(
            &access(&format!("{key}\n")),
            &format!(
                "f:5:1: {name}: one origin without a host is not supported; write `ingress: {rules}`"
            ),
        );
        // What it says to write is read.
        assert!(Config::parse(&access(&format!("ingress: {rules}\n")), "f").is_ok(), "{rules}");
    }
    says(
        &format!(
            "url: http://localhost:9000\n{}",
            rule("hostname: a.example, service: hello_world")
        ),
        "f:1:1: url: `url` has no effect beside `ingress`; remove it",
    );
}

#[test]
fn cfg_03_a_key_by_another_name_or_number_is_told_its_own() {
    let service = "service: 'http://127.0.0.1:1'";
    for (text, expected) in [
        (
            application(&format!("policy: [ {STAFF} ]")),
            "f:4:28: access.applications[0].policy: unknown key; did you mean `policies`?",
        ),
        (
            access("  service_token: []\n"),
            "f:5:3: access.service_token: unknown key; did you mean `service_tokens`?",
        ),
        (
            access("  application: []\n"),
            "f:5:3: access.application: unknown key; did you mean `applications`?",
        ),
        (
            access("trusted-proxies: []\n"),
            "f:5:1: trusted-proxies: unknown key; did you mean `trusted_proxies`?",
        ),
        (
            rule(&format!("host: a.example, {service}")),
            "f:2:7: ingress[0].host: unknown key; did you mean `hostname`?",
        ),
    ] {
        says(&text, expected);
    }
    // No other mistake is told of a rule whose host cannot be read.
    for rules in
        [&format!("hostnam: a.example, {service}"), &format!("domain: a.example, {service}")]
    {
        assert_eq!(errors(&rule(rules)).lines().count(), 1, "{}", errors(&rule(rules)));
    }
}

#[test]
fn cfg_03_decisions_of_other_programs_are_told_ours() {
    for (word, meant) in [
        ("block", "deny"),
        ("Block", "deny"),
        ("reject", "deny"),
        ("forbid", "deny"),
        ("permit", ""),
        ("service_auth", ""),
        ("Service Auth", ""),
        ("public", ""),
        ("alow", ""),
    ] {
        let policy = STAFF.replace("decision: allow", &format!("decision: {word}"));
        let hint = match word {
            _ if meant.is_empty() => {
                "write `allow`, `deny`, `bypass` (no login) or `non_identity` \
                                      (service tokens)"
                    .to_owned()
            }
            _ => format!("write `{meant}`"),
        };
        says(
            &application(&format!("policies: [ {policy} ]")),
            &format!(
                "f:4:61: access.applications[0].policies[0].decision: unknown value `{word}`; {hint}"
            ),
        );
    }
}

#[test]
fn cfg_03_a_value_instead_of_a_list_and_a_key_that_is_missing_say_what_to_write() {
    let policy = |keys: &str| application(&format!("policies: [ {{ name: S, {keys} }} ]"));
    for (text, expected) in [
        (
            access("trusted_proxies: 127.0.0.1\n"),
            "f:5:18: trusted_proxies: found a text, expected a list; write `[ 127.0.0.1 ]`",
        ),
        (
            access("trusted_proxies: { a: b }\n"),
            "f:5:18: trusted_proxies: found a mapping, expected a list; write `[ … ]`",
        ),
        (
            policy("decision: deny, include: { everyone: {} }"),
            "f:4:76: access.applications[0].policies[0].include: found a mapping, expected a list; \
             write `[ … ]`",
        ),
        (
            policy("decision: deny, include: everyone"),
            "f:4:76: access.applications[0].policies[0].include: found a text, expected a list; write \
             `[ … ]`",
        ),
        (
            policy("include: [ { everyone: {} } ]"),
            "f:4:40: access.applications[0].policies[0]: `decision` is missing: write `decision: \
             allow`, `deny`, `bypass` (no login) or `non_identity` (service tokens)",
        ),
        (
            policy("decision: deny"),
            "f:4:40: access.applications[0].policies[0]: `include` is missing: write whom it is \
             about, such as `include: [ { email: { email: ada@example.com } } ]`",
        ),
        (
            access("tls: { cert: /etc/cert.pem }\n"),
            "f:5:1: tls: unknown key; there is no TLS listener; end TLS in front of the proxy",
        ),
    ] {
        says(&text, expected);
    }
    // Keys without effect are not suggested.
    let unknown = errors(&access("colour: x\n"));
    assert!(
        unknown.contains("known are `ingress`") && !unknown.contains("autoupdate"),
        "{unknown}"
    );
}

#[test]
fn cfg_03_a_value_of_the_environment_is_not_repeated_in_a_list() {
    let environment = Environment::empty().with("PROXY", "198.51.100.7");
    let text = access("trusted_proxies: '${PROXY}'\n");
    let errors = Config::parse_with(&text, "f", &environment).unwrap_err().to_string();
    assert!(errors.contains("expected a list") && !errors.contains("198.51.100.7"), "{errors}");
}

#[test]
fn cfg_03_a_test_may_name_the_certificate_of_the_client() {
    let test = |certificate: &str| {
        access(&format!(
            "tests: [ {{ request: {{ url: 'https://a.example/', certificate: {certificate} }}, \
             expect: denied }} ]\n"
        ))
    };
    for certificate in ["none", "{ common_name: laptop-7 }"] {
        Config::parse(&test(certificate), "f").unwrap();
    }
    for (certificate, said) in [
        ("{ common_name: [ x ] }", "certificate.common_name: found a list, expected a text"),
        ("{ comon_name: x }", "did you mean `common_name`?"),
        ("{ none: ~ }", "found a mapping, expected a text"),
        ("{}", "found a mapping, expected a text"),
        ("{ common_name: x, none: ~ }", "found a mapping, expected a text"),
        ("common_name", "found a text, expected a mapping"),
    ] {
        let errors = errors(&test(certificate));
        assert!(errors.contains(said), "{certificate}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{certificate}: {errors}");
    }
}

#[test]
fn cfg_03_hosts_that_are_none() {
    for (host, message) in [
        ("::1", "an IPv6 address stands in brackets and in quotes; write `'[::1]'`"),
        (
            "'2001:db8::7'",
            "an IPv6 address stands in brackets and in quotes; write `'[2001:db8::7]'`",
        ),
        ("12345", "found a number, expected a text; put it in quotes"),
        ("true", "found true or false, expected a text; put it in quotes"),
        ("a.example:8443", "a hostname cannot contain a port; leave the port out"),
        (
            "fe80::1%eth0",
            "invalid IPv6 address; write it in brackets and in quotes, without a zone, such as `'[::1]'`",
        ),
        (
            "'[::1'",
            "invalid IPv6 address; write it in brackets and in quotes, without a zone, such as `'[::1]'`",
        ),
        ("'[::1]:80'", "a hostname cannot contain a port; leave the port out"),
    ] {
        says(
            &rule(&format!("hostname: {host}, service: hello_world")),
            &format!("f:2:17: ingress[0].hostname: {message}"),
        );
    }
    assert!(Config::parse(&rule("hostname: '[::1]', service: hello_world"), "f").is_ok());
}

#[test]
fn cfg_03_a_selector_without_its_mapping_is_shown_it() {
    for (written, kind, right) in [
        ("email: me@example.com", "a text", "email: { email: me@example.com }"),
        ("email_domain: example.com", "a text", "email_domain: { domain: example.com }"),
        ("email_domain: '@example.com'", "a text", "email_domain: { domain: … }"),
        ("ip: 192.0.2.0/24", "a text", "ip: { ip: 192.0.2.0/24 }"),
        ("geo: DE", "a text", "geo: { country_code: DE }"),
        ("group: staff", "a text", "group: { id: staff }"),
        ("email_list: staff", "a text", "email_list: { id: staff }"),
        ("service_token: ci", "a text", "service_token: { token_id: ci }"),
        ("common_name: ci", "a text", "common_name: { common_name: ci }"),
        ("login_method: otp", "a text", "login_method: { id: otp }"),
        ("auth_method: mfa", "a text", "auth_method: { auth_method: mfa }"),
        ("everyone: true", "true or false", "everyone: {}"),
        ("everyone: ~", "nothing", "everyone: {}"),
        ("any_valid_service_token: yes", "a text", "any_valid_service_token: {}"),
        ("email: [ me@example.com ]", "a list", "email: { email: … }"),
        ("oidc: x", "a text", "oidc: { claim_name: …, claim_value: … }"),
    ] {
        let name = written.split(':').next().unwrap();
        let column = 81 + name.len() + 2;
        says(
            &selector(written),
            &format!(
                "f:4:{column}: access.applications[0].policies[0].include[0].{name}: found {kind}, \
                 expected a mapping; write `{right}`"
            ),
        );
    }
}

#[test]
fn cfg_03_truth_values_of_an_older_yaml() {
    for (word, meant) in [("yes", true), ("No", false), ("on", true), ("off", false)] {
        says(
            &application(&format!("policies: [], skip_interstitial: {word}")),
            &format!(
                "f:4:61: access.applications[0].skip_interstitial: found a text, expected `true` or \
                 `false`; write `{meant}`"
            ),
        );
    }
}

#[test]
fn cfg_08_a_variable_without_quotes_in_a_flow_mapping() {
    for (line, text) in [
        ("  facts: { geoip_database: ${DB} }", "${DB}"),
        ("  facts: { country_header: '${H}', geoip_database: /var/${DB}/x }", "/var/${DB}/x"),
        ("trusted_proxies: [ 10.0.0.1, ${PROXY} ]", "${PROXY}"),
        ("state: {file: ${FILE}}", "${FILE}"),
    ] {
        let error = errors(&access(&format!("{line}\n")));
        let hint = format!("; within `{{ … }}` and `[ … ]` write `'{text}'` in quotes");
        assert!(error.starts_with("f:5:") && error.ends_with(&hint), "{error}");
    }
}

/// The three files of a first day: each is refused, and says what to write.
#[test]
fn files_that_cloudflared_reads_in_silence() {
    let flag = "ingress:\n  - hostname: a.example\n    service: https://10.0.0.1:443\n    no-tls-verify: \
                yes\n  - service: http_status:404\n";
    says(
        &format!("{flag}{}", access("")),
        "f:4:5: ingress[0].no-tls-verify: unknown key; write `noTLSVerify` below `originRequest` of the \
         rule (flags are spelled differently)",
    );
    let url = "tunnel: home\ncredentials-file: /etc/cloudflared/home.json\nurl: \
               http://localhost:8000\nno-tls-verify: true\n";
    says(
        &format!("{url}{}", access("")),
        "f:3:1: url: one origin without a host is not supported; write `ingress: [ { hostname: \
         a.example, service: 'http://localhost:8000' }, { service: 'http_status:404' } ]`\nf:4:1: \
         no-tls-verify: unknown key; write `noTLSVerify` below `originRequest` of the rule (flags are \
         spelled differently)",
    );
}
