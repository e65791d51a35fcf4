//! The configuration file: one YAML file that says where requests go and who may pass.
//!
//! `ingress` is cloudflared's (section 17 of the Access contract); applications, policies, groups
//! and service tokens are Cloudflare's objects (sections 7, 8 and 11). [`Config::load`] reads a
//! file, and [`inspect::check`](crate::inspect::check) explains it and reports what may be a mistake.
//!
//! ```yaml
//! ingress:
//!   - hostname: wiki.example.com
//!     service: http://127.0.0.1:9001
//!   - service: http_status:404
//! access:
//!   applications:
//!     - name: Wiki
//!       domain: wiki.example.com
//!       policies:
//!         - name: Staff
//!           decision: allow
//!           include: [ { email_domain: { domain: example.com } } ]
//!   mail: { smtp: { host: mail.example.com, from: "Access <access@example.com>" } }
//! ```
//!
//! Every key with its type, bounds, default and an example is in the [configuration
//! reference](crate::_guide::configuration). This page has what such a table cannot hold.
//!
//! A file is accepted as a whole or not at all. Unknown keys are errors, never skipped: a misspelt
//! `exclude` must not open anything. Settings that exist at Cloudflare and are not supported here are
//! refused when ignoring them would change who gets in, and noted otherwise. All errors of a file are
//! reported together, each with line and column:
//!
//! ```
//! use tower_access::config::Config;
//!
//! let errors = Config::parse("access: { mail: console, aplications: [] }\n", "access.yml").unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "access.yml:1:26: access.aplications: unknown key; did you mean `applications`?"
//! );
//! ```
//!
//! How it is built: the text becomes a tree in which every value has its position (`tree`). Each level
//! of the file is declared as a table of keys (`schema`), by which `reader` reads it; types of other
//! rooms are read by serde (`de`). Then the parts are checked against each other (`cross`). The file
//! contains no secrets: service tokens are hashes, and passwords are in files of their own or come from
//! the environment.
//!
//! # Facts
//!
//! Rules about countries and certificates need a source (see [`facts`](crate::facts)). Headers of
//! trusted proxies need `trusted_proxies`:
//!
//! ```yaml
//! trusted_proxies: [ 10.0.0.0/8 ]
//! access:
//!   facts:
//!     geoip_database: /var/lib/GeoIP/GeoLite2-Country.mmdb
//!     country_header: Cf-IpCountry
//!     certificate_headers: nginx      # or `cloudflare`, or the names:
//!     # certificate_headers: { verified: X-Client-Verify, common_name: X-Client-CN }
//! ```
//!
//! # Ports
//!
//! People reach all hosts on port 443, by `https`, unless the file sets another port: for all hosts, or
//! for some. It is in every URL that is built (see
//! [`PublicAddresses`](crate::application::PublicAddresses)); `domain` and `hostname` have no ports, and
//! requests are for the same application whatever their port.
//!
//! ```yaml
//! listen: 127.0.0.1:8080                  # where the TLS terminator in front connects to
//! public_port: 8443                       # where people connect to
//! public_ports:                           # before `public_port`, the most specific one first
//!   login.example.com: 443
//!   '*.lab.example.com': 9443
//! # insecure_public_scheme: http          # if every host is localhost, 127.0.0.1 or [::1]
//! ```
//!
//! # State
//!
//! Without `state` a restart logs everybody out. One process stores its state in a file, several share
//! a Redis or Valkey server ([`Config::open`]):
//!
//! ```yaml
//! state: /var/lib/access/state.redb
//! # state: { file: /var/lib/access/state.redb, secret_file: /etc/access/secret }
//! # state:
//! #   redis:
//! #     url: rediss://redis.example.com:6379/0
//! #     username: access
//! #     password_file: /etc/access/redis-password
//! #     secret_file: /etc/access/secret    # openssl rand -hex 32
//! ```
//!
//! # From the environment
//!
//! In every text, `${NAME}` stands for an environment variable of this process, and `$${` for the
//! characters `${` themselves:
//!
//! ```yaml
//! access:
//!   mail: { smtp: { host: mail.example.com, username: access, password: "${SMTP_PASSWORD}", from: … } }
//! ```
//!
//! Variables are looked up once, when the file is read, and again at a reload; a variable that is not
//! set is an error. A value stays one text whatever the variable contains: it cannot add keys or entries.
//! Keys, numbers and switches (`true`, `false`) are always written in the file itself, so that a
//! weakened default is visible there. Nothing is ever looked up for a request. Errors and notes do not
//! repeat values from the environment; tools that explain a file do print hosts and addresses,
//! wherever they came from.
//!
//! # Origins
//!
//! `originRequest` has cloudflared's names and defaults. At the top level it applies to all rules, in a
//! rule to that rule. Durations are Go's (`90s`, `1h30m`); `0s` means no limit.
//!
//! ```yaml
//! originRequest:
//!   connectTimeout: 10s
//! ingress:
//!   - hostname: reports.example.com   # needs longer than 100 seconds
//!     service: http://127.0.0.1:9002
//!     originRequest: { response_header_timeout: 0s }
//!   - hostname: '*.example.com'       # an inner proxy with a certificate for each host
//!     service: https://10.0.0.7:8443
//!     originRequest: { matchSNItoHost: true, caPool: /etc/access/inner-ca.pem }
//!   - service: http_status:404
//! ```
//!
//! `response_header_timeout` restarts while the request's body still moves. A response that has begun,
//! such as an event stream, has no limit, and a client that disconnects ends the request at the origin at
//! any time. With `matchSNItoHost` the name in the handshake, which the certificate must have, is the
//! host that the origin gets: `httpHostHeader`, or else the client's, without its port.
//! `originServerName` wins if both are set, in the rule or at the top level. Connections of one name
//! never serve another; each rule keeps those of the 64 names that were used last.
//!
//! An origin may close an idle connection at any time. A closed connection is not used, and a request of
//! which nothing was sent is sent over another. For an origin that closes early (Node.js, Apache httpd and
//! uvicorn after 5 seconds) set a `keepAliveTimeout` below its time, so that no request meets the close.
//!
//! # Limits
//!
//! Every time, size and count has a default, and values out of its bounds are errors. `originRequest`
//! takes effect at a reload. `limits`, `state` and `issuer.key_refresh` take effect after a restart, and
//! the log of a reload names those that differ.
//!
//! A load balancer keeps connections to the proxy open for later requests. If the proxy closes first, a
//! request can meet the close, and the balancer responds with 502. Therefore `limits.listen.idle_timeout`
//! is longer by default than the time of every balancer in this table, with its default settings. If
//! yours keeps connections longer, set a longer time.
//!
//! | In front | Keeps an idle connection for | Its setting |
//! | --- | --- | --- |
//! | AWS Application and Classic Load Balancer | 60 s | idle timeout |
//! | Google Cloud Application Load Balancer | 600 s | fixed |
//! | Azure Load Balancer, Application Gateway | 240 s | idle timeout |
//! | nginx | 60 s | `keepalive_timeout` in `upstream` |
//! | Caddy | 120 s | `keepalive` of the `http` transport |
//! | Traefik | 90 s | `idleConnTimeout` |
//! | HAProxy | 5 s | `pool-purge-delay` |
//! | cloudflared | 90 s | `keepAliveTimeout` |
//!
//! Envoy keeps them for an hour: set `common_http_protocol_options.idle_timeout` of its cluster below 620
//! seconds, or `idle_timeout: 3700s` here. A connection without a request counts as one of
//! `max_connections`; if strangers reach the listener without a balancer, a shorter `idle_timeout` such
//! as `75s` leaves them fewer.
//!
//! # Administration
//!
//! `admin` opens a listener for whoever runs the proxy, on this machine only; see the module
//! `admin` (feature `proxy`).
//!
//! ```yaml
//! admin: { listen: 127.0.0.1:9180, token_file: /run/secrets/admin-token }
//! ```

