//! What is known about a request, in words of our own, made at random.

use std::net::IpAddr;

use tower_access::identity::{
    Attributes, ClaimValues, Email, LoginMethod, Organization, ProviderGroup, RiskLevel,
};
use tower_access::policy::{
    Certificate, DevicePosture, EvaluatorResults, Fact, Facts, LinkedApplicationFacts,
    ServiceTokenFacts,
};

use super::choices::Choices;
use super::documents::{
    ACCOUNTS, APPLICATIONS, CHECKS, CLAIMS, COMMON_NAMES, CONTEXTS, COUNTRIES, EMAILS, EVALUATORS,
    FEW_EMAILS, GROUP_EMAILS, METHODS, ORGANIZATIONS, PROVIDER_GROUPS, PROVIDERS, TEAMS, TOKENS,
    Text, VALUES,
};

/// `None` is a fact that is missing, but for tokens: that there is none is known.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Who it is; `None`: nobody has logged in.
    pub email: Option<usize>,
    /// Whether the engine gets to know the address of whoever has logged in.
    pub knows_email: bool,
    /// `None`: nothing is known of the person.
    pub person: Option<Person>,
    pub address: Option<IpAddr>,
    pub country: Option<Text>,
    pub certificate: Option<Shown>,
    pub service_token: Option<(Text, Text)>,
    pub application: Option<Text>,
    pub posture: Option<Vec<(Text, bool)>>,
    pub answers: [Option<bool>; 2],
}

/// A certificate, or that there was none; perhaps with a common name.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    Nothing,
    Good(Option<Text>),
}

#[derive(Clone, Debug, Default)]
pub struct Person {
    /// The id and the type.
    pub login_method: Option<(Text, Text)>,
    pub methods: Option<Vec<Text>>,
    pub contexts: Option<Vec<Text>>,
    pub groups: Option<Vec<[Option<Text>; 3]>>,
    /// With teams.
    pub organizations: Option<Vec<(Text, Option<Vec<Text>>)>>,
    pub organizations_are_partial: bool,
    pub oidc: Option<Vec<Claim>>,
    pub saml: Option<Vec<Claim>>,
    pub accounts: Option<Vec<Text>>,
    pub risk: Option<RiskLevel>,
}

#[derive(Clone, Debug)]
pub struct Claim {
    pub name: Text,
    pub texts: Vec<Text>,
    /// Whether it has values that cannot be compared.
    pub has_others: bool,
}

impl World {
    pub fn random(choices: &mut Choices) -> Self {
        let missing = choices.one_of(&[0, 1, 1, 3]);
        let is_known = |choices: &mut Choices| !choices.chance(missing, 6);
        let who = choices.below(6);
        let mut world = Self::default();
        if who < 4 {
            world.email = Some(match choices.below(8) {
                7 => FEW_EMAILS + choices.below(40),
                few => few % FEW_EMAILS,
            });
            world.knows_email = !choices.chance(missing, 24);
            if !choices.chance(missing, 12) {
                world.person = Some(Person::random(choices, missing));
            }
        }
        if who == 3 || who == 4 {
            if choices.chance(1, 2) {
                world.application = Some(choices.one_of(&APPLICATIONS));
            } else {
                let id = choices.one_of(&TOKENS[..2]);
                world.service_token =
                    Some((id, if id == "t1" { "t1.access" } else { "t2.access" }));
            }
        }
        if is_known(choices) {
            world.address = Some(choices.one_of(&ADDRESSES).parse().unwrap());
        }
        if is_known(choices) {
            world.country = Some(choices.one_of(&COUNTRIES));
        }
        if is_known(choices) {
            world.certificate = Some(match choices.below(4) {
                0 => Shown::Nothing,
                1 => Shown::Good(None),
                _ => Shown::Good(Some(choices.one_of(&COMMON_NAMES))),
            });
        }
        if is_known(choices) {
            let checks = CHECKS.into_iter().filter(|_| choices.chance(2, 3)).collect::<Vec<_>>();
            let results = checks.into_iter().map(|check| (check, choices.chance(2, 3)));
            world.posture = Some(results.collect());
        }
        for answer in &mut world.answers {
            *answer = is_known(choices).then(|| choices.chance(1, 2));
        }
        world
    }

