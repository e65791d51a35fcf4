//! How often mail may be asked for, and codes be guessed.
//!
//! Counted for whoever asks, whether the address may log in or not, so that no answer tells anything.
//! Nothing here closes the login to somebody because of what others do: over a limit on guesses codes
//! get longer ([`guesses`]), over a limit on mail logins share a code ([`mails`]). Only a browser that
//! asks again and again is told to wait.
//!
//! Counters are kept in a fixed number of buckets: 65,536 of each kind, so counting never runs out
//! of room. Names that share a bucket are counted together; which do, only the master secret tells.
//! Where so much is counted that strangers alone would fill every bucket, a limit is as much higher
//! as what all buckets hold on average, twice: nobody is taken for a nuisance because others are one.

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

/// Asked too often; to be tried again after so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooOften {
    pub(super) retry_after: Duration,
}

/// Where it is counted, and when.
#[derive(Clone, Copy)]
pub(super) struct Counters<'a> {
    pub(super) store: &'a dyn Store,
    /// Under which names are written down.
    pub(super) key: &'a hmac::Key,
    pub(super) now: Timestamp,
}

/// One counter and how far it may go.
#[derive(Clone, Copy)]
struct Limit<'a> {
    kind: &'static str,
    name: &'a str,
    most: u64,
    window: Duration,
    /// However much is counted, one bucket takes so much over its limit and no more.
    most_allowance: u64,
    /// So much more as soon as so many are counted that some share a bucket by chance.
    slack: u64,
}

impl<'a> Limit<'a> {
    fn new(kind: &'static str, name: &'a str, most: u32, window: Duration) -> Self {
        let most = u64::from(most);
        Self { kind, name, most, window, most_allowance: MOST_ALLOWANCE, slack: 0 }
    }

    /// One that uses up attempts, which others must not be the cause of.
    fn that_refuses(self) -> Self {
        Self { most_allowance: u64::MAX, slack: SLACK, ..self }
    }
}

