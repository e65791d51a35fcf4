//! `access.one_time_pin`: the login by a code that is mailed, and its limits.

use crate::login::{OneTimePinLimits, REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};

use super::reader::{NodeRef, Reader};
use super::schema::{NonEmpty, Time, Whole, document, millis, minutes};
use super::settings::OneTimePinConfig;

document! {
    /// The login by a code that is mailed.
    pub(super) struct OneTimePin in "access.one_time_pin" {
        /// The id of this login method, which applications name in `allowed_idps`.
        "id" id: NonEmpty { default: "'onetimepin'", example: "onetimepin", cloudflare: "id", }
        /// Time for which a code is valid.
        "expires_in" expires_in: Time<{ minutes(1) }, { minutes(15) }> {
            default: "5m", example: "10m",
        }
        /// Attempts to enter a code, before it becomes invalid.
        "attempts" attempts: Whole<u32, 1, 10> { default: "3", example: "5", }
        /// Digits of a code. Codes get longer while somebody guesses.
        "digits" digits: Whole<u32, 6, 12> { default: "6", example: "8", }
        /// Whether the mail has a link that fills in the code. It works only in the browser that asked for
        /// the code, and only after the user presses a button there.
        "link" link: bool { default: "true", example: "false", }
        /// Limits on codes that are mailed and guessed. None of them closes the login to anybody.
        "limits" limits: Limits {
            default: "the defaults of its keys", example: "{ mails_per_address: 20 }",
        }
    }
}

document! {
    /// Limits on codes that are mailed and guessed. A network is an IPv4 address, or 64 bits of IPv6;
    /// a wide network is 24 bits of IPv4, or 48 bits of IPv6.
    pub(super) struct Limits in "access.one_time_pin.limits" {
        /// Wrong codes within a day, of all users together, before codes get longer.
        "wrong_codes_per_day" wrong_codes_per_day: Whole<u32, 10, 1_000> {
            default: "500", example: "200",
        }
        /// Wrong codes from one network within 10 minutes, before its codes get longer.
        "wrong_codes_per_network" wrong_codes_per_network: Whole<u32, 1, 1_000> {
            default: "10", example: "20",
        }
        /// Wrong codes from one wide network within 10 minutes, before its codes get longer.
        "wrong_codes_per_wide_network" wrong_codes_per_wide_network: Whole<u32, 1, 10_000> {
            default: "100", example: "200",
        }
        /// Wrong codes within an hour from a browser that has logged in with the address before,
        /// whatever others guess. They do not count against the day.
        "wrong_codes_per_browser" wrong_codes_per_browser: Whole<u32, 0, 10> {
            default: "10", example: "5",
        }
        /// Codes that a browser may ask for with one address within 15 minutes, before it has to wait.
        "mails_per_browser" mails_per_browser: Whole<u32, 1, 20> { default: "5", example: "10", }
        /// Codes that a browser may ask for with one address within a day, before it has to wait.
        "mails_per_browser_and_day" mails_per_browser_and_day: Whole<u32, 1, 100> {
            default: "20", example: "40",
        }
        /// Codes mailed to one address within an hour, for browsers and networks that have not logged
        /// in with it before. Over this limit its logins share a code.
        "mails_per_address" mails_per_address: Whole<u32, 1, 60> { default: "10", example: "20", }
        /// Codes mailed to one address within 15 minutes for one network. Over this limit the logins
        /// share a code.
        "mails_per_address_and_network" mails_per_address_and_network: Whole<u32, 1, 20> {
            default: "5", example: "10",
        }
        /// Codes mailed within 10 minutes for one network. Over this limit its logins share the codes
        /// of their addresses.
        "mails_per_network" mails_per_network: Whole<u32, 1, 1_000> {
            default: "30", example: "60",
        }
        /// Codes mailed within 10 minutes for one wide network. Over this limit its logins share the
        /// codes of their addresses.
        "mails_per_wide_network" mails_per_wide_network: Whole<u32, 1, 10_000> {
            default: "300", example: "600",
        }
        /// Further codes mailed within 15 minutes to one address from one network when any other limit
        /// is reached, if the address has logged in from this network lately.
        "mails_per_known_network" mails_per_known_network: Whole<u32, 1, 20> {
            default: "5", example: "10",
        }
        /// Further codes mailed within a day to one address from one network when any other limit is
        /// reached, if the address has logged in from this network lately.
        "mails_per_known_network_and_day" mails_per_known_network_and_day: Whole<u32, 1, 100> {
            default: "20", example: "40",
        }
        /// Networks that are remembered of each address: the latest ones. `0` remembers none.
        "known_networks" known_networks: Whole<u32, 0, 64> { default: "16", example: "8", }
        /// Digits of a code that logins share, at least.
        "shared_code_digits" shared_code_digits: Whole<u32, 8, 16> {
            default: "10", example: "12",
        }
        /// Time after which logins that share a code get a new one, in a mail of its own.
        "shared_code_every" shared_code_every:
            Time<{ millis(*SHARED_CODE_EVERY.start()) }, { millis(*SHARED_CODE_EVERY.end()) }> {
            default: "5m", example: "10m",
        }
        /// Time for which the networks are remembered from which an address has logged in.
        "remember_networks_for" remember_networks_for:
            Time<{ millis(*REMEMBER_NETWORKS_FOR.start()) }, { millis(*REMEMBER_NETWORKS_FOR.end()) }> {
            default: "2160h", example: "720h",
        }
    }
}

