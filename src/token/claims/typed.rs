//! The claims of an identity as a type of the program.

use serde::de::DeserializeOwned;

use crate::identity::Identity;
use crate::token::jws;

impl Identity {
    /// Deserializes the claims of this identity's token into your type.
    ///
    /// The token is already verified; only its payload is parsed again, so this costs time
    /// only where it is called. Members your type does not have are ignored.
    ///
    /// Behind an issuer an identity claim may be `null`, and an `email` may be malformed: make
    /// such members an `Option`, and prefer the methods of the identity.
    ///
    /// ```
    /// use tower_access::Identity;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Claims {
    ///     country: String,
    ///     custom: Custom,
    /// }
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Custom {
    ///     department: String,
    /// }
    ///
    /// async fn handler(identity: Identity) -> String {
    ///     match identity.claims::<Claims>() {
    ///         Ok(claims) => format!("{} in {}", claims.custom.department, claims.country),
    ///         Err(error) => format!("no department: {error}"),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If there is no token, as for a service that sent its secret, or the claims do not have
    /// this type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        let token = self.proof().and_then(|proof| std::str::from_utf8(proof.token()).ok());
        let payload = token.and_then(|token| jws::payload(token).ok());
        let payload = payload.ok_or(ClaimsError::NoToken)?;
        serde_json::from_slice(&payload).map_err(|error| ClaimsError::Type(error.to_string()))
    }

    /// Deserializes the claim `custom` alone: the user's attributes from the identity provider.
    ///
    /// For display and hints: Cloudflare cuts it at about a thousand bytes.
    ///
    /// # Errors
    ///
    /// As [`claims`](Self::claims), and if `custom` is absent.
    pub fn custom_claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        #[derive(serde::Deserialize)]
        struct Outer<T> {
            custom: T,
        }
        self.claims::<Outer<T>>().map(|claims| claims.custom)
    }
}

/// The error for claims that are absent or not of the requested type.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The identity was proved without a token.
    #[error("the identity has no token, so it has no claims")]
    NoToken,
    /// The claims have another type than requested.
    #[error("the claims have another type: {0}")]
    Type(String),
}
