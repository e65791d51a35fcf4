//! The provider's configuration: discovered (OpenID Connect Discovery 1.0), or as set.
//!
//! A discovered configuration is fetched when the first login begins, cached, and refreshed in the
//! background. While it cannot be refreshed, it is used for a day.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Equivalent;
use serde::Deserialize;
use url::Url;

use super::settings::OpenIdProvider;
use crate::clock::Timestamp;
use crate::login::method::authorization_code::ClientAuthentication;
use crate::token::keys::{FetchError, KeyEndpoint, RefreshPolicy, RemoteKeys};
use crate::util::fetch::{Fetch, HttpError, Request};
use crate::util::refreshing_cache::{Lookup, RefreshingCache, Times, WaitPolicy};
use crate::util::trusted_url;

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) end_session: Option<Url>,
    pub(super) authentication: ClientAuthentication,
    /// Whether every answer names the issuer (RFC 9207).
    pub(super) names_issuer: bool,
    pub(super) keys: RemoteKeys,
}

/// The source of a provider's configuration.
#[derive(Debug)]
pub(super) enum Discovery {
    Fixed(Arc<Provider>),
    Remote(RefreshingCache<Key, Arc<Provider>>, Arc<Source>),
}

#[derive(Debug)]
pub(super) struct Source {
    method: Box<str>,
    issuer: Box<str>,
    url: Url,
    /// Set by the operator.
    authentication: Option<ClientAuthentication>,
    client: Arc<dyn Fetch>,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// The keys, and their URL: another configuration with the same URL shares them.
    keys: Option<(Url, RemoteKeys)>,
    error: Option<String>,
}

/// The only key of the cache.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key;

#[derive(Hash)]
struct KeyRef;

impl Equivalent<Key> for KeyRef {
    fn equivalent(&self, _: &Key) -> bool {
        true
    }
}

impl From<&KeyRef> for Key {
    fn from(_: &KeyRef) -> Self {
        Self
    }
}

impl Discovery {
    pub(super) fn new(
        settings: &OpenIdProvider,
        client: Arc<dyn Fetch>,
    ) -> Result<Self, DiscoveryError> {
        if let Some(endpoints) = &settings.endpoints {
            let endpoints = endpoints.clone();
            return Ok(Self::Fixed(Arc::new(Provider {
                authorization: endpoints.authorization,
                token: endpoints.token,
                userinfo: endpoints.userinfo,
                end_session: endpoints.end_session,
                authentication: settings.authentication.unwrap_or(ClientAuthentication::Post),
                names_issuer: false,
                keys: remote_keys(client, &endpoints.keys)?,
            })));
        }
        let url =
            format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
        let source = Source {
            method: settings.id.clone(),
            issuer: settings.issuer.clone(),
            url: Url::parse(&url).map_err(|_| DiscoveryError::Endpoint("issuer"))?,
            authentication: settings.authentication,
            client,
            last: Mutex::default(),
        };
        let times = Times { time_limit: settings.time_limit, ..TIMES };
        Ok(Self::Remote(RefreshingCache::new(4, times), Arc::new(source)))
    }

    /// Returns the configuration, after a fetch if there is none.
    pub(super) async fn provider(&self, now: Timestamp) -> Result<Arc<Provider>, String> {
        let (cache, source) = match self {
            Self::Fixed(provider) => return Ok(Arc::clone(provider)),
            Self::Remote(cache, source) => (cache, source),
        };
        let found = match cache.look_up(&KeyRef, now, WaitPolicy::IfAbsent, || fetch(source)) {
            Lookup::Cached(provider) => Some(provider),
            Lookup::Pending(wait) => {
                wait.await;
                cache.get(&KeyRef, now)
            }
            Lookup::Absent => None,
        };
        found.ok_or_else(|| {
            let error = source.last().error.clone();
            let error = error.unwrap_or_else(|| "no response in time".to_owned());
            format!("the configuration at {} could not be fetched: {error}", source.url)
        })
    }

    /// Returns the configuration if it is known; starts a fetch if that is due.
    pub(super) fn known(&self, now: Timestamp) -> Option<Arc<Provider>> {
        let (cache, source) = match self {
            Self::Fixed(provider) => return Some(Arc::clone(provider)),
            Self::Remote(cache, source) => (cache, source),
        };
        match cache.look_up(&KeyRef, now, WaitPolicy::IfAbsent, || fetch(source)) {
            Lookup::Cached(provider) => Some(provider),
            Lookup::Pending(_) | Lookup::Absent => None,
        }
    }
}

