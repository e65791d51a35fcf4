//! `Set-Cookie` headers: attributes and lifetimes.

use std::time::Duration;

use cookie::{Cookie, CookieBuilder};
use http::header::HeaderValue;
use time::OffsetDateTime;

use super::{APP_SESSION, AUTHORIZATION, BINDING, HOST_SESSION, SESSION};
use crate::application::{CanonicalHost, SameSite};
use crate::clock::Timestamp;

pub(crate) const SESSION_LIFETIME: Duration = Duration::from_secs(4 * 3600);
pub(crate) const APP_SESSION_LIFETIME: Duration = Duration::from_secs(24 * 3600);
pub(crate) const DEVICE_LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// The path of the login's own pages. Cookies for it are not sent to an application on the same host.
pub(crate) const LOGIN_PATH: &str = "/cdn-cgi/access";

/// One cookie to set.
#[derive(Debug)]
pub(crate) struct SetCookie<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    pub(crate) end: Timestamp,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    /// The `Path` attribute.
    pub(crate) path: &'a str,
}

impl<'a> SetCookie<'a> {
    pub(crate) fn new(name: &'a str, value: &'a str, end: Timestamp) -> Self {
        Self { name, value, end, http_only: true, same_site: SameSite::None, path: "/" }
    }

    /// Returns the `Set-Cookie` value. Always has `Expires`: some clients support nothing else.
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
            .path(self.path)
            .secure(secure)
            .http_only(self.http_only)
            .same_site(same_site)
    }
}

/// Returns the `Set-Cookie` values that clear the cookies of a login. `CF_Device` stays: it grants no
/// access, and only marks a known browser. `paths` are those of applications with path-scoped cookies.
pub(crate) fn clear_all(host: &CanonicalHost, paths: &[String]) -> Vec<HeaderValue> {
    let end = Timestamp::from_unix_seconds(1);
    let own = paths.iter().flat_map(|path| [(AUTHORIZATION, &**path), (BINDING, &**path)]);
    [
        (AUTHORIZATION, "/"),
        (AUTHORIZATION, LOGIN_PATH),
        (SESSION, "/"),
        (APP_SESSION, "/"),
        (BINDING, "/"),
        (HOST_SESSION, "/"),
    ]
    .into_iter()
    .chain(own)
    .filter_map(|(name, path)| SetCookie { path, ..SetCookie::new(name, "", end) }.header(host))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn ses_09_clearing_names_every_cookie_with_its_path() {
        let lines = clear_all(&host("wiki.example.com"), &["/docs".to_owned()]);
        assert_eq!(lines.len(), 8);
        let docs = |line: &&HeaderValue| line.to_str().unwrap().contains("; Path=/docs; ");
        assert_eq!(lines.iter().filter(docs).count(), 2);
        for line in lines {
            assert!(line.to_str().unwrap().contains("Expires=Thu, 01 Jan 1970"));
        }
    }
}
