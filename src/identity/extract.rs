//! `Identity` as an axum extractor.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::Identity;

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = IdentityRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, IdentityRejection> {
        parts.extensions.get::<Self>().cloned().ok_or(IdentityRejection)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// The error of a handler that extracts an [`Identity`] from a request without one.
///
/// Either the route is not behind an `AccessLayer`, or a `bypass` or `non_identity` policy passed the
/// request on without an identity; extract `Option<Identity>` there. The response has status 500, since
/// clients cannot correct it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "the request has no Identity: put the route behind `.layer(AccessLayer::new(access))`, or, \
     if a bypass or non_identity policy applies to it, extract `Option<Identity>` instead"
)]
pub struct IdentityRejection;

impl IntoResponse for IdentityRejection {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
