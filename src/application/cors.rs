//! Which pages of other origins may read an application's responses: `cors_headers` (section 15.2 of the
//! Access contract).

use std::collections::HashSet;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use url::Url;

/// CORS settings of an application (the Fetch standard): Cloudflare's `cors_headers`.
///
/// The layers then answer preflights themselves, and every response of the application says whether the
/// requesting page may read it: refusals too, so that a script learns that a login is needed. The inner
/// service's own `Access-Control-Allow-…` and `Access-Control-Max-Age` headers are replaced; which headers
/// it exposes is up to it. CORS is not access control: a page whose origin is not listed can still send
/// requests that need no preflight, but cannot read the responses.
///
/// ```
/// use http::{Method, header::CONTENT_TYPE};
/// use tower_access::application::{Application, CorsHeaders};
///
/// let api = Application::new("API", "api.example.com")?.cors_headers(
///     CorsHeaders::for_origins(["https://ui.example.com"])?
///         .methods([Method::GET, Method::PUT])
///         .headers([CONTENT_TYPE])
///         .credentials()?,
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A script that sends the user's cookies (`credentials: "include"`) needs
/// [`credentials`](Self::credentials), and `SameSite=None` on the application's cookie, which is the
/// default. Without methods, only those that need no permission are allowed: GET, HEAD and POST.
#[derive(Clone, Debug)]
pub struct CorsHeaders {
    origins: Origins,
    methods: Listed,
    headers: Listed,
    credentials: bool,
    max_age: Option<i32>,
}

#[derive(Clone, Debug)]
enum Origins {
    All,
    /// As browsers write them in `Origin`.
    These(HashSet<Box<str>>),
}

/// What a preflight may ask for.
#[derive(Clone, Debug)]
enum Listed {
    /// Everything: the response repeats the requested list, because `*` does not cover everything.
    Asked,
    /// These; `None` if empty.
    These(Option<HeaderValue>),
}

impl CorsHeaders {
    /// Lets pages of these origins read responses: `allowed_origins`. An origin is `https://` and a host,
    /// with the port if it is not the default. `*` stands for all origins.
    ///
    /// # Errors
    ///
    /// If the list is empty or has an origin that no browser sends. `null` is refused, since any page can
    /// have it.
    pub fn for_origins<'a>(
        origins: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, CorsHeadersError> {
        let mut these = HashSet::new();
        let mut all = false;
        for origin in origins {
            if origin == "*" {
                all = true;
            } else {
                these.insert(canonical_origin(origin)?);
            }
        }
        match (all, these.is_empty()) {
            (true, _) => Ok(Self::for_all_origins()),
            (false, true) => Err(CorsHeadersError::NoOrigin),
            (false, false) => Ok(Self::with(Origins::These(these))),
        }
    }

    /// Lets every page read responses to requests without credentials: `allow_all_origins`.
    #[must_use]
    pub fn for_all_origins() -> Self {
        Self::with(Origins::All)
    }

    fn with(origins: Origins) -> Self {
        let none = || Listed::These(None);
        Self { origins, methods: none(), headers: none(), credentials: false, max_age: None }
    }

