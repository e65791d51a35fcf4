//! Why a path is refused, and the setting that lets it through.

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
    /// `.` or `..`, escaped or not, with blanks around it or not.
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
    /// `%25` in front of what would be an escape with it.
    #[error("the path has an escape of an escape{}", allowed_by(*self))]
    DoubleEscape,
    /// Escapes of bytes that are not UTF-8.
    #[error("the path has escapes that are not UTF-8{}", allowed_by(*self))]
    InvalidUtf8,
    /// A character beyond ASCII that is not escaped.
    #[error("the path has a character beyond ASCII without an escape{}", allowed_by(*self))]
    UnescapedCharacter,
    /// A router outside of the layer has chosen a handler by another spelling than the normal one.
    #[error("a router outside of the access layer has seen a spelling that is not the normal one")]
    Respelled,
    /// Everything in it is allowed by name, and servers that read it in other ways would serve what
    /// belongs to another application, or to the login.
    #[error(
        "the path can be read in several ways, and not all of them belong to the same application"
    )]
    Divided,
    /// Everything in it is allowed by name, but there are more ways to read it than are looked at.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
    /// It belongs to another application, or to the login, when letter case, and dots and blanks at
    /// the end of its segments, are ignored.
    #[error(
        "the path differs from one that other rules are for in letter case alone, or in dots or \
         blanks at the end of a segment"
    )]
    LetterCase,
    /// Something between a router and the layer has rewritten it, into another application.
    #[error(
        "the path was rewritten behind the router into another application's: rewrite it outside \
         of the router, or inside of the access layer's application"
    )]
    Rewritten,
}

impl PathError {
    /// The setting of an application that lets such paths through, if there is one.
    #[must_use]
    pub fn setting(self) -> Option<&'static str> {
        if self == Self::LetterCase {
            return Some("insecure_case_sensitive_origin");
        }
        self.ambiguity().map(Ambiguity::setting)
    }

    /// What stands in the path that can be read in several ways.
    #[must_use]
    pub fn ambiguity(self) -> Option<Ambiguity> {
        Ambiguity::ALL.into_iter().find(|kind| Self::from(*kind) == self)
    }

    /// The reason as a stranger may know it.
    pub(crate) fn in_words(self) -> &'static str {
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
                "The path differs from another one in letter case, or in dots or blanks alone."
            }
            Self::Respelled | Self::Rewritten => "The path of the request is ambiguous.",
            Self::Divided | Self::TooManyReadings => "The path can be read in several ways.",
        }
    }
}

impl From<Ambiguity> for PathError {
    /// Returns why a path that has this is refused.
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

/// Names the setting, for whoever operates the service.
fn allowed_by(error: PathError) -> String {
    let setting = error.setting();
    setting.map_or_else(String::new, |it| format!(" (`{it}` lets it through)"))
}
