//! CORS headers of responses, by the `cors_headers` of the application (section 15.2).

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, UPGRADE, VARY,
};
use http::{HeaderMap, Method, StatusCode};

use crate::application::CorsHeaders;
use crate::util::response::{ResponseBytes, empty};

/// The CORS headers of every response to one request. They replace those of the inner service.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    /// The origin that may read the response.
    origin: Option<HeaderValue>,
    credentials: bool,
    /// Whether another origin would get other headers.
    varies: bool,
}

impl Cors {
    pub(in crate::engine) fn new(settings: &CorsHeaders, request: &HeaderMap) -> Self {
        Self {
            origin: settings.allowed_origin(request),
            credentials: settings.allows_credentials(),
            varies: settings.varies(),
        }
    }

    /// Returns whether the origin of the request may read the response.
    pub(in crate::engine) fn allows(&self) -> bool {
        self.origin.is_some()
    }

    /// Sets the headers of a response.
    pub(crate) fn apply(&self, response: &mut HeaderMap) {
        for name in GRANTS {
            response.remove(name);
        }
        if let Some(origin) = &self.origin {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            if self.credentials {
                let yes = HeaderValue::from_static("true");
                response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
        }
        if self.varies {
            vary(response, "Origin");
        }
    }

    /// Returns the response to a preflight; `None` if the origin is not allowed.
    pub(in crate::engine) fn preflight(
        &self,
        settings: &CorsHeaders,
        request: &HeaderMap,
    ) -> Option<ResponseBytes> {
        if !self.allows() {
            return None;
        }
        let mut response = empty(StatusCode::OK);
        let headers = response.headers_mut();
        self.apply(headers);
        let lines = [
            (ACCESS_CONTROL_ALLOW_METHODS, settings.allowed_methods(request)),
            (ACCESS_CONTROL_ALLOW_HEADERS, settings.allowed_headers(request)),
            (ACCESS_CONTROL_MAX_AGE, settings.max_age_header()),
        ];
        for (name, line) in lines {
            if let Some(line) = line {
                headers.insert(name, line);
            }
        }
        let names = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
        headers.insert(VARY, HeaderValue::from_static(names));
        Some(response)
    }
}

/// Returns whether a request is a plain `OPTIONS`, which the inner service may answer to every client:
/// without an upgrade and without another method in a header.
pub(in crate::engine) fn is_plain_options(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && !headers.contains_key(UPGRADE)
        && !headers.keys().any(is_other_method)
}

/// Matches every spelling: some servers read `_` as `-`.
fn is_other_method(name: &HeaderName) -> bool {
    let folded = name.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    OTHER_METHOD.contains(&&*folded)
}

/// Adds a name to `Vary`, unless it is listed already.
fn vary(headers: &mut HeaderMap, name: &'static str) {
    let is_there = headers
        .get_all(VARY)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|there| there == "*" || there.eq_ignore_ascii_case(name));
    if !is_there {
        headers.append(VARY, HeaderValue::from_static(name));
    }
}

