//! The settings of the login methods.

use std::sync::Arc;

use super::LoginMethod;
use super::info::MethodInfo;
use super::one_time_pin::{OneTimePin, OneTimePinMethod};
use super::provider::{IdentityProvider, MethodContext, ProviderError};
use super::registry::LoginMethods;
use crate::login::mail::Mailer;

/// The settings of the login methods of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct MethodSettings {
    /// `None`: users log in by identity providers only.
    pub(crate) one_time_pin: Option<OneTimePin>,
    providers: Vec<IdentityProvider>,
}

impl Default for MethodSettings {
    fn default() -> Self {
        Self { one_time_pin: Some(OneTimePin::new()), providers: Vec::new() }
    }
}

impl MethodSettings {
    #[cfg(feature = "config")]
    pub(crate) fn new(
        one_time_pin: Option<OneTimePin>,
        providers: impl IntoIterator<Item = IdentityProvider>,
    ) -> Self {
        Self { one_time_pin, providers: providers.into_iter().collect() }
    }

    /// Appends an identity provider.
    pub(crate) fn add(&mut self, provider: IdentityProvider) {
        self.providers.push(provider);
    }

    /// Returns the login methods, in the order in which they are offered.
    pub(crate) fn infos(&self) -> impl Iterator<Item = MethodInfo<'_>> {
        let pin = self.one_time_pin.iter().map(OneTimePin::info);
        let others = self.providers.iter().map(|provider| MethodInfo {
            id: provider.id(),
            kind: provider.kind(),
            name: provider.name(),
        });
        pin.chain(others)
    }

    /// Returns the ids of the methods.
    pub(crate) fn ids(&self) -> Vec<&str> {
        self.infos().map(|method| method.id).collect()
    }

    /// Returns a repeated id, if any.
    pub(crate) fn duplicate_id(&self) -> Option<&str> {
        let ids = self.ids();
        ids.iter()
            .enumerate()
            .find(|(index, id)| ids.iter().take(*index).any(|it| it == *id))
            .map(|it| *it.1)
    }

    /// Builds the methods.
    pub(crate) fn build(
        self,
        mailer: Arc<dyn Mailer>,
        context: &MethodContext<'_>,
    ) -> Result<LoginMethods, ProviderError> {
        let mut all: Vec<Arc<dyn LoginMethod>> = Vec::new();
        if let Some(settings) = self.one_time_pin {
            all.push(Arc::new(OneTimePinMethod::new(settings, mailer)));
        }
        for provider in &self.providers {
            all.push(provider.build(context)?);
        }
        Ok(LoginMethods::new(all))
    }
}
