//! A login that waits for the provider's answer, kept by the browser.
//!
//! It is sealed into a cookie of its own, which the provider's cross-site form brings back: it has
//! `SameSite=None`. The cookie is named after the login's random id, which is also in `RelayState`, and as
//! the id of the request in the answer. So logins in several tabs do not replace each other, and one that
//! nobody finishes leaves nothing behind. A browser keeps at most eight, in at most 4 KiB: another one
//! removes the oldest.
//!
//! The cookie binds the login to the browser. Another one cannot finish it: an answer without the cookie
//! is refused, whoever signed it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::login::meta::hash;
use crate::login::purpose::Purpose;
use crate::login::redirect::MAX_SHORT_TARGET_BYTES;
use crate::login::{EndpointRequest, Flow, Login, Refusal, write_record};
use crate::random::{self, to_hex};
use crate::secret::{MasterSecret, Seal, SealError, equal, sha256};
use crate::session::cookie::{self, SetCookie};
use crate::store::StoreError;

/// The keys of the method.
#[derive(Debug)]
pub(in crate::login::method) struct SamlKeys {
    /// Seals a pending login into a cookie.
    pending: Seal,
}

impl SamlKeys {
    pub(in crate::login::method) fn derive(master: &MasterSecret) -> Result<Self, SealError> {
        // Anybody can begin logins without limit.
        Ok(Self { pending: master.misuse_resistant_seal("pending login at a SAML provider")? })
    }
}

/// A login that waits for the provider's answer.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Pending {
    /// The id of the login method.
    pub(super) method: Box<str>,
    /// Hash of the cookie of the browser that began.
    browser: String,
    /// In seconds since 1970.
    begun_at: u64,
    pub(super) flow: Flow,
}

impl Pending {
    /// Returns whether the browser of a request has begun this login.
    pub(super) fn is_of_browser(&self, request: &EndpointRequest) -> bool {
        let is_own = |browser: &str| equal(self.browser.as_bytes(), hash(browser).as_bytes());
        request.random_cookies(cookie::SESSION).any(is_own)
    }

    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        let begun_at = Timestamp::from_unix_seconds(self.begun_at);
        now.since(begun_at) >= LIFETIME || begun_at.since(now) > MAX_CLOCK_DIFFERENCE
    }
}

/// What names a login in `RelayState`: a mark of the method, and the random id.
#[derive(Debug)]
pub(super) struct RelayState {
    mark: String,
    /// 32 hexadecimal digits.
    pub(super) id: String,
}

impl RelayState {
    fn new(method: &str, id: String) -> Self {
        Self { mark: mark(method), id }
    }

    /// Reads a `RelayState`. Returns `None` if it was not made here.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (mark, id) = text.split_once('.')?;
        let is_mark =
            mark.len() == MARK_DIGITS && mark.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_mark && cookie::is_random(id))
            .then(|| Self { mark: mark.to_owned(), id: id.to_owned() })
    }

    /// Returns whether it names a login of this method. It proves nothing: the sealed login does.
    pub(super) fn is_of_method(&self, method: &str) -> bool {
        self.mark == mark(method)
    }

    /// Returns the text: less than the 80 bytes that SAML allows.
    pub(super) fn text(&self) -> String {
        format!("{}.{}", self.mark, self.id)
    }

    /// Returns the id of the request. An XML id does not begin with a digit.
    pub(super) fn request_id(&self) -> String {
        format!("_{}", self.id)
    }

    fn cookie(&self) -> String {
        format!("{}{}", cookie::SAML_LOGIN_PREFIX, self.id)
    }

    /// Returns the cookie that removes the login from the browser.
    pub(super) fn removal(&self, request: &EndpointRequest) -> Option<HeaderValue> {
        removal(&self.cookie(), request)
    }
}

