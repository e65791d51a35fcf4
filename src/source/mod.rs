//! Where facts come from that a request does not prove itself.

use std::net::IpAddr;

use crate::address::Country;
use crate::identity::{Attributes, Email};
use crate::policy::Facts;

/// What is known about where a request comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Circumstances {
    /// The client's address; `None` when it is unknown.
    pub(crate) address: Option<IpAddr>,
    /// The country of that address.
    pub(crate) country: Option<Country>,
}

impl Circumstances {
    /// The facts of a request that nobody has proved anything with.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts { address: self.address, country: self.country, ..Facts::default() }
    }

    /// The facts of a request of a person.
    pub(crate) fn facts_of<'a>(
        &'a self,
        email: &'a Email,
        attributes: Option<&'a Attributes>,
    ) -> Facts<'a> {
        Facts { email: Some(email), attributes, ..self.facts() }
    }
}
