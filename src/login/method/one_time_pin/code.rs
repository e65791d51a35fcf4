//! Draws, derives and parses codes.

use super::pressure::MAX_DIGITS;
use crate::random::{Random, RandomUnavailable};

/// Draws a code of this many digits, uniformly at random.
pub(super) fn draw_code(digits: u32, random: &dyn Random) -> Result<String, RandomUnavailable> {
    let (count, width) = codes(digits);
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes)?;
        let number = u64::from_be_bytes(bytes);
        // Rejects the last incomplete range, which would favor small codes.
        if number < u64::MAX / count * count {
            return Ok(format!("{:0width$}", number % count));
        }
    }
}

/// Derives a code of this many digits from a tag. Codes are almost uniform.
pub(super) fn code_from_tag(digits: u32, tag: &[u8]) -> String {
    let (count, width) = codes(digits);
    let fold = |rest: u128, byte: &u8| (rest << 8 | u128::from(*byte)) % u128::from(count);
    format!("{:0width$}", tag.iter().fold(0, fold))
}

/// Parses a typed or pasted code. Ignores blanks, invisible characters and single hyphens that mail
/// programs and editors add. Returns `None` for anything else. Only ASCII digits are accepted, so the
/// set of valid codes does not grow.
pub(super) fn parse_code(typed: &str, digits: u32) -> Option<String> {
    let (_, width) = codes(digits);
    if typed.len() > MAX_TYPED {
        return None;
    }
    let mut code = String::with_capacity(width);
    let mut after_hyphen = false;
    for c in typed.chars().filter(|c| !is_filler(*c)) {
        match c {
            '0'..='9' if code.len() < width => {
                code.push(c);
                after_hyphen = false;
            }
            // One hyphen joins two groups.
            c if is_hyphen(c) && !after_hyphen && !code.is_empty() => after_hyphen = true,
            _ => return None,
        }
    }
    (code.len() == width && !after_hyphen).then_some(code)
}

/// Returns whether a character is blank or invisible (Unicode's `White_Space` and
/// `Default_Ignorable_Code_Point`, and blanks that are neither).
fn is_filler(c: char) -> bool {
    c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns whether a character is a hyphen, a dash that replaces one, or a minus sign.
fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2014}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}')
}

/// Longest input, in bytes. The field of the page accepts 64 characters, of up to three bytes each.
const MAX_TYPED: usize = 256;

/// Returns the number of codes of this length, and the length.
fn codes(digits: u32) -> (u64, usize) {
    let digits = digits.clamp(1, MAX_DIGITS);
    (10_u64.pow(digits), usize::try_from(digits).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use crate::secret::{MasterSecret, tag};
    use proptest::prelude::*;

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
        let code = |n: u32| code_from_tag(10, tag(&key, &[&n.to_be_bytes()]).as_ref());
        assert_uniform((0..60_000).map(code), 10);
    }

    #[test]
    fn otp_07_only_plain_digits_of_the_right_number_are_a_code() {
        assert_eq!(parse_code("123456", 6).as_deref(), Some("123456"));
        assert_eq!(parse_code("123 456", 6).as_deref(), Some("123456"));
        assert_eq!(parse_code("12 34 56 78", 8).as_deref(), Some("12345678"));
        for typed in [
            "",
            " ",
            "-",
            "12345",
            "1234567",
            "123456a",
            "12345a",
            "+12345",
            "+123456",
            "-123456",
            "123456-",
            "123--456",
            "123 456 7",
            "123.456",
            "12345\u{666}",
            "12345\u{ff16}",
            "１２３４５６",
            "123456\u{ff11}",
            "123456\0",
            "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}",
            "1\u{20e3}23456",
            "𝟏𝟐𝟑𝟒𝟓𝟔",
        ] {
            assert_eq!(parse_code(typed, 6), None, "{typed:?}");
        }
        assert_eq!(parse_code("123456", 8), None, "a shorter one");
        assert_eq!(parse_code(&" ".repeat(1_000_000), 6), None);
        assert_eq!(parse_code(&format!("123456{}", "\u{200b}".repeat(1_000)), 6), None);
    }

    #[test]
    fn otp_07_what_cannot_be_seen_around_a_pasted_code_does_not_count() {
        let fillers = "\t \n \r\n \u{a0} \u{85} \u{ad} \u{61c} \u{180e} \u{2009} \u{200b} \u{200c} \u{200d} \
            \u{200e} \u{200f} \u{2028} \u{202a} \u{202c} \u{202f} \u{2060} \u{2066} \u{2069} \u{3000} \u{fe0f} \
            \u{feff} \u{2800} \u{3164} \u{e0020}";
        for filler in fillers.split(' ').chain([" ", "  \u{200b} "]) {
            for typed in [
                format!("123456{filler}"),
                format!("{filler}123456"),
                format!("123{filler}456"),
                "123456".chars().map(|digit| format!("{digit}{filler}")).collect(),
            ] {
                assert_eq!(parse_code(&typed, 6).as_deref(), Some("123456"), "{typed:?}");
            }
        }
        for hyphen in
            ["-", " - ", "\u{2010}", "\u{2011}", "\u{2013}", "\u{2212}", "\u{ad}-\u{200b}"]
        {
            let typed = format!("123{hyphen}456");
            assert_eq!(parse_code(&typed, 6).as_deref(), Some("123456"), "{typed:?}");
        }
    }

    proptest! {
        #[test]
        fn otp_07_reading_adds_no_digit_and_loses_none(typed in "[0-9a \\-\u{200b}\u{ff11}]{0,24}") {
            if let Some(code) = parse_code(&typed, 6) {
                let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
                prop_assert_eq!(code, digits);
                let is_other = typed.contains(['a', '\u{ff11}']);
                prop_assert!(!is_other);
            }
        }
    }
}
