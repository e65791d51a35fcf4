//! Refusals for git and git-lfs.
//!
//! At every 401 git deletes the password that the user has saved for the host, even if it has never sent
//! that password; a 403 does not delete it. git shows a refusal only if it is text. Clients choose their
//! `User-Agent`: it only changes the form of refusals.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, USER_AGENT, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, StatusCode};

use crate::util::response::{ResponseBytes, empty};

/// Returns whether the `User-Agent` is that of git or git-lfs.
pub(super) fn is_git(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| {
        PRODUCTS.iter().any(|product| {
            let start = agent.as_bytes().get(..product.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(product))
        })
    })
}

/// Renders a refusal as text, which git shows line by line.
pub(super) fn refusal(status: StatusCode, message: &str, reference: &str) -> ResponseBytes {
    let mut response = empty(status);
    *response.body_mut() = Bytes::from(format!("{message}\nReference: {reference}\n"));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// libgit2 and GitHub Desktop call themselves `git/…` as well.
const PRODUCTS: [&[u8]; 2] = [b"git/", b"git-lfs/"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_is_known_by_the_product_that_its_user_agent_begins_with() {
        for (agent, expected) in [
            ("git/2.47.3", true),
            ("git/2.39.5 (Apple Git-154)", true),
            ("git/2.0 (libgit2 1.8.1)", true),
            ("Git/2.47.3.windows.1", true),
            ("git-lfs/3.3.0 (GitHub; linux amd64; go 1.19.3)", true),
            ("", false),
            ("git", false),
            ("git-lfs", false),
            ("git-annex/10", false),
            ("gitlab-runner/17", false),
            ("Mozilla/5.0 git/2.47.3", false),
            ("curl/8.5.0", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            assert_eq!(is_git(&headers), expected, "{agent}");
        }
        assert!(!is_git(&HeaderMap::new()));
    }
}
