//! Questions to GitHub's REST API, with a user's access token.

use std::sync::Arc;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LINK, RETRY_AFTER};
use serde::de::DeserializeOwned;
use url::Url;

use super::link;
use super::scopes::Scopes;
use crate::secret::SecretText;
use crate::util::fetch::{Fetch, HttpError, Reply, Request};

/// The API of one GitHub server.
#[derive(Debug)]
pub(super) struct Api {
    client: Arc<dyn Fetch>,
    /// Ends with a slash.
    root: Url,
}

/// A question that the API has not answered.
#[derive(Debug, thiserror::Error)]
#[error("`{path}`: {reason}")]
pub(super) struct ApiError {
    path: &'static str,
    pub(super) reason: Reason,
}

/// Why the API has not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Reason {
    /// The token does not count, or no longer.
    #[error("GitHub does not accept the access token")]
    Unauthorized,
    #[error("the account is suspended")]
    Suspended,
    #[error("GitHub refuses to answer (status 403)")]
    Forbidden,
    #[error("GitHub's rate limit is reached")]
    RateLimited,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("GitHub returned status {0}")]
    Status(StatusCode),
    #[error("the response is not what GitHub's API promises: {0}")]
    Unreadable(&'static str),
}

/// A list, with all that GitHub says about whether it is whole.
#[derive(Debug)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    /// Whether there are more pages than are read.
    pub(super) has_more: bool,
    pub(super) hidden: Hidden,
}

/// The organizations about which a list says nothing, because the user has not logged in to them by
/// SAML, in numbers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Hidden {
    #[default]
    None,
    Some(Vec<u64>),
    /// Which ones is unknown.
    Unknown,
}

impl Api {
    pub(super) fn new(client: Arc<dyn Fetch>, root: Url) -> Self {
        Self { client, root }
    }

    /// Asks for one object. Returns the scopes of the token as well, if GitHub tells them.
    pub(super) async fn object<T: DeserializeOwned>(
        &self,
        path: &'static str,
        token: &SecretText,
    ) -> Result<(T, Option<Scopes>), ApiError> {
        let asking = async {
            let reply = self.get(&self.url(path)?, token).await?;
            Ok((parse(&reply)?, granted(&reply.headers)))
        };
        asking.await.map_err(|reason| ApiError { path, reason })
    }

    /// Asks for a list, page by page.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &'static str,
        token: &SecretText,
    ) -> Result<List<T>, ApiError> {
        self.pages(path, token).await.map_err(|reason| ApiError { path, reason })
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        token: &SecretText,
    ) -> Result<List<T>, Reason> {
        let mut list = List { items: Vec::new(), has_more: false, hidden: Hidden::None };
        let mut url = self.url(path)?;
        url.query_pairs_mut().append_pair("per_page", "100");
        for _ in 0..MAX_PAGES {
            let reply = self.get(&url, token).await?;
            list.items.extend(parse::<Vec<T>>(&reply)?);
            list.hidden = list.hidden.and(hidden(&reply.headers));
            let next = link::next(&url, reply.headers.get_all(LINK));
            match next.map_err(|_| Reason::Unreadable("its next page has no URL"))? {
                None => return Ok(list),
                // The token goes nowhere else.
                Some(next) if !self.has(&next) => {
                    return Err(Reason::Unreadable("its next page is on another server"));
                }
                Some(next) => url = next,
            }
        }
        list.has_more = true;
        Ok(list)
    }

    async fn get(&self, url: &Url, token: &SecretText) -> Result<Reply, Reason> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| Reason::Unauthorized)?;
        bearer.set_sensitive(true);
        let request = Request::get(url, MAX_BYTES)
            .header(AUTHORIZATION, bearer)
            .header(ACCEPT, HeaderValue::from_static("application/vnd.github+json"))
            .header(API_VERSION, HeaderValue::from_static("2022-11-28"))
            .take_any_status();
        let reply = self.client.send(request).await?;
        match reply.status {
            StatusCode::OK => Ok(reply),
            StatusCode::UNAUTHORIZED => Err(Reason::Unauthorized),
            StatusCode::TOO_MANY_REQUESTS => Err(Reason::RateLimited),
            StatusCode::FORBIDDEN if is_rate_limited(&reply) => Err(Reason::RateLimited),
            StatusCode::FORBIDDEN if says(&reply, "suspended") => Err(Reason::Suspended),
            StatusCode::FORBIDDEN => Err(Reason::Forbidden),
            other => Err(Reason::Status(other)),
        }
    }

    fn url(&self, path: &str) -> Result<Url, Reason> {
        self.root.join(path).map_err(|_| Reason::Unreadable("its path is none"))
    }

    /// Returns whether a URL is one of this API.
    fn has(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
            && url.path().starts_with(self.root.path())
            && url.username().is_empty()
            && url.password().is_none()
    }
}

impl Hidden {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, other) | (other, Self::None) => other,
            (Self::Some(mut all), Self::Some(more)) => {
                all.extend(more);
                Self::Some(all)
            }
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

