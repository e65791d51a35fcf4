//! The claims of a token.

mod parse;
mod typed;
mod unusable;

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{SerializeSeq, Serializer};

use crate::clock::Timestamp;
use crate::identity::{Email, Subject};

pub(super) use self::parse::Text;
pub use self::typed::ClaimsError;
pub(crate) use self::unusable::{UnusableClaims, UnusableReason};
use super::cache::allocated;
use super::error::{TokenError, TokenErrorKind};

/// The claims of an application token or a session token: sections 1.2 to 1.4 of the contract.
///
/// Parsing is strict: a claim of the wrong type, a repeated claim and `null` are refused, never
/// skipped. Unknown claims are ignored;
/// [`Identity::claims`](crate::Identity::claims) reads them.
///
/// [`verify`](crate::token::verify) reads tokens of other issuers: there an identity claim (`sub`,
/// `email`, `common_name`, `identity_nonce`, `country`) that is `null` counts as absent, and so does
/// an `identity_nonce` that is a number.
///
/// Create them with [`Claims::new`] and set the fields of the identity:
///
/// ```
/// use tower_access::clock::Timestamp;
/// use tower_access::token::{Audiences, Claims, TokenKind};
///
/// let now = Timestamp::from_unix_seconds(1_790_000_000);
/// let expires = Timestamp::from_unix_seconds(1_790_003_600);
/// let audience = Audiences::single("7a1c0f5e9b3d2846");
/// let issuer = "https://acme.cloudflareaccess.com";
/// let mut claims = Claims::new(TokenKind::Application, issuer, audience, now, expires);
/// claims.email = Some("ada@example.com".to_owned());
/// ```
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Claims {
    /// Application token or session token.
    #[serde(rename = "type")]
    pub kind: TokenKind,
    /// `https://` and the team domain, byte for byte.
    pub iss: String,
    /// The audiences of the token.
    pub aud: Audiences,
    /// The time at which the token expires, in Unix seconds.
    pub exp: u64,
    /// The time at which it was issued, in Unix seconds.
    pub iat: u64,
    /// The time from which on it is valid, in Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The user's UUID; empty for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// The user's verified email address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A service token's client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The session the token belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_nonce: Option<String>,
    /// Country of the login, ISO 3166-1 alpha-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
}

impl Claims {
    /// Creates the claims of a token without `nbf` and without an identity.
    #[must_use]
    pub fn new(
        kind: TokenKind,
        issuer: impl Into<String>,
        audiences: Audiences,
        issued_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            kind,
            iss: issuer.into(),
            aud: audiences,
            exp: expires_at.as_unix_seconds(),
            iat: issued_at.as_unix_seconds(),
            nbf: None,
            sub: None,
            email: None,
            common_name: None,
            identity_nonce: None,
            country: None,
        }
    }

    /// Returns the subject, by the claims that are present: a service if `common_name` is, a
    /// user if `email` or `sub` is. Both or neither is refused. An empty `sub` or `common_name`
    /// counts as absent; an `email` counts as present whatever its value, so that a malformed address
    /// never turns a user into a service.
    ///
    /// An address that is not a plain [`Email`] is unknown: the user is then a
    /// [`Subject::IncompleteUser`].
    ///
    /// # Errors
    ///
    /// [`TokenErrorKind::Subject`].
    pub fn subject(&self) -> Result<Subject, TokenError> {
        let claimed = |claim: &Option<String>| -> Option<Box<str>> {
            claim.as_deref().filter(|text| !text.is_empty()).map(Into::into)
        };
        match (claimed(&self.common_name), self.email.as_deref(), claimed(&self.sub)) {
            (Some(client_id), None, None) => Ok(Subject::Service { client_id }),
            (Some(_), ..) | (None, None, None) => Err(TokenErrorKind::Subject.into()),
            (None, email, id) => {
                let email: Option<Email> = email.and_then(|email| email.parse().ok());
                Ok(match (email, id) {
                    (Some(email), Some(id)) => Subject::User { email, id },
                    (email, id) => Subject::IncompleteUser { email, id },
                })
            }
        }
    }
}

/// The `type` of a token.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum TokenKind {
    /// `app`: grants access to one application.
    #[serde(rename = "app")]
    Application,
    /// `org`: the global session; grants nothing by itself, is exchanged for application tokens.
    #[serde(rename = "org")]
    Session,
    /// `binding`: the second cookie of applications that require one; grants nothing.
    #[serde(rename = "binding")]
    Binding,
}

impl TokenKind {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "app" => Self::Application,
            "org" => Self::Session,
            "binding" => Self::Binding,
            _ => return None,
        })
    }
}

/// The audiences of a token: a list, or on the wire also one string. Written as a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Audiences(Vec<Box<str>>);

impl Audiences {
    /// Creates a list of one audience.
    #[must_use]
    pub fn single(audience: &str) -> Self {
        Self(vec![audience.into()])
    }

    /// Returns the number of audiences.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an iterator over the audiences.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|audience| &**audience)
    }

    /// Returns the size of the list in memory, as [`allocated`](crate::token::allocated).
    pub(crate) fn heap_bytes(&self) -> usize {
        let texts = self.0.iter().map(|audience| allocated(audience.len()));
        allocated(self.0.capacity() * size_of::<Box<str>>()) + texts.sum::<usize>()
    }

    /// Returns whether `audience` is among them, compared as a whole.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|entry| &**entry == audience)
    }
}

impl Serialize for Audiences {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for audience in &self.0 {
            list.serialize_element(audience)?;
        }
        list.end()
    }
}

impl<'de> Deserialize<'de> for Audiences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Audiences;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }
            fn visit_str<E: de::Error>(self, audience: &str) -> Result<Audiences, E> {
                Ok(Audiences::single(audience))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audiences, A::Error> {
                let mut audiences = Vec::new();
                while let Some(audience) = list.next_element::<Box<str>>()? {
                    audiences.push(audience);
                }
                Ok(Audiences(audiences))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A claim that may be absent but not `null`.
pub(super) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct NotNull<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for NotNull<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value other than null")
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }
    deserializer.deserialize_option(NotNull(PhantomData)).map(Some)
}
