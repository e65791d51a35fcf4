//! An issuer's published keys, fetched beside the requests.
//!
//! Readers never wait for a writer: the set in use is swapped as a whole. A request waits only
//! when it brings a key id nobody knows and a fetch is due; a flood of unknown key ids causes one
//! fetch per cool-down. When a fetch fails, the keys already known stay, for a day.
//!
//! After an hour the keys are refreshed beside the next request. If nobody asked for longer, that
//! request waits: a key that was withdrawn overnight opens nothing in the morning.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::watch;

use crate::clock::Timestamp;

use super::KeySet;

/// Fetches the text of a key set.
///
/// [`HttpFetch`] is the usual one; a test or another transport brings its own.
pub trait KeyFetch: Send + Sync + fmt::Debug + 'static {
    /// Fetches the key set's JSON text, within bounds of time and size of its own.
    fn fetch(&self) -> KeyFuture<'_>;
}

/// What [`KeyFetch::fetch`] returns.
pub type KeyFuture<'a> = Pin<Box<dyn Future<Output = Result<Bytes, FetchError>> + Send + 'a>>;

/// A key set that could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(Box<dyn std::error::Error + Send + Sync>);

impl FetchError {
    /// Wraps whatever went wrong.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// The key set of an issuer, kept up to date.
///
/// Clones share one set. Needs a Tokio runtime when a fetch is due, and only then.
#[derive(Clone, Debug)]
pub struct RemoteKeys(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fetch: Box<dyn KeyFetch>,
    current: ArcSwap<Generation>,
    /// Read without the lock to see whether a refresh is due.
    refresh_due: AtomicU64,
    flight: Mutex<Flight>,
}

/// The keys, and how often they have been replaced by others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) keys: KeySet,
    fetched_at: Timestamp,
}

impl Generation {
    fn age(&self, now: Timestamp) -> Duration {
        now.since(self.fetched_at)
    }
}

#[derive(Debug, Default)]
struct Flight {
    last_attempt: Option<Timestamp>,
    /// Ends when the fetch under way ends.
    under_way: Option<watch::Receiver<()>>,
}

/// What can be said at this moment.
#[derive(Debug)]
pub(crate) enum Lookup {
    /// These keys; nothing newer is to be had now.
    Settled(Arc<Generation>),
    /// A fetch that may bring others is under way; ask again when it has ended.
    UnderWay(watch::Receiver<()>),
    /// There are no keys, or none young enough, and none are to be had now.
    Unavailable,
}

impl RemoteKeys {
    /// Keys that are fetched when the first token asks for one.
    #[must_use]
    pub fn new(fetch: impl KeyFetch) -> Self {
        Self(Arc::new(Shared {
            fetch: Box::new(fetch),
            current: ArcSwap::default(),
            refresh_due: AtomicU64::new(0),
            flight: Mutex::default(),
        }))
    }

    /// The keys, for a token whose key is known among them.
    pub(crate) fn current(&self, now: Timestamp) -> Lookup {
        let current = self.0.current.load_full();
        let due = self.0.refresh_due.load(Ordering::Relaxed);
        // Keys fetched in the future were fetched under a clock that has been set right since.
        let set_back = now < current.fetched_at;
        let overdue =
            if set_back { WAIT_AFTER } else { now.since(Timestamp::from_unix_seconds(due)) };
        if current.keys.is_empty() || now.as_unix_seconds() < due && !set_back {
            return settled(current, now);
        }
        if overdue >= WAIT_AFTER {
            return match self.start_fetch(now) {
                Some(under_way) => Lookup::UnderWay(under_way),
                None => settled(self.0.current.load_full(), now),
            };
        }
        // One of the requests that find a refresh due begins it; the others take no lock.
        let next = now.plus(COOL_DOWN).as_unix_seconds();
        let refresh_due = &self.0.refresh_due;
        if refresh_due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.start_fetch(now);
        }
        settled(current, now)
    }

    /// The keys for a token with this key id; starts a fetch where one is due.
    pub(crate) fn lookup(&self, key_id: &str, now: Timestamp) -> Lookup {
        let known = self.current(now);
        if matches!(&known, Lookup::Settled(current) if current.keys.get(key_id).is_none())
            || matches!(known, Lookup::Unavailable)
        {
            return match self.start_fetch(now) {
                Some(under_way) => Lookup::UnderWay(under_way),
                // A fetch may have ended since.
                None => settled(self.0.current.load_full(), now),
            };
        }
        known
    }

    /// The keys as they are, whatever is under way.
    pub(crate) fn as_they_are(&self, now: Timestamp) -> Lookup {
        settled(self.0.current.load_full(), now)
    }

    /// The fetch under way, begun now if need be; `None` during the cool-down.
    fn start_fetch(&self, now: Timestamp) -> Option<watch::Receiver<()>> {
        let mut flight = self.0.flight.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) =
            flight.under_way.as_ref().filter(|fetch| fetch.has_changed().is_ok())
        {
            return Some(under_way.clone());
        }
        let cooling = flight
            .last_attempt
            .is_some_and(|last| now >= last && now.since(last) < self.cool_down());
        if cooling {
            return None;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            tracing::error!("keys cannot be fetched outside a Tokio runtime");
            return None;
        };
        let (ended, under_way) = watch::channel(());
        flight.last_attempt = Some(now);
        flight.under_way = Some(under_way.clone());
        let shared = Arc::clone(&self.0);
        // A task of its own: a client that goes away does not cancel the fetch for the others.
        runtime.spawn(async move {
            shared.refresh(now).await;
            drop(ended);
        });
        Some(under_way)
    }

    fn cool_down(&self) -> Duration {
        if self.0.current.load().keys.is_empty() { COOL_DOWN_WITHOUT_KEYS } else { COOL_DOWN }
    }
}

