//! Facts that distinguish requests, the classes of their values, and their form in a question.

use crate::engine::explain::{SimulatedCertificate, SimulatedIdentity, SimulatedRequest};
use crate::identity::RiskLevel;

use super::atoms::Family;
use super::networks::AddressClass;
use super::requesters::Requester;

/// A fact, and the classes of its values.
#[derive(Debug)]
pub(super) enum Axis {
    Requesters(Vec<Vec<Requester>>),
    /// A fact with one value.
    One(One, Vec<Vec<Value>>),
    /// Whether the values of a family are known. `other` is a value that no rule names.
    Known {
        family: Family,
        other: Box<str>,
    },
    /// Whether a request has these values, which no policy can distinguish.
    Has {
        family: Family,
        values: Vec<Box<str>>,
    },
    /// `None`: an unknown address.
    Address(Vec<Option<AddressClass>>),
}

/// A fact with one value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum One {
    Method,
    /// Whether the user logged in by the usual login, if that differs between the sides.
    UsualLogin,
    LoginMethod,
    LoginType,
    Risk,
    /// By the evaluator's URL.
    Evaluation(Box<str>),
    Country,
    Certificate,
}

/// A value of such a fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Unknown,
    /// There is no certificate.
    Missing,
    Named(Box<str>),
    /// Any value that no rule names, such as this one.
    Other(Box<str>),
}

impl Axis {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Requesters(classes) => classes.len(),
            Self::One(_, classes) => classes.len(),
            Self::Known { .. } | Self::Has { .. } => 2,
            Self::Address(classes) => classes.len(),
        }
    }

    /// Whether it is an attribute of a login other than the email address.
    pub(super) fn is_attribute(&self) -> bool {
        match self {
            Self::Requesters(_) | Self::Address(_) => false,
            Self::One(one, _) => match one {
                One::LoginMethod | One::LoginType => true,
                One::Method
                | One::Risk
                | One::UsualLogin
                | One::Evaluation(_)
                | One::Country
                | One::Certificate => false,
            },
            Self::Known { family, .. } | Self::Has { family, .. } => {
                *family != Family::DevicePosture
            }
        }
    }

    /// Writes a class into a question.
    pub(super) fn apply_to(
        &self,
        class: usize,
        identity: &mut SimulatedIdentity,
        request: &mut SimulatedRequest,
    ) {
        match self {
            Self::Requesters(classes) => {
                if let Some(requester) = classes.get(class).and_then(|class| class.first()) {
                    requester.apply_to(identity);
                }
            }
            Self::One(one, classes) => {
                if let Some(value) = classes.get(class).and_then(|class| class.first()) {
                    one.apply_to(value, identity, request);
                }
            }
            Self::Known { family, other } if class == 1 => family.know(other, identity, request),
            Self::Has { family, values } if class == 1 => {
                if let (Some(known), Some(value)) =
                    (family.known(identity, request), values.first())
                {
                    known.push(value.clone());
                }
            }
            Self::Known { .. } | Self::Has { .. } => {}
            Self::Address(classes) => {
                let class = classes.get(class).and_then(Option::as_ref);
                request.ip = class.map(|class| class.sample);
            }
        }
    }
}

impl One {
    fn apply_to(
        &self,
        value: &Value,
        identity: &mut SimulatedIdentity,
        request: &mut SimulatedRequest,
    ) {
        let text = match value {
            Value::Named(text) | Value::Other(text) => Some(text.clone()),
            Value::Unknown | Value::Missing => None,
        };
        match self {
            Self::UsualLogin => {}
            Self::Method => {
                request.method = text.map(String::from).filter(|method| !method.is_empty());
            }
            Self::LoginMethod => identity.login_method = text,
            Self::LoginType => identity.login_type = text.filter(|kind| !kind.is_empty()),
            Self::Risk => {
                identity.risk = RiskLevel::ALL
                    .into_iter()
                    .find(|level| text.as_deref() == Some(level.as_str()));
            }
            Self::Evaluation(url) => {
                if let Some(answer) = text {
                    identity.evaluations.insert(url.clone(), &*answer == "true");
                }
            }
            Self::Country => request.country = text.and_then(|text| text.parse().ok()),
            Self::Certificate => {
                request.certificate = match value {
                    Value::Unknown => None,
                    Value::Missing => Some(SimulatedCertificate::None),
                    Value::Named(name) | Value::Other(name) => {
                        Some(SimulatedCertificate::CommonName(name.clone()))
                    }
                };
            }
        }
    }
}

impl Family {
    /// States that the values are known, and empty so far.
    fn know(&self, other: &str, identity: &mut SimulatedIdentity, request: &mut SimulatedRequest) {
        match self {
            Self::AuthMethods => identity.auth_methods = Some(Vec::new()),
            Self::AuthContexts => identity.auth_contexts = Some(Vec::new()),
            Self::Groups => identity.groups = Some(Vec::new()),
            Self::Organizations => identity.organizations = Some(Vec::new()),
            Self::Accounts => identity.accounts = Some(Vec::new()),
            Self::Claim(name) => {
                let claims = identity.claims.get_or_insert_default();
                claims.insert(name.clone(), vec![other.into()]);
            }
            Self::DevicePosture => request.device_posture = Some(Vec::new()),
        }
    }

    fn known<'a>(
        &self,
        identity: &'a mut SimulatedIdentity,
        request: &'a mut SimulatedRequest,
    ) -> Option<&'a mut Vec<Box<str>>> {
        match self {
            Self::AuthMethods => identity.auth_methods.as_mut(),
            Self::AuthContexts => identity.auth_contexts.as_mut(),
            Self::Groups => identity.groups.as_mut(),
            Self::Organizations => identity.organizations.as_mut(),
            Self::Accounts => identity.accounts.as_mut(),
            Self::Claim(name) => identity.claims.as_mut()?.get_mut(name),
            Self::DevicePosture => request.device_posture.as_mut(),
        }
    }
}
