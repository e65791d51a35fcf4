//! The owners of a path for origins that treat several spellings as equal.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::destination::Destination;
use super::fold::{fold, is_folded};
use super::router::{Router, RouterError};

/// The destinations of a router with all paths folded.
///
/// Costs one scan of the path, and a second lookup if the path or a destination has other spellings and the
/// host has several applications.
#[derive(Clone, Debug)]
pub(crate) struct Spellings<T> {
    /// The values with the same folded destination; `None` if folding cannot make a difference.
    folded: Option<Router<Vec<T>>>,
    /// Whether folding may change the owner of a path, for hosts without wildcard.
    hosts: HashMap<Box<str>, bool, RandomState>,
    /// The same for all other hosts.
    other_hosts: bool,
    /// Whether folding changes any destination.
    has_spelled: bool,
}

impl<T: Copy + PartialEq> Spellings<T> {
    pub(crate) fn new(router: &Router<T>) -> Result<Self, RouterError> {
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
            // `/...` folds to nothing, but does not cover every path.
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

    /// Returns whether folding can make a difference for any host.
    pub(crate) fn can_differ(&self) -> bool {
        self.folded.is_some()
    }

    /// Returns the owners of a canonical host and path after folding, unless `here` is the only one.
    pub(crate) fn owners_when_folded(&self, host: &str, path: &str, here: T) -> Option<&[T]> {
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

/// Returns whether a host without wildcard has several owners. Wildcards own what it does not cover.
fn is_divided<T: PartialEq>(router: &Router<T>, host: &str) -> bool {
    let own = || router.destinations_for(host).filter(|(one, _)| one.exact_host().is_some());
    !own().any(|(one, _)| one.is_whole_host()) || has_several(own())
}

fn has_several<'a, T: PartialEq + 'a>(
    mut destinations: impl Iterator<Item = (&'a Destination, &'a T)>,
) -> bool {
    let first = destinations.next();
    first.is_some_and(|(_, first)| destinations.any(|(_, value)| value != first))
}

/// A request extension: the origin of the request's application is case sensitive (see
/// [`Application::insecure_case_sensitive_origin`]).
///
/// An [`AccessLayer`](crate::AccessLayer) sets it for the proxy behind it. A program that uses the proxy
/// without a layer may set it.
///
/// [`Application::insecure_case_sensitive_origin`]: super::Application::insecure_case_sensitive_origin
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CaseSensitiveOrigin;
