//! Small tools that several rooms use and that know none of them.

pub(crate) mod changes;
pub(crate) mod deferred;
#[cfg(feature = "http-client")]
pub(crate) mod http_client;
pub(crate) mod panics;
pub(crate) mod response;
pub(crate) mod suggest;
pub(crate) mod trusted_url;
