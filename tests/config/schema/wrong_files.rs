//! Wrong files, which the reader and the schema refuse alike.

use super::{Schema, read, yaml};

const FILE: &str = "
listen: 127.0.0.1:8080
trusted_proxies: [ 10.0.0.0/8 ]
public_port: 8443
admin: { token_file: /run/secrets/admin-token }
state: { redis: { url: 'redis://127.0.0.1:6379/0', secret_file: /etc/access/secret, timeout: 2s } }
limits: { listen: { max_connections: 500, idle_timeout: 75s } }
ingress:
  - hostname: wiki.example.com
    service: http://127.0.0.1:9001
    originRequest: { connectTimeout: 10s, http2Origin: true }
  - service: http_status:404
access:
  team_domain: login.example.com
  session_duration: 12h
  one_time_pin: { expires_in: 10m, digits: 8, limits: { mails_per_address: 20 } }
  key_rotation: { interval: 504h, rsa_bits: 3072 }
  external_evaluation: { timeout: 3s, recheck_every: login }
  facts: { country_header: Cf-IpCountry, certificate_headers: nginx }
  mail: { smtp: { host: mail.example.com, from: access@example.com, tls: starttls } }
  groups:
    - { name: Staff, include: [ { email_domain: { domain: example.com } } ] }
  lists:
    - { name: Offices, type: IP, items: [ 192.0.2.0/24, { value: '2001:db8::/32' } ] }
  service_tokens:
    - name: ci
      client_id: ci.access
      client_secret_hash: sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971
  policies:
    - { name: Reusable, decision: allow, include: [ { group: { id: Staff } } ] }
  applications:
    - name: Wiki
      domain: wiki.example.com/docs
      destinations: [ { uri: wiki.example.com/docs } ]
      same_site_cookie_attribute: lax
      http_only_cookie_attribute: true
      cors_headers: { allow_all_methods: true, allowed_origins: [ 'https://ui.example.com' ], max_age: 600 }
      policies:
        - Reusable
        - name: CI
          decision: non_identity
          precedence: 7
          include: [ { service_token: { token_id: ci } } ]
          exclude: [ { ip: { ip: 203.0.113.0/24 } } ]
tests:
  - request: { url: 'https://wiki.example.com/docs', country: FR }
    identity: { email: ada@example.com }
    expect: allowed
lint: { allow: [ { id: path-leaves-parent-open, application: Wiki, reason: it is static } ] }
";

