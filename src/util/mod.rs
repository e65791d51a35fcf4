//! Small tools that several rooms use and that know none of them.

pub(crate) mod changes;
pub(crate) mod deferred;
#[cfg_attr(not(feature = "http-client"), allow(dead_code, reason = "nothing implements it then"))]
pub(crate) mod fetch;
#[cfg(feature = "http-client")]
pub(crate) mod http_client;
pub(crate) mod panics;
pub(crate) mod refreshing_cache;
pub(crate) mod response;
pub(crate) mod single_flight;
pub(crate) mod suggest;
pub(crate) mod trusted_url;
