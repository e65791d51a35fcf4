//! How often mail may be asked for, and codes be guessed.
//!
//! Counted for whoever asks, whether the address may log in or not, so that a refusal tells
//! nothing. Networks are counted narrow and wide (an IPv6 customer has many), addresses within a
//! quarter of an hour and within a day, wrong codes per network and per login host over all
//! logins: whoever begins thousands of logins to guess one code each runs out of guesses.
//!
//! A browser that has logged in with an address before has counters of its own for it: a stranger
//! who uses up an address or a login host's guesses does not lock its owner out.
//!
//! Counters are kept in a fixed number of buckets: 65,536 of each kind, so counting never runs out
//! of room. Names that share a bucket are counted together. Where so much mail is asked for that
//! strangers alone would fill every bucket, a limit on mail is as much higher as what all buckets
//! hold on average, twice: nobody is kept out because others ask a lot. Each mail more that one
//! address may get that way costs whoever wants to flood it 32,768 logins from a thousand networks.

use std::net::IpAddr;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::store::{Store, StoreError};

use super::meta::hash;

/// Asked too often; to be tried again after so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooOften {
    pub(super) retry_after: Duration,
}

/// One counter and how far it may go.
struct Limit {
    kind: &'static str,
    name: String,
    most: u64,
    window: Duration,
}

impl Limit {
    fn new(kind: &'static str, name: String, most: u64, window: Duration) -> Self {
        Self { kind, name, most, window }
    }

    fn key(&self) -> String {
        let bucket = hash(&self.name).get(..BUCKET_DIGITS).unwrap_or_default().to_owned();
        format!("{}/{bucket}", self.kind)
    }

    /// Counts once, with allowance for what others leave in the bucket.
    ///
    /// Windows begin at full multiples of their length: all buckets of a kind and their sum begin
    /// anew together.
    async fn count(
        &self,
        store: &dyn Store,
        now: Timestamp,
    ) -> Result<Result<(), TooOften>, StoreError> {
        let gone = now.as_unix_seconds() % self.window.as_secs().max(1);
        let left = self.window.saturating_sub(Duration::from_secs(gone));
        let sum = format!("{}/all", self.kind);
        let count = store.count(&self.key(), 1, left).await?;
        if count > self.most {
            let average_twice = store.count(&sum, 0, left).await?.saturating_mul(2) / BUCKETS;
            if count > self.most.saturating_add(average_twice.min(MOST_ALLOWANCE)) {
                return Ok(Err(TooOften { retry_after: left }));
            }
        }
        // What was refused counts for its own bucket alone: one network cannot raise the limit.
        store.count(&sum, 1, left).await?;
        Ok(Ok(()))
    }
}

/// Counts one request for mail.
pub(super) async fn count_mail(
    store: &dyn Store,
    network: Option<IpAddr>,
    (email, device): (&str, Option<&str>),
    now: Timestamp,
) -> Result<Result<(), TooOften>, StoreError> {
    let address = format!("{email}\n{}", device.unwrap_or_default());
    let mut limits = networks(network, ["mail-by-network", "mail-by-wide-network"], [30, 300]);
    limits.push(Limit::new("mail-by-address", address.clone(), 5, 15 * MINUTE));
    limits.push(Limit::new("mail-by-address-and-day", address, 20, 24 * 60 * MINUTE));
    for limit in limits {
        if let Err(limit) = limit.count(store, now).await? {
            return Ok(Err(limit));
        }
    }
    Ok(Ok(()))
}

/// Counts one code more for a login under way, by a browser that has not logged in with this address
/// before. Each leaves a record: over all logins together there are only so many. Whoever is refused
/// begins another login, which leaves none.
pub(super) async fn count_resent(
    store: &dyn Store,
    now: Timestamp,
) -> Result<Result<(), TooOften>, StoreError> {
    let all = Limit::new("resent", String::new(), MOST_RESENT, 30 * MINUTE);
    let gone = now.as_unix_seconds() % all.window.as_secs();
    let left = all.window.saturating_sub(Duration::from_secs(gone));
    let count = store.count(&all.key(), 1, left).await?;
    Ok(if count > all.most { Err(TooOften { retry_after: left }) } else { Ok(()) })
}

