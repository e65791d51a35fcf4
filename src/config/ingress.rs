//! `ingress`: which origin serves which host and path (sections 17.2 to 17.4 of the contract).

use std::net::Ipv6Addr;

use http::StatusCode;
use http::uri::Authority;

use crate::application::CanonicalHost;

use super::error::NoteKind;
use super::keys;
use super::levels::synonym;
use super::location::{Located, Location};
use super::origin::{self, OriginRequest};
use super::reader::{Place, Reader};
use crate::util::suggest::closest;

/// One rule of `ingress`. The first that matches serves the request; the last matches everything.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IngressEntry {
    /// The host, `*.` and a domain for all hosts below it, or `None` for every host.
    pub hostname: Option<String>,
    /// A regular expression that is searched for in the path; `None` for every path.
    pub path: Option<String>,
    /// `http://host:port`, `https://…`, `unix:/path`, `http_status:404`, ….
    pub service: String,
    /// How the origin is spoken to.
    pub origin_request: OriginRequest,
    /// Where the rule stands in the file.
    pub location: Location,
}

impl IngressEntry {
    fn matches_everything(&self) -> bool {
        self.hostname.is_none() && self.path.is_none()
    }
}

/// Reads the rules. Wrong ones are reported and left out.
pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> Vec<IngressEntry> {
    let defaults = origin::read(reader, root);
    if root.node.get("ingress").is_none() {
        return Vec::new();
    }
    let before = reader.errors.len();
    let mut rules: Vec<Option<IngressEntry>> = Vec::new();
    for place in reader.list(root, "ingress") {
        rules.push(read_rule(reader, &place, &defaults));
    }
    if rules.is_empty() && reader.errors.len() == before {
        let at = root.key_at("ingress");
        reader.error_at(at, "ingress", "there are no rules; end with `- service: http_status:404`");
    }
    check_ingress(reader, root, &rules);
    let is_weakened = rules.iter().flatten().any(|rule| {
        rule.origin_request.dangerous_no_tls_verify == Some(true)
            && origin::speaks_tls(&rule.service)
    });
    origin::note_no_tls_verify(reader, root, &defaults, is_weakened);
    rules.into_iter().flatten().collect()
}

fn read_rule(
    reader: &mut Reader,
    place: &Place<'_>,
    defaults: &origin::Written,
) -> Option<IngressEntry> {
    if !reader.mapping(place, &[keys::INGRESS_RULE]) {
        return None;
    }
    reader.required(
        place,
        &["service"],
        ": write the origin, such as `service: http://127.0.0.1:8080`",
    );
    let hostname = reader.optional::<String>(place, "hostname");
    let path = reader.optional::<String>(place, "path");
    let service = reader.optional::<String>(place, "service");
    let own = origin::read(reader, place);
    let is_tls = service.as_ref().is_some_and(|service| origin::speaks_tls(&service.value));
    origin::note_no_tls_verify(reader, place, &own, is_tls);
    let origin_request = own.over(defaults);
    if let Some(hostname) = &hostname {
        check_hostname(reader, hostname);
    }
    if let Some(path) = &path {
        check_path(reader, path);
    }
    if let Some(service) = &service {
        check_service(reader, service);
    }
    let given =
        |text: Option<Located<String>>| text.map(|text| text.value).filter(|text| !text.is_empty());
    // What is there and cannot be read, or has its key misspelt, is reported as that alone.
    let is_unread = hostname.is_none() && place.get("hostname").is_some()
        || place.node.entries().iter().any(|entry| {
            !keys::INGRESS_RULE.contains(&entry.key.as_str())
                && (closest(&entry.key, ["hostname"]).is_some()
                    || synonym(&entry.key, keys::INGRESS_RULE) == Some("hostname"))
        });
    let hostname = given(hostname).filter(|hostname| hostname != "*");
    Some(IngressEntry {
        hostname: hostname.or_else(|| is_unread.then(|| UNREAD.to_owned())),
        path: given(path),
        // What is wrong here was reported: the rule keeps its place for the checks of the order.
        service: given(service).unwrap_or_default(),
        origin_request,
        location: place.at(),
    })
}

/// The order: the last rule matches everything, and no other one does.
fn check_ingress(reader: &mut Reader, root: &Place<'_>, rules: &[Option<IngressEntry>]) {
    let Some((last, earlier)) = rules.split_last() else { return };
    let places: Vec<Place<'_>> = root.get("ingress").iter().flat_map(Place::items).collect();
    if let (Some(last), Some(place)) = (last, places.last())
        && !last.matches_everything()
    {
        reader.error(
            place,
            "the last rule must match all URLs, without hostname and path; end with \
             `- service: http_status:404`",
        );
    }
    let mut seen: Vec<(usize, &IngressEntry)> = Vec::new();
    for (number, (rule, place)) in (1_usize..).zip(earlier.iter().zip(&places)) {
        let Some(rule) = rule else { continue };
        if rule.matches_everything() {
            reader.error(
                place,
                format_args!(
                    "rule #{number} matches every hostname and path, so the rules after it never \
                     trigger; give it a hostname, or move it to the end"
                ),
            );
        }
        if let Some((by, _)) = seen.iter().find(|(_, earlier)| covers(earlier, rule)) {
            reader.note(
                NoteKind::Surprises,
                place,
                format_args!(
                    "never reached, for the first match serves and rule #{by} takes all its requests; \
                     move it up, or take it out"
                ),
            );
        }
        if seen.len() < MOST_COMPARED {
            seen.push((number, rule));
        }
    }
}

