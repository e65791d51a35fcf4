//! Randomness as an argument.

use std::fmt;

/// A source of random bytes.
///
/// Implementations must be suitable for keys and codes: unpredictable and uniform.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    ///
    /// If the source fails. The caller then refuses the request.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable>;
}

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomUnavailable> {
        getrandom::fill(bytes).map_err(|_| RandomUnavailable)
    }
}

/// The error of a failed source of randomness.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the source of randomness failed")]
pub struct RandomUnavailable;

/// Returns `2 * N` random lower-case hexadecimal digits.
pub(crate) fn hex<const N: usize>(random: &dyn Random) -> Result<String, RandomUnavailable> {
    let mut bytes = [0_u8; N];
    random.fill(&mut bytes)?;
    Ok(to_hex(&bytes))
}

/// Returns bytes as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
