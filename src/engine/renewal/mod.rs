//! Sliding renewal: an active user gets a new token before the old one expires, with a response and
//! without a redirect.
//!
//! When half of the lifetime of an application cookie's token is over, a background task looks the
//! session up in the store and signs a new token. The response waits at most 50 milliseconds for it;
//! otherwise the next response sets it. A new token is cached for a while, for every request that
//! still presents an old one. No token outlives its session, and revoked tokens are not renewed.

mod cache;
mod task;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HeaderValue;
use http::{HeaderMap, Request};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::headers;
use crate::login::Login;
use crate::policy::{Outcome, Verdict};

pub(super) use self::cache::{RenewalKey, Renewals, RenewedTokens};

use self::cache::Lookup;
use self::task::RenewalTask;
use super::caching::{CachePolicy, names_shared_caches};
use super::credential::{Credential, TokenSource};
use super::peer::arrived_uri;
use super::request_context::Scope;
use super::{Engine, Role};

/// A renewal for a response, if it is ready in time.
pub(crate) struct Renewal {
    ready: Option<Arc<RenewedTokens>>,
    pending: Option<oneshot::Receiver<Arc<RenewedTokens>>>,
    /// The time limit, which starts when the response is ready.
    grace: Option<JoinHandle<()>>,
    runtime: Option<Handle>,
    login: Arc<Login>,
    application: Arc<CompiledApplication>,
    host: CanonicalHost,
    /// The path of the request, as the browser sent it.
    path: String,
}

impl Renewal {
    fn new<B>(
        request: &Request<B>,
        login: &Arc<Login>,
        at: Scope<'_>,
        (ready, pending): (
            Option<Arc<RenewedTokens>>,
            Option<oneshot::Receiver<Arc<RenewedTokens>>>,
        ),
    ) -> Box<Self> {
        Box::new(Self {
            ready,
            pending,
            grace: None,
            runtime: Handle::try_current().ok(),
            login: Arc::clone(login),
            application: Arc::clone(at.application),
            host: at.host.clone(),
            path: arrived_uri(request.uri(), request.extensions()).path().to_owned(),
        })
    }

    /// Polls for the cookie lines of a response that is ready; none if the renewal failed or is too
    /// late.
    pub(crate) fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<Vec<HeaderValue>> {
        if let Some(pending) = &mut self.pending {
            match Pin::new(pending).poll(context) {
                Poll::Ready(renewed) => self.ready = renewed.ok(),
                Poll::Pending => {
                    // In a task of its own, because the runtime may have no timer.
                    if self.grace.is_none() {
                        let sleep = async { tokio::time::sleep(GRACE).await };
                        self.grace = self.runtime.as_ref().map(|runtime| runtime.spawn(sleep));
                    }
                    if let Some(grace) = &mut self.grace
                        && Pin::new(grace).poll(context).is_pending()
                    {
                        return Poll::Pending;
                    }
                }
            }
            self.pending = None;
        }
        Poll::Ready(self.lines())
    }

