//! `cf-access-metadata`: which application is behind an address, for command-line clients
//! (section 4.2 of the contract).
//!
//! A client asks with `cf-access-metadata-request: true`, before any login and whatever the policies
//! say, and gets a signed answer that tells no more than a redirect to the login would. Signing
//! takes long, so answers are kept for some minutes, and new ones are not made faster than a bound:
//! a host with a wildcard has more names than anybody can keep answers for.

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

/// What a client is told. `no_match` where the host has applications, and none of them covers the
/// path.
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    hostname: &'a str,
    /// The host that runs the login and publishes the keys.
    auth_domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    /// The host as it is configured, wildcards included.
    #[serde(skip_serializing_if = "Option::is_none")]
    app_hostname: Option<&'a str>,
    iat: u64,
}

/// What an answer depends on beside the time: key id, host, audience, host pattern.
type Subject = (Box<str>, Box<str>, Option<Box<str>>, Option<Box<str>>);

/// Answers that were signed lately.
#[derive(Debug)]
pub(crate) struct SignedMetadata {
    kept: Cache<Subject, (HeaderValue, Timestamp)>,
    /// The second in which answers were made last, and how many.
    made: Mutex<(u64, u32)>,
}

impl Default for SignedMetadata {
    fn default() -> Self {
        Self { kept: Cache::new(KEPT_ANSWERS), made: Mutex::default() }
    }
}

impl SignedMetadata {
    /// Whether one more may be made in this second.
    fn may_make(&self, now: Timestamp) -> bool {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, count) = &mut *made;
        if *second != now.as_unix_seconds() {
            (*second, *count) = (now.as_unix_seconds(), 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST_SIGNATURES_PER_SECOND
    }
}

/// Whether a request asks which application it is for.
pub(crate) fn is_asked(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(&REQUEST).iter();
    let asked = lines.next().is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(b"true"));
    asked && lines.next().is_none()
}

impl Login {
    /// Says which application is behind a host and a path; nothing where no application has the
    /// host, or the path can be read two ways.
    pub(crate) fn metadata(
        &self,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
        now: Timestamp,
    ) -> Option<ResponseBytes> {
        if !self.directory.knows_host(host.as_str()) {
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
        if let Some((line, made_at)) = self.metadata.kept.get(&subject)
            && made_at <= now
            && now.since(made_at) < FRESH
        {
            return answer(line);
        }
        if !self.metadata.may_make(now) {
            return with(empty(StatusCode::SERVICE_UNAVAILABLE), RETRY_AFTER, "1");
        }
        let line = self.issuer.sign(metadata, now).map(|token| HeaderValue::from_str(&token));
        let Ok(Ok(line)) = line else {
            tracing::error!("no metadata of an application could be signed");
            return empty(StatusCode::SERVICE_UNAVAILABLE);
        };
        self.metadata.kept.insert(subject, (line.clone(), now));
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
/// Clients take an answer that is a day old.
const FRESH: Duration = Duration::from_secs(300);
const KEPT_ANSWERS: usize = 1_024;
/// A hundredth of a core.
const MOST_SIGNATURES_PER_SECOND: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_03_answers_are_not_made_faster_than_a_bound() {
        let signed = SignedMetadata::default();
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let made = (0..1_000).filter(|_| signed.may_make(now)).count();
        assert_eq!(made, 50);
        assert!(signed.may_make(now.plus(Duration::from_secs(1))));
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
        assert!(is_asked(&headers(&["true"])));
        assert!(is_asked(&headers(&["True"])));
        for lines in [&[][..], &[""], &["false"], &["1"], &["true", "true"], &["true,true"]] {
            assert!(!is_asked(&headers(lines)), "{lines:?}");
        }
    }
}