/// Counts one return from the login to an application: each leaves a record for a minute.
pub(super) async fn count_grant(
    store: &dyn Store,
    session: &str,
) -> Result<Result<(), TooOften>, StoreError> {
    let limit = Limit::new("grant-by-session", session.to_owned(), 120, MINUTE);
    let count = store.count(&limit.key(), 1, limit.window).await?;
    Ok(if count > limit.most { Err(TooOften { retry_after: limit.window }) } else { Ok(()) })
}

/// Whether a code may still be tried, by a browser that has not logged in with this address before.
pub(super) async fn may_guess(
    store: &dyn Store,
    network: Option<IpAddr>,
    login_host: &str,
) -> Result<Result<(), TooOften>, StoreError> {
    for limit in guesses(network, login_host) {
        if store.count(&limit.key(), 0, limit.window).await? >= limit.most {
            return Ok(Err(TooOften { retry_after: limit.window }));
        }
    }
    Ok(Ok(()))
}

/// Counts one wrong code.
pub(super) async fn count_wrong_code(
    store: &dyn Store,
    network: Option<IpAddr>,
    login_host: &str,
) -> Result<(), StoreError> {
    for limit in guesses(network, login_host) {
        store.count(&limit.key(), 1, limit.window).await?;
    }
    Ok(())
}

/// A million codes, 600 wrong ones an hour: in a day one chance in 70 to find a single one, over all
/// addresses and applications of a login host and from however many networks. Guesses that are
/// looked at at the same moment may go over the limit by their number.
///
/// The price: whoever has ten networks and does nothing else can keep people out who have never
/// logged in with their browser before.
fn guesses(network: Option<IpAddr>, login_host: &str) -> Vec<Limit> {
    let mut limits = networks(network, ["guess-by-network", "guess-by-wide-network"], [10, 100]);
    limits.push(Limit::new("guess-by-login-host", login_host.to_owned(), 600, 60 * MINUTE));
    limits
}

/// One IPv4 address, or the IPv6 network of a customer; and the wide network around it. Requests
/// whose address is unknown share one counter.
fn networks(address: Option<IpAddr>, kinds: [&'static str; 2], most: [u64; 2]) -> Vec<Limit> {
    let (narrow, wide) = match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            (address.to_string(), format!("{a}.{b}.{c}"))
        }
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            (format!("{a:x}:{b:x}:{c:x}:{d:x}"), format!("{a:x}:{b:x}:{c:x}"))
        }
        None => {
            tracing::warn!("the peer's address is unknown: all clients share one limit");
            return vec![Limit::new(kinds[1], "unknown".to_owned(), most[1], 10 * MINUTE)];
        }
    };
    vec![
        Limit::new(kinds[0], narrow, most[0], 10 * MINUTE),
        Limit::new(kinds[1], wide, most[1], 10 * MINUTE),
    ]
}

