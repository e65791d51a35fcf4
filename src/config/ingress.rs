//! `ingress`: which origin serves which host and path (sections 17.2 to 17.4 of the contract).

use std::net::Ipv6Addr;

use http::StatusCode;
use http::uri::Authority;

use crate::application::CanonicalHost;

use super::error::NoteKind;
use super::levels::synonym;
use super::location::Location;
use super::origin::{self, Origin, OriginRequest};
use super::reader::{NodeRef, Reader};
use super::schema::{Field, document};
use crate::util::suggest::closest;

/// One rule of `ingress`. The first rule that matches serves the request; the last matches everything.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IngressEntry {
    /// The host, `*.` and a domain for all hosts below it, or `None` for every host.
    pub hostname: Option<String>,
    /// A regular expression that is searched for in the path; `None` for every path.
    pub path: Option<String>,
    /// `http://host:port`, `https://…`, `unix:/path`, `http_status:404`, ….
    pub service: String,
    /// How the origin is contacted.
    pub origin_request: OriginRequest,
    /// The position of the rule in the file.
    pub location: Location,
}

impl IngressEntry {
    fn matches_everything(&self) -> bool {
        self.hostname.is_none() && self.path.is_none()
    }
}

document! {
    /// One rule. The first rule that matches a request serves it; the last one must match everything.
    pub(super) struct Rule in "ingress[]" {
        /// The host: a name, `*.` and a domain for every host below it, an IPv4 address, or an IPv6
        /// address in brackets.
        "hostname" hostname: String {
            default: "every host", example: "wiki.example.com", cloudflare: "hostname",
        }
        /// A regular expression that is searched for in the path.
        "path" path: String {
            default: "every path", example: "^/docs(/|$)", cloudflare: "path",
        }
        /// The origin: `http`, `https`, `ws` or `wss` with a host and a port, `unix:/path`,
        /// `unix+tls:/path`, `http_status:404` or `hello_world`.
        "service" service: String {
            required: ": write the origin, such as `service: http://127.0.0.1:8080`",
            example: "http://127.0.0.1:8080", cloudflare: "service",
        }
        /// How this origin is contacted, in place of the settings at the top level.
        "originRequest" origin_request: Origin {
            default: "the settings at the top level", example: "{ connectTimeout: 10s }",
            cloudflare: "originRequest",
        }
    }
}

/// Reads the rules. Invalid ones are reported and dropped.
pub(super) fn read(
    reader: &mut Reader,
    root: &NodeRef<'_>,
    defaults: Field<Origin>,
) -> Vec<IngressEntry> {
    origin::check(reader, root, &defaults);
    let defaults = defaults.value().unwrap_or_default();
    if root.node.get("ingress").is_none() {
        return Vec::new();
    }
    let before = reader.errors.len();
    let read: Vec<_> = reader.entries::<Rule>(root, "ingress");
    let rules: Vec<Option<IngressEntry>> = read
        .into_iter()
        .map(|(place, rule)| Some(build_rule(reader, &place, rule?, &defaults)))
        .collect();
    if rules.is_empty() && reader.errors.len() == before {
        let at = root.key_at("ingress");
        reader.error_at(at, "ingress", "no rules; end with `- service: http_status:404`");
    }
    check_ingress(reader, root, &rules);
    let is_weakened = rules.iter().flatten().any(|rule| {
        rule.origin_request.dangerous_no_tls_verify == Some(true)
            && origin::speaks_tls(&rule.service)
    });
    origin::note_no_tls_verify(reader, root, Some(&defaults), is_weakened);
    rules.into_iter().flatten().collect()
}

fn build_rule(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    rule: Rule,
    defaults: &Origin,
) -> IngressEntry {
    let Rule { hostname, path, service, origin_request: own } = rule;
    origin::check(reader, place, &own);
    let is_tls = service.get().is_some_and(|service| origin::speaks_tls(service));
    origin::note_no_tls_verify(reader, place, own.get(), is_tls);
    // A hostname that is invalid or has its key misspelt is reported as that alone.
    let is_unread = hostname.is_written() && hostname.get().is_none()
        || place.node.entries().iter().any(|entry| {
            let names = Rule::LEVEL.names;
            !names.contains(&entry.key.as_str())
                && (closest(&entry.key, ["hostname"]).is_some()
                    || synonym(&entry.key, names) == Some("hostname"))
        });
    check(reader, &hostname, hostname_problem);
    check(reader, &service, service_problem);
    if check(reader, &path, path_problem)
        && let Some(written) = path.written()
        && path.get().is_some_and(|path| !path.is_empty() && !path.starts_with(['^', '(']))
    {
        reader.note(
            NoteKind::Surprises,
            written,
            "searched for anywhere in the path; write `^/docs(/|$)` to match from its beginning",
        );
    }
    let given = |text: Field<String>| text.value().filter(|text| !text.is_empty());
    let hostname = given(hostname).filter(|hostname| hostname != "*");
    IngressEntry {
        hostname: hostname.or_else(|| is_unread.then(|| UNREAD.to_owned())),
        path: given(path),
        // An invalid service was reported: the rule still counts for the checks of the order.
        service: given(service).unwrap_or_default(),
        origin_request: own.value().unwrap_or_default().over(defaults),
        location: place.at(),
    }
}

