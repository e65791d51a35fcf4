//! The public port and scheme of hosts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use super::destination::Destination;
use super::host::CanonicalHost;
use super::host_pattern::HostPattern;

/// The public ports of hosts, if other than 443.
///
/// Every generated URL has this port: redirects to the login and back, forms, links, the `iss` of tokens,
/// and the origins whose pages count as the host's own. Only the configuration sets it; the port of a
/// request is ignored. Requests are matched to applications whatever their port, and cookies ignore ports.
///
/// ```
/// use tower_access::application::PublicAddresses;
///
/// let addresses = PublicAddresses::with_port(8443)?.with_host_port("login.example.com", 443)?;
/// assert_eq!(addresses.port_for(&"wiki.example.com".parse()?), Some(8443));
/// assert_eq!(addresses.port_for(&"login.example.com".parse()?), Some(443));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The issuer of tokens
///
/// If a port is set for the host that runs the login, the issuer is its whole URL, as
/// `https://login.example.com:8443`; otherwise it is `https://login.example.com`. Clients that build the
/// issuer from the team name do not support ports: they need 443. Changing the port changes the issuer, so
/// all users log in again, and their `sub` changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PublicAddresses {
    port: Option<NonZeroU16>,
    hosts: BTreeMap<Box<str>, NonZeroU16>,
    /// Hosts with wildcards, the longest first.
    patterns: Vec<(HostPattern, NonZeroU16)>,
    http_on_loopback: bool,
}

impl PublicAddresses {
    /// Returns the default addresses: `https` on port 443.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns addresses with one port for all hosts.
    ///
    /// # Errors
    ///
    /// If the port is 0.
    pub fn with_port(port: u16) -> Result<Self, PublicAddressError> {
        Ok(Self { port: Some(number(port)?), ..Self::default() })
    }

    /// Sets the port of a host, or of the hosts of a pattern such as `*.example.com`. The most specific one
    /// wins, and each wins over the port for all hosts.
    ///
    /// # Errors
    ///
    /// If the port is 0, or the text is not a host.
    pub fn with_host_port(mut self, host: &str, port: u16) -> Result<Self, PublicAddressError> {
        let port = number(port)?;
        let refuse = || PublicAddressError::Host(host.chars().take(80).collect());
        // A port in the host would be ignored.
        if host.contains('/') || Destination::from_domain(host).is_err() {
            return Err(refuse());
        }
        let pattern: HostPattern = host.parse().map_err(|_| refuse())?;
        if pattern.is_exact() {
            self.hosts.insert(pattern.text().into(), port);
            return Ok(self);
        }
        self.patterns.retain(|(known, _)| *known != pattern);
        self.patterns.push((pattern, port));
        self.patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.text().len()));
        Ok(self)
    }

    /// Uses `http` for hosts that are loopback addresses (127.0.0.0/8, `[::1]`), as for `localhost` and names
    /// below it. Building an engine with any other host then fails: without TLS, anyone on the network path
    /// could read sessions.
    ///
    /// Cookies of these addresses are still `Secure`, which most browsers accept from loopback addresses
    /// without TLS; Safari does not.
    #[must_use]
    pub fn with_insecure_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Returns the port that is set for a host.
    #[must_use]
    pub fn port_for(&self, host: &CanonicalHost) -> Option<u16> {
        let name = host.as_str();
        let own = || self.hosts.get(name).copied();
        let of_pattern = || {
            self.patterns.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, port)| *port)
        };
        let port = match self.hosts.is_empty() && self.patterns.is_empty() {
            true => self.port,
            false => own().or_else(of_pattern).or(self.port),
        };
        port.map(NonZeroU16::get)
    }

    /// Returns whether a host is reached without TLS.
    pub(crate) fn is_http(&self, host: &CanonicalHost) -> bool {
        host.is_localhost() || self.http_on_loopback && is_loopback(host.as_str())
    }

    /// Returns whether a port or scheme is set for a host.
    pub(crate) fn is_configured(&self, host: &CanonicalHost) -> bool {
        self.port_for(host).is_some() || self.http_on_loopback && self.is_http(host)
    }

    /// Returns whether nothing is set.
    #[cfg(feature = "config")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that every host with its own port is one of the engine's hosts, and that all of those are
    /// loopback hosts if `http` is used.
    pub(crate) fn check<'a>(
        &self,
        destinations: impl Iterator<Item = &'a Destination> + Clone,
        others: &[&CanonicalHost],
    ) -> Result<(), PublicAddressError> {
        let is_known_name = |name: &str| {
            others.iter().any(|host| host.as_str() == name)
                || destinations.clone().any(|destination| destination.matches_host(name))
        };
        if let Some(name) = self.hosts.keys().find(|name| !is_known_name(name)) {
            return Err(PublicAddressError::UnknownHost(name.clone()));
        }
        let is_known_pattern = |pattern: &HostPattern| {
            others.iter().any(|host| pattern.matches(host.as_str()))
                || destinations.clone().any(|destination| match destination.exact_host() {
                    Some(name) => pattern.matches(name),
                    // Wildcards are not compared with each other.
                    None => true,
                })
        };
        if let Some((pattern, _)) = self.patterns.iter().find(|(it, _)| !is_known_pattern(it)) {
            return Err(PublicAddressError::UnknownHost(pattern.text().into()));
        }
        if !self.http_on_loopback {
            return Ok(());
        }
        let hosts = destinations.map(|destination| destination.host().text());
        let mut hosts = hosts.chain(others.iter().map(|host| host.as_str()));
        match hosts.find(|host| !is_loopback(host)) {
            None => Ok(()),
            Some(host) => Err(PublicAddressError::NotLoopback(host.into())),
        }
    }
}

