//! Peers whose forwarding headers are ignored because they are not trusted.
//!
//! Behind a proxy that is not trusted, all users have the address of the proxy in rules about
//! networks, in limits and in the log. Nothing else shows that to an operator, so each such peer is
//! reported once, and counted.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use http::header::FORWARDED;

use super::X_FORWARDED_FOR;
use crate::clock::Timestamp;

/// The first peers whose `X-Forwarded-For` or `Forwarded` was ignored. It uses no lock; a request
/// without these headers costs two lookups.
#[derive(Debug, Default)]
pub(crate) struct IgnoredForwarding {
    peers: [OnceLock<Peer>; MAX_PEERS],
}

#[derive(Debug)]
#[cfg_attr(
    not(all(feature = "config", feature = "proxy")),
    allow(dead_code, reason = "without administration, only the log reports it")
)]
struct Peer {
    address: IpAddr,
    header: &'static str,
    first_at: Timestamp,
    requests: AtomicU64,
}

/// The report about one of them.
#[cfg(any(test, all(feature = "config", feature = "proxy")))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct IgnoredPeer {
    pub(crate) address: IpAddr,
    /// The header of its first request.
    pub(crate) header: &'static str,
    pub(crate) first_at: Timestamp,
    pub(crate) requests: u64,
}

impl IgnoredForwarding {
    /// Records a request of a peer that is not trusted.
    #[inline]
    pub(crate) fn note(&self, peer: IpAddr, headers: &HeaderMap, now: impl FnOnce() -> Timestamp) {
        let header = if headers.contains_key(X_FORWARDED_FOR) {
            "X-Forwarded-For"
        } else if headers.contains_key(FORWARDED) {
            "Forwarded"
        } else {
            return;
        };
        self.note_header(peer.to_canonical(), header, now);
    }

    #[cold]
    fn note_header(&self, address: IpAddr, header: &'static str, now: impl FnOnce() -> Timestamp) {
        let mut now = Some(now);
        for slot in &self.peers {
            let mut is_new = false;
            let peer = slot.get_or_init(|| {
                is_new = true;
                let first_at = now.take().map_or(Timestamp::from_unix_seconds(0), |now| now());
                Peer { address, header, first_at, requests: AtomicU64::new(0) }
            });
            if peer.address != address {
                continue;
            }
            peer.requests.fetch_add(1, Ordering::Relaxed);
            if is_new {
                tracing::warn!(
                    peer = %address, header,
                    "{header} from {address} is ignored: add it to `trusted_proxies` if it is your \
                     proxy; until then all its clients count as one"
                );
            }
            return;
        }
    }

    /// Returns the recorded peers, oldest first.
    #[cfg(any(test, all(feature = "config", feature = "proxy")))]
    pub(crate) fn peers(&self) -> Vec<IgnoredPeer> {
        let peers = self.peers.iter().map_while(OnceLock::get);
        peers
            .map(|peer| IgnoredPeer {
                address: peer.address,
                header: peer.header,
                first_at: peer.first_at,
                requests: peer.requests.load(Ordering::Relaxed),
            })
            .collect()
    }
}

/// The maximum number of recorded peers; more are probes, not a deployment.
const MAX_PEERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, "192.0.2.7".parse().unwrap());
        headers
    }

    #[test]
    fn otp_23_each_peer_is_noted_once_and_counted() {
        let ignored = IgnoredForwarding::default();
        let now = || Timestamp::from_unix_seconds(7);
        let peer: IpAddr = "10.1.2.3".parse().unwrap();
        ignored.note(peer, &headers("accept"), now);
        assert!(ignored.peers().is_empty());
        ignored.note(peer, &headers("x-forwarded-for"), now);
        ignored.note("::ffff:10.1.2.3".parse().unwrap(), &headers("forwarded"), now);
        ignored.note("10.1.2.4".parse().unwrap(), &headers("forwarded"), now);
        let [first, second] = ignored.peers()[..] else { panic!("{:?}", ignored.peers()) };
        assert_eq!((first.address, first.header, first.requests), (peer, "X-Forwarded-For", 2));
        assert_eq!(first.first_at, now());
        assert_eq!((second.header, second.requests), ("Forwarded", 1));
    }

    #[test]
    fn dos_03_strangers_fill_no_list() {
        let ignored = IgnoredForwarding::default();
        for n in 0..10_000_u32 {
            let now = || Timestamp::from_unix_seconds(7);
            ignored.note(IpAddr::from(n.to_be_bytes()), &headers("x-forwarded-for"), now);
        }
        assert_eq!(ignored.peers().len(), MAX_PEERS);
    }
}
