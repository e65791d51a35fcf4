//! `proxy --version`: the version, and the features that the program is built with.

use std::sync::LazyLock;

/// The version of the crate, and a line with the features.
pub(crate) fn long() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let built_in = FEATURES.iter().filter(|(_, is_built_in)| *is_built_in);
        let names: Vec<&str> = built_in.map(|(name, _)| *name).collect();
        format!("{}\nfeatures: {}", env!("CARGO_PKG_VERSION"), names.join(", "))
    });
    &TEXT
}

/// The features that a configuration may need.
const FEATURES: [(&str, bool); 5] = [
    ("cloudflared", cfg!(feature = "cloudflared")),
    ("geoip", cfg!(feature = "geoip")),
    ("redb", cfg!(feature = "redb")),
    ("redis", cfg!(feature = "redis")),
    ("smtp", cfg!(feature = "smtp")),
];
