//! The classes of users and services that policies can distinguish.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::explain::SimulatedIdentity;
use crate::identity::Email;

use super::atoms::{Atoms, Slots, by_signature, fresh};
use super::judge::Side;

/// The author of a request.
#[derive(Clone, Debug)]
pub(super) enum Requester {
    Nobody,
    /// A user by email address.
    Person(Email),
    /// Any other user with an address in a domain, such as this one.
    InDomain(Box<str>, Email),
    /// Any other user, such as this one.
    AnybodyElse(Email),
    Service {
        name: Box<str>,
        client_id: Box<str>,
    },
    /// Any other service that the issuer knows, such as this one.
    OtherService(Box<str>),
    /// Another application, on behalf of a user.
    Linked(Box<str>),
}

impl Requester {
    pub(super) fn is_person(&self) -> bool {
        match self {
            Self::Person(_) | Self::InDomain(..) | Self::AnybodyElse(_) => true,
            Self::Nobody | Self::Service { .. } | Self::OtherService(_) | Self::Linked(_) => false,
        }
    }

    pub(super) fn apply_to(&self, identity: &mut SimulatedIdentity) {
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

/// Returns the classes of requesters; the first is the one without a credential.
pub(super) fn who(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Vec<Vec<Requester>> {
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
    /// `None`: the token is not valid there.
    Service([Option<Slots>; 2]),
    /// `None`: the token is not valid there.
    Linked([Option<Slots>; 2]),
}

/// Returns a user of a domain whom no rule names.
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

/// Returns the service tokens that are valid on at least one side.
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
    let is_listed =
        |name: &str| sides.iter().any(|side| side.deployment.service_tokens().find(name).is_some());
    let mut other = None;
    if !sides.iter().all(Side::knows_service_tokens) {
        // The issuer may have the tokens that rules name, and any other.
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

/// Returns the applications whose tokens are valid on at least one side.
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
