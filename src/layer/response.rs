//! What a layer returns to the layer around it.

use http::Response;

use super::body::AccessBody;
use crate::engine::Refusal;

/// A response, or a refusal that the outermost layer renders: between the layers of an
/// [`AccessLayer`](super::AccessLayer) it needs no bare response.
pub(super) enum LayerResponse<B> {
    Response(Response<AccessBody<B>>),
    Refused(Box<Refusal>),
}

impl<B> LayerResponse<B> {
    /// Returns the response; that to a refusal is bare.
    pub(super) fn into_response(self) -> Response<AccessBody<B>> {
        match self {
            Self::Response(response) => response,
            Self::Refused(refusal) => AccessBody::refusal(*refusal),
        }
    }

    /// Wraps the response of an inner service.
    pub(super) fn inner(response: Response<B>) -> Self {
        Self::Response(response.map(AccessBody::inner))
    }
}
