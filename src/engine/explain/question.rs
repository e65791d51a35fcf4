//! The question of an explanation: a simulated request.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::Country;
use crate::identity::{
    Attributes, ClaimValues, Email, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
use crate::policy::{Certificate, DevicePosture};

/// A simulated request, and who makes it.
///
/// Facts that are left out are unknown, and unknown facts open nothing. Three exceptions: a request
/// without a service token presents none; a user without login attributes (method, groups, claims
/// and so on) logged in with a one-time PIN, if that is the only login method; and where there are several, a
/// user of whom only the one-time PIN as the login method is given has what all such users have.
///
/// ```
/// use tower_access::explain::Question;
///
/// let question = Question::new("https://wiki.example.com/docs").with_email("ada@example.com".parse()?);
/// assert_eq!(question.to_string(), "--url https://wiki.example.com/docs --email ada@example.com");
///
/// let same: Question = serde_json::from_str(
///     r#"{"request": {"url": "https://wiki.example.com/docs"}, "identity": {"email": "ada@example.com"}}"#,
/// )?;
/// assert_eq!(same, question);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Question {
    /// The request.
    pub request: SimulatedRequest,
    /// Who makes it; without it the request has no credential.
    #[serde(default, skip_serializing_if = "SimulatedIdentity::is_anonymous")]
    pub identity: SimulatedIdentity,
    /// The time (RFC 3339); default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Rfc3339Time>,
}

/// The simulated request, and where it comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SimulatedRequest {
    /// The URL: `https://wiki.example.com/docs`, or without the scheme.
    pub url: String,
    /// The method; default: `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The country of that address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The client certificate: `none`, or a valid one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<SimulatedCertificate>,
    /// The ids of the checks that the device has passed; it has failed all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_posture: Option<Vec<Box<str>>>,
}

/// The client certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SimulatedCertificate {
    /// The client presents no valid certificate.
    None,
    /// A valid certificate with this common name.
    CommonName(Box<str>),
}

/// Who makes a request: a user (`email`), a service (`service_token`), another application on behalf of
/// a user (`linked_application`), or an anonymous client.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SimulatedIdentity {
    /// The verified email address of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The id of the login method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_method: Option<Box<str>>,
    /// The type of the login method, such as `oidc` or `cloudflare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_type: Option<Box<str>>,
    /// The authentication methods (`amr`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_methods: Option<Vec<Box<str>>>,
    /// The authentication contexts that were satisfied (`acrs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_contexts: Option<Vec<Box<str>>>,
    /// The groups at the identity provider, by id, name or email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Box<str>>>,
    /// The GitHub organizations, `acme`, or with a team, `acme/ops`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organizations: Option<Vec<Box<str>>>,
    /// Claims of an OpenID provider, or attributes of a SAML provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<BTreeMap<Box<str>, Vec<Box<str>>>>,
    /// The Cloudflare accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<Box<str>>>,
    /// The risk level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskLevel>,
    /// The answers of external evaluators, by their URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evaluations: BTreeMap<Box<str>, bool>,
    /// The service token of the request, by id, name or client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_token: Option<Box<str>>,
    /// The application whose token is presented, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_application: Option<Box<str>>,
}

/// What is known of users by their login method alone.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KnownLogins<'a> {
    /// The attributes of every user who logs in; `None` if there are several login methods, or if the
    /// only one has different users.
    pub(crate) usual: Option<&'a Attributes>,
    /// The attributes of every user who logs in by one-time PIN, if that is one of several login methods.
    pub(crate) one_time_pin: Option<&'a Attributes>,
}

/// A time in the format of RFC 3339, such as `2027-01-31T00:00:00Z`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rfc3339Time(pub crate::clock::Timestamp);

