//! The configuration file from outside: what is read, and what is said about what is wrong.

use std::time::Duration;

use proptest::prelude::*;
use tower_access::clock::Timestamp;
use tower_access::config::{
    Config, ConfigErrors, Environment, MailConfig, NoteKind, Role, SmtpTlsConfig,
};
use tower_access::inspect::check;
use tower_access::issuer::{KeyRotation, RsaKeySize};
use tower_access::token::{Algorithm, Algorithms};

const FILE: &str = r#"ingress:
  - hostname: internal1.example.com
    service: http://127.0.0.1:9001
    originRequest: { noTLSVerify: true, connectTimeout: 30s, httpHostHeader: internal1.example.com }
  - hostname: example.com
    service: http://127.0.0.1:9002
  - service: http_status:404
access:
  team_domain: login.example.com            # left out: each application's own host runs the login
  session_duration: 24h
  idle_timeout: 8h                          # left out: sessions last until they end
  applications:                             # Cloudflare's application objects (contract section 7)
    - name: argocd
      domain: internal1.example.com
      session_duration: 24h
      policies:                             # Cloudflare's policy objects (contract section 8)
        - name: Admin Access
          decision: allow
          include: [ { email: { email: your@email.com } } ]
  groups: []                                # Cloudflare's rule groups
  service_tokens: []                        # client_id plus a hash of the secret, never the secret
  one_time_pin: { expires_in: 5m, attempts: 3 }
  mail: { smtp: { host: 127.0.0.1, port: 1025, from: "Access <access@example.com>", tls: none } }   # or console
listen: 127.0.0.1:8080
"#;

#[test]
fn reads_the_file_of_the_documentation() {
    let config = Config::parse(FILE, "access.yml").unwrap();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.ingress.len(), 3);
    let rule = &config.ingress[0];
    assert_eq!(rule.hostname.as_deref(), Some("internal1.example.com"));
    assert_eq!(rule.service, "http://127.0.0.1:9001");
    assert_eq!((rule.location.line, rule.location.column), (2, 5));
    assert_eq!(rule.origin_request.dangerous_no_tls_verify, Some(true));
    assert_eq!(rule.origin_request.connect_timeout, Some(Duration::from_secs(30)));
    assert_eq!(
        rule.origin_request.http_host_header.as_ref().map(|header| header.as_str()),
        Some("internal1.example.com")
    );
    assert_eq!(config.ingress[2].hostname, None);

    let access = &config.access;
    let Role::Issuing { team_domain, one_time_pin: Some(one_time_pin), mail, .. } = &access.role
    else {
        panic!()
    };
    assert_eq!(team_domain.as_ref().unwrap().to_string(), "login.example.com");
    assert_eq!((one_time_pin.expires_in, one_time_pin.attempts), (Duration::from_secs(300), 3));
    let MailConfig::Smtp(smtp) = mail else { panic!() };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("127.0.0.1", 1025, SmtpTlsConfig::None));
    assert_eq!(access.session_duration, Some(Duration::from_secs(86_400)));
    assert_eq!(access.idle_timeout, Some(Duration::from_secs(8 * 3600)));
    assert_eq!(access.applications[0].name(), "argocd");

    let notes: Vec<String> = config.notes().iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 1, "{notes:?}");
    // The origin is spoken to without TLS: there is no certificate to accept.
    assert_eq!(config.notes()[0].kind(), NoteKind::HasNoEffect);
    assert!(notes[0].starts_with("4:22: ingress[0].originRequest.noTLSVerify: no origin"));
    assert!(config.public_destinations().is_empty());
    assert_eq!(config.uncovered_hostnames(), ["example.com"]);
}

/// A file whose `access` holds one application, with more lines behind it.
fn with(application: &str, more: &str) -> String {
    format!("access:\n  mail: console\n  applications:\n  - {{ {application} }}\n{more}")
}

fn errors(text: &str) -> ConfigErrors {
    match Config::parse(text, "f") {
        Ok(_) => panic!("nothing is wrong with\n{text}"),
        Err(errors) => errors,
    }
}

/// `line:column: key: message` of the only error.
#[track_caller]
fn only_error(text: &str) -> String {
    let errors = errors(text);
    assert_eq!(errors.iter().count(), 1, "{text}\n{errors}");
    errors.iter().map(ToString::to_string).collect()
}

const ALLOW: &str =
    "policies: [ { name: p, decision: allow, include: [ { email: { email: a@b.example } } ] } ]";

