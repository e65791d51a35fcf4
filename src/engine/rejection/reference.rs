//! The reference of a refusal: the digits by which an operator finds the log line of a response. It
//! protects nothing: whoever guesses one learns nothing.

use std::cell::RefCell;
use std::fmt;

use crate::random::{Random, SystemRandom};

/// Sixteen random hexadecimal digits; none if the source of randomness failed.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Reference(Option<[u8; DIGITS]>);

impl Reference {
    /// Draws a reference from a source that the program has set.
    pub(super) fn from_source(random: &dyn Random) -> Self {
        let mut bytes = [0; BYTES];
        Self(random.fill(&mut bytes).ok().map(|()| digits(bytes)))
    }

    /// Draws a reference from the operating system, which each thread asks once for many: a flood of
    /// refusals costs few system calls.
    pub(super) fn from_system() -> Self {
        let drawn = STOCK.try_with(|stock| stock.try_borrow_mut().ok()?.draw());
        // Fails only while the thread ends, or if the system failed.
        match drawn {
            Ok(Some(bytes)) => Self(Some(digits(bytes))),
            _ => Self::from_source(&SystemRandom),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_ref().and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("none")
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

fn digits(bytes: [u8; BYTES]) -> [u8; DIGITS] {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

/// Random bytes of a thread. Each is used once.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    used: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> =
        const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], used: STOCK_BYTES }) };
}

impl Stock {
    fn draw(&mut self) -> Option<[u8; BYTES]> {
        if self.used >= STOCK_BYTES {
            SystemRandom.fill(&mut self.bytes).ok()?;
            self.used = 0;
        }
        let drawn = self.bytes.get(self.used..)?.first_chunk().copied()?;
        self.used += BYTES;
        Some(drawn)
    }
}

const BYTES: usize = 8;
const DIGITS: usize = 2 * BYTES;
/// Bytes of 32 references: as many as the system gives in one piece.
const STOCK_BYTES: usize = 32 * BYTES;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::random::RandomUnavailable;

    #[derive(Debug)]
    struct Fixed(Result<u8, RandomUnavailable>);

    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
            bytes.fill(self.0?);
            Ok(())
        }
    }

    #[test]
    fn a_reference_is_what_the_source_gave() {
        assert_eq!(Reference::from_source(&Fixed(Ok(0xa7))).as_str(), "a7a7a7a7a7a7a7a7");
        assert_eq!(Reference::from_source(&Fixed(Err(RandomUnavailable))).as_str(), "none");
    }

    #[test]
    fn no_two_references_are_equal() {
        let draw = || (0..1_000).map(|_| Reference::from_system().as_str().to_owned());
        let other = std::thread::spawn(move || draw().collect::<Vec<_>>());
        let mut all: HashSet<String> = draw().collect();
        all.extend(other.join().unwrap());
        assert_eq!(all.len(), 2_000);
        assert!(
            all.iter().all(|it| it.len() == DIGITS && it.bytes().all(|it| it.is_ascii_hexdigit()))
        );
    }
}
