//! Whether command-line clients can log in.

use super::key::Seal;
#[cfg(feature = "cloudflared")]
use super::seal;

/// Seals tokens for a client, where that is built in (feature `cloudflared`).
#[cfg(feature = "cloudflared")]
pub(super) const SEAL: Option<Seal> = Some(seal::seal_for);
#[cfg(not(feature = "cloudflared"))]
pub(super) const SEAL: Option<Seal> = None;
/// Whether command-line clients can log in. Without that there are none of these endpoints.
pub(crate) const IS_AVAILABLE: bool = SEAL.is_some();