    /// Allows these methods: `allowed_methods`. GET, HEAD and POST need no permission.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods =
            Listed::from_names(methods.into_iter().map(|method| method.as_str().to_owned()));
        self
    }

    /// Allows every method: `allow_all_methods`.
    #[must_use]
    pub fn all_methods(mut self) -> Self {
        self.methods = Listed::Asked;
        self
    }

    /// Allows these request headers: `allowed_headers`. Some, such as `Accept`, need no permission.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.headers = Listed::from_names(headers.into_iter().map(|name| name.as_str().to_owned()));
        self
    }

    /// Allows every request header: `allow_all_headers`.
    #[must_use]
    pub fn all_headers(mut self) -> Self {
        self.headers = Listed::Asked;
        self
    }

    /// Lets pages send the user's cookies and read the responses: `allow_credentials`. Each listed origin
    /// can then do what the user can.
    ///
    /// # Errors
    ///
    /// If all origins are allowed: any page that a user opens could read what the user may read.
    pub fn credentials(mut self) -> Result<Self, CorsHeadersError> {
        if matches!(self.origins, Origins::All) {
            return Err(CorsHeadersError::CredentialsForAll);
        }
        self.credentials = true;
        Ok(self)
    }

    /// Sets for how many seconds a browser may cache the response to a preflight: `max_age`; -1 disables
    /// caching. By default the browser decides.
    ///
    /// # Errors
    ///
    /// If `seconds` is below -1 or above 86400.
    pub fn max_age(mut self, seconds: i32) -> Result<Self, CorsHeadersError> {
        if !(-1..=86_400).contains(&seconds) {
            return Err(CorsHeadersError::MaxAge);
        }
        self.max_age = Some(seconds);
        Ok(self)
    }

    /// Returns `Access-Control-Allow-Origin` for the requesting page; `None` if it may not read.
    pub(crate) fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        match &self.origins {
            Origins::All => Some(HeaderValue::from_static("*")),
            Origins::These(these) => {
                let origin = only(request, &http::header::ORIGIN)?;
                these.contains(origin.to_str().ok()?).then(|| origin.clone())
            }
        }
    }

    /// Returns whether responses depend on the requesting origin.
    pub(crate) fn varies(&self) -> bool {
        matches!(self.origins, Origins::These(_))
    }

    pub(crate) fn allows_credentials(&self) -> bool {
        self.credentials
    }

    /// Returns `Access-Control-Allow-Methods` for a preflight.
    pub(crate) fn allowed_methods(&self, request: &HeaderMap) -> Option<HeaderValue> {
        self.methods.answer(|| {
            let asked = only(request, &http::header::ACCESS_CONTROL_REQUEST_METHOD)?;
            let is_method = asked != "*" && Method::from_bytes(asked.as_bytes()).is_ok();
            is_method.then(|| asked.clone())
        })
    }

    /// Returns `Access-Control-Allow-Headers` for a preflight.
    pub(crate) fn allowed_headers(&self, request: &HeaderMap) -> Option<HeaderValue> {
        self.headers.answer(|| {
            let asked = only(request, &http::header::ACCESS_CONTROL_REQUEST_HEADERS)?;
            let names =
                asked.to_str().ok().filter(|text| text.len() <= MAX_REFLECTED_LIST_BYTES)?;
            let is_name =
                |name: &str| name != "*" && HeaderName::from_bytes(name.as_bytes()).is_ok();
            names.split(',').map(str::trim).all(is_name).then(|| asked.clone())
        })
    }

    /// Returns `Access-Control-Max-Age` for a preflight.
    pub(crate) fn max_age_header(&self) -> Option<HeaderValue> {
        self.max_age.map(HeaderValue::from)
    }
}

impl Listed {
    fn from_names(names: impl Iterator<Item = String>) -> Self {
        let names: Vec<String> = names.collect();
        let line = HeaderValue::from_str(&names.join(", ")).ok();
        Self::These(line.filter(|line| !line.is_empty()))
    }

    fn answer(&self, asked: impl FnOnce() -> Option<HeaderValue>) -> Option<HeaderValue> {
        match self {
            Self::Asked => asked(),
            Self::These(line) => line.clone(),
        }
    }
}

/// Invalid CORS settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CorsHeadersError {
    /// The list of origins is empty.
    #[error("the list of origins is empty: write at least one, such as `https://ui.example.com`")]
    NoOrigin,
    /// A text that browsers never send as an origin.
    #[error(
        "`{0}` is not an origin: write scheme and host as browsers send them, such as \
         `https://ui.example.com` or `http://localhost:3000`, without path, trailing slash and \
         wildcard"
    )]
    Origin(Box<str>),
    /// Credentials with all origins.
    #[error(
        "credentials cannot be allowed for all origins, since any page could read what a user may \
         read: list the origins"
    )]
    CredentialsForAll,
    /// `max_age` is out of range.
    #[error("out of range: write -1 to 86400 seconds")]
    MaxAge,
}

/// An origin as browsers write it (RFC 6454, section 6.2).
fn canonical_origin(text: &str) -> Result<Box<str>, CorsHeadersError> {
    let refuse = || CorsHeadersError::Origin(text.chars().take(80).collect());
    let (scheme, host) = text.split_once("://").ok_or_else(refuse)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#@*,;\"".contains(&byte);
    if !is_scheme || scheme.eq_ignore_ascii_case("file") || host.is_empty() {
        return Err(refuse());
    }
    let is_web = ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    if is_web && host.bytes().all(|byte| !byte.is_ascii() || is_plain(byte)) {
        // Normalises letter case, the default port and non-ASCII letters.
        let url = Url::parse(text).map_err(|_| refuse())?;
        return Ok(url.origin().ascii_serialization().into());
    }
    // Browser extensions and native applications have origins, too.
    if !is_web && host.bytes().all(is_plain) {
        return Ok(text.to_ascii_lowercase().into());
    }
    Err(refuse())
}

