//! The cookies of the contract (section 6): names, attributes, reading, clearing.

use std::time::Duration;

use cookie::{Cookie, CookieBuilder};
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use time::OffsetDateTime;

use crate::application::{CanonicalHost, SameSite};
use crate::clock::Timestamp;

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

pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(4 * 3600);
pub(crate) const APP_SESSION_LIFETIME: Duration = Duration::from_secs(24 * 3600);
pub(crate) const DEVICE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// Where the login's own pages are.
const LOGIN_PATH: &str = "/cdn-cgi/access";

/// One cookie to set.
#[derive(Debug)]
pub(crate) struct SetCookie<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a str,
    pub(crate) end: Timestamp,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    /// For the login's own pages alone: an application on the same host never sees it.
    pub(crate) login_only: bool,
}

impl<'a> SetCookie<'a> {
    pub(crate) fn new(name: &'static str, value: &'a str, end: Timestamp) -> Self {
        Self { name, value, end, http_only: true, same_site: SameSite::None, login_only: false }
    }

    /// The `Set-Cookie` line. `Expires` is always there: some clients know nothing else.
    pub(crate) fn header(&self, host: &CanonicalHost) -> Option<HeaderValue> {
        let end = i64::try_from(self.end.as_unix_seconds()).ok()?;
        let cookie = self.builder(host).expires(OffsetDateTime::from_unix_timestamp(end).ok()?);
        let mut header = HeaderValue::from_str(&cookie.build().to_string()).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    fn builder(&self, host: &CanonicalHost) -> CookieBuilder<'a> {
        // Without TLS, on localhost, browsers refuse `Secure` or `SameSite=None` cookies.
        let secure = !host.is_localhost();
        let same_site = match self.same_site {
            SameSite::None if secure => cookie::SameSite::None,
            SameSite::None | SameSite::Lax => cookie::SameSite::Lax,
            SameSite::Strict => cookie::SameSite::Strict,
        };
        Cookie::build((self.name, self.value))
            .path(if self.login_only { LOGIN_PATH } else { "/" })
            .secure(secure)
            .http_only(self.http_only)
            .same_site(same_site)
    }
}

/// The lines that clear every cookie ever set on a host.
pub(crate) fn clear_all(host: &CanonicalHost) -> Vec<HeaderValue> {
    let end = Timestamp::from_unix_seconds(1);
    [
        (AUTHORIZATION, false),
        (AUTHORIZATION, true),
        (SESSION, false),
        (APP_SESSION, false),
        (BINDING, false),
    ]
    .into_iter()
    .filter_map(|(name, login_only)| {
        SetCookie { login_only, ..SetCookie::new(name, "", end) }.header(host)
    })
    .collect()
}

/// The values of all cookies of this name, in the order they were sent; eight at most.
///
/// A cookie that another host planted stands beside ours: whoever asks tries them all.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    pairs(headers).filter(move |(key, _)| *key == name).map(|(_, value)| value).take(8)
}

/// Keeps our cookies that are no business of an origin from it: all but `CF_Authorization`.
pub(crate) fn withhold(headers: &mut HeaderMap) {
    let withheld = |name: &str| [SESSION, APP_SESSION, DEVICE, BINDING].contains(&name);
    if !pairs(headers).any(|(name, _)| withheld(name)) {
        return;
    }
    let lines: Vec<HeaderValue> = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| {
            let Ok(text) = line.to_str() else { return Some(line.clone()) };
            let kept: Vec<&str> = text
                .split(';')
                .map(str::trim)
                .filter(|pair| !withheld(pair.split_once('=').map_or(*pair, |(name, _)| name.trim())))
                .collect();
            let mut line = HeaderValue::from_str(&kept.join("; ")).ok()?;
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

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.trim(), value.trim()))
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

    fn host(name: &str) -> CanonicalHost {
        name.parse().unwrap()
    }

    #[test]
    fn cookies_carry_the_attributes_of_the_contract() {
        let end = Timestamp::from_unix_seconds(1_790_086_400);
        let line = SetCookie::new(AUTHORIZATION, "a.b.c", end).header(&host("wiki.example.com"));
        assert_eq!(
            line.unwrap(),
            "CF_Authorization=a.b.c; HttpOnly; SameSite=None; Secure; Path=/; \
             Expires=Tue, 22 Sep 2026 14:13:20 GMT"
        );
        let line = SetCookie::new(AUTHORIZATION, "a.b.c", end).header(&host("localhost")).unwrap();
        assert_eq!(
            line,
            "CF_Authorization=a.b.c; HttpOnly; SameSite=Lax; Path=/; \
             Expires=Tue, 22 Sep 2026 14:13:20 GMT"
        );
        assert!(line.is_sensitive());
    }

    #[test]
    fn ses_02_ses_03_every_cookie_of_a_name_is_seen() {
        let headers = sent(&["a=1; CF_Authorization=x", "CF_Authorization = y ;CF_Authorization=z"]);
        assert_eq!(values(&headers, AUTHORIZATION).collect::<Vec<_>>(), ["x", "y", "z"]);
    }

    #[test]
    fn ses_04_odd_cookie_headers_are_absent_cookies() {
        for line in ["=", ";;;", "CF_Authorization", "\"CF_Authorization=x\"", "$Version=1", "é=x"] {
            assert_eq!(values(&sent(&[line]), AUTHORIZATION).count(), 0, "{line}");
        }
        let many = "CF_Authorization=x; ".repeat(1_000);
        assert_eq!(values(&sent(&[&many]), AUTHORIZATION).count(), 8);
    }

    #[test]
    fn hdr_19_the_origin_sees_its_own_cookies_and_the_application_token() {
        let mut headers =
            sent(&["theme=dark; CF_AppSession=1; CF_Authorization=t", "CF_Session=2", "CF_Binding=3"]);
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

    #[test]
    fn ses_09_clearing_names_every_cookie_with_its_path() {
        let lines = clear_all(&host("wiki.example.com"));
        assert_eq!(lines.len(), 5);
        for line in lines {
            assert!(line.to_str().unwrap().contains("Expires=Thu, 01 Jan 1970"));
        }
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
