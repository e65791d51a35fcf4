//! A refusal on its way through the layers.

use http::Extensions;

use super::{Rejection, RejectionKind};
use crate::policy::{Outcome, Verdict};

/// A refusal with its verdict.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) rejection: Rejection,
    verdict: Verdict,
}

impl Refusal {
    /// Refuses by policies, or by a setting that is evaluated in place of them.
    pub(in crate::engine) fn with_verdict(rejection: Rejection, verdict: Verdict) -> Self {
        Self { rejection, verdict }
    }

    /// Returns the extensions of the response.
    pub(crate) fn into_extensions(self) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(self.rejection);
        extensions.insert(self.verdict);
        extensions
    }
}

/// A refusal without evaluated policies.
impl From<Rejection> for Box<Refusal> {
    fn from(rejection: Rejection) -> Self {
        let verdict = Verdict::undecided(match rejection.kind() {
            RejectionKind::LoginRequired => Outcome::LoginRequired,
            _ => Outcome::Denied,
        });
        Self::new(Refusal { rejection, verdict })
    }
}
