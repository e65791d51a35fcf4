//! The header names of the contract, and the removal of headers that clients must not send.
//!
//! Headers of ours begin with `cf-access-`. A backend may fold other spellings into the same name
//! (`Cf_Access_…`, `cf.access.…`), so names are compared after every character other than a
//! letter or digit is folded into one class. No other module compares header names.

use http::header::{CONNECTION, Entry, HeaderName, HeaderValue};
use http::{HeaderMap, Method};

/// The application token, sent to an origin.
pub const JWT_ASSERTION: HeaderName = HeaderName::from_static("cf-access-jwt-assertion");
/// The verified email address of a user, towards an origin.
pub const AUTHENTICATED_USER_EMAIL: HeaderName =
    HeaderName::from_static("cf-access-authenticated-user-email");
/// The public half of a service token, from a client.
pub const CLIENT_ID: HeaderName = HeaderName::from_static("cf-access-client-id");
/// The secret half of a service token, from a client.
pub const CLIENT_SECRET: HeaderName = HeaderName::from_static("cf-access-client-secret");
/// An application token in place of the cookie, from a client.
pub const TOKEN: HeaderName = HeaderName::from_static("cf-access-token");
/// The application's audience tag, on refusals.
pub const AUD: HeaderName = HeaderName::from_static("cf-access-aud");
/// The application's host, on refusals and on the login page.
pub const DOMAIN: HeaderName = HeaderName::from_static("cf-access-domain");

/// The mode of a browser's request (Fetch Metadata).
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// The site that caused a browser's request (Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The destination of a browser's request (Fetch Metadata).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// The headers by which browsers mark a prefetch: the standard one, and those
/// of Chromium, Safari and Firefox before it.
const PURPOSES: [HeaderName; 4] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-purpose"),
    HeaderName::from_static("x-moz"),
];
/// The header by which older script libraries identify themselves.
const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Removes every header that a backend could mistake for one of ours, in every spelling, and prevents a
/// client from naming them in `Connection`, which would make a proxy drop them.
///
/// ```
/// use http::HeaderMap;
/// use tower_access::headers::scrub;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("cf_access-authenticated.user_email", "admin@example.com".parse()?);
/// headers.insert("cf-ray", "8d1f2a3b4c5d6e7f".parse()?);
/// scrub(&mut headers);
/// assert_eq!(headers.len(), 1);
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub fn scrub(headers: &mut HeaderMap) {
    take_identity_headers(headers, |_, _| {});
}

/// The identity headers of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum IdentityHeaders<'a> {
    /// No header name folds to one of ours.
    Absent,
    /// One line of `Cf-Access-Jwt-Assertion`, and nothing else of ours.
    Assertion(&'a HeaderValue),
    /// Anything else.
    Several,
}

/// Finds the headers that fold to one of ours, or are named in `Connection`.
pub(crate) fn find_identity_headers(headers: &HeaderMap) -> IdentityHeaders<'_> {
    let mut found = IdentityHeaders::Absent;
    for (name, value) in headers {
        // Neither ours nor `Connection`, as nearly all.
        if matches!(name.as_str().as_bytes(), [b'a'..=b'b' | b'd'..=b'z', ..]) {
            continue;
        }
        if is_identity_header(name.as_str()) {
            found = match found {
                IdentityHeaders::Absent if *name == JWT_ASSERTION => {
                    IdentityHeaders::Assertion(value)
                }
                _ => return IdentityHeaders::Several,
            };
        } else if *name == CONNECTION && names_identity_header(value) {
            return IdentityHeaders::Several;
        }
    }
    found
}

