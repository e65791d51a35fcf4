use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::{FILL_IN_CODE, STYLE};

/// Returns the `Content-Security-Policy` header for the documents of [`render`](super::render).
///
/// It allows no external resources: the inline stylesheet and the one script are allowed by their
/// hashes, and the favicon is part of the document. Forms may be posted to this origin and redirected to any
/// application over HTTPS, or over HTTP to `localhost` for development.
#[must_use]
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// Returns the source expression that allows an inline stylesheet or script: its hash.
pub(super) fn inline_source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
}

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let (style, script) = (inline_source(STYLE), inline_source(FILL_IN_CODE));
    format!(
        "default-src 'none'; style-src {style}; script-src {script}; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; \
         form-action 'self' https: http://localhost:* http://*.localhost:*"
    )
});