#[test]
fn pol_09_every_mistake_has_its_place_and_its_remedy() {
    let app = |more: &str| with(&format!("domain: a.example, {more}"), "");
    let policy = |policy: &str| app(&format!("policies: [ {{ {policy} }} ]"));
    let top = |more: &str| with("domain: a.example", more);
    for (text, expected) in [
        // Keys.
        (top("lisen: 1"), "5:1: lisen: unknown key; did you mean `listen`?"),
        (
            app("polices: []"),
            "4:26: access.applications[0].polices: unknown key; did you mean `policies`?",
        ),
        (
            policy("name: p, decision: allow, include: [ { everyone: {} } ], exlude: []"),
            "4:97: access.applications[0].policies[0].exlude: unknown key; did you mean `exclude`?",
        ),
        (
            policy("name: p, decisoin: allow, include: [ { everyone: {} } ]"),
            "4:49: access.applications[0].policies[0].decisoin: unknown key; did you mean `decision`?",
        ),
        (
            policy("name: p, decision: permit, include: [ { everyone: {} } ]"),
            "4:59: access.applications[0].policies[0].decision: unknown value `permit`; write \
             `allow`, `deny`, `bypass` (no login) or `non_identity` (service tokens)",
        ),
        (
            policy("name: p, decision: allow"),
            "4:38: access.applications[0].policies[0]: `include` is missing: write whom it is about, such as \
             `include: [ { email: { email: ada@example.com } } ]`",
        ),
        (
            policy("name: p, decision: allow, include: []"),
            "4:75: access.applications[0].policies[0].include: the policy applies to nobody; write at \
             least one rule (`everyone: {}` is everybody)",
        ),
        (
            policy("name: p, decision: allow, include: [ { emial: { email: a@b.example } } ]"),
            "4:79: access.applications[0].policies[0].include[0].emial: `emial` is not a selector; did \
             you mean `email`?",
        ),
        (
            policy("name: p, decision: allow, include: [ { email: { email: 7 } } ]"),
            "4:95: access.applications[0].policies[0].include[0].email.email: found a number, expected \
             a text; put it in quotes",
        ),
        (
            policy("name: p, decision: allow, include: [ { everyone: true } ]"),
            "4:89: access.applications[0].policies[0].include[0].everyone: found true or false, \
             expected a mapping; write `everyone: {}`",
        ),
        (
            policy("name: p, decision: bypass, include: [ { email: { email: a@b.example } } ]"),
            "4:87: access.applications[0].policies[0].include[0].email: the bypass policy `p` has the \
             rule `email`, which needs a login: use an allow policy, or rules about networks and \
             service tokens",
        ),
        (
            policy("name: p, decision: bypass, include: [ { group: { id: nobody } } ]"),
            "4:93: access.applications[0].policies[0].include[0].group.id: there is no rule group \
             `nobody`; define it under `access.groups`",
        ),
        (
            policy(
                "name: p, decision: bypass, include: [ { everyone: {} } ], isolation_required: true",
            ),
            "4:118: access.applications[0].policies[0].isolation_required: not supported yet: remove \
             the key, or set it to `false`; ignoring it would grant more access",
        ),
        (
            app("policies: [ b7d2 ]"),
            "4:38: access.applications[0].policies[0]: there is no policy `b7d2`; define it under \
             `access.policies`",
        ),
        // Values.
        (
            app("session_duration: 745h"),
            "4:44: access.applications[0].session_duration: 745h is out of range; write 0s to 744h",
        ),
        (
            app("session_duration: 1d"),
            "4:44: access.applications[0].session_duration: `1d` is not a duration: write numbers with \
             units (h, m, s, ms), such as `24h` or `1h30m`",
        ),
        (
            app("allow_iframe: true"),
            "4:40: access.applications[0].allow_iframe: the login never appears in a frame, \
             because the page around it could trick users into clicking hidden buttons; leave it out, and let a framed \
             page open the login in a window of its own",
        ),
        (
            app("type: saas"),
            "4:32: access.applications[0].type: applications of type `saas` are not supported; write \
             `self_hosted`",
        ),
        (
            with("domain: 'https://a.example'", ""),
            "4:15: access.applications[0].domain: a domain has no scheme: write \
             `wiki.example.com/docs`",
        ),
        (
            with("name: a", ""),
            "4:5: access.applications[0]: `domain` is missing: write the host, such as `domain: \
             wiki.example.com`",
        ),
        (
            with("destinations: [ { type: private, cidr: 10.0.0.0/8 } ]", ""),
            "4:31: access.applications[0].destinations[0].type: destinations of type `private` are not \
             supported; write `public`",
        ),
        (
            top("listen: 8080"),
            "5:9: listen: not an IP address with a port; write `127.0.0.1:8080` or `[::1]:8080`",
        ),
        (
            top("trusted_proxies: [ 10.0.0.0/8, ::/0 ]"),
            "5:32: trusted_proxies[1]: a trusted proxy network of /0 lets every client choose its own \
             address; name the proxies",
        ),
        (
            top("  one_time_pin: { expires_in: 1h }"),
            "5:31: access.one_time_pin.expires_in: 1h is out of range; write 1m to 15m",
        ),
        (
            top("  key_rotation: { interval: 1h }"),
            "5:29: access.key_rotation.interval: 1h is out of range; write 24h to 8760h",
        ),
        (
            top("  key_rotation: { announce: 169h }"),
            "5:29: access.key_rotation.announce: 169h is out of range; write 5s to 168h",
        ),
        (
            top("  key_rotation: { rsa_bits: 1024 }"),
            "5:29: access.key_rotation.rsa_bits: 1024 is not a supported key size; write 2048, 3072 or 4096",
        ),
        (
            top("  one_time_pin: { attempts: 11 }"),
            "5:29: access.one_time_pin.attempts: 11 is out of range; write 1 to 10",
        ),
        (
            top("  session_duration: 5m"),
            "5:21: access.session_duration: 5m is out of range; write 15m to 744h",
        ),
        (
            top("  idle_timeout: 1m"),
            "5:17: access.idle_timeout: 1m is out of range; write 5m to 744h",
        ),
        (
            top("  service_tokens: [ { name: ci, client_id: x, client_secret: hush } ]"),
            "5:62: access.service_tokens[0].client_secret: the secret itself does not belong in this \
             file; write `client_secret_hash` with `sha256:` and 64 hexadecimal digits",
        ),
        (
            top("  groups: [ { name: a, include: [ { group: { id: a } } ] } ]"),
            "5:13: access.groups[0]: groups refer to each other in a cycle: a -> a; remove one of the \
             references",
        ),
        // Ingress.
        (top("ingress: []"), "5:1: ingress: no rules; end with `- service: http_status:404`"),
        (
            top("ingress: [ { hostname: a.example, service: 'http://b' } ]"),
            "5:12: ingress[0]: the last rule must match all URLs, without hostname and path; end with \
             `- service: http_status:404`",
        ),
        (
            top("ingress: [ { service: 'http://b' }, { service: 'http_status:404' } ]"),
            "5:12: ingress[0]: rule #1 matches every hostname and path, so the rules after it never \
             trigger; give it a hostname, or move it to the end",
        ),
        (
            top(
                "ingress: [ { hostname: 'a.*.example', service: 'http://b' }, { service: hello_world } ]",
            ),
            "5:24: ingress[0].hostname: at most one wildcard, and only for subdomains; write \
             `*.example.com`",
        ),
        (
            top(
                "ingress: [ { hostname: 'a.example:80', service: 'http://b' }, { service: hello_world } ]",
            ),
            "5:24: ingress[0].hostname: a hostname cannot contain a port; leave the port out",
        ),
        (
            top("ingress: [ { service: 'localhost:80' } ]"),
            "5:23: ingress[0].service: invalid URL; write scheme and host, such as \
             `http://127.0.0.1:8080`",
        ),
        (
            top("ingress: [ { service: 'http://b/c' } ]"),
            "5:23: ingress[0].service: proxying to another path is not supported; remove everything \
             after the port",
        ),
        (
            top("ingress: [ { service: 'http_status:42' } ]"),
            "5:23: ingress[0].service: invalid HTTP status code; write one from 200 to 999, such as \
             `http_status:404`",
        ),
        (
            top("ingress: [ { service: 'ssh://b:22' } ]"),
            "5:23: ingress[0].service: the service `ssh` is not supported by this proxy; supported are \
             http, https, ws, wss, unix, unix+tls, http_status and hello_world",
        ),
        (
            top("ingress: [ { service: hello_world, originRequest: { noTlsVerify: true } } ]"),
            "5:53: ingress[0].originRequest.noTlsVerify: unknown key; did you mean `noTLSVerify`?",
        ),
        (
            top("ingress: [ { service: hello_world, originRequest: { bastionMode: true } } ]"),
            "5:66: ingress[0].originRequest.bastionMode: `bastionMode` is not supported by this proxy; \
             leave it out",
        ),
        (
            top(
                "ingress: [ { service: hello_world, originRequest: { access: { required: true } } } ]",
            ),
            "5:73: ingress[0].originRequest.access.required: tokens of another issuer are not checked \
             rule by rule; name the issuer once under `access.issuer`, and give each application its \
             `aud`",
        ),
    ] {
        assert_eq!(only_error(&text), expected, "{text}");
    }
}