/// The headers that let a page read a response.
const GRANTS: [HeaderName; 5] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Headers by which some programs read another method than that of the request line.
const OTHER_METHOD: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ORIGIN;

    fn answer(settings: &CorsHeaders, origin: Option<&str>, inner: &[(&str, &str)]) -> HeaderMap {
        let request = origin.map(|origin| (ORIGIN, origin.parse().unwrap()));
        let request: HeaderMap = request.into_iter().collect();
        let mut headers = HeaderMap::new();
        for (name, value) in inner {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Cors::new(settings, &request).apply(&mut headers);
        headers
    }

    #[test]
    fn the_inner_services_own_words_are_replaced() {
        let listed = CorsHeaders::for_origins(["https://ui.example"]).unwrap();
        let inner = [
            ("access-control-allow-origin", "https://evil.example"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-total"),
        ];
        let headers = answer(&listed, Some("https://evil.example"), &inner);
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        assert_eq!(headers["access-control-expose-headers"], "x-total");
        assert_eq!(headers[VARY], "Origin");
        let headers = answer(&listed, Some("https://ui.example"), &inner);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://ui.example");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let headers = answer(&listed.credentials().unwrap(), Some("https://ui.example"), &inner);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    }

    proptest::proptest! {
        /// Against the rules of the Fetch standard, spelled out one by one.
        #[test]
        fn no_answer_grants_more_than_the_setting(
            listed in proptest::collection::vec("https://[ab]\\.example|\\*", 1..4),
            credentials: bool,
            all_headers: bool,
            asking in proptest::option::of("https://[abc]\\.example|null|\\*|[ -~]{0,12}"),
            names in "[a-zA-Z,; *-]{0,12}",
            inner in "\\*|https://[abc]\\.example|null",
        ) {
            let all = listed.iter().any(|origin| origin == "*");
            let settings = CorsHeaders::for_origins(listed.iter().map(String::as_str)).unwrap();
            proptest::prop_assert_eq!(settings.clone().credentials().is_err(), all);
            let credentials = credentials && !all;
            let settings = if credentials { settings.credentials().unwrap() } else { settings };
            let settings = if all_headers { settings.all_headers() } else { settings };
            let mut request = HeaderMap::new();
            if let Some(asking) = &asking {
                request.insert(ORIGIN, asking.parse().unwrap());
            }
            request.insert("access-control-request-headers", names.parse().unwrap());
            let cors = Cors::new(&settings, &request);
            let mut answer = HeaderMap::new();
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, inner.parse().unwrap());
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            cors.apply(&mut answer);
            let preflight = cors.preflight(&settings, &request).map(|it| it.headers().clone());
            let is_listed = asking.as_ref().is_some_and(|asking| listed.contains(asking));
            proptest::prop_assert_eq!(preflight.is_some(), all || is_listed);
            for headers in [Some(answer), preflight].into_iter().flatten() {
                let grant = headers.get(ACCESS_CONTROL_ALLOW_ORIGIN);
                match (all, is_listed) {
                    (true, _) => proptest::prop_assert_eq!(grant.unwrap(), "*"),
                    (false, true) => {
                        proptest::prop_assert_eq!(grant.unwrap(), asking.as_ref().unwrap());
                    }
                    (false, false) => proptest::prop_assert!(grant.is_none()),
                }
                let with = headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
                proptest::prop_assert_eq!(with, credentials && grant.is_some());
                proptest::prop_assert!(all || headers.contains_key(VARY));
                let mut grants = GRANTS.iter().filter_map(|name| headers.get(name));
                proptest::prop_assert!(!with || grants.all(|line| line != "*"));
            }
        }
    }

    #[test]
    fn what_is_the_same_for_all_does_not_vary() {
        let headers = answer(&CorsHeaders::for_all_origins(), None, &[]);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(VARY));
        let listed = CorsHeaders::for_origins(["https://ui.example"]).unwrap();
        for (inner, lines) in [
            (&[("vary", "accept-encoding")][..], &["accept-encoding", "Origin"][..]),
            (&[("vary", "accept, ORIGIN")][..], &["accept, ORIGIN"][..]),
            (&[("vary", "*")][..], &["*"][..]),
        ] {
            let headers = answer(&listed, None, inner);
            assert_eq!(headers.get_all(VARY).iter().collect::<Vec<_>>(), lines);
        }
    }

    #[test]
    fn meth_02_meth_04_an_options_request_that_asks_for_more_is_none() {
        let with = |name: &'static str| -> HeaderMap {
            [(HeaderName::from_static(name), HeaderValue::from_static("GET"))].into_iter().collect()
        };
        assert!(is_plain_options(&Method::OPTIONS, &with("accept")));
        assert!(!is_plain_options(&Method::GET, &with("accept")));
        for name in [
            "upgrade",
            "x-http-method-override",
            "x_http_method_override",
            "x-http-method",
            "x-method-override",
        ] {
            assert!(!is_plain_options(&Method::OPTIONS, &with(name)), "{name}");
        }
    }
}
