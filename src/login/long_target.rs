//! Return targets that do not fit into a URL.
//!
//! A target is passed as `redirect_url` in the URLs of the login, and sealed in the `nonce` of a
//! pending login. It may have 8 KiB, which reverse proxies accept in a request line. Percent-encoded
//! once more, it would not fit into the next request line. And a response with it in `Location` has a
//! head of more than 4 KiB, the limit of a stock nginx for an upstream (`proxy_buffer_size`). A
//! response with a head of 4 KiB cannot pass 8 KiB to a browser by any means that works without
//! scripts, including cookies. So a long target is stored:
//!
//! | target | how it is passed through the login |
//! | --- | --- |
//! | the login URL has at most 3,072 bytes with it | in `redirect_url`, as clients know it; from the code page on in the store, if it has more than 512 |
//! | longer | in the store, with its id in `target`; `redirect_url` has its path |
//! | over 8 KiB | only its path, and a page says that the address was shortened |
//! | the store has no more room | the same, unless it fits into the login URL: then it stays sealed, and the code page is sent without a redirect |
//! | the record is gone | only its path, and a page says so |
//!
//! The login ends with a redirect if its head has at most 3,840 bytes, otherwise with a page that
//! continues by itself: a body may be long.
//!
//! The name of a record is a MAC of host, target and half-hour window: repeated requests for the same
//! page, in any number of tabs, create only one. Strangers can create 1,024 in half an hour, 128 from
//! one network, each for at most two hours. Beyond that, others lose the query of long URLs. `HEAD`
//! creates none, because its response has no body.
//!
//! The name does not disclose the target and is not trusted: the record contains the host, and the
//! target is validated again like any other.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::limits::TARGET_WINDOW;
use super::redirect::{MAX_SHORT_TARGET_BYTES, ReturnTarget};
use super::target_id::{MAX_URL_BYTES, TargetId};
use super::{EndpointRequest, Flow, Login};
use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::pages::{Continue, Page};
use crate::random::to_hex;
use crate::secret::tag;
use crate::store::StoreError;
use crate::util::response::{ResponseBytes, redirect, with};

impl Flow {
    /// Returns the flow with a stored target. The path remains as a fallback if the record is gone.
    pub(crate) fn with_stored_target(self, id: TargetId) -> Self {
        Self { target: self.target.without_query(MAX_SHORT_TARGET_BYTES), stored: Some(id), ..self }
    }

    /// Returns the flow without the query of its target.
    pub(crate) fn shortened(self, longest: usize) -> Self {
        let target = self.target.without_query(longest);
        Self { target, stored: None, is_shortened: true, ..self }
    }
}

impl Login {
    /// Returns whether the login URL may contain the flow's target.
    pub(super) fn fits_address(&self, flow: &Flow, now: Timestamp) -> bool {
        self.start_url(flow, now).len() <= MAX_URL_BYTES
    }

    /// Returns the flow so that it fits into the login URL.
    pub(super) async fn fit_for_address(
        &self,
        flow: Flow,
        request: &EndpointRequest,
    ) -> Result<Flow, StoreError> {
        if self.fits_address(&flow, request.now) {
            return Ok(flow);
        }
        self.fit(flow, request.sender.address, request.now).await
    }

