//! Settings of an application that allow ambiguous paths.

use super::ambiguity::Ambiguity;
use super::settings::Application;

impl Application {
    /// Allows `%2F` anywhere in the path.
    ///
    /// **Weakens the default**, which is a 400 response: if the origin reads `%2F` as a slash, it may serve
    /// another path than the one that was checked. Needed by applications that put whole names into one
    /// segment (Argo CD, GitLab, RabbitMQ, image proxies).
    ///
    /// For each of the `insecure_allow_…` settings for paths:
    ///
    /// - The path is checked in every reading that servers are known to have, together with all other
    ///   ambiguities in it: each reading must belong to this application, also if letter case is ignored,
    ///   and none to the login. Otherwise the response is a 400. This protects more specific applications
    ///   of the host.
    /// - A path with a dot segment in any reading is a 400.
    /// - The inner service receives the path byte for byte as it was sent.
    /// - A path with more than about a hundred readings is a 400.
    /// - If an axum router outside of the layer selected a handler, the path must be in normal form, except
    ///   for what is allowed.
    #[must_use]
    pub fn insecure_allow_encoded_slashes(self) -> Self {
        self.allow(Ambiguity::EncodedSlash)
    }

    /// Allows `//`: for origins with whole URLs in their paths (`/proxy/https://x.example/`). Readings: as it
    /// is, with runs of slashes collapsed, and with a leading `//name` read as a host.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_doubled_slashes(self) -> Self {
        self.allow(Ambiguity::DoubledSlash)
    }

    /// Allows backslashes, escaped (`%5C`) or not. Readings: a character, and a slash.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_backslashes(self) -> Self {
        self.allow(Ambiguity::Backslash)
    }

    /// Allows `;`, escaped (`%3B`) or not: matrix parameters, `;jsessionid=`. Readings: a character, and the
    /// start of a part that is cut off: of each segment, of the last one, of the path.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_path_parameters(self) -> Self {
        self.allow(Ambiguity::PathParameter)
    }

    /// Allows escaped control characters (`%00`, `%0A`, `%7F`). Readings: a character, nothing, and the end of
    /// the path. Raw control characters stay refused: no HTTP parser accepts them. An origin that decodes
    /// `%0D%0A` and writes it into a header lets a client inject response headers.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_control_characters(self) -> Self {
        self.allow(Ambiguity::ControlCharacter)
    }

    /// Allows escapes of escapes (`%2541`). Readings: decoded once, twice, and so on.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_double_escapes(self) -> Self {
        self.allow(Ambiguity::DoubleEscape)
    }

    /// Allows `%` without two hexadecimal digits after it (`/100%`, `%zz`). Readings: a character, nothing,
    /// nothing together with the would-be digits, and `%u0041` as Windows reads it.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_escapes(self) -> Self {
        self.allow(Ambiguity::InvalidEscape)
    }

    /// Allows escapes that are not UTF-8 (`%E4`). Readings: the bytes, Latin-1, nothing, U+FFFD, and overlong
    /// characters (`%C0%AF`).
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_utf8(self) -> Self {
        self.allow(Ambiguity::InvalidUtf8)
    }

    /// Allows non-ASCII characters without an escape. Readings: UTF-8, and Latin-1.
    ///
    /// **Weakens the default**, which is a 400 response; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_unescaped_characters(self) -> Self {
        self.allow(Ambiguity::UnescapedCharacter)
    }

    pub(crate) fn allow(mut self, kind: Ambiguity) -> Self {
        self.ambiguities.insert(kind);
        self
    }

    /// Declares that the origin distinguishes paths that differ only in letter case, or in dots or spaces at
    /// the end of a segment.
    ///
    /// **Weakens the default**, which is a 400 response if such a path would belong to another application
    /// (see [`Destination`](super::Destination)): if the origin ignores letter case after all, it serves the
    /// protected paths to users of the other application. Each of the applications in question must set it,
    /// unless it grants access to everyone, where it has no effect. The rules of the proxy's `ingress` are
    /// then distinguished in the same way.
    #[must_use]
    pub fn insecure_case_sensitive_origin(mut self) -> Self {
        self.case_sensitive_origin = true;
        self
    }
}
