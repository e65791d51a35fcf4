//! Sliding renewal: a person who is active gets a fresh token before the old one ends, with an
//! answer and without a redirect.
//!
//! When a token of an application's cookie is past half of its life, the session is looked up in
//! the store and a new token is signed, beside the request. The answer waits for it for a blink at
//! most; what comes later goes along with the next answer. A token that was made is kept for a
//! while, and handed to every request that still brings an old one. Nothing is renewed beyond the
//! session's end, and nothing that has been ended.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::HeaderValue;
use http::{HeaderMap, Request};
use quick_cache::sync::Cache;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::application::{CanonicalHost, Protected};
use crate::clock::Timestamp;
use crate::headers;
use crate::issuer::IssueError;
use crate::login::{ApplicationTokens, Login};
use crate::policy::{Outcome, Verdict};
use crate::session::{Issued, Session, TokenLifetime};
use crate::store::StoreError;

use super::authenticate::Admission;
use super::caching::{CachePolicy, names_shared_caches};
use super::credential::{Credential, Place};
use super::crossing::Crossing;
use super::peer::arrived_uri;
use super::verify::Verified;
use super::{Engine, Role};

/// Tokens that were made lately, and those that are being made.
#[derive(Debug)]
pub(super) struct Renewals {
    made: Cache<Key, Made>,
    under_way: Mutex<HashSet<Key>>,
}

/// One session at one application on one host.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    session: Box<str>,
    audience: Box<str>,
    host: Box<str>,
}

impl Key {
    pub(super) fn new(session: &str, protected: &Protected, host: &CanonicalHost) -> Self {
        Self {
            session: session.into(),
            audience: protected.audience().into(),
            host: host.as_str().into(),
        }
    }
}

/// What came of a renewal.
#[derive(Clone, Debug)]
enum Made {
    Tokens(Arc<Fresh>),
    /// There was nothing to be made; it is not tried again before this.
    Nothing {
        until: Timestamp,
    },
}

/// Tokens, and by what they were made.
#[derive(Debug)]
pub(super) struct Fresh {
    tokens: ApplicationTokens,
    lifetime: TokenLifetime,
    /// A key that was replaced, perhaps on a suspicion, is handed on no longer.
    signer: String,
}

impl Fresh {
    pub(super) fn make(
        login: &Login,
        session: &Session,
        here: (&Protected, &CanonicalHost),
        lifetime: TokenLifetime,
        now: Timestamp,
    ) -> Result<Self, IssueError> {
        let signer = login.issuer.key_id(now);
        let tokens = login.application_tokens(session, here, lifetime, now)?;
        Ok(Self { tokens, lifetime, signer })
    }

    pub(super) fn token(&self) -> &str {
        &self.tokens.token.token
    }

    /// When it was made.
    fn made_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.tokens.token.claims.iat)
    }

    /// Whether it is still worth handing out.
    fn is_good(&self, login: &Login, now: Timestamp) -> bool {
        let life = self.tokens.token.end().since(self.made_at());
        now.since(self.made_at()) <= login.lifetimes.renewed_after(life)
            && self.signer == login.issuer.key_id(now)
            && !is_revoked(login, self)
    }
}

impl Renewals {
    pub(super) fn new() -> Self {
        Self { made: Cache::new(MOST_KEPT), under_way: Mutex::default() }
    }

    /// Tokens that were made lately and are still good.
    pub(super) fn kept(&self, key: &Key, login: &Login, now: Timestamp) -> Option<Arc<Fresh>> {
        match self.made.get(key) {
            Some(Made::Tokens(fresh)) if fresh.is_good(login, now) => Some(fresh),
            _ => None,
        }
    }

    pub(super) fn keep(&self, key: Key, fresh: Arc<Fresh>) {
        self.made.insert(key, Made::Tokens(fresh));
    }

