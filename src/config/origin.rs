//! `originRequest`: how an origin is contacted.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

use super::error::NoteKind;
use super::reader::{NodeRef, Reader};
use super::schema::{Acceptance, Field, OtherKeys, Read, Shape, Time, Whole, document};

/// cloudflared's `originRequest` (section 17.5 of the Access contract). `None` is the default.
///
/// Settings of the top level are already merged in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OriginRequest {
    /// `connectTimeout`: longest time to connect.
    pub connect_timeout: Option<Duration>,
    /// `tlsTimeout`: longest time for the TLS handshake.
    pub tls_timeout: Option<Duration>,
    /// `tcpKeepAlive`: time between keep-alive probes.
    pub tcp_keep_alive: Option<Duration>,
    /// `noHappyEyeballs`: tries addresses one after another, without a race.
    pub no_happy_eyeballs: Option<bool>,
    /// `keepAliveConnections`: number of idle connections that stay open.
    pub keep_alive_connections: Option<usize>,
    /// `keepAliveTimeout`: how long an idle connection stays open.
    pub keep_alive_timeout: Option<Duration>,
    /// `httpHostHeader`: the `Host` that the origin gets.
    pub http_host_header: Option<Authority>,
    /// `originServerName`: the name expected in the origin's certificate.
    pub origin_server_name: Option<String>,
    /// `matchSNItoHost`: the name in the handshake and the certificate is the host of the request, unless
    /// `originServerName` is set.
    pub match_sni_to_host: Option<bool>,
    /// `disableChunkedEncoding`: request bodies of unknown length are collected and sent with a length.
    pub disable_chunked_encoding: Option<bool>,
    /// `max_collected_body_bytes`: maximum bytes of such a body, 0 to 64 MiB; 1 MiB by default. Not a key of
    /// cloudflared.
    pub max_collected_body_bytes: Option<usize>,
    /// `caPool`: a PEM file with certificate authorities.
    pub ca_pool: Option<PathBuf>,
    /// `noTLSVerify`: any certificate is accepted. **Weakens the default.**
    pub dangerous_no_tls_verify: Option<bool>,
    /// `http2Origin`: HTTP/2 to the origin.
    pub http2_origin: Option<bool>,
    /// `response_header_timeout`: longest silence before the head of the response; zero means no limit. 100
    /// seconds by default. Not a key of cloudflared.
    pub response_header_timeout: Option<Duration>,
}

document! {
    /// How an origin is contacted: for all rules at the top level, or in one rule.
    pub(super) struct Origin in "originRequest" with UNSUPPORTED {
        /// Time to resolve the name of the origin and connect to it; `0s` means no limit.
        "connectTimeout" connect_timeout: AnyTime {
            default: "30s", example: "10s", cloudflare: "connectTimeout",
        }
        /// Time for the TLS handshake; `0s` means no limit.
        "tlsTimeout" tls_timeout: AnyTime {
            default: "10s", example: "5s", cloudflare: "tlsTimeout",
        }
        /// Time between TCP keep-alive probes; `0s` sends none.
        "tcpKeepAlive" tcp_keep_alive: AnyTime {
            default: "30s", example: "1m", cloudflare: "tcpKeepAlive",
        }
        /// Tries the addresses of the origin one after another instead of racing IPv6 against IPv4.
        "noHappyEyeballs" no_happy_eyeballs: bool {
            default: "false", example: "true", cloudflare: "noHappyEyeballs",
        }
        /// Idle connections that stay open, for each rule.
        "keepAliveConnections" keep_alive_connections: Whole<usize, 0, 4_294_967_295> {
            default: "100", example: "20", cloudflare: "keepAliveConnections",
        }
        /// Time for which an idle connection stays open.
        "keepAliveTimeout" keep_alive_timeout: AnyTime {
            default: "90s", example: "4s", cloudflare: "keepAliveTimeout",
        }
        /// The `Host` header that the origin gets. An empty text restores the default.
        "httpHostHeader" http_host_header: OrEmpty<HostHeader> {
            default: "the host of the request", example: "inner.example.com",
            cloudflare: "httpHostHeader",
        }
        /// The name in the TLS handshake, which the certificate of the origin must have. An empty text
        /// restores the default.
        "originServerName" origin_server_name: OrEmpty<String> {
            default: "the host of `service`", example: "inner.example.com",
            cloudflare: "originServerName",
        }
        /// Uses the host of the request as the name in the TLS handshake, unless `originServerName`
        /// is set.
        "matchSNItoHost" match_sni_to_host: bool {
            default: "false", example: "true", cloudflare: "matchSNItoHost",
        }
        /// Collects request bodies of unknown length and sends them with a `Content-Length`.
        "disableChunkedEncoding" disable_chunked_encoding: bool {
            default: "false", example: "true", cloudflare: "disableChunkedEncoding",
        }
        /// Bytes of a request body that `disableChunkedEncoding` collects; a longer one gets 413.
        "max_collected_body_bytes" max_collected_body_bytes: Whole<usize, 0, 67_108_864> {
            default: "1048576", example: "4194304",
        }
        /// A PEM file with certificate authorities that are trusted for this origin in addition to those of
        /// the platform. An empty text restores the default.
        "caPool" ca_pool: OrEmpty<PathBuf> {
            default: "no further authorities", example: "/etc/access/inner-ca.pem",
            cloudflare: "caPool",
        }
        /// Accepts any certificate of the origin. Weakens the default: prefer `caPool`.
        "noTLSVerify" no_tls_verify: bool {
            default: "false", example: "false", cloudflare: "noTLSVerify",
        }
        /// Speaks HTTP/2 to the origin.
        "http2Origin" http2_origin: bool {
            default: "false", example: "true", cloudflare: "http2Origin",
        }
        /// Time without any byte before the head of the response; `0s` means no limit.
        "response_header_timeout" response_header_timeout: AnyTime {
            default: "100s", example: "5m",
        }
        /// Verification of tokens by cloudflared. Accepted when `required` is `false`.
        "access" access: OriginAccess {
            default: "not required", example: "{ required: false }", cloudflare: "access",
        }
    }
}

