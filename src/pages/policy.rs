use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::document::STYLE;

/// The `Content-Security-Policy` header for the documents of [`render`](super::render).
///
/// Nothing is loaded or run: the one inline stylesheet is admitted by its hash and the favicon is
/// part of the document. Forms may be sent to this origin and redirected to any application over
/// HTTPS, or over HTTP to `localhost` for development.
#[must_use]
pub fn content_security_policy() -> &'static str {
    &POLICY
}

/// The source that admits an inline stylesheet: its hash.
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
