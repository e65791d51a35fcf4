//! The facts of one request.

use std::sync::Arc;

use super::{IssuerFacts, PeerCertificate, Sender};
use crate::address::Country;
use crate::identity::{Attributes, Email};
use crate::policy::{DevicePosture, EvaluatorResults, Facts};

/// The facts of one request, in addition to its credential.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) sender: Sender,
    /// Returns the country of the client's address.
    pub(crate) country: Option<Country>,
    /// The client's certificate, if it is valid at this time.
    pub(crate) certificate: PeerCertificate,
    /// Results of checks of the client's device.
    pub(crate) device_posture: Option<Arc<DevicePosture>>,
    /// The user's attributes other than the address.
    pub(crate) attributes: Option<Arc<Attributes>>,
    /// The evaluators' results for the user; `None` if they were not called.
    pub(crate) evaluations: Option<EvaluatorResults>,
}

impl RequestFacts {
    /// Adds the issuer's facts about the user. Facts from local sources take precedence.
    pub(crate) fn merge(&mut self, issuer: &IssuerFacts) {
        self.set_attributes(&issuer.attributes);
        if self.device_posture.is_none() {
            self.device_posture.clone_from(&issuer.device_posture);
        }
    }

    /// Sets the attributes from the login. A risk level from a local source takes precedence.
    pub(crate) fn set_attributes(&mut self, attributes: &Arc<Attributes>) {
        let risk = self.attributes.as_ref().and_then(|known| known.risk);
        self.attributes = Some(match risk {
            None => Arc::clone(attributes),
            Some(risk) => Arc::new(Attributes { risk: Some(risk), ..(**attributes).clone() }),
        });
    }

    /// Returns the facts of a request without a credential.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            address: self.sender.address,
            country: self.country,
            certificate: self.certificate.as_fact(),
            device_posture: self.device_posture.as_deref(),
            ..Facts::default()
        }
    }

    /// Returns the facts of a user's request.
    pub(crate) fn facts_for<'a>(&'a self, email: &'a Email) -> Facts<'a> {
        Facts { email: Some(email), ..self.facts_without_email() }
    }

    /// Returns the facts of a request of a user whose address is unknown.
    pub(crate) fn facts_without_email(&self) -> Facts<'_> {
        Facts {
            is_logged_in: true,
            attributes: self.attributes.as_deref(),
            evaluations: self.evaluations.as_ref(),
            ..self.facts()
        }
    }
}
