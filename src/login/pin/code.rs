//! Six digits: drawn, and read.

use crate::random::{Random, RandomUnavailable};

/// Six digits, all equally likely.
pub(super) fn draw_code(random: &dyn Random) -> Result<String, RandomUnavailable> {
    loop {
        let mut bytes = [0; 4];
        random.fill(&mut bytes)?;
        let number = u32::from_be_bytes(bytes);
        // The last incomplete million would favour small codes.
        if number < u32::MAX / 1_000_000 * 1_000_000 {
            return Ok(format!("{:06}", number % 1_000_000));
        }
    }
}

/// The digits of a typed code: blanks between them do not count, nothing else is read away.
pub(super) fn plain_code(typed: &str) -> Option<String> {
    let digits: String = typed.chars().filter(|c| *c != ' ').collect();
    (typed.len() <= 16 && digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;

    #[test]
    fn otp_17_codes_are_uniform() {
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            let code = draw_code(&SystemRandom).unwrap();
            assert_eq!(code.len(), 6);
            for digit in code.bytes() {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        // 600,000 digits: five standard deviations around 60,000.
        assert!(counts.iter().all(|count| (58_800..61_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn otp_07_only_six_plain_digits_are_a_code() {
        assert_eq!(plain_code("123456").as_deref(), Some("123456"));
        assert_eq!(plain_code("123 456").as_deref(), Some("123456"));
        for typed in
            ["", "12345", "1234567", "１２３４５６", "12345a", "123-456", "+12345", "12\t3456"]
        {
            assert_eq!(plain_code(typed), None, "{typed}");
        }
        assert_eq!(plain_code(&" ".repeat(1_000_000)), None);
    }
}
