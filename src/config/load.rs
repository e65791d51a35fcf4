//! From a file to a [`Config`].

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use ipnet::IpNet;

use crate::address::TrustedProxies;

use super::access;
use super::admin;
use super::environment::{self, Environment, Expansion};
use super::error::{ConfigErrors, NoteKind, Problem};
use super::file::{TOO_LARGE, named_text, without_mark};
use super::ingress;
use super::keys;
use super::limits;
use super::lint;
use super::places::Places;
use super::public_addresses;
use super::reader::{Place, Reader};
use super::settings::{Config, DEFAULT_LISTEN};
use super::single_origin;
use super::state;
use super::tests;
use super::tree::{LARGEST_FILE, Node};
use super::version::Version;

impl Config {
    /// Reads and checks a file. `${NAME}` in values is looked up in the environment of this process.
    ///
    /// # Errors
    ///
    /// When there is no such file, it is larger than 16 mebibytes, no text, or wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(path, &Environment::of_process())
    }

    /// As [`load`](Self::load), with another environment.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(
        path: impl AsRef<Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigErrors> {
        let (name, text) = named_text(path.as_ref())?;
        Self::parse_with(&text, &name, environment)
    }

    /// Reads and checks the text of a file. `file` is its name in errors.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file, &Environment::of_process())
    }

    /// As [`parse`](Self::parse), with another environment.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn parse_with(
        text: &str,
        file: &str,
        environment: &Environment,
    ) -> Result<Self, ConfigErrors> {
        read_named(text, file, environment).map(|(config, _)| config)
    }

    pub(crate) fn load_with_places(path: &Path) -> Result<(Self, Places), ConfigErrors> {
        let (name, text) = named_text(path)?;
        Self::parse_with_places(&text, &name)
    }

    pub(crate) fn parse_with_places(
        text: &str,
        file: &str,
    ) -> Result<(Self, Places), ConfigErrors> {
        read_named(text, file, &Environment::of_process())
    }
}

fn read_named(
    text: &str,
    file: &str,
    environment: &Environment,
) -> Result<(Config, Places), ConfigErrors> {
    if text.len() > LARGEST_FILE {
        return Err(ConfigErrors::of_file(file, TOO_LARGE));
    }
    read_text(text, environment).map_err(|errors| ConfigErrors::new(file, errors))
}

/// Reads and checks a text, and gives all errors there are.
pub(crate) fn read_text(
    text: &str,
    environment: &Environment,
) -> Result<(Config, Places), Vec<Problem>> {
    let mut node = Node::parse(without_mark(text)).map_err(|error| vec![error])?;
    if node.is_null() {
        return Err(vec![Problem::new(
            None,
            "",
            "the file is empty; write at least `access` with its applications",
        )]);
    }
    let Expansion { mut problems, hidden, .. } = environment::expand(&mut node, environment);
    let mut reader = Reader::default();
    let config = read_root(&mut reader, &Place::root(&node));
    let Reader { errors, notes } = reader;
    let found_none = config.is_none() && errors.is_empty();
    problems.extend(errors.into_iter().filter_map(|error| hidden.of_problem(error)));
    match config {
        Some(config) if problems.is_empty() => {
            let mut notes: Vec<_> = notes.into_iter().map(|note| hidden.of_note(note)).collect();
            notes.sort_by_key(super::Note::location);
            let version = Version::of(text, &hidden);
            Ok((Config { notes, hidden: hidden.into(), version, ..config }, Places::new(node)))
        }
        None if found_none => Err(vec![Problem::new(None, "", "cannot be read")]),
        _ => Err(problems),
    }
}

fn read_root(reader: &mut Reader, root: &Place<'_>) -> Option<Config> {
    if !reader.mapping(root, &[keys::ROOT, OF_CLOUDFLARED, single_origin::KEYS]) {
        return None;
    }
    for key in OF_CLOUDFLARED {
        if root.node.get(key).is_some() {
            reader.note_no_effect(root, key, "a setting of cloudflared without effect here");
        }
    }
    single_origin::refuse(reader, root);
    let listen = read_listen(reader, root);
    let trusted_proxies = read_trusted_proxies(reader, root);
    let ingress = ingress::read(reader, root);
    let access = access::read(reader, root);
    let state = state::read(reader, root);
    let admin = admin::read(reader, root, Some(listen));
    let limits = limits::read(reader, root);
    let tests = tests::read(reader, root);
    let lint = lint::read(reader, root);
    let access = access?;
    let public_addresses = public_addresses::read(reader, root, &access);
    Some(Config {
        listen,
        trusted_proxies,
        public_addresses,
        ingress,
        access,
        state,
        admin,
        limits,
        tests,
        lint,
        notes: Vec::new(),
        hidden: Arc::default(),
        version: Version::default(),
    })
}

fn read_listen(reader: &mut Reader, root: &Place<'_>) -> SocketAddr {
    let Some(place) = root.get("listen") else { return DEFAULT_LISTEN };
    match place.node.text().map(str::parse::<SocketAddr>) {
        Some(Ok(listen)) => listen,
        _ => {
            reader.error_saying(
                &place,
                "no address with a port; write `127.0.0.1:8080` or `[::1]:8080`",
            );
            DEFAULT_LISTEN
        }
    }
}

fn read_trusted_proxies(reader: &mut Reader, root: &Place<'_>) -> TrustedProxies {
    let mut networks = Vec::new();
    for place in reader.list(root, "trusted_proxies") {
        let Some(text) = reader.read::<String>(&place, &[]) else { continue };
        let network =
            text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok();
        match network {
            None => reader.error(&place, "no network; write `10.0.0.0/8` or `192.0.2.7`"),
            Some(network) => match TrustedProxies::new([network]) {
                Ok(_) => networks.push(network),
                Err(error) => reader.error(&place, error),
            },
        }
    }
    if networks.iter().any(|network| network.prefix_len() < 8)
        && let Some(place) = root.get("trusted_proxies")
    {
        reader.note(
            NoteKind::Surprises,
            &place,
            "a very large network: everybody in it can choose the address rules see; name the proxies",
        );
    }
    TrustedProxies::new(networks).unwrap_or_default()
}

/// Top-level keys of a cloudflared file (section 17.1 of the contract) that say how it reaches
/// Cloudflare and how it logs.
const OF_CLOUDFLARED: &[&str] = &[
    "autoupdate-freq",
    "compression-quality",
    "config",
    "credentials-contents",
    "credentials-file",
    "edge",
    "edge-bind-address",
    "edge-ip-version",
    "features",
    "grace-period",
    "ha-connections",
    "icmpv4-src",
    "icmpv6-src",
    "label",
    "log-directory",
    "logDirectory",
    "logfile",
    "loglevel",
    "management-diagnostics",
    "management-hostname",
    "max-active-flows",
    "max-edge-addr-retries",
    "metrics",
    "metrics-update-freq",
    "name",
    "no-autoupdate",
    "origincert",
    "pidfile",
    "post-quantum",
    "protocol",
    "region",
    "retries",
    "rpc-timeout",
    "tag",
    "token",
    "token-file",
    "trace-output",
    "transport-loglevel",
    "tunnel",
    "warp-routing",
    "write-stream-timeout",
];
