//! The cookies of the contract (section 6): their names, how they are read, and how they are removed
//! from requests to the origin and from its responses.

mod set;

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

pub(crate) use self::set::{
    APP_SESSION_LIFETIME, DEVICE_LIFETIME, LOGIN_PATH, SESSION_LIFETIME, SetCookie, clear_all,
};

/// The application token, or on the team domain the session token.
pub(crate) const AUTHORIZATION: &str = "CF_Authorization";
/// Binds a login to the browser that started it, on the team domain.
pub(crate) const SESSION: &str = "CF_Session";
/// Binds the completion of a login to the browser that was redirected to it, on the application's host.
pub(crate) const APP_SESSION: &str = "CF_AppSession";
/// Marks a browser that has logged in before.
pub(crate) const DEVICE: &str = "CF_Device";
/// The session, for all applications of a host that runs the login; never sent to an origin.
pub(crate) const HOST_SESSION: &str = "CF_HostSession";
/// The beginning of the names of cookies that keep a pending login at a SAML provider.
pub(crate) const SAML_LOGIN_PREFIX: &str = "CF_SamlLogin_";
/// A second cookie bound to the session, if an application requires it; never sent to an origin.
pub(crate) const BINDING: &str = "CF_Binding";

/// Returns the values of all cookies with this name, in the order they were sent; 32 at most.
///
/// Another host of the domain may have set a cookie with this name, so callers try all of them.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    raw_values(headers, name).filter_map(|value| std::str::from_utf8(value).ok())
}

/// Returns the cookies whose name begins with this: the rest of the name, and the value; 32 at most.
#[cfg(feature = "saml")]
pub(crate) fn with_prefix<'a>(
    headers: &'a HeaderMap,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let named = pairs(headers)
        .filter_map(move |(name, value)| Some((name.strip_prefix(prefix.as_bytes())?, value)));
    let text =
        |(rest, value)| Some((std::str::from_utf8(rest).ok()?, std::str::from_utf8(value).ok()?));
    named.take(32).filter_map(text)
}

/// As [`values`], as bytes.
pub(crate) fn raw_values<'a>(
    headers: &'a HeaderMap,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    pairs(headers).filter(move |(key, _)| *key == name.as_bytes()).map(|(_, value)| value).take(32)
}

/// Returns whether a value has the form of our random values: 32 lower-case hexadecimal digits.
pub(crate) fn is_random(value: &str) -> bool {
    value.len() == 32
        && value.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Removes our cookies from a request to the origin, except the `CF_Authorization` that was verified:
/// an origin that reads the cookie must see the identity that was let in. With `None`, if no token was
/// verified, every `CF_Authorization` stays.
pub(crate) fn remove_own_cookies(headers: &mut HeaderMap, judged: Option<&[u8]>) {
    let withheld = |(name, value): (&[u8], &[u8])| {
        name.starts_with(SAML_LOGIN_PREFIX.as_bytes())
            || [SESSION, APP_SESSION, DEVICE, BINDING, HOST_SESSION]
                .iter()
                .any(|ours| ours.as_bytes() == name)
            || name == AUTHORIZATION.as_bytes() && judged.is_some_and(|judged| judged != value)
    };
    if !headers.contains_key(COOKIE) || !pairs(headers).any(withheld) {
        return;
    }
    let lines: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| {
            let kept: Vec<&[u8]> = split(line.as_bytes())
                .map(<[u8]>::trim_ascii)
                .filter(|pair| !withheld(split_pair(pair).unwrap_or((*pair, &[]))))
                .collect();
            let mut line = HeaderValue::from_bytes(&kept.join(b"; ".as_slice())).ok()?;
            line.set_sensitive(true);
            (!kept.is_empty()).then_some(line)
        })
        .collect();
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
}

