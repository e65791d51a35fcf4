//! `admin`: where the running proxy is told what to do.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::engine::ConfigError;
use crate::secret::SecretText;

use super::environment::{Environment, Expansion, expand};
use super::error::{ConfigErrors, NoteKind};
use super::file::{named_text, read_secret, without_mark};
use super::keys;
use super::reader::{Place, Reader};
use super::salvage;
use super::tree::Node;

/// Where the running proxy is told what to do, and by whom.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AdminConfig {
    /// `listen`: an address of this machine alone, unless `dangerous_listen_anywhere` is `true`.
    /// `127.0.0.1:9180` by default.
    pub listen: SocketAddr,
    /// `token_file` or `token`: what whoever asks has to show.
    pub token: AdminToken,
}

/// What whoever administrates has to show: at least 32 characters that nobody can guess.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AdminToken {
    /// `token_file`: it stands in this file.
    File(PathBuf),
    /// `token`: it came from the environment.
    Given(SecretText),
}

impl AdminConfig {
    /// Reads what a file says about administration alone, for whoever talks to the proxy: of the
    /// environment only what stands there is needed. `None` where the file says nothing.
    ///
    /// The rest of the file may be wrong, even no YAML: then the log says so, and the lines of the one
    /// `admin` at the margin are read.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or this part of it is wrong.
    pub fn load(
        path: impl AsRef<Path>,
        environment: &Environment,
    ) -> Result<Option<Self>, ConfigErrors> {
        let (name, text) = named_text(path.as_ref())?;
        let text = without_mark(&text);
        let mut root = match Node::parse(text) {
            Ok(root) => root,
            Err(problem) => {
                let errors = ConfigErrors::new(&name, vec![problem]);
                let salvaged = salvage::section(text, KEY).map(|text| Node::parse(&text));
                let Some(Ok(root)) = salvaged else { return Err(errors) };
                tracing::warn!("the file is wrong, and `admin` alone is read of it: {errors}");
                root
            }
        };
        root.keep_only(KEY);
        let Expansion { mut problems, hidden, .. } = expand(&mut root, environment);
        let mut reader = Reader::default();
        let config = read(&mut reader, &Place::root(&root), None);
        problems.extend(reader.errors.into_iter().filter_map(|error| hidden.of_problem(error)));
        if problems.is_empty() { Ok(config) } else { Err(ConfigErrors::new(&name, problems)) }
    }

    /// The token itself, read now where it stands in a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or the token is shorter than 32 characters or no visible ASCII.
    pub fn token(&self) -> Result<SecretText, ConfigError> {
        let (token, key) = match &self.token {
            AdminToken::File(path) => (read_secret(path, "admin.token_file")?, "admin.token_file"),
            AdminToken::Given(token) => (token.clone(), "admin.token"),
        };
        if is_good(&token) {
            Ok(token)
        } else {
            Err(ConfigError::new(format!("{key}: {NO_TOKEN}")))
        }
    }
}

/// Reads `admin`. `None` where the file says nothing, or with at least one error.
pub(super) fn read(
    reader: &mut Reader,
    root: &Place<'_>,
    proxy: Option<SocketAddr>,
) -> Option<AdminConfig> {
    let place = root.get(KEY)?;
    if !reader.mapping(&place, &[keys::ADMIN]) {
        return None;
    }
    let anywhere =
        reader.optional::<bool>(&place, "dangerous_listen_anywhere").is_some_and(|on| on.value);
    let listen = read_listen(reader, &place, proxy, anywhere);
    let file = reader.optional::<PathBuf>(&place, "token_file");
    let token = reader.secret(
        &place,
        "token",
        "the token itself does not belong into this file; write `token_file: /path/to/it`, or \
         `token: ${NAME}` for one in the environment",
    );
    if let (Some(token), Some(at)) = (&token, place.get("token"))
        && !is_good(token)
    {
        reader.error_saying(&at, NO_TOKEN);
    }
    let token = match (file, token) {
        (Some(file), None) if place.get("token").is_none() => AdminToken::File(file.value),
        (None, Some(token)) => AdminToken::Given(token),
        (None, None) => {
            if place.get("token").is_none() && place.get("token_file").is_none() {
                let hint = ": whoever asks has to show a secret; write the path of a file with one \
                            (openssl rand -hex 32)";
                reader.required(&place, &["token_file"], hint);
            }
            return None;
        }
        _ => {
            reader.error(&place, "`token` and `token_file` exclude each other; leave one out");
            return None;
        }
    };
    Some(AdminConfig { listen: listen?, token })
}

fn read_listen(
    reader: &mut Reader,
    admin: &Place<'_>,
    proxy: Option<SocketAddr>,
    anywhere: bool,
) -> Option<SocketAddr> {
    let Some(place) = admin.get("listen") else { return Some(DEFAULT_LISTEN) };
    let Some(Ok(listen)) = place.node.text().map(str::parse::<SocketAddr>) else {
        reader.error_saying(&place, "no address with a port; write `127.0.0.1:9180`");
        return None;
    };
    if proxy == Some(listen) && listen.port() != 0 {
        reader.error_saying(&place, "the proxy itself listens there; write another port");
    }
    if !listen.ip().to_canonical().is_loopback() {
        if anywhere {
            reader.note(
                NoteKind::Weakens,
                &place,
                "other machines reach the administration, and its token travels in plain text",
            );
        } else {
            reader.error_saying(
                &place,
                "other machines would reach the administration; write `127.0.0.1:9180` (or, if a \
                 network of its own keeps everybody else away, `dangerous_listen_anywhere: true` \
                 beside it)",
            );
        }
    }
    Some(listen)
}

fn is_good(token: &SecretText) -> bool {
    let token = token.expose();
    token.len() >= SHORTEST_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic())
}

const KEY: &str = "admin";
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);
const SHORTEST_TOKEN: usize = 32;
const NO_TOKEN: &str = "no token: at least 32 visible ASCII characters without blanks are needed \
                        (openssl rand -hex 32)";
