//! A published key set, fetched over HTTPS.

use std::sync::Arc;
use std::time::Duration;

use super::{FetchError, FetchedKeys, KeyFetch, KeyFuture};
use crate::util::fetch::{Fetch, Request};
use crate::util::trusted_url;
use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL};
use url::{Position, Url};

/// The URL of a key set, and the client that fetches it.
#[derive(Clone, Debug)]
pub(crate) struct KeyEndpoint {
    client: Arc<dyn Fetch>,
    url: Url,
}

impl KeyEndpoint {
    /// Creates an endpoint for this URL. Plain `http` is allowed for loopback addresses only.
    pub(crate) fn new(client: Arc<dyn Fetch>, url: &str) -> Result<Self, FetchError> {
        let url = trusted_url::parse(url).map_err(FetchError::new)?;
        Ok(Self { client, url })
    }

    async fn get(&self) -> Result<FetchedKeys, FetchError> {
        let request = Request::get(&self.url, MAX_KEY_SET_BYTES);
        let reply = self.client.send(request).await.map_err(|error| {
            // The query may be secret.
            let address = &self.url[..Position::AfterPath];
            FetchError::new(format!("{address}: {error}"))
        })?;
        let fetched = FetchedKeys::new(reply.body);
        Ok(match max_age(&reply.headers) {
            Some(max_age) => fetched.max_age(max_age),
            None => fetched,
        })
    }
}

impl KeyFetch for KeyEndpoint {
    fn fetch(&self) -> KeyFuture<'_> {
        Box::pin(self.get())
    }
}

/// Returns how long a response is fresh (RFC 9111, section 4.2.1); `None` if it does not say.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = || {
        let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(',')).map(str::trim)
    };
    if directives().any(|directive| ["no-store", "no-cache"].contains(&directive)) {
        return Some(Duration::ZERO);
    }
    let seconds = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let value = value.trim_matches('"');
        // A number that overflows is a very long time.
        let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        (name.eq_ignore_ascii_case("max-age") && digits)
            .then(|| value.parse().unwrap_or(MAX_AGE_SECONDS))
    })?;
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
    Some(Duration::from_secs(seconds.saturating_sub(age)))
}

/// The time limit of a fetch.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);
/// Seconds; more than anybody bounds the age by.
const MAX_AGE_SECONDS: u64 = u32::MAX as u64;
const MAX_KEY_SET_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_11_cache_headers_are_read_as_seconds() {
        for (line, seconds) in [
            ("max-age=0", Some(0)),
            ("public, Max-Age=\"600\", must-revalidate", Some(600)),
            ("max-age=99999999999999999999999", Some(MAX_AGE_SECONDS)),
            ("no-store, max-age=600", Some(0)),
            ("no-cache", Some(0)),
            ("max-age=", None),
            ("max-age=-1", None),
            ("s-maxage=10", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, line.parse().unwrap());
            assert_eq!(max_age(&headers), seconds.map(Duration::from_secs), "{line}");
            headers.insert(AGE, "500".parse().unwrap());
            let left = seconds.map(|seconds: u64| Duration::from_secs(seconds.saturating_sub(500)));
            assert_eq!(max_age(&headers), left, "{line}");
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
