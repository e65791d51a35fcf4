//! `tests`: what the file is expected to decide.

use serde::Deserialize;

use crate::engine::explain::{AskedIdentity, AskedRequest, Moment, Question};
use crate::policy::Outcome;

use super::location::Location;
use super::reader::{Place, Reader};

/// An entry of `tests`: a request, and what is expected to happen to it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ExpectedVerdict {
    /// `name`; the request when left out.
    pub name: String,
    /// `request`, `identity` and `at`.
    pub question: Question,
    /// `expect`: what is to happen.
    pub outcome: Outcome,
    /// `policy`: the id or name of the policy that is to decide.
    pub policy: Option<String>,
    /// `application`: the id or name of the application that is to be chosen.
    pub application: Option<String>,
    /// Where it stands.
    pub location: Location,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "a test")]
struct Document {
    #[serde(default)]
    name: Option<String>,
    request: AskedRequest,
    #[serde(default)]
    identity: AskedIdentity,
    #[serde(default)]
    at: Option<Moment>,
    expect: Outcome,
    #[serde(default)]
    policy: Option<String>,
    #[serde(default)]
    application: Option<String>,
}

pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> Vec<ExpectedVerdict> {
    let mut tests = Vec::new();
    for entry in reader.list(root, "tests") {
        let Some(document) = reader.read::<Document>(&entry, &["request", "expect"]) else {
            continue;
        };
        let Document { name, request, identity, at, expect, policy, application } = document;
        if identity.is_ambiguous() {
            reader.error(
                &entry,
                "a request is made by a person, a service or another application; name one of \
                 `email`, `service_token` and `linked_application`",
            );
        }
        let mut question = Question::about("");
        (question.request, question.identity, question.at) = (request, identity, at);
        tests.push(ExpectedVerdict {
            name: name.unwrap_or_else(|| question.to_string()),
            question,
            outcome: expect,
            policy,
            application,
            location: entry.at(),
        });
    }
    tests
}
