//! `OPTIONS` requests, where the application has a word on them before its policies.

use http::{HeaderMap, Method};

use crate::application::Application;
use crate::headers;
use crate::util::response::ResponseBytes;

use super::cors::{Cors, is_plain_options};

/// What becomes of a request before policies are asked.
#[derive(Debug)]
pub(in crate::engine) enum BeforePolicies {
    /// A preflight that is answered here.
    Answered(ResponseBytes),
    /// It goes on without any check.
    Unchecked,
    /// A preflight of a page that may not ask.
    Refused,
    /// By the policies, as every other.
    Judged,
}

impl BeforePolicies {
    /// Decides from the method and the headers alone.
    pub(in crate::engine) fn decide(
        application: &Application,
        (method, headers): (&Method, &HeaderMap),
        cors: Option<&Cors>,
    ) -> Self {
        if let (Some(cors), Some(settings)) = (cors, application.cors_headers.as_deref())
            && headers::is_preflight(method, headers)
        {
            return cors.preflight(settings, headers).map_or(Self::Refused, Self::Answered);
        }
        if application.options_preflight_bypass && is_plain_options(method, headers) {
            return Self::Unchecked;
        }
        Self::Judged
    }
}
