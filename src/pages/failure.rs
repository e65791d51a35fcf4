//! The page of a gateway that got no response from the origin: without link, host or logo.

use std::sync::LazyLock;

use askama::Template;

use super::policy::inline_source;

/// Reports that the origin did not respond, with the reference of the reason in the log.
pub(crate) struct FailurePage<'a> {
    pub(crate) status: u16,
    pub(crate) title: &'a str,
    pub(crate) message: &'a str,
    pub(crate) reference: &'a str,
}

impl FailurePage<'_> {
    /// Renders the page as a complete HTML document.
    pub(crate) fn render(&self) -> String {
        // Writing text into a `String` does not fail.
        FailureDocument { page: self }.render().unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailureDocument<'a> {
    page: &'a FailurePage<'a>,
}

/// Returns the `Content-Security-Policy` header for a [`FailurePage`]: only its stylesheet is allowed.
pub(crate) fn failure_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let style = inline_source(STYLE);
        format!("default-src 'none'; style-src {style}; frame-ancestors 'none'; base-uri 'none'")
    });
    &POLICY
}

const STYLE: &str = include_str!("templates/failure.css");

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn policy_admits_the_stylesheet_and_text_is_escaped() {
        let message = "</p><script>";
        let page = FailurePage { status: 502, title: "Bad gateway", message, reference: "0f" };
        let html = page.render();
        assert!(html.contains("<title>502 Bad gateway</title>"), "{html}");
        assert!(html.contains("Reference <code>0f</code>"), "{html}");
        assert!(!html.contains(message), "{html}");
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(failure_security_policy().contains(&format!("'sha256-{hash}'")));
    }
}
