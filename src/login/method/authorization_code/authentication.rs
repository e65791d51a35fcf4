//! How a client proves itself.

/// How a client proves itself to a provider's token endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// The secret in the form (`client_secret_post`).
    Post,
    /// The secret in an `Authorization` header (`client_secret_basic`), form-encoded as RFC 6749,
    /// section 2.3.1, requires. Providers disagree on the encoding of special characters: a secret of
    /// letters, digits, `-` and `_` works with all of them.
    Basic,
}

impl ClientAuthentication {
    /// Returns the name of OpenID Connect Core, section 9.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "client_secret_post",
            Self::Basic => "client_secret_basic",
        }
    }
}
