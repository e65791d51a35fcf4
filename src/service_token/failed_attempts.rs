//! Limits wrong secrets for each client id and each network.
//!
//! Counted in a fixed number of buckets, in memory, without a lock. Two keys that share a bucket are
//! counted together: the limit may be reached early. That does not affect requests with the right
//! secret, which is checked first. Unknown client ids are counted as well, so that the limit does not
//! reveal which tokens exist.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Timestamp;

/// How a request with a wrong secret counts against the limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FailedAttempt {
    /// Below the limit: rejected and logged.
    Counted,
    /// The first one over the limit in this minute.
    LimitReached,
    /// A later one over the limit.
    OverLimit,
}

#[derive(Debug)]
pub(super) struct FailedAttempts {
    by_client_id: Box<[Bucket]>,
    by_network: Box<[Bucket]>,
    /// Keyed, so that a client cannot choose whose bucket it shares.
    hasher: RandomState,
}

/// The minute (since 1970) in the upper bits, and its count in the lower ones.
#[derive(Debug, Default)]
struct Bucket(AtomicU64);

impl FailedAttempts {
    pub(super) fn new() -> Self {
        let buckets = || (0..BUCKETS).map(|_| Bucket::default()).collect();
        Self { by_client_id: buckets(), by_network: buckets(), hasher: RandomState::new() }
    }

    /// Counts a wrong secret.
    pub(super) fn count(
        &self,
        client_id: &str,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> FailedAttempt {
        let minute = now.as_unix_seconds() / 60;
        let one = |buckets: &[Bucket], hash: u64, max| {
            let index = usize::try_from(hash % BUCKETS).unwrap_or_default();
            buckets.get(index).map_or(FailedAttempt::Counted, |bucket| bucket.count(minute, max))
        };
        let by_id = one(&self.by_client_id, self.hasher.hash_one(client_id), MAX_PER_CLIENT_ID);
        // Clients whose address is unknown do not share one limit.
        let by_network = address.map_or(FailedAttempt::Counted, |address| {
            one(&self.by_network, self.hasher.hash_one(network(address)), MAX_PER_NETWORK)
        });
        match (by_id, by_network) {
            (FailedAttempt::Counted, FailedAttempt::Counted) => FailedAttempt::Counted,
            (FailedAttempt::OverLimit, _) | (_, FailedAttempt::OverLimit) => {
                FailedAttempt::OverLimit
            }
            _ => FailedAttempt::LimitReached,
        }
    }
}

impl Bucket {
    fn count(&self, minute: u64, max: u64) -> FailedAttempt {
        let counted = |bucket: u64| match bucket >> COUNT_BITS == minute {
            true if bucket & COUNT_MASK == COUNT_MASK => bucket,
            true => bucket + 1,
            false => (minute << COUNT_BITS) | 1,
        };
        let update = |bucket| Some(counted(bucket));
        let before = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
        let count = counted(before.unwrap_or_else(|bucket| bucket)) & COUNT_MASK;
        match count.cmp(&(max + 1)) {
            std::cmp::Ordering::Less => FailedAttempt::Counted,
            std::cmp::Ordering::Equal => FailedAttempt::LimitReached,
            std::cmp::Ordering::Greater => FailedAttempt::OverLimit,
        }
    }
}

/// Returns the IPv4 address, or the IPv6 /64 network.
fn network(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => u64::try_from(address.to_bits() >> 64).unwrap_or_default(),
    }
}

const BUCKETS: u64 = 4_096;
/// A program that retries every second stays below.
const MAX_PER_CLIENT_ID: u64 = 60;
const MAX_PER_NETWORK: u64 = 300;
const COUNT_BITS: u32 = 24;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn svc_07_wrong_secrets_are_bounded_by_client_id_and_by_network() {
        let attempts = FailedAttempts::new();
        let count = |id: &str, address: &str, now| {
            attempts.count(id, Some(address.parse().unwrap()), at(now))
        };
        for number in 0..60 {
            assert_eq!(count("ci", &format!("10.0.0.{number}"), 60), FailedAttempt::Counted);
        }
        assert_eq!(count("ci", "10.0.1.1", 119), FailedAttempt::LimitReached);
        assert_eq!(count("ci", "10.0.1.2", 119), FailedAttempt::OverLimit);
        assert_eq!(count("ci", "10.0.1.3", 120), FailedAttempt::Counted);
        let over = |id: &dyn Fn(u32) -> String, address: &dyn Fn(u32) -> String| {
            let attempts = FailedAttempts::new();
            let all = (0..400).map(|number| {
                let address = address(number).parse().unwrap();
                attempts.count(&id(number), Some(address), at(60))
            });
            all.filter(|attempt| *attempt == FailedAttempt::OverLimit).count()
        };
        // Other ids from one network, an IPv6 customer's among them.
        let other = |number: u32| format!("id-{number}");
        assert!(over(&other, &|_| "192.0.2.1".to_owned()) >= 99);
        assert!(over(&other, &|number| format!("2001:db8:0:1::{number:x}")) >= 99);
        let elsewhere = |number: u32| format!("10.1.{}.{}", number / 250, number % 250);
        assert!(over(&other, &elsewhere) < 99);
    }

    #[test]
    fn dos_03_a_flood_of_client_ids_has_its_bound() {
        let attempts = FailedAttempts::new();
        for number in 0..20_000 {
            attempts.count(&format!("id-{number}"), None, at(60));
        }
        assert_eq!(attempts.by_client_id.len() + attempts.by_network.len(), 8_192);
        let bucket = Bucket(AtomicU64::new((1 << COUNT_BITS) | COUNT_MASK));
        assert_eq!(bucket.count(1, 60), FailedAttempt::OverLimit);
        assert_eq!(bucket.count(2, 60), FailedAttempt::Counted);
    }
}
