//! The cookies of the contract (section 6): their names, and how they are read. What a browser
//! sends is for us, what an origin sends is for the browser: each sees its own.

#[cfg(feature = "login")]
mod set;

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};

#[cfg(feature = "login")]
pub(crate) use self::set::{
    APP_SESSION_LIFETIME, DEVICE_LIFETIME, SESSION_LIFETIME, SetCookie, clear_all,
};

/// The application token, or on the team domain the session token.
pub(crate) const AUTHORIZATION: &str = "CF_Authorization";
/// Ties a login to the browser that began it, on the team domain.
pub(crate) const SESSION: &str = "CF_Session";
/// Ties the end of a login to the browser that was sent to it, on the application's host.
pub(crate) const APP_SESSION: &str = "CF_AppSession";
/// A browser that has logged in before.
pub(crate) const DEVICE: &str = "CF_Device";
/// A second cookie bound to the person; not made here, and not for an origin to see.
const BINDING: &str = "CF_Binding";

/// The values of all cookies of this name, in the order they were sent; eight at most.
///
/// A cookie that another host planted stands beside ours: whoever asks tries them all.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    pairs(headers)
        .filter(move |(key, _)| *key == name.as_bytes())
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .take(8)
}

/// Keeps our cookies that are no business of an origin from it: all but `CF_Authorization`.
pub(crate) fn withhold(headers: &mut HeaderMap) {
    let withheld = |name: &[u8]| {
        [SESSION, APP_SESSION, DEVICE, BINDING].iter().any(|ours| ours.as_bytes() == name)
    };
    if !pairs(headers).any(|(name, _)| withheld(name)) {
        return;
    }
    let lines: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| {
            let kept: Vec<&[u8]> = line
                .as_bytes()
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii)
                .filter(|pair| !withheld(split_pair(pair).map_or(*pair, |(name, _)| name)))
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

/// Removes `Set-Cookie` lines with which an origin would set or clear a cookie of ours.
pub(crate) fn keep_ours(headers: &mut HeaderMap) {
    let ours = |line: &HeaderValue| {
        let name = line.as_bytes().split(|byte| matches!(byte, b'=' | b';')).next();
        let name = name.unwrap_or_default().trim_ascii();
        [AUTHORIZATION, SESSION, APP_SESSION, DEVICE, BINDING]
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

/// Names and values as bytes: what is not looked at need not be text.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(split_pair)
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let place = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at_checked(place)?;
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
        assert_eq!(values(&sent(&[&many]), AUTHORIZATION).count(), 8);
    }

    #[test]
    fn hdr_19_the_origin_sees_its_own_cookies_and_the_application_token() {
        let mut headers = sent(&[
            "theme=dark; CF_AppSession=1; CF_Authorization=t",
            "CF_Session=2",
            "CF_Binding=3",
        ]);
        withhold(&mut headers);
        let lines: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(lines, ["theme=dark; CF_Authorization=t"]);
        let mut untouched = sent(&["a=1;b = 2"]);
        withhold(&mut untouched);
        assert_eq!(untouched[COOKIE], "a=1;b = 2");
    }

    #[test]
    fn hdr_20_an_origin_cannot_set_our_cookies() {
        let mut headers = HeaderMap::new();
        for line in ["CF_Authorization=evil", "theme=dark", " CF_AppSession =x; Path=/"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(line));
        }
        keep_ours(&mut headers);
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["theme=dark"]);
    }

    proptest! {
        #[test]
        fn ses_04_no_cookie_header_panics(line in proptest::collection::vec(32_u8..=255, 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let mut headers = HeaderMap::new();
                headers.insert(COOKIE, value);
                let _ = values(&headers, AUTHORIZATION).count();
                withhold(&mut headers);
            }
        }
    }
}
