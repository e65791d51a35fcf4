//! Limits on requests for mail and on guesses.
//!
//! Counting does not depend on whether the address may log in, so responses do not disclose that.
//! Others' requests never block a login: over a limit on guesses codes get longer ([`guesses`]), over a
//! limit on mail logins share a code ([`mails`]). Only a browser that itself requests too many codes
//! has to wait.
//!
//! Counters have a fixed number of buckets, 65,536 of each kind, so counting never runs out of room.
//! Names that share a bucket are counted together; the master secret determines which. Under a flood
//! that fills all buckets, each limit is raised by twice the average count of all buckets, so that
//! nobody exceeds a limit because of others.

pub(super) mod guesses;
pub(super) mod known_networks;
pub(super) mod mails;

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;

use crate::clock::Timestamp;
use crate::random::to_hex;
use crate::secret::tag;
use crate::store::{Store, StoreError};

/// The error of a request over a limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateLimited {
    pub(super) retry_after: Duration,
}

/// The counters in the store, at one time.
#[derive(Clone, Copy)]
pub(super) struct Counters<'a> {
    pub(super) store: &'a dyn Store,
    /// Hides the names of counters.
    pub(super) key: &'a hmac::Key,
    pub(super) now: Timestamp,
}

/// One counter and its limit.
#[derive(Clone, Copy)]
struct Limit<'a> {
    kind: &'static str,
    name: &'a str,
    most: u64,
    window: Duration,
    /// The most that a bucket may take over its limit.
    max_allowance: u64,
    /// The allowance for names that share a bucket by chance, once many are counted.
    slack: u64,
}

impl<'a> Limit<'a> {
    fn new(kind: &'static str, name: &'a str, most: u32, window: Duration) -> Self {
        let most = u64::from(most);
        Self { kind, name, most, window, max_allowance: MAX_ALLOWANCE, slack: 0 }
    }

    /// For attempts, which others must not use up.
    fn strict(self) -> Self {
        Self { max_allowance: u64::MAX, slack: SLACK, ..self }
    }
}