    /// Whether this renewal is nobody's yet, and there are not too many.
    fn begin(&self, key: &Key) -> bool {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.len() < MOST_UNDER_WAY && under_way.insert(key.clone())
    }

    fn end(&self, key: &Key) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// What is known of a renewal before it is begun.
enum Look {
    Ready(Arc<Fresh>),
    Paused,
    Due,
}

/// Ends a renewal however its task ends.
struct UnderWay {
    renewals: Arc<Renewals>,
    key: Key,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.renewals.end(&self.key);
    }
}

/// A renewal that goes along with an answer, if it is ready in time.
pub(crate) struct Renewal {
    ready: Option<Arc<Fresh>>,
    coming: Option<oneshot::Receiver<Arc<Fresh>>>,
    /// Runs from when the answer is there.
    grace: Option<JoinHandle<()>>,
    runtime: Option<Handle>,
    login: Arc<Login>,
    protected: Arc<Protected>,
    host: CanonicalHost,
    /// Where the browser is.
    path: String,
}

impl Renewal {
    fn of<B>(
        request: &Request<B>,
        admission: &Admission,
        (login, protected): (&Arc<Login>, &Arc<Protected>),
        fresh: Result<Arc<Fresh>, oneshot::Receiver<Arc<Fresh>>>,
    ) -> Box<Self> {
        let (ready, coming) = match fresh {
            Ok(fresh) => (Some(fresh), None),
            Err(coming) => (None, Some(coming)),
        };
        Box::new(Self {
            ready,
            coming,
            grace: None,
            runtime: Handle::try_current().ok(),
            login: Arc::clone(login),
            protected: Arc::clone(protected),
            host: admission.host.clone(),
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
        if is_revoked(&self.login, fresh) {
            return Vec::new();
        }
        let here = (&*self.protected, &self.host);
        self.login.cookie_lines(&fresh.tokens, here, &self.path).unwrap_or_default()
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Engine {
    /// The renewal that goes along with a request that was let in. Costs a comparison where none is
    /// due.
    pub(super) fn renewal<B>(
        &self,
        request: &Request<B>,
        admission: &Admission,
        verdict: &Verdict,
    ) -> Option<Box<Renewal>> {
        let Role::Issuing(issuing) = &self.role else { return None };
        let Credential::Token { verified, from: Place::Cookie } = &admission.credential else {
            return None;
        };
        let (login, now) = (&issuing.login, admission.now);
        if let Crossing::Made(fresh) = &admission.crossing {
            let protected = self.protected(admission)?;
            return Some(Renewal::of(
                request,
                admission,
                (login, protected),
                Ok(Arc::clone(fresh)),
            ));
        }
        if now.since(verified.issued_at()) <= login.lifetimes.renewed_after(verified.life())
            || verdict.outcome() != Outcome::Allowed
            || headers::is_upgrade(request.method(), request.headers())
        {
            return None;
        }
        let protected = self.protected(admission)?;
        let lifetime = login.token_lifetime(protected, verdict);
        if !login.lifetimes.slides(lifetime, verified.life()) {
            return None;
        }
        let session = verified.identity.session_id()?;
        let key = Key::new(session, protected, &admission.host);
        let renewals = &issuing.renewals;
        let runtime = Handle::try_current().ok()?;
        let look = || match renewals.made.get(&key) {
            Some(Made::Tokens(fresh))
                if fresh.made_at() > verified.issued_at()
                    && fresh.lifetime == lifetime
                    && fresh.is_good(login, now) =>
            {
                Look::Ready(fresh)
            }
            Some(Made::Nothing { until }) if now < until => Look::Paused,
            _ => Look::Due,
        };
        let fresh = match look() {
            Look::Ready(fresh) => Ok(fresh),
            Look::Paused => return None,
            Look::Due if !renewals.begin(&key) => return None,
            Look::Due => {
                let under_way = UnderWay { renewals: Arc::clone(renewals), key: key.clone() };
                // Another may have ended since it was looked.
                match look() {
                    Look::Ready(fresh) => Ok(fresh),
                    Look::Paused => return None,
                    Look::Due => {
                        let wish = Wish {
                            login: Arc::clone(login),
                            protected: Arc::clone(protected),
                            host: admission.host.clone(),
                            verified: Arc::clone(verified),
                            lifetime,
                            now,
                        };
                        let (send, receive) = oneshot::channel();
                        runtime.spawn(async move {
                            if let Some(fresh) = wish.come_true(&under_way).await {
                                // Where the answer has gone without it, the next one has it.
                                let _ = send.send(fresh);
                            }
                        });
                        Err(receive)
                    }
                }
            }
        };
        Some(Renewal::of(request, admission, (login, protected), fresh))
    }
}

fn is_revoked(login: &Login, fresh: &Fresh) -> bool {
    let claims = &fresh.tokens.token.claims;
    claims.aud.iter().any(|audience| {
        login.revocations.cover(Issued {
            session: claims.identity_nonce.as_deref(),
            email: claims.email.as_deref(),
            audience,
            issued_at: Timestamp::from_unix_seconds(claims.iat),
        })
    })
}

/// What a renewal is made from.
struct Wish {
    login: Arc<Login>,
    protected: Arc<Protected>,
    host: CanonicalHost,
    /// The token the request brings.
    verified: Arc<Verified>,
    lifetime: TokenLifetime,
    now: Timestamp,
}

/// What came of it.
enum Wished {
    Fresh(Box<Fresh>),
    /// The token lives as long as the session does.
    AtItsEnd,
    /// The session has ended.
    Ended,
}

impl Wish {
    async fn come_true(self, under_way: &UnderWay) -> Option<Arc<Fresh>> {
        let pause = self.now.plus(PAUSE);
        let made = match self.make().await {
            Ok(Wished::Fresh(fresh)) => Made::Tokens(Arc::new(*fresh)),
            Ok(Wished::AtItsEnd) => {
                let life = self.verified.life();
                Made::Nothing {
                    until: pause.max(self.now.plus(self.login.lifetimes.renewed_after(life))),
                }
            }
            Ok(Wished::Ended) => Made::Nothing { until: pause },
            Err(error) => {
                tracing::warn!(%error, "a token could not be renewed; the next request tries again");
                Made::Nothing { until: pause }
            }
        };
        under_way.renewals.made.insert(under_way.key.clone(), made.clone());
        match made {
            Made::Tokens(fresh) => Some(fresh),
            Made::Nothing { .. } => None,
        }
    }

    async fn make(&self) -> Result<Wished, StoreError> {
        let Self { login, protected, host, verified, lifetime, now } = self;
        let (lifetime, now) = (*lifetime, *now);
        let id = verified.identity.session_id().unwrap_or_default();
        let session = login.seen_session(id, now).await?.filter(|session| {
            Some(session.email.as_str()) == verified.identity.email()
                && protected.application.allows_login_method(session.login_method())
        });
        let Some(session) = session else { return Ok(Wished::Ended) };
        if session.end() <= verified.identity.expires_at() {
            return Ok(Wished::AtItsEnd);
        }
        let signing = {
            let (login, protected, host) = (Arc::clone(login), Arc::clone(protected), host.clone());
            // Long enough to hold up other requests of the same thread.
            tokio::task::spawn_blocking(move || {
                Fresh::make(&login, &session, (&protected, &host), lifetime, now)
            })
        };
        let fresh = signing.await.map_err(StoreError::new)?.map_err(StoreError::new)?;
        // A logout that came between wins.
        let session = login.live_session(id, now).await?;
        Ok(session.map_or(Wished::Ended, |_| Wished::Fresh(Box::new(fresh))))
    }
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
/// Between attempts that lead to nothing.
const PAUSE: Duration = Duration::from_secs(5);
const MOST_KEPT: usize = 4_096;
const MOST_UNDER_WAY: usize = 1_024;

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
