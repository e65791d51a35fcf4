//! `state`: where sessions, logins under way, revocations and signing keys are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::RedisUrl;

use super::error::NoteKind;
use super::keys;
use super::limits::{self, SECOND};
use super::reader::{Place, Reader};
use super::tree::Value;

/// `state`: where sessions, logins under way, revocations and signing keys are kept. In memory
/// where the file says nothing: a restart then logs everybody out.
///
/// # Backups
///
/// A backup holds sessions, keys and service tokens that may have been ended after it was made. So
/// whoever restores one ends all of them: everybody logs in again, the signing key is new, and service
/// tokens that were made at run time are created again.
///
/// - **A file**: stop the program, and copy the state file together with its secret file; that is
///   all there is to back up. To restore, put the secret file back, and run
///   [`Config::restore`](super::Config::restore) with the copy (`proxy restore --config access.yml
///   --from COPY`) while the program is stopped. A copy that was put in place by other means is noticed
///   by its witness, a file named like the state file and `.witness` at the end, and has the same
///   consequences at the next start; the log says so. So has a state file that was moved without its
///   witness: move both, while the program is stopped. What cannot be noticed is that file and witness
///   were put back together, as in a snapshot of a whole disk: then run `proxy restore` without
///   `--from`.
/// - **Redis**: load the dump while no process uses the server, then run `proxy restore --config
///   access.yml`, then start the processes. A server that loads an old dump while processes run gets
///   back from them what was ended since; one that loads it while none runs tells nobody.
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
    /// `file`, or a path alone: one file, for one process.
    File(FileStateConfig),
    /// `redis`: a server, for several processes.
    Redis(RedisStateConfig),
}

/// State in one file.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FileStateConfig {
    /// `file`: made at the first start.
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
    /// `password_file`: a file with the password, read when the store is opened.
    pub password_file: Option<PathBuf>,
    /// `ca_file`: the authorities that are trusted instead of the platform's, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// `prefix`: what all keys begin with, `tower-access:` by default.
    pub prefix: Option<String>,
    /// `secret_file`: the master secret, 64 hexadecimal digits; the same for all processes.
    pub secret_file: PathBuf,
    /// `timeout`: longest time for one operation, connecting included; 100 ms to 30 s, 2 s by default.
    pub timeout: Option<Duration>,
    /// `members_per_set`: most sessions of a person, and members of each other set; 100 to 10 000 000,
    /// 50 000 by default.
    pub members_per_set: Option<usize>,
}

impl FileStateConfig {
    /// The file with the master secret, which seals the signing keys: 64 hexadecimal digits. Made
    /// together with the state; the state file's name and `.secret` where the configuration names
    /// none.
    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        self.secret_file.clone().unwrap_or_else(|| {
            let mut name = self.file.clone().into_os_string();
            name.push(".secret");
            name.into()
        })
    }
}

/// Reads `state`.
pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> Option<StateConfig> {
    let place = root.get("state")?;
    let state = match &place.node.value {
        Value::Text(_) => path_at(reader, &place)
            .map(|file| StateConfig::File(FileStateConfig { file, secret_file: None })),
        Value::Mapping(_) => in_mapping(reader, &place),
        _ => {
            reader.error(&place, FORMS);
            None
        }
    };
    if root.get("access").is_some_and(|access| access.get("issuer").is_some()) {
        reader.note_no_effect(
            root,
            "state",
            "the issuer keeps sessions and keys; nothing is kept here",
        );
    }
    state
}

fn in_mapping(reader: &mut Reader, place: &Place<'_>) -> Option<StateConfig> {
    let before = reader.errors.len();
    if !reader.mapping(place, &[keys::STATE]) {
        return None;
    }
    match (place.get("file"), place.get("redis")) {
        (Some(_), None) => {
            let file = path(reader, place, "file");
            let secret_file = path(reader, place, "secret_file");
            Some(StateConfig::File(FileStateConfig { file: file?, secret_file }))
        }
        (None, Some(redis)) => {
            if let Some(secret) = place.get("secret_file") {
                reader.error(&secret, "belongs to the server's settings; write it inside `redis`");
            }
            in_redis(reader, &redis).map(StateConfig::Redis)
        }
        // A key that is misspelt was reported just now.
        (None, None) if reader.errors.len() > before => None,
        _ => {
            reader.error(place, FORMS);
            None
        }
    }
}