/// Scrubs like [`scrub`], and passes each removed header to the callback: the name, and its value if
/// it had exactly one.
pub(crate) fn take_identity_headers(
    headers: &mut HeaderMap,
    mut removed: impl FnMut(&HeaderName, Option<HeaderValue>),
) {
    let mut take = |headers: &mut HeaderMap, name: HeaderName| {
        if let Entry::Occupied(entry) = headers.entry(name) {
            let (name, mut values) = entry.remove_entry_mult();
            let first = values.next();
            let is_alone = values.next().is_none();
            removed(&name, first.filter(|_| is_alone));
        }
    };
    // Usually there is at most one; the bound keeps this loop linear.
    for _ in 0..MAX_ROUNDS {
        match headers.keys().find(|name| is_identity_header(name.as_str())) {
            Some(name) => take(headers, name.clone()),
            None => break,
        }
    }
    if has_identity_headers(headers) {
        let ours: Vec<HeaderName> =
            headers.keys().filter(|name| is_identity_header(name.as_str())).cloned().collect();
        for name in ours {
            take(headers, name);
        }
    }
    if headers.get_all(CONNECTION).iter().any(names_identity_header) {
        let kept: Vec<String> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|option| !is_identity_header(option))
            .map(str::to_owned)
            .collect();
        headers.remove(CONNECTION);
        if let Ok(line) = HeaderValue::from_str(&kept.join(", "))
            && !kept.is_empty()
        {
            headers.insert(CONNECTION, line);
        }
    }
}

/// Returns whether any header folds to one of ours.
fn has_identity_headers(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_identity_header(name.as_str()))
}

/// Whether a request declares that a script made it: a script cannot follow a redirect to a login.
pub(crate) fn is_script(headers: &HeaderMap) -> bool {
    let asked_with = headers.get(REQUESTED_WITH);
    asked_with.is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"))
        || headers.contains_key(SEC_FETCH_MODE) && !is_navigation(headers) && is_by_browser(headers)
}

/// Whether more Fetch Metadata than the mode is present. Browsers send it all; `fetch` outside a
/// browser (Node.js) sends `Sec-Fetch-Mode` alone, and expects the redirect like every other client.
fn is_by_browser(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(SEC_FETCH_DEST)
}

/// Whether a browser declares that it will show the response.
pub(crate) fn is_navigation(headers: &HeaderMap) -> bool {
    let mode = headers.get(SEC_FETCH_MODE);
    mode.is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"navigate"))
}

/// Whether a browser requests ahead of a visit: a prefetch, a prerender, a preview.
pub(crate) fn is_prefetch(headers: &HeaderMap) -> bool {
    headers.iter().filter(|(name, _)| PURPOSES.contains(name)).any(|(_, line)| {
        line.as_bytes().split(|byte| matches!(byte, b',' | b';')).any(|part| {
            let part = part.trim_ascii();
            [&b"prefetch"[..], b"prerender", b"preview"]
                .iter()
                .any(|purpose| part.eq_ignore_ascii_case(purpose))
        })
    })
}

/// Whether a browser sends the request on its own, so that a login is useless: for a part
/// of a page (an image, an icon, a style sheet, a script, a font, …), or ahead of a visit.
///
/// Frames and embedded documents count as pages. Without Fetch Metadata the purpose is unknown,
/// and the request counts as user-initiated.
pub(crate) fn is_background(headers: &HeaderMap) -> bool {
    // Scripts and sockets get their own responses.
    const OTHERS: [&[u8]; 8] = [
        b"document",
        b"iframe",
        b"frame",
        b"fencedframe",
        b"embed",
        b"object",
        b"empty",
        b"websocket",
    ];
    let is_of_page = |line: &HeaderValue| {
        let destination = line.as_bytes().trim_ascii();
        !OTHERS.iter().any(|known| destination.eq_ignore_ascii_case(known))
    };
    headers.get(SEC_FETCH_DEST).is_some_and(is_of_page) || is_prefetch(headers)
}

/// Returns whether a request asks for a WebSocket or another protocol on this connection: by `Upgrade`,
/// or over HTTP/2 by extended CONNECT (RFC 8441).
pub(crate) fn is_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::CONNECT
        || headers.contains_key(http::header::UPGRADE)
            && headers
                .get_all(CONNECTION)
                .iter()
                .filter_map(|line| line.to_str().ok())
                .flat_map(|line| line.split(','))
                .any(|option| option.trim().eq_ignore_ascii_case("upgrade"))
}

