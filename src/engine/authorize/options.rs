//! `OPTIONS` requests that settings of the application decide before its policies.

use http::{HeaderMap, Method};

use crate::application::Application;
use crate::headers;
use crate::util::response::ResponseBytes;

use super::cors::{Cors, is_plain_options};

/// The decision before policies are evaluated.
#[derive(Debug)]
pub(in crate::engine) enum BeforePolicies {
    /// A preflight, which the engine answers.
    Answered(ResponseBytes),
    /// The request passes unchecked.
    Unchecked,
    /// A preflight of an origin that is not allowed.
    Refused,
    /// The policies decide.
    Judged,
}

impl BeforePolicies {
    /// Decides from the method and the headers.
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
