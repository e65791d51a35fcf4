//! The sources of one engine, queried in order.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::{FactSource, PeerCertificate, RequestFacts, RequestView, Sender};
use crate::identity::Attributes;
use crate::policy::{Fact, Policies};

/// The sources of one engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    all: Vec<Arc<dyn FactSource>>,
    headers: Vec<HeaderName>,
}

impl Sources {
    pub(crate) fn add(&mut self, source: impl FactSource) {
        self.headers.extend_from_slice(source.trusted_headers());
        self.all.push(Arc::new(source));
    }

    /// Looks up only the facts that the policies need. `attributes`: the user's attributes from
    /// the login.
    pub(crate) fn facts(
        &self,
        request: &RequestView<'_>,
        policies: &Policies,
        attributes: Option<&Arc<Attributes>>,
    ) -> RequestFacts {
        let mut found = RequestFacts { sender: request.sender, ..RequestFacts::default() };
        if policies.uses_fact(Fact::Country) {
            found.country = self.first(|source| source.country(request));
        }
        if policies.uses_fact(Fact::Certificate) {
            found.certificate = self.certificate(request).at(request.now);
        }
        if policies.uses_fact(Fact::DevicePosture) {
            found.device_posture = self.first(|source| source.device_posture(request));
        }
        if policies.uses_login_facts() {
            found.attributes = attributes.cloned();
        }
        if policies.uses_fact(Fact::RiskScore)
            && let Some(email) = request.email()
            && let Some(risk) = self.first(|source| source.risk(request, email))
        {
            let mut known = found.attributes.as_deref().cloned().unwrap_or_default();
            known.risk = Some(risk);
            found.attributes = Some(Arc::new(known));
        }
        found
    }

    /// Removes the headers that sources read if they are not trusted: all spellings from
    /// any peer, the exact one unless a trusted proxy wrote it.
    pub(crate) fn scrub(&self, headers: &mut HeaderMap, sender: Sender) {
        if self.headers.is_empty() {
            return;
        }
        let is_theirs = |name: &HeaderName| {
            self.headers.iter().any(|known| {
                if known == name { !sender.is_trusted_proxy } else { is_alias(known, name) }
            })
        };
        let theirs: Vec<HeaderName> =
            headers.keys().filter(|name| is_theirs(name)).cloned().collect();
        for name in theirs {
            headers.remove(name);
        }
    }

    fn certificate(&self, request: &RequestView<'_>) -> PeerCertificate {
        // From a proxy it is the proxy's own certificate.
        let of_peer = match request.extensions.get::<PeerCertificate>() {
            Some(certificate) if !request.is_from_trusted_proxy() => certificate.clone(),
            _ => PeerCertificate::Unknown,
        };
        let known = |certificate: PeerCertificate| {
            (certificate != PeerCertificate::Unknown).then_some(certificate)
        };
        known(of_peer)
            .or_else(|| self.first(|source| known(source.certificate(request))))
            .unwrap_or_default()
    }

    fn first<T>(&self, ask: impl FnMut(&Arc<dyn FactSource>) -> Option<T>) -> Option<T> {
        self.all.iter().find_map(ask)
    }
}

/// Whether a backend may confuse two names: they differ only in characters other than
/// letters and digits.
fn is_alias(known: &HeaderName, name: &HeaderName) -> bool {
    fn folded(name: &HeaderName) -> impl Iterator<Item = u8> {
        name.as_str().bytes().map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'-' })
    }
    known.as_str().len() == name.as_str().len() && folded(known).eq(folded(name))
}