/// Returns whether this is a CORS preflight: browsers send it without any credential.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(http::header::ORIGIN)
        && headers.contains_key(http::header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns whether a user will read the response.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get(http::header::ACCEPT)
        .and_then(|line| line.to_str().ok())
        // Browsers begin with it at a visit.
        .is_some_and(|accept| accept.starts_with("text/html") || accept.contains("text/html"))
}

/// Whether a user will probably read the response; a cheap check for every request.
pub(crate) fn is_user_initiated(headers: &HeaderMap) -> bool {
    wants_html(headers)
        && (!headers.contains_key(SEC_FETCH_MODE)
            || is_navigation(headers)
            || !is_by_browser(headers))
}

fn names_identity_header(line: &HeaderValue) -> bool {
    line.as_bytes().split(|byte| *byte == b',').any(|option| {
        std::str::from_utf8(option).is_ok_and(|option| is_identity_header(option.trim()))
    })
}

/// Returns whether a name folds to one that begins with `cf-access-`.
#[inline]
pub(crate) fn is_identity_header(name: &str) -> bool {
    // The first character, always in lower case, rules out nearly every other header, and
    // ours are seldom spelled differently.
    match name.as_bytes() {
        [b'a'..=b'b' | b'd'..=b'z', ..] => false,
        [b'c', b'f', b'-', b'a', b'c', b'c', b'e', b's', b's', b'-', ..] => true,
        _ => folds_to_ours(name),
    }
}

fn folds_to_ours(name: &str) -> bool {
    let mut bytes = name.bytes().skip_while(|byte| !byte.is_ascii_alphanumeric()).peekable();
    for expected in *b"cf-access-" {
        if expected == b'-' {
            let mut separated = false;
            while bytes.next_if(|byte| !byte.is_ascii_alphanumeric()).is_some() {
                separated = true;
            }
            if !separated {
                return false;
            }
        } else if bytes.next().is_none_or(|byte| byte.to_ascii_lowercase() != expected) {
            return false;
        }
    }
    true
}

