//! The settings of an application that let through what servers read in several ways.

use super::ambiguity::Ambiguity;
use super::settings::Application;

impl Application {
    /// Lets `%2F` through, wherever it stands in the path.
    ///
    /// **Weakens the default**, which answers 400: if the upstream takes `%2F` for a slash, it may
    /// serve another path than the one that was judged. Needed by applications that put whole
    /// names into one segment (Argo CD, GitLab, RabbitMQ, image proxies).
    ///
    /// This holds for each of the `insecure_allow_…` settings for paths:
    ///
    /// - The path is judged in every reading that servers are known to make of it, together with all
    ///   other kinds that are in it: each reading must belong to this application, also when letter
    ///   case is ignored, and none to the login. Anything else is a 400 as before. A more specific
    ///   application of the host is not reached in a roundabout way.
    /// - What hides a dot segment in any reading is a 400.
    /// - The path reaches the inner service byte for byte as it was sent.
    /// - A path with more readings than some hundred is a 400.
    /// - Where an axum router outside of the layer has chosen a handler, the path must be in normal form
    ///   but for what is let through.
    #[must_use]
    pub fn insecure_allow_encoded_slashes(self) -> Self {
        self.allow(Ambiguity::EncodedSlash)
    }

    /// Lets `//` through: for origins that carry whole addresses in their paths
    /// (`/proxy/https://x.example/`). Readings: as it stands, with runs of slashes collapsed, and with
    /// `//name` in front taken for a host.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_doubled_slashes(self) -> Self {
        self.allow(Ambiguity::DoubledSlash)
    }

    /// Lets backslashes through, escaped (`%5C`) or not. Readings: a character, and a slash.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_backslashes(self) -> Self {
        self.allow(Ambiguity::Backslash)
    }

    /// Lets `;` through, escaped (`%3B`) or not: matrix parameters, `;jsessionid=`. Readings: a
    /// character, and the start of what is cut off: of each segment, of the last one, of the path.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_path_parameters(self) -> Self {
        self.allow(Ambiguity::PathParameter)
    }

    /// Lets escaped control characters through (`%00`, `%0A`, `%7F`). Readings: a character, nothing,
    /// and the end of the path. Raw ones stay refused: no parser of HTTP lets them through. An origin
    /// that decodes `%0D%0A` and writes it into a header may answer with headers of a stranger's.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_control_characters(self) -> Self {
        self.allow(Ambiguity::ControlCharacter)
    }

    /// Lets escapes of escapes through (`%2541`). Readings: decoded once, twice, and so on.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_double_escapes(self) -> Self {
        self.allow(Ambiguity::DoubleEscape)
    }

    /// Lets `%` through without two hexadecimal digits behind it (`/100%`, `%zz`). Readings: a
    /// character, nothing, nothing with what would be its digits, and `%u0041` as Windows reads it.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_escapes(self) -> Self {
        self.allow(Ambiguity::InvalidEscape)
    }

    /// Lets escapes through that are not UTF-8 (`%E4`). Readings: the bytes, Latin-1, nothing, U+FFFD,
    /// and characters in an overlong form (`%C0%AF`).
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_utf8(self) -> Self {
        self.allow(Ambiguity::InvalidUtf8)
    }

    /// Lets characters beyond ASCII through without an escape. Readings: UTF-8, and Latin-1.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_unescaped_characters(self) -> Self {
        self.allow(Ambiguity::UnescapedCharacter)
    }

    pub(crate) fn allow(mut self, kind: Ambiguity) -> Self {
        self.ambiguities.insert(kind);
        self
    }

    /// Says that the origin tells paths apart that differ in letter case alone, or in dots or blanks
    /// at the end of a segment.
    ///
    /// **Weakens the default**, which answers 400 where such a path would belong to another
    /// application (see [`Destination`](super::Destination)): if the origin ignores letter case after all, it serves
    /// what is protected here to whoever gets into the other one. Has to be said by each of the
    /// applications in question that does not let in everybody, and changes nothing where it is
    /// said by one that does. The rules of the proxy's `ingress` are then told apart likewise.
    #[must_use]
    pub fn insecure_case_sensitive_origin(mut self) -> Self {
        self.case_sensitive_origin = true;
        self
    }
}
