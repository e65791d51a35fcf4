//! Counters, for whoever records them (feature `metrics`).
//!
//! Without a recorder, and without the feature, nothing happens here. Names and labels are listed on
//! the front page of the docs.

use crate::token::TokenErrorKind;
use crate::token::keys::KeyState;

/// An attempt to fetch an issuer's keys.
pub(crate) fn key_fetch(loaded: bool) {
    #[cfg(feature = "metrics")]
    {
        let outcome = if loaded { "loaded" } else { "failed" };
        metrics::counter!("tower_access_key_fetches_total", "outcome" => outcome).increment(1);
    }
    let _ = loaded;
}

/// How an issuer's keys stand.
pub(crate) fn key_state(state: KeyState) {
    #[cfg(feature = "metrics")]
    {
        let keys = match state {
            KeyState::Fresh { keys } | KeyState::Stale { keys, .. } => keys,
            KeyState::NeverLoaded | KeyState::Expired { .. } => 0,
        };
        metrics::gauge!("tower_access_keys").set(u32::try_from(keys).unwrap_or(u32::MAX));
        for name in ["never_loaded", "fresh", "stale", "expired"] {
            let here = u32::from(name == state.as_str());
            metrics::gauge!("tower_access_key_state", "state" => name).set(here);
        }
    }
    let _ = state;
}

/// A token that was refused.
pub(crate) fn token_refused(kind: TokenErrorKind) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_access_tokens_refused_total", "reason" => kind.as_str()).increment(1);
    let _ = kind;
}
