//! Counters and gauges for the program's recorder (feature `metrics`).
//!
//! Every module reports through its own function here; without a recorder, and without the
//! feature, nothing happens. Names and labels are listed on the front page of the docs.

mod recorder;

use self::recorder::{increment, set};

/// Counts an attempt to fetch an issuer's keys.
pub(crate) fn key_fetch(is_loaded: bool) {
    let outcome = if is_loaded { "loaded" } else { "failed" };
    increment("tower_access_key_fetches_total", ("outcome", outcome));
}

/// Sets the state of an issuer's keys, and their number.
pub(crate) fn key_state(state: &'static str, keys: usize) {
    set("tower_access_keys", None, u32::try_from(keys).unwrap_or(u32::MAX));
    for name in ["never_loaded", "fresh", "stale", "expired"] {
        set("tower_access_key_state", Some(("state", name)), name == state);
    }
}

/// Counts the outcome of a question to an evaluator.
pub(crate) fn evaluation(outcome: &'static str) {
    increment("tower_access_evaluations_total", ("outcome", outcome));
}

/// Counts a step of a mail with a code: that it was queued, an attempt that is repeated, and the
/// outcome.
pub(crate) fn mail(outcome: &'static str) {
    increment("tower_access_mails_total", ("outcome", outcome));
}

/// Counts a refused token.
pub(crate) fn token_refused(reason: &'static str) {
    increment("tower_access_tokens_refused_total", ("reason", reason));
}

/// Counts a fact that rules needed and no source provided, after a refusal.
pub(crate) fn missing_fact(fact: &'static str) {
    increment("tower_access_missing_facts_total", ("fact", fact));
}

/// Counts the outcome of a reload of the configuration.
#[cfg(all(feature = "config", feature = "proxy"))]
pub(crate) fn configuration_reloaded(outcome: &'static str) {
    increment("tower_access_configuration_reloads_total", ("outcome", outcome));
    set("tower_access_configuration_stale", None, outcome == "failed");
}

/// Sets whether the country database is too old.
#[cfg(feature = "geoip")]
pub(crate) fn geo_database_stale(is_stale: bool) {
    set("tower_access_geo_database_stale", None, is_stale);
}
