//! Which caches may store a response: every cache, or only the browser's own.
//!
//! A shared cache evaluates no policies. A response that not every client would get needs `private`, and
//! no other directive or header that a shared cache prefers (RFC 9111 and RFC 9213; nginx and Varnish
//! obey headers of their own first).

use std::iter::FusedIterator;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONNECTION, HeaderName, HeaderValue};

/// Which caching headers a response may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CachePolicy {
    /// The inner service's headers: every client would get this response.
    Unchanged,
    /// As `Private`, unless the inner service names shared caches.
    SharedByName,
    /// No header that lets a shared cache store it.
    Private,
}

impl CachePolicy {
    /// Changes the headers of a response so that they comply. Allocates only if a header of the inner
    /// service has to change.
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        if self == Self::Unchanged {
            return;
        }
        let written = CacheControl::parse(headers);
        let may_share = self == Self::SharedByName && !written.is_malformed;
        if may_share && written.names_shared_caches() {
            return;
        }
        if !may_share {
            remove_targeted(headers);
        }
        if !written.forbids_sharing() {
            let line = written.restricted(headers);
            headers.insert(CACHE_CONTROL, line);
        }
        keep_cache_control(headers);
    }
}

/// Forbids every cache to store a response, including the browser's own.
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    remove_targeted(headers);
    let written = CacheControl::parse(headers);
    if !(written.forbids_sharing() && written.forbids_storing()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    keep_cache_control(headers);
}

/// Returns whether `Cache-Control` allows shared caches to store a response.
pub(super) fn names_shared_caches(headers: &HeaderMap) -> bool {
    CacheControl::parse(headers).names_shared_caches()
}

/// The header `Cache-Control`, over all its lines.
#[derive(Clone, Copy, Debug, Default)]
struct CacheControl {
    /// Whether caches may read it differently.
    is_malformed: bool,
    private: bool,
    no_store: bool,
    must_understand: bool,
    /// `public` or `s-maxage`.
    shared: bool,
    /// A directive that is redundant with `private`.
    redundant: bool,
    /// An unknown directive.
    unknown: bool,
}

impl CacheControl {
    fn parse(headers: &HeaderMap) -> Self {
        let mut written = Self::default();
        for directive in directives(headers) {
            let Ok(directive) = directive else {
                written.is_malformed = true;
                break;
            };
            match DirectiveKind::new(&directive) {
                DirectiveKind::Private => written.private = true,
                DirectiveKind::NoStore => written.no_store = true,
                DirectiveKind::MustUnderstand => written.must_understand = true,
                DirectiveKind::BrowserCache => {}
                DirectiveKind::Shared => written.shared = true,
                DirectiveKind::Redundant => written.redundant = true,
                DirectiveKind::Unknown => written.unknown = true,
            }
        }
        written
    }

    /// Returns whether no cache stores the response. With `must-understand`, a cache that knows the
    /// status may ignore `no-store` (RFC 9111, section 5.2.2.3).
    fn forbids_storing(self) -> bool {
        !self.is_malformed && self.no_store && !self.must_understand
    }

    /// Returns whether it can stay as it is, because no shared cache stores the response. An unknown
    /// directive could qualify `private` (section 5.2.3 has the example `community`), but not `no-store`.
    fn forbids_sharing(self) -> bool {
        !self.is_malformed
            && !self.shared
            && !self.redundant
            && (self.forbids_storing() || self.private && !self.unknown)
    }

    fn names_shared_caches(self) -> bool {
        !self.is_malformed && self.shared && !self.private && !self.no_store
    }

    /// Returns one line that replaces all others: `private`, and the directives for the browser's cache.
    fn restricted(self, headers: &HeaderMap) -> HeaderValue {
        if self.is_malformed {
            return HeaderValue::from_static("private, no-store");
        }
        let mut line = Vec::new();
        for directive in directives(headers).flatten() {
            let Directive { name, argument } = directive;
            match DirectiveKind::new(&directive) {
                DirectiveKind::NoStore
                | DirectiveKind::MustUnderstand
                | DirectiveKind::BrowserCache => {
                    line.extend_from_slice(b", ");
                    line.extend_from_slice(name);
                    if let Some(argument) = argument {
                        line.push(b'=');
                        line.extend_from_slice(argument);
                    }
                }
                DirectiveKind::Redundant if name.eq_ignore_ascii_case(b"no-store") => {
                    line.extend_from_slice(b", no-store");
                }
                DirectiveKind::Private
                | DirectiveKind::Shared
                | DirectiveKind::Redundant
                | DirectiveKind::Unknown => {}
            }
        }
        if line.is_empty() {
            return HeaderValue::from_static("private");
        }
        let line = [b"private", &*line].concat();
        HeaderValue::from_bytes(&line)
            .unwrap_or_else(|_| HeaderValue::from_static("private, no-store"))
    }
}

/// The caches that a directive concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum DirectiveKind {
    Private,
    NoStore,
    MustUnderstand,
    /// It concerns the browser's own cache, and lets no shared cache store anything.
    BrowserCache,
    /// It lets shared caches store.
    Shared,
    /// It adds nothing to a plain `private` or `no-store`, or could be read as less than that.
    Redundant,
    Unknown,
}

