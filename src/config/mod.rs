//! The configuration file: one YAML file that says where requests go and who may pass.
//!
//! `ingress` is cloudflared's (section 17 of the Access contract); applications, policies, groups
//! and service tokens are Cloudflare's objects (sections 7, 8 and 11). [`Config::load`] reads a
//! file, [`inspect::check`](crate::inspect::check) says what it means and what may not be meant.
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
//! Rules about countries and certificates need somebody who knows (see
//! [`source`](crate::facts)); what trusted proxies say in headers needs `trusted_proxies`:
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
//! People reach all hosts on port 443, by `https`, unless the file says another port: for all hosts, or
//! for some. It is in every address that is made (see
//! [`PublicAddresses`](crate::application::PublicAddresses)); `domain` and `hostname` have no ports, and
//! requests are for the same application whatever their port.
//!
//! ```yaml
//! listen: 127.0.0.1:8080                  # where the TLS terminator in front asks
//! public_port: 8443                       # 1 to 65535; where people ask it
//! public_ports:                           # before `public_port`, the most specific one first
//!   login.example.com: 443
//!   '*.lab.example.com': 9443
//! # insecure_public_scheme: http          # where every host is localhost, 127.0.0.1 or [::1]
//! ```
//!
//! Without `state` a restart logs everybody out. One process keeps its state in a file, several share
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
//! #     ca_file: /etc/access/redis-ca.pem
//! #     prefix: 'tower-access:'
//! #     secret_file: /etc/access/secret    # openssl rand -hex 32
//! ```
//!
//! How often codes may be asked for and guessed has usual values, and a key for each
//! ([`OneTimePinLimits`](crate::login::OneTimePinLimits) says what they mean, and in which range):
//!
//! ```yaml
//! access:
//!   one_time_pin:
//!     digits: 6                           # codes have more while somebody guesses
//!     attempts: 3
//!     expires_in: 5m
//!     limits:
//!       wrong_codes_per_day: 500          # of all; before codes get longer
//!       wrong_codes_per_network: 10       # in 10 minutes; before its codes get longer
//!       wrong_codes_per_wide_network: 100
//!       wrong_codes_per_browser: 10       # an hour; of one that has logged in before
//!       mails_per_browser: 5              # in 15 minutes; then it is told to wait
//!       mails_per_browser_and_day: 20
//!       mails_per_address: 10             # an hour; then logins share a code
//!       mails_per_address_and_network: 5  # in 15 minutes
//!       mails_per_network: 30             # in 10 minutes
//!       mails_per_wide_network: 300
//!       mails_per_known_network: 5        # in 15 minutes; beside all others
//!       mails_per_known_network_and_day: 20
//!       known_networks: 16                # of each address
//!       remember_networks_for: 2160h
//!       shared_code_digits: 10
//!       shared_code_every: 5m
//! ```
//!
//! A file is taken whole or not at all. Unknown keys are errors, never skipped: a misspelt
//! `exclude` must not open anything. Settings that exist at Cloudflare and not here are refused
//! when ignoring them would change who gets in, and noted otherwise. All errors of a file are
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
//! How it is built: the text becomes a tree in which everything knows its place (`tree`), from
//! which serde types are read one by one (`de`, `reader`), and then the parts are held against
//! each other (`cross`). No secret stands in the file: service tokens are hashes, passwords are
//! files of their own, or come from the environment.
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
//! Looked up once, when the file is read, and again at a reload; a variable that is not set is an
//! error. A value stays one text whatever the variable holds: it cannot add keys or entries, and
//! keys, numbers and switches (`true`, `false`) are always written in the file itself, where a
//! weakened default can be seen. Nothing is ever looked up for a request. Errors and notes do not
//! repeat what came from the environment; tools that say what a file means do show hosts and
//! addresses, wherever they came from.
//!
//! # Origins
//!
//! `originRequest` has cloudflared's names and defaults, at the top level for all rules and in a rule for
//! itself. Durations are Go's (`90s`, `1h30m`); `0s` is no limit.
//!
//! ```yaml
//! originRequest:
//!   connectTimeout: 30s               # to find the address and connect
//!   tlsTimeout: 10s                   # for the TLS handshake
//!   tcpKeepAlive: 30s                 # pause between probes; 0s sends none
//!   keepAliveConnections: 100         # idle connections that are kept, for each rule
//!   keepAliveTimeout: 90s             # how long
//!   response_header_timeout: 100s     # silence before the head of an answer; not cloudflared's
//!   matchSNItoHost: false             # the name in the handshake is the request's host
//!   disableChunkedEncoding: false     # bodies of unknown length are collected, 32 at a time for each rule
//!   max_collected_body_bytes: 1048576 # 0 to 67108864; a longer one is 413; not cloudflared's
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
//! `response_header_timeout` begins anew while the request's body still moves; an answer that began, such
//! as an event stream, has no limit, and a client that goes away ends the request at the origin at any
//! time. With `matchSNItoHost` the name in the handshake, which the certificate must have, is the host
//! that the origin is sent: `httpHostHeader`, or else the client's, without its port.
//! `originServerName` wins where both are written, in the rule or at the top level. Connections of one
//! name never serve another; of each rule, those of the 64 names that were asked for last are kept.
//!
//! An origin may close an idle connection at any time. A connection that was closed is not used, and a
//! request of which nothing was sent goes over another. For an origin that closes early (Node.js, Apache
//! httpd and uvicorn after 5 seconds) write a `keepAliveTimeout` below its time, so that no request meets
//! the close.
//!
//! # Limits
//!
//! Every time, size and count has a default, and what is outside its bounds is an error. All of them,
//! with their defaults:
//!
//! ```yaml
//! limits:
//!   listen:                           # of the proxy's listener
//!     max_connections: 10000          # 1 to 1000000; further ones wait
//!     header_read_timeout: 15s        # 10ms to 10m; for the head of a request, from its first byte
//!     max_header_bytes: 65536         # 8192 to 1048576 bytes of a head
//!     idle_timeout: 620s              # 10ms to 24h; for a connection without a request under way
//!     grace_period: 30s               # 0s to 24h; for requests under way when the program stops
//!     max_drained_bytes: 67108864     # 0 to 1099511627776 bytes of a body that nobody reads
//!     drain_timeout: 30s              # 10ms to 1h; for such a body
//!     max_drains: 1000                # 0 to 1000000 such bodies at a time
//!     linger_timeout: 5s              # 10ms to 5m; for a connection that closes
//!     max_http2_streams: 200          # 1 to 10000 requests at a time on one connection
//!     http2_ping_interval: 30s        # 1s to 1h
//!     http2_ping_timeout: 10s         # 1s to 10m
//!   admin:                            # of the listener of `admin`: the same keys, and
//!     max_connections: 64
//!   token_cache_bytes: 16777216       # 0 to 1073741824 bytes of verified tokens
//! access:
//!   external_evaluation:
//!     timeout: 5s                     # 100ms to 30s
//!     recheck_every: 5m               # 10s to 24h, or `login`
//!     serve_stale_up_to: 1h           # 0s to 168h
//! # issuer:                           # where tokens are issued elsewhere
//! #   leeway: 60s                     # 0s to 5m; between the issuer's clock and ours
//! #   key_refresh:
//! #     fresh_for: 1h                 # 1m to 6h; where the issuer does not say
//! #     serve_stale_up_to: 24h        # 1m to 744h; while the keys cannot be fetched
//! #     cool_down: 10s                # 1s to 1h; between fetches for unknown keys
//! # state:
//! #   redis:
//! #     timeout: 2s                   # 100ms to 30s, for one operation
//! #     members_per_set: 50000        # 100 to 10000000
//! ```
//!
//! `originRequest` takes effect at a reload. `limits`, `state` and `issuer.key_refresh` take effect after a
//! restart, and the log of a reload says which of them differ.
//!
//! A load balancer keeps connections to the proxy open for later requests. Where the proxy closes first,
//! a request can meet the close, and the balancer answers 502: so `limits.listen.idle_timeout` is longer
//! than the time of every balancer in this table, with its settings as they come. Where yours keeps
//! connections longer, write a longer time.
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
//! `max_connections`; where strangers reach the listener without a balancer, a shorter `idle_timeout`
//! such as `75s` leaves them fewer.
//!
//! # Administration
//!
//! `admin` opens a listener for whoever runs the proxy, on this machine alone; see the module
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
mod hidden;
mod ingress;
mod keys;
mod levels;
mod limits;
mod lint;
mod load;
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
mod places;
mod policy;
mod public;
mod public_addresses;
mod reader;
mod reusable;
mod salvage;
#[cfg(any(feature = "redb", feature = "redis"))]
mod secret_file;
mod selector_value;
mod settings;
mod single_origin;
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
pub use self::ingress::IngressEntry;
pub use self::limits::{LimitsConfig, ListenerLimits};
pub use self::lint::Suppression;
pub(crate) use self::load::read_text;
pub use self::location::Location;
pub use self::mail::{MailConfig, SmtpConfig, SmtpTlsConfig};
pub use self::origin::OriginRequest;
pub(crate) use self::places::Places;
pub use self::public::PublicDestination;
pub use self::settings::{AccessConfig, Config, OneTimePinConfig, Role};
pub use self::state::{FileStateConfig, RedisStateConfig, StateConfig};
pub use self::tests::ExpectedVerdict;
pub(crate) use self::tree::LARGEST_FILE;
#[cfg(test)]
pub(crate) use self::tree::{Node, Value as NodeValue};
