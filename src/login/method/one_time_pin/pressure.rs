//! The required length of codes, depending on earlier guesses.
//!
//! Each checked code has a chance of being right: one in a million with six digits, one in ten million
//! with seven. The sum of these chances within a day is bounded: the shortest codes have a budget, and
//! each further digit has half the budget of the previous one. So however many guess, and whatever they
//! prepare, the sum never reaches [`GuessBudget::max_chance`], and some length is always accepted.
//!
//! With six digits and 500 wrong codes:
//!
//! | wrong codes within a day | digits |
//! | --- | --- |
//! | 500 | 6 |
//! | 2,000 more | 7 |
//! | 10,000 more | 8 |
//! | 50,000 more, and so on, five times as many | 9 |

/// Digits of the longest codes. They are always checked: ten thousand guesses a second for a day have
/// a chance of one in ten million.
pub(crate) const MAX_DIGITS: u32 = 16;

/// Returns the chance of one guess at a code, in units of 10<sup>-16</sup>.
pub(crate) const fn chance(digits: u32) -> u64 {
    10_u64.pow(MAX_DIGITS.saturating_sub(digits))
}

/// The limit on guesses within a day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuessBudget {
    /// Digits of the shortest codes.
    digits: u32,
    /// Guesses at the shortest codes.
    guesses: u64,
}

impl GuessBudget {
    pub(crate) const fn new(digits: u32, guesses: u64) -> Self {
        Self { digits, guesses }
    }

    /// Returns whether a code of this length is checked, given the total chance of the day's guesses,
    /// including this one.
    pub(crate) const fn allows(&self, digits: u32, used: u64) -> bool {
        digits >= self.digits && used <= self.limit(digits)
    }

    /// Returns the fewest digits that a guess needs now, before it is counted.
    pub(crate) fn required(&self, used: u64) -> u32 {
        let is_enough = |digits: &u32| self.allows(*digits, used.saturating_add(chance(*digits)));
        (self.digits..MAX_DIGITS).find(is_enough).unwrap_or(MAX_DIGITS)
    }

    /// Returns the digits of a new code. It has to stay valid for its lifetime while others continue to
    /// guess. So codes get longer early: when half the budget of the shortest codes is used, and by one
    /// digit more than required now.
    pub(crate) fn digits_for_new(&self, used: u64) -> u32 {
        if used <= self.base_budget() / 2 {
            return self.digits;
        }
        (self.required(used) + 1).min(MAX_DIGITS)
    }

    /// Returns the upper bound of the chance within a day, in units of 10<sup>-16</sup>: the budget of the
    /// shortest codes, plus four fifths of it.
    #[cfg(test)]
    pub(crate) const fn max_chance(&self) -> u64 {
        self.base_budget() + self.extra_budget()
    }

    const fn base_budget(&self) -> u64 {
        self.guesses.saturating_mul(chance(self.digits))
    }

    /// Returns the budget of all longer codes together.
    const fn extra_budget(&self) -> u64 {
        self.base_budget() / 5 * 4
    }

    /// Returns the budget of all codes up to this length.
    const fn limit(&self, digits: u32) -> u64 {
        if digits >= MAX_DIGITS {
            return u64::MAX;
        }
        let more = digits.saturating_sub(self.digits);
        self.base_budget() + self.extra_budget() - (self.extra_budget() >> more)
    }
}

/// Returns how many more digits the codes of a network get after so many wrong ones: two, and two more
/// for each factor of ten, up to eight.
pub(crate) fn digits_for_network(wrong_codes: u64, limit: u64) -> u32 {
    let (mut more, mut limit) = (0, limit.max(1));
    while wrong_codes > limit && more < 8 {
        more += 2;
        limit = limit.saturating_mul(10);
    }
    more
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: GuessBudget = GuessBudget::new(6, 500);
    /// One in a thousand.
    const STATED: u64 = chance(0) / 1_000;

    /// Guesses as fast as the budget lets, always at the shortest code that is looked at.
    fn most_guesses(budget: GuessBudget, rounds: u64) -> (Vec<u64>, u64) {
        let (mut used, mut by_length) = (0_u64, vec![0_u64; 17]);
        for _ in 0..rounds {
            let digits = budget.required(used);
            assert!(budget.allows(digits, used + chance(digits)));
            used += chance(digits);
            by_length[usize::try_from(digits).unwrap()] += 1;
        }
        (by_length, used)
    }

    #[test]
    fn otp_02_each_digit_more_is_for_five_times_as_many_guesses() {
        let (by_length, used) = most_guesses(USUAL, 2_000_000);
        assert_eq!(by_length[6..11], [500, 2_000, 10_000, 50_000, 250_000]);
        assert!(used < STATED, "{used}");
    }

    #[test]
    fn otp_02_a_day_of_guesses_comes_to_less_than_is_stated() {
        assert!(USUAL.max_chance() < STATED);
        for digits in 6..=12 {
            for guesses in [10, 500, 1_000] {
                let budget = GuessBudget::new(digits, guesses);
                let (_, used) = most_guesses(budget, 300_000);
                // The longest are looked at without bound: one in 10^16 each.
                assert!(used <= budget.max_chance() + 300_000, "{digits} {guesses}");
                assert!(used < 2 * STATED, "one in five hundred with any settings");
            }
        }
    }

    #[test]
    fn otp_21_there_is_always_a_length_that_is_looked_at() {
        for used in [0, USUAL.base_budget(), USUAL.max_chance(), u64::MAX / 2] {
            let digits = USUAL.required(used);
            assert!(USUAL.allows(digits, used + chance(digits)), "{used}");
            assert!((6..=16).contains(&USUAL.digits_for_new(used)));
        }
        assert_eq!(USUAL.required(u64::MAX / 2), 16);
        assert!(!USUAL.allows(5, 0), "shorter than any");
    }

    #[test]
    fn otp_21_new_codes_grow_before_they_must() {
        let million = chance(6);
        assert_eq!(USUAL.digits_for_new(0), 6);
        assert_eq!(USUAL.digits_for_new(250 * million), 6);
        assert_eq!(USUAL.digits_for_new(251 * million), 7);
        assert_eq!(USUAL.digits_for_new(500 * million), 8);
        let mut used = 0;
        while used < USUAL.max_chance() {
            let digits = USUAL.digits_for_new(used);
            assert!(digits >= USUAL.required(used));
            used += million / 2;
        }
    }

    #[test]
    fn otp_23_a_network_that_guesses_gets_longer_codes() {
        for (wrong_codes, more) in
            [(0, 0), (10, 0), (11, 2), (100, 2), (101, 4), (1_001, 6), (10_001, 8), (u64::MAX, 8)]
        {
            assert_eq!(digits_for_network(wrong_codes, 10), more, "{wrong_codes}");
        }
    }
}