const MINUTE: Duration = Duration::from_secs(60);
/// 16^4 buckets of each kind.
const BUCKET_DIGITS: usize = 4;
const BUCKETS: u64 = 65_536;
/// However much is asked for, in a window one bucket takes so much over its limit and no more.
const MOST_ALLOWANCE: u64 = 100;
/// Their records live for half an hour: in two windows that meet, twice as many at most.
const MOST_RESENT: u64 = 30_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::store::MemoryStore;
    use std::sync::Arc;

    fn store() -> (Arc<ManualClock>, MemoryStore) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1)));
        (Arc::clone(&clock), MemoryStore::new(clock, 100_000))
    }

    async fn ask(
        (clock, store): &(Arc<ManualClock>, MemoryStore),
        ip: &str,
        email: &str,
        device: Option<&str>,
    ) -> bool {
        let network = Some(ip.parse().unwrap());
        count_mail(store, network, (email, device), clock.now()).await.unwrap().is_ok()
    }

    #[tokio::test]
    async fn otp_02_otp_11_mail_for_one_address_is_bounded_from_anywhere() {
        let world = store();
        let mut sent = 0;
        for n in 0..200 {
            sent += u32::from(ask(&world, &format!("10.0.{n}.1"), "a@b.example", None).await);
        }
        assert_eq!(sent, 5);
        for _ in 0..300 {
            world.0.advance(15 * MINUTE);
            sent += u32::from(ask(&world, "10.0.1.1", "a@b.example", None).await);
            if sent == 20 {
                break;
            }
        }
        assert!(!ask(&world, "10.0.2.1", "a@b.example", None).await);
    }

    #[tokio::test]
    async fn otp_03_a_known_browser_is_not_locked_out_by_strangers() {
        let world = store();
        for n in 0..20 {
            ask(&world, &format!("10.0.0.{n}"), "a@b.example", None).await;
        }
        assert!(!ask(&world, "10.0.9.1", "a@b.example", None).await);
        assert!(ask(&world, "10.0.9.1", "a@b.example", Some("device")).await);
    }

    #[tokio::test]
    async fn otp_02_guesses_are_bounded_over_all_logins_of_a_host() {
        let (_, store) = store();
        let mut tried = 0;
        for n in 0..1_000_u32 {
            let network = Some(IpAddr::from([10, (n / 256) as u8, (n % 256) as u8, 1]));
            if may_guess(&store, network, "aud").await.unwrap().is_ok() {
                count_wrong_code(&store, network, "aud").await.unwrap();
                tried += 1;
            }
        }
        assert_eq!(tried, 600);
        let elsewhere = Some("10.9.9.9".parse().unwrap());
        assert!(may_guess(&store, elsewhere, "aud").await.unwrap().is_err());
        assert!(may_guess(&store, elsewhere, "other").await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn dos_03_counting_never_runs_out_of_room() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1)));
        let store = MemoryStore::new(Arc::clone(&clock), 70_000);
        for n in 0..100_000_u32 {
            let network = Some(IpAddr::from(n.to_be_bytes()));
            let asked =
                count_mail(&store, network, (&format!("{n}@b.example"), None), clock.now()).await;
            assert!(asked.is_ok(), "{n}");
        }
    }

    #[tokio::test]
    async fn ip_08_one_network_is_bounded_over_all_addresses() {
        let world = store();
        let mut sent = 0;
        for n in 0..100 {
            let ip = format!("2001:db8:0:1::{n}");
            sent += u32::from(ask(&world, &ip, &format!("{n}@b.example"), None).await);
        }
        assert_eq!(sent, 30);
        assert!(ask(&world, "2001:db8:0:2::1", "x@b.example", None).await);
    }

    #[tokio::test]
    async fn dos_03_a_flood_from_many_networks_keeps_no_address_out_and_opens_none_wide() {
        let world = store();
        // Everybody else, as the counters see it: every bucket is full many times over.
        for kind in ["mail-by-network", "mail-by-address", "mail-by-address-and-day"] {
            world.1.count(&format!("{kind}/all"), 15 * BUCKETS, MINUTE).await.unwrap();
        }
        for (kind, name) in [
            ("mail-by-network", "10.0.0.1"),
            ("mail-by-address", "a@b.example\n"),
            ("mail-by-address-and-day", "a@b.example\n"),
        ] {
            let limit = Limit::new(kind, name.to_owned(), 0, MINUTE);
            world.1.count(&limit.key(), 15, MINUTE).await.unwrap();
        }
        let mut sent = 0;
        for n in 0..100 {
            sent += u32::from(ask(&world, &format!("10.0.{n}.1"), "a@b.example", None).await);
        }
        assert_eq!(sent, 20, "five, and what the average allows");
    }

    #[tokio::test]
    async fn dos_03_what_is_refused_raises_no_limit() {
        let world = store();
        for n in 0..40_000 {
            ask(&world, "10.0.0.1", &format!("{n}@b.example"), None).await;
        }
        let sum = world.1.count("mail-by-network/all", 0, MINUTE).await.unwrap();
        assert_eq!(sum, 30);
        assert_eq!(world.1.count("mail-by-address/all", 0, MINUTE).await.unwrap(), 30);
    }

    #[tokio::test]
    async fn dos_03_records_of_codes_sent_again_are_bounded() {
        let (clock, store) = store();
        store.count("resent/e3b0", MOST_RESENT - 1, 30 * MINUTE).await.unwrap();
        assert!(count_resent(&store, clock.now()).await.unwrap().is_ok());
        let refused = count_resent(&store, clock.now()).await.unwrap().unwrap_err();
        assert!(refused.retry_after <= 30 * MINUTE);
    }
}
