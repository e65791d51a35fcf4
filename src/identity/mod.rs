//! Who makes a request: a person or a service.
//!
//! An [`Identity`] is the outcome of a check that has already happened. It is put into a request's
//! extensions by the layers; with the feature `axum` it is an extractor. This room knows nothing
//! of policies, and of tokens only that a proof may go with an identity.

mod attributes;
mod email;
#[cfg(feature = "axum")]
mod extract;

use std::sync::Arc;

use http::HeaderValue;

pub(crate) use self::attributes::Claimed;
pub use self::attributes::{
    Attributes, ClaimValues, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
pub use self::email::{Email, EmailDomain, EmailError};
#[cfg(feature = "axum")]
pub use self::extract::IdentityRejection;

use crate::clock::Timestamp;

/// Who makes this request, as verified for the application it was made to.
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
    country: Option<Box<str>>,
    session: Option<Box<str>>,
    /// The token that proves it, where there is one: what origins get to see.
    proof: Option<HeaderValue>,
}

/// What is known of a person or machine beside who it is.
#[derive(Debug, Default)]
pub(crate) struct Details {
    pub(crate) country: Option<Box<str>>,
    pub(crate) session: Option<Box<str>>,
    pub(crate) proof: Option<HeaderValue>,
}

/// Person or machine. Decided by explicit rule when the token is verified, never by which fields
/// happen to be there.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Subject {
    /// A person.
    User {
        /// The address the login verified.
        email: Email,
        /// A UUID, the same for every login with this address.
        id: Box<str>,
    },
    /// A person of whom the issuer's token does not tell the address, the id, or both: it has no such
    /// claim, or one whose value cannot be used. Comes from issuers elsewhere alone.
    ///
    /// Somebody has logged in. Two such people are not told apart by what is missing.
    IncompleteUser {
        /// The address, where it is known.
        email: Option<Email>,
        /// The id, where it is known.
        id: Option<Box<str>>,
    },
    /// A machine with a service token.
    Service {
        /// The client id of the service token (`….access`).
        client_id: Box<str>,
    },
}

/// A header value in memory of its own.
pub(crate) fn copied(value: &HeaderValue) -> Option<HeaderValue> {
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    copy.set_sensitive(value.is_sensitive());
    Some(copy)
}

impl Identity {
    /// An identity from its parts. The layers make these; a test of a handler may, too.
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

    /// The same identity in memory of its own.
    pub(crate) fn copy(&self) -> Self {
        let Inner { subject, expires_at, country, session, proof } = &*self.0;
        let details = Details {
            country: country.clone(),
            session: session.clone(),
            proof: proof.as_ref().and_then(copied),
        };
        Self::with_details(subject.clone(), *expires_at, details)
    }

    pub(crate) fn proof(&self) -> Option<&HeaderValue> {
        self.0.proof.as_ref()
    }

    /// Person or machine.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// The person's verified address; `None` for a machine, and for a person whose token has no
    /// address that can be used.
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

    /// The person's id; `None` for a machine, and for a person whose token has none.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::User { id, .. } => Some(id),
            Subject::IncompleteUser { id, .. } => id.as_deref(),
            Subject::Service { .. } => None,
        }
    }

    /// The machine's client id; `None` for a person.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match &self.0.subject {
            Subject::User { .. } | Subject::IncompleteUser { .. } => None,
            Subject::Service { client_id } => Some(client_id),
        }
    }

    /// Whether a machine makes the request.
    #[must_use]
    pub fn is_service(&self) -> bool {
        matches!(self.0.subject, Subject::Service { .. })
    }

    /// When the proof of this identity ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// The country the person logged in from (ISO 3166-1 alpha-2; `XX` when unknown); `None` where
    /// the token has none, or a text that is no such code.
    #[must_use]
    pub fn country(&self) -> Option<&str> {
        self.0.country.as_deref()
    }

    /// The session this identity belongs to: what a logout ends.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.0.session.as_deref()
    }
}