/// Whether an earlier rule takes every request of a later one.
fn covers(earlier: &IngressEntry, later: &IngressEntry) -> bool {
    let (Some(one), Some(two)) = (&earlier.hostname, &later.hostname) else { return false };
    let (one, two) = (one.to_ascii_lowercase(), two.to_ascii_lowercase());
    let host = one == two || one.strip_prefix('*').is_some_and(|suffix| two.ends_with(suffix));
    host && (earlier.path.is_none() || earlier.path == later.path)
}

fn check_hostname(reader: &mut Reader, hostname: &Located<String>) {
    let text = hostname.value.as_str();
    if matches!(text, "" | "*") {
        return;
    }
    let host = text.strip_prefix("*.").unwrap_or(text);
    let problem = if host.contains("://") {
        "a hostname has no scheme; write `wiki.example.com`"
    } else if host.contains('*') {
        "at most one wildcard, and only for subdomains; write `*.example.com`"
    } else if host.parse::<Ipv6Addr>().is_ok() {
        reader.error_at(
            hostname.at,
            &hostname.key,
            format_args!("an IPv6 address stands in brackets and in quotes; write `'[{host}]'`"),
        );
        return;
    } else if host.matches(':').count() > 1 && !(host.starts_with('[') && host.contains(']')) {
        "no IPv6 address; write it in brackets and in quotes, without a zone, such as `'[::1]'`"
    } else if host.contains(':') && !host.ends_with(']') {
        "a hostname cannot contain a port; leave the port out"
    } else if host.parse::<CanonicalHost>().is_err() {
        "no host name; write `wiki.example.com` or `*.example.com` (international names as `xn--…`)"
    } else {
        return;
    };
    reader.error_at(hostname.at, &hostname.key, problem);
}

fn check_path(reader: &mut Reader, path: &Located<String>) {
    if path.value.len() > LONGEST_PATH {
        reader.error_at(
            path.at,
            &path.key,
            format_args!("the regular expression is too long; write {LONGEST_PATH} bytes at most"),
        );
        return;
    }
    if let Some(reason) = IngressEntry::path_problem(&path.value) {
        reader.error_at(
            path.at,
            &path.key,
            format_args!(
                "an invalid regular expression: {reason}; write one such as `^/docs(/|$)`"
            ),
        );
        return;
    }
    if !path.value.is_empty() && !path.value.starts_with(['^', '(']) {
        reader.notes.push(super::Note::new(
            NoteKind::Surprises,
            path.at,
            path.key.as_str(),
            "searched for anywhere in the path; write `^/docs(/|$)` to match from its beginning",
        ));
    }
}

impl IngressEntry {
    /// Returns why a text is no regular expression.
    #[cfg(feature = "proxy")]
    fn path_problem(text: &str) -> Option<String> {
        const MAX_COMPILED_BYTES: usize = 1 << 20;

        let built = regex::RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).build();
        let message = built.err()?.to_string();
        Some(message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
    }

    /// Without the proxy nobody matches paths.
    #[cfg(not(feature = "proxy"))]
    fn path_problem(_: &str) -> Option<String> {
        None
    }
}

fn check_service(reader: &mut Reader, service: &Located<String>) {
    if let Err(problem) = service_problem(&service.value) {
        reader.error_at(service.at, &service.key, problem);
    }
}

fn service_problem(text: &str) -> Result<(), String> {
    if let Some(path) = text.strip_prefix("unix:").or_else(|| text.strip_prefix("unix+tls:")) {
        return if path.is_empty() {
            Err("a socket without a path; write `unix:/run/app.sock`".into())
        } else {
            Ok(())
        };
    }
    if let Some(status) = text.strip_prefix("http_status:") {
        let status = StatusCode::from_bytes(status.as_bytes());
        return match status {
            Ok(status) if !status.is_informational() => Ok(()),
            _ => Err("an invalid HTTP status code; write one from 200 to 999, such as \
                      `http_status:404`"
                .into()),
        };
    }
    if matches!(text, "hello_world" | "hello-world") {
        return Ok(());
    }
    let unsupported = |name: &str| {
        Err(format!(
            "the service `{name}` is not supported by this proxy; supported are http, https, ws, wss, \
             unix, unix+tls, http_status and hello_world"
        ))
    };
    if matches!(text, "bastion" | "socks-proxy") {
        return unsupported(text);
    }
    let invalid =
        || Err("an invalid address; write scheme and host, such as `http://127.0.0.1:8080`".into());
    let Some((scheme, rest)) = text.split_once("://") else { return invalid() };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "ws" | "wss" => {}
        "" => return invalid(),
        other => return unsupported(&other.chars().take(20).collect::<String>()),
    }
    if rest.contains('@') {
        return Err("an address has no user name and no password; leave them out".into());
    }
    if rest.contains(['/', '?', '#']) && !rest.starts_with(['/', '?', '#']) {
        return Err(
            "proxying to another path is not supported; leave everything behind the port out"
                .into(),
        );
    }
    let Ok(authority) = rest.parse::<Authority>() else { return invalid() };
    let has_port = authority.as_str().len() != authority.host().len();
    if authority.host().is_empty() || has_port && authority.port_u16().is_none_or(|port| port == 0)
    {
        return invalid();
    }
    Ok(())
}

/// A host that is nobody's (RFC 2606), in the place of one that was reported.
const UNREAD: &str = "unread.invalid";
const LONGEST_PATH: usize = 16 * 1024;
const MOST_COMPARED: usize = 200;
