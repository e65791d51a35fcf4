//! Errors of the steps of a login.

use crate::issuer::SigningError;
use crate::random::RandomUnavailable;
use crate::store::StoreError;

use super::form::FieldError;

/// The error of a step of a login, which has no page of its own.
#[derive(Debug)]
pub(super) enum Refusal {
    BadRequest,
    Store(StoreError),
}

impl From<FieldError> for Refusal {
    fn from(_: FieldError) -> Self {
        Self::BadRequest
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<RandomUnavailable> for Refusal {
    fn from(error: RandomUnavailable) -> Self {
        Self::Store(StoreError::new(error))
    }
}

impl From<SigningError> for Refusal {
    fn from(error: SigningError) -> Self {
        Self::Store(StoreError::new(error))
    }
}