    fn lines(&self) -> Vec<HeaderValue> {
        let Some(renewed) = &self.ready else { return Vec::new() };
        // Revoked in the meantime.
        if renewed.is_revoked(&self.login) {
            return Vec::new();
        }
        let here = (&*self.application, &self.host);
        self.login.cookie_lines(renewed.tokens(), here, &self.path).unwrap_or_default()
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Returns the renewal for an allowed request. Costs a comparison if none is due.
pub(super) fn renewal<B>(
    engine: &Engine,
    request: &Request<B>,
    credential: &Credential,
    at: Scope<'_>,
    verdict: &Verdict,
) -> Option<Box<Renewal>> {
    let Role::Issuing(issuing) = &engine.role else { return None };
    let login = &issuing.login;
    let verified = match credential {
        Credential::Token { source: TokenSource::Session(tokens), .. } => {
            let ready = (Some(Arc::clone(tokens)), None);
            return Some(Renewal::new(request, login, at, ready));
        }
        Credential::Token { verified, source: TokenSource::Cookie } => verified,
        _ => return None,
    };
    if at.now.since(verified.issued_at()) <= login.lifetimes.renew_after(verified.life())
        || verdict.outcome() != Outcome::Allowed
        || headers::is_upgrade(request.method(), request.headers())
    {
        return None;
    }
    let lifetime = login.token_lifetime(at.application, verdict);
    if !login.lifetimes.is_renewable(lifetime, verified.life()) {
        return None;
    }
    let key = RenewalKey::new(verified.identity.session_id()?, at.application, at.host);
    let runtime = Handle::try_current().ok()?;
    let is_wanted = |tokens: &RenewedTokens| {
        tokens.made_at() > verified.issued_at()
            && tokens.lifetime() == lifetime
            && tokens.is_usable(login, at.now)
    };
    let tokens = match issuing.renewals.look_up(&key, is_wanted, at.now) {
        Lookup::Renewed(tokens) => (Some(tokens), None),
        Lookup::Nothing => return None,
        Lookup::Begun(in_progress) => {
            let task = RenewalTask {
                login: Arc::clone(login),
                application: Arc::clone(at.application),
                host: at.host.clone(),
                verified: Arc::clone(verified),
                lifetime,
                now: at.now,
            };
            let (send, receive) = oneshot::channel();
            runtime.spawn(async move {
                if let Some(tokens) = task.run(&in_progress).await {
                    // If the response has gone without it, the next one sets it.
                    let _ = send.send(tokens);
                }
            });
            (None, Some(receive))
        }
    };
    Some(Renewal::new(request, login, at, tokens))
}

/// Sets renewed cookies on a response, unless a cache could give them to other users.
pub(crate) fn set_renewed(headers: &mut HeaderMap, lines: Vec<HeaderValue>) {
    use http::header::SET_COOKIE;

    let has_word = |headers: &HeaderMap, name: &str, words: &[&str]| {
        headers.get_all(name).iter().any(|line| {
            let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
            line.split(',').any(|part| {
                let word = part.split('=').next().unwrap_or_default();
                words.contains(&word.trim().trim_matches('"'))
            })
        })
    };
    // The origin deletes the cookies, or allows shared caches to store the response.
    if lines.is_empty()
        || has_word(headers, "clear-site-data", &["cookies", "*"])
        || names_shared_caches(headers)
    {
        return;
    }
    CachePolicy::Private.apply(headers);
    for line in lines {
        headers.append(SET_COOKIE, line);
    }
}

/// How long a response waits for its renewal.
const GRACE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use http::header::{CACHE_CONTROL, SET_COOKIE};

    use super::*;

    #[test]
    fn ses_24_no_cache_that_others_use_gets_a_renewed_cookie() {
        for (name, value, is_set) in [
            ("cache-control", "private", true),
            ("cache-control", "no-store", true),
            ("cache-control", "max-age=60, must-revalidate", true),
            ("x-other", "public", true),
            ("surrogate-control", "max-age=60", true),
            ("cache-control", "Public, max-age=60", false),
            ("cache-control", "max-age=0, s-maxage=60", false),
            ("clear-site-data", "\"cache\", \"cookies\"", false),
            ("clear-site-data", "\"*\"", false),
            ("clear-site-data", "\"storage\"", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            set_renewed(&mut headers, vec![HeaderValue::from_static("CF_Authorization=x")]);
            assert_eq!(headers.contains_key(SET_COOKIE), is_set, "{name}: {value}");
            let lines = headers.get_all(CACHE_CONTROL).iter();
            let said: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
            let is_kept = said.iter().any(|it| it.contains("private") || it.contains("no-store"));
            assert!(!is_set || is_kept, "{said:?}");
            assert!(!headers.contains_key("surrogate-control"));
        }
    }
}