#[test]
fn path_27_path_28_expressions_are_bounded_and_looked_at() {
    let rule = |path: &str| {
        with(
            "domain: a.example",
            &format!(
                "ingress: [ {{ path: '{path}', service: hello_world }}, {{ service: hello_world }} ]"
            ),
        )
    };
    assert!(
        only_error(&rule("(")).starts_with("5:20: ingress[0].path: invalid regular expression")
    );
    assert!(only_error(&rule("((a{1000}){1000}){1000}")).contains("size limit"));
    let note = |path: &str| Config::parse(&rule(path), "f").unwrap().notes().len();
    assert_eq!((note("admin"), note("^/admin(/|$)")), (2, 1));
}

#[test]
fn all_errors_of_a_file_are_reported_in_its_order() {
    let text = "\
ingress:
  - hostname: a.example
    servise: http://127.0.0.1:1
  - service: ftp://x
access:
  mail: { smtp: { host: mail.example.com, tls: none, from: nobody } }
  one_time_pin: { expires_in: never, attempts: many }
  groups:
    - name: g
      include: [ { ip: { ip: 300.0.0.0/8 } }, { group: { id: h } } ]
  applications:
    - name: a
      domain: a.example
      policies:
        - name: p
          decision: allow
          include:
            - { emial: {} }
            - { email: { email: nobody } }
            - { group: { id: g } }
          extra: 1
        - name: p
          decision: deny
          include: [ { everyone: {} } ]
    - domain: a.example
      sesion_duration: 1h
listen: here
";
    let found: Vec<String> = errors(text)
        .iter()
        .map(|error| format!("{} {}", error.location().unwrap(), error.key()))
        .collect();
    assert_eq!(
        found,
        [
            "3:5 ingress[0].servise",
            "4:14 ingress[1].service",
            "6:48 access.mail.smtp.tls",
            "6:60 access.mail.smtp.from",
            "7:31 access.one_time_pin.expires_in",
            "7:48 access.one_time_pin.attempts",
            "10:30 access.groups[0].include[0].ip.ip",
            "10:62 access.groups[0].include[1].group.id",
            "18:17 access.applications[0].policies[0].include[0].emial",
            "19:33 access.applications[0].policies[0].include[1].email.email",
            "21:11 access.applications[0].policies[0].extra",
            "25:15 access.applications[1].domain",
            "26:7 access.applications[1].sesion_duration",
            "27:9 listen",
        ]
    );
}

