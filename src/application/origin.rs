//! Under which address a host is reached from outside.

use super::host::CanonicalHost;

/// Builds public addresses from configuration, never from what a request says.
///
/// `https://` and the host; for `localhost` and names below it `http://`, the host and a port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublicOrigins {
    localhost_port: u16,
}

impl PublicOrigins {
    pub(crate) fn new(localhost_port: u16) -> Self {
        Self { localhost_port }
    }

    /// The origin (RFC 6454) of a host.
    pub(crate) fn of(self, host: &CanonicalHost) -> String {
        match (host.is_localhost(), self.localhost_port) {
            (false, _) => format!("https://{host}"),
            (true, 80) => format!("http://{host}"),
            (true, port) => format!("http://{host}:{port}"),
        }
    }
}
