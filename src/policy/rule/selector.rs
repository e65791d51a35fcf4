//! The table of selectors: the key, the fact each needs, the form of its value, and what the rule
//! compares.

use std::borrow::Cow;

use ipnet::IpNet;

use crate::address::Country;
use crate::identity::Email;
use crate::policy::facts::{Fact, FactSet};

use super::{Evaluator, RiskLevels, Rule};

/// Generates the enum, the list and the lookup from one table.
macro_rules! selectors {
    (@fact) => { None };
    (@fact $fact:ident) => { Some(Fact::$fact) };
    ($($name:ident $key:literal [$($fact:ident)?] $value:expr;)*) => {
        /// The selectors, by their keys in JSON.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each is documented at the rule of the same name")]
        pub enum Selector {
            $($name),*
        }

        impl Selector {
            /// All selectors.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$name),*];

            /// Returns the selector's key in JSON.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$name => $key),*
                }
            }

            /// Returns the fact that a rule needs; `None` for credentials of the request itself, and
            /// for groups.
            pub(crate) fn fact(self) -> Option<Fact> {
                match self {
                    $(Self::$name => selectors!(@fact $($fact)?)),*
                }
            }

            /// Returns the form of the value.
            #[cfg(feature = "config")]
            pub(crate) fn value(self) -> SelectorValue {
                match self {
                    $(Self::$name => $value),*
                }
            }
        }
    };
}

selectors! {
//  selector                key                          the fact it needs         value
    Everyone                "everyone"                   []                        Nothing;
    Email                   "email"                      [Email]                   Text("email");
    EmailDomain             "email_domain"               [Email]                   Text("domain");
    EmailList               "email_list"                 [Email]                   Text("id");
    Ip                      "ip"                         [Address]                 Text("ip");
    IpList                  "ip_list"                    [Address]                 Text("id");
    Geo                     "geo"                        [Country]                 Text("country_code");
    Group                   "group"                      []                        Text("id");
    Certificate             "certificate"                [Certificate]             Nothing;
    CommonName              "common_name"                [Certificate]             Text("common_name");
    ServiceToken            "service_token"              []                        Text("token_id");
    AnyValidServiceToken    "any_valid_service_token"    []                        Nothing;
    LinkedAppToken          "linked_app_token"           []                        Text("app_uid");
    LoginMethod             "login_method"               [LoginMethod]             Text("id");
    AuthMethod              "auth_method"                [AuthenticationMethods]   Text("auth_method");
    AuthContext             "auth_context"               [AuthenticationContexts]  Text("ac_id");
    AzureGroup              "azureAD"                    [ProviderGroups]          Text("id");
    GithubOrganization      "github-organization"        [Organizations]           Text("name");
    GsuiteGroup             "gsuite"                     [ProviderGroups]          Text("email");
    OktaGroup               "okta"                       [ProviderGroups]          Text("name");
    Saml                    "saml"                       [SamlAttributes]          Fields("attribute_name: …, attribute_value: …");
    Oidc                    "oidc"                       [OidcClaims]              Fields("claim_name: …, claim_value: …");
    DevicePosture           "device_posture"             [DevicePosture]           Text("integration_uid");
    ExternalEvaluation      "external_evaluation"        [ExternalEvaluation]      Fields("evaluate_url: …, keys_url: …");
    UserRiskScore           "user_risk_score"            [RiskScore]               Fields("user_risk_score: [ low ]");
    CloudflareAccountMember "cloudflare_account_member"  [Accounts]                Text("account_id");
}

/// The form of a selector's value, for error messages.
#[cfg(feature = "config")]
pub(crate) enum SelectorValue {
    /// `{}`.
    Nothing,
    /// One text, in the field of this name.
    Text(&'static str),
    /// Fields with examples.
    Fields(&'static str),
}

#[cfg(feature = "config")]
use SelectorValue::{Fields, Nothing, Text};

impl Selector {
    /// Returns whether the rule is about the user. (A group is not.)
    #[must_use]
    pub fn is_about_identity(self) -> bool {
        self.fact().is_some_and(Fact::is_about_person)
    }

    /// Returns the keys under which the selector may be written.
    #[cfg(feature = "config")]
    pub(crate) fn keys(self) -> [&'static str; 2] {
        match self {
            Self::AzureGroup => [self.key(), "azure_ad"],
            Self::GithubOrganization => [self.key(), "github_organization"],
            _ => [self.key(); 2],
        }
    }

    /// Returns the selector of a key, as Cloudflare's API or its Terraform provider (version 5) writes
    /// it.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        match key {
            "azure_ad" => Some(Self::AzureGroup),
            "github_organization" => Some(Self::GithubOrganization),
            _ => Self::ALL.into_iter().find(|selector| selector.key() == key),
        }
    }
}

