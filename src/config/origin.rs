//! `originRequest`: how an origin is spoken to.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Authority;

use crate::clock::GoDuration;

use super::error::NoteKind;
use super::keys;
use super::limits::number;
use super::location::Located;
use super::reader::{Place, Reader};
use super::tree::Value;

/// cloudflared's `originRequest` (section 17.5 of the Access contract). `None` is the default.
///
/// Settings of the file's top level are already merged in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OriginRequest {
    /// `connectTimeout`: longest time to connect.
    pub connect_timeout: Option<Duration>,
    /// `tlsTimeout`: longest time for the TLS handshake.
    pub tls_timeout: Option<Duration>,
    /// `tcpKeepAlive`: pause between keep-alive probes.
    pub tcp_keep_alive: Option<Duration>,
    /// `noHappyEyeballs`: addresses in order, without a race.
    pub no_happy_eyeballs: Option<bool>,
    /// `keepAliveConnections`: idle connections kept.
    pub keep_alive_connections: Option<usize>,
    /// `keepAliveTimeout`: how long an idle connection is kept.
    pub keep_alive_timeout: Option<Duration>,
    /// `httpHostHeader`: the `Host` the origin is sent.
    pub http_host_header: Option<Authority>,
    /// `originServerName`: the name expected in the origin's certificate.
    pub origin_server_name: Option<String>,
    /// `matchSNItoHost`: the name in the handshake and the certificate is that of the request's host,
    /// unless `originServerName` says another.
    pub match_sni_to_host: Option<bool>,
    /// `disableChunkedEncoding`: request bodies of unknown length are collected and sent with a length.
    pub disable_chunked_encoding: Option<bool>,
    /// `max_collected_body_bytes`: most bytes of such a body, 0 to 64 MiB; 1 MiB by default. cloudflared has
    /// no such key.
    pub max_collected_body_bytes: Option<usize>,
    /// `caPool`: a file of certificate authorities.
    pub ca_pool: Option<PathBuf>,
    /// `noTLSVerify`: any certificate is accepted. **Weakens the default.**
    pub dangerous_no_tls_verify: Option<bool>,
    /// `http2Origin`: HTTP/2 to the origin.
    pub http2_origin: Option<bool>,
    /// `response_header_timeout`: longest silence before the head of an answer; zero is no limit. 100
    /// seconds by default. cloudflared has no such key.
    pub response_header_timeout: Option<Duration>,
}

/// What is written at one place; an empty text takes a default back.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    connect_timeout: Option<Duration>,
    tls_timeout: Option<Duration>,
    tcp_keep_alive: Option<Duration>,
    no_happy_eyeballs: Option<bool>,
    keep_alive_connections: Option<usize>,
    keep_alive_timeout: Option<Duration>,
    http_host_header: Option<Option<Authority>>,
    origin_server_name: Option<Option<String>>,
    match_sni_to_host: Option<bool>,
    disable_chunked_encoding: Option<bool>,
    max_collected_body_bytes: Option<usize>,
    ca_pool: Option<Option<PathBuf>>,
    no_tls_verify: Option<bool>,
    http2_origin: Option<bool>,
    response_header_timeout: Option<Duration>,
}

impl Written {
    pub(super) fn over(&self, defaults: &Self) -> OriginRequest {
        OriginRequest {
            connect_timeout: self.connect_timeout.or(defaults.connect_timeout),
            tls_timeout: self.tls_timeout.or(defaults.tls_timeout),
            tcp_keep_alive: self.tcp_keep_alive.or(defaults.tcp_keep_alive),
            no_happy_eyeballs: self.no_happy_eyeballs.or(defaults.no_happy_eyeballs),
            keep_alive_connections: self.keep_alive_connections.or(defaults.keep_alive_connections),
            keep_alive_timeout: self.keep_alive_timeout.or(defaults.keep_alive_timeout),
            http_host_header: written(&self.http_host_header, &defaults.http_host_header),
            origin_server_name: written(&self.origin_server_name, &defaults.origin_server_name),
            match_sni_to_host: self.match_sni_to_host.or(defaults.match_sni_to_host),
            disable_chunked_encoding: self
                .disable_chunked_encoding
                .or(defaults.disable_chunked_encoding),
            max_collected_body_bytes: self
                .max_collected_body_bytes
                .or(defaults.max_collected_body_bytes),
            ca_pool: written(&self.ca_pool, &defaults.ca_pool),
            dangerous_no_tls_verify: self.no_tls_verify.or(defaults.no_tls_verify),
            http2_origin: self.http2_origin.or(defaults.http2_origin),
            response_header_timeout: self
                .response_header_timeout
                .or(defaults.response_header_timeout),
        }
    }
}

fn written<T: Clone>(own: &Option<Option<T>>, default: &Option<Option<T>>) -> Option<T> {
    own.clone().or_else(|| default.clone()).flatten()
}