/// Begins a login: returns what names it, and the cookies that keep it. Creates no record, unless the
/// return target is long.
pub(super) async fn begin(
    method: &str,
    login: &Login,
    request: &EndpointRequest,
    (purpose, browser): (&Purpose<'_>, &str),
) -> Result<(RelayState, Vec<Option<HeaderValue>>), Refusal> {
    let network = request.sender.address;
    let flow = login.fit_for_seal(purpose.flow.clone(), network, request.now).await?;
    // The store has no room for a long target, which would not fit into a cookie.
    let flow = if flow.target.encoded_len() > MAX_SHORT_TARGET_BYTES {
        flow.shortened(MAX_SHORT_TARGET_BYTES)
    } else {
        flow
    };
    let pending = Pending {
        method: method.into(),
        browser: hash(browser),
        begun_at: request.now.as_unix_seconds(),
        flow,
    };
    let relay_state = RelayState::new(method, random::hex::<16>(&*login.random)?);
    let name = relay_state.cookie();
    let text = write_record(&pending)?;
    let sealed = login.keys.methods.saml.pending.close(&name, &text, &*login.random);
    let sealed = URL_SAFE_NO_PAD.encode(sealed.map_err(StoreError::new)?);
    let end = request.now.plus(LIFETIME);
    let own = SetCookie { path: cookie::LOGIN_PATH, ..SetCookie::new(&name, &sealed, end) };
    let mut cookies = vec![own.header(&request.host)];
    cookies.extend(superfluous(login, request).iter().map(|name| removal(name, request)));
    Ok((relay_state, cookies))
}

/// Opens the login of this name that the browser keeps.
pub(super) fn open(login: &Login, request: &EndpointRequest, id: &str) -> Option<Pending> {
    let values = cookie::with_prefix(&request.headers, cookie::SAML_LOGIN_PREFIX);
    // A sibling host may have planted others of this name.
    values.filter(|(suffix, _)| *suffix == id).find_map(|(_, value)| unseal(login, id, value))
}

fn unseal(login: &Login, id: &str, value: &str) -> Option<Pending> {
    let sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
    let name = format!("{}{id}", cookie::SAML_LOGIN_PREFIX);
    let text = login.keys.methods.saml.pending.open(&name, &sealed).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Returns the names of the cookies that a browser with one more login no longer needs.
fn superfluous(login: &Login, request: &EndpointRequest) -> Vec<String> {
    let kept = cookie::with_prefix(&request.headers, cookie::SAML_LOGIN_PREFIX);
    let mut kept: Vec<(u64, &str, usize)> = kept
        .filter(|(id, _)| cookie::is_random(id))
        .map(|(id, value)| {
            let pending = unseal(login, id, value).filter(|it| !it.has_ended(request.now));
            // Those that do not open go first.
            (pending.map_or(0, |pending| pending.begun_at), id, value.len())
        })
        .collect();
    kept.sort_unstable();
    let mut bytes = 0;
    let newest = kept.iter().rev().take(MAX_PENDING - 1).take_while(|(begun_at, _, length)| {
        bytes += length;
        *begun_at > 0 && bytes <= MAX_PENDING_BYTES
    });
    let superfluous = kept.len() - newest.count();
    let name = |(_, id, _): &(u64, &str, usize)| format!("{}{id}", cookie::SAML_LOGIN_PREFIX);
    kept.iter().take(superfluous.min(MAX_REMOVALS)).map(name).collect()
}

fn removal(name: &str, request: &EndpointRequest) -> Option<HeaderValue> {
    let past = Timestamp::from_unix_seconds(1);
    let cookie = SetCookie { path: cookie::LOGIN_PATH, ..SetCookie::new(name, "", past) };
    cookie.header(&request.host)
}

/// A short mark of a method's id, which says whom an answer is for before the login is opened.
fn mark(method: &str) -> String {
    to_hex(sha256(method.as_bytes()).get(..MARK_DIGITS / 2).unwrap_or_default())
}

/// How long a user has at the provider.
pub(super) const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Between two nodes.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);
/// The logins that a browser keeps: each takes half a kilobyte of its `Cookie` header, or more with a long
/// return target.
const MAX_PENDING: usize = 8;
/// Of the values of those that were begun before. Reverse proxies accept a header of 8 KiB.
const MAX_PENDING_BYTES: usize = 4 * 1024;
/// In one response, whose head must stay short.
const MAX_REMOVALS: usize = 8;
const MARK_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_login_is_short_and_read_back() {
        let made = RelayState::new("corp", "0123456789abcdef".repeat(2));
        let text = made.text();
        assert!(text.len() <= 80, "{text}");
        let read = RelayState::read(&text).unwrap();
        assert!(read.is_of_method("corp") && !read.is_of_method("partner"));
        assert_eq!(read.request_id(), made.request_id());
        for other in ["", ".", "/docs", &text[1..], &text[..text.len() - 1], &text.to_uppercase()] {
            assert!(RelayState::read(other).is_none(), "{other}");
        }
    }
}