/// Removes `Set-Cookie` lines of an origin that set or clear one of our cookies.
pub(crate) fn remove_own_set_cookies(headers: &mut HeaderMap) {
    let ours = |line: &HeaderValue| {
        // Browsers send a cookie without a name back as its bare value, which may look like ours.
        let nameless = |byte: &u8| *byte == b'=' || byte.is_ascii_whitespace();
        let start = line.as_bytes().iter().take_while(|byte| nameless(byte)).count();
        let named = line.as_bytes().get(start..).unwrap_or_default();
        let name = named.split(|byte| matches!(byte, b'=' | b';')).next();
        let name = name.unwrap_or_default().trim_ascii();
        name.starts_with(SAML_LOGIN_PREFIX.as_bytes())
            || [AUTHORIZATION, SESSION, APP_SESSION, DEVICE, BINDING, HOST_SESSION]
                .iter()
                .any(|cookie| cookie.as_bytes() == name)
    };
    if !headers.get_all(SET_COOKIE).iter().any(ours) {
        return;
    }
    let kept: Vec<HeaderValue> =
        headers.get_all(SET_COOKIE).iter().filter(|line| !ours(line)).cloned().collect();
    headers.remove(SET_COOKIE);
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

/// Returns names and values as bytes: other cookies need not be text.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|line| split(line.as_bytes())).filter_map(split_pair)
}

/// Splits at `;` with `memchr`, because tokens are long.
fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let Some(end) = memchr::memchr(b';', line) else { return rest.take() };
        rest = line.get(end + 1..);
        line.get(..end)
    })
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let separator = memchr::memchr(b'=', pair)?;
    let (name, value) = pair.split_at_checked(separator)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sent(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn ses_02_ses_03_every_cookie_of_a_name_is_seen() {
        let headers =
            sent(&["a=1; CF_Authorization=x", "CF_Authorization = y ;CF_Authorization=z"]);
        assert_eq!(values(&headers, AUTHORIZATION).collect::<Vec<_>>(), ["x", "y", "z"]);
    }

    #[test]
    fn ses_04_odd_cookie_headers_are_absent_cookies() {
        for line in ["=", ";;;", "CF_Authorization", "\"CF_Authorization=x\"", "$Version=1", "é=x"]
        {
            assert_eq!(values(&sent(&[line]), AUTHORIZATION).count(), 0, "{line}");
        }
        let many = "CF_Authorization=x; ".repeat(1_000);
        assert_eq!(values(&sent(&[&many]), AUTHORIZATION).count(), 32);
    }

    #[test]
    fn hdr_19_the_origin_sees_its_own_cookies_and_the_application_token() {
        let mut headers = sent(&[
            "theme=dark; CF_AppSession=1; CF_Authorization=t",
            "CF_Session=2",
            "CF_Binding=3",
        ]);
        remove_own_cookies(&mut headers, None);
        let lines: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["theme=dark; CF_Authorization=t"]);
        let mut untouched = sent(&["a=1;b = 2"]);
        remove_own_cookies(&mut untouched, None);
        assert_eq!(untouched[COOKIE], "a=1;b = 2");
    }

    #[test]
    fn hdr_10_the_origin_sees_the_token_that_was_judged_and_no_other() {
        let mut headers = sent(&["CF_Authorization=bad; a=1; CF_Authorization=good"]);
        remove_own_cookies(&mut headers, Some(b"good"));
        assert_eq!(headers[COOKIE], "a=1; CF_Authorization=good");
    }

    #[test]
    fn ses_04_one_odd_cookie_hides_no_other() {
        let headers = sent(&["name=J\u{fc}rgen; CF_Authorization=x; CF_Session=y"]);
        assert_eq!(values(&headers, AUTHORIZATION).collect::<Vec<_>>(), ["x"]);
        let mut headers = headers;
        remove_own_cookies(&mut headers, None);
        assert!(!headers[COOKIE].as_bytes().windows(10).any(|window| window == b"CF_Session"));
    }

    #[test]
    fn hdr_20_an_origin_cannot_set_our_cookies() {
        let mut headers = HeaderMap::new();
        for line in [
            "CF_Authorization=evil",
            "theme=dark",
            " CF_AppSession =x; Path=/",
            "=CF_Authorization=evil",
            " = CF_Session=evil",
        ] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        remove_own_set_cookies(&mut headers);
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["theme=dark"]);
    }

    proptest! {
        #[test]
        fn ses_04_no_cookie_header_panics(line in proptest::collection::vec(32_u8..=255, 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::new();
                headers.insert(COOKIE, value);
                let _ = values(&headers, AUTHORIZATION).count();
                remove_own_cookies(&mut headers, Some(b"x"));
            }
        }
    }
}
