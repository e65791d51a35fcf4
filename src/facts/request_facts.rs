//! The facts of one request.

use std::sync::Arc;

use super::{IssuerFacts, PeerCertificate, Sender};
use crate::address::Country;
use crate::identity::{Attributes, Email};
use crate::policy::{Answers, DevicePosture, Facts};

/// The facts of one request, beside its credential.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestFacts {
    pub(crate) sender: Sender,
    /// The country of the client's address.
    pub(crate) country: Option<Country>,
    /// The client's certificate, if it is good at this time.
    pub(crate) certificate: PeerCertificate,
    /// Results of checks of the client's device.
    pub(crate) device_posture: Option<Arc<DevicePosture>>,
    /// What is known of the person beside the address.
    pub(crate) attributes: Option<Arc<Attributes>>,
    /// What evaluators say of the person; `None`: they have not been asked.
    pub(crate) evaluations: Option<Answers>,
}

impl RequestFacts {
    /// Takes over what the issuer knows of the person. What sources of our own know stays.
    pub(crate) fn merge(&mut self, issuer: &IssuerFacts) {
        self.set_attributes(&issuer.attributes);
        if self.device_posture.is_none() {
            self.device_posture.clone_from(&issuer.device_posture);
        }
    }

    /// Takes over what a login told of the person. The risk that a source of our own knows stays.
    pub(crate) fn set_attributes(&mut self, attributes: &Arc<Attributes>) {
        let risk = self.attributes.as_ref().and_then(|known| known.risk);
        self.attributes = Some(match risk {
            None => Arc::clone(attributes),
            Some(risk) => Arc::new(Attributes { risk: Some(risk), ..(**attributes).clone() }),
        });
    }

    /// The facts of a request that nobody has proved anything with.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            address: self.sender.address,
            country: self.country,
            certificate: self.certificate.as_fact(),
            device_posture: self.device_posture.as_deref(),
            ..Facts::default()
        }
    }

    /// The facts of a request of a person.
    pub(crate) fn facts_of<'a>(&'a self, email: &'a Email) -> Facts<'a> {
        Facts { email: Some(email), ..self.facts_of_somebody() }
    }

    /// The facts of a request of a person whose address is not known.
    pub(crate) fn facts_of_somebody(&self) -> Facts<'_> {
        Facts {
            is_logged_in: true,
            attributes: self.attributes.as_deref(),
            evaluations: self.evaluations.as_ref(),
            ..self.facts()
        }
    }
}
