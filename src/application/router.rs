//! From host and path to the most specific application.

use std::collections::HashMap;
use std::fmt;

use super::pattern::{Destination, HostPattern, PathPattern};

/// Finds what stands behind a host and a path: the most specific destination wins, by host first
/// (exact, then wildcards with more literal characters), then by path (more literal characters
/// before the first wildcard).
///
/// Nothing is inherited: with `/eng` and `/eng/exec`, the latter is decided by its own application
/// alone. Cost grows with the depth of the path and the number of wildcard patterns, not with the
/// number of applications.
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
    exact: HashMap<Box<str>, Paths>,
    /// Hosts with a wildcard in the first label only, by what stands behind that label.
    below: HashMap<Box<str>, HashMap<HostPattern, Paths>>,
    /// Hosts with wildcards elsewhere.
    other: HashMap<HostPattern, Paths>,
    entries: Vec<(Destination, T)>,
}

impl<T> Router<T> {
    /// Sorts destinations.
    ///
    /// # Errors
    ///
    /// When a destination is there twice: nothing says which of the two should win.
    pub fn new(
        destinations: impl IntoIterator<Item = (Destination, T)>,
    ) -> Result<Self, RouterError> {
        let mut entries: Vec<(Destination, T)> = destinations.into_iter().collect();
        entries.sort_by_cached_key(|(destination, _)| destination.specificity());
        let twice = entries.iter().zip(entries.iter().skip(1)).find(|(one, two)| one.0 == two.0);
        if let Some(((destination, _), _)) = twice {
            return Err(RouterError { destination: destination.to_string() });
        }
        let mut router =
            Self { exact: HashMap::new(), below: HashMap::new(), other: HashMap::new(), entries };
        for (index, (destination, _)) in router.entries.iter().enumerate() {
            let paths = match destination.host() {
                HostPattern::Exact(host) => router.exact.entry(host.clone()).or_default(),
                pattern @ HostPattern::Wildcard(_) => {
                    let patterns = match pattern.parent_of_wildcard() {
                        Some(parent) => router.below.entry(parent.into()).or_default(),
                        None => &mut router.other,
                    };
                    patterns.entry(pattern.clone()).or_default()
                }
            };
            paths.add(index, destination.path());
        }
        Ok(router)
    }

    /// What stands behind a canonical host and a canonical path.
    #[must_use]
    pub fn locate(&self, host: &str, path: &str) -> Option<&T> {
        if let Some(index) =
            self.exact.get(host).and_then(|paths| paths.locate(path, &self.entries))
        {
            return self.entry(index);
        }
        // Entries are sorted: the smallest index is the most specific destination.
        let parent = host.split_once('.').map_or("", |(_, parent)| parent);
        self.below
            .get(parent)
            .into_iter()
            .flatten()
            .chain(&self.other)
            .filter(|(pattern, _)| pattern.matches(host))
            .filter_map(|(_, paths)| paths.locate(path, &self.entries))
            .min()
            .and_then(|index| self.entry(index))
    }

    /// Whether any destination covers some path of this canonical host.
    #[must_use]
    pub fn knows_host(&self, host: &str) -> bool {
        self.exact.contains_key(host)
            || self.entries.iter().any(|(destination, _)| destination.host().matches(host))
    }

    /// All destinations, the most specific first.
    pub fn destinations(&self) -> impl Iterator<Item = (&Destination, &T)> {
        self.entries.iter().map(|(destination, value)| (destination, value))
    }

    fn entry(&self, index: usize) -> Option<&T> {
        self.entries.get(index).map(|(_, value)| value)
    }
}

/// A destination given twice.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{destination}` belongs to two applications: one of them has to give it up")]
pub struct RouterError {
    destination: String,
}

/// The path patterns of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    prefixes: HashMap<Box<str>, usize>,
    /// Sorted, the most specific first.
    wildcards: Vec<usize>,
}

impl Paths {
    fn add(&mut self, index: usize, pattern: &PathPattern) {
        match pattern {
            PathPattern::Prefix(prefix) => {
                self.prefixes.insert(prefix.clone(), index);
            }
            PathPattern::Wildcard(_) => self.wildcards.push(index),
        }
    }

    fn locate<T>(&self, path: &str, entries: &[(Destination, T)]) -> Option<usize> {
        let wildcard = self.wildcards.iter().copied().find(|index| {
            entries.get(*index).is_some_and(|(destination, _)| destination.path().matches(path))
        });
        [self.longest_prefix(path), wildcard].into_iter().flatten().min()
    }

    fn longest_prefix(&self, path: &str) -> Option<usize> {
        let mut prefix = path;
        loop {
            if let Some(index) = self.prefixes.get(prefix) {
                return Some(*index);
            }
            prefix = prefix.get(..prefix.rfind('/')?)?;
        }
    }
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