fn in_redis(reader: &mut Reader, place: &Place<'_>) -> Option<RedisStateConfig> {
    const SECRET: &[&str] = &["password"];
    if !reader.mapping(place, &[keys::REDIS, SECRET]) {
        return None;
    }
    if let Some(secret) = place.get("password") {
        reader.error(
            &secret,
            "a password does not belong into this file; write `password_file: /path/to/it`",
        );
    }
    reader.required(place, &["url"], ": write `url: redis://host:6379/0`");
    reader.required(
        place,
        &["secret_file"],
        ": all processes need the same master secret; make one with `openssl rand -hex 32 > FILE` \
         and write `secret_file: FILE`",
    );
    let url = reader.parsed::<RedisUrl>(place, "url");
    let username = reader.optional::<String>(place, "username");
    let password_file = path(reader, place, "password_file");
    let ca_file = path(reader, place, "ca_file");
    let prefix = reader.optional::<String>(place, "prefix");
    let secret_file = path(reader, place, "secret_file");
    let timeout =
        limits::duration(reader, place, "timeout", Duration::from_millis(100)..=30 * SECOND);
    let members_per_set = limits::number(reader, place, "members_per_set", 100..=10_000_000);
    if let Some(name) = username.as_ref().filter(|name| name.value.is_empty()) {
        reader.error_at(name.at, &name.key, "`username` is empty; write a name or leave it out");
    }
    if username.is_some() && place.get("password_file").is_none() && place.get("password").is_none()
    {
        reader.error(place, "`username` without `password_file`; write both, or the file alone");
    }
    if let Some(prefix) = prefix.as_ref().filter(|prefix| !is_prefix(&prefix.value)) {
        reader.error_at(
            prefix.at,
            &prefix.key,
            "no beginning of keys; write visible ASCII, at most 64 bytes, such as `tower-access:`",
        );
    }
    let url = url?;
    if ca_file.is_some() && !url.value.is_tls() {
        let at = place.get("ca_file").unwrap_or_else(|| place.clone());
        reader.error(&at, "authorities without TLS; write `rediss://` in `url`, or leave it out");
    }
    if !url.value.is_tls() && !url.value.is_loopback() {
        reader.notes.push(super::Note::new(
            NoteKind::Weakens,
            url.at,
            url.key.as_str(),
            "sessions and the password travel in plain text: whoever is on the way reads and \
             changes them; write `rediss://`, unless nobody is",
        ));
    }
    Some(RedisStateConfig {
        url: url.value,
        username: username.map(|name| name.value),
        password_file,
        ca_file,
        prefix: prefix.map(|prefix| prefix.value),
        secret_file: secret_file?,
        timeout,
        members_per_set,
    })
}

fn path(reader: &mut Reader, parent: &Place<'_>, key: &str) -> Option<PathBuf> {
    path_at(reader, &parent.get(key)?)
}

fn path_at(reader: &mut Reader, place: &Place<'_>) -> Option<PathBuf> {
    let text: String = reader.read(place, &[])?;
    if text.trim().is_empty() {
        reader.error(place, "no path; write the file's path");
        return None;
    }
    if text.contains("://") {
        reader.error(
            place,
            "an address where a file's path belongs; for a server write \
             `state: { redis: { url: …, secret_file: … } }`",
        );
        return None;
    }
    Some(Path::new(&text).to_owned())
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const FORMS: &str = "no place for state; write a file's path, `{ file: … }` or `{ redis: { url: …, \
                     secret_file: … } }`";
