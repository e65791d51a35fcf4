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
//! Counters are kept in a fixed number of buckets. Two names that share one are counted together:
//! limits may come early, and counting never runs out of room.

use std::net::IpAddr;
use std::time::Duration;

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
}

/// Counts one request for mail.
pub(super) async fn count_mail(
    store: &dyn Store,
    network: Option<IpAddr>,
    email: &str,
    device: Option<&str>,
) -> Result<Result<(), TooOften>, StoreError> {
    let address = format!("{email}\n{}", device.unwrap_or_default());
    let mut limits = networks(network, ["mail-by-network", "mail-by-wide-network"], [30, 300]);
    limits.push(Limit::new("mail-by-address", address.clone(), 5, 15 * MINUTE));
    limits.push(Limit::new("mail-by-address-and-day", address, 20, 24 * 60 * MINUTE));
    for limit in limits {
        if store.count(&limit.key(), 1, limit.window).await? > limit.most {
            return Ok(Err(TooOften { retry_after: limit.window }));
        }
    }
    Ok(Ok(()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::store::MemoryStore;
    use std::sync::Arc;

    fn store() -> (Arc<ManualClock>, MemoryStore) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1)));
        (Arc::clone(&clock), MemoryStore::new(clock, 100_000))
    }

    async fn ask(store: &MemoryStore, ip: &str, email: &str, device: Option<&str>) -> bool {
        count_mail(store, Some(ip.parse().unwrap()), email, device).await.unwrap().is_ok()
    }

    #[tokio::test]
    async fn otp_02_otp_11_mail_for_one_address_is_bounded_from_anywhere() {
        let (clock, store) = store();
        let mut sent = 0;
        for n in 0..200 {
            sent += u32::from(ask(&store, &format!("10.0.{n}.1"), "a@b.example", None).await);
        }
        assert_eq!(sent, 5);
        for _ in 0..300 {
            clock.advance(15 * MINUTE);
            sent += u32::from(ask(&store, "10.0.1.1", "a@b.example", None).await);
            if sent == 20 {
                break;
            }
        }
        assert!(!ask(&store, "10.0.2.1", "a@b.example", None).await);
    }

    #[tokio::test]
    async fn otp_03_a_known_browser_is_not_locked_out_by_strangers() {
        let (_, store) = store();
        for n in 0..20 {
            ask(&store, &format!("10.0.0.{n}"), "a@b.example", None).await;
        }
        assert!(!ask(&store, "10.0.9.1", "a@b.example", None).await);
        assert!(ask(&store, "10.0.9.1", "a@b.example", Some("device")).await);
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
        let store = MemoryStore::new(clock, 70_000);
        for n in 0..100_000_u32 {
            let network = Some(IpAddr::from(n.to_be_bytes()));
            let asked = count_mail(&store, network, &format!("{n}@b.example"), None).await;
            assert!(asked.is_ok(), "{n}");
        }
    }

    #[tokio::test]
    async fn ip_08_one_network_is_bounded_over_all_addresses() {
        let (_, store) = store();
        let mut sent = 0;
        for n in 0..100 {
            let ip = format!("2001:db8:0:1::{n}");
            sent += u32::from(ask(&store, &ip, &format!("{n}@b.example"), None).await);
        }
        assert_eq!(sent, 30);
        assert!(ask(&store, "2001:db8:0:2::1", "x@b.example", None).await);
    }
}
