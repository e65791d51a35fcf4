//! Texts of providers in the log.

/// Texts of others, for a log line: short, and escaped.
pub(super) fn quoted(error: &str, description: &str) -> String {
    let short = |text: &str| text.chars().take(MAX_QUOTED).collect::<String>();
    if description.is_empty() {
        format!("{:?}", short(error))
    } else {
        format!("{:?} ({:?})", short(error), short(description))
    }
}

/// In characters.
const MAX_QUOTED: usize = 200;