fn fetch(source: &Arc<Source>) -> impl Future<Output = Option<Arc<Provider>>> + Send + 'static {
    let source = Arc::clone(source);
    async move {
        match source.fetch().await {
            Ok(provider) => {
                source.last().error = None;
                Some(Arc::new(provider))
            }
            Err(error) => {
                let (method, url) = (&*source.method, source.url.as_str());
                tracing::warn!(method, url, %error, "a provider's configuration could not be fetched");
                source.last().error = Some(error.to_string());
                None
            }
        }
    }
}

impl Source {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self) -> Result<Provider, DiscoveryError> {
        let request = Request::get(&self.url, MAX_CONFIGURATION_BYTES);
        let reply = self.client.send(request).await?;
        self.read(&reply.body)
    }

    fn read(&self, json: &[u8]) -> Result<Provider, DiscoveryError> {
        let is_object = json.trim_ascii_start().first() == Some(&b'{');
        let read: Document = is_object
            .then(|| serde_json::from_slice(json).ok())
            .flatten()
            .ok_or(DiscoveryError::Unreadable)?;
        if *read.issuer != *self.issuer {
            let stated = read.issuer.chars().take(200).collect();
            return Err(DiscoveryError::Issuer { stated });
        }
        let url = |name: &'static str, text: &str| {
            trusted_url::parse(text).map_err(|_| DiscoveryError::Endpoint(name))
        };
        let optional = |name: &'static str, text: Option<String>| {
            text.map(|text| url(name, &text)).transpose()
        };
        let authentication = match self.authentication {
            Some(way) => way,
            None => authentication(read.token_endpoint_auth_methods_supported.as_deref())?,
        };
        Ok(Provider {
            authorization: url("authorization_endpoint", &read.authorization_endpoint)?,
            token: url("token_endpoint", &read.token_endpoint)?,
            userinfo: optional("userinfo_endpoint", read.userinfo_endpoint)?,
            end_session: optional("end_session_endpoint", read.end_session_endpoint)?,
            authentication,
            names_issuer: read.authorization_response_iss_parameter_supported.unwrap_or(false),
            keys: self.keys(url("jwks_uri", &read.jwks_uri)?)?,
        })
    }

    fn keys(&self, url: Url) -> Result<RemoteKeys, DiscoveryError> {
        let mut last = self.last();
        if let Some((_, keys)) = last.keys.as_ref().filter(|(known, _)| *known == url) {
            return Ok(keys.clone());
        }
        let keys = remote_keys(Arc::clone(&self.client), &url)?;
        last.keys = Some((url, keys.clone()));
        Ok(keys)
    }
}

/// Chooses how the client proves itself. In the form, all providers read a secret alike.
fn authentication(supported: Option<&[String]>) -> Result<ClientAuthentication, DiscoveryError> {
    let Some(supported) = supported else { return Ok(ClientAuthentication::Basic) };
    [ClientAuthentication::Post, ClientAuthentication::Basic]
        .into_iter()
        .find(|way| supported.iter().any(|name| name == way.as_str()))
        .ok_or(DiscoveryError::Authentication)
}

fn remote_keys(client: Arc<dyn Fetch>, url: &Url) -> Result<RemoteKeys, FetchError> {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let policy = RefreshPolicy::default().fresh_for(minutes(15)).serve_stale_up_to(minutes(360));
    Ok(RemoteKeys::for_provider(KeyEndpoint::new(client, url.as_str())?, policy))
}

/// Why a provider's configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiscoveryError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("it is not the configuration of an OpenID provider")]
    Unreadable,
    #[error(
        "its issuer is {stated:?}, which is not the configured one: set exactly this one if it is right"
    )]
    Issuer { stated: String },
    #[error("`{0}` is no URL with https")]
    Endpoint(&'static str),
    #[error("the provider supports neither `client_secret_post` nor `client_secret_basic`")]
    Authentication,
    #[error(transparent)]
    Keys(#[from] FetchError),
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

const TIMES: Times = Times {
    fresh_for: Duration::from_secs(3600),
    serve_up_to: Duration::from_secs(86_400),
    // So that a provider that starts after this server is found soon.
    cool_down: Duration::from_secs(2),
    time_limit: Duration::from_secs(10),
};
const MAX_CONFIGURATION_BYTES: usize = 256 * 1024;
