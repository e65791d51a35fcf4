//! The settings of the login methods.

use std::sync::Arc;

use super::LoginMethod;
use super::one_time_pin::{OneTimePin, OneTimePinMethod};
use super::registry::LoginMethods;
use crate::login::mail::Mailer;

/// The settings of the login methods of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodSettings {
    pub(crate) one_time_pin: OneTimePin,
    /// All other methods.
    others: Vec<Arc<dyn LoginMethod>>,
}

impl MethodSettings {
    #[cfg(feature = "config")]
    pub(crate) fn new(one_time_pin: OneTimePin) -> Self {
        Self { one_time_pin, others: Vec::new() }
    }

    /// Appends a method.
    #[cfg(test)]
    pub(super) fn add(&mut self, method: Arc<dyn LoginMethod>) {
        self.others.push(method);
    }

    /// Returns the ids of the methods.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let others = self.others.iter().map(|method| method.id());
        std::iter::once(self.one_time_pin.method_id()).chain(others).collect()
    }

    /// Returns a repeated id, if any.
    pub(crate) fn duplicate_id(&self) -> Option<&str> {
        let ids = self.ids();
        ids.iter()
            .enumerate()
            .find(|(index, id)| ids.iter().take(*index).any(|it| it == *id))
            .map(|it| *it.1)
    }

    /// Returns the attributes of all users who log in, if they are always the same.
    #[cfg(feature = "config")]
    pub(crate) fn usual_login(&self) -> Option<crate::identity::Attributes> {
        self.others.is_empty().then(|| self.one_time_pin.attributes())
    }

    /// Builds the methods.
    pub(crate) fn build(self, mailer: Arc<dyn Mailer>) -> LoginMethods {
        let one_time_pin = OneTimePinMethod::new(self.one_time_pin, mailer);
        let mut all: Vec<Arc<dyn LoginMethod>> = vec![Arc::new(one_time_pin)];
        all.extend(self.others);
        LoginMethods::new(all)
    }
}