mod access;
mod admin;
mod application;
mod build;
mod cors;
mod cross;
mod de;
mod environment;
mod error;
mod facts;
mod file;
mod identity_provider;
mod ingress;
mod levels;
mod limits;
mod lint;
mod load;
mod load_admin;
mod location;
mod login_methods;
mod mail;
mod one_time_pin;
mod open;
#[cfg(feature = "redb")]
mod open_file;
#[cfg(feature = "redis")]
mod open_redis;
mod origin;
mod parts;
mod policy;
mod public;
mod public_addresses;
mod reader;
mod redaction;
mod reusable;
mod salvage;
mod schema;
#[cfg(any(feature = "redb", feature = "redis"))]
mod secret_file;
mod selector_value;
mod settings;
mod single_origin;
mod source_map;
mod state;
mod tests;
mod tree;
mod unsupported;
mod version;

pub use self::admin::{AdminConfig, AdminToken};
pub use self::environment::Environment;
#[cfg(test)]
pub(crate) use self::environment::expand;
pub use self::error::{ConfigErrors, Note, NoteKind, Problem};
pub use self::facts::FactsConfig;
pub use self::identity_provider::IdentityProviderConfig;
pub(crate) use self::identity_provider::ProviderKeyUse;
pub use self::ingress::IngressEntry;
pub use self::limits::{LimitsConfig, ListenerLimits};
pub use self::lint::Suppression;
pub(crate) use self::load::read_text;
pub use self::location::Location;
pub use self::mail::{
    MailConfig, MailTemplateConfig, MaildirConfig, SmtpConfig, SmtpTlsConfig, TemplateSource,
    WebhookConfig,
};
pub use self::origin::OriginRequest;
pub use self::public::PublicDestination;
pub use self::settings::{AccessConfig, Config, OneTimePinConfig, Role};
pub(crate) use self::source_map::SourceMap;
pub use self::state::{FileStateConfig, RedisStateConfig, StateConfig};
pub use self::tests::ExpectedVerdict;
pub(crate) use self::tree::MAX_FILE_BYTES;
#[cfg(test)]
pub(crate) use self::tree::{Node, Value as NodeValue};
