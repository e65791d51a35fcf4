//! `tests`: requests and their expected verdicts.

use serde::Deserialize;

use crate::engine::explain::{Question, Rfc3339Time, SimulatedIdentity, SimulatedRequest};
use crate::policy::Outcome;

use super::location::Location;
use super::reader::{NodeRef, Reader};
use super::schema::{Read, Shape, levels};

/// An entry of `tests`: a request and its expected verdict.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExpectedVerdict {
    /// `name`; the request if omitted.
    pub name: String,
    /// `request`, `identity` and `at`.
    pub question: Question,
    /// `expect`: the expected outcome.
    pub outcome: Outcome,
    /// `policy`: the id or name of the policy that is expected to decide.
    pub policy: Option<String>,
    /// `application`: the id or name of the application that is expected to be chosen.
    pub application: Option<String>,
    /// The position of the entry in the file.
    pub location: Location,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "a test")]
pub(super) struct Document {
    #[serde(default)]
    name: Option<String>,
    request: SimulatedRequest,
    #[serde(default)]
    identity: SimulatedIdentity,
    #[serde(default)]
    at: Option<Rfc3339Time>,
    expect: Outcome,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    application: Option<String>,
}

impl Read for ExpectedVerdict {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Mapping(levels::TEST)
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let document: Document = reader.read(place, &["request", "expect"])?;
        let Document { name, request, identity, at, expect, policy, application } = document;
        if identity.is_ambiguous() {
            reader.error(
                place,
                "a request is made by a user, a service or another application; name one of \
                 `email`, `service_token` and `linked_application`",
            );
        }
        let mut question = Question::new("");
        (question.request, question.identity, question.at) = (request, identity, at);
        Some(Self {
            name: name.unwrap_or_else(|| question.to_string()),
            question,
            outcome: expect,
            policy,
            application,
            location: place.at(),
        })
    }
}
