//! Sliding renewal: a person who is active gets a fresh token before the old one ends, with an
//! answer and without a redirect.
//!
//! When a token of an application's cookie is past half of its life, the session is looked up in
//! the store and a new token is signed, beside the request. The answer waits for it for a blink at
//! most; what comes later goes along with the next answer. A token that was made is kept for a
//! while, and handed to every request that still brings an old one. Nothing is renewed beyond the
//! session's end, and nothing that has been ended.

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

/// A renewal that goes along with an answer, if it is ready in time.
pub(crate) struct Renewal {
    ready: Option<Arc<RenewedTokens>>,
    coming: Option<oneshot::Receiver<Arc<RenewedTokens>>>,
    /// Runs from when the answer is there.
    grace: Option<JoinHandle<()>>,
    runtime: Option<Handle>,
    login: Arc<Login>,
    application: Arc<CompiledApplication>,
    host: CanonicalHost,
    /// Where the browser is.
    path: String,
}

impl Renewal {
    fn new<B>(
        request: &Request<B>,
        login: &Arc<Login>,
        at: Scope<'_>,
        (ready, coming): (
            Option<Arc<RenewedTokens>>,
            Option<oneshot::Receiver<Arc<RenewedTokens>>>,
        ),
    ) -> Box<Self> {
        Box::new(Self {
            ready,
            coming,
            grace: None,
            runtime: Handle::try_current().ok(),
            login: Arc::clone(login),
            application: Arc::clone(at.application),
            host: at.host.clone(),
            path: arrived_uri(request.uri(), request.extensions()).path().to_owned(),
        })
    }

    /// The lines for an answer that is there already; none where they are not ready in time, or not
    /// to be had.
    pub(crate) fn poll_lines(&mut self, context: &mut Context<'_>) -> Poll<Vec<HeaderValue>> {
        if let Some(coming) = &mut self.coming {
            match Pin::new(coming).poll(context) {
                Poll::Ready(fresh) => self.ready = fresh.ok(),
                Poll::Pending => {
                    // In a task of its own: it may be that the runtime has no timer.
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
            self.coming = None;
        }
        Poll::Ready(self.lines())
    }

    fn lines(&self) -> Vec<HeaderValue> {
        let Some(fresh) = &self.ready else { return Vec::new() };
        // What was ended meanwhile stays ended.
        if fresh.is_revoked(&self.login) {
            return Vec::new();
        }
        let here = (&*self.application, &self.host);
        self.login.cookie_lines(fresh.tokens(), here, &self.path).unwrap_or_default()
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("host", &self.host).finish_non_exhaustive()
    }
}

/// The renewal that goes along with a request that was let in. Costs a comparison where none is
/// due.
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
    if at.now.since(verified.issued_at()) <= login.lifetimes.renewed_after(verified.life())
        || verdict.outcome() != Outcome::Allowed
        || headers::is_upgrade(request.method(), request.headers())
    {
        return None;
    }
    let lifetime = login.token_lifetime(at.application, verdict);
    if !login.lifetimes.slides(lifetime, verified.life()) {
        return None;
    }
    let key = RenewalKey::new(verified.identity.session_id()?, at.application, at.host);
    let runtime = Handle::try_current().ok()?;
    let is_wanted = |tokens: &RenewedTokens| {
        tokens.made_at() > verified.issued_at()
            && tokens.lifetime() == lifetime
            && tokens.is_good(login, at.now)
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
                    // Where the answer has gone without it, the next one has it.
                    let _ = send.send(tokens);
                }
            });
            (None, Some(receive))
        }
    };
    Some(Renewal::new(request, login, at, tokens))
}

/// Sets renewed cookies on an answer, where nobody else could get hold of them.
pub(crate) fn set_renewed(headers: &mut HeaderMap, lines: Vec<HeaderValue>) {
    use http::header::SET_COOKIE;

    let says = |headers: &HeaderMap, name: &str, words: &[&str]| {
        headers.get_all(name).iter().any(|line| {
            let line = String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase();
            line.split(',').any(|part| {
                let word = part.split('=').next().unwrap_or_default();
                words.contains(&word.trim().trim_matches('"'))
            })
        })
    };
    // The origin ends the cookies, or lets caches hand the answer to others.
    if lines.is_empty()
        || says(headers, "clear-site-data", &["cookies", "*"])
        || names_shared_caches(headers)
    {
        return;
    }
    CachePolicy::Private.apply(headers);
    for line in lines {
        headers.append(SET_COOKIE, line);
    }
}

/// For how long an answer waits that is ready before its renewal is.
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