/// Returns whether a host, or every host of a pattern, is always this machine.
fn is_loopback(host: &str) -> bool {
    let is_localhost = host == "localhost" || host.ends_with(".localhost");
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    is_localhost
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || address.is_some_and(|it| it.parse() == Ok(Ipv6Addr::LOCALHOST))
}

fn number(port: u16) -> Result<NonZeroU16, PublicAddressError> {
    NonZeroU16::new(port).ok_or(PublicAddressError::Port)
}

/// Invalid public addresses.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicAddressError {
    /// Port 0.
    #[error("port 0 cannot be reached: write the public port, 1 to 65535")]
    Port,
    /// A text that is not a host, or has a port or a path.
    #[error(
        "`{0}` is not a host: write `wiki.example.com` or `*.example.com`, without port and path"
    )]
    Host(Box<str>),
    /// A port for an unknown host.
    #[error(
        "`{0}` is neither a host of an application nor the host of the login: correct or remove it"
    )]
    UnknownHost(Box<str>),
    /// `http` for a host that is reached over a network.
    #[error(
        "`{0}` is reached over a network: without TLS anyone on the network path could read its \
         sessions, and browsers refuse its cookies; http is only for `localhost`, names below it, \
         127.0.0.1 and [::1]"
    )]
    NotLoopback(Box<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(addresses: &PublicAddresses, host: &str) -> Option<u16> {
        addresses.port_for(&host.parse().unwrap())
    }

    #[test]
    fn the_most_specific_port_counts() {
        let addresses = PublicAddresses::with_port(1)
            .and_then(|it| it.with_host_port("*.example.com", 2))
            .and_then(|it| it.with_host_port("*.b.example.com", 3))
            .and_then(|it| it.with_host_port("A.example.com.", 4))
            .and_then(|it| it.with_host_port("[2001:DB8::1]", 5))
            .unwrap();
        for (host, number) in [
            ("other.example", 1),
            ("c.example.com", 2),
            ("x.b.example.com", 3),
            ("a.example.com", 4),
            ("[2001:db8::1]", 5),
        ] {
            assert_eq!(port(&addresses, host), Some(number), "{host}");
        }
        assert_eq!(port(&PublicAddresses::new(), "a.example.com"), None);
        let replaced = addresses.with_host_port("*.example.com", 9).unwrap();
        assert_eq!(port(&replaced, "c.example.com"), Some(9));
    }

    #[test]
    fn what_is_no_host_or_no_port_is_refused() {
        assert!(PublicAddresses::with_port(0).is_err());
        for host in ["", "a.example:443", "a.example/x", "https://a.example", "*", "a b", "[::1]:1"]
        {
            assert!(PublicAddresses::new().with_host_port(host, 443).is_err(), "{host}");
        }
        assert!(PublicAddresses::new().with_host_port("a.example", 0).is_err());
    }

    #[test]
    fn http_is_for_loopback_alone() {
        let check = |destination: &str, other: &str| {
            let destination: Destination = destination.parse().unwrap();
            let other: CanonicalHost = other.parse().unwrap();
            let addresses = PublicAddresses::new().with_insecure_http_on_loopback();
            addresses.check([&destination].into_iter(), &[&other])
        };
        for host in ["localhost", "a.localhost", "*.localhost", "127.0.0.1", "127.8.8.8/x", "[::1]"]
        {
            assert_eq!(check(host, "localhost"), Ok(()), "{host}");
        }
        for host in [
            "a.example",
            "*localhost",
            "localhost.example",
            "127.0.0.1.example",
            "127.0.0.*",
            "192.168.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fe80::1]",
        ] {
            let refused = check(host, "localhost");
            assert!(matches!(refused, Err(PublicAddressError::NotLoopback(_))), "{host}");
        }
        assert!(check("localhost", "login.example").is_err());
    }

    #[test]
    fn hosts_with_a_port_of_their_own_are_known() {
        let check = |host: &str| {
            let destination: Destination = "wiki.example.com/docs".parse().unwrap();
            let team: CanonicalHost = "login.example.com".parse().unwrap();
            let addresses = PublicAddresses::new().with_host_port(host, 8443).unwrap();
            addresses.check([&destination].into_iter(), &[&team])
        };
        for host in ["wiki.example.com", "login.example.com", "*.example.com"] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in ["wki.example.com", "*.example.org", "example.com"] {
            assert!(check(host).is_err(), "{host}");
        }
    }
}
