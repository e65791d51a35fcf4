//! An index that finds the destinations for a host and a path without scanning all of them.
//!
//! Hosts without a wildcard are looked up whole; the others are in a tree of labels, with the last label
//! at its root. Within a host, paths are looked up by the text before their first wildcard, the longest
//! first. Only paths that have this text in common are tried one by one. Lookups do not allocate, and read
//! the text of a request at most once for each length that is configured.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::destination::Destination;
use super::host_pattern::Label;
use super::path_pattern::PathPattern;

/// Filled from configuration only, so a fast hash is safe.
type Map<V> = HashMap<Box<str>, V, RandomState>;

/// The numbers of destinations: the smallest is the most specific.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    exact: Map<Paths>,
    wildcards: Node,
}

impl Index {
    /// Adds a destination with its number.
    pub(super) fn add(&mut self, number: usize, destination: &Destination) {
        let host = destination.host();
        let paths = if host.is_exact() {
            self.exact.entry(host.text().into()).or_default()
        } else {
            let mut node = &mut self.wildcards;
            for label in host.labels().iter().rev() {
                node = node.below(label);
            }
            node.paths.get_or_insert_default()
        };
        paths.add(number, destination.path());
    }

    /// Returns the smallest number that matches; `matches` decides for paths with wildcards.
    pub(super) fn locate(
        &self,
        host: &str,
        path: &str,
        matches: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        // Hosts without a wildcard come before all others.
        if let Some(number) = self.exact.get(host).and_then(|paths| paths.locate(path, &matches)) {
            return Some(number);
        }
        let mut best: Option<usize> = None;
        self.with_wildcards(host, &mut |paths| {
            let found = paths.locate(path, &matches);
            best = best.into_iter().chain(found).min();
        });
        best
    }

    /// Returns whether any destination covers the host.
    pub(super) fn has_host(&self, host: &str) -> bool {
        let mut known = self.exact.contains_key(host);
        if !known {
            self.with_wildcards(host, &mut |_| known = true);
        }
        known
    }

    /// Returns all numbers for a host, in order.
    pub(super) fn on_host(&self, host: &str) -> Vec<usize> {
        let mut numbers = Vec::new();
        if let Some(paths) = self.exact.get(host) {
            numbers.extend(paths.numbers());
        }
        self.with_wildcards(host, &mut |paths| numbers.extend(paths.numbers()));
        numbers.sort_unstable();
        numbers
    }

    fn with_wildcards(&self, host: &str, found: &mut impl FnMut(&Paths)) {
        // The dots of an address in brackets do not separate labels.
        if !host.starts_with('[') {
            self.wildcards.walk(Some(host), found);
        }
    }
}

/// Hosts that have their last labels in common.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Paths of the host without further labels.
    paths: Option<Paths>,
    /// Below a label that is only a wildcard.
    any: Option<Box<Self>>,
    exact: Map<Self>,
    /// By the text before the wildcard, then by the text after it.
    wildcards: ByLength<ByLength<Self>>,
}

impl Node {
    fn below(&mut self, label: &Label) -> &mut Self {
        match label {
            Label::Exact(text) => self.exact.entry(text.clone()).or_default(),
            Label::Wildcard { before, after } if before.is_empty() && after.is_empty() => {
                self.any.get_or_insert_default()
            }
            Label::Wildcard { before, after } => self.wildcards.entry(before).entry(after),
        }
    }

    /// Visits everything that matches the remaining labels. The deepest pattern bounds the recursion.
    fn walk(&self, left: Option<&str>, found: &mut impl FnMut(&Paths)) {
        let Some(left) = left else {
            return self.paths.iter().for_each(found);
        };
        let (left, label) = match left.rsplit_once('.') {
            Some((left, label)) => (Some(left), label),
            None => (None, left),
        };
        if label.is_empty() {
            return;
        }
        if let Some(node) = self.exact.get(label) {
            node.walk(left, found);
        }
        if let Some(node) = &self.any {
            node.walk(left, found);
        }
        self.wildcards.each_start(label, |behind, afters| {
            afters.each_end(behind, |node| node.walk(left, found));
        });
    }
}

/// Literal parts of labels, with the set of their lengths.
#[derive(Clone, Debug)]
struct ByLength<V> {
    /// One bit for each length: labels have at most 63 characters.
    lengths: u64,
    map: Map<V>,
}

impl<V> Default for ByLength<V> {
    fn default() -> Self {
        Self { lengths: 0, map: Map::default() }
    }
}

impl<V: Default> ByLength<V> {
    fn entry(&mut self, text: &str) -> &mut V {
        self.lengths |= 1 << text.len().min(63);
        self.map.entry(text.into()).or_default()
    }

    /// Visits the entries that the label starts with, with the rest of the label.
    fn each_start<'a>(&self, label: &'a str, mut found: impl FnMut(&'a str, &V)) {
        for length in bits(self.lengths) {
            let Some((start, left)) = label.split_at_checked(length) else { break };
            if let Some(value) = self.map.get(start) {
                found(left, value);
            }
        }
    }