/// Returns the only line with this name; `None` if there are several.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Longest list of headers that a response repeats.
const MAX_REFLECTED_LIST_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};

    fn asking(lines: &[(&HeaderName, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| ((*name).clone(), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn hdr_18_only_a_listed_origin_is_named() {
        let cors = CorsHeaders::for_origins([
            "https://UI.example.com:443",
            "http://localhost:3000",
            "chrome-extension://abcdefgh",
        ])
        .unwrap();
        for (origin, allowed) in [
            ("https://ui.example.com", true),
            ("http://localhost:3000", true),
            ("chrome-extension://abcdefgh", true),
            ("null", false),
            ("", false),
            ("*", false),
            ("http://ui.example.com", false),
            ("https://ui.example.com:8443", false),
            ("https://ui.example.com.evil.example", false),
            ("https://evil-ui.example.com", false),
            ("https://ui.example.com/", false),
            ("https://evil.example, https://ui.example.com", false),
        ] {
            let named = cors.allowed_origin(&asking(&[(&ORIGIN, origin)]));
            assert_eq!(named.is_some(), allowed, "{origin}");
            assert!(named.is_none_or(|named| named == origin));
        }
        assert!(cors.allowed_origin(&HeaderMap::new()).is_none());
        let mut twice = asking(&[(&ORIGIN, "https://ui.example.com")]);
        twice.append(ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(cors.allowed_origin(&twice).is_none());
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
        for text in [
            "",
            "null",
            "ui.example.com",
            "https://",
            "https://ui.example.com/",
            "https://ui.example.com/x",
            "https://ui.example.com?x",
            "https://user@ui.example.com",
            "https://*.example.com",
            "https://a.example, https://b.example",
            "https://ui.example.com:99999",
            "https:ui.example.com",
            "file://",
            "file://x",
            "://x",
            "1x://y",
            "https://ui\\example.com",
        ] {
            let error = CorsHeaders::for_origins([text]).unwrap_err();
            assert!(matches!(error, CorsHeadersError::Origin(_)), "{text}: {error}");
        }
        assert_eq!(CorsHeaders::for_origins([]).unwrap_err(), CorsHeadersError::NoOrigin);
        let origin = canonical_origin("https://b\u{fc}cher.example").unwrap();
        assert_eq!(&*origin, "https://xn--bcher-kva.example");
    }

    #[test]
    fn a_preflight_is_told_what_is_listed_or_what_it_asked() {
        let asked = asking(&[
            (&ACCESS_CONTROL_REQUEST_METHOD, "PROPFIND"),
            (&ACCESS_CONTROL_REQUEST_HEADERS, "x-a,authorization"),
        ]);
        let plain = CorsHeaders::for_origins(["https://ui.example.com"]).unwrap();
        assert!(plain.allowed_methods(&asked).is_none() && plain.allowed_headers(&asked).is_none());
        let listed = plain
            .clone()
            .methods([Method::GET, Method::PUT])
            .headers([http::header::CONTENT_TYPE, HeaderName::from_static("x-b")]);
        assert_eq!(listed.allowed_methods(&asked).unwrap(), "GET, PUT");
        assert_eq!(listed.allowed_headers(&asked).unwrap(), "content-type, x-b");
        let all = plain.all_methods().all_headers();
        assert_eq!(all.allowed_methods(&asked).unwrap(), "PROPFIND");
        assert_eq!(all.allowed_headers(&asked).unwrap(), "x-a,authorization");
        for (method, headers) in [
            ("*", "*"),
            ("G T", "x y"),
            ("x,y", "x, *"),
            ("", "x;y"),
            ("GET, PUT", ""),
            ("a\"b", "a,,b"),
        ] {
            let odd = asking(&[
                (&ACCESS_CONTROL_REQUEST_METHOD, method),
                (&ACCESS_CONTROL_REQUEST_HEADERS, headers),
            ]);
            assert!(all.allowed_methods(&odd).is_none(), "{method}");
            assert!(all.allowed_headers(&odd).is_none(), "{headers}");
        }
        let long = "a,".repeat(4_000) + "a";
        let long = asking(&[(&ACCESS_CONTROL_REQUEST_HEADERS, &long)]);
        assert!(all.allowed_headers(&long).is_none());
    }

    #[test]
    fn bounds_are_kept() {
        assert_eq!(
            CorsHeaders::for_all_origins().credentials().unwrap_err(),
            CorsHeadersError::CredentialsForAll
        );
        let star = CorsHeaders::for_origins(["https://a.example", "*"]).unwrap();
        assert!(star.credentials().is_err());
        let cors = CorsHeaders::for_all_origins;
        for (seconds, line) in [(-1, "-1"), (0, "0"), (86_400, "86400")] {
            assert_eq!(cors().max_age(seconds).unwrap().max_age_header().unwrap(), line);
        }
        assert!(cors().max_age(-2).is_err() && cors().max_age(86_401).is_err());
        assert!(cors().max_age_header().is_none());
    }
}
