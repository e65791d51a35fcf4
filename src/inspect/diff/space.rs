//! All requests that two applications may be asked about, as far as their policies can tell them
//! apart.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use crate::address::Country;
use crate::explain::{AskedCertificate, AskedIdentity, AskedRequest};
use crate::identity::{Email, RiskLevel};

use super::atoms::{Atoms, Family, Slots, by_signature, fresh};
use super::judge::Side;
use super::networks::{self, AddressClass};

/// A product of axes. A cell has one class of each.
///
/// Class 0 of an axis is what a question says that says nothing of it.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) axes: Vec<Axis>,
    /// For each axis: those it depends on, and with which of their classes. Otherwise it says
    /// nothing, and counts as class 0.
    guards: Vec<Vec<(usize, Vec<bool>)>>,
    /// Axes before this one are about who makes a request, the others about where it comes from.
    pub(super) requests: usize,
    /// The classes of a person of whom nothing is said but the address.
    pub(super) plain: Vec<usize>,
    /// Whether a person of whom nothing is said is a person of whom nothing is known.
    unsaid_is_unknown: bool,
    /// See [`Atoms::other_account`].
    pub(super) other_account: Option<Box<str>>,
}

/// A fact, and the classes of its values.
#[derive(Debug)]
pub(super) enum Axis {
    Who(Vec<Vec<Requester>>),
    /// A fact with one value.
    One(One, Vec<Vec<Value>>),
    /// Whether the values of a family are known. `other` is a value that is named nowhere.
    Known {
        family: Family,
        other: Box<str>,
    },
    /// Whether a request has these values, of which no policy can tell one from another.
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
    /// Whether the person came in by the usual login, where that means something else on both
    /// sides.
    UsualLogin,
    LoginMethod,
    LoginType,
    Risk,
    /// By the address of the evaluator.
    Evaluation(Box<str>),
    Country,
    Certificate,
}

/// A value of such a fact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Value {
    Unknown,
    /// There is none: no certificate.
    Missing,
    Named(Box<str>),
    /// Any that is not named, such as this one.
    Other(Box<str>),
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub(super) enum Requester {
    Nobody,
    /// A person by name.
    Person(Email),
    /// Anybody else with an address in a domain, such as this one.
    InDomain(Box<str>, Email),
    /// Anybody else, such as this one.
    AnybodyElse(Email),
    Service {
        name: Box<str>,
        client_id: Box<str>,
    },
    /// Any other service that the issuer knows, such as this one.
    OtherService(Box<str>),
    /// Another application, on behalf of a person.
    Linked(Box<str>),
}

