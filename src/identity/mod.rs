//! Who makes a request: a user or a service.
//!
//! An [`Identity`] is the result of a check that has already happened. The layers put it into the
//! request's extensions; with the feature `axum` it is an extractor. This module does not depend on
//! policies; of tokens it knows only that an identity may carry one.

mod attributes;
mod country;
mod email;
#[cfg(feature = "axum")]
mod extract;
mod packed;
mod proof;

use std::sync::Arc;

pub(crate) use self::attributes::ClaimMatch;
pub use self::attributes::{
    Attributes, ClaimValues, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
pub(crate) use self::country::Country;
pub use self::email::{Email, EmailDomain, EmailError};
#[cfg(feature = "axum")]
pub use self::extract::IdentityRejection;
pub(crate) use self::packed::PackedIdentity;
pub(crate) use self::proof::Proof;

use crate::clock::Timestamp;

/// Who makes the request, verified for the application that the request is for.
///
/// Cheap to clone. A handler behind the layers finds it in the request's extensions:
///
/// ```
/// use http::Request;
/// use tower_access::Identity;
///
/// fn greet<B>(request: &Request<B>) -> String {
///     match request.extensions().get::<Identity>().and_then(Identity::email) {
///         Some(email) => format!("Hello, {email}"),
///         None => "Hello, stranger".to_owned(),
///     }
/// }
/// # assert_eq!(greet(&Request::new(())), "Hello, stranger");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity(Arc<Inner>);

#[derive(Debug, Eq, PartialEq)]
struct Inner {
    subject: Subject,
    expires_at: Timestamp,
    country: Option<Country>,
    session: Option<Box<str>>,
    /// The token that proves it, if any: the one that origins receive.
    proof: Option<Proof>,
}

/// Further details of an identity.
#[derive(Debug, Default)]
pub(crate) struct Details {
    pub(crate) country: Option<Country>,
    pub(crate) session: Option<Box<str>>,
    pub(crate) proof: Option<Proof>,
}

/// A user or a service. Decided by an explicit rule when the token is verified, never by which fields
/// are present.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Subject {
    /// A user.
    User {
        /// The email address that the login verified.
        email: Email,
        /// A UUID, the same for every login with this email address.
        id: Box<str>,
    },
    /// A user whose token lacks the email address, the id, or both: the claim is absent or has an unusable
    /// value. Only tokens of external issuers lead to this.
    ///
    /// The user has logged in. Two users without an id cannot be distinguished.
    IncompleteUser {
        /// The email address, if known.
        email: Option<Email>,
        /// The id, if known.
        id: Option<Box<str>>,
    },
    /// A service with a service token.
    Service {
        /// The client id of the service token (`….access`).
        client_id: Box<str>,
    },
}

impl Identity {
    /// Creates an identity from its parts. The layers create identities; tests of handlers may, too.
    ///
    /// ```
    /// use tower_access::clock::Timestamp;
    /// use tower_access::identity::{Identity, Subject};
    ///
    /// let identity = Identity::new(
    ///     Subject::User { email: "ada@example.com".parse()?, id: "4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".into() },
    ///     Timestamp::from_unix_seconds(1_790_000_000),
    /// );
    /// assert_eq!(identity.email(), Some("ada@example.com"));
    /// # Ok::<(), tower_access::identity::EmailError>(())
    /// ```
    #[must_use]
    pub fn new(subject: Subject, expires_at: Timestamp) -> Self {
        Self::with_details(subject, expires_at, Details::default())
    }

    pub(crate) fn with_details(subject: Subject, expires_at: Timestamp, details: Details) -> Self {
        let Details { country, session, proof } = details;
        Self(Arc::new(Inner { subject, expires_at, country, session, proof }))
    }

    pub(crate) fn proof(&self) -> Option<&Proof> {
        self.0.proof.as_ref()
    }

    /// Returns the user or service.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// Returns the user's verified email address; `None` for a service, and for a user whose token has no
    /// usable address.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.address().map(Email::as_str)
    }

    pub(crate) fn address(&self) -> Option<&Email> {
        match &self.0.subject {
            Subject::User { email, .. } => Some(email),
            Subject::IncompleteUser { email, .. } => email.as_ref(),
            Subject::Service { .. } => None,
        }
    }

    /// Returns the user's id; `None` for a service, and for a user whose token has none.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::User { id, .. } => Some(id),
            Subject::IncompleteUser { id, .. } => id.as_deref(),
            Subject::Service { .. } => None,
        }
    }

    /// Returns the service's client id; `None` for a user.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::User { .. } | Subject::IncompleteUser { .. } => None,
            Subject::Service { client_id } => Some(client_id),
        }
    }

    /// Returns whether a service makes the request.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.0.subject, Subject::Service { .. })
    }

    /// Returns when the token of this identity expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Returns the country that the user logged in from (ISO 3166-1 alpha-2; `XX` if unknown); `None` if
    /// the token has no valid country code.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        self.0.country.as_ref().map(Country::as_str)
    }

    /// Returns the id of the session that this identity belongs to, which a logout ends.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }
}
