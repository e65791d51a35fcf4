//! Digits: drawn, derived, and read.

use super::pressure::MOST_DIGITS;
use crate::random::{Random, RandomUnavailable};

/// So many digits, all codes equally likely.
pub(super) fn draw_code(digits: u32, random: &dyn Random) -> Result<String, RandomUnavailable> {
    let (count, width) = codes(digits);
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes)?;
        let number = u64::from_be_bytes(bytes);
        // The last incomplete round would favour small codes.
        if number < u64::MAX / count * count {
            return Ok(format!("{:0width$}", number % count));
        }
    }
}

/// So many digits of a tag, as good as equally likely.
pub(super) fn code_of_tag(digits: u32, tag: &[u8]) -> String {
    let (count, width) = codes(digits);
    let fold = |rest: u128, byte: &u8| (rest << 8 | u128::from(*byte)) % u128::from(count);
    format!("{:0width$}", tag.iter().fold(0, fold))
}

/// The digits of a typed code: blanks between them do not count, nothing else is read away.
pub(super) fn plain_code(typed: &str, digits: u32) -> Option<String> {
    let (_, width) = codes(digits);
    if typed.len() > 2 * width + 4 {
        return None;
    }
    let code: String = typed.chars().filter(|c| *c != ' ').collect();
    (code.len() == width && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
}

/// How many codes of this length there are, and the length.
fn codes(digits: u32) -> (u64, usize) {
    let digits = digits.clamp(1, MOST_DIGITS);
    (10_u64.pow(digits), usize::try_from(digits).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::secret::{MasterSecret, tag};

    fn assert_uniform(codes: impl Iterator<Item = String>, length: usize) {
        let mut counts = [0_u32; 10];
        for code in codes {
            assert_eq!(code.len(), length);
            for digit in code.bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        // 600,000 digits: five standard deviations around 60,000.
        assert!(counts.iter().all(|count| (58_800..61_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn otp_17_codes_are_uniform() {
        assert_uniform((0..100_000).map(|_| draw_code(6, &SystemRandom).unwrap()), 6);
        assert_uniform((0..37_500).map(|_| draw_code(16, &SystemRandom).unwrap()), 16);
    }

    #[test]
    fn otp_17_codes_of_tags_are_uniform() {
        let key = MasterSecret::from_bytes([1; 32]).derive("test");
        let code = |n: u32| code_of_tag(10, tag(&key, &[&n.to_be_bytes()]).as_ref());
        assert_uniform((0..60_000).map(code), 10);
    }

    #[test]
    fn otp_07_only_plain_digits_of_the_right_number_are_a_code() {
        assert_eq!(plain_code("123456", 6).as_deref(), Some("123456"));
        assert_eq!(plain_code("123 456", 6).as_deref(), Some("123456"));
        assert_eq!(plain_code("12 34 56 78", 8).as_deref(), Some("12345678"));
        for typed in
            ["", "12345", "1234567", "１２３４５６", "12345a", "123-456", "+12345", "12\t3456"]
        {
            assert_eq!(plain_code(typed, 6), None, "{typed}");
        }
        assert_eq!(plain_code("123456", 8), None, "a shorter one");
        assert_eq!(plain_code(&" ".repeat(1_000_000), 6), None);
    }
}
