//! The claims of an identity as the program's own types.

use serde::de::DeserializeOwned;

use crate::identity::Identity;
use crate::token::jws;

impl Identity {
    /// Returns the claims of the identity's token, as a type of your own.
    ///
    /// The token was verified before. This parses its payload again, so it costs time only if it is
    /// called. Members your type does not have are ignored.
    ///
    /// In tokens of an external issuer an identity claim may be `null`, and an `email`
    /// something else than a plain address: make such members an `Option`, and prefer the methods of the identity.
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
    /// If there is no token, as for a service that authenticated with its secret, or
    /// if the claims do not have this type.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ClaimsError> {
        let token = self.proof().and_then(|proof| proof.to_str().ok());
        let payload = token.and_then(|token| jws::payload(token).ok());
        let payload = payload.ok_or(ClaimsError::NoToken)?;
        serde_json::from_slice(&payload).map_err(|error| ClaimsError::Type(error.to_string()))
    }

    /// Returns the claim `custom`, the identity provider's attributes of the user, as a type of your
    /// own.
    ///
    /// Meant for display and hints: Cloudflare cuts it at about a thousand bytes.
    ///
    /// # Errors
    ///
    /// As [`claims`](Self::claims), and if there is no `custom`.
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
    #[error("this identity comes without a token, so it has no claims")]
    NoToken,
    /// The claims have another type than requested.
    #[error("the claims have another type: {0}")]
    Type(String),
}