impl DirectiveKind {
    fn new(directive: &Directive<'_>) -> Self {
        let is = |name: &str| directive.name.eq_ignore_ascii_case(name.as_bytes());
        let is_plain = directive.argument.is_none();
        if is("private") {
            // With an argument it concerns only some headers.
            if is_plain { Self::Private } else { Self::Redundant }
        } else if is("no-store") {
            if is_plain { Self::NoStore } else { Self::Redundant }
        } else if is("public") || is("s-maxage") {
            Self::Shared
        } else if is("proxy-revalidate") {
            Self::Redundant
        } else if is("must-understand") {
            Self::MustUnderstand
        } else if BROWSER_DIRECTIVES.iter().any(|name| is(name)) {
            Self::BrowserCache
        } else {
            Self::Unknown
        }
    }
}

/// The directives that browsers obey (RFC 9111, section 5.2.2; RFC 5861; RFC 8246).
const BROWSER_DIRECTIVES: [&str; 7] = [
    "max-age",
    "no-cache",
    "must-revalidate",
    "immutable",
    "stale-while-revalidate",
    "stale-if-error",
    "no-transform",
];

/// One directive as it was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Directive<'a> {
    name: &'a [u8],
    /// With its quotes.
    argument: Option<&'a [u8]>,
}

/// A `Cache-Control` header that does not parse as a list of directives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Malformed;

fn directives(headers: &HeaderMap) -> impl Iterator<Item = Result<Directive<'_>, Malformed>> {
    headers.get_all(CACHE_CONTROL).iter().flat_map(|line| Directives { rest: line.as_bytes() })
}

/// The directives of one line, up to the first invalid one.
#[derive(Debug)]
struct Directives<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Directives<'a> {
    type Item = Result<Directive<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        // Lists may have empty elements (RFC 9110, section 5.6.1.2).
        self.rest = skip(self.rest, |byte| is_blank(byte) || byte == b',');
        if self.rest.is_empty() {
            return None;
        }
        let parsed = Self::parse(self.rest);
        self.rest = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(directive, _)| directive).ok_or(Malformed))
    }
}

impl FusedIterator for Directives<'_> {}

impl<'a> Directives<'a> {
    /// A directive, and what comes behind it.
    fn parse(line: &'a [u8]) -> Option<(Directive<'a>, &'a [u8])> {
        let (name, rest) = token(line)?;
        let (argument, rest) = match rest.split_first() {
            Some((b'=', rest)) => {
                let (argument, rest) =
                    if rest.first() == Some(&b'"') { quoted_string(rest)? } else { token(rest)? };
                (Some(argument), rest)
            }
            _ => (None, rest),
        };
        let rest = skip(rest, is_blank);
        matches!(rest.first(), None | Some(b',')).then_some((Directive { name, argument }, rest))
    }
}

fn token(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let rest = skip(line, is_token);
    let (token, rest) = line.split_at_checked(line.len().checked_sub(rest.len())?)?;
    (!token.is_empty()).then_some((token, rest))
}

/// Splits off a quoted string at the start of the line.
fn quoted_string(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut is_escaped = false;
    let end = line.iter().skip(1).position(|byte| match byte {
        _ if is_escaped => {
            is_escaped = false;
            false
        }
        b'\\' => {
            is_escaped = true;
            false
        }
        byte => *byte == b'"',
    })?;
    line.split_at_checked(end.checked_add(2)?)
}

fn skip(line: &[u8], is_skipped: impl Fn(u8) -> bool) -> &[u8] {
    let count = line.iter().take_while(|byte| is_skipped(**byte)).count();
    line.get(count..).unwrap_or_default()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Removes the headers that only shared caches read.
fn remove_targeted(headers: &mut HeaderMap) {
    while let Some(name) = headers.keys().find(|name| is_targeted(name)).cloned() {
        headers.remove(name);
    }
}

/// Returns whether shared caches prefer a header over `Cache-Control`: in every spelling that a server
/// could read as such a header.
fn is_targeted(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // The last letter or the length rules out nearly all other headers.
    let could_be = matches!(name, [.., b'l' | b's']) && name.len() >= MIN_TARGETED_LENGTH;
    could_be
        && name != CACHE_CONTROL.as_str().as_bytes()
        && TARGETED.iter().any(|suffix| ends_with(name, suffix))
}

fn ends_with(name: &[u8], suffix: &str) -> bool {
    let fold = |byte: &u8| if byte.is_ascii_alphanumeric() { *byte } else { b'-' };
    let start = name.len().checked_sub(suffix.len());
    let end = start.and_then(|start| name.get(start..)).unwrap_or_default();
    !end.is_empty() && end.iter().map(fold).eq(suffix.bytes())
}

/// The ends of their names: `CDN-Cache-Control` and those of single networks (RFC 9213),
/// `X-LiteSpeed-Cache-Control`; `Surrogate-Control` (Varnish, Fastly); `Edge-Control` (Akamai);
/// `X-Accel-Expires` (nginx).
const TARGETED: [&str; 4] =
    ["cache-control", "surrogate-control", "edge-control", "x-accel-expires"];
const MIN_TARGETED_LENGTH: usize = "edge-control".len();

/// Removes a `Connection` header that names `Cache-Control`, which the next server would remove.
fn keep_cache_control(headers: &mut HeaderMap) {
    let names_it = |line: &HeaderValue| {
        line.as_bytes().split(|byte| *byte == b',').any(|option| {
            option.trim_ascii().eq_ignore_ascii_case(CACHE_CONTROL.as_str().as_bytes())
        })
    };
    if headers.get_all(CONNECTION).iter().any(names_it) {
        headers.remove(CONNECTION);
    }
}

#[cfg(test)]
mod tests;
