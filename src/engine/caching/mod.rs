//! Who may store an answer: every cache on the way, or the reader's own alone.
//!
//! A cache that several people share asks no policy. What a stranger would not get has to carry
//! `private`, and nothing beside it that such a cache counts higher (RFC 9111 and RFC 9213; nginx
//! and Varnish obey headers of their own first).

use std::iter::FusedIterator;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONNECTION, HeaderName, HeaderValue};

/// What may be written on an answer for caches to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum CachePolicy {
    /// Whatever the inner service writes: every stranger would get this answer as well.
    Unchanged,
    /// As `Private`, except where the inner service names shared caches.
    SharedByName,
    /// Nothing that lets a shared cache store it.
    Private,
}

impl CachePolicy {
    /// Changes the headers of an answer so that they comply. Allocates only where the inner service
    /// wrote something that has to change.
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        if self == Self::Unchanged {
            return;
        }
        let written = CacheControl::of(headers);
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
        protect(headers);
    }
}

/// Forbids every cache to store an answer, the reader's own as well.
pub(crate) fn forbid_storing(headers: &mut HeaderMap) {
    remove_targeted(headers);
    let written = CacheControl::of(headers);
    if !(written.forbids_sharing() && written.forbids_storing()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    protect(headers);
}

/// Whether the inner service means an answer for everybody, as far as `Cache-Control` says.
pub(super) fn names_shared_caches(headers: &HeaderMap) -> bool {
    CacheControl::of(headers).names_shared_caches()
}

/// The header `Cache-Control`, all its lines together.
#[derive(Clone, Copy, Debug, Default)]
struct CacheControl {
    /// Nobody can tell how a cache would read it.
    is_malformed: bool,
    private: bool,
    no_store: bool,
    must_understand: bool,
    /// `public` or `s-maxage`.
    shared: bool,
    /// A directive that `private` makes superfluous.
    superfluous: bool,
    /// A directive whose meaning is not known here.
    unknown: bool,
}

impl CacheControl {
    fn of(headers: &HeaderMap) -> Self {
        let mut written = Self::default();
        for directive in directives(headers) {
            let Ok(directive) = directive else {
                written.is_malformed = true;
                break;
            };
            match DirectiveKind::of(&directive) {
                DirectiveKind::Private => written.private = true,
                DirectiveKind::NoStore => written.no_store = true,
                DirectiveKind::MustUnderstand => written.must_understand = true,
                DirectiveKind::Reader => {}
                DirectiveKind::Shared => written.shared = true,
                DirectiveKind::Superfluous => written.superfluous = true,
                DirectiveKind::Unknown => written.unknown = true,
            }
        }
        written
    }

    /// Beside `must-understand`, a cache that knows the status may ignore `no-store` (RFC 9111,
    /// section 5.2.2.3).
    fn forbids_storing(self) -> bool {
        !self.is_malformed && self.no_store && !self.must_understand
    }

    /// Whether it can stay as it is, because no shared cache stores the answer. An unknown directive could
    /// qualify `private` (section 5.2.3 has `community` for an example), but not `no-store`.
    fn forbids_sharing(self) -> bool {
        !self.is_malformed
            && !self.shared
            && !self.superfluous
            && (self.forbids_storing() || self.private && !self.unknown)
    }

    fn names_shared_caches(self) -> bool {
        !self.is_malformed && self.shared && !self.private && !self.no_store
    }

    /// One line in place of those there are: `private`, and what concerns the reader's own cache.
    fn restricted(self, headers: &HeaderMap) -> HeaderValue {
        if self.is_malformed {
            return HeaderValue::from_static("private, no-store");
        }
        let mut line = Vec::new();
        for directive in directives(headers).flatten() {
            let Directive { name, argument } = directive;
            match DirectiveKind::of(&directive) {
                DirectiveKind::NoStore | DirectiveKind::MustUnderstand | DirectiveKind::Reader => {
                    line.extend_from_slice(b", ");
                    line.extend_from_slice(name);
                    if let Some(argument) = argument {
                        line.push(b'=');
                        line.extend_from_slice(argument);
                    }
                }
                DirectiveKind::Superfluous if name.eq_ignore_ascii_case(b"no-store") => {
                    line.extend_from_slice(b", no-store");
                }
                DirectiveKind::Private
                | DirectiveKind::Shared
                | DirectiveKind::Superfluous
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

/// Which caches a directive concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum DirectiveKind {
    Private,
    NoStore,
    MustUnderstand,
    /// It concerns the reader's own cache, and lets no other one store anything.
    Reader,
    /// It lets shared caches store.
    Shared,
    /// It says nothing beside a plain `private` or `no-store`, or could be read as less than that.
    Superfluous,
    Unknown,
}

impl DirectiveKind {
    fn of(directive: &Directive<'_>) -> Self {
        let is = |name: &str| directive.name.eq_ignore_ascii_case(name.as_bytes());
        let is_plain = directive.argument.is_none();
        if is("private") {
            // With an argument it is about some headers alone.
            if is_plain { Self::Private } else { Self::Superfluous }
        } else if is("no-store") {
            if is_plain { Self::NoStore } else { Self::Superfluous }
        } else if is("public") || is("s-maxage") {
            Self::Shared
        } else if is("proxy-revalidate") {
            Self::Superfluous
        } else if is("must-understand") {
            Self::MustUnderstand
        } else if READER.iter().any(|name| is(name)) {
            Self::Reader
        } else {
            Self::Unknown
        }
    }
}

/// What a browser obeys (RFC 9111, section 5.2.2; RFC 5861; RFC 8246).
const READER: [&str; 7] = [
    "max-age",
    "no-cache",
    "must-revalidate",
    "immutable",
    "stale-while-revalidate",
    "stale-if-error",
    "no-transform",
];

/// One directive as it is written.
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

/// The directives of one line; ends with the first that cannot be read.
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

/// A text in quotes, at whose first one the line begins.
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

/// Whether shared caches read a header, and count it above `Cache-Control`: in every spelling that a
/// server on the way could take for it.
fn is_targeted(name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    // Nearly all others are told apart by how they end, or by how long they are.
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

/// How their names end: `CDN-Cache-Control` and those of single networks (RFC 9213),
/// `X-LiteSpeed-Cache-Control`; `Surrogate-Control` (Varnish, Fastly); `Edge-Control` (Akamai);
/// `X-Accel-Expires` (nginx).
const TARGETED: [&str; 4] =
    ["cache-control", "surrogate-control", "edge-control", "x-accel-expires"];
const MIN_TARGETED_LENGTH: usize = "edge-control".len();

/// Keeps `Cache-Control` from being named in `Connection`: the next server would remove it.
fn protect(headers: &mut HeaderMap) {
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