/// A part of the file, and what is wrong in its place.
const WRONG: &[(&str, &str)] = &[
    // Misspelt keys, one at each level.
    ("\npublic_port:", "\npublic_prot:"),
    ("token_file:", "tokenfile:"),
    ("secret_file:", "secrets_file:"),
    ("{ redis:", "{ reddis:"),
    ("{ listen: { max", "{ listener: { max"),
    ("max_connections:", "max_conections:"),
    ("  - hostname:", "  - host_name:"),
    ("originRequest:", "origin_request:"),
    ("connectTimeout:", "connect_timeout:"),
    ("team_domain:", "auth_domain:"),
    ("expires_in:", "expire_in:"),
    ("mails_per_address:", "mails_per_adress:"),
    ("rsa_bits:", "rsa_size:"),
    ("recheck_every:", "recheck:"),
    ("country_header:", "countryheader:"),
    ("{ smtp:", "{ mailer:"),
    ("from:", "sender:"),
    ("{ name: Staff, include:", "{ name: Staff, includes:"),
    ("type: IP", "kind: IP"),
    ("{ value:", "{ valeu:"),
    ("client_secret_hash:", "client_secret:"),
    ("http_only_cookie_attribute:", "http_only_cookie_atribute:"),
    ("{ uri:", "{ url:"),
    ("allow_all_methods:", "allow_any_methods:"),
    ("          exclude:", "          exlude:"),
    ("{ token_id:", "{ id:"),
    ("{ service_token:", "{ service-token:"),
    ("country: FR", "land: FR"),
    ("identity:", "user:"),
    ("reason:", "because:"),
    // Wrong types, values and bounds.
    ("public_port: 8443", "public_port: '8443'"),
    ("public_port: 8443", "public_port: 65536"),
    ("public_port: 8443", "public_port: ${PORT}"),
    ("max_connections: 500", "max_connections: 0"),
    ("digits: 8", "digits: 13"),
    ("rsa_bits: 3072", "rsa_bits: 1024"),
    ("session_duration: 12h", "session_duration: 12"),
    ("session_duration: 12h", "session_duration: 1d"),
    ("http2Origin: true", "http2Origin: yes"),
    ("tls: starttls", "tls: ssl"),
    ("from: access@example.com", "from: access"),
    ("decision: non_identity", "decision: service_auth"),
    ("precedence: 7", "precedence: 0"),
    ("precedence: 7", "precedence: first"),
    ("expect: allowed", "expect: allow"),
    ("type: IP", "type: EMAILS"),
    ("same_site_cookie_attribute: lax", "same_site_cookie_attribute: Lax"),
    ("max_age: 600", "max_age: 86401"),
    ("certificate_headers: nginx", "certificate_headers: apache"),
    ("redis://127.0.0.1", "https://127.0.0.1"),
    ("sha256:2d4d", "md5:2d4d"),
    ("10.0.0.0/8", "all"),
    ("ip: 203.0.113.0/24", "ip: everywhere"),
    ("email: ada@example.com", "email: ada"),
    ("listen: 127.0.0.1:8080", "listen: localhost"),
    (
        "{ allow: [ { id: path-leaves-parent-open, application: Wiki, reason: it is static } ] }",
        "{ allow: { id: x, application: Wiki, reason: it is static } }",
    ),
    // Several forms at once, or none.
    (
        "[ { service_token: { token_id: ci } } ]",
        "[ { service_token: { token_id: ci }, everyone: {} } ]",
    ),
    ("[ { service_token: { token_id: ci } } ]", "[ {} ]"),
    ("[ { service_token: { token_id: ci } } ]", "[]"),
    ("[ { service_token: { token_id: ci } } ]", "{ service_token: { token_id: ci } }"),
    ("{ token_file: /run/secrets/admin-token }", "{ listen: 127.0.0.1:9180 }"),
    ("{ token_file: /run", "{ token: '${ADMIN_TOKEN}', token_file: /run"),
    ("token_file: /run/secrets/admin-token", "token: 6f1ed002ab5595859014ebf0951522d9"),
    ("{ redis: {", "{ file: /var/lib/access/state.redb, redis: {"),
    ("{ smtp: {", "{ console: {}, smtp: {"),
    ("tls: starttls", "username: access"),
    (
        "lint: { allow: [ { id: path-leaves-parent-open, application: Wiki,",
        "lint: { allow: [ { id: path-leaves-parent-open,",
    ),
    ("{ email: ada@example.com }", "{ email: ada@example.com, service_token: ci }"),
    ("\n  mail:", "\n  issuer: { team_domain: acme.cloudflareaccess.com }\n  mail:"),
    // Parts that must be there.
    ("          decision: non_identity\n", ""),
    ("    service: http://127.0.0.1:9001\n", ""),
    ("      client_id: ci.access\n", ""),
    ("host: mail.example.com, ", ""),
    ("id: path-leaves-parent-open, ", ""),
    ("    expect: allowed\n", ""),
    ("url: 'https://wiki.example.com/docs', ", ""),
    // Features that are not supported.
    ("      same_site", "      allow_iframe: true\n      same_site"),
    ("          precedence", "          approval_required: true\n          precedence"),
    ("http2Origin: true", "bastionMode: true"),
    ("secret_file:", "password: x, secret_file:"),
    ("\npublic_port", "\nhello-world: true\npublic_port"),
];