document! {
    /// Verification of tokens by cloudflared, which `access.issuer` does here.
    pub(super) struct OriginAccess in "originRequest.access" with OF_ORIGIN_ACCESS {
        /// Must be `false`: the issuer is named once, under `access.issuer`.
        "required" required: NotRequired {
            default: "false", example: "false", cloudflare: "required",
        }
    }
}

/// A duration of any length.
type AnyTime = Time<0, { u64::MAX }>;

const UNSUPPORTED: &[OtherKeys] = &[
    OtherKeys {
        names: &["bastionMode", "proxyPort", "proxyType", "ipRules"],
        acceptance: Acceptance::Off(NOT_SUPPORTED),
    },
    OtherKeys {
        names: &["proxyAddress"],
        acceptance: Acceptance::OffOr { reason: NOT_SUPPORTED, text: DEFAULT_PROXY_ADDRESS },
    },
];
const NOT_SUPPORTED: &str = "not supported by this proxy";
const DEFAULT_PROXY_ADDRESS: &str = "127.0.0.1";

const OF_ORIGIN_ACCESS: &[OtherKeys] = &[OtherKeys {
    names: &["teamName", "audTag", "environment"],
    acceptance: Acceptance::Ignored("the issuer is named under `access.issuer`"),
}];

/// A value that an empty text sets back to the default.
#[derive(Debug)]
pub(super) struct OrEmpty<T>(PhantomData<T>);

impl<T: Read> Read for OrEmpty<T> {
    type Output = Option<T::Output>;

    fn shape() -> Shape {
        Shape::AnyOf(vec![T::shape(), Shape::Choice(&[""])])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self::Output> {
        if place.node.text() == Some("") { Some(None) } else { T::read(reader, place).map(Some) }
    }
}

/// A host, and at most a port.
#[derive(Debug)]
pub(super) struct HostHeader;

impl Read for HostHeader {
    type Output = Authority;

