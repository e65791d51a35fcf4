//! Sources of facts that a request does not prove itself: the country of an address, a
//! client's certificate, the state of a device, the risk level of a user.
//!
//! A [`FactSource`] provides the facts that such rules need. Sources are queried in the order they
//! were added; the first one that knows a fact wins. A fact that no source knows is missing, and a missing fact allows nothing: a rule that needs it does not match where a
//! match would allow somebody, and matches where a match would refuse somebody.
//!
//! | fact | selectors | sources |
//! | --- | --- | --- |
//! | country | `geo` | `GeoDatabase` (feature `geoip`), [`TrustedHeaders`], your own |
//! | certificate | `certificate`, `common_name` | [`PeerCertificate`] in the request's extensions, [`TrustedHeaders`], your own |
//! | device posture | `device_posture` | your own, then the issuer's |
//! | level of risk | `user_risk_score` | your own |
//! | login method, groups, claims | `login_method`, `auth_method`, `okta`, `oidc`, … | where users log in: the session, from the login method; behind an issuer the claim `custom` of the token, and what the issuer says at `get-identity` ([`VerifierBuilder::get_identity`](crate::VerifierBuilder), feature `http-client`) |
//! | result of your own service | `external_evaluation` | the service, called where tokens are issued: see `evaluation` |
//!
//! Only facts that a policy of the application needs are looked up.

mod certificate;
#[cfg(feature = "x509")]
mod certificate_der;
mod country_code;
mod distinguished_name;
mod evaluator;
#[cfg(feature = "geoip")]
mod geo_database;
mod get_identity;
mod identity_object;
mod request;
mod request_facts;
mod sources;
mod trusted_headers;

use std::fmt;
use std::sync::Arc;

use http::HeaderName;

pub use self::certificate::{PeerCertificate, VerifiedCertificate};
#[cfg(feature = "x509")]
pub use self::certificate_der::CertificateError;
pub use self::evaluator::ExternalEvaluation;
pub(crate) use self::evaluator::{Asker, AskerError, LEEWAY, QUESTION_LIFETIME, wire};
#[cfg(feature = "geoip")]
pub use self::geo_database::{GeoDatabase, GeoDatabaseError};
pub(crate) use self::get_identity::{Bearer, GetIdentity, IssuerFacts};
pub(crate) use self::identity_object::IdentityObject;
pub use self::request::RequestView;
pub(crate) use self::request::{Person, Sender};
pub(crate) use self::request_facts::RequestFacts;
pub(crate) use self::sources::Sources;
pub use self::trusted_headers::{CertificateHeaders, SubjectHeader, TrustedHeaders};

use crate::address::Country;
use crate::audit::{self, Event, EventKind};
use crate::identity::{Email, RiskLevel};
use crate::metrics;
use crate::policy::{DevicePosture, Fact, FactSet};

/// A source of facts about requests.
///
/// Called while a request is evaluated, so it must respond from memory: fetch in the background, and
/// return `None` until the result is there. By default every fact is unknown.
///
/// No time limit ends a call that does not return: it blocks its request, and the thread. A
/// panic refuses the request with 500.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, RwLock};
///
/// use tower_access::identity::{Email, RiskLevel};
/// use tower_access::policy::DevicePosture;
/// use tower_access::facts::{FactSource, RequestView};
///
/// /// Results of the device management, refreshed in the background.
/// #[derive(Clone, Debug, Default)]
/// struct Devices(Arc<RwLock<HashMap<Email, Arc<DevicePosture>>>>);
///
/// impl FactSource for Devices {
///     fn device_posture(&self, request: &RequestView<'_>) -> Option<Arc<DevicePosture>> {
///         // Before a login the user is unknown.
///         self.0.read().ok()?.get(request.email()?).cloned()
///     }
///
///     fn risk(&self, request: &RequestView<'_>, person: &Email) -> Option<RiskLevel> {
///         // Users in the office have a low risk.
///         let office: tower_access::address::IpNet = "192.0.2.0/24".parse().ok()?;
///         let is_there = office.contains(&request.address()?);
///         Some(if is_there { RiskLevel::Low } else { RiskLevel::Unscored })
///     }
/// }
///
/// #
/// # {
/// let devices = Devices::default();
/// let builder = tower_access::Access::builder().fact_source(devices.clone());
/// # }
/// ```
pub trait FactSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the headers it reads, which count only if a trusted proxy sends them.
    ///
    /// From any other peer they are removed before an inner service sees the request, in every
    /// spelling a backend could take for them; from a trusted proxy only other spellings are removed.
    fn trusted_headers(&self) -> &[HeaderName] {
        &[]
    }

    /// Returns the country of the client's address.
    fn country(&self, request: &RequestView<'_>) -> Option<Country> {
        let _ = request;
        None
    }

    /// Returns the client's certificate.
    fn certificate(&self, request: &RequestView<'_>) -> PeerCertificate {
        let _ = request;
        PeerCertificate::Unknown
    }

    /// Returns the latest results of the client's device checks, by the ids of the checks. A device
    /// without results has passed none.
    fn device_posture(&self, request: &RequestView<'_>) -> Option<Arc<DevicePosture>> {
        let _ = request;
        None
    }

    /// Returns the risk level of a user, by the address the login verified; during a
    /// login, by the address the user entered.
    fn risk(&self, request: &RequestView<'_>, person: &Email) -> Option<RiskLevel> {
        let _ = (request, person);
        None
    }
}

/// Reports the facts that rules needed and no source provided, after a refusal.
pub(crate) fn report_missing(
    facts: FactSet,
    reference: &str,
    application: Option<audit::Application<'_>>,
) {
    if facts.is_empty() {
        return;
    }
    facts.iter().map(Fact::as_str).for_each(metrics::missing_fact);
    let event = Event::new(EventKind::FactsMissing { facts: &facts });
    audit::record(&event.reference(reference).application(application));
}

impl<S: FactSource + ?Sized> FactSource for Arc<S> {
    fn trusted_headers(&self) -> &[HeaderName] {
        (**self).trusted_headers()
    }

    fn country(&self, request: &RequestView<'_>) -> Option<Country> {
        (**self).country(request)
    }

    fn certificate(&self, request: &RequestView<'_>) -> PeerCertificate {
        (**self).certificate(request)
    }

    fn device_posture(&self, request: &RequestView<'_>) -> Option<Arc<DevicePosture>> {
        (**self).device_posture(request)
    }

    fn risk(&self, request: &RequestView<'_>, person: &Email) -> Option<RiskLevel> {
        (**self).risk(request, person)
    }
}
