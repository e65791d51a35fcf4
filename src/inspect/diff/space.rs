//! All requests that the policies of two applications can distinguish.

use std::collections::BTreeMap;

use crate::address::Country;
use crate::engine::explain::{SimulatedIdentity, SimulatedRequest};
use crate::identity::RiskLevel;

use super::atoms::{Atoms, Family, Slots, by_signature, fresh};
use super::axis::{Axis, One, Value};
use super::judge::Side;
use super::networks;
use super::requesters::{Requester, who};

/// A product of axes. A cell has one class of each.
///
/// Class 0 of an axis is a question that does not mention it.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) axes: Vec<Axis>,
    /// For each axis, the axes it depends on, and with which of their classes. With other classes it has
    /// no meaning and is class 0.
    guards: Vec<Vec<(usize, Vec<bool>)>>,
    /// Axes before this one are about the requester, the others about the source of the request.
    pub(super) requests: usize,
    /// The classes of a user of whom only the email address is given.
    pub(super) plain: Vec<usize>,
    /// Whether attributes that are omitted are unknown.
    omitted_is_unknown: bool,
    /// See [`Atoms::other_account`].
    pub(super) other_account: Option<Box<str>>,
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
            omitted_is_unknown: usual == [None, None],
            other_account: atoms.other_account(),
        };
        space.add(Axis::Requesters(who), Vec::new(), 0);
        let of_people = vec![(0, is_person)];
        space.add_attributes(atoms, sides, &of_people);
        // No login provides it.
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

    /// Adds the attributes of users other than the email address.
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
            let named =
                known.iter().map(|(id, slots)| (Value::Named((**id).into()), slots.clone()));
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

    /// Adds the source of a request.
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
                (Value::Named((**name).into()), slots.union(any).copied().collect())
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

    /// Whether an axis has a meaning in the cell with these classes.
    pub(super) fn is_relevant(&self, axis: usize, class: impl Fn(usize) -> usize) -> bool {
        self.guards.get(axis).is_none_or(|guards| {
            guards.iter().all(|(on, with)| with.get(class(*on)).copied().unwrap_or(false))
        })
    }

    /// Returns the axes that an axis depends on, and with which classes.
    pub(super) fn guards_of(&self, axis: usize) -> impl Iterator<Item = (usize, &[bool])> {
        let guards = self.guards.get(axis).into_iter().flatten();
        guards.map(|(on, with)| (*on, with.as_slice()))
    }

    /// Returns classes of other axes with which an axis has a meaning.
    pub(super) fn needed_for(&self, axis: usize) -> impl Iterator<Item = (usize, usize)> {
        self.guards.get(axis).into_iter().flatten().filter_map(|(on, with)| {
            // The last one: among users, those whom no rule names.
            Some((*on, with.iter().rposition(|is_allowed| *is_allowed)?))
        })
    }

    /// Whether such requests exist: members of a team are members of its organization.
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

    /// Returns an organization or team for an axis that no other axis contradicts.
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

    /// Returns the requester of a cell.
    pub(super) fn identity(&self, cell: &[usize]) -> SimulatedIdentity {
        let (mut identity, mut request) =
            (SimulatedIdentity::default(), SimulatedRequest::default());
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
                axis.apply_to(*class, &mut identity, &mut request);
            }
        }
        for values in identity.claims.iter_mut().flat_map(BTreeMap::values_mut) {
            // The unnamed value is only a placeholder.
            if values.len() > 1 {
                values.remove(0);
            }
        }
        if asks && !self.omitted_is_unknown && !identity.has_login_attributes() {
            // Nothing is known, which differs from omitting it.
            identity.claims = Some(BTreeMap::new());
        }
        identity
    }

    /// Returns the source of the requests of a cell.
    pub(super) fn request(&self, cell: &[usize]) -> SimulatedRequest {
        let (mut identity, mut request) =
            (SimulatedIdentity::default(), SimulatedRequest::default());
        for (place, (axis, class)) in self.axes.iter().zip(cell).enumerate().skip(self.requests) {
            if self.is_relevant(place, |axis| cell.get(axis).copied().unwrap_or(0)) {
                axis.apply_to(*class, &mut identity, &mut request);
            }
        }
        request
    }
}

/// Returns a country that no rule names.
fn other_country(is_named: impl Fn(Country) -> bool) -> Option<Country> {
    // Antarctica first, because rules rarely name it.
    let antarctica = "AQ".parse().ok();
    antarctica.into_iter().chain(Country::all()).find(|country| !is_named(*country))
}