    fn shape() -> Shape {
        Shape::Text { form: "host name with an optional port", pattern: Some("^[^@/]+$") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Authority> {
        let authority: Authority = reader.parse(place)?;
        if authority.as_str().contains('@') {
            reader.error(place, "remove the user name; write a host name and at most a port");
        }
        Some(authority)
    }
}

#[derive(Debug)]
pub(super) struct NotRequired;

impl Read for NotRequired {
    type Output = ();

    fn shape() -> Shape {
        Shape::Off("the issuer is named once, under `access.issuer`")
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<()> {
        if place.node.is_switched_off() {
            return Some(());
        }
        reader.error(
            place,
            "tokens of another issuer are not checked rule by rule; name the issuer once under \
             `access.issuer`, and give each application its `aud`",
        );
        None
    }
}

impl Origin {
    /// The settings of a rule, with those of the top level where it has none of its own.
    pub(super) fn over(self, defaults: &Self) -> OriginRequest {
        fn or<T: Clone>(own: Field<T>, default: &Field<T>) -> Option<T> {
            own.value().or_else(|| default.get().cloned())
        }
        let top = defaults;
        OriginRequest {
            connect_timeout: or(self.connect_timeout, &top.connect_timeout),
            tls_timeout: or(self.tls_timeout, &top.tls_timeout),
            tcp_keep_alive: or(self.tcp_keep_alive, &top.tcp_keep_alive),
            no_happy_eyeballs: or(self.no_happy_eyeballs, &top.no_happy_eyeballs),
            keep_alive_connections: or(self.keep_alive_connections, &top.keep_alive_connections),
            keep_alive_timeout: or(self.keep_alive_timeout, &top.keep_alive_timeout),
            http_host_header: or(self.http_host_header, &top.http_host_header).flatten(),
            origin_server_name: or(self.origin_server_name, &top.origin_server_name).flatten(),
            match_sni_to_host: or(self.match_sni_to_host, &top.match_sni_to_host),
            disable_chunked_encoding: or(
                self.disable_chunked_encoding,
                &top.disable_chunked_encoding,
            ),
            max_collected_body_bytes: or(
                self.max_collected_body_bytes,
                &top.max_collected_body_bytes,
            ),
            ca_pool: or(self.ca_pool, &top.ca_pool).flatten(),
            dangerous_no_tls_verify: or(self.no_tls_verify, &top.no_tls_verify),
            http2_origin: or(self.http2_origin, &top.http2_origin),
            response_header_timeout: or(self.response_header_timeout, &top.response_header_timeout),
        }
    }
}

/// Checks `originRequest` of a rule or of the top level.
pub(super) fn check(reader: &mut Reader, parent: &NodeRef<'_>, origin: &Field<Origin>) {
    let Some(place) = parent.get("originRequest") else { return };
    for key in UNSUPPORTED.iter().flat_map(|others| others.names) {
        refuse_unless_default(reader, &place, key);
    }
    let access = origin.get().and_then(|origin| origin.access.written());
    let is_off =
        |access: &OriginAccess| access.required.written().is_none_or(|it| it.value.is_some());
    if let Some(access) = access.filter(|access| access.value.as_ref().is_some_and(is_off)) {
        reader.note(NoteKind::HasNoEffect, access, "not required, so nothing is checked by it");
    }
}

/// Notes `noTLSVerify` of a rule or of the top level; `speaks_tls` says whether any origin it applies
/// to is contacted over TLS.
pub(super) fn note_no_tls_verify(
    reader: &mut Reader,
    parent: &NodeRef<'_>,
    origin: Option<&Origin>,
    speaks_tls: bool,
) {
    let Some(place) = parent.get("originRequest") else { return };
    let setting = origin.and_then(|origin| origin.no_tls_verify.written());
    let Some(setting) = setting.filter(|it| it.value == Some(true)) else { return };
    if !speaks_tls {
        reader.note_no_effect(&place, "noTLSVerify", "no origin that it applies to uses TLS");
        return;
    }
    reader.note(
        NoteKind::Weakens,
        setting,
        "any certificate of the origin is accepted: whoever can impersonate the origin can read and \
         change everything; better name its authority with `caPool`",
    );
}

/// Whether the proxy uses TLS to a service.
pub(super) fn speaks_tls(service: &str) -> bool {
    let service = service.to_ascii_lowercase();
    ["https:", "wss:", "unix+tls:"].iter().any(|scheme| service.starts_with(scheme))
}

fn refuse_unless_default(reader: &mut Reader, parent: &NodeRef<'_>, key: &str) {
    let Some(place) = parent.get(key) else { return };
    let is_default = place.node.is_switched_off()
        || (key == "proxyAddress" && place.node.text() == Some(DEFAULT_PROXY_ADDRESS));
    if is_default {
        reader.note_no_effect(
            parent,
            key,
            "not supported by this proxy; the default changes nothing",
        );
    } else {
        reader.error(&place, format_args!("`{key}` is not supported by this proxy; leave it out"));
    }
}
