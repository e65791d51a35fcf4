//! What a path belongs to for an origin that takes several spellings for one.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::destination::Destination;
use super::fold::{fold, is_folded};
use super::router::{Router, RouterError};

/// The destinations of a router with all paths folded.
///
/// Costs a request a look at its bytes, and a second search where its path or a destination can be
/// written in other ways and its host has several applications.
#[derive(Clone, Debug)]
pub(crate) struct Spellings<T> {
    /// All that has the same folded destination; none where nothing can make a difference.
    folded: Option<Router<Vec<T>>>,
    /// Whether a path may belong to somebody else when it is folded, of hosts without wildcard.
    hosts: HashMap<Box<str>, bool, RandomState>,
    /// The same of all other hosts.
    other_hosts: bool,
    /// Whether a destination is not written as it is folded.
    has_spelled: bool,
}

impl<T: Copy + PartialEq> Spellings<T> {
    pub(crate) fn of(router: &Router<T>) -> Result<Self, RouterError> {
        let mut hosts: HashMap<Box<str>, bool, RandomState> = HashMap::default();
        for (destination, _) in router.destinations() {
            if let Some(host) = destination.exact_host()
                && !hosts.contains_key(host)
            {
                hosts.insert(host.into(), is_divided(router, host));
            }
        }
        let others = || router.destinations().filter(|(one, _)| one.exact_host().is_none());
        let other_hosts = others().any(|(one, _)| !one.is_whole_host()) || has_several(others());
        if !other_hosts && !hosts.values().any(|is_divided| *is_divided) {
            return Ok(Self { folded: None, hosts, other_hosts, has_spelled: false });
        }
        let mut by_destination: HashMap<Destination, Vec<T>> = HashMap::new();
        let mut has_spelled = false;
        for (destination, value) in router.destinations() {
            let folded = destination.folded();
            has_spelled |= folded != *destination;
            // Nothing is left of `/...`, and not every path is meant by it.
            if folded.is_whole_host() && !destination.is_whole_host() {
                continue;
            }
            let values = by_destination.entry(folded).or_default();
            if !values.contains(value) {
                values.push(*value);
            }
        }
        Ok(Self { folded: Some(Router::new(by_destination)?), hosts, other_hosts, has_spelled })
    }

    /// All that a canonical host and path belong to when folded, where that is more or less than
    /// what they belong to as they are.
    pub(crate) fn otherwise(&self, host: &str, path: &str, here: T) -> Option<&[T]> {
        let router = self.folded.as_ref()?;
        if is_folded(path) && !self.has_spelled {
            return None;
        }
        if !self.hosts.get(host).copied().unwrap_or(self.other_hosts) {
            return None;
        }
        let found = router.locate(host, &fold(path)).map_or(&[][..], Vec::as_slice);
        (found != [here]).then_some(found)
    }
}

/// Whether not all of a host without wildcard belongs to one. Wildcards get what it leaves over.
fn is_divided<T: PartialEq>(router: &Router<T>, host: &str) -> bool {
    let own = || router.destinations_of(host).filter(|(one, _)| one.exact_host().is_some());
    !own().any(|(one, _)| one.is_whole_host()) || has_several(own())
}

fn has_several<'a, T: PartialEq + 'a>(
    mut destinations: impl Iterator<Item = (&'a Destination, &'a T)>,
) -> bool {
    let first = destinations.next();
    first.is_some_and(|(_, first)| destinations.any(|(_, value)| value != first))
}

/// In the extensions of a request: the application it is for says that its origin tells spellings
/// apart (see [`Application::insecure_case_sensitive_origin`]).
///
/// An [`AccessLayer`](crate::AccessLayer) puts it there for the proxy behind it. A program that uses
/// the proxy without one may do so itself.
///
/// [`Application::insecure_case_sensitive_origin`]: super::Application::insecure_case_sensitive_origin
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaseSensitiveOrigin;