#[test]
fn what_is_no_yaml_says_where() {
    for (text, place, words) in [
        ("a: [1, 2\nb: 3\n", "2:", "invalid YAML"),
        ("access:\n\tmail: console\n", "2:", "not with tabs"),
        ("access: {}\nlisten: x\naccess: {}\n", "3:1:", "duplicate key `access`"),
        ("access: { mail: console, mail: console }\n", "1:26:", "duplicate"),
    ] {
        let error = only_error(text);
        assert!(error.starts_with(place) && error.contains(words), "{text}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn cfg_03_no_file_and_an_empty_file_are_errors() {
    assert_eq!(
        errors("").to_string(),
        "f: the file is empty; write at least `access` with its applications"
    );
    let missing = Config::load("/nonexistent/access.yml").unwrap_err().to_string();
    assert!(missing.starts_with("/nonexistent/access.yml: file not found; create it"), "{missing}");
    let closed = only_error("listen: 127.0.0.1:80");
    assert!(
        closed.contains("`access` is missing") && closed.contains("everything is closed"),
        "{closed}"
    );
    assert!(only_error("access: {}").contains("`applications` is missing"));
    assert!(only_error(&" ".repeat((16 << 20) + 1)).contains("16 mebibytes"));
}

#[test]
fn an_issuer_in_front_excludes_a_login_here() {
    let aud = "a".repeat(64);
    let file = |application: &str, more: &str| {
        format!(
            "access:\n  issuer: {{ team_domain: acme.cloudflareaccess.com{more} }}\n  applications: [ {{ domain: a.example{application} }} ]\n"
        )
    };
    let named = format!(
        ", aud: {aud}, policies: [ {{ name: ci, decision: non_identity, include: [ {{ service_token: {{ token_id: theirs }} }} ] }} ]"
    );
    let config = Config::parse(&file(&named, ""), "f").unwrap();
    let Role::Verifying { team_domain, certs_url, .. } = config.access.role else { panic!() };
    assert_eq!(
        (team_domain.issuer().as_str(), certs_url),
        ("https://acme.cloudflareaccess.com", None)
    );

    assert!(
        only_error(&file("", "")).starts_with("3:19: access.applications[0]: `aud` is missing")
    );
    for (url, good) in [
        ("https://keys.example/certs", true),
        ("http://127.0.0.1:9/certs", true),
        ("http://localhost:9/certs", true),
        ("http://keys.example/certs", false),
        ("http://127.0.0.1.example/certs", false),
        ("file:///etc/passwd", false),
        ("here", false),
    ] {
        let text = file(&named, &format!(", certs_url: '{url}'"));
        assert_eq!(Config::parse(&text, "f").is_ok(), good, "{url}");
    }
    let error = only_error(&file(&format!("{named}, enable_binding_cookie: true"), ""));
    assert!(error.contains("enable_binding_cookie: a binding cookie is checked"), "{error}");
    let text = file(&named, ", algorithms: [ RS256, ES256 ]");
    let Role::Verifying { algorithms, .. } = Config::parse(&text, "f").unwrap().access.role else {
        panic!()
    };
    assert_eq!(algorithms, Algorithms::default().allow(Algorithm::Es256));
    let error = only_error(&file(&named, ", algorithms: [ HS256 ]"));
    assert!(
        error.contains("access.issuer.algorithms[0]: unsupported signature algorithm"),
        "{error}"
    );
    let mixed = format!("{}  mail: console\n  team_domain: a.example\n", file(&named, ""));
    assert_eq!(
        errors(&mixed).iter().map(|error| error.key().to_owned()).collect::<Vec<_>>(),
        ["access.mail", "access.team_domain"]
    );
}

#[test]
fn keys_are_replaced_as_the_file_says() {
    let rotation = |more: &str| {
        let config = Config::parse(&with(&format!("domain: a.example, {ALLOW}"), more), "f");
        match config.unwrap().access.role {
            Role::Issuing { key_rotation, .. } => key_rotation,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(rotation(""), KeyRotation::default());
    assert_eq!(
        rotation("  key_rotation: { interval: 504h, announce: 2h, overlap: 24h, rsa_bits: 3072 }"),
        KeyRotation::default()
            .interval(Duration::from_secs(21 * 86_400))
            .announce(Duration::from_secs(7_200))
            .overlap(Duration::from_secs(86_400))
            .key_size(RsaKeySize::Bits3072)
    );
}

#[test]
fn cfg_04_mail_defaults_and_refusals() {
    let mail = |mail: &str| {
        let text = format!(
            "access:\n  mail: {mail}\n  applications: [ {{ domain: a.example, {ALLOW} }} ]\n"
        );
        Config::parse(&text, "f").map(|config| match config.access.role {
            Role::Issuing { mail, .. } => mail,
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(mail("console").unwrap(), MailConfig::Console);
    assert_eq!(mail("{ console: {} }").unwrap(), MailConfig::Console);
    let from = "from: access@example.com";
    for (more, tls, port) in [
        ("", SmtpTlsConfig::StartTls, 587),
        (", tls: implicit", SmtpTlsConfig::Implicit, 465),
        (", tls: starttls, port: 25", SmtpTlsConfig::StartTls, 25),
        (", tls: none, dangerous_plaintext: true", SmtpTlsConfig::None, 25),
    ] {
        let MailConfig::Smtp(smtp) =
            mail(&format!("{{ smtp: {{ host: m.example, {from}{more} }} }}")).unwrap()
        else {
            panic!()
        };
        assert_eq!((smtp.tls, smtp.port), (tls, port));
    }
    for (text, words) in [
        (format!("{{ smtp: {{ host: m.example, {from}, tls: none }} }}"), "plain text"),
        (format!("{{ smtp: {{ host: m.example, {from}, password: x }} }}"), "password_file"),
        (format!("{{ smtp: {{ host: m.example, {from}, username: x }} }}"), "write both"),
        (format!("{{ smtp: {{ host: 'm.example:25', {from} }} }}"), "without a port"),
        (
            "{ smtp: { host: m.example, from: 'A <a@b.example>, c@d.example' } }".into(),
            "invalid sender",
        ),
        ("{}".into(), "name one way"),
        ("sendmail".into(), "invalid way to send mail"),
        ("".into(), "`mail` is missing"),
    ] {
        let error = mail(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn cloudflared_settings_apply_or_are_noted() {
    let text = with(
        "domain: a.example, app_launcher_visible: true, allowed_idps: [], skip_interstitial: false, \
         http_only_cookie_attribute: false, insecure_allow_encoded_slashes: true",
        "tunnel: 6ff42ae2\nno-autoupdate: true\n\
         originRequest: { connectTimeout: 5s, caPool: /ca.pem, http2Origin: true }\n\
         ingress:\n\
         - { hostname: '*.example', service: 'http://a', originRequest: { connectTimeout: 1s, caPool: '' } }\n\
         - { hostname: b.example, service: 'http://b', originRequest: { proxyAddress: 127.0.0.1 } }\n\
         - { service: 'unix:/run/app.sock' }\n",
    );
    let config = Config::parse(&text, "f").unwrap();
    let origin = |index: usize| &config.ingress[index].origin_request;
    assert_eq!(origin(0).connect_timeout, Some(Duration::from_secs(1)));
    assert_eq!(origin(0).ca_pool, None);
    assert_eq!(origin(0).http2_origin, Some(true));
    assert_eq!(origin(2).connect_timeout, Some(Duration::from_secs(5)));
    assert_eq!(origin(2).ca_pool.as_deref(), Some("/ca.pem".as_ref()));
    let notes: Vec<_> =
        config.notes().iter().map(|note| (note.kind(), note.key().to_owned())).collect();
    let of = |kind| {
        notes.iter().filter(|note| note.0 == kind).map(|note| note.1.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(
        of(NoteKind::HasNoEffect),
        [
            "access.applications[0].app_launcher_visible",
            "tunnel",
            "no-autoupdate",
            "ingress[1].originRequest.proxyAddress"
        ]
    );
    assert_eq!(
        of(NoteKind::Weakens),
        [
            "access.mail",
            "access.applications[0].http_only_cookie_attribute",
            "access.applications[0].insecure_allow_encoded_slashes",
        ]
    );
    assert_eq!(of(NoteKind::Surprises), ["ingress[1]"]);
}

#[test]
fn says_what_is_public_and_what_stays_closed() {
    let text = "
ingress:
  - { hostname: a.example, service: 'http://a' }
  - { hostname: forgotten.example, service: 'http://b' }
  - { hostname: '*.covered.example', service: 'http://b' }
  - { hostname: '*.uncovered.example', service: 'http://b' }
  - service: http_status:404
access:
  groups:
    - { name: all, include: [ { everyone: {} } ] }
  service_tokens:
    - name: ci
      client_id: 9c0d.access
      client_secret_hash: sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
  applications:
    - { domain: a.example, policies: [ { name: ci, decision: non_identity, include: [ { service_token: { token_id: 9c0d.access } } ] } ] }
    - { domain: a.example/public, policies: [ { name: open, decision: bypass, include: [ { group: { id: all } } ] } ] }
    - { domain: x.covered.example, policies: [ { name: desk, decision: bypass, include: [ { ip: { ip: 192.0.2.0/24 } } ] } ] }
    - { domain: net.example, policies: [ { name: net, decision: bypass, include: [ { ip: { ip: 0.0.0.0/0 } } ] } ] }
";
    let config = Config::parse(text, "f").unwrap();
    let public: Vec<String> =
        config.public_destinations().iter().map(ToString::to_string).collect();
    assert_eq!(
        public,
        [
            "a.example/public — open to everyone (policy `open`)",
            "x.covered.example — open to some without login (policy `desk`: ip)",
            "net.example — open to everyone (policy `net`)",
        ]
    );
    assert_eq!(config.uncovered_hostnames(), ["forgotten.example", "*.uncovered.example"]);
}

#[test]
fn parts_that_contradict_each_other_are_found() {
    let aud = "a".repeat(64);
    let text = format!(
        "access:
  mail: console
  applications:
    - {{ id: x, domain: a.example, aud: {aud}, policies: [ {{ name: p, precedence: 1, decision: non_identity, include: [ {{ service_token: {{ token_id: cj }} }} ] }} ] }}
    - {{ id: x, domain: a.example, aud: {aud} }}
  groups:
    - {{ name: g, include: [ {{ group: {{ id: h }} }} ] }}
    - {{ name: h, include: [ {{ group: {{ id: g }} }} ] }}
  service_tokens:
    - {{ name: ci, client_id: a, client_secret_hash: sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 }}
    - {{ name: ci, client_id: a, client_secret_hash: sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 }}
"
    );
    let found = errors(&text).to_string();
    for words in [
        "there is no service token `cj`; did you mean `ci`?",
        "5:13: access.applications[1].id: two applications have the id `x`",
        "`a.example` belongs to two applications; remove it here or in line 4",
        "two applications have the audience",
        "cycle: g -> h -> g",
        "11:15: access.service_tokens[1].name: two service tokens have the id `ci`",
        "11:30: access.service_tokens[1].client_id: two service tokens have the client id `a`",
    ] {
        assert!(found.contains(words), "{words}\n{found}");
    }
    assert_eq!(found.lines().count(), 7, "{found}");
}

#[test]
fn errors_show_no_secrets_and_stay_on_their_line() {
    let text = "access:\n  mail: console\n  applications: [ { domain: a.example } ]\n  service_tokens: [ { name: ci, client_id: x, client_secret_hash: hush-hush } ]\n\"evil\\nf:1:1: \\e[2Jkey\": 1\n";
    let found = errors(text);
    assert!(!found.to_string().contains("hush-hush"), "{found}");
    assert_eq!(found.to_string().lines().count(), 2, "{found}");
    assert!(!found.to_string().contains('\u{1b}'));
}

#[test]
fn a_report_says_what_a_file_means() {
    let folder = std::env::temp_dir().join(format!("tower-access-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("access.yml");
    std::fs::write(&file, FILE).unwrap();
    let now = Timestamp::from_unix_seconds(1_790_000_000);
    let report = check(&file, now).unwrap().to_string();
    std::fs::remove_dir_all(&folder).unwrap();
    for words in [
        "sessions end after 8h without a request",
        "2 findings in ",
        "only this machine or a private network reaches `127.0.0.1:8080`",
        "listens on 127.0.0.1:8080",
        "login at login.example.com",
        "argocd: internal1.example.com (session 24h)",
        "allow `Admin Access` (include 1)",
        "closed, because no application covers them:\n  example.com",
        "access.yml:4:22: notice: ingress[0].originRequest.noTLSVerify",
    ] {
        assert!(report.contains(words), "{words}\n{report}");
    }
}

#[test]
fn aliases_and_merges_work_and_bombs_do_not() {
    let text = "access:\n  mail: console\n  groups: [ { name: g, include: &staff [ { email_domain: { domain: b.example } } ] } ]\n  applications:\n  - { domain: a.example, policies: [ { name: p, decision: allow, include: *staff } ] }\n";
    assert_eq!(Config::parse(text, "f").unwrap().access.definitions.groups().len(), 1);
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert!(Config::parse(&bomb, "f").is_err());
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("access: {}{}", open.repeat(20_000), close.repeat(20_000));
        assert!(Config::parse(&deep, "f").is_err());
    }
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        let _ = Config::parse(&text, "f").map_err(|errors| errors.to_string());
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Config::parse(&String::from_utf8_lossy(&bytes), "f").map_err(|errors| errors.to_string());
    }

    /// Damage to a good file is survived, and a file that is still read has a place for its notes.
    #[test]
    fn damaged_files_never_panic(
        at in 0..FILE.len(),
        length in 0..40_usize,
        put in prop::sample::select(vec!["", ": ", "- ", "{", "}", "[", "]", "\n", "\n  ", "~", "1", "x", "&a ", "*a", "\"", "!t ", "true", "é"]),
    ) {
        let mut text = FILE.as_bytes().to_vec();
        let end = (at + length).min(text.len());
        text.splice(at..end, put.bytes());
        let text = String::from_utf8_lossy(&text).into_owned();
        match Config::parse(&text, "f") {
            Ok(config) => prop_assert!(config.notes().iter().all(|note| note.location().line > 0)),
            Err(errors) => prop_assert!(errors.iter().count() > 0 && !errors.to_string().is_empty()),
        }
    }
}

#[test]
fn policies_are_written_once_and_linked_by_id_or_name() {
    let text = |links: &str| {
        format!(
            "access:
  mail: console
  policies:
    - {{ id: b7d2, name: Staff, decision: allow, precedence: 9, include: [ {{ email_domain: {{ domain: example.com }} }} ] }}
    - {{ id: c8e3, name: Guests, decision: deny, include: [ {{ everyone: {{}} }} ] }}
    - {{ id: d9f4, name: Guests, decision: deny, include: [ {{ everyone: {{}} }} ] }}
  applications:
    - {{ name: Wiki, domain: wiki.example.com, policies: {links} }}
"
        )
    };
    for (links, precedence) in
        [("[ b7d2 ]", None), ("[ Staff ]", None), ("[ { id: b7d2, precedence: 3 } ]", Some(3))]
    {
        let config = Config::parse(&text(links), "f").unwrap_or_else(|errors| panic!("{errors}"));
        let policy = &config.access.applications[0].policies()[0];
        assert_eq!((policy.id(), policy.precedence), ("b7d2", precedence), "{links}");
    }
    for (links, error) in [
        ("[ Stuff ]", "there is no policy `Stuff`; did you mean `Staff`?"),
        ("[ Guests ]", "`Guests` is the name of two policies; write the id"),
        ("[ { id: c8e3, precedence: 0 } ]", "invalid precedence; write a number from 1"),
        ("[ { id: c8e3, precedence: x } ]", "policies[0].precedence"),
        ("[ b7d2, Staff ]", "two policies of one application have the id `b7d2`"),
    ] {
        let errors = Config::parse(&text(links), "f").unwrap_err().to_string();
        assert!(errors.contains(error), "{links}: {errors}");
        assert!(errors.starts_with("f:8:"), "{links}: {errors}");
    }
}

#[test]
fn pol_08_lists_are_there_and_of_the_right_type() {
    let text = |lists: &str, rule: &str| {
        format!(
            "access:
  mail: console
  lists: {lists}
  applications:
    - {{ name: Wiki, domain: wiki.example.com, policies: [ {{ name: p, decision: allow, include: [ {rule} ] }} ] }}
"
        )
    };
    let board = "[ { id: a5b2, name: board, type: EMAIL, items: [ { value: ada@example.com } ] } ]";
    for rule in ["{ email_list: { id: a5b2 } }", "{ email_list: { id: board } }"] {
        assert!(Config::parse(&text(board, rule), "f").is_ok(), "{rule}");
    }
    for (lists, rule, place, error) in [
        (board, "{ ip_list: { id: board } }", "f:5:", "IP list `board`, which does not exist"),
        (board, "{ email_list: { id: bord } }", "f:5:", "no list `bord`; did you mean `board`?"),
        (
            "[ { name: b, type: EMAIL, items: [ x ] } ]",
            "{ everyone: {} }",
            "f:3:",
            "`x`: invalid email",
        ),
        (
            "[ { name: b, type: IP, items: [ x ] } ]",
            "{ everyone: {} }",
            "f:3:",
            "`x`: invalid network",
        ),
        ("[ { name: b, type: SERIAL, items: [] } ]", "{ everyone: {} }", "f:3:", "`EMAIL`, `IP`"),
        ("[ { name: b, items: [] } ]", "{ everyone: {} }", "f:3:", "`type`"),
        (
            "[ { name: b, type: IP, items: [] }, { id: b, name: c, type: IP, items: [] } ]",
            "{ everyone: {} }",
            "f:3:",
            "two lists have the id `b`",
        ),
    ] {
        let errors = Config::parse(&text(lists, rule), "f").unwrap_err().to_string();
        assert!(errors.contains(error) && errors.starts_with(place), "{lists} {rule}: {errors}");
    }
}

// === the environment ===

fn with_password(password: &str) -> String {
    FILE.replace("port: 1025,", &format!("port: 1025, username: u, password: {password},"))
}

#[test]
fn cfg_08_values_come_from_the_environment_and_are_not_repeated() {
    let environment = Environment::empty()
        .with("SMTP_PASSWORD", "hunter2-hunter2\n")
        .with("HOST", "secret.example.com")
        .with("EMPTY", "")
        .with("PORT", "1025");
    let parse = |text: &str| Config::parse_with(text, "f", &environment);
    let config = parse(&with_password("'${SMTP_PASSWORD}'")).unwrap();
    let Role::Issuing { mail: MailConfig::Smtp(smtp), .. } = &config.access.role else { panic!() };
    assert_eq!(smtp.password.as_ref().unwrap().expose(), "hunter2-hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(config.access().is_ok());

    let error = |text: &str| {
        let errors = parse(text).expect_err(text);
        assert_eq!(errors.iter().count(), 1, "{errors}");
        errors.to_string()
    };
    for (password, said) in [
        ("hunter2", "a password does not belong in this file"),
        ("'x${SMTP_PASSWORD}'", "a password does not belong in this file"),
        ("'$${SMTP_PASSWORD}'", "a password does not belong in this file"),
        ("'${SMTP_PASSWORD}${SMTP_PASSWORD}'", "a password does not belong in this file"),
        ("'${EMPTY}'", "the environment variable is empty"),
        ("'${SMTP_PASWORD}'", "the environment variable `SMTP_PASWORD` is not set"),
    ] {
        let error = error(&with_password(password));
        assert!(error.starts_with("f:23:"), "{error}");
        assert!(error.contains("access.mail.smtp.password: ") && error.contains(said), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let both = with_password("'${SMTP_PASSWORD}', password_file: /x");
    assert!(error(&both).contains("exclude each other"));
    // Numbers and switches stand in the file itself, and values are not repeated wherever they are.
    let port = error(&FILE.replace("port: 1025", "port: '${PORT}'"));
    assert!(port.contains("`${PORT}` is a text, expected a whole number"), "{port}");
    let switch = error(&FILE.replace("noTLSVerify: true", "noTLSVerify: '${PORT}'"));
    assert!(switch.contains("expected `true` or `false`"), "{switch}");
    let listen = error(&FILE.replace("127.0.0.1:8080", "'${HOST}'"));
    assert!(listen.contains("not an IP address with a port"), "{listen}");
    let twice = FILE.replace(
        "    - name: argocd\n",
        "    - name: twin\n      domain: '${HOST}'\n    - name: argocd\n",
    );
    assert!(parse(&twice).is_ok());
    let twice =
        error(&twice.replace("domain: internal1.example.com", "domain: secret.example.com"));
    assert!(twice.contains("`${HOST}` belongs to two applications"), "{twice}");
    let decision = error(&FILE.replace("decision: allow", "decision: '${HOST}'"));
    assert!(decision.contains("the value of `${HOST}` is invalid here"), "{decision}");
}

#[test]
fn cfg_08_no_structure_comes_from_the_environment() {
    let environment = Environment::empty()
        .with("NAME", "x\", decision: bypass, include: [ { everyone: {} } ] }, { name: \"y")
        .with("KEY", "decision");
    let text = FILE.replace("name: Admin Access", "name: \"${NAME}\"");
    let config = Config::parse_with(&text, "f", &environment).unwrap();
    assert_eq!(config.access.applications[0].policies().len(), 1);
    assert!(config.public_destinations().is_empty());
    let text = FILE.replace("decision: allow", "${KEY}: allow");
    assert!(Config::parse_with(&text, "f", &environment).is_err());
}

#[test]
fn versions_are_those_of_the_text() {
    let version = |text: &str| Config::parse(text, "f").unwrap().version().to_owned();
    let text = with("domain: a.example", "");
    // printf '%s' "$text" | sha256sum
    assert_eq!(version(&text).len(), 16);
    assert_eq!(version(&text), version(&text));
    assert_ne!(version(&text), version(&format!("{text}\n")));
}

// === administration ===

#[test]
fn cfg_05_the_administration_listens_here_and_has_a_good_token() {
    let environment = Environment::empty()
        .with("TOKEN", "0123456789abcdef0123456789abcdef")
        .with("SHORT", "0123456789abcdef0123456789abcde")
        .with("BLANK", "0123456789abcdef 0123456789abcdef");
    let parse =
        |admin: &str| Config::parse_with(&format!("{FILE}admin: {admin}\n"), "f", &environment);
    assert!(Config::parse(FILE, "f").unwrap().admin.is_none());
    let config = parse("{ token: '${TOKEN}' }").unwrap();
    let admin = config.admin.as_ref().unwrap();
    assert_eq!(admin.listen, "127.0.0.1:9180".parse().unwrap());
    assert_eq!(admin.token().unwrap().expose(), "0123456789abcdef0123456789abcdef");
    for listen in ["127.0.0.1:1", "'[::1]:1'", "127.8.8.8:1", "'[::ffff:127.0.0.1]:1'"] {
        assert!(parse(&format!("{{ listen: {listen}, token: '${{TOKEN}}' }}")).is_ok(), "{listen}");
    }
    for (admin, said) in [
        ("{ listen: '0.0.0.0:9180', token: '${TOKEN}' }", "other machines would reach"),
        ("{ listen: '[::]:9180', token: '${TOKEN}' }", "other machines would reach"),
        (
            "{ listen: '192.0.2.7:9180', token: '${TOKEN}', dangerous_listen_anywhere: false }",
            "other machines",
        ),
        ("{ listen: '127.0.0.1:8080', token: '${TOKEN}' }", "the proxy itself listens there"),
        ("{ listen: localhost, token: '${TOKEN}' }", "not an IP address with a port"),
        ("{ token: 0123456789abcdef0123456789abcdefx }", "does not belong in this file"),
        ("{ token: '${SHORT}' }", "at least 32 visible ASCII characters"),
        ("{ token: '${BLANK}' }", "at least 32 visible ASCII characters"),
        ("{ token: '${TOKEN}', token_file: /x }", "exclude each other"),
        ("{}", "`token_file` is missing"),
        ("{ tokn: 1, token: '${TOKEN}' }", "did you mean `token`?"),
    ] {
        let errors = parse(admin).expect_err(admin);
        assert!(errors.to_string().contains(said), "{admin}: {errors}");
    }
    let anywhere =
        parse("{ listen: '192.0.2.7:9180', token: '${TOKEN}', dangerous_listen_anywhere: true }");
    assert!(anywhere.unwrap().notes().iter().any(|note| note.kind() == NoteKind::Weakens));
    let missing = parse("{ token_file: /no/such/file }").unwrap().admin.unwrap();
    assert!(missing.token().unwrap_err().to_string().contains("admin.token_file: /no/such/file"));
}
