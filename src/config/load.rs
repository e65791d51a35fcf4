//! Reads a [`Config`] from a file.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::address::TrustedProxies;

use super::access::{self, Access};
use super::admin::{self, Admin};
use super::environment::{self, Environment, Expansion};
use super::error::{ConfigErrors, NoteKind, Problem};
use super::file::{TOO_LARGE, named_text, strip_byte_order_mark};
use super::ingress::{self, Rule};
use super::limits::{self, Limits};
use super::lint::Lint;
use super::origin::Origin;
use super::public_addresses::{self, HostPorts, HttpScheme};
use super::reader::{NodeRef, Reader};
use super::schema::{
    Acceptance, Entries, Field, OtherKeys, Port, Read, Shape, Written, document, from_text,
};
use super::settings::{Config, DEFAULT_LISTEN};
use super::single_origin;
use super::source_map::SourceMap;
use super::state::StateConfig;
use super::tests::ExpectedVerdict;
use super::tree::{MAX_FILE_BYTES, Node};
use super::version::Version;

impl Config {
    /// Reads and checks a file. `${NAME}` in values is looked up in the environment of this process.
    ///
    /// # Errors
    ///
    /// If the file does not exist, is larger than 16 mebibytes, is not UTF-8 text, or is invalid.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(path, &Environment::from_process())
    }

    /// As [`load`](Self::load), with the given environment.
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
    /// If the text is invalid: all its errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file, &Environment::from_process())
    }

    /// As [`parse`](Self::parse), with the given environment.
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

    pub(crate) fn load_with_places(path: &Path) -> Result<(Self, SourceMap), ConfigErrors> {
        let (name, text) = named_text(path)?;
        Self::parse_with_places(&text, &name)
    }

    pub(crate) fn parse_with_places(
        text: &str,
        file: &str,
    ) -> Result<(Self, SourceMap), ConfigErrors> {
        read_named(text, file, &Environment::from_process())
    }
}

fn read_named(
    text: &str,
    file: &str,
    environment: &Environment,
) -> Result<(Config, SourceMap), ConfigErrors> {
    if text.len() > MAX_FILE_BYTES {
        return Err(ConfigErrors::for_file(file, TOO_LARGE));
    }
    read_text(text, environment).map_err(|errors| ConfigErrors::new(file, errors))
}

/// Reads and checks a text, and returns all errors.
pub(crate) fn read_text(
    text: &str,
    environment: &Environment,
) -> Result<(Config, SourceMap), Vec<Problem>> {
    let mut node = Node::parse(strip_byte_order_mark(text)).map_err(|error| vec![error])?;
    if node.is_null() {
        return Err(vec![Problem::new(
            None,
            "",
            "the file is empty; write at least `access` with its applications",
        )]);
    }
    let Expansion { mut problems, hidden, .. } = environment::expand(&mut node, environment);
    let mut reader = Reader::new(Root::LEVEL);
    let config = read_root(&mut reader, &NodeRef::root(&node));
    let Reader { errors, notes, .. } = reader;
    problems.extend(errors.into_iter().filter_map(|error| hidden.redact_problem(error)));
    match config {
        Some(config) if problems.is_empty() => {
            let mut notes: Vec<_> =
                notes.into_iter().map(|note| hidden.redact_note(note)).collect();
            notes.sort_by_key(super::Note::location);
            let version = Version::new(text, &hidden);
            Ok((Config { notes, hidden: hidden.into(), version, ..config }, SourceMap::new(node)))
        }
        None if problems.is_empty() => Err(vec![Problem::new(None, "", "invalid file")]),
        _ => Err(problems),
    }
}

