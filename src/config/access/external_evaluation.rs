//! `access.external_evaluation`: limits on questions to external evaluators.

use std::time::Duration;

use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{Read, Shape, Time, document, hours, millis};
use crate::facts::ExternalEvaluation;

document! {
    /// Limits on questions to external evaluators.
    pub(in crate::config) struct Evaluation in "access.external_evaluation" {
        /// Time for the response of an evaluator.
        "timeout" timeout: Timeout { default: "5s", example: "3s", }
        /// Time after which an evaluator is queried again, or `login`: it is queried at the login only.
        "recheck_every" recheck_every: RecheckEvery { default: "5m", example: "login", }
        /// Age up to which an earlier response still counts while the evaluator is unavailable.
        "serve_stale_up_to" serve_stale_up_to: Time<0, { hours(168) }> {
            default: "1h", example: "15m",
        }
    }
}

type Timeout =
    Time<{ millis(ExternalEvaluation::MIN_TIMEOUT) }, { millis(ExternalEvaluation::MAX_TIMEOUT) }>;
type Interval =
    Time<{ millis(ExternalEvaluation::MIN_RECHECK) }, { millis(ExternalEvaluation::MAX_RECHECK) }>;

/// A time, or `login`.
#[derive(Debug)]
pub(in crate::config) enum RecheckEvery {
    Login,
    Interval(Duration),
}

impl Read for RecheckEvery {
    type Output = Self;

    fn shape() -> Shape {
        Shape::AnyOf(vec![Shape::Choice(&["login"]), Interval::shape()])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        if place.node.text() == Some("login") {
            return Some(Self::Login);
        }
        Interval::read(reader, place).map(Self::Interval)
    }
}

impl From<Evaluation> for ExternalEvaluation {
    fn from(document: Evaluation) -> Self {
        let evaluation = document.timeout.apply(Self::new(), Self::timeout);
        let evaluation = document.serve_stale_up_to.apply(evaluation, Self::serve_stale_up_to);
        match document.recheck_every.value() {
            None => evaluation,
            Some(RecheckEvery::Login) => evaluation.only_at_login(),
            Some(RecheckEvery::Interval(interval)) => evaluation.recheck_every(interval),
        }
    }
}