    /// What the engine gets.
    pub fn with_facts<T>(&self, judge: impl FnOnce(&Facts<'_>) -> T) -> T {
        let is_logged_in = self.email.is_some() && !self.knows_email;
        let email: Option<&Email> = self.email.map(|place| &EMAILS[place]);
        let email = email.filter(|_| self.knows_email);
        let attributes = self.person.as_ref().map(Person::written);
        let posture: Option<DevicePosture> = self
            .posture
            .as_ref()
            .map(|results| results.iter().map(|(check, good)| ((*check).into(), *good)).collect());
        let answers: EvaluatorResults = EVALUATORS
            .iter()
            .zip(self.answers)
            .filter_map(|(evaluator, answer)| Some((evaluator.clone(), answer?)))
            .collect();
        judge(&Facts {
            email,
            is_logged_in,
            attributes: attributes.as_ref(),
            address: self.address,
            country: self.country.map(|country| country.parse().unwrap()),
            certificate: match self.certificate {
                None => Certificate::Unknown,
                Some(Shown::Nothing) => Certificate::Missing,
                Some(Shown::Good(common_name)) => Certificate::Good { common_name },
            },
            service_token: self
                .service_token
                .map(|(id, client_id)| ServiceTokenFacts::new(id, client_id)),
            linked_application: self.application.map(|id| LinkedApplicationFacts::new(id, id)),
            device_posture: posture.as_ref(),
            evaluations: Some(&answers),
        })
    }

    /// One fact as it is in another world; `None` when that is the same.
    pub fn with_part_of(&self, part: Part, other: &Self) -> Self {
        let mut world = self.clone();
        match part {
            Part::Person => world.email = other.email,
            Part::Email => {
                world.knows_email = other.knows_email;
                world.email = world.email.map(|own| other.email.unwrap_or(own));
            }
            Part::Attributes => world.person.clone_from(&other.person),
            Part::Address => world.address = other.address,
            Part::Country => world.country = other.country,
            Part::Certificate => world.certificate = other.certificate,
            Part::Posture => world.posture.clone_from(&other.posture),
            Part::Answer(place) => world.answers[place] = other.answers[place],
            _ => {
                let nothing = Person::default();
                let from = other.person.as_ref().unwrap_or(&nothing);
                let Some(person) = &mut world.person else { return world };
                match part {
                    Part::LoginMethod => person.login_method = from.login_method,
                    Part::Methods => person.methods.clone_from(&from.methods),
                    Part::Contexts => person.contexts.clone_from(&from.contexts),
                    Part::Groups => person.groups.clone_from(&from.groups),
                    Part::Organizations => {
                        person.organizations.clone_from(&from.organizations);
                        person.organizations_are_partial = from.organizations_are_partial;
                    }
                    Part::Oidc => person.oidc.clone_from(&from.oidc),
                    Part::Saml => person.saml.clone_from(&from.saml),
                    Part::Accounts => person.accounts.clone_from(&from.accounts),
                    _ => person.risk = from.risk,
                }
            }
        }
        world
    }

    /// The same without parts of facts: one claim, or the teams of an organization.
    pub fn without_details(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        let Some(person) = &self.person else { return worlds };
        let mut push = |change: &dyn Fn(&mut Person)| {
            let mut world = self.clone();
            change(world.person.as_mut().unwrap());
            worlds.push(world);
        };
        if person.organizations.is_some() {
            push(&|person| person.organizations_are_partial = true);
        }
        for place in 0..person.organizations.as_ref().map_or(0, Vec::len) {
            push(&|person| person.organizations.as_mut().unwrap()[place].1 = None);
        }
        for place in 0..person.oidc.as_ref().map_or(0, Vec::len) {
            push(&|person| person.oidc.as_mut().unwrap()[place].has_others = true);
        }
        for place in 0..person.saml.as_ref().map_or(0, Vec::len) {
            push(&|person| person.saml.as_mut().unwrap()[place].has_others = true);
        }
        worlds
    }
}

/// A fact that can be missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    Person,
    Email,
    Attributes,
    Address,
    Country,
    Certificate,
    Posture,
    Answer(usize),
    LoginMethod,
    Methods,
    Contexts,
    Groups,
    Organizations,
    Oidc,
    Saml,
    Accounts,
    Risk,
}

impl Part {
    pub const ALL: [Self; 18] = [
        Self::Person,
        Self::Email,
        Self::Attributes,
        Self::Address,
        Self::Country,
        Self::Certificate,
        Self::Posture,
        Self::Answer(0),
        Self::Answer(1),
        Self::LoginMethod,
        Self::Methods,
        Self::Contexts,
        Self::Groups,
        Self::Organizations,
        Self::Oidc,
        Self::Saml,
        Self::Accounts,
        Self::Risk,
    ];

    /// What the engine calls it, where it is one kind of fact.
    pub fn fact(self) -> Option<Fact> {
        Some(match self {
            Self::Person | Self::Attributes => return None,
            Self::Email => Fact::Email,
            Self::Address => Fact::Address,
            Self::Country => Fact::Country,
            Self::Certificate => Fact::Certificate,
            Self::Posture => Fact::DevicePosture,
            Self::Answer(_) => Fact::ExternalEvaluation,
            Self::LoginMethod => Fact::LoginMethod,
            Self::Methods => Fact::AuthenticationMethods,
            Self::Contexts => Fact::AuthenticationContexts,
            Self::Groups => Fact::ProviderGroups,
            Self::Organizations => Fact::Organizations,
            Self::Oidc => Fact::OidcClaims,
            Self::Saml => Fact::SamlAttributes,
            Self::Accounts => Fact::Accounts,
            Self::Risk => Fact::RiskScore,
        })
    }
}

