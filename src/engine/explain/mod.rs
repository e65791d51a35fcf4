//! Why a request is decided as it is: the application, every policy, every rule.
//!
//! [`Access::explain`](crate::Access::explain) and the command line ask a [`Question`] and get a
//! [`RequestExplanation`], from the same policies that decide about live requests. Asking changes
//! nothing: no key is fetched, nobody is asked, nothing is written down.

mod decide;
mod question;
mod text;

use serde::Serialize;

use crate::application::WhyNot;
use crate::policy::{Explanation, Outcome, PolicyExplanation, VerdictId};

pub(crate) use self::decide::Asked;
pub use self::question::{
    AskedCertificate, AskedIdentity, AskedRequest, Moment, MomentError, Question,
};
#[cfg(feature = "config")]
pub(crate) use super::linked_applications::linked_application as linked;

/// Why a request is decided as it is. Displayed for people; in JSON (a stable format) the fields
/// have the names they have here.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RequestExplanation {
    /// The version of this format: 1.
    pub version: u32,
    /// What happens to the request.
    pub outcome: Outcome,
    /// The whole in a sentence.
    pub reason: String,
    /// The id that the verdict of such a request carries; `None` when no policies were asked.
    pub id: Option<VerdictId>,
    /// The request, as it was asked about.
    pub question: Question,
    /// The host in canonical form; `None` when it cannot be read in one way.
    pub host: Option<String>,
    /// The path in canonical form; `None` when it cannot be read in one way.
    pub path: Option<String>,
    /// The application that decides; without one the request stays closed.
    pub application: Option<ExplainedApplication>,
    /// Why it was none of the others.
    pub other_applications: Vec<OtherApplication>,
    /// What is worth knowing about the answer.
    pub notes: Vec<String>,
    /// What every policy and every rule came to.
    pub explanation: Option<Explanation>,
}

impl RequestExplanation {
    /// The policy that decided, and what its rules came to.
    #[must_use]
    pub fn deciding_policy(&self) -> Option<&PolicyExplanation> {
        let explanation = self.explanation.as_ref()?;
        let decided = explanation.policy.as_deref()?;
        explanation.policies.iter().find(|policy| *policy.id == *decided)
    }
}

/// An application, and the host and path by which a request belongs to it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExplainedApplication {
    /// The application's id.
    pub id: String,
    /// The application's name.
    pub name: String,
    /// The host and path of its definition.
    pub domain: String,
}

/// An application that does not decide.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OtherApplication {
    /// The application, and one of its hosts and paths.
    #[serde(flatten)]
    pub application: ExplainedApplication,
    /// Why not.
    pub why: WhyNot,
}