impl Question {
    /// Asks about an anonymous request to a URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        let request = SimulatedRequest { url: url.into(), ..SimulatedRequest::default() };
        Self { request, ..Self::default() }
    }

    /// Sets the user by email address.
    #[must_use]
    pub fn with_email(mut self, email: Email) -> Self {
        self.identity.email = Some(email);
        self
    }

    /// Sets the service token, by id, name or client id.
    #[must_use]
    pub fn with_service_token(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity.service_token = Some(id.into());
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Self {
        self.request.ip = Some(address);
        self
    }

    /// Sets the country.
    #[must_use]
    pub fn with_country(mut self, country: Country) -> Self {
        self.request.country = Some(country);
        self
    }
}

impl SimulatedRequest {
    pub(crate) fn certificate(&self) -> Certificate<'_> {
        match &self.certificate {
            None => Certificate::Unknown,
            Some(SimulatedCertificate::None) => Certificate::Missing,
            Some(SimulatedCertificate::CommonName(name)) => {
                Certificate::Good { common_name: Some(name) }
            }
        }
    }

    pub(crate) fn device_posture(&self) -> Option<DevicePosture> {
        let passed = self.device_posture.as_ref()?;
        Some(passed.iter().map(|check| (check.clone(), true)).collect())
    }
}

impl SimulatedIdentity {
    /// Returns whether the client is anonymous.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether requesters of several kinds are named.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.kinds() > 1
    }

    /// Returns how many kinds of requesters are named.
    fn kinds(&self) -> usize {
        [self.email.is_some(), self.service_token.is_some(), self.linked_application.is_some()]
            .into_iter()
            .filter(|named| *named)
            .count()
    }

    /// Returns the attributes of the user. Without login attributes, those of the usual login are added;
    /// if the question has only the login method, those that all its logins have.
    pub(crate) fn attributes_with(&self, logins: KnownLogins<'_>) -> Option<Attributes> {
        let Some(mut attributes) = self.attributes() else { return logins.usual.cloned() };
        let known = if self.has_login_attributes() {
            logins.one_time_pin.filter(|pin| self.is_login_by_alone(pin))
        } else {
            logins.usual
        };
        if let Some(known) = known {
            attributes.fill_missing_from(known);
        }
        Some(attributes)
    }

    /// Returns whether the login method of these attributes is all that the question has of the login.
    fn is_login_by_alone(&self, known: &Attributes) -> bool {
        let id = known.login_method.as_ref().map(|method| &method.id);
        let alone = Self { login_method: None, ..self.clone() };
        self.login_method.as_ref() == id && !alone.has_login_attributes()
    }

    /// Returns whether any attribute of a login is set.
    pub(crate) fn has_login_attributes(&self) -> bool {
        self.login_method.is_some()
            || self.auth_methods.is_some()
            || self.auth_contexts.is_some()
            || self.groups.is_some()
            || self.organizations.is_some()
            || self.claims.is_some()
            || self.accounts.is_some()
    }

    /// Returns the attributes that are set; `None` if none is.
    fn attributes(&self) -> Option<Attributes> {
        let Self { login_method, auth_methods, auth_contexts, groups, organizations, .. } = self;
        if !self.has_login_attributes() && self.risk.is_none() {
            return None;
        }
        let claims = self.claims.as_ref().map(|claims| {
            let pairs = claims.iter().flat_map(|(name, values)| {
                values.iter().map(move |value| (name.clone(), value.clone()))
            });
            pairs.collect::<ClaimValues>()
        });
        let login_method = login_method.clone().map(|id| {
            let kind = self.login_type.clone().unwrap_or_default();
            LoginMethod { id, kind }
        });
        let named = |name: &str| ProviderGroup {
            id: Some(name.into()),
            name: Some(name.into()),
            email: Some(name.into()),
        };
        Some(Attributes {
            login_method,
            authentication_methods: auth_methods.clone(),
            authentication_contexts: auth_contexts.clone(),
            groups: groups.as_ref().map(|all| all.iter().map(|name| named(name)).collect()),
            organizations: organizations.as_deref().map(parse_organizations),
            organizations_are_partial: false,
            oidc_claims: claims.clone(),
            saml_attributes: claims,
            accounts: self.accounts.clone(),
            risk: self.risk,
        })
    }
}

