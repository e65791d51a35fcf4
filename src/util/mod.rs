//! Small tools that several modules share.

pub(crate) mod breaker;
pub(crate) mod changes;
pub(crate) mod deferred;
#[cfg_attr(not(feature = "http-client"), allow(dead_code, reason = "nothing implements it then"))]
pub(crate) mod fetch;
#[cfg(feature = "http-client")]
pub(crate) mod http_client;
pub(crate) mod panics;
pub(crate) mod recycled;
pub(crate) mod refreshing_cache;
pub(crate) mod response;
pub(crate) mod single_flight;
pub(crate) mod suggest;
pub(crate) mod trusted_url;

use std::sync::Arc;
use std::time::Duration;

/// Creates a client with this timeout.
///
/// # Errors
///
/// If TLS cannot be set up, or without the feature `http-client`.
#[cfg(feature = "http-client")]
pub(crate) fn new_http_client(
    time_limit: Duration,
) -> Result<Arc<dyn fetch::Fetch>, fetch::HttpError> {
    Ok(Arc::new(http_client::HttpClient::new(time_limit, Vec::new())?))
}

#[cfg(not(feature = "http-client"))]
pub(crate) fn new_http_client(_: Duration) -> Result<Arc<dyn fetch::Fetch>, fetch::HttpError> {
    Err(fetch::HttpError::SetUp("enable the feature `http-client`".into()))
}
