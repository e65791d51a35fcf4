//! Counters, for whoever records them (feature `metrics`).
//!
//! Without a recorder, and without the feature, nothing happens here. Names and labels are listed on
//! the front page of the docs.

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
pub(crate) fn key_state(state: &'static str, keys: usize) {
    #[cfg(feature = "metrics")]
    {
        metrics::gauge!("tower_access_keys").set(u32::try_from(keys).unwrap_or(u32::MAX));
        for name in ["never_loaded", "fresh", "stale", "expired"] {
            let here = u32::from(name == state);
            metrics::gauge!("tower_access_key_state", "state" => name).set(here);
        }
    }
    let _ = (state, keys);
}

/// What came of a question to an evaluator.
pub(crate) fn evaluation(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_access_evaluations_total", "outcome" => outcome).increment(1);
    let _ = outcome;
}

/// A token that was refused.
pub(crate) fn token_refused(reason: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_access_tokens_refused_total", "reason" => reason).increment(1);
    let _ = reason;
}

/// A fact that rules asked for and nobody could tell, where somebody was refused.
pub(crate) fn missing_fact(fact: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("tower_access_missing_facts_total", "fact" => fact).increment(1);
    let _ = fact;
}

/// What came of reading the configuration again.
#[cfg(all(feature = "config", feature = "proxy"))]
pub(crate) fn configuration_reloaded(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("tower_access_configuration_reloads_total", "outcome" => outcome)
            .increment(1);
        let is_stale = u32::from(outcome == "failed");
        metrics::gauge!("tower_access_configuration_stale").set(is_stale);
    }
    let _ = outcome;
}

/// Whether the database of countries is older than it should be.
#[cfg(feature = "geoip")]
pub(crate) fn geo_database_stale(is_stale: bool) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("tower_access_geo_database_stale").set(u32::from(is_stale));
    let _ = is_stale;
}
