//! Where nothing is issued, nothing is renewed.

use std::task::{Context, Poll};

use http::header::HeaderValue;
use http::{HeaderMap, Request};

use crate::policy::Verdict;

use super::Engine;
use super::authenticate::Admission;

/// There is none.
#[derive(Debug)]
pub(crate) enum Renewal {}

impl Renewal {
    pub(crate) fn poll_lines(&mut self, _: &mut Context<'_>) -> Poll<Vec<HeaderValue>> {
        match *self {}
    }
}

impl Engine {
    #[allow(clippy::unused_self, reason = "as where tokens are issued")]
    pub(super) fn renewal<B>(
        &self,
        _: &Request<B>,
        _: &Admission,
        _: &Verdict,
    ) -> Option<Box<Renewal>> {
        None
    }
}

/// Nothing to set.
pub(crate) fn set_renewed(_: &mut HeaderMap, _: Vec<HeaderValue>) {}