/// Checks the order: the last rule matches everything, and no other rule does.
fn check_ingress(reader: &mut Reader, root: &NodeRef<'_>, rules: &[Option<IngressEntry>]) {
    let Some((last, earlier)) = rules.split_last() else { return };
    let places: Vec<NodeRef<'_>> = root.get("ingress").iter().flat_map(NodeRef::items).collect();
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
                    "never reached: rule #{by} matches all its requests first; move this rule up, or \
                     remove it"
                ),
            );
        }
        if seen.len() < MAX_COMPARED {
            seen.push((number, rule));
        }
    }
}

/// Whether an earlier rule matches every request of a later one.
fn covers(earlier: &IngressEntry, later: &IngressEntry) -> bool {
    let (Some(one), Some(two)) = (&earlier.hostname, &later.hostname) else { return false };
    let (one, two) = (one.to_ascii_lowercase(), two.to_ascii_lowercase());
    let host = one == two || one.strip_prefix('*').is_some_and(|suffix| two.ends_with(suffix));
    host && (earlier.path.is_none() || earlier.path == later.path)
}

/// Reports the error of a text, and returns whether it is valid.
fn check(
    reader: &mut Reader,
    text: &Field<String>,
    problem: fn(&str) -> Result<(), String>,
) -> bool {
    if let (Some(written), Some(text)) = (text.written(), text.get())
        && let Err(problem) = problem(text)
    {
        reader.error(written, problem);
        return false;
    }
    true
}

fn hostname_problem(text: &str) -> Result<(), String> {
    if matches!(text, "" | "*") {
        return Ok(());
    }
    let host = text.strip_prefix("*.").unwrap_or(text);
    let problem = if host.contains("://") {
        "a hostname has no scheme; write `wiki.example.com`"
    } else if host.contains('*') {
        "at most one wildcard, and only for subdomains; write `*.example.com`"
    } else if host.parse::<Ipv6Addr>().is_ok() {
        return Err(format!(
            "an IPv6 address stands in brackets and in quotes; write `'[{host}]'`"
        ));
    } else if host.matches(':').count() > 1 && !(host.starts_with('[') && host.contains(']')) {
        "invalid IPv6 address; write it in brackets and in quotes, without a zone, such as `'[::1]'`"
    } else if host.contains(':') && !host.ends_with(']') {
        "a hostname cannot contain a port; leave the port out"
    } else if host.parse::<CanonicalHost>().is_err() {
        "invalid host name; write `wiki.example.com` or `*.example.com` (international names as \
         `xn--…`)"
    } else {
        return Ok(());
    };
    Err(problem.to_owned())
}

fn path_problem(text: &str) -> Result<(), String> {
    if text.len() > MAX_PATH_BYTES {
        return Err(format!(
            "the regular expression is too long; write {MAX_PATH_BYTES} bytes at most"
        ));
    }
    compile(text).map_err(|reason| {
        format!("invalid regular expression: {reason}; write one such as `^/docs(/|$)`")
    })
}

#[cfg(feature = "proxy")]
fn compile(text: &str) -> Result<(), String> {
    const MAX_COMPILED_BYTES: usize = 1 << 20;

    let built = regex::RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).build();
    built.map(drop).map_err(|error| {
        let message = error.to_string();
        message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Without the feature `proxy`, paths are not matched.
#[cfg(not(feature = "proxy"))]
#[allow(clippy::unnecessary_wraps, reason = "as with the feature")]
fn compile(_: &str) -> Result<(), String> {
    Ok(())
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
            _ => Err("invalid HTTP status code; write one from 200 to 999, such as \
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
        || Err("invalid URL; write scheme and host, such as `http://127.0.0.1:8080`".into());
    let Some((scheme, rest)) = text.split_once("://") else { return invalid() };
    match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" | "ws" | "wss" => {}
        "" => return invalid(),
        other => return unsupported(&other.chars().take(20).collect::<String>()),
    }
    if rest.contains('@') {
        return Err("a URL with a user name or password; remove them".into());
    }
    if rest.contains(['/', '?', '#']) && !rest.starts_with(['/', '?', '#']) {
        return Err(
            "proxying to another path is not supported; remove everything after the port".into()
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

/// A reserved host (RFC 2606), in place of an invalid one that was reported.
const UNREAD: &str = "unread.invalid";
const MAX_PATH_BYTES: usize = 16 * 1024;
const MAX_COMPARED: usize = 200;