impl Person {
    fn random(choices: &mut Choices, missing: usize) -> Self {
        let is_known = |choices: &mut Choices| !choices.chance(missing, 6);
        let some = |choices: &mut Choices, from: &[Text]| -> Vec<Text> {
            (0..choices.below(3)).map(|_| choices.one_of(from)).collect()
        };
        let mut person = Self::default();
        if is_known(choices) {
            person.login_method = Some(choices.one_of(&PROVIDERS));
        }
        if is_known(choices) {
            person.methods = Some(some(choices, &METHODS));
        }
        if is_known(choices) {
            person.contexts = Some(some(choices, &CONTEXTS));
        }
        if is_known(choices) {
            let maybe = |choices: &mut Choices, from: &[Text]| {
                choices.chance(2, 3).then(|| choices.one_of(from))
            };
            let group = |choices: &mut Choices| {
                let (id, name) =
                    (maybe(choices, &PROVIDER_GROUPS), maybe(choices, &PROVIDER_GROUPS));
                [id, name, maybe(choices, &GROUP_EMAILS)]
            };
            person.groups = Some((0..choices.below(4)).map(|_| group(choices)).collect());
        }
        if is_known(choices) {
            let organization = |choices: &mut Choices| {
                let name = choices.one_of(&ORGANIZATIONS);
                (name, is_known(choices).then(|| some(choices, &TEAMS)))
            };
            let count = choices.below(3);
            person.organizations = Some((0..count).map(|_| organization(choices)).collect());
            person.organizations_are_partial = choices.chance(1, 8);
        }
        let claims = |choices: &mut Choices| {
            let mut claims: Vec<Claim> = Vec::new();
            for name in CLAIMS {
                if choices.chance(1, 2) {
                    let texts = some(choices, &VALUES);
                    claims.push(Claim { name, texts, has_others: choices.chance(1, 8) });
                }
            }
            claims
        };
        if is_known(choices) {
            person.oidc = Some(claims(choices));
        }
        if is_known(choices) {
            person.saml = Some(claims(choices));
        }
        if is_known(choices) {
            person.accounts = Some(some(choices, &ACCOUNTS));
        }
        if is_known(choices) {
            person.risk = Some(choices.one_of(&RiskLevel::ALL));
        }
        person
    }

    fn written(&self) -> Attributes {
        let boxed = |texts: &Vec<Text>| texts.iter().map(|text| (*text).into()).collect();
        let mut attributes = Attributes::default();
        attributes.login_method =
            self.login_method.map(|(id, kind)| LoginMethod { id: id.into(), kind: kind.into() });
        attributes.authentication_methods = self.methods.as_ref().map(boxed);
        attributes.authentication_contexts = self.contexts.as_ref().map(boxed);
        attributes.groups = self.groups.as_ref().map(|groups| {
            let group = |group: &[Option<Text>; 3]| {
                let [id, name, email] = group.map(|text| text.map(Into::into));
                ProviderGroup { id, name, email }
            };
            groups.iter().map(group).collect()
        });
        attributes.organizations = self.organizations.as_ref().map(|organizations| {
            organizations
                .iter()
                .map(|(name, teams)| Organization {
                    name: (*name).into(),
                    teams: teams.as_ref().map(boxed),
                })
                .collect()
        });
        attributes.organizations_are_partial = self.organizations_are_partial;
        attributes.oidc_claims = self.oidc.as_deref().map(claims);
        attributes.saml_attributes = self.saml.as_deref().map(claims);
        attributes.accounts = self.accounts.as_ref().map(boxed);
        attributes.risk = self.risk;
        attributes
    }
}

fn claims(claims: &[Claim]) -> ClaimValues {
    let is_plain = |claim: &Claim| !claim.texts.is_empty() && !claim.has_others;
    if claims.iter().all(is_plain) {
        let pairs =
            claims.iter().flat_map(|claim| claim.texts.iter().map(|text| (claim.name, *text)));
        return pairs.collect();
    }
    let object = claims.iter().map(|claim| {
        let mut values: Vec<serde_json::Value> =
            claim.texts.iter().map(|text| (*text).into()).collect();
        if claim.has_others {
            values.push(7.into());
        }
        (claim.name.to_owned(), values.into())
    });
    serde_json::from_value(serde_json::Value::Object(object.collect())).unwrap()
}

const ADDRESSES: [&str; 8] = [
    "192.0.2.1",
    "192.0.2.200",
    "198.51.100.7",
    "2001:db8::1",
    "2001:db8:7::9",
    "::ffff:192.0.2.200",
    "10.3.4.5",
    "10.30.1.1",
];