/// Groups `acme` and `acme/ops` by organization.
fn parse_organizations(texts: &[Box<str>]) -> Vec<Organization> {
    let mut all: Vec<Organization> = Vec::new();
    for text in texts {
        let (name, team) = match text.split_once('/') {
            Some((name, team)) => (name, Some(team)),
            None => (&**text, None),
        };
        let index = all.iter().position(|known| *known.name == *name);
        let organization = match index {
            Some(index) => all.get_mut(index),
            None => {
                all.push(Organization { name: name.into(), teams: Some(Vec::new()) });
                all.last_mut()
            }
        };
        if let (Some(teams), Some(team)) = (organization.and_then(|it| it.teams.as_mut()), team) {
            teams.push(team.into());
        }
    }
    all
}

/// Writes the arguments of `explain`.
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { request, identity, at } = self;
        write!(f, "--url {}", Quoted(&request.url))?;
        for (name, value) in [
            ("method", request.method.as_deref()),
            ("email", identity.email.as_ref().map(Email::as_str)),
            ("service-token", identity.service_token.as_deref()),
            ("linked-application", identity.linked_application.as_deref()),
            ("login-method", identity.login_method.as_deref()),
            ("login-type", identity.login_type.as_deref()),
        ] {
            if let Some(value) = value {
                write_argument(f, name, value)?;
            }
        }
        for (name, values) in [
            ("auth-method", &identity.auth_methods),
            ("auth-context", &identity.auth_contexts),
            ("group", &identity.groups),
            ("organization", &identity.organizations),
            ("account", &identity.accounts),
            ("passed-check", &request.device_posture),
        ] {
            match values.as_deref() {
                Some([]) => write!(f, " --no-{name}s")?,
                values => {
                    for value in values.into_iter().flatten() {
                        write_argument(f, name, value)?;
                    }
                }
            }
        }
        match &identity.claims {
            Some(claims) if claims.is_empty() => f.write_str(" --no-claims")?,
            claims => {
                for (name, values) in claims.iter().flatten() {
                    for value in values {
                        write_argument(f, "claim", &format!("{name}={value}"))?;
                    }
                }
            }
        }
        for (url, success) in &identity.evaluations {
            write_argument(f, "evaluation", &format!("{url}={success}"))?;
        }
        if let Some(risk) = identity.risk {
            write_argument(f, "risk", risk.as_str())?;
        }
        if let Some(address) = request.ip {
            write_argument(f, "ip", &address.to_string())?;
        }
        if let Some(country) = &request.country {
            write_argument(f, "country", country.as_str())?;
        }
        match &request.certificate {
            None => {}
            Some(SimulatedCertificate::CommonName(name)) => {
                write_argument(f, "certificate-cn", name)?
            }
            Some(SimulatedCertificate::None) => f.write_str(" --no-certificate")?,
        }
        match at {
            Some(moment) => write!(f, " --at {moment}"),
            None => Ok(()),
        }
    }
}

fn write_argument(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, " --{name} {}", Quoted(value))
}

/// A text quoted as one argument of a shell.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@=%+,".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(is_plain) {
            f.write_str(self.0)
        } else {
            write!(f, "'{}'", self.0.replace('\'', r"'\''"))
        }
    }
}

impl fmt::Display for Rfc3339Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use time::OffsetDateTime;
        use time::format_description::well_known::Rfc3339;

        let seconds = i64::try_from(self.0.as_unix_seconds()).unwrap_or(i64::MAX);
        let moment = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Rfc3339Time {
    type Err = Rfc3339TimeError;

    fn from_str(text: &str) -> Result<Self, Rfc3339TimeError> {
        use time::OffsetDateTime;
        use time::format_description::well_known::Rfc3339;

        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Rfc3339TimeError)?;
        let seconds = u64::try_from(moment.unix_timestamp()).map_err(|_| Rfc3339TimeError)?;
        Ok(Self(crate::clock::Timestamp::from_unix_seconds(seconds)))
    }
}

impl Serialize for Rfc3339Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rfc3339Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is not a time in the format of RFC 3339.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[error("invalid time; write `2027-01-31T00:00:00Z`")]
pub struct Rfc3339TimeError;