impl Counters<'_> {
    /// Counts once, with allowance for what others leave in the bucket.
    ///
    /// Windows begin at full multiples of their length: all buckets of a kind and their sum begin
    /// anew together.
    async fn count(&self, limit: Limit<'_>) -> Result<Result<(), TooOften>, StoreError> {
        let (left, sum) = (self.left(limit.window), format!("{}/all", limit.kind));
        let count = self.store.count(&self.bucket(&limit), 1, left).await?;
        if count > limit.most && count > limit.most.saturating_add(self.allowance(&limit).await?) {
            return Ok(Err(TooOften { retry_after: left }));
        }
        // What was refused counts for its own bucket alone: one network cannot raise the limit.
        self.store.count(&sum, 1, left).await?;
        Ok(Ok(()))
    }

    /// Counts once, by a counter that nobody else has. While there is no room for more counters
    /// nobody is refused: this is for limits that close something to somebody, and whoever may fill
    /// chosen buckets of a limit like that would close it to all who share them.
    async fn count_alone(&self, limit: Limit<'_>) -> Result<Result<(), TooOften>, StoreError> {
        let left = self.left(limit.window);
        let name = to_hex(tag(self.key, &[limit.name.as_bytes()]).as_ref());
        let own = format!("{}/{}", limit.kind, name.get(..NAME_DIGITS).unwrap_or_default());
        if self.store.count(&own, 0, left).await? == 0
            && !self.has_room(limit.kind, limit.window).await?
        {
            return Ok(Ok(()));
        }
        let count = self.store.count(&own, 1, left).await?;
        Ok(if count > limit.most { Err(TooOften { retry_after: left }) } else { Ok(()) })
    }

    /// Counts once, and refuses nothing.
    async fn note(&self, limit: Limit<'_>) -> Result<(), StoreError> {
        let left = self.left(limit.window);
        self.store.count(&self.bucket(&limit), 1, left).await?;
        self.store.count(&format!("{}/all", limit.kind), 1, left).await?;
        Ok(())
    }

    /// How much was counted, without what others leave in the bucket.
    async fn counted(&self, limit: Limit<'_>) -> Result<u64, StoreError> {
        let count = self.store.count(&self.bucket(&limit), 0, limit.window).await?;
        if count == 0 {
            return Ok(0);
        }
        Ok(count.saturating_sub(self.allowance(&limit).await?))
    }

    /// What all buckets of the kind hold on average, twice, and the slack.
    async fn allowance(&self, limit: &Limit<'_>) -> Result<u64, StoreError> {
        let sum = self.store.count(&format!("{}/all", limit.kind), 0, limit.window).await?;
        let slack = if sum >= CROWDED { limit.slack } else { 0 };
        Ok((sum.saturating_mul(2) / BUCKETS).min(limit.most_allowance).saturating_add(slack))
    }

    fn bucket(&self, limit: &Limit<'_>) -> String {
        let name = to_hex(tag(self.key, &[limit.name.as_bytes()]).as_ref());
        format!("{}/{}", limit.kind, name.get(..BUCKET_DIGITS).unwrap_or_default())
    }

    /// How long a window still lasts that began at a full multiple of its length.
    fn left(&self, window: Duration) -> Duration {
        let gone = self.now.as_unix_seconds() % window.as_secs().max(1);
        window.saturating_sub(Duration::from_secs(gone))
    }

    /// Counts one record more of a kind that strangers can cause; `false` when there are so many
    /// within half an hour that no more is to be written.
    pub(super) async fn may_record(&self, kind: &'static str) -> Result<bool, StoreError> {
        self.has_room(kind, 30 * MINUTE).await
    }

    /// The same of records that live for one window.
    async fn has_room(&self, kind: &str, window: Duration) -> Result<bool, StoreError> {
        let left = self.left(window);
        Ok(self.store.count(&format!("records/{kind}"), 1, left).await? <= MOST_RECORDS)
    }

    /// Counts one long return target more; `false` when there are so many in the window, or of this
    /// network, that no more is to be stored.
    pub(super) async fn may_store_target(
        &self,
        network: Option<IpAddr>,
    ) -> Result<bool, StoreError> {
        let network = network.and_then(|address| Networks::of(Some(address)).narrow);
        let name = network.as_deref().unwrap_or("unknown");
        let of_network = Limit::new("target-by-network", name, TARGETS_OF_NETWORK, TARGET_WINDOW);
        if self.count(of_network).await?.is_err() {
            return Ok(false);
        }
        let left = self.left(TARGET_WINDOW);
        Ok(self.store.count("records/return-target", 1, left).await? <= MOST_TARGETS)
    }

    /// Counts one attempt at a code: how many there were, this one among them.
    ///
    /// Each code has a counter of its own. While so many codes are tried that there is no room for
    /// that, they share 65,536, and each has more attempts: what a day of guesses may come to does
    /// not depend on it.
    pub(super) async fn count_attempt(
        &self,
        code: &str,
        lifetime: Duration,
    ) -> Result<u64, StoreError> {
        let own = format!("{ATTEMPT}/{code}");
        if self.store.count(&own, 0, lifetime).await? > 0 || self.may_record(ATTEMPT).await? {
            return self.store.count(&own, 1, lifetime).await;
        }
        let shared = Limit::new("pin-attempt-shared", code, 0, 15 * MINUTE).that_refuses();
        self.note(shared).await?;
        Ok(self.counted(shared).await?.max(1))
    }

    /// How many attempts at a code there were.
    pub(super) async fn attempts(&self, code: &str) -> Result<u64, StoreError> {
        self.store.count(&format!("{ATTEMPT}/{code}"), 0, MINUTE).await
    }

    /// Counts one return from the login to an application: each leaves a record for a minute.
    pub(super) async fn count_grant(
        &self,
        session: &str,
    ) -> Result<Result<(), TooOften>, StoreError> {
        let limit = Limit::new("grant-by-session", session, 120, MINUTE);
        let count = self.store.count(&self.bucket(&limit), 1, limit.window).await?;
        let too_often = TooOften { retry_after: limit.window };
        Ok(if count > limit.most { Err(too_often) } else { Ok(()) })
    }
}

/// One IPv4 address, or the IPv6 network of a customer; and the wide network around it. Requests
/// whose address is unknown have no narrow network, and share a wide one.
struct Networks {
    narrow: Option<String>,
    wide: String,
}

impl Networks {
    fn of(address: Option<IpAddr>) -> Self {
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
                tracing::warn!("the peer's address is unknown: all clients share one limit");
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
/// Where nobody is refused over a limit, it stays near what was set.
const MOST_ALLOWANCE: u64 = 100;
/// Poisson's law: with it, fewer than one in a thousand million share a full bucket by chance.
const SLACK: u64 = 8;
const CROWDED: u64 = 1_000;
/// Sixteen bytes.
const NAME_DIGITS: usize = 32;
/// Records live as long as the window they are counted in: in two windows that meet, twice as many.
const MOST_RECORDS: u64 = 30_000;
const ATTEMPT: &str = "pin-attempt";
/// Long return targets of this window are counted together.
pub(super) const TARGET_WINDOW: Duration = Duration::from_secs(1_800);
/// Each has up to 8 KiB, and lives for up to five windows.
const MOST_TARGETS: u64 = 1_024;
const TARGETS_OF_NETWORK: u32 = 128;

#[cfg(test)]
mod tests;
