//! A request that somebody asks about.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::Country;
use crate::identity::{
    Attributes, ClaimValues, Email, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
use crate::policy::{Certificate, DevicePosture};

/// A request that somebody asks about, and who makes it.
///
/// What is not said is not known, and what is not known opens nothing. Two exceptions: no service
/// token is shown unless one is named, and a person of whom nothing is said that a login tells (its
/// method, groups, claims and so on) came in by one-time PIN, where that is the login there is.
///
/// ```
/// use tower_access::explain::Question;
///
/// let question = Question::about("https://wiki.example.com/docs").by_person("ada@example.com".parse()?);
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
    pub request: AskedRequest,
    /// Who makes it; nobody has proved anything when left out.
    #[serde(default, skip_serializing_if = "AskedIdentity::is_nobody")]
    pub identity: AskedIdentity,
    /// The moment (RFC 3339); now when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
}

/// What a request says of itself, and where it comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AskedRequest {
    /// The address: `https://wiki.example.com/docs`, or without the scheme.
    pub url: String,
    /// The method; `GET` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The country of that address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<Country>,
    /// The client's certificate: `none`, or a good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<AskedCertificate>,
    /// The checks the device has passed, by id; all others it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_posture: Option<Vec<Box<str>>>,
}

/// The client's certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AskedCertificate {
    /// None was shown, or none that is good.
    None,
    /// A good one with this common name.
    CommonName(Box<str>),
}

/// Who makes a request: a person (`email`), a service (`service_token`), another application on
/// behalf of a person (`linked_application`), or nobody that is known.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AskedIdentity {
    /// The verified address of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// The id of the login method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_method: Option<Box<str>>,
    /// Its type, such as `oidc` or `cloudflare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_type: Option<Box<str>>,
    /// How the person proved it (`amr`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_methods: Option<Vec<Box<str>>>,
    /// The authentication contexts that were satisfied (`acrs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_contexts: Option<Vec<Box<str>>>,
    /// The groups at the identity provider, by id, name or address.
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
    /// The level of risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<RiskLevel>,
    /// What external evaluators say, by the address they are asked at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evaluations: BTreeMap<Box<str>, bool>,
    /// The service token that is shown, by id, name or client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_token: Option<Box<str>>,
    /// The application whose token is brought, by id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked_application: Option<Box<str>>,
}

/// A moment in time (RFC 3339), such as `2027-01-31T00:00:00Z`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Moment(pub crate::clock::Timestamp);

impl Question {
    /// A request to an address, by nobody, from nowhere.
    #[must_use]
    pub fn about(url: impl Into<String>) -> Self {
        let request = AskedRequest { url: url.into(), ..AskedRequest::default() };
        Self { request, ..Self::default() }
    }

    /// Has a person make the request.
    #[must_use]
    pub fn by_person(mut self, email: Email) -> Self {
        self.identity.email = Some(email);
        self
    }

    /// Has a service make the request.
    #[must_use]
    pub fn by_service_token(mut self, id: impl Into<Box<str>>) -> Self {
        self.identity.service_token = Some(id.into());
        self
    }

    /// Lets the request come from an address.
    #[must_use]
    pub fn from_address(mut self, address: IpAddr) -> Self {
        self.request.ip = Some(address);
        self
    }

    /// Lets the request come from a country.
    #[must_use]
    pub fn from_country(mut self, country: Country) -> Self {
        self.request.country = Some(country);
        self
    }
}

impl AskedRequest {
    pub(crate) fn certificate(&self) -> Certificate<'_> {
        match &self.certificate {
            None => Certificate::Unknown,
            Some(AskedCertificate::None) => Certificate::Missing,
            Some(AskedCertificate::CommonName(name)) => {
                Certificate::Good { common_name: Some(name) }
            }
        }
    }

    pub(crate) fn device_posture(&self) -> Option<DevicePosture> {
        let passed = self.device_posture.as_ref()?;
        Some(passed.iter().map(|check| (check.clone(), true)).collect())
    }
}