/// Builds the settings of the login, and reports limits that contradict each other.
pub(super) fn build(
    reader: &mut Reader,
    access: &NodeRef<'_>,
    document: OneTimePin,
) -> OneTimePinConfig {
    let usual = OneTimePinConfig::default();
    let limits = OneTimePinLimits::from(document.limits.value().unwrap_or_default());
    if let Some((less, more)) = limits.contradiction()
        && let Some(place) = access.get("one_time_pin").and_then(|pin| pin.get("limits"))
    {
        // Reported at the first of the two that is written.
        let key = if place.get(less).is_some() { less } else { more };
        reader.error_at(
            place.key_at(key),
            &format!("{}.{key}", place.path),
            format_args!(
                "`{less}` is greater than `{more}`, which bounds it; write {less} <= {more}"
            ),
        );
    }
    OneTimePinConfig {
        id: document.id.value().unwrap_or(usual.id),
        expires_in: document.expires_in.value().unwrap_or(usual.expires_in),
        attempts: document.attempts.value().unwrap_or(usual.attempts),
        digits: document.digits.value().unwrap_or(usual.digits),
        link: document.link.value().unwrap_or(usual.link),
        limits,
    }
}

macro_rules! limits_from_document {
    ($($name:ident)+) => {
        impl From<Limits> for OneTimePinLimits {
            fn from(document: Limits) -> Self {
                let limits = Self::new();
                $(let limits = document.$name.apply(limits, Self::$name);)+
                limits
            }
        }
    };
}

limits_from_document! {
    wrong_codes_per_day wrong_codes_per_network wrong_codes_per_wide_network
    wrong_codes_per_browser mails_per_browser mails_per_browser_and_day mails_per_address
    mails_per_address_and_network mails_per_network mails_per_wide_network mails_per_known_network
    mails_per_known_network_and_day known_networks shared_code_digits shared_code_every
    remember_networks_for
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::schema::{Presence, Shape};
    use crate::config::{Config, Role};
    use crate::login::DIGITS;

    fn parse(pin: &str) -> Result<OneTimePinConfig, String> {
        let text = format!(
            "access:\n  mail: console\n  one_time_pin: {pin}\n  applications: [ {{ domain: a.example }} ]\n"
        );
        let config = Config::parse(&text, "f").map_err(|errors| errors.to_string())?;
        match config.access.role {
            Role::Issuing { one_time_pin, .. } => Ok(one_time_pin.unwrap()),
            Role::Verifying { .. } => panic!("it issues"),
        }
    }

    /// The document and the table of the login say the same.
    #[test]
    fn otp_02_every_limit_has_a_key_with_its_range_and_default() {
        assert_eq!(parse("{}").unwrap(), OneTimePinConfig::default());
        assert!(OneTimePinConfig::default().link && !parse("{ link: false }").unwrap().link);
        let keys = Limits::LEVEL.keys.iter();
        let numbers = keys.filter_map(|key| match key.shape() {
            Shape::Integer { min, max } => Some((key, min, max)),
            _ => None,
        });
        let mut names = Vec::new();
        for (key, min, max) in numbers {
            let name = key.name;
            let in_range = |value: i64| {
                OneTimePinLimits::new().set(name, value.try_into().unwrap()).unwrap().is_ok()
            };
            assert!(in_range(min) && in_range(max), "{name}");
            assert!(!in_range(max + 1) && (min == 0 || !in_range(min - 1)), "{name}");
            let Presence::Default(default) = key.presence else { panic!("{name}") };
            let mut limits = OneTimePinLimits::new();
            limits.set(name, default.parse().unwrap()).unwrap().unwrap();
            assert_eq!(limits, OneTimePinLimits::new(), "{name}");
            limits.set(name, key.example.parse().unwrap()).unwrap().unwrap();
            let pin = parse(&format!("{{ limits: {{ {name}: {} }} }}", key.example)).unwrap();
            assert_eq!(pin.limits, limits, "{name}");
            let error = parse(&format!("{{ limits: {{ {name}: 4000000 }} }}")).unwrap_err();
            let message = format!("4000000 is out of range; write {min} to {max}");
            assert!(error.starts_with("f:3:"), "{error}");
            assert!(error.contains(&format!("one_time_pin.limits.{name}: {message}")), "{error}");
            names.push(name);
        }
        assert_eq!(names, OneTimePinLimits::NAMES);
        assert_eq!(DIGITS, 6..=12);
        let pin =
            parse("{ digits: 8, limits: { shared_code_every: 10m, remember_networks_for: 24h } }");
        let pin = pin.unwrap();
        assert_eq!(pin.digits, 8);
        let usual = OneTimePinLimits::new();
        let expected = usual
            .shared_code_every(Duration::from_secs(600))
            .remember_networks_for(Duration::from_secs(86_400));
        assert_eq!(pin.limits, expected);
    }

    #[test]
    fn otp_02_limits_that_cannot_be_are_refused_with_their_place() {
        for (pin, error) in [
            ("{ digits: 5 }", "one_time_pin.digits: 5 is out of range; write 6 to 12"),
            (
                "{ limits: { shared_code_every: 20m } }",
                "shared_code_every: 20m is out of range; write 1m to 15m",
            ),
            (
                "{ limits: { remember_networks_for: 1h } }",
                "remember_networks_for: 1h is out of range",
            ),
            ("{ limits: { mails_per_adress: 3 } }", "did you mean `mails_per_address`?"),
            (
                "{ limits: { mails_per_network: 400 } }",
                "`mails_per_network` is greater than `mails_per_wide_network`",
            ),
            (
                "{ limits: { mails_per_browser_and_day: 4 } }",
                "`mails_per_browser` is greater than `mails_per_browser_and_day`",
            ),
            ("{ limits: 7 }", "limits"),
        ] {
            let text = parse(pin).unwrap_err();
            assert!(text.starts_with("f:3:") && text.contains(error), "{text}");
        }
    }
}
