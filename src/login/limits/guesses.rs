//! Counts guesses within a day, in total and by network.
//!
//! The chance of each guess is counted before the code is checked, and refunded if it was right, so
//! parallel guesses cannot exceed the budget. A day is three windows of twelve hours: they cover any
//! 24 hours completely, and no window boundary gives a fresh budget.

use std::net::IpAddr;
use std::time::Duration;

use super::{Counters, HOUR, Limit, MINUTE, Networks};
use crate::login::method::one_time_pin::OneTimePinLimits;
use crate::login::method::one_time_pin::pressure::{chance, digits_for_network};
use crate::store::StoreError;

/// A counted guess.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(in crate::login) struct Guess {
    digits: u32,
    window: u64,
    /// The total chance of the day's guesses, including this one.
    pub(in crate::login) used: u64,
}

impl Counters<'_> {
    /// Returns the total chance of the day's guesses, in units of 10<sup>-16</sup>.
    pub(in crate::login) async fn used_guess_budget(&self) -> Result<u64, StoreError> {
        let now = self.window();
        let mut used = 0_u64;
        for window in now.saturating_sub(WINDOWS - 1)..=now {
            let tried = self.store.count(&tried(window), 0, WINDOW).await?;
            let right = self.store.count(&right(window), 0, WINDOW).await?;
            used = used.saturating_add(tried.saturating_sub(right));
        }
        Ok(used)
    }

    /// Counts a guess at a code of this length, before it is checked.
    pub(in crate::login) async fn count_guess(&self, digits: u32) -> Result<Guess, StoreError> {
        let window = self.window();
        let lifetime = self.lifetime(window);
        let present = self.store.count(&tried(window), chance(digits), lifetime).await?;
        let right = self.store.count(&right(window), 0, lifetime).await?;
        let mut used = present.saturating_sub(right);
        for window in window.saturating_sub(WINDOWS - 1)..window {
            let tried = self.store.count(&tried(window), 0, WINDOW).await?;
            let right = self.store.count(&self::right(window), 0, WINDOW).await?;
            used = used.saturating_add(tried.saturating_sub(right));
        }
        Ok(Guess { digits, window, used })
    }

    /// Refunds a guess whose code was right.
    pub(in crate::login) async fn refund_guess(&self, guess: Guess) -> Result<(), StoreError> {
        let lifetime = self.lifetime(guess.window);
        self.store.count(&right(guess.window), chance(guess.digits), lifetime).await?;
        Ok(())
    }

    /// Counts a wrong code from a network.
    pub(in crate::login) async fn count_wrong_code(
        &self,
        address: Option<IpAddr>,
    ) -> Result<(), StoreError> {
        let networks = Networks::new(address);
        for limit in by_network(&networks, [0, 0]) {
            self.note(limit).await?;
        }
        Ok(())
    }

    /// Returns how many more digits a new code gets for a network.
    pub(in crate::login) async fn digits_for_network(
        &self,
        address: Option<IpAddr>,
        limits: &OneTimePinLimits,
    ) -> Result<u32, StoreError> {
        let networks = Networks::new(address);
        let most = [limits.wrong_codes_per_network, limits.wrong_codes_per_wide_network];
        let mut more = 0;
        for limit in by_network(&networks, most) {
            more = more.max(digits_for_network(self.counted(limit).await?, limit.most));
        }
        Ok(more)
    }

    /// Returns whether a browser that has logged in with the address may try a code independently of
    /// others' guesses.
    pub(in crate::login) async fn trusts_browser(
        &self,
        device: &str,
        limits: &OneTimePinLimits,
    ) -> Result<bool, StoreError> {
        let limit = by_browser(device, limits.wrong_codes_per_browser);
        Ok(self.counted(limit).await? < limit.most)
    }

    /// Counts a wrong code from such a browser.
    pub(in crate::login) async fn count_wrong_code_of_browser(
        &self,
        device: &str,
    ) -> Result<(), StoreError> {
        self.note(by_browser(device, 0)).await
    }

    fn window(&self) -> u64 {
        self.now.as_unix_seconds() / WINDOW.as_secs()
    }

    /// Returns how long a window is part of a day.
    fn lifetime(&self, window: u64) -> Duration {
        let end = (window + WINDOWS).saturating_mul(WINDOW.as_secs());
        Duration::from_secs(end.saturating_sub(self.now.as_unix_seconds()).max(1))
    }
}

fn by_network(networks: &Networks, [narrow, wide]: [u32; 2]) -> Vec<Limit<'_>> {
    let mut limits = vec![Limit::new("guess-by-wide-network", &networks.wide, wide, 10 * MINUTE)];
    if let Some(name) = &networks.narrow {
        limits.push(Limit::new("guess-by-network", name, narrow, 10 * MINUTE));
    }
    limits
}

fn by_browser(device: &str, most: u32) -> Limit<'_> {
    Limit::new("guess-by-browser", device, most, HOUR)
}

fn tried(window: u64) -> String {
    format!("guess-chance/{window}")
}

fn right(window: u64) -> String {
    format!("guess-chance/{window}-right")
}

const WINDOW: Duration = Duration::from_secs(12 * 3_600);
/// The current one, and the earlier ones that overlap the last 24 hours.
const WINDOWS: u64 = 3;