#[test]
fn wrong_files_are_refused_by_both() {
    let schema = Schema::new();
    read(FILE).unwrap();
    schema.check(&yaml(FILE)).unwrap();
    let mut accepted = Vec::new();
    for (right, wrong) in WRONG {
        assert!(FILE.contains(right), "{right}");
        let text = FILE.replacen(right, wrong, 1);
        if read(&text).is_ok() {
            accepted.push(format!("the reader accepts {wrong}"));
        }
        if schema.check(&yaml(&text)).is_ok() {
            accepted.push(format!("the schema accepts {wrong}"));
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}

/// Keys of one level that contradict each other, or need each other.
#[test]
fn contradictions_are_refused_by_both() {
    let schema = Schema::new();
    let smtp = "host: mail.example.com, from: access@example.com";
    let webhook = "webhook: { url: 'https://mail.example.com/' }";
    let redis = "url: 'redis://127.0.0.1', secret_file: /s";
    let token = "token_file: /run/secrets/admin-token";
    let methods = "allowed_methods: [ GET ]";
    let origins = "allowed_origins: [ 'https://ui.example.com' ]";
    let cors = |cors: &str| {
        format!("applications: [ {{ domain: a.example, cors_headers: {{ {cors} }} }} ]")
    };
    let headers = |headers: &str| format!("facts: {{ certificate_headers: {{ {headers} }} }}");
    for (access, root, is_right) in [
        (format!("mail: {{ smtp: {{ {smtp} }} }}"), String::new(), true),
        (
            format!("mail: {{ smtp: {{ {smtp}, username: u, password_file: /p }} }}"),
            String::new(),
            true,
        ),
        (format!("mail: {{ smtp: {{ {smtp}, username: u }} }}"), String::new(), false),
        (format!("mail: {{ smtp: {{ {smtp}, password_file: /p }} }}"), String::new(), false),
        (
            format!(
                "mail: {{ smtp: {{ {smtp}, username: u, password_file: /p, password: '${{SMTP_PASSWORD}}' }} }}"
            ),
            String::new(),
            false,
        ),
        (format!("mail: {{ smtp: {{ {smtp}, ca_file: /p }} }}"), String::new(), true),
        (
            format!(
                "mail: {{ smtp: {{ {smtp}, ca_file: /p, tls: none, dangerous_plaintext: true }} }}"
            ),
            String::new(),
            false,
        ),
        ("mail: { maildir: { path: /p }, template: {} }".into(), String::new(), true),
        ("mail: { maildir: { path: /p }, console: {} }".into(), String::new(), false),
        (format!("mail: {{ maildir: {{ path: /p }}, smtp: {{ {smtp} }} }}"), String::new(), false),
        ("mail: { template: {} }".into(), String::new(), false),
        (format!("mail: {{ {webhook} }}"), String::new(), true),
        (format!("mail: {{ {webhook}, maildir: {{ path: /p }} }}"), String::new(), false),
        (
            format!("mail: {{ {} }}", webhook.replace(" }", ", token_file: /p }")),
            String::new(),
            true,
        ),
        (
            format!(
                "mail: {{ {} }}",
                webhook.replace(" }", ", token_file: /p, token: '${SMTP_PASSWORD}' }")
            ),
            String::new(),
            false,
        ),
        (
            "mail: { console: {}, template: { text: '{{code}}', html_file: /p } }".into(),
            String::new(),
            true,
        ),
        (
            "mail: { console: {}, template: { text: '{{code}}', text_file: /p } }".into(),
            String::new(),
            false,
        ),
        ("mail: { console: {}, template: { html: 'none' } }".into(), String::new(), false),
        ("mail: { console: ~ }".into(), String::new(), true),
        ("mail: {}".into(), String::new(), false),
        ("mail: email".into(), String::new(), false),
        (cors(&format!("{methods}, {origins}")), String::new(), true),
        (cors(methods), String::new(), false),
        (cors(origins), String::new(), false),
        (cors(&format!("{methods}, {origins}, allow_all_origins: true")), String::new(), false),
        (cors(&format!("{methods}, {origins}, allow_all_methods: true")), String::new(), false),
        (
            cors(&format!(
                "{methods}, {origins}, allow_all_headers: true, allowed_headers: [ x-a ]"
            )),
            String::new(),
            false,
        ),
        (
            cors(&format!("{methods}, allow_all_origins: true, allow_credentials: true")),
            String::new(),
            false,
        ),
        (cors(""), String::new(), true),
        ("applications: [ { name: Wiki } ]".into(), String::new(), false),
        ("applications: []".into(), String::new(), false),
        (headers("verified: x-v, common_name: x-n"), String::new(), true),
        (headers("verified: x-v"), String::new(), false),
        (headers("verified: x-v, common_name: x-n, distinguished_name: x-d"), String::new(), false),
        (String::new(), format!("state: {{ redis: {{ {redis} }} }}"), true),
        (String::new(), format!("state: {{ redis: {{ {redis}, username: u }} }}"), false),
        (String::new(), format!("state: {{ redis: {{ {redis}, ca_file: /ca }} }}"), false),
        (String::new(), format!("state: {{ redis: {{ {redis} }}, secret_file: /s }}"), false),
        (String::new(), "state: { secret_file: /s }".into(), false),
        (String::new(), "state: {}".into(), false),
        (String::new(), format!("admin: {{ {token} }}"), true),
        (String::new(), format!("admin: {{ {token}, token: '${{ADMIN_TOKEN}}' }}"), false),
        (String::new(), "admin: {}".into(), false),
        (String::new(), "ingress: []".into(), false),
        (String::new(), "ingress: ~".into(), false),
        (
            "groups: [ { name: g, include: [ { user_risk_score: { user_risk_score: [] } } ] } ]"
                .into(),
            String::new(),
            false,
        ),
    ] {
        let mail = if access.contains("mail: ") { "" } else { "mail: console, " };
        let applications = if access.contains("applications: ") {
            ""
        } else {
            "applications: [ { domain: a.example } ], "
        };
        let root = if root.is_empty() { root } else { format!("{root}, ") };
        let text = format!("{{ {root}access: {{ {mail}{applications}{access} }} }}");
        let json = yaml(&text);
        assert_eq!(read(&text).is_ok(), is_right, "the reader: {text}");
        assert_eq!(schema.check(&json).is_ok(), is_right, "the schema: {text}");
    }
}

/// A variable may be in any text, and in no number or switch.
#[test]
fn variables_of_the_environment_are_for_texts() {
    let schema = Schema::new();
    for (text, is_right) in [
        ("listen: '${LISTEN}'", true),
        ("trusted_proxies: [ '10.0.0.0/${BITS}' ]", true),
        ("limits: { listen: { idle_timeout: '${SECONDS}s' } }", true),
        ("originRequest: { caPool: '${FOLDER}/ca.pem', connectTimeout: '${TIME}' }", true),
        ("state: '${STATE}'", true),
        ("state: { redis: { url: '${URL}', secret_file: '${FOLDER}/secret' } }", true),
        ("insecure_public_scheme: '${SCHEME}'", true),
        ("public_port: '${PORT}'", false),
        ("originRequest: { http2Origin: '${ON}' }", false),
        ("limits: '${LIMITS}'", false),
        ("trusted_proxies: '${ALL}'", false),
        ("admin: { token: 'x${ADMIN_TOKEN}' }", false),
    ] {
        let text = format!(
            "{{ {text}, access: {{ mail: console, applications: [ {{ domain: a.example }} ] }} }}"
        );
        assert_eq!(schema.check(&yaml(&text)).is_ok(), is_right, "{text}");
    }
}