/// What a rule compares, in a normal form.
///
/// Rules with the same meaning are equal here, whatever their letter case.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Test<'a> {
    Everyone,
    Reference(Reference<'a>),
    Email(&'a Email),
    EmailDomain(&'a str),
    Network(IpNet),
    Country(Country),
    /// `None`: any.
    ServiceToken(Option<&'a str>),
    LinkedApplication(&'a str),
    Evaluation(&'a Evaluator),
    Risk(RiskLevels),
    Text(TextTest<'a>),
}

/// What a rule refers to, by id or name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Reference<'a> {
    Group(&'a str),
    EmailList(&'a str),
    IpList(&'a str),
}

/// A comparison with one of the texts of a fact.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct TextTest<'a> {
    pub(crate) selector: Selector,
    pub(crate) attribute: Attribute,
    /// The claim or attribute, or the organization of a team.
    pub(crate) name: Option<Cow<'a, str>>,
    /// `None`: any. In lower case if the comparison ignores letter case.
    pub(crate) value: Option<Cow<'a, str>>,
    pub(crate) ignores_case: bool,
    /// The login method that must report it; `None`: any.
    pub(crate) provider: Option<&'a str>,
}

/// Which text of which fact.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Attribute {
    CommonName,
    LoginMethod,
    AuthenticationMethod,
    AuthenticationContext,
    GroupId,
    GroupName,
    GroupEmail,
    /// A team, if the test has a name.
    Organization,
    Saml,
    Oidc,
    DevicePosture,
    Account,
}

impl<'a> TextTest<'a> {
    fn new(selector: Selector, attribute: Attribute, value: Option<&'a str>) -> Self {
        let value = value.map(Cow::Borrowed);
        Self { selector, attribute, name: None, value, ignores_case: false, provider: None }
    }

    /// Returns the test for a login with this login method.
    #[cfg(feature = "config")]
    pub(crate) fn login_method(id: &'a str) -> Self {
        Self::new(Selector::LoginMethod, Attribute::LoginMethod, Some(id))
    }

    fn with_provider(self, provider: &'a Option<Box<str>>) -> Self {
        Self { provider: provider.as_deref(), ..self }
    }
}

impl Rule {
    /// Returns what the rule compares.
    pub(crate) fn test(&self) -> Test<'_> {
        let text = |attribute, value| TextTest::new(self.selector(), attribute, Some(value));
        let folded = |value: &str| Some(Cow::Owned(value.to_lowercase()));
        Test::Text(match self {
            Self::Everyone => return Test::Everyone,
            Self::Group(name) => return Test::Reference(Reference::Group(name)),
            Self::EmailList(name) => return Test::Reference(Reference::EmailList(name)),
            Self::IpList(name) => return Test::Reference(Reference::IpList(name)),
            Self::Email(email) => return Test::Email(email),
            Self::EmailDomain(domain) => return Test::EmailDomain(domain.as_str()),
            Self::Ip(network) => return Test::Network(*network),
            Self::Geo(country) => return Test::Country(*country),
            Self::ServiceToken(id) => return Test::ServiceToken(Some(id)),
            Self::AnyValidServiceToken => return Test::ServiceToken(None),
            Self::LinkedAppToken(name) => return Test::LinkedApplication(name),
            Self::ExternalEvaluation(evaluator) => return Test::Evaluation(evaluator),
            Self::UserRiskScore(levels) => return Test::Risk(*levels),
            Self::Certificate => TextTest::new(Selector::CommonName, Attribute::CommonName, None),
            Self::CommonName(name) => text(Attribute::CommonName, name),
            Self::LoginMethod(id) => text(Attribute::LoginMethod, id),
            Self::AuthMethod(method) => text(Attribute::AuthenticationMethod, method),
            Self::DevicePosture(check) => text(Attribute::DevicePosture, check),
            Self::AuthContext(it) => text(Attribute::AuthenticationContext, &it.ac_id)
                .with_provider(&it.identity_provider_id),
            Self::AzureGroup(it) => {
                text(Attribute::GroupId, &it.id).with_provider(&it.identity_provider_id)
            }
            Self::OktaGroup(it) => {
                text(Attribute::GroupName, &it.name).with_provider(&it.identity_provider_id)
            }
            Self::GsuiteGroup(it) => TextTest {
                value: folded(&it.email),
                ignores_case: true,
                ..text(Attribute::GroupEmail, &it.email).with_provider(&it.identity_provider_id)
            },
            Self::GithubOrganization(it) => TextTest {
                name: it.team.as_ref().and_then(|_| folded(&it.name)),
                value: folded(it.team.as_ref().unwrap_or(&it.name)),
                ignores_case: true,
                ..text(Attribute::Organization, &it.name).with_provider(&it.identity_provider_id)
            },
            Self::Saml(it) => TextTest {
                name: Some(Cow::Borrowed(&it.attribute_name)),
                ..text(Attribute::Saml, &it.attribute_value).with_provider(&it.identity_provider_id)
            },
            Self::Oidc(it) => TextTest {
                name: Some(Cow::Borrowed(&it.claim_name)),
                ..text(Attribute::Oidc, &it.claim_value).with_provider(&it.identity_provider_id)
            },
            Self::CloudflareAccountMember(account) => {
                TextTest::new(self.selector(), Attribute::Account, account.as_deref())
            }
        })
    }
    /// Returns the facts that the rule needs; empty for what is always known.
    pub(in crate::policy) fn facts(&self) -> FactSet {
        let Some(fact) = self.selector().fact() else { return FactSet::EMPTY };
        let names_provider = matches!(self.test(), Test::Text(TextTest { provider: Some(_), .. }));
        let mut facts = FactSet::EMPTY.with(fact);
        if fact == Fact::Email {
            facts = facts.with(Fact::Person);
        }
        // Only one type of login method reports accounts.
        if names_provider || fact == Fact::Accounts {
            facts = facts.with(Fact::LoginMethod);
        }
        facts
    }
}
