//! Under which port and scheme people reach the hosts.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

use super::destination::Destination;
use super::host::CanonicalHost;
use super::host_pattern::HostPattern;

/// Ports under which people reach the hosts, where it is not 443.
///
/// Every address that is made has this port: redirects to the login and back, forms, links, the `iss`
/// of tokens, and the origins whose pages count as the host's own. It is known from the configuration
/// alone; what a request says of its port counts for none of them. Requests are matched to
/// applications whatever their port, and cookies know no ports.
///
/// ```
/// use tower_access::application::PublicAddresses;
///
/// let addresses = PublicAddresses::on_port(8443)?.with_port_of("login.example.com", 443)?;
/// assert_eq!(addresses.port_of(&"wiki.example.com".parse()?), Some(8443));
/// assert_eq!(addresses.port_of(&"login.example.com".parse()?), Some(443));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The issuer of tokens
///
/// Where a port is set for the host that runs the login, the issuer is its whole address, as
/// `https://login.example.com:8443`; otherwise it is `https://login.example.com`. Clients that build
/// the issuer from the name of the team alone know no ports: they need 443. Setting another port
/// makes it another issuer, so everybody logs in again, and the `sub` of people is another one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PublicAddresses {
    port: Option<NonZeroU16>,
    hosts: BTreeMap<Box<str>, NonZeroU16>,
    /// Hosts with wildcards, the longest first.
    patterns: Vec<(HostPattern, NonZeroU16)>,
    http_on_loopback: bool,
}

impl PublicAddresses {
    /// Returns the usual addresses: `https` on port 443.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns addresses with one port for all hosts.
    ///
    /// # Errors
    ///
    /// When the port is 0.
    pub fn on_port(port: u16) -> Result<Self, PublicAddressError> {
        Ok(Self { port: Some(number(port)?), ..Self::default() })
    }

    /// Sets the port of a host, or of the hosts of a pattern such as `*.example.com`; the most
    /// specific one counts, and before the port for all hosts.
    ///
    /// # Errors
    ///
    /// When the port is 0, or the text is no host.
    pub fn with_port_of(mut self, host: &str, port: u16) -> Result<Self, PublicAddressError> {
        let port = number(port)?;
        let refuse = || PublicAddressError::Host(host.chars().take(80).collect());
        // A port in the host would be left out.
        if host.contains('/') || Destination::of_domain(host).is_err() {
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

    /// Uses `http` for hosts that are loopback addresses (127.0.0.0/8, `[::1]`), as it is used for
    /// `localhost` and names below it anyway. An engine with this takes no other hosts: over a
    /// network everybody on the way could read sessions.
    ///
    /// Cookies of these addresses are `Secure` all the same, which most browsers take from loopback
    /// addresses without TLS, and Safari does not.
    #[must_use]
    pub fn with_insecure_http_on_loopback(mut self) -> Self {
        self.http_on_loopback = true;
        self
    }

    /// Returns the port that is set for a host.
    #[must_use]
    pub fn port_of(&self, host: &CanonicalHost) -> Option<u16> {
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

    /// Whether a host is reached without TLS.
    pub(crate) fn is_http(&self, host: &CanonicalHost) -> bool {
        host.is_localhost() || self.http_on_loopback && is_loopback(host.as_str())
    }

    /// Whether anything is set for a host.
    pub(crate) fn is_configured(&self, host: &CanonicalHost) -> bool {
        self.port_of(host).is_some() || self.http_on_loopback && self.is_http(host)
    }

    /// Whether nothing is set.
    #[cfg(feature = "config")]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that the hosts with a port of their own are among those of the engine, and that all of
    /// these are loopback where `http` is used.
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
                    // Whether two wildcards have a name in common is not decided here.
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

/// Whether a host, or every host of a pattern, is always this machine.
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

/// Public addresses that cannot be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PublicAddressError {
    /// Port 0.
    #[error("nobody reaches port 0; write the port that people use, 1 to 65535")]
    Port,
    /// A text that is no host, or one with a port or a path.
    #[error("`{0}` is no host; write `wiki.example.com` or `*.example.com`, without port and path")]
    Host(Box<str>),
    /// A port of a host that is nobody's.
    #[error("`{0}` is no host of an application and does not run the login; correct or remove it")]
    UnknownHost(Box<str>),
    /// `http` for a host that is reached over a network.
    #[error(
        "`{0}` is reached over a network: without TLS everybody on the way could read its sessions, \
         and browsers refuse its cookies; http is for `localhost`, names below it, 127.0.0.1 and \
         [::1] alone"
    )]
    NotLoopback(Box<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(addresses: &PublicAddresses, host: &str) -> Option<u16> {
        addresses.port_of(&host.parse().unwrap())
    }

    #[test]
    fn the_most_specific_port_counts() {
        let addresses = PublicAddresses::on_port(1)
            .and_then(|it| it.with_port_of("*.example.com", 2))
            .and_then(|it| it.with_port_of("*.b.example.com", 3))
            .and_then(|it| it.with_port_of("A.example.com.", 4))
            .and_then(|it| it.with_port_of("[2001:DB8::1]", 5))
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
        let replaced = addresses.with_port_of("*.example.com", 9).unwrap();
        assert_eq!(port(&replaced, "c.example.com"), Some(9));
    }

    #[test]
    fn what_is_no_host_or_no_port_is_refused() {
        assert!(PublicAddresses::on_port(0).is_err());
        for host in ["", "a.example:443", "a.example/x", "https://a.example", "*", "a b", "[::1]:1"]
        {
            assert!(PublicAddresses::new().with_port_of(host, 443).is_err(), "{host}");
        }
        assert!(PublicAddresses::new().with_port_of("a.example", 0).is_err());
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
            let addresses = PublicAddresses::new().with_port_of(host, 8443).unwrap();
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
