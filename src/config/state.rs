//! `state`: where sessions, logins under way, revocations and signing keys are stored.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::store::RedisUrl;

use super::error::NoteKind;
use super::reader::{NodeRef, Reader};
use super::schema::{
    Acceptance, FilePath, NonEmpty, OtherKeys, Read, Shape, Time, Whole, document, from_text,
    seconds,
};
use super::tree::Value;

/// `state`: where sessions, logins under way, revocations and signing keys are stored. If omitted: in
/// memory, and a restart logs everybody out.
///
/// # Backups
///
/// A backup contains sessions, keys and service tokens that may have been revoked after it was made.
/// Therefore restoring one revokes all of them: everybody logs in again, the signing key is new, and
/// service tokens that were created at run time must be created again.
///
/// - **A file**: stop the program, and copy the state file together with its secret file; nothing else
///   needs a backup. To restore, put the secret file back, and run
///   [`Config::restore`](super::Config::restore) with the copy (`proxy restore --config access.yml
///   --from COPY`) while the program is stopped. A copy that was put in place by other means is detected
///   by its witness, a file named like the state file with `.witness` at the end, and has the same
///   consequences at the next start; the log reports it. The same applies to a state file that was moved
///   without its witness: move both, while the program is stopped. If file and witness were restored
///   together, as from a snapshot of a whole disk, this cannot be detected: run `proxy restore` without
///   `--from`.
/// - **Redis**: load the dump while no process uses the server, then run `proxy restore --config
///   access.yml`, then start the processes. A server that loads an old dump while processes run gets
///   the revocations since then back from them; one that loads it while none runs goes unnoticed.
///
/// ```
/// use tower_access::config::{Config, StateConfig};
///
/// let text = "
/// state: /var/lib/access/state.redb
/// access:
///   mail: console
///   applications: [ { domain: wiki.example.com } ]
/// ";
/// let config = Config::parse(text, "access.yml")?;
/// let Some(StateConfig::File(state)) = &config.state else { panic!() };
/// assert_eq!(state.secret_file().to_str(), Some("/var/lib/access/state.redb.secret"));
/// # Ok::<(), tower_access::config::ConfigErrors>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StateConfig {
    /// `file`, or only a path: one file, for one process.
    File(FileStateConfig),
    /// `redis`: a server, for several processes.
    Redis(RedisStateConfig),
}

/// State in one file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileStateConfig {
    /// `file`: created at the first start.
    pub file: PathBuf,
    /// `secret_file`, see [`secret_file`](Self::secret_file).
    pub secret_file: Option<PathBuf>,
}

/// State in Redis or Valkey.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RedisStateConfig {
    /// `url`: `redis://host:port/database`, or `rediss://` for TLS.
    pub url: RedisUrl,
    /// `username`.
    pub username: Option<String>,
    /// `password_file`: a file with the password, which is read when the store is opened.
    pub password_file: Option<PathBuf>,
    /// `ca_file`: a PEM file with the authorities that are trusted instead of the platform's.
    pub ca_file: Option<PathBuf>,
    /// `prefix`: the beginning of all keys, `tower-access:` by default.
    pub prefix: Option<String>,
    /// `secret_file`: the master secret, 64 hexadecimal digits; the same for all processes.
    pub secret_file: PathBuf,
    /// `timeout`: time for one operation, connecting included; 100 ms to 30 s, 2 s by default.
    pub timeout: Option<Duration>,
    /// `members_per_set`: maximum sessions of a user, and members of each other set; 100 to 10 000 000,
    /// 50 000 by default.
    pub members_per_set: Option<usize>,
}

impl FileStateConfig {
    /// Returns the file with the master secret, which encrypts the signing keys: 64 hexadecimal digits. It is
    /// created with the state file. By default its name is that of the state file and `.secret`.
    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".secret");
            name.into()
        })
    }
}

document! {
    /// Where sessions, logins under way, revocations and signing keys are stored: one of `file` and
    /// `redis`.
    pub(super) struct State in "state" {
        /// The state file, for one process. It is created at the first start.
        "file" file: FilePath { default: "none", example: "/var/lib/access/state.redb", }
        /// A Redis or Valkey server, for several processes.
        "redis" redis: Redis {
            default: "none",
            example: "{ url: 'rediss://redis.example.com:6379/0', secret_file: /etc/access/secret }",
        }
        /// The file with the master secret of the state file: 64 hexadecimal digits. It is created with
        /// the state file.
        "secret_file" secret_file: FilePath {
            default: "the name of the state file and `.secret`", example: "/etc/access/secret",
        }
    }
}

