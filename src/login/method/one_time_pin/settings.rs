//! The settings of one-time PINs.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::pressure::{GuessBudget, MAX_DIGITS};
use crate::identity::Attributes;
use crate::login::method::info::MethodInfo;

/// Settings of the login by one-time PIN: length, lifetime and attempts of a code, limits on requests
/// and guesses, and the id of the login method.
#[derive(Clone, Debug)]
pub struct OneTimePin {
    pub(super) id: Box<str>,
    pub(super) digits: u32,
    pub(super) expires_in: Duration,
    pub(super) attempts: u32,
    pub(super) link_in_mail: bool,
    pub(in crate::login) limits: OneTimePinLimits,
}

impl OneTimePin {
    /// Creates the default settings: six digits, five minutes, three attempts, a link in the mail,
    /// and the default [limits](OneTimePinLimits::new).
    #[must_use]
    pub fn new() -> Self {
        Self {
            id: TYPE.into(),
            digits: 6,
            expires_in: Duration::from_secs(300),
            attempts: 3,
            link_in_mail: true,
            limits: OneTimePinLimits::new(),
        }
    }

    /// Sets the id of the login method, as used in
    /// [`allowed_login_method`](crate::application::Application::allowed_login_method) and in
    /// `get-identity`. Default: `onetimepin`. Sessions that began under another id count as logins by
    /// another method.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the number of digits of a code, clamped to 6 to 12. While somebody guesses codes, new ones
    /// get more digits, up to 16. Default: 6.
    #[must_use]
    pub fn digits(mut self, digits: u32) -> Self {
        self.digits = digits.clamp(*DIGITS.start(), *DIGITS.end());
        self
    }

    /// Sets the lifetime of a code, clamped to 1 to 15 minutes. Default: 5 minutes.
    #[must_use]
    pub fn expires_in(mut self, duration: Duration) -> Self {
        self.expires_in = duration.clamp(Duration::from_secs(60), Duration::from_secs(900));
        self
    }

    /// Sets the number of attempts at a code, clamped to 1 to 10. While somebody guesses codes, new
    /// ones have at most two attempts. Default: 3.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.clamp(1, 10);
        self
    }

    /// Sets whether the mail has a link beside the code. It opens the page for the code, in the browser
    /// that asked for it, with the code filled in; the user presses a button. In any other browser, and
    /// for software that follows links, it does nothing. The code is in the fragment of the link's URL,
    /// which browsers do not send. Default: `true`.
    #[must_use]
    pub fn link_in_mail(mut self, is_sent: bool) -> Self {
        self.link_in_mail = is_sent;
        self
    }

    /// Sets the limits on requests for codes and on guesses.
    #[must_use]
    pub fn limits(mut self, limits: OneTimePinLimits) -> Self {
        self.limits = limits;
        self
    }
}

impl Default for OneTimePin {
    fn default() -> Self {
        Self::new()
    }
}

impl OneTimePin {
    pub(crate) fn method_id(&self) -> &str {
        &self.id
    }

    pub(crate) fn info(&self) -> MethodInfo<'_> {
        Self::info_of(&self.id)
    }

    /// Returns what `info` returns for settings with this id.
    pub(crate) fn info_of(id: &str) -> MethodInfo<'_> {
        MethodInfo { id, kind: TYPE, name: NAME }
    }

    /// Returns the attributes of all users who log in by this method.
    pub(crate) fn attributes(&self) -> Attributes {
        Attributes::one_time_pin(&self.id)
    }

    /// Returns the limit on guesses within a day.
    pub(in crate::login) fn guess_budget(&self) -> GuessBudget {
        GuessBudget::new(self.digits, u64::from(self.limits.wrong_codes_per_day))
    }
}

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $default:literal in $range:expr;)*) => {
        /// Limits on requests for one-time PINs and on guesses.
        ///
        /// No limit blocks the login: over a limit on guesses codes get longer, over a limit on mail
        /// many logins share one code. Only a browser that itself requests too many codes has to
        /// wait. With any settings in these ranges, all guesses of a day together find a code with a
        /// chance of less than one in 500 (one in 1,000 by default).
        ///
        /// ```
        /// use tower_access::login::{OneTimePin, OneTimePinLimits};
        ///
        /// let limits = OneTimePinLimits::new().mails_per_address(6).wrong_codes_per_day(200);
        /// let pin = OneTimePin::new().limits(limits);
        /// # drop(pin);
        /// ```
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct OneTimePinLimits {
            $(pub(in crate::login) $name: u32,)*
            pub(in crate::login) shared_code_every: Duration,
            pub(in crate::login) remember_networks_for: Duration,
        }

        impl OneTimePinLimits {
            /// Creates the default limits, which each method states.
            #[must_use]
            pub fn new() -> Self {
                Self {
                    $($name: $default,)*
                    shared_code_every: Duration::from_secs(300),
                    remember_networks_for: Duration::from_secs(90 * 86_400),
                }
            }

            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = concat!("Default: ", stringify!($default), ".")]
                #[doc = concat!("Range: `", stringify!($range), "`; other values are clamped to it.")]
                #[must_use]
                pub fn $name(mut self, $name: u32) -> Self {
                    let range: RangeInclusive<u32> = $range;
                    self.$name = $name.clamp(*range.start(), *range.end());
                    self
                }
            )*

            /// Sets a limit by its name. Returns its range if the value is out of it, and `None` for
            /// an unknown name.
            #[cfg(all(test, feature = "config"))]
            pub(crate) fn set(&mut self, name: &str, value: u32) -> Option<Result<(), RangeInclusive<u32>>> {
                match name {
                    $(stringify!($name) => {
                        let range: RangeInclusive<u32> = $range;
                        if !range.contains(&value) {
                            return Some(Err(range));
                        }
                        self.$name = value;
                        Some(Ok(()))
                    })*
                    _ => None,
                }
            }

            /// The names of the numeric limits.
            #[cfg(all(test, feature = "config"))]
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name),)*];
        }
    };
}