    /// Returns the flow so that its sealed form fits into a URL. The target stays whole and long if the
    /// store has no room for it.
    pub(super) async fn fit_for_seal(
        &self,
        flow: Flow,
        network: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Flow, StoreError> {
        if flow.target.encoded_len() <= MAX_SHORT_TARGET_BYTES {
            return Ok(flow);
        }
        self.fit(flow, network, now).await
    }

    async fn fit(
        &self,
        flow: Flow,
        network: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Flow, StoreError> {
        Ok(match self.store_target(&flow.host, &flow.target, network, now).await? {
            Some(id) => flow.with_stored_target(id),
            // Kept in the flow: the next response is a page instead of a redirect.
            None if self.fits_address(&flow, now) => flow,
            None => flow.shortened(MAX_SHORT_TARGET_BYTES),
        })
    }

    /// Stores a target. Returns `None` if too many are stored.
    pub(crate) async fn store_target(
        &self,
        host: &CanonicalHost,
        target: &ReturnTarget,
        network: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<TargetId>, StoreError> {
        let window = now.as_unix_seconds() / TARGET_WINDOW.as_secs();
        let record = format!("{host}\n{}", target.as_str());
        let name = tag(&self.keys.return_target, &[&window.to_be_bytes(), record.as_bytes()]);
        let name = to_hex(name.as_ref());
        let id = TargetId(name.get(..32).unwrap_or_default().to_owned());
        if self.store.get(&id.key()).await?.is_some() {
            return Ok(Some(id));
        }
        if !self.counters(now).may_store_target(network).await? {
            return Ok(None);
        }
        self.store.put(&id.key(), Bytes::from(record), TARGET_LIFETIME).await?;
        Ok(Some(id))
    }

    /// Returns the target of a login, and whether it is incomplete.
    pub(super) async fn whole_target(
        &self,
        flow: &Flow,
    ) -> Result<(ReturnTarget, bool), StoreError> {
        let Some(id) = &flow.stored else { return Ok((flow.target.clone(), flow.is_shortened)) };
        Ok(match self.stored_target(id, &flow.host).await? {
            Some(target) => (target, flow.is_shortened),
            None => (flow.target.clone(), true),
        })
    }

    pub(super) async fn stored_target(
        &self,
        id: &TargetId,
        host: &CanonicalHost,
    ) -> Result<Option<ReturnTarget>, StoreError> {
        let record = self.store.get(&id.key()).await?;
        let target = record.as_deref().and_then(|record| {
            let (of, target) = std::str::from_utf8(record).ok()?.split_once('\n')?;
            (of == host.as_str()).then(|| ReturnTarget::parse(target, &self.origins.origin(host)))
        });
        Ok(target)
    }

    /// Returns the response that leads from the login to the target and sets cookies: a redirect if it
    /// is short enough, otherwise a page. Also a page if the user must learn that the URL was shortened.
    pub(super) fn return_to_target(
        &self,
        request: &EndpointRequest,
        (location, is_shortened): (&str, bool),
        Return { cookies, kind }: Return,
    ) -> ResponseBytes {
        let page = |is_immediate, title, message| {
            let page = Page::Continue(Continue { title, message, url: location, is_immediate });
            self.page(StatusCode::OK, &page)
        };
        // The response to HEAD has no body.
        let is_read = request.method != Method::HEAD;
        let cookies_len: usize = cookies.iter().map(|line| line_len(&SET_COOKIE, line)).sum();
        let fits = |answer: &ResponseBytes| head_len(answer.headers()) + cookies_len <= MAX_HEAD;
        let usual = match kind {
            // Browsers do not send a strict cookie with a redirect that began on another site.
            ReturnKind::Page => {
                let page = page(false, LOGGED_IN_TITLE, LOGGED_IN);
                with(page, REFRESH, &format!("0; url={location}"))
            }
            ReturnKind::Redirect => redirect(location),
        };
        let mut answer = match (is_read, fits(&usual)) {
            (true, _) if is_shortened => page(false, SHORTENED_TITLE, SHORTENED),
            (_, true) => usual,
            (true, false) => page(true, LOGGED_IN_TITLE, LOGGED_IN),
            (false, false) => redirect(&without_query(location)),
        };
        for line in cookies {
            answer.headers_mut().append(SET_COOKIE, line);
        }
        answer
    }
}

/// Returns one of our URLs without its query, and without its path if that is long.
fn without_query(location: &str) -> String {
    let path = location.split('?').next().unwrap_or_default();
    if path.len() <= MAX_SHORT_TARGET_BYTES {
        return path.to_owned();
    }
    let origin: Vec<_> = location.splitn(4, '/').take(3).collect();
    format!("{}/", origin.join("/"))
}

/// The cookies and the kind of the response that leads from the login to an application.
#[derive(Debug, Default)]
pub(super) struct Return {
    pub(super) cookies: Vec<HeaderValue>,
    pub(super) kind: ReturnKind,
}

/// How a browser is redirected.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum ReturnKind {
    #[default]
    Redirect,
    /// A page of the application's own host.
    Page,
}

/// Returns the length of a response head in HTTP/1.1.
pub(super) fn head_len(headers: &HeaderMap) -> usize {
    let has_location = headers.contains_key(LOCATION);
    let status = if has_location { "HTTP/1.1 302 Found\r\n" } else { "HTTP/1.1 200 OK\r\n" };
    status.len() + headers.iter().map(|(name, value)| line_len(name, value)).sum::<usize>() + 2
}

fn line_len(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + ": \r\n".len()
}

pub(super) const LOGGED_IN_TITLE: &str = "You are logged in";
pub(super) const LOGGED_IN: &str = "The page you asked for opens in a moment.";

const SHORTENED_TITLE: &str = "The address was shortened";
/// The notice of pages about a shortened target.
pub(super) const SHORTENED: &str = "The address you opened is too long to return to after the login. \
    You will get to its page without the part after the question mark.";
/// Leaves room within 4 KiB for headers that a reverse proxy adds.
pub(super) const MAX_HEAD: usize = 3_840;
/// Longer than a login is pending that begins at the end of the window.
const TARGET_LIFETIME: Duration = Duration::from_secs(120 * 60);