    fn each_end(&self, label: &str, mut found: impl FnMut(&V)) {
        for length in bits(self.lengths) {
            let Some(at) = label.len().checked_sub(length) else { break };
            if let Some(value) = label.get(at..).and_then(|end| self.map.get(end)) {
                found(value);
            }
        }
    }
}

/// Returns the numbers of the bits that are set, in ascending order.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros())?;
        set &= set - 1;
        usize::try_from(lowest).ok()
    })
}

/// The path patterns of one host.
#[derive(Clone, Debug, Default)]
struct Paths {
    /// The number of the pattern that covers every path.
    everything: Option<usize>,
    by_start: Map<Start>,
    /// The lengths of the texts before wildcards, the longest first.
    lengths: Vec<Length>,
}

#[derive(Clone, Copy, Debug)]
struct Length {
    length: usize,
    has_wildcards: bool,
}

/// The path patterns with the same text before the first wildcard.
#[derive(Clone, Debug, Default)]
struct Start {
    plain: Option<usize>,
    /// In order.
    wildcards: Vec<usize>,
}

impl Paths {
    fn add(&mut self, number: usize, pattern: &PathPattern) {
        let length = pattern.start().len();
        if length == 0 {
            self.everything = Some(number);
            return;
        }
        let place = self.lengths.partition_point(|known| known.length > length);
        match self.lengths.get_mut(place).filter(|known| known.length == length) {
            Some(known) => known.has_wildcards |= !pattern.is_plain(),
            None => {
                self.lengths.insert(place, Length { length, has_wildcards: !pattern.is_plain() });
            }
        }
        let start = self.by_start.entry(pattern.start().into()).or_default();
        if pattern.is_plain() {
            start.plain = Some(number);
        } else {
            let place = start.wildcards.partition_point(|known| *known < number);
            start.wildcards.insert(place, number);
        }
    }

    /// Returns the most specific match: the longest start, and among those a path without wildcard first.
    fn locate(&self, path: &str, matches: &impl Fn(usize) -> bool) -> Option<usize> {
        let found = self.lengths.iter().find_map(|Length { length, has_wildcards }| {
            let (start, left) = path.split_at_checked(*length)?;
            let is_segment_end = left.is_empty() || left.starts_with('/');
            if !is_segment_end && !has_wildcards {
                return None;
            }
            let start = self.by_start.get(start)?;
            let plain = start.plain.filter(|_| is_segment_end);
            plain.or_else(|| start.wildcards.iter().copied().find(|number| matches(*number)))
        });
        found.or(self.everything)
    }

    fn numbers(&self) -> impl Iterator<Item = usize> {
        let below = self.by_start.values();
        let below = below.flat_map(|start| start.plain.iter().chain(&start.wildcards));
        self.everything.iter().chain(below).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    type Kind = (&'static str, fn(usize) -> (String, String, String));

    const KINDS: [Kind; 5] = [
        ("hosts", |n| {
            let host = format!("app{n}.example.com");
            (host.clone(), host, "/a".to_owned())
        }),
        ("hosts with a wildcard", |n| {
            let (pattern, host) =
                (format!("*.tenant{n}.example.com"), format!("a.tenant{n}.example.com"));
            (pattern, host, "/a".to_owned())
        }),
        ("labels with a wildcard", |n| {
            (format!("pr{n}-*.example.com"), format!("pr{n}-wiki.example.com"), "/a".to_owned())
        }),
        ("paths", |n| {
            let host = "app.example.com";
            (format!("{host}/team{n}"), host.to_owned(), format!("/team{n}/board"))
        }),
        ("paths with a wildcard", |n| {
            let host = "app.example.com";
            (format!("{host}/team{n}/*/admin"), host.to_owned(), format!("/team{n}/x/admin"))
        }),
    ];

    #[test]
    fn dos_04_ten_thousand_destinations_are_tried_no_oftener_than_ten() {
        for (name, make) in KINDS {
            let tried = [10, 10_000].map(|count| {
                let destinations: Vec<Destination> =
                    (0..count).map(|n| make(n).0.parse().unwrap()).collect();
                let mut index = Index::default();
                for (number, destination) in destinations.iter().enumerate() {
                    index.add(number, destination);
                }
                let tried = Cell::new(0);
                for n in [0, count / 2, count - 1] {
                    let (_, host, path) = make(n);
                    let found = index.locate(&host, &path, |number| {
                        tried.set(tried.get() + 1);
                        destinations[number].path().matches(&path)
                    });
                    assert_eq!(found, Some(n), "{name}");
                    assert_eq!(index.locate("nowhere.example.org", &path, |_| panic!()), None);
                }
                // How many different lengths there are to look up grows with the digits alone.
                assert!(index.exact.values().all(|paths| paths.lengths.len() <= 6), "{name}");
                tried.get()
            });
            assert_eq!(tried[0], tried[1], "{name}");
            assert!(tried[1] <= 3, "{name}: {tried:?}");
        }
    }
}
