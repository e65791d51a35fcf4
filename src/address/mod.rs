//! The address of the client.
//!
//! The address of a client is the address of the TCP peer, unless that peer is a proxy named as
//! trusted; only then does `X-Forwarded-For` count, read from the right. Anything that cannot be
//! read gives an *unknown* address, never a guess. This module does not depend on services or
//! policies.

mod country;
mod forwarding;

use std::net::IpAddr;

use http::HeaderMap;
use http::header::HeaderName;
pub use ipnet::IpNet;

pub use self::country::{Country, CountryError};
pub(crate) use self::forwarding::IgnoredForwarding;
#[cfg(all(feature = "config", feature = "proxy"))]
pub(crate) use self::forwarding::IgnoredPeer;

/// The address of the TCP peer, as a request extension.
///
/// The code that accepts connections inserts it. Under axum's
/// `into_make_service_with_connect_info::<SocketAddr>()` it is not needed: that address is
/// used if the feature `axum` is enabled.
///
/// Without it, as on a Unix socket, the address is unknown: headers are ignored, and no rule
/// about networks or countries allows access.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct PeerAddress(pub IpAddr);

/// The networks whose `X-Forwarded-For` is trusted. Empty by default.
///
/// ```
/// use tower_access::address::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?])?;
/// assert!(proxies.contains("10.1.2.3".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Creates a set of trusted networks.
    ///
    /// # Errors
    ///
    /// If a network is the whole Internet (`0.0.0.0/0`, `::/0`): then any client could choose
    /// its own address.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Result<Self, TrustedProxiesError> {
        let networks: Vec<IpNet> = networks.into_iter().collect();
        if networks.iter().any(|network| network.prefix_len() == 0) {
            return Err(TrustedProxiesError);
        }
        Ok(Self(networks))
    }

    /// Returns whether the peer is in one of the networks.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

/// The error for trusted proxies that include every address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a trusted proxy network of /0 lets every client choose its own address; name the proxies")]
pub struct TrustedProxiesError;

/// Returns the client's address: the peer's, or the one a trusted peer forwards. `None` means
/// *unknown*.
///
/// IPv4 addresses written as IPv6 (`::ffff:192.0.2.7`) become IPv4.
///
/// ```
/// use http::HeaderMap;
/// use tower_access::address::{TrustedProxies, client_address};
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "192.0.2.7".parse()?);
/// let peer = Some("203.0.113.9".parse()?);
/// // No proxy is trusted, so the header is ignored.
/// assert_eq!(client_address(peer, &headers, &TrustedProxies::default()), peer);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn client_address(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    trusted: &TrustedProxies,
) -> Option<IpAddr> {
    let peer = peer?.to_canonical();
    if !trusted.contains(peer) {
        return Some(peer);
    }
    let mut hops = 0_usize;
    for line in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for entry in line.to_str().ok()?.rsplit(',') {
            hops += 1;
            if hops > MAX_HOPS {
                return None;
            }
            let address = forwarded_entry(entry)?;
            if !trusted.contains(address) {
                return Some(address);
            }
        }
    }
    // Only trusted proxies: the first of them omitted the client, or a client made it do so.
    None
}

/// Reads the address in an entry, written with or without a port and, for IPv6, brackets.
pub(crate) fn forwarded_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let bare = entry.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|socket| socket.ip());
    let bracketed = || {
        entry
            .strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<std::net::Ipv6Addr>()
            .ok()
            .map(IpAddr::V6)
    };
    bare.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The maximum number of hops; longer chains are an attack.
pub(crate) const MAX_HOPS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in lines {
            map.append(X_FORWARDED_FOR, line.parse().unwrap());
        }
        map
    }

    fn through_proxy(lines: &[&str]) -> Option<IpAddr> {
        let trusted = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]).unwrap();
        client_address(Some("10.0.0.1".parse().unwrap()), &headers(lines), &trusted)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn ip_02_trusting_everybody_is_refused() {
        assert!(TrustedProxies::new(["0.0.0.0/0".parse().unwrap()]).is_err());
        assert!(TrustedProxies::new(["::/0".parse().unwrap()]).is_err());
    }

    #[test]
    fn ip_03_what_cannot_be_read_is_unknown() {
        for line in
            ["a", "", "unknown", "_hidden", "1.1.1.1:99999", "[::1", "010.0.0.1", "1.1.1.1,"]
        {
            assert_eq!(through_proxy(&[line]), None, "{line}");
        }
        assert_eq!(through_proxy(&[&"10.0.0.2,".repeat(5_000)]), None);
    }

    #[test]
    fn ip_05_a_mapped_address_is_its_ipv4_self() {
        assert_eq!(through_proxy(&["::ffff:192.0.2.7"]), ip("192.0.2.7"));
        let peer = ip("::ffff:192.0.2.7");
        let nobody = TrustedProxies::default();
        assert_eq!(client_address(peer, &HeaderMap::new(), &nobody), ip("192.0.2.7"));
    }

    #[test]
    fn ip_06_hops_are_counted_from_the_right_over_all_lines() {
        assert_eq!(through_proxy(&["1.1.1.1", "2.2.2.2, 10.0.0.9"]), ip("2.2.2.2"));
        assert_eq!(through_proxy(&["6.6.6.6, 2.2.2.2"]), ip("2.2.2.2"));
        assert_eq!(through_proxy(&["10.0.0.5"]), None);
        assert_eq!(through_proxy(&[]), None);
    }

    #[test]
    fn ports_and_brackets_are_read() {
        assert_eq!(through_proxy(&["192.0.2.7:4711"]), ip("192.0.2.7"));
        assert_eq!(through_proxy(&["[2001:db8::1]:443"]), ip("2001:db8::1"));
        assert_eq!(through_proxy(&["[2001:db8::1]"]), ip("2001:db8::1"));
    }
}
