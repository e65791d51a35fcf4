//! `cf-access-metadata`: the application at a URL, for command-line clients (section 4.2 of the
//! contract).
//!
//! A client sends `cf-access-metadata-request: true`, before any login and independent of the
//! policies. The signed response discloses no more than a redirect to the login would. Signing is
//! slow, so responses are cached for 5 minutes, and the rate of new ones is limited: a wildcard host
//! has too many names to cache them all.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use quick_cache::sync::Cache;
use serde::Serialize;

use crate::application::{CanonicalHost, CanonicalPath, LocateError};
use crate::clock::Timestamp;
use crate::util::response::{ResponseBytes, empty, with};

use super::Login;

/// The signed metadata. The type is `no_match` if the host has applications but none covers the path.
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    hostname: &'a str,
    /// The host that runs the login and publishes the keys.
    auth_domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    /// The host as configured, including wildcards.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_hostname: Option<&'a str>,
    iat: u64,
}

/// The cache key of a response: key id, host, audience, host pattern.
type Subject = (Box<str>, Box<str>, Option<Box<str>>, Option<Box<str>>);

/// Recently signed responses.
#[derive(Debug)]
pub(crate) struct SignedMetadata {
    cache: Cache<Subject, (HeaderValue, Timestamp)>,
    /// The current second, and the number of signatures in it.
    signatures: Mutex<(u64, u32)>,
}

impl Default for SignedMetadata {
    fn default() -> Self {
        Self { cache: Cache::new(MAX_CACHED_RESPONSES), signatures: Mutex::default() }
    }
}

impl SignedMetadata {
    /// Counts one signature. Returns whether it is within the limit for this second.
    fn may_sign(&self, now: Timestamp) -> bool {
        let mut signatures = self.signatures.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, count) = &mut *signatures;
        if *second != now.as_unix_seconds() {
            (*second, *count) = (now.as_unix_seconds(), 0);
        }
        *count = count.saturating_add(1);
        *count <= MAX_SIGNATURES_PER_SECOND
    }
}

/// Returns whether a request asks for the metadata of its application.
pub(crate) fn is_metadata_request(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(&REQUEST).iter();
    let asked = lines.next().is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"true"));
    asked && lines.next().is_none()
}

impl Login {
    /// Returns the metadata of a host and path, or `None` if no application has the host or the path
    /// is ambiguous.
    pub(crate) fn metadata(
        &self,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
        now: Timestamp,
    ) -> Option<ResponseBytes> {
        if !self.directory.has_host(host.as_str()) {
            return None;
        }
        let protected = match self.directory.locate(host, path) {
            Ok(id) => self.directory.get(id),
            Err(LocateError::NoApplication) => None,
            Err(LocateError::Path(_)) => return None,
        };
        self.issuer.rotate_if_due(now);
        let metadata = Metadata {
            kind: if protected.is_some() { "match" } else { "no_match" },
            hostname: host.as_str(),
            auth_domain: self.team_host(host).as_str(),
            aud: protected.map(|protected| protected.audience()),
            app_hostname: self.directory.host_pattern(host, path.as_str()),
            iat: now.as_unix_seconds(),
        };
        Some(self.signed(&metadata, now))
    }

    fn signed(&self, metadata: &Metadata<'_>, now: Timestamp) -> ResponseBytes {
        let subject: Subject = (
            self.issuer.key_id(now).into(),
            metadata.hostname.into(),
            metadata.aud.map(Into::into),
            metadata.app_hostname.map(Into::into),
        );
        if let Some((line, made_at)) = self.metadata.cache.get(&subject)
            && made_at <= now
            && now.since(made_at) < CACHE_DURATION
        {
            return answer(line);
        }
        if !self.metadata.may_sign(now) {
            return with(empty(StatusCode::SERVICE_UNAVAILABLE), RETRY_AFTER, "1");
        }
        let line = self.issuer.sign(metadata, now).map(|token| HeaderValue::from_str(&token));
        let Ok(Ok(line)) = line else {
            tracing::error!("application metadata cannot be signed");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        self.metadata.cache.insert(subject, (line.clone(), now));
        answer(line)
    }
}

fn answer(line: HeaderValue) -> ResponseBytes {
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert(METADATA, line);
    answer
}

const REQUEST: HeaderName = HeaderName::from_static("cf-access-metadata-request");
const METADATA: HeaderName = HeaderName::from_static("cf-access-metadata");
/// Clients accept metadata that is a day old.
const CACHE_DURATION: Duration = Duration::from_secs(300);
const MAX_CACHED_RESPONSES: usize = 1_024;
/// A hundredth of a core.
const MAX_SIGNATURES_PER_SECOND: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_03_the_signature_rate_is_bounded() {
        let signed = SignedMetadata::default();
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let made = (0..1_000).filter(|_| signed.may_sign(now)).count();
        assert_eq!(made, 50);
        assert!(signed.may_sign(now.plus(Duration::from_secs(1))));
    }

    #[test]
    fn only_a_plain_question_is_one() {
        let headers = |lines: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(REQUEST, HeaderValue::from_static(line));
            }
            headers
        };
        assert!(is_metadata_request(&headers(&["true"])));
        assert!(is_metadata_request(&headers(&["True"])));
        for lines in [&[][..], &[""], &["false"], &["1"], &["true", "true"], &["true,true"]] {
            assert!(!is_metadata_request(&headers(lines)), "{lines:?}");
        }
    }
}
