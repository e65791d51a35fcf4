//! Return targets that do not fit into an address.
//!
//! A target travels as `redirect_url` in the addresses of the login, and sealed in the `nonce` of a
//! login under way. It may have 8 KiB, which is what front servers take in a request line. Percent-
//! encoded once more it would not fit into the next one; and an answer that names it in `Location`
//! has a head of more than 4 KiB, which is all that a stock nginx takes from an upstream
//! (`proxy_buffer_size`). One answer with a head of 4 KiB cannot leave 8 KiB with a browser by any
//! means that works without scripts, cookies included. So a long target is left with the store:
//!
//! | target | how it gets through the login |
//! | --- | --- |
//! | the address of the login has at most 3,072 bytes with it | in `redirect_url`, as clients know it; from the code on in the store, where it has more than 512 |
//! | longer | in the store, under a name that travels as `target`; `redirect_url` has its path |
//! | over 8 KiB | its path, and a page says that the address was shortened |
//! | there is no more room in the store | the same, unless it fits into the address of the login: then it stays sealed, and the page for the code comes without a redirect |
//! | the record is gone | its path, and a page says so |
//!
//! The end of the login is a redirect as long as its head has less than 3,840 bytes, and a page that
//! goes on by itself otherwise: a body may be long.
//!
//! A record has the name of a MAC of host, target and half an hour: whoever asks for the same page
//! again, in as many tabs as they like, leaves no second one. Strangers can leave 1,024 in half an
//! hour, 128 from one network, each for two hours at most; what they then take from others
//! is the query of long addresses. `HEAD` leaves none: nobody looks at its answer.
//!
//! The name tells nobody the target, and nothing is trusted that comes with it: the host is part of
//! the record, and the target is read again by the rules for every target.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};

use super::limits::TARGET_WINDOW;
use super::redirect::{LONGEST_IN_SHORT, ReturnTarget};
use super::target_id::{LONGEST_ADDRESS, TargetId};
use super::{EndpointRequest, Flow, Login};
use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::pages::{Continue, Page};
use crate::random::to_hex;
use crate::secret::tag;
use crate::store::StoreError;
use crate::util::response::{ResponseBytes, redirect, with};

impl Flow {
    /// The flow with its target in the store: the path is left for whoever does not find it there.
    pub(crate) fn with_stored_target(self, id: TargetId) -> Self {
        Self { target: self.target.without_query(LONGEST_IN_SHORT), stored: Some(id), ..self }
    }

    /// The flow without the query of its target.
    pub(crate) fn shortened(self, longest: usize) -> Self {
        let target = self.target.without_query(longest);
        Self { target, stored: None, is_shortened: true, ..self }
    }
}

impl Login {
    /// Whether the first address of a login may hold the flow's target.
    pub(super) fn fits_address(&self, flow: &Flow, now: Timestamp) -> bool {
        self.start_url(flow, now).len() <= LONGEST_ADDRESS
    }

    /// The flow as the first address of a login can hold it.
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

    /// The flow as it can be sealed for an address, or shown to an application's host; whole and long
    /// where there is no room for its target.
    pub(super) async fn fit_for_seal(
        &self,
        flow: Flow,
        network: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Flow, StoreError> {
        if flow.target.encoded_len() <= LONGEST_IN_SHORT {
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
            // It stays where it is: what comes next is a page and no redirect.
            None if self.fits_address(&flow, now) => flow,
            None => flow.shortened(LONGEST_IN_SHORT),
        })
    }

    /// Stores a target; `None` where so many are stored that no more may be.
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

    /// Where a login returns to, and whether something of it is missing.
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
            (of == host.as_str()).then(|| ReturnTarget::parse(target, &self.origins.of(host)))
        });
        Ok(target)
    }

    /// Sends a browser on from the login, with what it gets on the way: a redirect where that is
    /// short enough, otherwise a page. A page as well where the person has to be told that the
    /// address is not whole.
    pub(super) fn lead_on(
        &self,
        request: &EndpointRequest,
        (location, is_shortened): (&str, bool),
        Return { cookies, kind }: Return,
    ) -> ResponseBytes {
        let page = |is_immediate, title, message| {
            let page = Page::Continue(Continue { title, message, url: location, is_immediate });
            self.page(StatusCode::OK, &page)
        };
        // Nobody reads a page that answers a HEAD.
        let is_read = request.method != Method::HEAD;
        let cookies_len: usize = cookies.iter().map(|line| line_len(&SET_COOKIE, line)).sum();
        let fits =
            |answer: &ResponseBytes| head_len(answer.headers()) + cookies_len <= LONGEST_HEAD;
        let usual = match kind {
            // A strict cookie is not sent along a redirect that began on another site.
            ReturnKind::Page => {
                let page = page(false, ON_THE_WAY_TITLE, ON_THE_WAY);
                with(page, REFRESH, &format!("0; url={location}"))
            }
            ReturnKind::Redirect => redirect(location),
        };
        let mut answer = match (is_read, fits(&usual)) {
            (true, _) if is_shortened => page(false, SHORTENED_TITLE, SHORTENED),
            (_, true) => usual,
            (true, false) => page(true, ON_THE_WAY_TITLE, ON_THE_WAY),
            (false, false) => redirect(&path_of(location)),
        };
        for line in cookies {
            answer.headers_mut().append(SET_COOKIE, line);
        }
        answer
    }
}

/// An address of ours without its query; without its path as well where that is long.
fn path_of(location: &str) -> String {
    let path = location.split('?').next().unwrap_or_default();
    if path.len() <= LONGEST_IN_SHORT {
        return path.to_owned();
    }
    let origin: Vec<_> = location.splitn(4, '/').take(3).collect();
    format!("{}/", origin.join("/"))
}

/// What a browser gets on its way from the login to an application.
#[derive(Debug, Default)]
pub(super) struct Return {
    pub(super) cookies: Vec<HeaderValue>,
    pub(super) kind: ReturnKind,
}

/// How a browser is sent on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum ReturnKind {
    #[default]
    Redirect,
    /// By a page of the application's own host.
    Page,
}

/// The length of the head of an answer, as HTTP/1.1 has it.
fn head_len(headers: &HeaderMap) -> usize {
    let has_location = headers.contains_key(LOCATION);
    let status = if has_location { "HTTP/1.1 302 Found\r\n" } else { "HTTP/1.1 200 OK\r\n" };
    status.len() + headers.iter().map(|(name, value)| line_len(name, value)).sum::<usize>() + 2
}

fn line_len(name: &HeaderName, value: &HeaderValue) -> usize {
    name.as_str().len() + value.len() + ": \r\n".len()
}

const ON_THE_WAY_TITLE: &str = "You are logged in";
const ON_THE_WAY: &str = "The page you asked for opens in a moment.";

const SHORTENED_TITLE: &str = "The address was shortened";
/// What the pages say of a target that is not whole.
pub(super) const SHORTENED: &str = "The address you came with is too long to return to after the \
    login, and was shortened: you will get to its page without what follows the question mark.";
/// What a server in front adds to a head has room in what is left of 4 KiB.
const LONGEST_HEAD: usize = 3_840;
/// Longer than a login waits that begins at the end of the window.
const TARGET_LIFETIME: Duration = Duration::from_secs(120 * 60);