impl AskedIdentity {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        *self == Self::default()
    }

    /// Whether requesters of several kinds are named at once.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.kinds() > 1
    }

    /// How many kinds of requesters are named at once.
    fn kinds(&self) -> usize {
        [self.email.is_some(), self.service_token.is_some(), self.linked_application.is_some()]
            .into_iter()
            .filter(|named| *named)
            .count()
    }

    /// What is known of the person beside the address: what is said, and, unless something of a
    /// login is said, what the usual login tells.
    pub(crate) fn attributes_with(&self, usual_login: Option<&Attributes>) -> Option<Attributes> {
        let Some(mut said) = self.attributes() else { return usual_login.cloned() };
        if let (false, Some(usual)) = (self.tells_of_a_login(), usual_login) {
            said.complete_with(usual);
        }
        Some(said)
    }

    /// Whether anything is said that a login tells.
    pub(crate) fn tells_of_a_login(&self) -> bool {
        self.login_method.is_some()
            || self.auth_methods.is_some()
            || self.auth_contexts.is_some()
            || self.groups.is_some()
            || self.organizations.is_some()
            || self.claims.is_some()
            || self.accounts.is_some()
    }

    /// What is said of the person beside the address; `None` when nothing is.
    fn attributes(&self) -> Option<Attributes> {
        let Self { login_method, auth_methods, auth_contexts, groups, organizations, .. } = self;
        if !self.tells_of_a_login() && self.risk.is_none() {
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
            organizations: organizations.as_deref().map(organizations_of),
            oidc_claims: claims.clone(),
            saml_attributes: claims,
            accounts: self.accounts.clone(),
            risk: self.risk,
        })
    }
}

/// `acme` and `acme/ops`, by organization.
fn organizations_of(texts: &[Box<str>]) -> Vec<Organization> {
    let mut all: Vec<Organization> = Vec::new();
    for text in texts {
        let (name, team) = match text.split_once('/') {
            Some((name, team)) => (name, Some(team)),
            None => (&**text, None),
        };
        let place = all.iter().position(|one| *one.name == *name);
        let known = match place {
            Some(place) => all.get_mut(place),
            None => {
                all.push(Organization { name: name.into(), teams: Some(Vec::new()) });
                all.last_mut()
            }
        };
        if let (Some(teams), Some(team)) = (known.and_then(|one| one.teams.as_mut()), team) {
            teams.push(team.into());
        }
    }
    all
}

/// As the arguments of `explain`.
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
                say(f, name, value)?;
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
                        say(f, name, value)?;
                    }
                }
            }
        }
        match &identity.claims {
            Some(claims) if claims.is_empty() => f.write_str(" --no-claims")?,
            claims => {
                for (name, values) in claims.iter().flatten() {
                    for value in values {
                        say(f, "claim", &format!("{name}={value}"))?;
                    }
                }
            }
        }
        for (url, success) in &identity.evaluations {
            say(f, "evaluation", &format!("{url}={success}"))?;
        }
        if let Some(risk) = identity.risk {
            say(f, "risk", risk.as_str())?;
        }
        if let Some(address) = request.ip {
            say(f, "ip", &address.to_string())?;
        }
        if let Some(country) = &request.country {
            say(f, "country", country.as_str())?;
        }
        match &request.certificate {
            None => {}
            Some(AskedCertificate::CommonName(name)) => say(f, "certificate-cn", name)?,
            Some(AskedCertificate::None) => f.write_str(" --no-certificate")?,
        }
        match at {
            Some(moment) => write!(f, " --at {moment}"),
            None => Ok(()),
        }
    }
}

fn say(f: &mut fmt::Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    write!(f, " --{name} {}", Quoted(value))
}

/// A text as a shell takes it for one argument.
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

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use time::OffsetDateTime;
        use time::format_description::well_known::Rfc3339;

        let seconds = i64::try_from(self.0.as_unix_seconds()).unwrap_or(i64::MAX);
        let moment = OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| fmt::Error)?;
        f.write_str(&moment.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl std::str::FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        use time::OffsetDateTime;
        use time::format_description::well_known::Rfc3339;

        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| MomentError)?;
        let seconds = u64::try_from(moment.unix_timestamp()).map_err(|_| MomentError)?;
        Ok(Self(crate::clock::Timestamp::from_unix_seconds(seconds)))
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no moment: write `2027-01-31T00:00:00Z`")]
pub struct MomentError;
