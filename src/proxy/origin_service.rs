//! The service of a rule: an HTTP origin, a fixed status, or the built-in page.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::StatusCode;
use http::uri::Authority;

use super::rule_error::IngressRuleError;

/// The service that responds to the requests of a rule.
///
/// Read from the same texts as cloudflared's `service:`:
///
/// | text | meaning |
/// | --- | --- |
/// | `http://host:port`, `https://host:port` | an origin over TCP; ports default to 80 and 443 |
/// | `ws://host:port`, `wss://host:port` | the same two |
/// | `unix:/path`, `unix+tls:/path` | an origin on a Unix socket |
/// | `http_status:404` | that status and no body |
/// | `hello_world` | a small built-in page |
///
/// # Example
///
/// ```
/// use tower_access::proxy::OriginService;
///
/// let service: OriginService = "https://grafana.internal:3000".parse()?;
/// assert!(service.is_encrypted());
/// assert!("ssh://host".parse::<OriginService>().is_err());
/// # Ok::<(), tower_access::proxy::IngressRuleError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginService(Kind);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Kind {
    Origin { tls: bool, address: Address },
    Status(StatusCode),
    HelloWorld,
}

/// A borrowed view of an [`OriginService`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    Origin { tls: bool, address: &'a Address },
    Status(StatusCode),
    HelloWorld,
}

/// The address of an origin.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Address {
    /// Host (an IPv6 address in brackets) and port.
    Tcp { host: String, port: u16 },
    /// The path of a socket.
    Unix(PathBuf),
}

impl OriginService {
    /// Returns whether the connection to the origin uses TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.0, Kind::Origin { tls: true, .. })
    }

    pub(super) fn target(&self) -> Target<'_> {
        match &self.0 {
            Kind::Origin { tls, address } => Target::Origin { tls: *tls, address },
            Kind::Status(status) => Target::Status(*status),
            Kind::HelloWorld => Target::HelloWorld,
        }
    }
}

impl FromStr for OriginService {
    type Err = IngressRuleError;

    /// Parses a service of a configuration file.
    ///
    /// # Errors
    ///
    /// If the address or the status is invalid, or this proxy does not support the kind of service.
    fn from_str(text: &str) -> Result<Self, IngressRuleError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(false, path);
        }
        if let Some(path) = text.strip_prefix("unix+tls:") {
            return unix(true, path);
        }
        if let Some(status) = text.strip_prefix("http_status:") {
            return fixed_status(status);
        }
        match text {
            "hello_world" | "hello-world" => return Ok(Self(Kind::HelloWorld)),
            "bastion" | "socks-proxy" => {
                return Err(IngressRuleError::UnsupportedService(text.to_owned()));
            }
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(IngressRuleError::InvalidAddress);
        };
        match scheme.to_ascii_lowercase().as_str() {
            "" => Err(IngressRuleError::InvalidAddress),
            "http" | "ws" => tcp(false, rest),
            "https" | "wss" => tcp(true, rest),
            other => Err(IngressRuleError::UnsupportedService(other.to_owned())),
        }
    }
}

impl fmt::Display for OriginService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Origin { tls, address: Address::Tcp { host, port } } => {
                write!(f, "http{}://{host}:{port}", if *tls { "s" } else { "" })
            }
            Kind::Origin { tls, address: Address::Unix(path) } => {
                write!(f, "unix{}:{}", if *tls { "+tls" } else { "" }, path.display())
            }
            Kind::Status(status) => write!(f, "http_status:{}", status.as_str()),
            Kind::HelloWorld => f.write_str("hello_world"),
        }
    }
}

fn unix(tls: bool, path: &str) -> Result<OriginService, IngressRuleError> {
    if path.is_empty() {
        return Err(IngressRuleError::InvalidAddress);
    }
    Ok(OriginService(Kind::Origin { tls, address: Address::Unix(Path::new(path).to_owned()) }))
}

fn fixed_status(text: &str) -> Result<OriginService, IngressRuleError> {
    let status =
        StatusCode::from_bytes(text.as_bytes()).map_err(|_| IngressRuleError::InvalidStatus)?;
    if status.is_informational() {
        return Err(IngressRuleError::InformationalStatus);
    }
    Ok(OriginService(Kind::Status(status)))
}

fn tcp(tls: bool, rest: &str) -> Result<OriginService, IngressRuleError> {
    if rest.contains(['/', '?', '#']) && !rest.starts_with(['/', '?', '#']) {
        return Err(IngressRuleError::PathInService);
    }
    let authority: Authority = rest.parse().map_err(|_| IngressRuleError::InvalidAddress)?;
    let host = authority.host();
    let port = match authority.port_u16() {
        Some(0) => return Err(IngressRuleError::InvalidAddress),
        Some(port) => port,
        None if authority.as_str().len() == host.len() => {
            if tls {
                443
            } else {
                80
            }
        }
        // A user name, or a port that is not a number.
        None => return Err(IngressRuleError::InvalidAddress),
    };
    if host.is_empty() || rest.contains('@') {
        return Err(IngressRuleError::InvalidAddress);
    }
    Ok(OriginService(Kind::Origin {
        tls,
        address: Address::Tcp { host: host.to_ascii_lowercase(), port },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<OriginService>().unwrap().to_string()
    }

    fn refused(text: &str) -> IngressRuleError {
        text.parse::<OriginService>().unwrap_err()
    }

    #[test]
    fn reads_every_supported_service() {
        assert_eq!(shown("http://localhost:8080"), "http://localhost:8080");
        assert_eq!(shown("http://localhost"), "http://localhost:80");
        assert_eq!(shown("HTTPS://Host"), "https://host:443");
        assert_eq!(shown("ws://h:1"), "http://h:1");
        assert_eq!(shown("wss://[::1]:2"), "https://[::1]:2");
        assert_eq!(shown("unix:/run/a.sock"), "unix:/run/a.sock");
        assert_eq!(shown("unix+tls:/run/a.sock"), "unix+tls:/run/a.sock");
        assert_eq!(shown("http_status:404"), "http_status:404");
        assert_eq!(shown("http_status:999"), "http_status:999");
        assert_eq!(shown("hello-world"), "hello_world");
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong() {
        for text in [
            "",
            "localhost:8080",
            "http://",
            "http:///x",
            "http://:80",
            "http://h:0",
            "http://h:",
            "http://u@h",
            "unix:",
        ] {
            assert!(matches!(refused(text), IngressRuleError::InvalidAddress), "{text}");
        }
        assert!(matches!(refused("http://h/"), IngressRuleError::PathInService));
        assert!(matches!(refused("http://h:1/a?b"), IngressRuleError::PathInService));
        for text in ["http_status:", "http_status:99", "http_status:1000", "http_status:abc"] {
            assert!(matches!(refused(text), IngressRuleError::InvalidStatus), "{text}");
        }
        assert!(matches!(refused("http_status:101"), IngressRuleError::InformationalStatus));
    }

    #[test]
    fn other_services_are_refused_by_name() {
        for (text, name) in [
            ("tcp://h:1", "tcp"),
            ("ssh://h", "ssh"),
            ("rdp://h", "rdp"),
            ("smb://h", "smb"),
            ("bastion", "bastion"),
            ("socks-proxy", "socks-proxy"),
        ] {
            let IngressRuleError::UnsupportedService(found) = refused(text) else {
                panic!("{text}")
            };
            assert_eq!(found, name);
        }
    }
}
