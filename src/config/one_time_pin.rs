//! `access.one_time_pin`: the codes people get by mail, and how often.

use std::time::Duration;

use crate::clock::GoDuration;
use crate::login::{DIGITS, OneTimePinLimits, REMEMBER_NETWORKS_FOR, SHARED_CODE_EVERY};

use super::keys;
use super::reader::{Place, Reader};
use super::settings::OneTimePinConfig;

pub(super) fn one_time_pin(reader: &mut Reader, place: &Place<'_>) -> OneTimePinConfig {
    let mut pin = OneTimePinConfig::default();
    let Some(place) = place.get("one_time_pin") else { return pin };
    if !reader.mapping(&place, &[keys::ONE_TIME_PIN]) {
        return pin;
    }
    if let Some(id) = reader.optional::<String>(&place, "id") {
        if id.value.is_empty() {
            reader.error_at(id.at, &id.key, "`id` is empty; write a text or leave it out");
        }
        pin.id = id.value;
    }
    if let Some(duration) = reader.optional::<GoDuration>(&place, "expires_in") {
        reader.check_duration(&duration, SHORTEST_PIN, LONGEST_PIN);
        pin.expires_in = duration.value.get();
    }
    if let Some(attempts) = reader.optional::<u32>(&place, "attempts") {
        if !(1..=MOST_ATTEMPTS).contains(&attempts.value) {
            reader.error_at(
                attempts.at,
                &attempts.key,
                format_args!("{} is out of range; write 1 to {MOST_ATTEMPTS}", attempts.value),
            );
        }
        pin.attempts = attempts.value;
    }
    if let Some(digits) = reader.optional::<u32>(&place, "digits") {
        if !DIGITS.contains(&digits.value) {
            let (fewest, most) = (DIGITS.start(), DIGITS.end());
            reader.error_at(
                digits.at,
                &digits.key,
                format_args!("{} is out of range; write {fewest} to {most}", digits.value),
            );
        }
        pin.digits = digits.value;
    }
    limits(reader, &place, &mut pin.limits);
    pin
}

/// Every limit has a key of its own name.
fn limits(reader: &mut Reader, place: &Place<'_>, limits: &mut OneTimePinLimits) {
    let Some(place) = place.get("limits") else { return };
    if !reader.mapping(&place, &[OneTimePinLimits::NAMES, keys::ONE_TIME_PIN_DURATIONS]) {
        return;
    }
    for name in OneTimePinLimits::NAMES {
        let Some(written) = reader.optional::<u32>(&place, name) else { continue };
        if let Some(Err(range)) = limits.set(name, written.value) {
            let (least, most) = (range.start(), range.end());
            reader.error_at(
                written.at,
                &written.key,
                format_args!("{} is out of range; write {least} to {most}", written.value),
            );
        }
    }
    if let Some(every) = reader.optional::<GoDuration>(&place, keys::SHARED_CODE_EVERY) {
        reader.check_duration(&every, *SHARED_CODE_EVERY.start(), *SHARED_CODE_EVERY.end());
        *limits = limits.clone().shared_code_every(every.value.get());
    }
    if let Some(duration) = reader.optional::<GoDuration>(&place, keys::REMEMBER_NETWORKS_FOR) {
        let (shortest, longest) = REMEMBER_NETWORKS_FOR.into_inner();
        reader.check_duration(&duration, shortest, longest);
        *limits = limits.clone().remember_networks_for(duration.value.get());
    }
    if let Some((less, more)) = limits.contradiction() {
        // At the one that is written; both may be.
        let key = if place.get(less).is_some() { less } else { more };
        reader.error_at(
            place.key_at(key),
            &format!("{}.{key}", place.path),
            format_args!(
                "`{less}` is greater than `{more}`, which bounds it; write {less} <= {more}"
            ),
        );
    }
}

const SHORTEST_PIN: Duration = Duration::from_secs(60);
const LONGEST_PIN: Duration = Duration::from_secs(15 * 60);
const MOST_ATTEMPTS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Role};

    fn parse(pin: &str) -> Result<OneTimePinConfig, String> {
        let text = format!(
            "access:\n  mail: console\n  one_time_pin: {pin}\n  applications: [ {{ domain: a.example }} ]\n"
        );
        let config = Config::parse(&text, "f").map_err(|errors| errors.to_string())?;
        match config.access.role {
            Role::Issuing { one_time_pin, .. } => Ok(one_time_pin),
            Role::Verifying { .. } => panic!("it issues"),
        }
    }

    #[test]
    fn otp_02_every_limit_has_a_key() {
        assert_eq!(parse("{}").unwrap(), OneTimePinConfig::default());
        for name in OneTimePinLimits::NAMES {
            // Each has its own range; of these values one fits and is not the usual one.
            let fits = [9, 11, 12, 50, 200].iter().find(|value| {
                parse(&format!("{{ limits: {{ {name}: {value} }} }}"))
                    .is_ok_and(|pin| pin.limits != OneTimePinLimits::new())
            });
            let value = fits.or_else(|| {
                [4, 400].iter().find(|value| {
                    parse(&format!("{{ limits: {{ {name}: {value} }} }}"))
                        .is_ok_and(|pin| pin.limits != OneTimePinLimits::new())
                })
            });
            assert!(value.is_some(), "{name}");
            let error = parse(&format!("{{ limits: {{ {name}: 4000000 }} }}")).unwrap_err();
            let at = "f:3:";
            assert!(
                error.contains(at)
                    && error.contains(&format!(
                        "one_time_pin.limits.{name}: 4000000 is out of range; write "
                    )),
                "{error}"
            );
        }
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
