//! Finds the most specific destination for a host and a path.

use std::fmt;

use super::destination::Destination;
use super::index::Index;
use super::specificity::order;

/// Finds the value of the most specific destination that matches a host and a path. [`Destination`] lists
/// the criteria; [`explain`](Self::explain) explains one lookup.
///
/// Nothing is inherited: with `/eng` and `/eng/exec`, only its own application decides about the latter.
/// The order of destinations does not matter. The cost does not grow with their number, only with the
/// number of their different lengths; of one host's paths with the same text before the first `*`, each is
/// tried.
///
/// ```
/// use tower_access::application::Router;
///
/// let router = Router::new([
///     ("wiki.example.com".parse()?, "wiki"),
///     ("wiki.example.com/public".parse()?, "public"),
/// ])?;
/// assert_eq!(router.locate("wiki.example.com", "/public/logo.svg"), Some(&"public"));
/// assert_eq!(router.locate("wiki.example.com", "/publicity"), Some(&"wiki"));
/// assert_eq!(router.locate("other.example.com", "/"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router<T> {
    index: Index,
    /// Sorted by specificity: the smallest number wins.
    entries: Vec<(Destination, T)>,
}

impl<T> Router<T> {
    /// Creates a router.
    ///
    /// # Errors
    ///
    /// If a destination is given twice.
    pub fn new(
        destinations: impl IntoIterator<Item = (Destination, T)>,
    ) -> Result<Self, RouterError> {
        let mut entries: Vec<(Destination, T)> = destinations.into_iter().collect();
        entries.sort_by(|(one, _), (two, _)| order(one.patterns(), two.patterns()));
        let twice = entries.iter().zip(entries.iter().skip(1)).find(|(one, two)| one.0 == two.0);
        if let Some(((destination, _), _)) = twice {
            return Err(RouterError { destination: destination.to_string() });
        }
        let mut index = Index::default();
        for (number, (destination, _)) in entries.iter().enumerate() {
            index.add(number, destination);
        }
        Ok(Self { index, entries })
    }

    /// Returns the value for a canonical host and a canonical path.
    #[must_use]
    pub fn locate(&self, host: &str, path: &str) -> Option<&T> {
        self.entry(host, path).map(|(_, value)| value)
    }

    /// Returns the selected destination for a canonical host and path, with its value.
    pub(crate) fn entry(&self, host: &str, path: &str) -> Option<&(Destination, T)> {
        let matches = |number: usize| {
            let entry = self.entries.get(number);
            entry.is_some_and(|(destination, _)| destination.path().matches(path))
        };
        self.entries.get(self.index.locate(host, path, matches)?)
    }

    /// Returns whether any destination covers any path of this canonical host.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        self.index.has_host(host)
    }

    /// Returns all destinations, the most specific first.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, &T)> {
        self.entries.iter().map(|(destination, value)| (destination, value))
    }

    /// Returns the destinations that cover any path of a canonical host, the most specific first.
    pub fn destinations_for(&self, host: &str) -> impl Iterator<Item = (&Destination, &T)> {
        let numbers = self.index.on_host(host).into_iter();
        numbers.filter_map(|number| self.entries.get(number)).map(|(one, value)| (one, value))
    }
}

/// A destination given twice.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{destination}` belongs to two applications: remove it from one of them")]
pub struct RouterError {
    destination: String,
}

impl<T> fmt::Display for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.entries.iter().map(|(destination, _)| destination.to_string()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule as it is written down: of all that match, the most specific.
    fn naive<'a>(entries: &'a [(Destination, usize)], host: &str, path: &str) -> Option<&'a usize> {
        entries
            .iter()
            .filter(|(destination, _)| destination.matches(host, path))
            .min_by_key(|(destination, _)| destination.specificity())
            .map(|(_, value)| value)
    }

    fn pattern() -> impl Strategy<Value = String> {
        let host = prop_oneof![
            Just("a.example"),
            Just("b.a.example"),
            Just("*.example"),
            Just("*.a.example"),
            Just("b*.a.example"),
            Just("*b.a.example"),
            Just("b.*.example"),
            Just("*.*.example"),
            Just("bb.a.example"),
            Just("example"),
        ];
        let path = prop_oneof![
            Just(""),
            Just("/x"),
            Just("/x/y"),
            Just("/x/*"),
            Just("/x*/y"),
            Just("/*/y"),
            Just("/xx"),
            Just("/x/y/z"),
            Just("/x*"),
            Just("/*x/y*"),
            Just("/y"),
        ];
        (host, path).prop_map(|(host, path)| format!("{host}{path}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn path_18_pol_05_finds_what_a_scan_finds(
            patterns in prop::collection::btree_set(pattern(), 0..16),
            hosts in prop::collection::vec("(b{1,2}\\.)?(a\\.)?example", 4),
            paths in prop::collection::vec("(/[xy]{1,2}){0,4}/?", 4),
        ) {
            let mut entries: Vec<(Destination, usize)> = Vec::new();
            for (value, text) in patterns.iter().enumerate() {
                let destination: Destination = text.parse().unwrap();
                if !entries.iter().any(|(known, _)| *known == destination) {
                    entries.push((destination, value));
                }
            }
            let router = Router::new(entries.clone()).unwrap();
            for (host, path) in hosts.iter().zip(&paths) {
                let path = if path.is_empty() { "/" } else { path };
                prop_assert_eq!(router.locate(host, path), naive(&entries, host, path), "{} {}", host, path);
            }
        }
    }

    #[test]
    fn a_destination_belongs_to_one_application() {
        let twice = [("h.example/a".parse().unwrap(), 1), ("H.example/a/".parse().unwrap(), 2)];
        assert!(Router::new(twice).is_err());
    }

    #[test]
    fn host_08_the_number_of_hosts_makes_no_difference() {
        for count in [1, 100, 101, 10_000] {
            let hosts = (0..count).map(|n| (format!("Host{n}.Example").parse().unwrap(), n));
            let router = Router::new(hosts).unwrap();
            assert_eq!(router.locate("host0.example", "/"), Some(&0));
            assert_eq!(
                router.locate(&format!("host{}.example", count - 1), "/x"),
                Some(&(count - 1))
            );
            assert_eq!(router.locate("host.example", "/"), None);
        }
    }
}