impl Space {
    pub(super) fn new(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Self {
        let who = who(atoms, sides);
        let is_person: Vec<bool> =
            who.iter().map(|class| class.iter().any(Requester::is_person)).collect();
        let [old, new] = sides;
        let usual = [old.usual_login, new.usual_login];
        let mut space = Self {
            axes: Vec::new(),
            guards: Vec::new(),
            requests: 0,
            plain: Vec::new(),
            unsaid_is_unknown: usual == [None, None],
            other_account: atoms.other_account(),
        };
        space.add(Axis::Who(who), Vec::new(), 0);
        let of_people = vec![(0, is_person)];
        space.add_attributes(atoms, sides, &of_people);
        // No login tells it.
        if !atoms.risk.is_empty() {
            let levels = RiskLevel::ALL.map(|level| {
                (Value::Named(level.as_str().into()), atoms.risk.get(&level).cloned())
            });
            let mut classes = vec![vec![Value::Unknown]];
            classes.extend(by_signature(levels));
            space.add(Axis::One(One::Risk, classes), of_people.clone(), 0);
        }
        for evaluator in &atoms.evaluators {
            let named = ["true", "false"].map(|answer| vec![Value::Named(answer.into())]);
            let classes = std::iter::once(vec![Value::Unknown]).chain(named).collect();
            let axis = Axis::One(One::Evaluation((*evaluator).into()), classes);
            space.add(axis, of_people.clone(), 0);
        }
        space.requests = space.axes.len();
        space.add_surroundings(atoms, sides);
        space
    }

    /// What is known of a person beside the address.
    fn add_attributes(
        &mut self,
        atoms: &Atoms<'_>,
        sides: &[Side<'_>; 2],
        of_people: &[(usize, Vec<bool>)],
    ) {
        let families = atoms.families();
        let asks = !atoms.login_methods.is_empty()
            || atoms.asks_login_type
            || families.keys().any(|family| *family != Family::DevicePosture);
        if !asks {
            return;
        }
        let [old, new] = sides;
        let mut guards = of_people.to_vec();
        let is_same = old.usual_login == new.usual_login;
        let usual = old.usual_login.filter(|_| is_same);
        if !is_same {
            let named = ["yes", "no"].map(|text| vec![Value::Named(text.into())]);
            guards.push((self.axes.len(), vec![false, true]));
            self.add(Axis::One(One::UsualLogin, named.into()), of_people.to_vec(), 0);
        }
        if !atoms.login_methods.is_empty() || atoms.asks_login_type {
            let known = &atoms.login_methods;
            let other = fresh("another-login-method", |id| known.contains_key(id));
            let named = known.iter().map(|(id, slots)| (Value::Named((*id).into()), slots.clone()));
            let other = (Value::Other(other), Slots::new());
            let mut classes = vec![vec![Value::Unknown]];
            classes.extend(by_signature(named.chain([other])));
            let usual_id = usual.and_then(|usual| usual.login_method.as_ref()).map(|one| &*one.id);
            let plain = usual_id.map_or(0, |id| {
                let named = |value: &Value| matches!(value, Value::Named(name) if **name == *id);
                let other = |value: &Value| matches!(value, Value::Other(_));
                let place = |is_it: &dyn Fn(&Value) -> bool| {
                    classes.iter().position(|class| class.iter().any(is_it))
                };
                place(&named).or_else(|| place(&other)).unwrap_or(0)
            });
            let mut with_type = guards.clone();
            let is_known = (0..classes.len()).map(|class| class > 0).collect();
            with_type.push((self.axes.len(), is_known));
            self.add(Axis::One(One::LoginMethod, classes), guards.clone(), plain);
            if atoms.asks_login_type {
                let other = vec![Value::Other(Box::default())];
                let classes = vec![other, vec![Value::Named("cloudflare".into())]];
                self.add(Axis::One(One::LoginType, classes), with_type, 0);
            }
        }
        for (family, values) in families {
            if family != Family::DevicePosture {
                let is_known = usual.is_some() && !matches!(family, Family::Claim(_));
                let methods = usual.and_then(|usual| usual.authentication_methods.as_deref());
                let usual_values =
                    methods.filter(|_| family == Family::AuthMethods).unwrap_or_default();
                let plain = is_known.then_some(usual_values);
                self.add_family(&family, values, &guards, plain);
            }
        }
    }

    /// Where a request comes from.
    fn add_surroundings(&mut self, atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) {
        if sides.iter().any(Side::lets_options_through) {
            let classes =
                vec![vec![Value::Other(Box::default())], vec![Value::Named("OPTIONS".into())]];
            self.add(Axis::One(One::Method, classes), Vec::new(), 0);
        }
        if !atoms.networks.is_empty() {
            let known = networks::classes(&atoms.networks).into_iter().map(Some);
            self.add(Axis::Address(std::iter::once(None).chain(known).collect()), Vec::new(), 0);
        }
        if !atoms.countries.is_empty() {
            let known = &atoms.countries;
            let named = known
                .iter()
                .map(|(country, slots)| (Value::Named(country.as_str().into()), slots.clone()));
            let other = other_country(|country| known.contains_key(&country));
            let other = other.map(|country| (Value::Other(country.as_str().into()), Slots::new()));
            let mut classes = vec![vec![Value::Unknown]];
            classes.extend(by_signature(named.chain(other)));
            self.add(Axis::One(One::Country, classes), Vec::new(), 0);
        }
        if !(atoms.any_certificate.is_empty() && atoms.common_names.is_empty()) {
            let any = &atoms.any_certificate;
            let known = &atoms.common_names;
            let named = known.iter().map(|(name, slots)| {
                (Value::Named((*name).into()), slots.union(any).copied().collect())
            });
            let other = fresh("another-name", |name| known.contains_key(name));
            let others = [(Value::Missing, Slots::new()), (Value::Other(other), any.clone())];
            let mut classes = vec![vec![Value::Unknown]];
            classes.extend(by_signature(named.chain(others)));
            self.add(Axis::One(One::Certificate, classes), Vec::new(), 0);
        }
        if let Some(checks) = atoms.families().remove(&Family::DevicePosture) {
            self.add_family(&Family::DevicePosture, checks, &[], None);
        }
    }

    fn add_family(
        &mut self,
        family: &Family,
        values: Vec<(Box<str>, Slots)>,
        guards: &[(usize, Vec<bool>)],
        plain: Option<&[Box<str>]>,
    ) {
        let other =
            fresh("something else", |text| values.iter().any(|(value, _)| **value == *text));
        let mut of_known = guards.to_vec();
        of_known.push((self.axes.len(), vec![false, true]));
        self.add(
            Axis::Known { family: family.clone(), other },
            guards.to_vec(),
            usize::from(plain.is_some()),
        );
        for values in by_signature(values) {
            let has = plain.unwrap_or_default().iter().any(|value| values.contains(value));
            let axis = Axis::Has { family: family.clone(), values };
            self.add(axis, of_known.clone(), usize::from(has));
        }
    }

    fn add(&mut self, axis: Axis, guards: Vec<(usize, Vec<bool>)>, plain: usize) {
        self.axes.push(axis);
        self.guards.push(guards);
        self.plain.push(plain);
    }

    /// Whether an axis says anything, in the cell these are the classes of.
    pub(super) fn is_relevant(&self, axis: usize, class: impl Fn(usize) -> usize) -> bool {
        self.guards.get(axis).is_none_or(|guards| {
            guards.iter().all(|(on, with)| with.get(class(*on)).copied().unwrap_or(false))
        })
    }

    /// What an axis depends on, and with which classes.
    pub(super) fn guards_of(&self, axis: usize) -> impl Iterator<Item = (usize, &[bool])> {
        let guards = self.guards.get(axis).into_iter().flatten();
        guards.map(|(on, with)| (*on, with.as_slice()))
    }

    /// Classes of other axes with which an axis says something.
    pub(super) fn needed_for(&self, axis: usize) -> impl Iterator<Item = (usize, usize)> {
        self.guards.get(axis).into_iter().flatten().filter_map(|(on, with)| {
            // The last one: of persons that is whoever is not named.
            Some((*on, with.iter().rposition(|is_allowed| *is_allowed)?))
        })
    }

    /// Whether there are such requests: whoever is in a team is in its organization.
    pub(super) fn is_possible(&self, cell: &[usize]) -> bool {
        (0..self.axes.len()).all(|axis| {
            let is_said = cell.get(axis) == Some(&1)
                && matches!(
                    self.axes.get(axis),
                    Some(Axis::Has { family: Family::Organizations, .. })
                )
                && self.is_relevant(axis, |on| cell.get(on).copied().unwrap_or(0));
            !is_said || self.member(axis, cell).is_some()
        })
    }

    /// The organization or team to be said of an axis, which nothing else contradicts.
    fn member(&self, axis: usize, cell: &[usize]) -> Option<Box<str>> {
        let Some(Axis::Has { family: Family::Organizations, values }) = self.axes.get(axis) else {
            return None;
        };
        let is_left_out = |organization: &str| {
            self.axes.iter().zip(cell).any(|(other, class)| match other {
                Axis::Has { family: Family::Organizations, values } => {
                    *class == 0 && values.iter().any(|value| **value == *organization)
                }
                _ => false,
            })
        };
        let fits = |value: &str| {
            value.split_once('/').is_none_or(|(organization, _)| !is_left_out(organization))
        };
        values.iter().find(|value| fits(value)).cloned()
    }

    /// Who makes the requests of a cell.
    pub(super) fn identity(&self, cell: &[usize]) -> AskedIdentity {
        let (mut identity, mut request) = (AskedIdentity::default(), AskedRequest::default());
        let axes = self.axes.iter().zip(cell).enumerate().take(self.requests);
        let mut asks = false;
        for (place, (axis, class)) in axes {
            if !self.is_relevant(place, |axis| cell.get(axis).copied().unwrap_or(0)) {
                continue;
            }
            asks |= axis.is_attribute();
            if *class == 1
                && let Some(value) = self.member(place, cell)
                && let Some(organizations) = &mut identity.organizations
            {
                organizations.push(value);
            } else {
                axis.say(*class, &mut identity, &mut request);
            }
        }
        for values in identity.claims.iter_mut().flat_map(BTreeMap::values_mut) {
            // The value nobody names is only there so that there is one.
            if values.len() > 1 {
                values.remove(0);
            }
        }
        if asks && !self.unsaid_is_unknown && !identity.tells_of_a_login() {
            // Nothing is known, which is not what saying nothing means.
            identity.claims = Some(BTreeMap::new());
        }
        identity
    }

    /// Where the requests of a cell come from.
    pub(super) fn request(&self, cell: &[usize]) -> AskedRequest {
        let (mut identity, mut request) = (AskedIdentity::default(), AskedRequest::default());
        for (place, (axis, class)) in self.axes.iter().zip(cell).enumerate().skip(self.requests) {
            if self.is_relevant(place, |axis| cell.get(axis).copied().unwrap_or(0)) {
                axis.say(*class, &mut identity, &mut request);
            }
        }
        request
    }
}

impl Axis {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Who(classes) => classes.len(),
            Self::One(_, classes) => classes.len(),
            Self::Known { .. } | Self::Has { .. } => 2,
            Self::Address(classes) => classes.len(),
        }
    }

