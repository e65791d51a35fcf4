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
        let written = Written::of(headers);
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
    let written = Written::of(headers);
    if !(written.forbids_sharing() && written.forbids_storing()) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    protect(headers);
}

/// Whether the inner service means an answer for everybody, as far as `Cache-Control` says.
#[cfg(feature = "login")]
pub(super) fn names_shared_caches(headers: &HeaderMap) -> bool {
    Written::of(headers).names_shared_caches()
}

/// What `Cache-Control` comes to, all its lines together.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// Nobody can tell how a cache would read it.
    is_malformed: bool,
    private: bool,
    no_store: bool,
    must_understand: bool,
    /// `public` or `s-maxage`.
    shared: bool,
    /// What is removed with `private` beside it.
    superfluous: bool,
    /// A directive whose meaning is not known here.
    unknown: bool,
}

impl Written {
    fn of(headers: &HeaderMap) -> Self {
        let mut written = Self::default();
        for directive in directives(headers) {
            let Ok(directive) = directive else {
                written.is_malformed = true;
                break;
            };
            match Meaning::of(&directive) {
                Meaning::Private => written.private = true,
                Meaning::NoStore => written.no_store = true,
                Meaning::MustUnderstand => written.must_understand = true,
                Meaning::Reader => {}
                Meaning::Shared => written.shared = true,
                Meaning::Superfluous => written.superfluous = true,
                Meaning::Unknown => written.unknown = true,
            }
        }
        written
    }

    /// Beside `must-understand`, a cache that knows the status may ignore `no-store` (RFC 9111,
    /// section 5.2.2.3).
    fn forbids_storing(self) -> bool {
        !self.is_malformed && self.no_store && !self.must_understand
    }