document! {
    /// A Redis or Valkey server.
    pub(super) struct Redis in "state.redis" with SECRETS {
        /// `redis://host:port/database`, or `rediss://` for TLS.
        "url" url: RedisUrl {
            required: ": write `url: redis://host:6379/0`",
            example: "rediss://redis.example.com:6379/0",
        }
        /// The user name at the server. Needs `password_file`.
        "username" username: NonEmpty { default: "the default user", example: "access", }
        /// A file with the password, which is read when the store is opened.
        "password_file" password_file: FilePath {
            default: "no password", example: "/etc/access/redis-password",
        }
        /// A PEM file with the certificate authorities that are trusted instead of those of the platform.
        "ca_file" ca_file: FilePath {
            default: "the authorities of the platform", example: "/etc/access/redis-ca.pem",
        }
        /// The beginning of the names of all keys: visible ASCII, at most 64 bytes.
        "prefix" prefix: KeyPrefix { default: "'tower-access:'", example: "'staging:'", }
        /// The file with the master secret, 64 hexadecimal digits: the same for all processes.
        "secret_file" secret_file: FilePath {
            required: ": all processes need the same master secret; make one with `openssl rand -hex 32 \
                       > FILE` and write `secret_file: FILE`",
            example: "/etc/access/secret",
        }
        /// Time for one operation, connecting included.
        "timeout" timeout: Time<100, { seconds(30) }> { default: "2s", example: "5s", }
        /// Sessions of one user, and members of each other set, at most.
        "members_per_set" members_per_set: Whole<usize, 100, 10_000_000> {
            default: "50000", example: "100000",
        }
    }
}

const SECRETS: &[OtherKeys] =
    &[OtherKeys { names: &["password"], acceptance: Acceptance::Refused(NO_PASSWORD) }];
const NO_PASSWORD: &str =
    "a password does not belong in this file; write `password_file: /path/to/it`";

from_text! {
    RedisUrl: Shape::Text { form: "URL of a Redis server", pattern: Some("^rediss?://") };
    KeyPrefix: Shape::Text { form: "visible ASCII", pattern: Some("^[!-~]{0,64}$") };
}

impl Read for StateConfig {
    type Output = Self;

    fn shape() -> Shape {
        Shape::AnyOf(vec![FilePath::shape(), State::shape()])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        match &place.node.value {
            Value::Text(text) if text.contains("://") => {
                reader.error(
                    place,
                    "a URL instead of a file's path; for a server write `state: { redis: { url: …, \
                     secret_file: … } }`",
                );
                None
            }
            Value::Text(_) => FilePath::read(reader, place)
                .map(|file| Self::File(FileStateConfig { file, secret_file: None })),
            Value::Mapping(_) => read_mapping(reader, place),
            _ => {
                reader.error(place, FORMS);
                None
            }
        }
    }
}

fn read_mapping(reader: &mut Reader, place: &NodeRef<'_>) -> Option<StateConfig> {
    let before = reader.errors.len();
    let State { file, redis, secret_file } = State::read(reader, place)?;
    match (file.is_written(), redis.is_written()) {
        (true, false) => Some(StateConfig::File(FileStateConfig {
            file: file.value()?,
            secret_file: secret_file.value(),
        })),
        (false, true) => {
            if let Some(secret) = secret_file.written() {
                reader.error(secret, "a setting of the server; write it inside `redis`");
            }
            let place = place.get("redis")?;
            build_redis(reader, &place, redis.value()?).map(StateConfig::Redis)
        }
        // A key that is misspelt was reported just now.
        (false, false) if reader.errors.len() > before => None,
        _ => {
            reader.error(place, FORMS);
            None
        }
    }
}

fn build_redis(reader: &mut Reader, place: &NodeRef<'_>, redis: Redis) -> Option<RedisStateConfig> {
    if let Some(secret) = place.get("password") {
        reader.error(&secret, NO_PASSWORD);
    } else if redis.username.is_written() && !redis.password_file.is_written() {
        reader.error(place, "`username` without `password_file`; write both, or the file alone");
    }
    let ca_file = redis.ca_file;
    let url = redis.url.located()?;
    if let Some(ca_file) = ca_file.written().filter(|_| !url.value.is_tls()) {
        reader
            .error(ca_file, "authorities without TLS; write `rediss://` in `url`, or leave it out");
    }
    if !url.value.is_tls() && !url.value.is_loopback() {
        reader.note_at(
            NoteKind::Weakens,
            &url,
            "sessions and the password travel in plain text: anybody on the network path can read and \
             change them; write `rediss://`, unless the path is private",
        );
    }
    Some(RedisStateConfig {
        url: url.value,
        username: redis.username.value(),
        password_file: redis.password_file.value(),
        ca_file: ca_file.value(),
        prefix: redis.prefix.value().map(|prefix| prefix.0),
        secret_file: redis.secret_file.value()?,
        timeout: redis.timeout.value(),
        members_per_set: redis.members_per_set.value(),
    })
}

/// The beginning of the names of keys.
#[derive(Debug)]
pub(super) struct KeyPrefix(String);

impl FromStr for KeyPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 64 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("invalid prefix; write visible ASCII, at most 64 bytes, such as \
                        `tower-access:`");
        }
        Ok(Self(text.to_owned()))
    }
}

const FORMS: &str = "invalid `state`; write a file's path, `{ file: … }` or `{ redis: { url: …, \
                     secret_file: … } }`";
