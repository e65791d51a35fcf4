//! URLs that refused browsers are redirected to.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use url::Url;

use super::host::CanonicalHost;
use super::path::CanonicalPath;
use super::router::Router;

/// An absolute URL: `https://`, or `http://` on `localhost`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DenyUrl(Url);

impl DenyUrl {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns whether the URL belongs to `here`, in any reading of its path.
    pub(crate) fn is_located_at<T: PartialEq>(&self, router: &Router<T>, here: &T) -> bool {
        let is_here =
            |host: &CanonicalHost, path: &str| router.locate(host.as_str(), path) == Some(here);
        let Some((host, path)) = self.target() else { return false };
        let readings = path.readings().unwrap_or_default();
        is_here(&host, path.as_str()) || readings.iter().any(|reading| is_here(&host, reading))
    }

    fn target(&self) -> Option<(CanonicalHost, CanonicalPath<'_>)> {
        let host: CanonicalHost = self.0.host_str()?.parse().ok()?;
        let path = CanonicalPath::parse_with_ambiguities(self.0.path()).ok()?;
        Some((host, path))
    }
}

impl FromStr for DenyUrl {
    type Err = DenyUrlError;

    fn from_str(text: &str) -> Result<Self, DenyUrlError> {
        let url = Url::parse(text).map_err(|_| DenyUrlError)?;
        let host: CanonicalHost =
            url.host_str().and_then(|host| host.parse().ok()).ok_or(DenyUrlError)?;
        let is_encrypted = match url.scheme() {
            "https" => true,
            "http" => host.is_localhost(),
            _ => return Err(DenyUrlError),
        };
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            // The parser drops white space and converts backslashes.
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && text.get(..url.scheme().len() + 3).is_some_and(|start| start.ends_with("://"));
        let is_sendable =
            url.as_str().len() <= MAX_URL_BYTES && HeaderValue::from_str(url.as_str()).is_ok();
        if is_encrypted && is_plain && is_sendable { Ok(Self(url)) } else { Err(DenyUrlError) }
    }
}

impl fmt::Display for DenyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not a valid deny URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "invalid URL: write an absolute URL, such as `https://example.com/no-access` (`http://` only \
     for localhost)"
)]
pub struct DenyUrlError;

const MAX_URL_BYTES: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_01_only_whole_addresses_of_pages_are_taken() {
        for (text, address) in [
            ("https://help.example/no?from=app#x", "https://help.example/no?from=app#x"),
            ("https://Help.example", "https://help.example/"),
            ("https://help.example:8443/", "https://help.example:8443/"),
            ("http://localhost:3000/no", "http://localhost:3000/no"),
            ("http://help.localhost/", "http://help.localhost/"),
        ] {
            assert_eq!(text.parse::<DenyUrl>().unwrap().as_str(), address);
        }
        for text in [
            "",
            "/no-access",
            "//help.example/",
            "help.example",
            "http://help.example/",
            "http://localhost.evil.example/",
            "ftp://help.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "https:help.example",
            "https:/help.example",
            "https:\\\\help.example",
            "https://",
            "https://user@help.example/",
            "https://user:pass@help.example/",
            " https://help.example/",
            "https://help.example/a b",
            "https://help.example/\r\nset-cookie: x",
            "https://help.ex\tample/",
        ] {
            assert!(text.parse::<DenyUrl>().is_err(), "{text:?}");
        }
        assert!(format!("https://a.example/{}", "x".repeat(3_000)).parse::<DenyUrl>().is_err());
    }
}
