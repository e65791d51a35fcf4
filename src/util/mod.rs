//! Small tools that several rooms use and that know none of them.

pub(crate) mod changes;
pub(crate) mod deferred;
#[cfg(feature = "http-client")]
pub(crate) mod http_client;
pub(crate) mod panics;
#[cfg_attr(
    not(feature = "http-client"),
    allow(dead_code, reason = "who asks fewer others needs less of it")
)]
pub(crate) mod refreshing_cache;
pub(crate) mod response;
pub(crate) mod suggest;
pub(crate) mod trusted_url;