fn settled(current: Arc<Generation>, now: Timestamp) -> Lookup {
    if current.keys.is_empty() || current.age(now) >= UNAVAILABLE_AFTER {
        Lookup::Unavailable
    } else {
        Lookup::Settled(current)
    }
}

impl Shared {
    fn next_refresh(&self, moment: Timestamp) {
        self.refresh_due.store(moment.as_unix_seconds(), Ordering::Relaxed);
    }

    async fn refresh(&self, now: Timestamp) {
        let fetched = tokio::time::timeout(FETCH_TIME_LIMIT, self.fetch.fetch()).await;
        let loaded = match fetched {
            Ok(Ok(text)) => KeySet::from_jwks(&text).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("timed out".to_owned()),
        };
        match loaded {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the issuer's keys are loaded");
                let earlier = self.current.load();
                // Tokens verified with the same keys stay verified.
                let changed = u64::from(!earlier.keys.is_same_as(&keys));
                let number = earlier.number + changed;
                self.current.store(Arc::new(Generation { number, keys, fetched_at: now }));
                self.next_refresh(now.plus(REFRESH_AFTER));
            }
            Err(error) => {
                let kept = self.current.load().keys.len();
                tracing::error!(%error, kept, "the issuer's keys could not be fetched");
                self.next_refresh(now.plus(COOL_DOWN));
            }
        }
    }
}

/// Between two fetches that unknown key ids cause.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The same while there is no key at all, so that a start before the issuer recovers quickly.
const COOL_DOWN_WITHOUT_KEYS: Duration = Duration::from_secs(2);
/// From this age on the keys are refreshed beside the requests.
const REFRESH_AFTER: Duration = Duration::from_secs(3600);
/// A refresh so long overdue, because nobody asked, is waited for.
const WAIT_AFTER: Duration = Duration::from_secs(3600);
/// Keys of this age that cannot be refreshed open nothing.
const UNAVAILABLE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Whatever the transport does.
const FETCH_TIME_LIMIT: Duration = Duration::from_secs(10);

#[cfg(feature = "http-client")]
pub use self::http::HttpFetch;

#[cfg(feature = "http-client")]
mod http {
    //! Fetching over HTTPS.

    use std::time::Duration;

    use bytes::{Bytes, BytesMut};
    use url::{Host, Url};

    use super::{FetchError, KeyFetch, KeyFuture};

    /// Fetches a key set over HTTPS: five seconds, one MiB, no redirects, status 200 only.
    #[derive(Clone, Debug)]
    pub struct HttpFetch {
        client: reqwest::Client,
        url: Url,
    }

    impl HttpFetch {
        /// A fetcher for this address. Plain `http` is for loopback addresses only.
        ///
        /// # Errors
        ///
        /// When the address is neither `https` nor `http` to a loopback address, carries a user
        /// name, or when no TLS client can be set up.
        pub fn new(url: &str) -> Result<Self, FetchError> {
            let url = Url::parse(url).map_err(FetchError::new)?;
            let loopback = match url.host() {
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                Some(Host::Domain(name)) => name == "localhost",
                None => false,
            };
            if url.scheme() != "https" && !(url.scheme() == "http" && loopback) {
                return Err(FetchError::new("keys are fetched over https (http to loopback only)"));
            }
            if !url.username().is_empty() || url.password().is_some() {
                return Err(FetchError::new("an address of keys carries no user name"));
            }
            let client = reqwest::Client::builder()
                .timeout(TIME_LIMIT)
                .connect_timeout(TIME_LIMIT)
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .user_agent(concat!("tower-access/", env!("CARGO_PKG_VERSION")))
                .build()
                .map_err(FetchError::new)?;
            Ok(Self { client, url })
        }

        async fn text(&self) -> Result<Bytes, FetchError> {
            let mut response =
                self.client.get(self.url.clone()).send().await.map_err(FetchError::new)?;
            if response.status() != reqwest::StatusCode::OK {
                return Err(FetchError::new(format!(
                    "the key server answered {}",
                    response.status()
                )));
            }
            let mut text = BytesMut::new();
            while let Some(chunk) = response.chunk().await.map_err(FetchError::new)? {
                if text.len() + chunk.len() > LARGEST_KEY_SET {
                    return Err(FetchError::new("the key set is larger than one MiB"));
                }
                text.extend_from_slice(&chunk);
            }
            Ok(text.freeze())
        }
    }

    impl KeyFetch for HttpFetch {
        fn fetch(&self) -> KeyFuture<'_> {
            Box::pin(self.text())
        }
    }

    const TIME_LIMIT: Duration = Duration::from_secs(5);
    const LARGEST_KEY_SET: usize = 1024 * 1024;
}
