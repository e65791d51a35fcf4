//! Errors of paths, and the settings that allow such paths.

use super::ambiguity::Ambiguity;

/// Why a path was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// It does not begin with a slash.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// It is longer than 8 KiB.
    #[error("the path is too long")]
    TooLong,
    /// `.` or `..`, escaped or not, with spaces around it or not.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Two slashes in a row.
    #[error("the path has a doubled slash{}", allowed_by(*self))]
    EmptySegment,
    /// `%2F`.
    #[error("the path has an encoded slash{}", allowed_by(*self))]
    EncodedSlash,
    /// A backslash, escaped or not.
    #[error("the path has a backslash{}", allowed_by(*self))]
    Backslash,
    /// A semicolon: some servers cut the segment there.
    #[error("the path has a path parameter{}", allowed_by(*self))]
    Parameter,
    /// A control character, escaped or not.
    #[error("the path has a control character{}", allowed_by(*self))]
    Control,
    /// `%` without two hexadecimal digits.
    #[error("the path has an invalid escape{}", allowed_by(*self))]
    Escape,
    /// `%25` before two hexadecimal digits.
    #[error("the path has an escape of an escape{}", allowed_by(*self))]
    DoubleEscape,
    /// Escapes of bytes that are not UTF-8.
    #[error("the path has escapes that are not UTF-8{}", allowed_by(*self))]
    InvalidUtf8,
    /// A non-ASCII character without an escape.
    #[error("the path has a non-ASCII character without an escape{}", allowed_by(*self))]
    UnescapedCharacter,
    /// A router outside of the layer selected a handler by a path that is not in normal form.
    #[error("a router outside of the access layer matched a path that is not in normal form")]
    Respelled,
    /// Its ambiguities are allowed, but in another reading it belongs to another application or to the
    /// login.
    #[error("the path is ambiguous, and not all of its readings belong to the same application")]
    Divided,
    /// Its ambiguities are allowed, but it has too many readings.
    #[error("the path has too many readings")]
    TooManyReadings,
    /// It belongs to another application or to the login if letter case, and dots and spaces at the end of
    /// its segments, are ignored.
    #[error(
        "the path differs from a path with other rules only in letter case, or in dots or spaces at \
         the end of a segment"
    )]
    LetterCase,
    /// Middleware between a router and the layer rewrote it into another application.
    #[error(
        "the path was rewritten after routing into that of another application: rewrite it outside \
         of the router, or within the same application"
    )]
    Rewritten,
}

impl PathError {
    /// Returns the setting of an application that allows such paths, if any.
    #[must_use]
    pub fn setting(self) -> Option<&'static str> {
        if self == Self::LetterCase {
            return Some("insecure_case_sensitive_origin");
        }
        self.ambiguity().map(Ambiguity::setting)
    }

    /// Returns the ambiguity of the path.
    #[must_use]
    pub fn ambiguity(self) -> Option<Ambiguity> {
        Ambiguity::ALL.into_iter().find(|kind| Self::from(*kind) == self)
    }

    /// Returns the reason for the client.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::NotAbsolute => "The path does not begin with a slash.",
            Self::TooLong => "The path is too long.",
            Self::DotSegment => "The path has a dot segment.",
            Self::EmptySegment => "The path has a doubled slash.",
            Self::EncodedSlash => "The path has an encoded slash.",
            Self::Backslash => "The path has a backslash.",
            Self::Parameter => "The path has a path parameter (a semicolon).",
            Self::Control => "The path has a control character.",
            Self::Escape => "The path has an invalid escape.",
            Self::DoubleEscape => "The path has an escape of an escape.",
            Self::InvalidUtf8 => "The path has escapes that are not UTF-8.",
            Self::UnescapedCharacter => "The path has a character that needs an escape.",
            Self::LetterCase => {
                "The path differs from another one only in letter case, dots or spaces."
            }
            Self::Respelled | Self::Rewritten => "The path of the request is ambiguous.",
            Self::Divided | Self::TooManyReadings => "The path is ambiguous.",
        }
    }
}

impl From<Ambiguity> for PathError {
    /// Returns the error of a path with this ambiguity.
    fn from(kind: Ambiguity) -> Self {
        match kind {
            Ambiguity::EncodedSlash => Self::EncodedSlash,
            Ambiguity::DoubledSlash => Self::EmptySegment,
            Ambiguity::Backslash => Self::Backslash,
            Ambiguity::PathParameter => Self::Parameter,
            Ambiguity::ControlCharacter => Self::Control,
            Ambiguity::DoubleEscape => Self::DoubleEscape,
            Ambiguity::InvalidEscape => Self::Escape,
            Ambiguity::InvalidUtf8 => Self::InvalidUtf8,
            Ambiguity::UnescapedCharacter => Self::UnescapedCharacter,
        }
    }
}

/// Names the setting, for the operator.
fn allowed_by(error: PathError) -> String {
    let setting = error.setting();
    setting.map_or_else(String::new, |it| format!(" (`{it}` allows it)"))
}
