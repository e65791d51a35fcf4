//! The fields of a line for a log without colours: as the subscriber's default, and quicker.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Formats fields as [`DefaultFields`](tracing_subscriber::fmt::format::DefaultFields) does.
///
/// Most texts need no escape. They are copied, and not examined character by character.
pub(crate) struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = PlainVisitor(DefaultVisitor::new(writer, true));
        fields.record(&mut visitor);
        visitor.0.finish()
    }
}

struct PlainVisitor<'a>(DefaultVisitor<'a>);

impl Visit for PlainVisitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "message" && value.bytes().all(is_unescaped) {
            self.0.record_debug(field, &Quoted(value));
        } else {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.record_debug(field, value);
    }
}

/// Returns whether `Debug` writes a byte of a text as it is.
fn is_unescaped(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// A text between quotes, without escapes.
struct Quoted<'a>(&'a str);

impl Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        f.write_str(self.0)?;
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_is_written_as_debug_writes_it() {
        for character in '\0'..='\u{2ff}' {
            let text = format!("a{character}b");
            let quick = text.bytes().all(is_unescaped);
            assert!(!quick || format!("{:?}", Quoted(&text)) == format!("{text:?}"), "{text:?}");
            assert_eq!(quick, character.is_ascii() && format!("{text:?}").len() == text.len() + 2);
        }
    }
}
