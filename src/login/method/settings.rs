//! Which login methods there are, and their settings.

use std::sync::Arc;

use super::LoginMethod;
use super::one_time_pin::{OneTimePin, OneTimePinMethod};
use super::registry::LoginMethods;
use crate::login::mail::Mailer;

/// The settings of the login methods of a deployment.
#[derive(Clone, Debug, Default)]
pub(crate) struct MethodSettings {
    pub(crate) one_time_pin: OneTimePin,
    /// The methods beside it.
    others: Vec<Arc<dyn LoginMethod>>,
}

impl MethodSettings {
    #[cfg(feature = "config")]
    pub(crate) fn new(one_time_pin: OneTimePin) -> Self {
        Self { one_time_pin, others: Vec::new() }
    }

    /// Adds a method behind those already there.
    #[cfg(test)]
    pub(super) fn add(&mut self, method: Arc<dyn LoginMethod>) {
        self.others.push(method);
    }

    /// Returns the ids of the methods.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let others = self.others.iter().map(|method| method.id());
        std::iter::once(self.one_time_pin.method_id()).chain(others).collect()
    }

    /// Returns an id that two methods have.
    pub(crate) fn duplicate_id(&self) -> Option<&str> {
        let ids = self.ids();
        ids.iter()
            .enumerate()
            .find(|(place, id)| ids.iter().take(*place).any(|it| it == *id))
            .map(|it| *it.1)
    }

    /// Returns what is known of everybody who logs in, where that is the same for all.
    #[cfg(feature = "config")]
    pub(crate) fn usual_login(&self) -> Option<crate::identity::Attributes> {
        self.others.is_empty().then(|| self.one_time_pin.attributes())
    }

    /// Makes the methods.
    pub(crate) fn build(self, mailer: Arc<dyn Mailer>) -> LoginMethods {
        let one_time_pin = OneTimePinMethod::new(self.one_time_pin, mailer);
        let mut all: Vec<Arc<dyn LoginMethod>> = vec![Arc::new(one_time_pin)];
        all.extend(self.others);
        LoginMethods::new(all)
    }
}
