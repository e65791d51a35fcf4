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
//! [`source`](crate::source)); what trusted proxies say in headers needs `trusted_proxies`:
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
mod hidden;
pub mod import;
mod ingress;
mod limits;
mod lint;
mod load;
mod location;
mod login_methods;
mod mail;
mod one_time_pin;
mod open;
mod origin;
mod places;
mod public;
mod public_addresses;
mod reader;
mod reusable;
#[cfg(any(feature = "redb", feature = "redis"))]
mod secret_file;
mod settings;
mod state;
mod tests;
mod tree;
mod unsupported;
mod version;

pub use self::admin::{AdminConfig, AdminToken};
pub use self::environment::Environment;
pub use self::error::{ConfigErrors, Note, NoteKind, Problem};
pub use self::facts::FactsConfig;
pub use self::ingress::IngressEntry;
pub use self::limits::{LimitsConfig, ListenerLimits};
pub use self::lint::Suppression;
pub use self::location::Location;
pub use self::mail::{MailConfig, SmtpConfig, SmtpTlsConfig};
pub use self::origin::OriginRequest;
pub(crate) use self::places::Places;
pub use self::public::PublicDestination;
pub use self::settings::{AccessConfig, Config, OneTimePinConfig, Role};
pub use self::state::{FileStateConfig, RedisStateConfig, StateConfig};
pub use self::tests::ExpectedVerdict;