limits! {
    /// Sets how many wrong codes of the usual length are checked within a day, over all users, networks
    /// and applications, before longer codes are required. New codes get longer at half of it.
    wrong_codes_per_day = 500 in 10..=1_000;
    /// Sets after how many wrong codes within ten minutes a network gets longer codes. A network is an
    /// IPv4 address or an IPv6 /64.
    wrong_codes_per_network = 10 in 1..=1_000;
    /// Sets the same for the wide network around it: an IPv4 /24 or an IPv6 /48.
    wrong_codes_per_wide_network = 100 in 1..=10_000;
    /// Sets how many wrong codes within an hour a browser that has logged in with the address before may
    /// enter, independently of others' guesses. They do not count towards the daily limit.
    wrong_codes_per_browser = 10 in 0..=10;
    /// Sets how many codes a browser may request with one address within 15 minutes. Over that, the
    /// response is 429.
    mails_per_browser = 5 in 1..=20;
    /// Sets the same for a day.
    mails_per_browser_and_day = 20 in 1..=100;
    /// Sets how many codes are mailed to one address within an hour, for browsers and networks from
    /// which it has not logged in. Over that, logins share a code.
    mails_per_address = 10 in 1..=60;
    /// Sets how many of these one network may request within 15 minutes.
    mails_per_address_and_network = 5 in 1..=20;
    /// Sets how many codes are mailed within ten minutes for requests of one network. Over that, the
    /// logins of this network share the codes of their addresses.
    mails_per_network = 30 in 1..=1_000;
    /// Sets the same for the wide network around it.
    mails_per_wide_network = 300 in 1..=10_000;
    /// Sets how many codes are mailed within 15 minutes to an address that has recently logged in from
    /// this network, after strangers have used up all others.
    mails_per_known_network = 5 in 1..=20;
    /// Sets the same for a day.
    mails_per_known_network_and_day = 20 in 1..=100;
    /// Sets how many networks of an address are remembered, the latest ones. With 0, none are.
    known_networks = 16 in 0..=64;
    /// Sets the minimum number of digits of a shared code.
    shared_code_digits = 10 in 8..=16;
}

impl OneTimePinLimits {
    /// Sets how often an address gets a new shared code, and a mail with it, clamped to 1 to 15 minutes.
    /// Default: 5 minutes.
    #[must_use]
    pub fn shared_code_every(mut self, duration: Duration) -> Self {
        self.shared_code_every =
            duration.clamp(*SHARED_CODE_EVERY.start(), *SHARED_CODE_EVERY.end());
        self
    }

    /// Sets how long the networks are remembered from which an address has logged in, clamped to 1 to
    /// 365 days. Default: 90 days.
    #[must_use]
    pub fn remember_networks_for(mut self, duration: Duration) -> Self {
        self.remember_networks_for =
            duration.clamp(*REMEMBER_NETWORKS_FOR.start(), *REMEMBER_NETWORKS_FOR.end());
        self
    }

    /// Returns a pair of contradictory limits: the first must not exceed the second.
    #[cfg(feature = "config")]
    pub(crate) fn contradiction(&self) -> Option<(&'static str, &'static str)> {
        let pairs = [
            (
                ("wrong_codes_per_network", self.wrong_codes_per_network),
                ("wrong_codes_per_wide_network", self.wrong_codes_per_wide_network),
            ),
            (
                ("mails_per_network", self.mails_per_network),
                ("mails_per_wide_network", self.mails_per_wide_network),
            ),
            (
                ("mails_per_browser", self.mails_per_browser),
                ("mails_per_browser_and_day", self.mails_per_browser_and_day),
            ),
            (
                ("mails_per_known_network", self.mails_per_known_network),
                ("mails_per_known_network_and_day", self.mails_per_known_network_and_day),
            ),
        ];
        pairs.into_iter().find(|(less, more)| less.1 > more.1).map(|(less, more)| (less.0, more.0))
    }
}

impl Default for OneTimePinLimits {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of the login method.
pub(super) const NAME: &str = "One-time PIN";
/// The type of the login method (section 16 of the contract).
pub(super) const TYPE: &str = "onetimepin";
/// The digits of a code while nobody guesses.
pub(crate) const DIGITS: RangeInclusive<u32> = 6..=12;
pub(crate) const SHARED_CODE_EVERY: RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(900);
pub(crate) const REMEMBER_NETWORKS_FOR: RangeInclusive<Duration> =
    Duration::from_secs(86_400)..=Duration::from_secs(365 * 86_400);
const _: () = assert!(MAX_DIGITS == 16, "the documentation says so");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_moved_into_it() {
        let limits = OneTimePinLimits::new().wrong_codes_per_day(1_000_000).mails_per_address(0);
        assert_eq!((limits.wrong_codes_per_day, limits.mails_per_address), (1_000, 1));
        assert_eq!(OneTimePin::new().digits(4).digits, 6);
    }

    #[cfg(feature = "config")]
    #[test]
    fn the_usual_limits_are_in_their_ranges_and_do_not_contradict_each_other() {
        let usual = OneTimePinLimits::new();
        assert_eq!(usual.contradiction(), None);
        for name in OneTimePinLimits::NAMES {
            let mut limits = usual.clone();
            assert!(limits.set(name, u32::MAX).unwrap().is_err(), "{name}");
        }
        assert!(OneTimePinLimits::new().set("no_such_limit", 1).is_none());
    }
}
