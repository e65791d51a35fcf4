use http::StatusCode;
use http::header::{self, HeaderValue};

use super::{Page, Pages};
use crate::util::response::{ResponseBytes, empty};

/// Builds the response for a page, with headers that prevent framing, sniffing, caching and foreign scripts.
pub(crate) fn response(pages: &dyn Pages, status: StatusCode, page: &Page<'_>) -> ResponseBytes {
    let mut response = empty(status);
    *response.body_mut() = pages.render(page).into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(pages.content_security_policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