    /// Whether it can stay as it is: no shared cache stores the answer. An unknown directive could
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
            match Meaning::of(&directive) {
                Meaning::NoStore | Meaning::MustUnderstand | Meaning::Reader => {
                    line.extend_from_slice(b", ");
                    line.extend_from_slice(name);
                    if let Some(argument) = argument {
                        line.push(b'=');
                        line.extend_from_slice(argument);
                    }
                }
                Meaning::Superfluous if name.eq_ignore_ascii_case(b"no-store") => {
                    line.extend_from_slice(b", no-store");
                }
                Meaning::Private | Meaning::Shared | Meaning::Superfluous | Meaning::Unknown => {}
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

/// Whom a directive concerns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Meaning {
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

impl Meaning {
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

/// What is no list of directives.
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
    let could_be = matches!(name, [.., b'l' | b's']) && name.len() >= SHORTEST_TARGETED;
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
const SHORTEST_TARGETED: usize = "edge-control".len();

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
mod tests {
    use proptest::strategy::Strategy;

    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn cache_control(headers: &HeaderMap) -> Vec<&str> {
        headers.get_all(CACHE_CONTROL).iter().map(|line| line.to_str().unwrap()).collect()
    }

    /// What becomes of lines of `Cache-Control`.
    fn after(policy: CachePolicy, lines: &[&str]) -> Vec<String> {
        let lines: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
        let mut headers = map(&lines);
        policy.apply(&mut headers);
        cache_control(&headers).into_iter().map(str::to_owned).collect()
    }

    /// HDR-21
    #[test]
    fn hdr_21_no_wording_lets_a_shared_cache_store_it() {
        for (lines, expected) in [
            (&[][..], "private"),
            (&[""], "private"),
            (&[" , ,"], "private"),
            (&["max-age=600"], "private, max-age=600"),
            (&["public"], "private"),
            (&["PUBLIC, Max-Age=600"], "private, Max-Age=600"),
            (&["public, max-age=600, s-maxage=600, immutable"], "private, max-age=600, immutable"),
            (&["s-maxage=0"], "private"),
            (&["s-maxage=\"600\", max-age=\"60\""], "private, max-age=\"60\""),
            (&["public, private"], "private"),
            (&["private, s-maxage=600"], "private"),
            (&["private=\"set-cookie\", max-age=60"], "private, max-age=60"),
            (&["private=set-cookie"], "private"),
            (&["no-cache"], "private, no-cache"),
            (
                &["no-cache=\"set-cookie, x\", max-age=60"],
                "private, no-cache=\"set-cookie, x\", max-age=60",
            ),
            (&["must-revalidate, max-age=60"], "private, must-revalidate, max-age=60"),
            (&["proxy-revalidate"], "private"),
            (&["private, proxy-revalidate"], "private"),
            (
                &["max-age=1, stale-while-revalidate=2, stale-if-error=3, no-transform"],
                "private, max-age=1, stale-while-revalidate=2, stale-if-error=3, no-transform",
            ),
            (&["public, no-store"], "private, no-store"),
            (
                &["no-store, must-understand, max-age=60"],
                "private, no-store, must-understand, max-age=60",
            ),
            (&["no-store=1"], "private, no-store"),
            (&["private, community=\"UCI\""], "private"),
            (&["x=\"public\\\", a\", max-age=60"], "private, max-age=60"),
            (&["max-age=60", "public"], "private, max-age=60"),
            (&["private", "public"], "private"),
            (&["max-age=600;public"], "private, no-store"),
            (&["max-age = 600"], "private, no-store"),
            (&["max-age="], "private, no-store"),
            (&["private=\"x, public"], "private, no-store"),
            (&["private \"x\""], "private, no-store"),
            (&["(public)"], "private, no-store"),
            (&["private", "=1"], "private, no-store"),
            (&["private public"], "private, no-store"),
        ] {
            assert_eq!(after(CachePolicy::Private, lines), [expected], "{lines:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_bytes(b"max-age=60, \xff").unwrap());
        CachePolicy::Private.apply(&mut headers);
        assert_eq!(cache_control(&headers), ["private, no-store"]);
    }

    /// HDR-21
    #[test]
    fn hdr_21_what_is_private_already_stays_as_it_is() {
        for lines in [
            &["private"][..],
            &["Private, max-age=60"],
            &["no-store"],
            &["NO-STORE"],
            &["no-store, no-cache, must-revalidate, post-check=0, pre-check=0"],
            &["private, max-age=0", "no-cache"],
            &["private, must-understand, no-store"],
        ] {
            assert_eq!(after(CachePolicy::Private, lines), lines);
            assert_eq!(after(CachePolicy::SharedByName, lines), lines);
        }
    }

    /// HDR-21
    #[test]
    fn hdr_21_sharing_by_name_takes_the_name() {
        for lines in [
            &["public"][..],
            &["Public, max-age=600"],
            &["s-maxage=600, max-age=0"],
            &["public, community=\"UCI\"", "max-age=60"],
        ] {
            assert_eq!(after(CachePolicy::SharedByName, lines), lines);
        }
        for (lines, expected) in [
            (&[][..], "private"),
            (&["max-age=600"], "private, max-age=600"),
            (&["must-revalidate, max-age=600"], "private, must-revalidate, max-age=600"),
            (&["public, private"], "private"),
            (&["public, no-store"], "private, no-store"),
            (&["public; max-age=600"], "private, no-store"),
        ] {
            assert_eq!(after(CachePolicy::SharedByName, lines), [expected], "{lines:?}");
        }
    }

    const FOR_CACHES: [&str; 13] = [
        "x-accel-expires",
        "x_accel_expires",
        "surrogate-control",
        "surrogate.control",
        "x-surrogate-control",
        "cdn-cache-control",
        "cdn_cache-control",
        "cloudflare-cdn-cache-control",
        "vercel-cdn-cache-control",
        "akamai-cache-control",
        "x-litespeed-cache-control",
        "cache_control",
        "edge-control",
    ];

    /// HDR-21
    #[test]
    fn hdr_21_headers_that_only_caches_read_are_removed() {
        let others = [
            "age",
            "cache-status",
            "content-length",
            "control",
            "edge-cache-tag",
            "etag",
            "expires",
            "last-modified",
            "pragma",
            "surrogate-key",
            "vary",
            "x-accel-buffering",
            "x-accel-redirect",
            "x-dns-prefetch-control",
        ];
        let lines: Vec<_> = FOR_CACHES
            .iter()
            .chain(&others)
            .flat_map(|name| [(*name, "1"), (*name, "2")])
            .collect();
        for written in ["private", "max-age=60", "no-store", "public"] {
            let mut headers = map(&lines);
            headers.insert(CACHE_CONTROL, written.parse().unwrap());
            CachePolicy::Private.apply(&mut headers);
            let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
            left.retain(|name| *name != "cache-control");
            left.sort_unstable();
            assert_eq!(left, others, "{written}");
        }
        for policy in [CachePolicy::Unchanged, CachePolicy::SharedByName] {
            let mut headers = map(&lines);
            headers.insert(CACHE_CONTROL, "public".parse().unwrap());
            let before = headers.clone();
            policy.apply(&mut headers);
            assert_eq!(headers, before);
        }
        // Addressed to caches by name, whatever the line for everybody says.
        let mut headers =
            map(&[("cdn-cache-control", "max-age=600"), ("cache-control", "max-age=60")]);
        CachePolicy::SharedByName.apply(&mut headers);
        assert_eq!(headers["cdn-cache-control"], "max-age=600");
        assert_eq!(headers["cache-control"], "private, max-age=60");
        // But not where that line cannot be read.
        headers.insert(CACHE_CONTROL, "max-age=60;".parse().unwrap());
        CachePolicy::SharedByName.apply(&mut headers);
        assert!(!headers.contains_key("cdn-cache-control"));
    }

    /// HDR-21
    #[test]
    fn hdr_21_the_line_cannot_be_named_away() {
        for (line, stays) in
            [("cache-control", false), ("x, Cache-Control", false), ("upgrade", true)]
        {
            let mut headers = map(&[("connection", line), ("connection", "x-cache-control")]);
            CachePolicy::Private.apply(&mut headers);
            assert_eq!(headers.contains_key(CONNECTION), stays, "{line}");
        }
    }

    /// SES-24
    #[test]
    fn ses_24_a_cookie_of_ours_is_stored_nowhere() {
        for written in [
            "",
            "public, max-age=60",
            "private",
            "no-store, public",
            "no-store, must-understand",
            "x y, no-store",
        ] {
            let mut headers =
                map(&[("cache-control", written), ("surrogate-control", "max-age=60")]);
            forbid_storing(&mut headers);
            assert_eq!(cache_control(&headers), ["private, no-store"]);
            assert!(!headers.contains_key("surrogate-control"));
        }
        let mut headers = map(&[("cache-control", "no-store, max-age=0")]);
        forbid_storing(&mut headers);
        assert_eq!(cache_control(&headers), ["no-store, max-age=0"]);
    }

    #[test]
    fn the_usual_answers_cost_no_memory() {
        for lines in [
            &[][..],
            &[("cache-control", "private")],
            &[("cache-control", "no-store")],
            &[("cache-control", "public")],
            &[
                ("cache-control", "private, max-age=0, must-revalidate"),
                ("connection", "keep-alive"),
            ],
        ] {
            let mut headers = map(lines);
            // Room for one more.
            headers.reserve(4);
            let info = allocation_counter::measure(|| CachePolicy::Private.apply(&mut headers));
            assert_eq!(info.count_total, 0, "{lines:?}");
        }
    }

    /// Reads a line as a cache would that knows nothing but commas, quotes and letter case.
    fn slow_model(line: &str) -> Vec<(String, Option<String>)> {
        let (mut parts, mut part, mut quoted, mut escaped) =
            (Vec::new(), String::new(), false, false);
        for char in line.chars() {
            match char {
                ',' if !quoted => parts.push(std::mem::take(&mut part)),
                _ => {
                    quoted ^= char == '"' && !escaped;
                    escaped = quoted && char == '\\' && !escaped;
                    part.push(char);
                }
            }
        }
        parts.push(part);
        let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
        parts
            .map(|part| match part.split_once('=') {
                Some((name, argument)) => (name.to_lowercase(), Some(argument.to_owned())),
                None => (part.to_lowercase(), None),
            })
            .collect()
    }

    const WORDS: &str = "(public|PRIVATE|private|s-maxage|no-store|no-cache|max-age|must-revalidate|\
        must-understand|immutable|proxy-revalidate|community|x)(=(60|\"a\"|\"a, public\"|\"\\\\\", private\"))?";

    proptest::proptest! {
        /// HDR-21
        #[test]
        fn hdr_21_every_list_of_directives_becomes_private_and_keeps_the_readers(
            lines in proptest::collection::vec(
                proptest::collection::vec(WORDS, 0..5).prop_map(|words| words.join(" ,")), 0..4),
        ) {
            use proptest::prelude::*;
            let before: Vec<_> = lines.iter().flat_map(|line| slow_model(line)).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let after = after(CachePolicy::Private, &lines);
            let after: Vec<_> = after.iter().flat_map(|line| slow_model(line)).collect();
            let plain = |name: &str| after.contains(&(name.to_owned(), None));
            let has = |name: &str| after.iter().any(|(it, _)| it == name);
            prop_assert!(plain("private") || plain("no-store") && !has("must-understand"));
            for gone in ["public", "s-maxage", "proxy-revalidate"] {
                prop_assert!(!has(gone), "{gone}");
            }
            prop_assert!(!plain("private") || plain("no-store") || !has("community"));
            let readers = |list: &[(String, Option<String>)]| -> Vec<_> {
                list.iter().filter(|(name, _)| READER.contains(&&**name)).cloned().collect()
            };
            prop_assert_eq!(readers(&after), readers(&before));
            prop_assert!(!before.iter().any(|(name, _)| name == "no-store") || plain("no-store"));
        }

        #[test]
        fn hdr_21_no_bytes_are_read_as_leave_to_share(line in "[ -~\\t\\x80-\\xff]{0,40}") {
            let line: Vec<u8> = line.chars().map(|char| u32::from(char) as u8).collect();
            let Ok(line) = HeaderValue::from_bytes(&line) else { return Ok(()) };
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, line);
            CachePolicy::Private.apply(&mut headers);
            let written = Written::of(&headers);
            proptest::prop_assert!(written.forbids_sharing() && !written.names_shared_caches());
            proptest::prop_assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
        }
    }
}