    /// Whether it is about what a login tells of a person beside the address.
    pub(super) fn is_attribute(&self) -> bool {
        match self {
            Self::Who(_) | Self::Address(_) => false,
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

    /// Says it in a question.
    fn say(&self, class: usize, identity: &mut AskedIdentity, request: &mut AskedRequest) {
        match self {
            Self::Who(classes) => {
                if let Some(requester) = classes.get(class).and_then(|class| class.first()) {
                    requester.say(identity);
                }
            }
            Self::One(one, classes) => {
                if let Some(value) = classes.get(class).and_then(|class| class.first()) {
                    one.say(value, identity, request);
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

impl Requester {
    pub(super) fn is_person(&self) -> bool {
        match self {
            Self::Person(_) | Self::InDomain(..) | Self::AnybodyElse(_) => true,
            Self::Nobody | Self::Service { .. } | Self::OtherService(_) | Self::Linked(_) => false,
        }
    }

    fn say(&self, identity: &mut AskedIdentity) {
        match self {
            Self::Nobody => {}
            Self::Person(email) | Self::InDomain(_, email) | Self::AnybodyElse(email) => {
                identity.email = Some(email.clone());
            }
            Self::Service { client_id, .. } | Self::OtherService(client_id) => {
                identity.service_token = Some(client_id.clone());
            }
            Self::Linked(id) => identity.linked_application = Some(id.clone()),
        }
    }
}

impl One {
    fn say(&self, value: &Value, identity: &mut AskedIdentity, request: &mut AskedRequest) {
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
                    Value::Missing => Some(AskedCertificate::None),
                    Value::Named(name) | Value::Other(name) => {
                        Some(AskedCertificate::CommonName(name.clone()))
                    }
                };
            }
        }
    }
}

impl Family {
    /// Says that the values are known, and that there are none so far.
    fn know(&self, other: &str, identity: &mut AskedIdentity, request: &mut AskedRequest) {
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
        identity: &'a mut AskedIdentity,
        request: &'a mut AskedRequest,
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

/// The classes of those who make requests: nobody first.
fn who(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Vec<Vec<Requester>> {
    let mut all: Vec<(Requester, Signature)> = vec![(Requester::Nobody, Signature::Nobody)];
    let in_domain = |domain: &str| atoms.domains.get(domain).into_iter().flatten().copied();
    for (email, slots) in &atoms.emails {
        let slots = slots.iter().copied().chain(in_domain(email.domain())).collect();
        all.push((Requester::Person((*email).clone()), Signature::Person(slots)));
    }
    for (domain, slots) in &atoms.domains {
        if let Some(email) = somebody(atoms, domain) {
            let requester = Requester::InDomain((*domain).into(), email);
            all.push((requester, Signature::Person(slots.clone())));
        }
    }
    let elsewhere = fresh("elsewhere", |name| {
        let domain = format!("{name}.example");
        let has_people = atoms.emails.keys().any(|email| email.domain() == domain);
        has_people || atoms.domains.contains_key(&*domain)
    });
    if let Some(email) = somebody(atoms, &format!("{elsewhere}.example")) {
        all.push((Requester::AnybodyElse(email), Signature::Person(Slots::new())));
    }
    all.extend(services(atoms, sides));
    all.extend(linked(atoms, sides));
    by_signature(all)
}

#[derive(Eq, Hash, PartialEq)]
enum Signature {
    Nobody,
    Person(Slots),
    /// `None`: the token proves nothing there.
    Service([Option<Slots>; 2]),
    /// `None`: the token proves nothing there.
    Linked([Option<Slots>; 2]),
}

/// A person in a domain whom no rule names.
fn somebody(atoms: &Atoms<'_>, domain: &str) -> Option<Email> {
    let names = ["someone", "a"].into_iter().map(|name| {
        let is_taken = |name: &str| {
            let email = format!("{name}@{domain}").parse::<Email>();
            email.is_ok_and(|email| atoms.emails.contains_key(&email))
        };
        fresh(name, is_taken)
    });
    names.filter_map(|name| format!("{name}@{domain}").parse().ok()).next()
}

/// The service tokens that prove something on one side at least.
fn services(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Vec<(Requester, Signature)> {
    let mut clients: BTreeMap<&str, &str> = BTreeMap::new();
    for side in sides {
        let tokens = &side.deployment.config().access.service_tokens;
        clients.extend(tokens.iter().map(|token| (&*token.client_id, &*token.name)));
    }
    let of_side = |(place, side): (usize, &Side<'_>), client_id: &str| {
        let token = side.service_token(client_id)?;
        let named = atoms.tokens.get(place)?;
        let by_name = [token.id, token.client_id].map(|name| named.get(name));
        let all = by_name.into_iter().flatten().chain(atoms.any_token.get(place));
        Some(all.flatten().copied().collect::<Slots>())
    };
    let [old, new] = sides;
    let proves = |id: &str| [of_side((0, old), id), of_side((1, new), id)];
    let is_listed = |name: &str| {
        sides.iter().any(|side| side.deployment.service_tokens().named(name).is_some())
    };
    let mut other = None;
    if !sides.iter().all(Side::knows_service_tokens) {
        // Those that rules name may exist at the issuer, and so may any other.
        let named = atoms.tokens.iter().flat_map(BTreeMap::keys);
        clients.extend(named.filter(|name| !is_listed(name)).map(|name| (*name, *name)));
        other =
            Some(fresh("another-service", |name| is_listed(name) || clients.contains_key(name)));
    }
    let known = clients.into_iter().map(|(client_id, name)| {
        let service = Requester::Service { name: name.into(), client_id: client_id.into() };
        (service, proves(client_id))
    });
    let other = other.into_iter().map(|id| {
        let proved = proves(&id);
        (Requester::OtherService(id), proved)
    });
    known
        .chain(other)
        .filter(|(_, proves)| *proves != [None, None])
        .map(|(service, proves)| (service, Signature::Service(proves)))
        .collect()
}

/// The applications whose tokens prove something on one side at least.
fn linked(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Vec<(Requester, Signature)> {
    let ids: BTreeSet<&str> =
        sides.iter().flat_map(|side| side.linked_applications()).map(|(id, _)| id).collect();
    let of_side = |side: &Side<'_>, id: &str| {
        let application = &side.linked(id)?.application;
        let by_name = [&*application.id, &*application.name].map(|name| atoms.linked.get(name));
        Some(by_name.into_iter().flatten().flatten().copied().collect::<Slots>())
    };
    ids.into_iter()
        .map(|id| {
            let proves = sides.each_ref().map(|side| of_side(side, id));
            (Requester::Linked(id.into()), Signature::Linked(proves))
        })
        .collect()
}

/// A country that no rule names.
fn other_country(is_named: impl Fn(Country) -> bool) -> Option<Country> {
    let letters = || ('A'..='Z').rev();
    let all = letters().flat_map(|one| letters().map(move |two| format!("{one}{two}")));
    // Antarctica has people, and no offices.
    let all = std::iter::once("AQ".to_owned()).chain(all);
    all.filter_map(|code| code.parse().ok()).find(|country| !is_named(*country))
}
