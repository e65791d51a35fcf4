//! Whether command-line clients can log in.

use super::key::Seal;
#[cfg(feature = "cloudflared")]
use super::seal;

/// Seals tokens for a client, with the feature `cloudflared`.
#[cfg(feature = "cloudflared")]
pub(super) const SEAL: Option<Seal> = Some(seal::seal_for);
#[cfg(not(feature = "cloudflared"))]
pub(super) const SEAL: Option<Seal> = None;
/// Whether command-line clients can log in. Otherwise these endpoints do not exist.
pub(crate) const IS_AVAILABLE: bool = SEAL.is_some();