const MAX_ROUNDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_reads_an_answer_is_what_the_request_says() {
        for (lines, script, person) in [
            (&[][..], false, false),
            (&[("accept", "*/*")], false, false),
            (&[("accept", "text/html,*/*;q=0.8")], false, true),
            (&[("accept", "text/html"), ("sec-fetch-mode", "navigate")], false, true),
            (&[("accept", "*/*"), ("x-requested-with", "xmlhttprequest")], true, false),
            // A browser sends more than the mode; Node.js sends it alone.
            (&[("accept", "text/html"), ("sec-fetch-mode", "cors")], false, true),
            (&[("accept", "*/*"), ("sec-fetch-mode", "no-cors")], false, false),
            (
                &[
                    ("accept", "text/html"),
                    ("sec-fetch-mode", "cors"),
                    ("sec-fetch-site", "same-origin"),
                ],
                true,
                false,
            ),
            (
                &[
                    ("accept", "application/json"),
                    ("sec-fetch-mode", "no-cors"),
                    ("sec-fetch-dest", "empty"),
                ],
                true,
                false,
            ),
            (
                &[
                    ("accept", "text/html"),
                    ("sec-fetch-mode", "Navigate"),
                    ("sec-fetch-site", "none"),
                    ("sec-fetch-dest", "document"),
                ],
                false,
                true,
            ),
            (&[("accept", "text/html"), ("sec-fetch-site", "cross-site")], false, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_script(&headers), script, "{lines:?}");
            assert_eq!(is_user_initiated(&headers), person, "{lines:?}");
        }
    }

    #[test]
    fn flow_12_browsers_say_what_nobody_looks_at() {
        for (lines, is_ahead) in [
            (&[("sec-purpose", "prefetch")][..], true),
            (&[("sec-purpose", "prefetch;prerender")], true),
            (&[("sec-purpose", "Prefetch; anonymous-client-ip")], true),
            (&[("sec-purpose", "prerender")], true),
            (&[("purpose", "prefetch")], true),
            (&[("x-moz", "prefetch")], true),
            (&[("x-purpose", "preview")], true),
            (&[("purpose", "other"), ("purpose", "a, prefetch")], true),
            (&[], false),
            (&[("purpose", "shopping"), ("x-moz", "microsummary")], false),
            (&[("sec-purpose", "prefetched")], false),
            (&[("sec-purpose", "")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_prefetch(&headers), is_ahead, "{lines:?}");
            assert_eq!(is_background(&headers), is_ahead, "{lines:?}");
        }
        for (destination, is_part) in [
            ("document", false),
            ("iframe", false),
            ("empty", false),
            ("websocket", false),
            ("image", true),
            ("Style", true),
            ("font", true),
            ("manifest", true),
            ("of-years-to-come", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_FETCH_DEST, HeaderValue::from_static(destination));
            assert_eq!(is_background(&headers), is_part, "{destination}");
            assert!(!is_prefetch(&headers));
        }
    }

    #[test]
    fn hdr_01_hdr_02_hdr_03_every_spelling_and_copy_is_removed() {
        let mut headers = HeaderMap::new();
        for name in [
            "Cf-Access-Authenticated-User-Email",
            "cf_access_authenticated_user_email",
            "CF.ACCESS.Jwt.Assertion",
            "cf--access-jwt-assertion",
            "cf-access-client-secret-",
            "_cf-access-token",
            "cf-access-future",
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name.clone(), HeaderValue::from_static("admin"));
            headers.append(name, HeaderValue::from_static("admin"));
        }
        headers.insert("cf-ray", HeaderValue::from_static("1"));
        headers.insert("cfaccess", HeaderValue::from_static("1"));
        headers.insert("x-cf-access-token", HeaderValue::from_static("1"));
        scrub(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cf-ray", "cfaccess", "x-cf-access-token"]);
    }

    #[test]
    fn hdr_03_what_was_removed_is_handed_over_where_there_was_one() {
        let mut headers = HeaderMap::new();
        for number in 0..20 {
            let name: HeaderName = format!("cf-access-{number}").parse().unwrap();
            headers.append(name.clone(), HeaderValue::from(number));
            if number % 2 == 1 {
                headers.append(name, HeaderValue::from(number));
            }
        }
        headers.insert("accept", HeaderValue::from_static("*/*"));
        let mut removed = Vec::new();
        take_identity_headers(&mut headers, |name, value| removed.push((name.clone(), value)));
        assert_eq!(headers.len(), 1);
        assert_eq!(removed.len(), 20);
        for (name, value) in removed {
            let number: u16 = name.as_str().trim_start_matches("cf-access-").parse().unwrap();
            assert_eq!(value, number.is_multiple_of(2).then(|| HeaderValue::from(number)));
        }
    }

    #[test]
    fn hdr_08_connection_cannot_name_ours_away() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, Cf_Access_Jwt-Assertion"));
        headers.append(CONNECTION, HeaderValue::from_static("cf-access-authenticated-user-email"));
        scrub(&mut headers);
        assert_eq!(headers[CONNECTION], "close");
        headers.insert(CONNECTION, HeaderValue::from_static("cf-access-token"));
        scrub(&mut headers);
        assert!(!headers.contains_key(CONNECTION));
    }

    proptest! {
        #[test]
        fn hdr_02_a_name_is_ours_when_its_folded_form_is(
            name in "[-_.~!]{0,2}[cC][fF][-_.]{0,2}[aA]ccess[-_.]{0,2}[a-zA-Z-]{0,8}"
        ) {
            let folded: String = name
                .split(|c: char| !c.is_ascii_alphanumeric())
                .filter(|part| !part.is_empty())
                .map(str::to_ascii_lowercase)
                .collect::<Vec<_>>()
                .join("-");
            let trailing = !name.ends_with(|c: char| c.is_ascii_alphanumeric());
            let folded = if trailing { format!("{folded}-") } else { folded };
            prop_assert_eq!(is_identity_header(&name), folded.starts_with("cf-access-"));
        }
    }
}