document! {
    /// The configuration file.
    pub(super) struct Root in "" with OTHERS {
        /// Which origin serves which host and path. The first rule that matches serves the request.
        "ingress" ingress: Entries<Rule> {
            default: "no rules: the proxy program does not start; programs that serve requests themselves need none",
            example: "[ { hostname: wiki.example.com, service: 'http://127.0.0.1:9001' }, { service: 'http_status:404' } ]",
            cloudflare: "ingress",
        }
        /// How origins are contacted, for all rules of `ingress`.
        "originRequest" origin_request: Origin {
            default: "the defaults of its keys", example: "{ connectTimeout: 10s }",
            cloudflare: "originRequest",
        }
        /// Applications, their policies, and how users prove who they are.
        "access" access: Access {
            required: ": without applications everything is closed; write `access: { applications: [ … ] }`",
            example: "{ mail: console, applications: [ { domain: wiki.example.com } ] }",
        }
        /// Where sessions, logins under way, revocations and signing keys are stored: the path of a
        /// file, `file`, or `redis`.
        "state" state: StateConfig {
            default: "in memory: a restart logs everybody out",
            example: "/var/lib/access/state.redb",
        }
        /// The address on which the proxy accepts connections.
        "listen" listen: SocketAddr { default: "'127.0.0.1:8080'", example: "0.0.0.0:8080", }
        /// The listener for administration.
        "admin" admin: Admin {
            default: "none", example: "{ token_file: /run/secrets/admin-token }",
        }
        /// Times, sizes and counts of the running proxy. They take effect after a restart.
        "limits" limits: Limits {
            default: "the defaults of its keys", example: "{ listen: { idle_timeout: 75s } }",
        }
        /// The networks of the proxies in front, whose `X-Forwarded-For` and other headers are trusted.
        "trusted_proxies" trusted_proxies: Vec<ProxyNetwork> {
            default: "[]", example: "[ 10.0.0.0/8 ]",
        }
        /// The port on which users reach all hosts.
        "public_port" public_port: Port { default: "443", example: "8443", }
        /// The ports on which users reach single hosts, before `public_port`. The most specific name
        /// counts.
        "public_ports" public_ports: HostPorts {
            default: "{}", example: "{ wiki.example.com: 8443 }",
        }
        /// `http` if users reach the hosts without TLS, which is for `localhost`, 127.0.0.1 and [::1].
        "insecure_public_scheme" insecure_public_scheme: HttpScheme {
            default: "https", example: "http",
        }
        /// Requests, and what the file is expected to decide about them.
        "tests" tests: Vec<ExpectedVerdict> {
            default: "[]",
            example: "[ { request: { url: 'https://wiki.example.com/' }, expect: login_required } ]",
        }
        /// Findings of `proxy check` that are accepted.
        "lint" lint: Lint { default: "nothing is accepted", example: "{ allow: [] }", }
    }
}

fn read_root(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Config> {
    let root = Root::read(reader, place)?;
    for key in OF_CLOUDFLARED {
        if place.node.get(key).is_some() {
            reader.note_no_effect(place, key, OF_CLOUDFLARED_HAS_NO_EFFECT);
        }
    }
    single_origin::refuse(reader, place);
    let listen = root.listen.value().unwrap_or(DEFAULT_LISTEN);
    let trusted_proxies = trusted_proxies(reader, &root.trusted_proxies);
    let ingress = ingress::read(reader, place, root.origin_request);
    let access = access::build(reader, place, root.access);
    if root.state.is_written() && place.get("access").is_some_and(|it| it.get("issuer").is_some()) {
        let message = "the issuer stores sessions and keys; nothing is stored here";
        reader.note_no_effect(place, "state", message);
    }
    let admin = admin::build(reader, place, root.admin, Some(listen));
    let limits = limits::build(reader, place, root.limits);
    let access = access?;
    let public_addresses = public_addresses::build(
        reader,
        root.public_port,
        root.public_ports,
        &root.insecure_public_scheme,
        &access,
    );
    let lint = root.lint.value().unwrap_or_default();
    Some(Config {
        listen,
        trusted_proxies,
        public_addresses,
        ingress,
        access,
        state: root.state.value(),
        admin,
        limits,
        tests: values(root.tests),
        lint: values(lint.allow),
        notes: Vec::new(),
        hidden: Arc::default(),
        version: Version::default(),
    })
}

fn values<T>(list: Field<Vec<Written<T>>>) -> Vec<T> {
    list.value().unwrap_or_default().into_iter().filter_map(|entry| entry.value).collect()
}

/// A network of proxies, or the address of one.
#[derive(Debug)]
pub(super) struct ProxyNetwork(IpNet);

impl FromStr for ProxyNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let network =
            network.map_err(|_| "invalid network; write `10.0.0.0/8` or `192.0.2.7`".to_owned())?;
        TrustedProxies::new([network]).map_err(|error| error.to_string())?;
        Ok(Self(network))
    }
}

from_text! {
    ProxyNetwork: Shape::Text { form: "network or address", pattern: Some("^[0-9A-Fa-f.:]+(/[0-9]+)?$") };
}

fn trusted_proxies(
    reader: &mut Reader,
    list: &Field<Vec<Written<ProxyNetwork>>>,
) -> TrustedProxies {
    let networks: Vec<IpNet> = list
        .get()
        .iter()
        .copied()
        .flatten()
        .filter_map(|entry| entry.value.as_ref().map(|network| network.0))
        .collect();
    if let Some(list) = list.written()
        && networks.iter().any(|network| network.prefix_len() < 8)
    {
        reader.note(
            NoteKind::Surprises,
            list,
            "a very large network: every client in it can choose its own address; name the proxies",
        );
    }
    TrustedProxies::new(networks).unwrap_or_default()
}

const OTHERS: &[OtherKeys] = &[
    OtherKeys {
        names: OF_CLOUDFLARED,
        acceptance: Acceptance::Ignored(OF_CLOUDFLARED_HAS_NO_EFFECT),
    },
    OtherKeys {
        names: single_origin::KEYS,
        acceptance: Acceptance::Refused(
            "one origin without a host is not supported; write `ingress`",
        ),
    },
];
const OF_CLOUDFLARED_HAS_NO_EFFECT: &str = "a setting of cloudflared without effect here";
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
