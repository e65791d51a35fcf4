//! The pauses between the attempts at one mail.

use std::time::Duration;

use crate::random::Random;

/// Pauses that double with each attempt. Each is shortened by up to a half at random: mails that failed
/// together are not tried again together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pauses {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

impl Pauses {
    /// Most mail servers that put off an unknown sender accept it after one to five minutes.
    pub(super) const USUAL: Self =
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(45) };

    /// Returns the pause after an attempt; the first is 1.
    pub(super) fn after(&self, attempt: u32, random: &dyn Random) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        let mut bytes = [0; 2];
        // Without randomness the pause is whole.
        let shortened = match random.fill(&mut bytes) {
            Ok(()) => u32::from(u16::from_be_bytes(bytes)),
            Err(_) => 0,
        };
        whole - (whole / 2).saturating_mul(shortened) / u32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::RandomUnavailable;

    #[derive(Debug)]
    struct Always(Option<u8>);

    impl Random for Always {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            bytes.fill(self.0.ok_or(RandomUnavailable)?);
            Ok(())
        }
    }

    fn pauses(random: Option<u8>) -> Vec<u128> {
        let random = Always(random);
        let attempts = [1, 2, 3, 4, 5, 6, 7, 8, 40, u32::MAX];
        attempts.map(|attempt| Pauses::USUAL.after(attempt, &random).as_millis()).to_vec()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let whole =
            [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 45_000, 45_000, 45_000, 45_000].to_vec();
        assert_eq!(pauses(Some(0)), whole);
        assert_eq!(pauses(None), whole);
    }

    #[test]
    fn chance_shortens_a_pause_by_at_most_a_half() {
        let half =
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 22_500, 22_500, 22_500, 22_500].to_vec();
        assert_eq!(pauses(Some(255)), half);
        let some = pauses(Some(128));
        assert!(some.iter().zip(&half).all(|(some, half)| some > half), "{some:?}");
    }
}
