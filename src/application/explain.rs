//! Explains which destination is selected for a host and a path.

use std::fmt;

use super::destination::Destination;
use super::router::Router;
use super::specificity::{Criterion, compare};

impl<T> Router<T> {
    /// As [`locate`](Self::locate), with the reason why each other destination was not selected.
    ///
    /// Compares every destination: for diagnostics, not for each request.
    ///
    /// ```
    /// use tower_access::application::{Criterion, Router, NotSelectedReason};
    ///
    /// let router = Router::new([
    ///     ("blog.example.com/ghost".parse()?, "editors"),
    ///     ("blog.example.com/ghost/api/content".parse()?, "readers"),
    /// ])?;
    /// let choice = router.explain("blog.example.com", "/ghost/api/content/posts");
    /// assert_eq!(choice.chosen.map(|chosen| *chosen.value), Some("readers"));
    /// let why = choice.others[0].why;
    /// assert_eq!(why, NotSelectedReason::LessSpecific { decided_by: Criterion::LongerPath });
    /// assert_eq!(
    ///     why.to_string(),
    ///     "matches as well, but the chosen one has more of the path before any wildcard"
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn explain(&self, host: &str, path: &str) -> RouteExplanation<'_, T> {
        let chosen = self.entry(host, path);
        let why_not = |destination: &Destination| {
            if !destination.host().matches(host) {
                return Some(NotSelectedReason::HostDiffers);
            }
            if !destination.path().matches(path) {
                return Some(NotSelectedReason::PathDiffers);
            }
            // The selected destination is not compared with itself.
            let (_, decided_by) = compare(chosen?.0.patterns(), destination.patterns())?;
            Some(NotSelectedReason::LessSpecific { decided_by })
        };
        let others = self.destinations().filter_map(|(destination, value)| {
            why_not(destination).map(|why| OtherDestination { destination, value, why })
        });
        RouteExplanation {
            others: others.collect(),
            chosen: chosen.map(|(destination, value)| SelectedDestination { destination, value }),
        }
    }
}

/// The result of [`Router::explain`]: the selected destination, and why the others were not.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct RouteExplanation<'a, T> {
    /// The most specific destination that matches; without one, the request is refused.
    pub chosen: Option<SelectedDestination<'a, T>>,
    /// All others, the most specific first.
    pub others: Vec<OtherDestination<'a, T>>,
}

/// The selected destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct SelectedDestination<'a, T> {
    /// The host and path.
    pub destination: &'a Destination,
    /// The value of the destination.
    pub value: &'a T,
}

/// A destination that was not selected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct OtherDestination<'a, T> {
    /// The host and path.
    pub destination: &'a Destination,
    /// The value of the destination.
    pub value: &'a T,
    /// The reason.
    #[serde(flatten)]
    pub why: NotSelectedReason,
}

/// Why a destination was not selected.
///
/// Serialized as a map with the name as `reason`: `{"reason": "host_differs"}`,
/// `{"reason": "less_specific", "decided_by": "longer_path"}`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
#[non_exhaustive]
pub enum NotSelectedReason {
    /// The request is for another host.
    HostDiffers,
    /// The host matches, the path does not.
    PathDiffers,
    /// A more specific destination matches, too.
    LessSpecific {
        /// The criterion by which the selected one is more specific.
        decided_by: Criterion,
    },
}

impl fmt::Display for NotSelectedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostDiffers => f.write_str("is for another host"),
            Self::PathDiffers => f.write_str("is for another path of this host"),
            Self::LessSpecific { decided_by } => {
                write!(f, "matches as well, but the chosen one {decided_by}")
            }
        }
    }
}

impl<T> fmt::Display for OtherDestination<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.destination, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(texts: &[&'static str]) -> Router<&'static str> {
        Router::new(texts.iter().map(|text| (text.parse().unwrap(), *text))).unwrap()
    }

    /// What decides between two, the chosen one first.
    fn decided(chosen: &'static str, other: &'static str, host: &str, path: &str) -> Criterion {
        for texts in [[chosen, other], [other, chosen]] {
            let router = router(&texts);
            let choice = router.explain(host, path);
            assert_eq!(choice.chosen.unwrap().destination.to_string(), chosen);
        }
        match router(&[chosen, other]).explain(host, path).others[0].why {
            NotSelectedReason::LessSpecific { decided_by } => decided_by,
            why => panic!("{other} {why}"),
        }
    }

    #[test]
    fn the_first_difference_decides() {
        for (chosen, other, host, path, criterion) in [
            ("a.example", "*.example/long/path", "a.example", "/long/path", Criterion::ExactHost),
            ("pre*.example", "*.example", "prefix.example", "/", Criterion::LongerHost),
            ("*.long.example", "a*.*.example", "ab.long.example", "/", Criterion::LongerHost),
            ("a.*.example", "a*.*.example", "a.b.example", "/", Criterion::FewerHostWildcards),
            ("a*.example", "*a.example", "a.example", "/", Criterion::LongerHostStart),
            ("a*.*b.example", "a*.b*.example", "a.b.example", "/", Criterion::HostOrder),
            ("h.example/a/b", "h.example/a", "h.example", "/a/b/c", Criterion::LongerPath),
            ("h.example/a/*", "h.example/a", "h.example", "/a/b", Criterion::LongerPath),
            ("h.example/a/b", "h.example/*/b/c", "h.example", "/a/b/c", Criterion::LongerPath),
            ("h.example/a", "h.example/a*", "h.example", "/a/b", Criterion::PlainPath),
            ("h.example/a*/bc", "h.example/a*/b*", "h.example", "/a/bc", Criterion::MoreOfThePath),
            (
                "h.example/x*/a",
                "h.example/x*/a*",
                "h.example",
                "/x/a",
                Criterion::FewerPathWildcards,
            ),
            ("h.example/a*/b", "h.example/a*/c", "h.example", "/a/b/c", Criterion::PathOrder),
        ] {
            assert_eq!(decided(chosen, other, host, path), criterion, "{chosen} {other}");
        }
    }

    #[test]
    fn every_destination_is_told_about() {
        let router = router(&["*.example", "a.example", "a.example/x", "b.example"]);
        let choice = router.explain("a.example", "/y");
        assert_eq!(choice.chosen.unwrap().value, &"a.example");
        let lines: Vec<String> = choice.others.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "`a.example/x` is for another path of this host",
                "`b.example` is for another host",
                "`*.example` matches as well, but the chosen one has no wildcard in its host",
            ]
        );
        let nothing = router.explain("c.d.example", "/");
        assert_eq!(nothing.chosen, None);
        assert_eq!(nothing.others.len(), 4);
    }

    #[test]
    fn names_stay_as_they_are() {
        let router = router(&["*.example", "a.example", "a.example/x", "b.example"]);
        let json = serde_json::to_value(router.explain("a.example", "/y")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "chosen": { "destination": "a.example", "value": "a.example" },
                "others": [
                    { "destination": "a.example/x", "value": "a.example/x", "reason": "path_differs" },
                    { "destination": "b.example", "value": "b.example", "reason": "host_differs" },
                    {
                        "destination": "*.example",
                        "value": "*.example",
                        "reason": "less_specific",
                        "decided_by": "exact_host",
                    },
                ],
            })
        );
    }
}
