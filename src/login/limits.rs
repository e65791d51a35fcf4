//! How often mail may be asked for.
//!
//! Counted for whoever asks, whether the address may log in or not, so that a refusal tells
//! nothing. Three counters: the network that asks, and the address asked for within a quarter of
//! an hour and within a day. A browser that has logged in with an address before has counters of
//! its own for it: a stranger who uses up an address does not lock its owner out.

use std::net::IpAddr;
use std::time::Duration;

use crate::store::{Store, StoreError};

use super::meta::hash;

/// Asked too often; to be tried again after so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooOften {
    pub(super) retry_after: Duration,
}

/// Counts one request for mail.
pub(super) async fn count_mail(
    store: &dyn Store,
    network: Option<IpAddr>,
    email: &str,
    device: Option<&str>,
) -> Result<Result<(), TooOften>, StoreError> {
    let address = hash(&format!("{email}\n{}", device.unwrap_or_default()));
    let counters = [
        network.map(|ip| (format!("network-limit/{}", network_of(ip)), 30, 10 * MINUTE)),
        Some((format!("mail-limit/{address}"), 5, 15 * MINUTE)),
        Some((format!("mail-day-limit/{address}"), 20, 24 * 60 * MINUTE)),
    ];
    for (key, most, window) in counters.into_iter().flatten() {
        if store.count(&key, window).await? > most {
            return Ok(Err(TooOften { retry_after: window }));
        }
    }
    Ok(Ok(()))
}

/// One IPv4 address, or the IPv6 network a single customer has.
fn network_of(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::")
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::store::MemoryStore;
    use std::sync::Arc;

    fn store() -> (Arc<ManualClock>, MemoryStore) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1)));
        (Arc::clone(&clock), MemoryStore::new(clock, 1_000))
    }

    async fn ask(store: &MemoryStore, ip: &str, email: &str, device: Option<&str>) -> bool {
        count_mail(store, Some(ip.parse().unwrap()), email, device).await.unwrap().is_ok()
    }

    #[tokio::test]
    async fn otp_02_otp_11_mail_for_one_address_is_bounded_from_anywhere() {
        let (clock, store) = store();
        let mut sent = 0;
        for n in 0..200 {
            sent += u32::from(ask(&store, &format!("10.0.0.{n}"), "a@b.example", None).await);
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
