//! The text form of a secret.
//!
//! `cfast_`, 40 letters and digits, and a checksum of 8: secret scanners find it by its prefix and
//! confirm it by its checksum. The checksum is the CRC-32 (IEEE 802.3) of everything before it, in base
//! 62 with the digits `0-9`, `A-Z`, `a-z`, padded with leading zeros. It proves nothing: a secret is
//! verified by its hash alone. It only tells an operator why a secret is wrong.

use std::fmt;

use zeroize::Zeroizing;

use crate::random::{Random, RandomUnavailable};

/// The secret of a service token, shown once when it is created.
///
/// ```no_run
/// # async fn make(access: tower_access::Access) -> Result<(), Box<dyn std::error::Error>> {
/// use tower_access::service_token::ServiceTokenDuration;
///
/// let (record, secret) =
///     access.service_tokens().create("deploy", ServiceTokenDuration::default()).await?;
/// println!("CF-Access-Client-Id: {}", record.client_id);
/// println!("CF-Access-Client-Secret: {}", secret.reveal());
/// assert_eq!(format!("{secret:?}"), "ServiceTokenSecret(***)");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServiceTokenSecret(Zeroizing<String>);

impl ServiceTokenSecret {
    /// Generates a secret of 238 random bits.
    pub(super) fn generate(random: &dyn Random) -> Result<Self, RandomUnavailable> {
        // Full capacity from the start: a reallocation would leave an unwiped copy.
        let mut text = Zeroizing::new(String::with_capacity(LENGTH));
        text.push_str(PREFIX);
        let mut bytes = Zeroizing::new([0_u8; 64]);
        for _ in 0..MAX_DRAWS {
            random.fill(bytes.as_mut())?;
            let left = LENGTH - CHECKSUM_LENGTH - text.len();
            // 248 is four times 62: each digit is equally likely.
            text.extend(
                bytes.iter().filter(|byte| **byte < 248).map(|byte| digit(*byte)).take(left),
            );
            if text.len() == LENGTH - CHECKSUM_LENGTH {
                let checksum = checksum(&text);
                text.extend(checksum);
                return Ok(Self(text));
            }
        }
        // Unreachable with a working random number generator.
        Err(RandomUnavailable)
    }

    /// Returns the secret itself, to show it once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServiceTokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceTokenSecret(***)")
    }
}

/// Returns whether a text has the prefix of a secret and is mistyped or truncated. Depends on the text
/// only.
pub(super) fn is_mistyped(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    if text.len() != LENGTH || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return true;
    }
    let (before, written) = text.split_at(LENGTH - CHECKSUM_LENGTH);
    !written.chars().eq(checksum(before))
}

/// Returns the digits of a text's checksum.
fn checksum(text: &str) -> impl Iterator<Item = char> + use<> {
    let number = crc32(text.as_bytes());
    (0..CHECKSUM_LENGTH).rev().map(move |place| {
        let scale = 62_u64.pow(u32::try_from(place).unwrap_or_default());
        digit(u8::try_from(u64::from(number) / scale % 62).unwrap_or_default())
    })
}

fn digit(byte: u8) -> char {
    char::from(match byte % 62 {
        digit @ 0..10 => b'0' + digit,
        digit @ 10..36 => b'A' + (digit - 10),
        digit => b'a' + (digit - 36),
    })
}

/// Bit by bit: the input has only 46 bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

const PREFIX: &str = "cfast_";
const CHECKSUM_LENGTH: usize = 8;
const LENGTH: usize = PREFIX.len() + 40 + CHECKSUM_LENGTH;
const MAX_DRAWS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[derive(Debug)]
    struct Stuck(u8);

    impl Random for Stuck {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            bytes.fill(self.0);
            Ok(())
        }
    }

    #[test]
    fn a_checksum_is_the_well_known_one_to_the_base_62() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        // 0xcbf43926 = 3421780262 = 3*62^5 + 45*62^4 + 35*62^3 + 18*62^2 + 51*62 + 10.
        assert_eq!(checksum("123456789").collect::<String>(), written(3_421_780_262));
        let secret = ServiceTokenSecret::generate(&Stuck(0)).unwrap();
        assert!(secret.reveal().starts_with(&format!("cfast_{}", "0".repeat(40))));
        assert!(ServiceTokenSecret::generate(&Stuck(255)).is_err());
    }

    /// Written another way.
    fn written(mut number: u64) -> String {
        const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut text = String::new();
        while number > 0 {
            text.insert(0, DIGITS[usize::try_from(number % 62).unwrap()].into());
            number /= 62;
        }
        format!("{text:0>8}")
    }

    #[test]
    fn svc_08_a_secret_has_its_form_and_never_prints() {
        let secret = ServiceTokenSecret::generate(&SystemRandom).unwrap();
        let text = secret.reveal();
        assert_eq!(text.len(), 54);
        assert!(text.strip_prefix("cfast_").unwrap().bytes().all(|it| it.is_ascii_alphanumeric()));
        assert!(!is_mistyped(text));
        assert_eq!(format!("{secret:?}"), "ServiceTokenSecret(***)");
        assert_ne!(text, ServiceTokenSecret::generate(&SystemRandom).unwrap().reveal());
    }

    #[test]
    fn every_single_slip_is_seen_and_other_secrets_are_not_judged() {
        let secret = ServiceTokenSecret::generate(&SystemRandom).unwrap();
        let text = secret.reveal();
        for place in PREFIX.len()..LENGTH {
            for other in ['0', 'Z', 'q', '-', '\u{e9}'] {
                let mut changed: Vec<char> = text.chars().collect();
                if changed[place] != other {
                    changed[place] = other;
                    assert!(is_mistyped(&changed.into_iter().collect::<String>()), "{place}");
                }
            }
        }
        for end in PREFIX.len()..LENGTH {
            assert!(is_mistyped(&text[..end]), "{end}");
        }
        assert!(is_mistyped(&format!("{text}0")));
        for other in ["", "cfast", &"3397e352352f5a61".repeat(4), "any other"] {
            assert!(!is_mistyped(other), "{other}");
        }
    }
}