fn parse<T: DeserializeOwned>(reply: &Reply) -> Result<T, Reason> {
    serde_json::from_slice(&reply.body)
        .map_err(|_| Reason::Unreadable("it is not the JSON that was asked for"))
}

/// Returns the scopes of the token. Tokens of GitHub Apps have none.
fn granted(headers: &HeaderMap) -> Option<Scopes> {
    headers.get(OAUTH_SCOPES)?.to_str().ok().map(Scopes::parse)
}

/// Reads `X-GitHub-SSO: partial-results; organizations=21955855,20582480`.
fn hidden(headers: &HeaderMap) -> Hidden {
    let mut lines = headers.get_all(SSO).iter();
    let Some(line) = lines.next() else { return Hidden::None };
    let numbers = || -> Option<Vec<u64>> {
        let (kind, parameters) = line.to_str().ok()?.split_once(';')?;
        let ids = parameters.trim().strip_prefix("organizations=")?;
        let is_partial = kind.trim().eq_ignore_ascii_case("partial-results");
        let ids = ids.split(',').map(|id| id.trim().parse().ok()).collect::<Option<_>>();
        ids.filter(|_| is_partial)
    };
    match (numbers(), lines.next()) {
        (Some(ids), None) => Hidden::Some(ids),
        _ => Hidden::Unknown,
    }
}

fn is_rate_limited(reply: &Reply) -> bool {
    reply.headers.contains_key(RETRY_AFTER)
        || reply.headers.get(RATE_LIMIT_REMAINING).is_some_and(|left| left.as_bytes() == b"0")
        || says(reply, "rate limit")
}

/// Returns whether the message of an error contains this.
fn says(reply: &Reply, what: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Message {
        message: String,
    }
    serde_json::from_slice::<Message>(&reply.body)
        .is_ok_and(|error| error.message.to_ascii_lowercase().contains(what))
}

const API_VERSION: HeaderName = HeaderName::from_static("x-github-api-version");
const OAUTH_SCOPES: HeaderName = HeaderName::from_static("x-oauth-scopes");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const SSO: HeaderName = HeaderName::from_static("x-github-sso");
/// Of 100 entries each.
const MAX_PAGES: usize = 10;
/// A team has up to three kilobytes.
const MAX_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden_in(lines: &[&'static str]) -> Hidden {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SSO, HeaderValue::from_static(line));
        }
        hidden(&headers)
    }

    #[test]
    fn organizations_behind_saml_are_read() {
        assert_eq!(hidden_in(&[]), Hidden::None);
        let some = Hidden::Some(vec![21_955_855, 20_582_480]);
        assert_eq!(hidden_in(&["partial-results; organizations=21955855,20582480"]), some);
        for line in [
            "required; url=https://github.com/orgs/acme/sso?authorization_request=AZSCKtL4U8",
            "partial-results",
            "partial-results; organizations=",
            "partial-results; organizations=acme",
            "",
        ] {
            assert_eq!(hidden_in(&[line]), Hidden::Unknown, "{line}");
        }
        assert_eq!(
            hidden_in(&["partial-results; organizations=1", "partial-results; organizations=2"]),
            Hidden::Unknown
        );
    }

    #[test]
    fn what_pages_hide_adds_up() {
        let some = |ids: &[u64]| Hidden::Some(ids.to_vec());
        assert_eq!(Hidden::None.and(some(&[1])), some(&[1]));
        assert_eq!(some(&[1]).and(Hidden::None), some(&[1]));
        assert_eq!(some(&[1]).and(some(&[2])), some(&[1, 2]));
        assert_eq!(some(&[1]).and(Hidden::Unknown), Hidden::Unknown);
        assert_eq!(Hidden::Unknown.and(Hidden::None), Hidden::Unknown);
    }

    #[test]
    fn an_api_ends_where_its_root_does() {
        #[derive(Debug)]
        struct Nobody;
        impl Fetch for Nobody {
            fn send(&self, _: Request) -> crate::util::fetch::FetchFuture {
                Box::pin(async { Err(HttpError::TooLarge(0)) })
            }
        }
        let root = Url::parse("https://github.example.com/api/v3/").unwrap();
        let api = Api::new(Arc::new(Nobody), root);
        let has = |url: &str| api.has(&Url::parse(url).unwrap());
        assert!(has("https://github.example.com/api/v3/user/orgs?page=2"));
        assert!(has("https://github.example.com:443/api/v3/user/orgs?page=2"));
        for url in [
            "http://github.example.com/api/v3/user/orgs?page=2",
            "https://github.example.com:8443/api/v3/user/orgs?page=2",
            "https://github.example.com.evil.example/api/v3/user/orgs",
            "https://github.example.com/user/orgs",
            "https://github.example.com/api/v3/../../user/orgs",
            "https://ada:hush@github.example.com/api/v3/user/orgs",
        ] {
            assert!(!has(url), "{url}");
        }
    }
}