impl Counters<'_> {
    /// Counts once, with an allowance for other names in the bucket.
    ///
    /// Windows begin at multiples of their length: all buckets of a kind and their sum are reset
    /// together.
    async fn count(&self, limit: Limit<'_>) -> Result<Result<(), RateLimited>, StoreError> {
        let (left, sum) = (self.left(limit.window), format!("{}/all", limit.kind));
        let count = self.store.count(&self.bucket(&limit), 1, left).await?;
        if count > limit.most && count > limit.most.saturating_add(self.allowance(&limit).await?) {
            return Ok(Err(RateLimited { retry_after: left }));
        }
        // A refused request counts only for its bucket, so one network cannot raise the limit.
        self.store.count(&sum, 1, left).await?;
        Ok(Ok(()))
    }

    /// Counts once, with an exclusive counter. While there is no room for more counters, nothing is
    /// refused. This is for limits that block a client: with buckets, an attacker who fills chosen ones
    /// would block all who share them.
    async fn count_alone(&self, limit: Limit<'_>) -> Result<Result<(), RateLimited>, StoreError> {
        let left = self.left(limit.window);
        let name = to_hex(tag(self.key, &[limit.name.as_bytes()]).as_ref());
        let own = format!("{}/{}", limit.kind, name.get(..NAME_DIGITS).unwrap_or_default());
        if self.store.count(&own, 0, left).await? == 0
            && !self.has_room(limit.kind, limit.window).await?
        {
            return Ok(Ok(()));
        }
        let count = self.store.count(&own, 1, left).await?;
        Ok(if count > limit.most { Err(RateLimited { retry_after: left }) } else { Ok(()) })
    }

    /// Counts once, without a limit.
    async fn note(&self, limit: Limit<'_>) -> Result<(), StoreError> {
        let left = self.left(limit.window);
        self.store.count(&self.bucket(&limit), 1, left).await?;
        self.store.count(&format!("{}/all", limit.kind), 1, left).await?;
        Ok(())
    }

    /// Returns the count, without the allowance for other names in the bucket.
    async fn counted(&self, limit: Limit<'_>) -> Result<u64, StoreError> {
        let count = self.store.count(&self.bucket(&limit), 0, limit.window).await?;
        if count == 0 {
            return Ok(0);
        }
        Ok(count.saturating_sub(self.allowance(&limit).await?))
    }

    /// Returns twice the average count of the kind's buckets, plus the slack.
    async fn allowance(&self, limit: &Limit<'_>) -> Result<u64, StoreError> {
        let sum = self.store.count(&format!("{}/all", limit.kind), 0, limit.window).await?;
        let slack = if sum >= CROWDED { limit.slack } else { 0 };
        Ok((sum.saturating_mul(2) / BUCKETS).min(limit.max_allowance).saturating_add(slack))
    }

    fn bucket(&self, limit: &Limit<'_>) -> String {
        let name = to_hex(tag(self.key, &[limit.name.as_bytes()]).as_ref());
        format!("{}/{}", limit.kind, name.get(..BUCKET_DIGITS).unwrap_or_default())
    }

    /// Returns the rest of the current window, which began at a multiple of its length.
    fn left(&self, window: Duration) -> Duration {
        let gone = self.now.as_unix_seconds() % window.as_secs().max(1);
        window.saturating_sub(Duration::from_secs(gone))
    }

    /// Counts one more record of a kind that strangers can create. Returns `false` if half an hour has
    /// too many, so that this one must not be written.
    pub(super) async fn may_record(&self, kind: &'static str) -> Result<bool, StoreError> {
        self.has_room(kind, 30 * MINUTE).await
    }

    /// The same for records that live for one window.
    async fn has_room(&self, kind: &str, window: Duration) -> Result<bool, StoreError> {
        let left = self.left(window);
        Ok(self.store.count(&format!("records/{kind}"), 1, left).await? <= MAX_RECORDS)
    }

    /// Counts one more long return target. Returns `false` if the window or this network has too many,
    /// so that this one must not be stored.
    pub(super) async fn may_store_target(
        &self,
        network: Option<IpAddr>,
    ) -> Result<bool, StoreError> {
        let network = network.and_then(|address| Networks::new(Some(address)).narrow);
        let name = network.as_deref().unwrap_or("unknown");
        let of_network = Limit::new("target-by-network", name, TARGETS_OF_NETWORK, TARGET_WINDOW);
        if self.count(of_network).await?.is_err() {
            return Ok(false);
        }
        let left = self.left(TARGET_WINDOW);
        Ok(self.store.count("records/return-target", 1, left).await? <= MAX_TARGETS)
    }

    /// Counts one attempt at a code. Returns the number of attempts, including this one.
    ///
    /// Each code has its own counter. If too many codes are tried for that, they share 65,536 counters,
    /// and each code has more attempts. The daily limit on guesses does not depend on it.
    pub(super) async fn count_attempt(
        &self,
        code: &str,
        lifetime: Duration,
    ) -> Result<u64, StoreError> {
        let own = format!("{ATTEMPT}/{code}");
        if self.store.count(&own, 0, lifetime).await? > 0 || self.may_record(ATTEMPT).await? {
            return self.store.count(&own, 1, lifetime).await;
        }
        let shared = Limit::new("pin-attempt-shared", code, 0, 15 * MINUTE).strict();
        self.note(shared).await?;
        Ok(self.counted(shared).await?.max(1))
    }

    /// Returns the number of attempts at a code.
    pub(super) async fn attempts(&self, code: &str) -> Result<u64, StoreError> {
        self.store.count(&format!("{ATTEMPT}/{code}"), 0, MINUTE).await
    }

    /// Counts one login with an account at a provider: each leaves a session, whether or not a policy lets
    /// the user in.
    pub(super) async fn count_login(
        &self,
        method: &str,
        subject: &str,
    ) -> Result<Result<(), RateLimited>, StoreError> {
        let account = format!("{}/{method}/{subject}", method.len());
        let limit = Limit::new("login-by-account", &account, 300, DAY);
        let count = self.store.count(&self.bucket(&limit), 1, limit.window).await?;
        let too_often = RateLimited { retry_after: HOUR };
        Ok(if count > limit.most { Err(too_often) } else { Ok(()) })
    }

    /// Counts one return from the login to an application: each creates a record for a minute.
    pub(super) async fn count_grant(
        &self,
        session: &str,
    ) -> Result<Result<(), RateLimited>, StoreError> {
        let limit = Limit::new("grant-by-session", session, 120, MINUTE);
        let count = self.store.count(&self.bucket(&limit), 1, limit.window).await?;
        let too_often = RateLimited { retry_after: limit.window };
        Ok(if count > limit.most { Err(too_often) } else { Ok(()) })
    }
}

/// An IPv4 address with its /24, or an IPv6 /64 with its /48. Requests without a known address have no
/// narrow network, and share a wide one.
struct Networks {
    narrow: Option<String>,
    wide: String,
}

impl Networks {
    fn new(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => {
                let [a, b, c, _] = address.octets();
                Self { narrow: Some(address.to_string()), wide: format!("{a}.{b}.{c}") }
            }
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Self {
                    narrow: Some(format!("{a:x}:{b:x}:{c:x}:{d:x}")),
                    wide: format!("{a:x}:{b:x}:{c:x}"),
                }
            }
            None => {
                tracing::warn!("the client's address is unknown: all clients share one limit");
                Self { narrow: None, wide: "unknown".to_owned() }
            }
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// 16^4 buckets of each kind.
const BUCKET_DIGITS: usize = 4;
const BUCKETS: u64 = 65_536;
/// Limits that do not block stay near their setting.
const MAX_ALLOWANCE: u64 = 100;
/// By the Poisson distribution, fewer than one in a billion names share a full bucket by chance.
const SLACK: u64 = 8;
const CROWDED: u64 = 1_000;
/// Sixteen bytes.
const NAME_DIGITS: usize = 32;
/// Records live as long as their window: two adjacent windows can have twice as many.
const MAX_RECORDS: u64 = 30_000;
const ATTEMPT: &str = "pin-attempt";
/// The window in which long return targets are counted.
pub(super) const TARGET_WINDOW: Duration = Duration::from_secs(1_800);
/// Each has up to 8 KiB, and lives for up to five windows.
const MAX_TARGETS: u64 = 1_024;
const TARGETS_OF_NETWORK: u32 = 128;

#[cfg(test)]
mod tests;
