//! Durations as Cloudflare and `cloudflared` write them: Go duration strings.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// A duration in Go's notation: `24h`, `2h45m`, `30m`, `1.5s`, `0s`.
///
/// Units are `ns`, `us` (`µs`), `ms`, `s`, `m` and `h`; there are no days. The largest value is
/// 100 years. See section 13.1 of the Access contract.
///
/// ```
/// use std::time::Duration;
/// use tower_access::clock::GoDuration;
///
/// let day: GoDuration = "24h".parse()?;
/// assert_eq!(day.get(), Duration::from_secs(86_400));
/// assert_eq!(day.to_string(), "24h");
/// # Ok::<(), tower_access::clock::DurationError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GoDuration(Duration);

impl GoDuration {
    /// Returns the duration.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Duration> for GoDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let refuse = || DurationError { text: text.chars().take(40).collect() };
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.is_empty() || text.len() > 64 {
            return Err(refuse());
        }
        let mut total: u128 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refuse)?;
            let (number, after) = rest.split_at(digits);
            let unit_end =
                after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, after_unit) = after.split_at(unit_end);
            let scale = unit_nanoseconds(unit).ok_or_else(refuse)?;
            let part = nanoseconds(number, scale).ok_or_else(refuse)?;
            total = total.checked_add(part).ok_or_else(refuse)?;
            rest = after_unit;
        }
        if total > MAX_NANOSECONDS {
            return Err(refuse());
        }
        let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| refuse())?;
        let fraction = u32::try_from(total % 1_000_000_000).map_err(|_| refuse())?;
        Ok(Self(Duration::new(seconds, fraction)))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let fraction = self.0.subsec_nanos();
        if fraction != 0 {
            if seconds == 0 && fraction.is_multiple_of(1_000_000) {
                return write!(f, "{}ms", fraction / 1_000_000);
            }
            let text = format!("{seconds}.{fraction:09}");
            return write!(f, "{}s", text.trim_end_matches('0'));
        }
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if rest > 0 || seconds == 0 {
            write!(f, "{rest}s")?;
        }
        Ok(())
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = GoDuration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as `24h`, `30m` or `90s`")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<GoDuration, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The error for a text that is not a duration.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` is not a duration: write numbers with units (h, m, s, ms), such as `24h` or `1h30m`"
)]
pub struct DurationError {
    text: String,
}

fn unit_nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

fn nanoseconds(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.chars() {
        unit /= 10;
        value = value.checked_add(u128::from(digit.to_digit(10)?).checked_mul(unit)?)?;
    }
    Some(value)
}

const MAX_NANOSECONDS: u128 = 100 * 366 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, seconds) in [
            ("24h", 86_400),
            ("2h45m", 9_900),
            ("30m", 1_800),
            ("0s", 0),
            ("0", 0),
            ("1.5h", 5_400),
        ] {
            assert_eq!(text.parse::<GoDuration>().unwrap().get().as_secs(), seconds, "{text}");
        }
        assert_eq!("250ms".parse::<GoDuration>().unwrap().get(), Duration::from_millis(250));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "24", "h", "1d", "-1h", "1h ", "1..5s", ".s", "1e9h", "99999999999h", "5µ"]
        {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["24h", "2h45m", "30m", "0s", "1h0m1s", "1.5s", "250ms", "0.0001s"] {
            let value: GoDuration = text.parse().unwrap();
            assert_eq!(value.to_string().parse::<GoDuration>().unwrap(), value);
            assert!(text.len() >= value.to_string().len(), "{value}");
        }
    }
}
