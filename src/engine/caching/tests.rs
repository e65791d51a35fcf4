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
    let lines: Vec<_> =
        FOR_CACHES.iter().chain(&others).flat_map(|name| [(*name, "1"), (*name, "2")]).collect();
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
    let mut headers = map(&[("cdn-cache-control", "max-age=600"), ("cache-control", "max-age=60")]);
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
    for (line, stays) in [("cache-control", false), ("x, Cache-Control", false), ("upgrade", true)]
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
        let mut headers = map(&[("cache-control", written), ("surrogate-control", "max-age=60")]);
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
        &[("cache-control", "private, max-age=0, must-revalidate"), ("connection", "keep-alive")],
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
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
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
            list.iter().filter(|(name, _)| BROWSER_DIRECTIVES.contains(&&**name)).cloned().collect()
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
        let written = CacheControl::parse(&headers);
        proptest::prop_assert!(written.forbids_sharing() && !written.names_shared_caches());
        proptest::prop_assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
    }
}
