use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::STYLE;

/// Returns the `Content-Security-Policy` header for the documents of [`render`](super::render).
///
/// It allows no scripts and no external resources: the inline stylesheet is allowed by its hash and
/// the favicon is part of the document. Forms may be posted to this origin and redirected to any
/// application over HTTPS, or over HTTP to `localhost` for development.
#[must_use]
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// Returns the source expression that allows an inline stylesheet: its hash.
pub(super) fn style_source(style: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes())))
}

static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = style_source(STYLE);
    format!(
        "default-src 'none'; style-src {style}; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'; \
         form-action 'self' https: http://localhost:* http://*.localhost:*"
    )
});
