//! Spellings that servers read in several ways, and the settings that allow them.

/// A kind of spelling that servers read in several ways. Each has a setting of its own
/// ([`setting`](Self::setting)), off by default.
///
/// Dot segments have no setting: servers, browsers and proxies resolve them before or after everything
/// else. A path with a dot segment in any reading is always refused, and so are raw control characters
/// (which no HTTP parser accepts), a path without a leading slash, and a path longer than 8 KiB.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Ambiguity {
    /// `%2F`: a character of a name, or a slash.
    EncodedSlash,
    /// `//`: an empty segment, or a single slash; at the start, a host.
    DoubledSlash,
    /// A backslash, escaped or not: a character, or a slash.
    Backslash,
    /// `;`: a character, or the start of a part that is cut off.
    PathParameter,
    /// An escaped control character: a character, nothing, or the end of the path.
    ControlCharacter,
    /// `%25` before two hexadecimal digits: decoded once, or twice.
    DoubleEscape,
    /// `%` without two hexadecimal digits: a character, nothing, or `%u0041`.
    InvalidEscape,
    /// Escapes that are not UTF-8: bytes, Latin-1, or overlong characters.
    InvalidUtf8,
    /// Non-ASCII characters without an escape.
    UnescapedCharacter,
}

impl Ambiguity {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::EncodedSlash,
        Self::DoubledSlash,
        Self::Backslash,
        Self::PathParameter,
        Self::ControlCharacter,
        Self::DoubleEscape,
        Self::InvalidEscape,
        Self::InvalidUtf8,
        Self::UnescapedCharacter,
    ];

    /// Returns the setting of an application that allows it.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::EncodedSlash => "insecure_allow_encoded_slashes",
            Self::DoubledSlash => "insecure_allow_doubled_slashes",
            Self::Backslash => "insecure_allow_backslashes",
            Self::PathParameter => "insecure_allow_path_parameters",
            Self::ControlCharacter => "insecure_allow_control_characters",
            Self::DoubleEscape => "insecure_allow_double_escapes",
            Self::InvalidEscape => "insecure_allow_invalid_escapes",
            Self::InvalidUtf8 => "insecure_allow_invalid_utf8",
            Self::UnescapedCharacter => "insecure_allow_unescaped_characters",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Ambiguities(u16);

impl Ambiguities {
    pub(crate) fn insert(&mut self, kind: Ambiguity) {
        self.0 |= 1 << kind as u16;
    }

    pub(crate) fn contains(self, kind: Ambiguity) -> bool {
        self.0 & (1 << kind as u16) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Ambiguity> {
        Ambiguity::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }

    /// Returns the first kind that is not in `allowed`.
    pub(crate) fn first_outside(self, allowed: Self) -> Option<Ambiguity> {
        Self(self.0 & !allowed.0).iter().next()
    }
}
