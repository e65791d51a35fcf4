//! The compact form of an identity, for a cache.

use super::{Country, Details, Email, Identity, Proof, Subject};
use crate::clock::Timestamp;

/// An identity without its token, in one piece of memory.
#[derive(Debug)]
pub(crate) struct PackedIdentity {
    /// Email address, id and session. None of them is empty, so that an empty part is an absent one.
    texts: Box<str>,
    email_end: u16,
    id_end: u16,
    subject: PackedSubject,
    country: Option<Country>,
    expires_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
enum PackedSubject {
    User,
    IncompleteUser,
    Service,
}

impl PackedIdentity {
    /// Packs an identity; `None` if a text is empty or has more than 64 KiB.
    pub(crate) fn new(identity: &Identity) -> Option<Self> {
        let (subject, email, id) = match identity.subject() {
            Subject::User { email, id } => (PackedSubject::User, Some(email.as_str()), Some(&**id)),
            Subject::IncompleteUser { email, id } => {
                (PackedSubject::IncompleteUser, email.as_ref().map(Email::as_str), id.as_deref())
            }
            Subject::Service { client_id } => (PackedSubject::Service, None, Some(&**client_id)),
        };
        let parts = [email, id, identity.session_id()];
        if parts.contains(&Some("")) {
            return None;
        }
        let [email, id, session] = parts.map(Option::unwrap_or_default);
        let email_end = u16::try_from(email.len()).ok()?;
        let id_end = u16::try_from(email.len() + id.len()).ok()?;
        let mut texts = String::with_capacity(email.len() + id.len() + session.len());
        texts.push_str(email);
        texts.push_str(id);
        texts.push_str(session);
        Some(Self {
            texts: texts.into(),
            email_end,
            id_end,
            subject,
            country: identity.0.country,
            expires_at: identity.expires_at(),
        })
    }

    /// Returns the identity again, proved by its token.
    pub(crate) fn unpack(&self, proof: Proof) -> Option<Identity> {
        let part = |text: &str| (!text.is_empty()).then(|| Box::from(text));
        let (rest, session) = self.texts.split_at_checked(self.id_end.into())?;
        let (email, id) = rest.split_at_checked(self.email_end.into())?;
        let (email, id) = (part(email).map(Email::from_parsed), part(id));
        let subject = match self.subject {
            PackedSubject::User => Subject::User { email: email?, id: id? },
            PackedSubject::IncompleteUser => Subject::IncompleteUser { email, id },
            PackedSubject::Service => Subject::Service { client_id: id? },
        };
        let (country, session) = (self.country, part(session));
        let details = Details { country, session, proof: Some(proof) };
        Some(Identity::with_details(subject, self.expires_at, details))
    }

    /// Returns the user's email address; an empty text if it has none.
    pub(crate) fn email(&self) -> &str {
        self.texts.get(..self.email_end.into()).unwrap_or_default()
    }

    /// Returns the size of the memory beside the structure.
    pub(crate) fn text_bytes(&self) -> usize {
        self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Option<Box<str>>> {
        proptest::option::of("\\PC{1,40}".prop_map(Into::into))
    }

    proptest! {
        #[test]
        fn an_identity_is_the_same_after_it_was_packed(
            which in 0..3,
            has_email: bool,
            (id, session) in (text(), text()),
            country in proptest::option::of("[A-Z0-9]{2}"),
            seconds: u64,
        ) {
            let email: Option<Email> = has_email.then(|| "ada@example.com".parse().unwrap());
            let subject = match (which, email, id) {
                (0, Some(email), Some(id)) => Subject::User { email, id },
                (1, _, Some(client_id)) => Subject::Service { client_id },
                (_, email, id) => Subject::IncompleteUser { email, id },
            };
            let proof = Proof::new(Bytes::from_static(b"a.b.c"));
            let country = country.and_then(|code| Country::from_code(&code));
            let details = Details { country, session, proof: Some(proof.clone()) };
            let end = Timestamp::from_unix_seconds(seconds);
            let identity = Identity::with_details(subject, end, details);
            let packed = PackedIdentity::new(&identity).unwrap();
            prop_assert_eq!(packed.email(), identity.email().unwrap_or_default());
            prop_assert_eq!(packed.unpack(proof), Some(identity));
        }
    }

    #[test]
    fn an_empty_text_is_not_taken_for_an_absent_one() {
        let subject = Subject::Service { client_id: "".into() };
        assert!(PackedIdentity::new(&Identity::new(subject, Timestamp::default())).is_none());
    }
}
