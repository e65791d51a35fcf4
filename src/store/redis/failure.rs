//! Failures of operations, without secrets.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// The reason why an operation failed, or its outcome is unknown.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("cannot be reached: {0}")]
    Unreachable(Arc<std::io::Error>),
    #[error("no response within {0:?}")]
    Slow(Duration),
    #[error("the connection was lost")]
    Lost,
    #[error("the host is not a valid certificate name")]
    NoServerName,
    #[error("{0}")]
    Refused(Arc<str>),
}

impl Failure {
    /// Omits the server's own text: it may quote what was sent.
    pub(super) fn from_redis(error: &RedisError) -> Self {
        if error.is_io_error() {
            return Self::Lost;
        }
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::Refused("the login was refused; check user name and password".into());
        }
        let (code, advice) = match error.code() {
            Some(code @ ("WRONGPASS" | "NOAUTH")) => (code, "; check user name and password"),
            Some(code @ "NOPERM") => {
                (code, "; allow the user the commands that `RedisStore` names, for its keys")
            }
            Some(code @ "OOM") => (code, "; the server is full: give it more `maxmemory`"),
            Some(code @ "MISCONF") => (code, "; the server cannot save: see its log"),
            Some(code @ "LOADING") => (code, "; the server is starting"),
            Some(code @ ("READONLY" | "MASTERDOWN")) => {
                (code, "; this is a replica: name the server that is written to")
            }
            Some(code @ ("MOVED" | "ASK" | "CLUSTERDOWN")) => {
                (code, "; this is a node of a cluster: name a proxy that speaks for the cluster")
            }
            Some(code) => (code, ""),
            None => {
                let kind = error.category();
                return Self::Refused(format!("invalid response ({kind})").into());
            }
        };
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        Self::Refused(format!("the server returned {code}{advice}").into())
    }
}
