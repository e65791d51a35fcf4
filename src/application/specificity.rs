//! The order of destinations by specificity.

use std::cmp::Ordering;
use std::fmt;

use super::host_pattern::HostPattern;
use super::path_pattern::PathPattern;

/// The patterns of a destination.
pub(super) type Patterns<'a> = (&'a HostPattern, &'a PathPattern);

/// A criterion that makes one of two matching destinations more specific: the first in which they differ
/// decides.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Criterion {
    /// Its host has no wildcard.
    ExactHost,
    /// Its host has more characters besides `*`.
    LongerHost,
    /// Its host has fewer `*`.
    FewerHostWildcards,
    /// Its host has more characters before the first `*`.
    LongerHostStart,
    /// Its host comes first in alphabetical order.
    HostOrder,
    /// Its path has more characters before the first `*`.
    LongerPath,
    /// Its path has no wildcard.
    PlainPath,
    /// Its path has more characters besides `*`.
    MoreOfThePath,
    /// Its path has fewer `*`.
    FewerPathWildcards,
    /// Its path comes first in alphabetical order.
    PathOrder,
}

impl fmt::Display for Criterion {
    /// Describes the more specific destination: `has no wildcard in its host`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExactHost => "has no wildcard in its host",
            Self::LongerHost => "has the longer host",
            Self::FewerHostWildcards => "has fewer wildcards in its host",
            Self::LongerHostStart => "has more of the host before its first wildcard",
            Self::HostOrder => "has the host that comes first in alphabetical order",
            Self::LongerPath => "has more of the path before any wildcard",
            Self::PlainPath => "has no wildcard in its path",
            Self::MoreOfThePath => "has more of the path besides its wildcards",
            Self::FewerPathWildcards => "has fewer wildcards in its path",
            Self::PathOrder => "has the path that comes first in alphabetical order",
        })
    }
}

/// Compares two destinations: `Less` if the first is more specific, with the criterion; `None` if equal.
pub(super) fn compare(one: Patterns<'_>, two: Patterns<'_>) -> Option<(Ordering, Criterion)> {
    CRITERIA.iter().find_map(|(criterion, compare)| {
        let order = compare(one, two);
        order.is_ne().then_some((order, *criterion))
    })
}

/// Orders the most specific first.
pub(super) fn order(one: Patterns<'_>, two: Patterns<'_>) -> Ordering {
    compare(one, two).map_or(Ordering::Equal, |(order, _)| order)
}

/// A destination in the order of specificity, the most specific first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Specificity(HostPattern, PathPattern);

impl From<Patterns<'_>> for Specificity {
    fn from((host, path): Patterns<'_>) -> Self {
        Self(host.clone(), path.clone())
    }
}

impl Ord for Specificity {
    fn cmp(&self, other: &Self) -> Ordering {
        order((&self.0, &self.1), (&other.0, &other.1))
    }
}

impl PartialOrd for Specificity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn literal_length(text: &str) -> usize {
    text.len() - wildcards(text)
}

fn wildcards(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'*').count()
}

fn start(text: &str) -> usize {
    text.find('*').unwrap_or(text.len())
}

type Compare = fn(Patterns<'_>, Patterns<'_>) -> Ordering;

/// The criteria in order. A destination that covers less than another comes first: the criteria for fewer
/// `*` put `a.*.example` before `a*.*.example` and `/x*/a` before `/x*/a*`.
const CRITERIA: [(Criterion, Compare); 10] = {
    fn host<'a>((host, _): Patterns<'a>) -> &'a str {
        host.text()
    }
    fn path<'a>((_, path): Patterns<'a>) -> &'a str {
        path.text()
    }
    [
        (Criterion::ExactHost, |one, two| two.0.is_exact().cmp(&one.0.is_exact())),
        (Criterion::LongerHost, |one, two| {
            literal_length(host(two)).cmp(&literal_length(host(one)))
        }),
        (Criterion::FewerHostWildcards, |one, two| wildcards(host(one)).cmp(&wildcards(host(two)))),
        (Criterion::LongerHostStart, |one, two| start(host(two)).cmp(&start(host(one)))),
        (Criterion::HostOrder, |one, two| host(one).cmp(host(two))),
        (Criterion::LongerPath, |one, two| start(path(two)).cmp(&start(path(one)))),
        (Criterion::PlainPath, |one, two| two.1.is_plain().cmp(&one.1.is_plain())),
        (Criterion::MoreOfThePath, |one, two| {
            literal_length(path(two)).cmp(&literal_length(path(one)))
        }),
        (Criterion::FewerPathWildcards, |one, two| wildcards(path(one)).cmp(&wildcards(path(two)))),
        (Criterion::PathOrder, |one, two| path(one).cmp(path(two))),
    ]
};
