//! `admin`: the listener for administration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::engine::ConfigError;
use crate::secret::SecretText;

use super::error::NoteKind;
use super::file::read_secret;
use super::reader::{NodeRef, Reader};
use super::schema::{Field, Secret, document};

/// The listener for administration, and its token.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AdminConfig {
    /// `listen`: an address of this machine only, unless `dangerous_listen_anywhere` is `true`.
    /// `127.0.0.1:9180` by default.
    pub listen: SocketAddr,
    /// `token_file` or `token`: the token that requests must carry.
    pub token: AdminToken,
}

/// The token of the administration: at least 32 characters that nobody can guess.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AdminToken {
    /// `token_file`: the file with the token.
    File(PathBuf),
    /// `token`: the token itself, from the environment.
    Value(SecretText),
}

impl AdminConfig {
    /// Returns the token; reads its file if there is one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or the token is shorter than 32 characters or not visible ASCII.
    pub fn token(&self) -> Result<SecretText, ConfigError> {
        let (token, key) = match &self.token {
            AdminToken::File(path) => (read_secret(path, "admin.token_file")?, "admin.token_file"),
            AdminToken::Value(token) => (token.clone(), "admin.token"),
        };
        if is_strong(&token) {
            Ok(token)
        } else {
            Err(ConfigError::new(format!("{key}: {WEAK_TOKEN}")))
        }
    }
}

document! {
    /// The listener for administration. It needs one of `token_file` and `token`.
    pub(super) struct Admin in "admin" {
        /// The address it listens on: one of this machine, unless `dangerous_listen_anywhere` is set.
        "listen" listen: SocketAddr { default: "'127.0.0.1:9180'", example: "127.0.0.1:9180", }
        /// A file with the token that requests must carry: at least 32 visible ASCII characters.
        "token_file" token_file: PathBuf {
            default: "none", example: "/run/secrets/admin-token",
        }
        /// The token, from an environment variable: `${NAME}`.
        "token" token: Secret { default: "none", example: "'${ADMIN_TOKEN}'", }
        /// Allows `listen` to be an address that other machines reach. Weakens the default.
        "dangerous_listen_anywhere" dangerous_listen_anywhere: bool {
            default: "false", example: "true",
        }
    }
}

/// Builds the settings. `None` if `admin` is omitted, or with at least one error. `proxy` is the
/// address of the other listener.
pub(super) fn build(
    reader: &mut Reader,
    root: &NodeRef<'_>,
    admin: Field<Admin>,
    proxy: Option<SocketAddr>,
) -> Option<AdminConfig> {
    let (place, admin) = (root.get(KEY)?, admin.value()?);
    check_listen(reader, &admin, proxy);
    if let (Some(written), Some(token)) = (admin.token.written(), admin.token.get())
        && !is_strong(token)
    {
        reader.fixed_error(written, WEAK_TOKEN);
    }
    let token = match (admin.token_file.is_written(), admin.token.is_written()) {
        (true, false) => AdminToken::File(admin.token_file.value()?),
        (false, true) => AdminToken::Value(admin.token.value()?),
        (false, false) => {
            let hint = ": requests must carry a secret; write the path of a file with one (openssl \
                        rand -hex 32)";
            reader.required(&place, &["token_file"], hint);
            return None;
        }
        (true, true) => {
            reader.error(&place, "`token` and `token_file` exclude each other; leave one out");
            return None;
        }
    };
    let listen = if admin.listen.is_written() { admin.listen.value()? } else { DEFAULT_LISTEN };
    Some(AdminConfig { listen, token })
}

fn check_listen(reader: &mut Reader, admin: &Admin, proxy: Option<SocketAddr>) {
    let (Some(place), Some(listen)) = (admin.listen.written(), admin.listen.get()) else { return };
    if proxy == Some(*listen) && listen.port() != 0 {
        reader.fixed_error(place, "the proxy itself listens there; write another port");
    }
    if listen.ip().to_canonical().is_loopback() {
        return;
    }
    if admin.dangerous_listen_anywhere.is_on() {
        reader.note(
            NoteKind::Weakens,
            place,
            "other machines reach the administration, and its token travels in plain text",
        );
    } else {
        reader.fixed_error(
            place,
            "other machines would reach the administration; write `127.0.0.1:9180` (or, if a private \
             network keeps everybody else away, `dangerous_listen_anywhere: true` beside it)",
        );
    }
}

fn is_strong(token: &SecretText) -> bool {
    let token = token.expose();
    token.len() >= MIN_TOKEN_BYTES && token.bytes().all(|byte| byte.is_ascii_graphic())
}

pub(super) const KEY: &str = "admin";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);
const MIN_TOKEN_BYTES: usize = 32;
const WEAK_TOKEN: &str = "invalid token: write at least 32 visible ASCII characters without blanks \
                          (openssl rand -hex 32)";