/// Reads `originRequest` of a rule or of the top level.
pub(super) fn read(reader: &mut Reader, parent: &Place<'_>) -> Written {
    let Some(place) = parent.get("originRequest") else { return Written::default() };
    if !reader.mapping(&place, &[keys::ORIGIN_REQUEST, UNSUPPORTED, &["access"]]) {
        return Written::default();
    }
    for key in UNSUPPORTED {
        refuse_unless_default(reader, &place, key);
    }
    if let Some(access) = place.get("access") {
        read_access(reader, &access);
    }
    let no_tls_verify = reader.optional::<bool>(&place, "noTLSVerify");
    let mut duration = |key| Some(reader.optional::<GoDuration>(&place, key)?.value.get());
    Written {
        connect_timeout: duration("connectTimeout"),
        tls_timeout: duration("tlsTimeout"),
        tcp_keep_alive: duration("tcpKeepAlive"),
        keep_alive_timeout: duration("keepAliveTimeout"),
        response_header_timeout: duration("response_header_timeout"),
        no_happy_eyeballs: value(reader.optional(&place, "noHappyEyeballs")),
        keep_alive_connections: connections(reader, &place),
        http_host_header: host_header(reader, &place),
        origin_server_name: text(reader, &place, "originServerName"),
        match_sni_to_host: value(reader.optional(&place, "matchSNItoHost")),
        disable_chunked_encoding: value(reader.optional(&place, "disableChunkedEncoding")),
        max_collected_body_bytes: number(reader, &place, "max_collected_body_bytes", 0..=64 << 20),
        ca_pool: text(reader, &place, "caPool").map(|path| path.map(PathBuf::from)),
        no_tls_verify: value(no_tls_verify),
        http2_origin: value(reader.optional(&place, "http2Origin")),
    }
}

/// Notes `noTLSVerify` of a rule or of the top level; `speaks_tls` says whether it is about any
/// origin.
pub(super) fn note_no_tls_verify(
    reader: &mut Reader,
    parent: &Place<'_>,
    written: &Written,
    speaks_tls: bool,
) {
    let Some(place) = parent.get("originRequest") else { return };
    let Some(setting) = place.get("noTLSVerify").filter(|_| written.no_tls_verify == Some(true))
    else {
        return;
    };
    if !speaks_tls {
        reader.note_no_effect(&place, "noTLSVerify", "no origin it is for is spoken to over TLS");
        return;
    }
    reader.note(
        NoteKind::Weakens,
        &setting,
        "any certificate of the origin is accepted: whoever can answer in its place can read and \
         change everything; better name its authority with `caPool`",
    );
}

/// Whether the proxy speaks TLS to a service.
pub(super) fn speaks_tls(service: &str) -> bool {
    let service = service.to_ascii_lowercase();
    ["https:", "wss:", "unix+tls:"].iter().any(|scheme| service.starts_with(scheme))
}

fn value<T>(located: Option<Located<T>>) -> Option<T> {
    located.map(|located| located.value)
}

fn text(reader: &mut Reader, place: &Place<'_>, key: &str) -> Option<Option<String>> {
    let text = value(reader.optional::<String>(place, key))?;
    Some(Some(text).filter(|text| !text.is_empty()))
}

fn connections(reader: &mut Reader, place: &Place<'_>) -> Option<usize> {
    let number = value(reader.optional::<u32>(place, "keepAliveConnections"))?;
    usize::try_from(number).ok()
}

fn host_header(reader: &mut Reader, place: &Place<'_>) -> Option<Option<Authority>> {
    let header = place.get("httpHostHeader")?;
    if header.node.text() == Some("") {
        return Some(None);
    }
    let authority: Authority = reader.parse(&header)?;
    if authority.as_str().contains('@') {
        reader.error(&header, "a host has no user name; write a host name and at most a port");
    }
    Some(Some(authority))
}

fn refuse_unless_default(reader: &mut Reader, parent: &Place<'_>, key: &str) {
    let Some(place) = parent.get(key) else { return };
    let is_default = place.node.is_switched_off()
        || (key == "proxyAddress" && place.node.text() == Some("127.0.0.1"));
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

fn read_access(reader: &mut Reader, place: &Place<'_>) {
    if !reader.mapping(place, &[&["required", "teamName", "audTag", "environment"]]) {
        return;
    }
    match place.get("required") {
        Some(required) if !matches!(required.node.value, Value::Boolean(false)) => reader.error(
            &required,
            "tokens of another issuer are not checked rule by rule; name the issuer once under \
             `access.issuer`, and give each application its `aud`",
        ),
        _ => reader.note(NoteKind::HasNoEffect, place, "not required, so nothing is checked by it"),
    }
}

const UNSUPPORTED: &[&str] = &["bastionMode", "proxyAddress", "proxyPort", "proxyType", "ipRules"];
