//! Which login methods there are, and their settings.

use std::sync::Arc;

use super::one_time_pin::{OneTimePin, OneTimePinMethod};
use super::registry::LoginMethods;
use crate::identity::Attributes;
use crate::login::mail::Mailer;

/// The settings of the login methods of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodSettings {
    pub(crate) one_time_pin: OneTimePin,
}

impl MethodSettings {
    /// Returns the ids of the methods.
    pub(crate) fn ids(&self) -> Vec<&str> {
        vec![self.one_time_pin.method_id()]
    }

    /// Returns what is known of everybody who logs in, where that is the same for all.
    #[cfg(feature = "config")]
    pub(crate) fn usual_login(&self) -> Option<Attributes> {
        Some(self.one_time_pin.attributes())
    }

    /// Makes the methods.
    pub(crate) fn build(self, mailer: Arc<dyn Mailer>) -> LoginMethods {
        let one_time_pin = OneTimePinMethod::new(self.one_time_pin, mailer);
        LoginMethods::new(vec![Arc::new(one_time_pin)])
    }
}
