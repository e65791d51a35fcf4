//! Identity-aware access for Tower services.
