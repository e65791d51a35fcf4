//! Relations of destinations: coverage, overlap, and example requests.
//!
//! For checking and comparing configurations, not for requests. The results are about every text
//! with the shape of a host and a path. A reported coverage is always true, and a returned example
//! always matches. The reverse can fail in corner cases: a pattern that is wider than another only
//! by hosts and paths no request can have (a label with more than 63 characters, an escape of an
//! escape) is not reported as covered, and two patterns whose shortest common path is of that kind
//! are reported as disjoint.

use std::collections::{HashMap, VecDeque};

use crate::application::{
    CanonicalHost, CanonicalPath, Destination, HostPattern, Label, PathPattern, Router,
};

/// A host and a path of a possible request, in canonical form.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Witness {
    pub(super) host: String,
    pub(super) path: String,
}

/// Whether the first matches everything that the second one matches.
pub(super) fn covers(one: &Destination, two: &Destination) -> bool {
    covers_host(one.host(), two.host()) && covers_path(one.path(), two.path())
}

/// Returns a host and path that both match, if any.
pub(super) fn overlaps(one: &Destination, two: &Destination) -> Option<Witness> {
    let host = common_host(one.host(), two.host())?;
    let path = common_path(one.path(), two.path())?;
    Some(Witness { host, path })
}

/// Returns a host and path that a destination matches.
pub(super) fn sample(destination: &Destination) -> Witness {
    fill(destination, FILLER, FILLER)
}

/// Returns a host and path for which the router selects a destination.
///
/// A destination that is less specific than others usually has requests of its own, because each
/// narrower one leaves some over. Returns `None` for a destination that is not in the router, or if
/// all of some hundred fillers of its wildcards belong to others: it is then shadowed in practice,
/// which is not a proof.
pub(super) fn sample_won_by<T>(router: &Router<T>, destination: &Destination) -> Option<Witness> {
    let is_won = |witness: &Witness| {
        destination.matches(&witness.host, &witness.path)
            && is_canonical(&witness.host, &witness.path)
            && router
                .entry(&witness.host, &witness.path)
                .is_some_and(|(chosen, _)| chosen == destination)
    };
    let hosts = fillers(!destination.host().is_exact(), HOST_CHARACTERS);
    let paths = fillers(!destination.path().is_plain(), PATH_CHARACTERS);
    hosts
        .iter()
        .flat_map(|host| paths.iter().map(move |path| fill(destination, host, path)))
        .find(is_won)
}

/// Returns the path above one that ends in `/*`, which it does not cover: `/admin` of `/admin/*`.
pub(super) fn uncovered_path(destination: &Destination) -> Option<Witness> {
    let above = destination.path().text().strip_suffix("/*")?.replace('*', FILLER);
    let witness = Witness { path: above, ..sample(destination) };
    (!destination.matches(&witness.host, &witness.path)).then_some(witness)
}

/// Returns the host above one that begins with a bare wildcard, which it does not cover:
/// `example.com` of `*.example.com`.
pub(super) fn uncovered_host(destination: &Destination) -> Option<Witness> {
    let above = destination.host().text().strip_prefix("*.")?.replace('*', FILLER);
    Some(Witness { host: above, ..sample(destination) })
}

// === covers ===

fn covers_host(one: &HostPattern, two: &HostPattern) -> bool {
    if two.is_exact() {
        return one.matches(two.text());
    }
    let (one, two) = (one.labels(), two.labels());
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| covers_label(one, two))
}

fn covers_label(one: &Label, two: &Label) -> bool {
    match (one, two) {
        (_, Label::Exact(text)) => one.matches(text),
        (Label::Exact(_), Label::Wildcard { .. }) => false,
        (
            Label::Wildcard { before, after },
            Label::Wildcard { before: longer_before, after: longer_after },
        ) => longer_before.starts_with(&**before) && longer_after.ends_with(&**after),
    }
}

/// Replaces each wildcard of the second with a character that no pattern contains: only a wildcard
/// of the first, or the rest below it, matches that character, and then matches any other text there
/// as well.
fn covers_path(one: &PathPattern, two: &PathPattern) -> bool {
    one.matches(&two.text().replace('*', FOREIGN))
}

// === overlaps ===

fn common_host(one: &HostPattern, two: &HostPattern) -> Option<String> {
    if one.is_exact() || two.is_exact() {
        let text = if one.is_exact() { one.text() } else { two.text() };
        return (one.matches(text) && two.matches(text)).then(|| text.to_owned());
    }
    let (one, two) = (one.labels(), two.labels());
    if one.len() != two.len() {
        return None;
    }
    let labels: Option<Vec<String>> =
        one.iter().zip(two).map(|(one, two)| common_label(one, two)).collect();
    labels.map(|labels| labels.join(".")).filter(|host| is_canonical_host(host))
}

/// Returns the shortest label that both match.
fn common_label(one: &Label, two: &Label) -> Option<String> {
    match (one, two) {
        (Label::Exact(text), other) | (other, Label::Exact(text)) => {
            other.matches(text).then(|| text.to_string())
        }
        (
            Label::Wildcard { before, after },
            Label::Wildcard { before: other_before, after: other_after },
        ) => {
            let (start, _) = longer(before, other_before, |long, short| long.starts_with(short))?;
            let (end, _) = longer(after, other_after, |long, short| long.ends_with(short))?;
            let shared = (0..=start.len().min(end.len())).rev().find_map(|shared| {
                let text =
                    format!("{start}{}", end.strip_prefix(start.get(start.len() - shared..)?)?);
                (one.matches(&text) && two.matches(&text)).then_some(text)
            });
            // Only two bare wildcards share no text.
            shared.or_else(|| Some(FILLER.to_owned()))
        }
    }
}

/// Returns the longer of two texts and the other one, if the longer one contains the other.
fn longer<'a>(
    one: &'a str,
    two: &'a str,
    holds: impl Fn(&str, &str) -> bool,
) -> Option<(&'a str, &'a str)> {
    let (long, short) = if one.len() >= two.len() { (one, two) } else { (two, one) };
    holds(long, short).then_some((long, short))
}

fn common_path(one: &PathPattern, two: &PathPattern) -> Option<String> {
    let path = if covers_path(one, two) {
        fill_path(two, FILLER)
    } else if covers_path(two, one) {
        fill_path(one, FILLER)
    } else if one.is_plain() && two.is_plain() {
        return None;
    } else {
        search(&Automaton::new(one), &Automaton::new(two))?
    };
    (one.matches(&path) && two.matches(&path) && is_canonical_path(&path)).then_some(path)
}

/// A path pattern as steps from one position to the next.
struct Automaton<'a> {
    steps: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    /// One character; an escape counts as one.
    Take(&'a str),
    /// Any character without advancing, or advancing without a character.
    Stay,
}

impl<'a> Automaton<'a> {
    fn new(pattern: &'a PathPattern) -> Self {
        let steps = match pattern.pieces().split_first() {
            None => characters(pattern.text()).map(Step::Take).collect(),
            Some((first, rest)) => {
                let rest = rest.iter().flat_map(|piece| {
                    [Step::Stay].into_iter().chain(characters(piece).map(Step::Take))
                });
                characters(first).map(Step::Take).chain(rest).collect()
            }
        };
        Self { steps }
    }

    /// Returns the character that advances from a position (`None`: any), and the next position.
    fn after(&self, at: usize) -> (Option<&'a str>, usize) {
        match self.steps.get(at) {
            Some(Step::Take(character)) => (Some(character), at + 1),
            // After the pattern the path ends or continues below.
            None if at == self.steps.len() => (Some("/"), at + 1),
            Some(Step::Stay) | None => (None, at),
        }
    }

    fn goes_on_without(&self, at: usize) -> bool {
        matches!(self.steps.get(at), Some(Step::Stay))
    }

    fn is_end(&self, at: usize) -> bool {
        at >= self.steps.len()
    }
}

/// The form of the current segment: an empty segment, `.` and `..` must not be followed by a slash,
/// and the last two must not end a path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Segment {
    Nothing,
    Empty,
    Dot,
    DotDot,
    Text,
}

impl Segment {
    fn and(self, character: &str) -> Option<Self> {
        match (self, character) {
            (Self::Nothing | Self::Text, "/") => Some(Self::Empty),
            (Self::Nothing, _) | (Self::Empty | Self::Dot | Self::DotDot, "/") => None,
            (Self::Empty, ".") => Some(Self::Dot),
            (Self::Dot, ".") => Some(Self::DotDot),
            (Self::Empty | Self::Dot | Self::DotDot | Self::Text, _) => Some(Self::Text),
        }
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Empty | Self::Text)
    }
}

type State = (usize, usize, Segment);

/// Returns the shortest path that both match, by breadth-first search.
fn search(one: &Automaton<'_>, two: &Automaton<'_>) -> Option<String> {
    let begin = (0, 0, Segment::Nothing);
    let mut reached: HashMap<State, (State, &str)> = HashMap::from([(begin, (begin, ""))]);
    let mut queue = VecDeque::from([begin]);
    while let Some(state) = queue.pop_front() {
        let (first, second, segment) = state;
        if one.is_end(first) && two.is_end(second) && segment.may_end() {
            return Some(way_to(state, &reached));
        }
        if reached.len() > MAX_STATES {
            return None;
        }
        let mut go = |to: State, character| {
            reached.entry(to).or_insert_with(|| {
                queue.push_back(to);
                (state, character)
            });
        };
        if one.goes_on_without(first) {
            go((first + 1, second, segment), "");
        }
        if two.goes_on_without(second) {
            go((first, second + 1, segment), "");
        }
        let ((takes, to), (other_takes, other_to)) = (one.after(first), two.after(second));
        let character = match (takes, other_takes) {
            (Some(one), Some(two)) => (one == two).then_some(one),
            // If both accept anything, a letter is never worse than a dot or a slash.
            (takes, other_takes) => Some(takes.or(other_takes).unwrap_or(FILLER)),
        };
        if let Some(character) = character
            && let Some(segment) = segment.and(character)
        {
            go((to, other_to, segment), character);
        }
    }
    None
}

fn way_to(mut state: State, reached: &HashMap<State, (State, &str)>) -> String {
    let mut characters = Vec::new();
    while let Some((before, character)) = reached.get(&state).filter(|(before, _)| *before != state)
    {
        characters.push(*character);
        state = *before;
    }
    characters.into_iter().rev().collect()
}

/// Returns the characters of a canonical path; an escape counts as one.
fn characters(text: &str) -> impl Iterator<Item = &str> {
    let mut left = text;
    std::iter::from_fn(move || {
        let length = if left.starts_with('%') { 3 } else { left.chars().next()?.len_utf8() };
        let (character, rest) = left.split_at_checked(length)?;
        left = rest;
        Some(character)
    })
}

// === samples ===

fn fill(destination: &Destination, host: &str, path: &str) -> Witness {
    Witness {
        host: destination.host().text().replace('*', host),
        path: fill_path(destination.path(), path),
    }
}

fn fill_path(pattern: &PathPattern, filler: &str) -> String {
    if pattern.text().is_empty() { "/".to_owned() } else { pattern.text().replace('*', filler) }
}

/// Returns replacements for wildcards: a letter, the empty text, each character, and longer texts
/// that begin and end with each.
fn fillers(has_wildcards: bool, characters: &str) -> Vec<String> {
    let mut fillers = vec![FILLER.to_owned()];
    if has_wildcards {
        fillers.push(String::new());
        fillers.extend(characters.chars().map(String::from));
        fillers.extend(characters.chars().map(|character| format!("{character}-7q{character}")));
    }
    fillers
}

fn is_canonical(host: &str, path: &str) -> bool {
    is_canonical_host(host) && is_canonical_path(path)
}

fn is_canonical_host(host: &str) -> bool {
    host.parse::<CanonicalHost>().is_ok_and(|canonical| canonical.as_str() == host)
}

fn is_canonical_path(path: &str) -> bool {
    CanonicalPath::parse(path).is_ok_and(|canonical| canonical.as_str() == path)
}

const FILLER: &str = "x";

/// Absent from canonical paths, and so from patterns.
const FOREIGN: &str = "\u{1}";

const HOST_CHARACTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789_";
const PATH_CHARACTERS: &str =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~!$&'()+,=:@";

/// Of the search for a common path: patterns of some hundred characters each.
const MAX_STATES: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn destination(text: &str) -> Destination {
        text.parse().unwrap()
    }

    #[test]
    fn what_covers_what() {
        for (one, two, covered) in [
            ("h.example", "h.example/x", true),
            ("h.example/x", "h.example", false),
            ("h.example/x", "h.example/x/*", true),
            ("h.example/x/*", "h.example/x", false),
            ("h.example/x", "h.example/xy", false),
            ("h.example/x*", "h.example/x/*", true),
            ("h.example/x*", "h.example/xy", true),
            ("h.example/*/b", "h.example/a/b/c", true),
            ("h.example/*/b", "h.example/a/*/b", true),
            ("h.example/*/b", "h.example/a/b*", false),
            ("h.example/a*/c", "h.example/a*/b*/c", true),
            ("h.example/a*/b/c", "h.example/a*/b*/c", false),
            ("h.example/*", "h.example", true),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "a*.example.com", true),
            ("a*.example.com", "*.example.com", false),
            ("a*.example.com", "ab*c.example.com", true),
            ("*.*.com", "*.example.com", true),
            ("*.example.com/x", "a.example.com", false),
        ] {
            assert_eq!(covers(&destination(one), &destination(two)), covered, "{one} {two}");
        }
    }

    #[test]
    fn where_two_meet() {
        for (one, two, place) in [
            ("h.example/x", "h.example/x/y", Some("h.example/x/y")),
            ("h.example/x", "h.example/y", None),
            ("h.example", "g.example", None),
            ("h.example/a/*", "h.example/*/b", Some("h.example/a/b")),
            ("h.example/foo*/bar", "h.example/food", Some("h.example/food/bar")),
            ("h.example/a*b", "h.example/ac*d", Some("h.example/acb/d")),
            ("h.example/.*", "h.example/*./b", Some("h.example/.x./b")),
            ("a*.example", "*b.example", Some("ab.example/")),
            ("a*.example", "*a.example", Some("a.example/")),
            ("aba*.example", "*bab.example", Some("abab.example/")),
            ("a*.example", "b*.example", None),
            ("*.b.example", "a.*.example", Some("a.b.example/")),
            ("*.*.example", "*.example", None),
        ] {
            let (one, two) = (destination(one), destination(two));
            for (one, two) in [(&one, &two), (&two, &one)] {
                let found = overlaps(one, two);
                if let Some(Witness { host, path }) = &found {
                    assert!(one.matches(host, path) && two.matches(host, path), "{one} {two}");
                }
                assert_eq!(found.is_some(), place.is_some(), "{one} {two} {found:?}");
            }
            let found = overlaps(&one, &two).map(|found| found.host + &found.path);
            let (found, place) = (found.unwrap_or_default(), place.unwrap_or_default());
            assert_eq!(found.len(), place.len(), "{one} {two}: {found} in place of {place}");
        }
    }

    #[test]
    fn path_16_what_a_wildcard_leaves_open() {
        let path = |text: &str| uncovered_path(&destination(text)).map(|open| open.path);
        assert_eq!(path("h.example/admin/*").as_deref(), Some("/admin"));
        assert_eq!(path("h.example/a*/b/*").as_deref(), Some("/ax/b"));
        for text in ["h.example", "h.example/*", "h.example/admin", "h.example/admin*"] {
            assert_eq!(path(text), None, "{text}");
        }
        assert_eq!(path("h.example/*/*"), Some("/x".to_owned()));
        let host = |text: &str| uncovered_host(&destination(text)).map(|open| open.host);
        assert_eq!(host("*.example.com/x").as_deref(), Some("example.com"));
        assert_eq!(host("*.a*.example.com").as_deref(), Some("ax.example.com"));
        for text in ["example.com", "a*.example.com"] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn labels_end_at_63_characters() {
        let (long, other) = ("a".repeat(40), "b".repeat(40));
        let one = destination(&format!("{long}*.example"));
        let two = destination(&format!("*{other}.example"));
        assert_eq!(overlaps(&one, &two), None);
        let same = destination(&format!("*{long}.example"));
        assert_eq!(overlaps(&one, &same).unwrap().host, format!("{long}.example"));
    }

    #[test]
    fn a_shadowed_destination_has_no_sample() {
        let texts = ["*.example", "a*.example", "x.example", "x.example/a", "x.example/a/*"];
        let router = Router::new(texts.map(|text| (destination(text), ()))).unwrap();
        for (destination, ()) in router.destinations() {
            let Witness { host, path } = sample_won_by(&router, destination).unwrap();
            assert_eq!(&router.entry(&host, &path).unwrap().0, destination);
        }
        // The wildcard has room for one character, and others have them all.
        let long = "a".repeat(62);
        let full = HOST_CHARACTERS.chars().chain(['-']).map(|last| format!("{long}{last}"));
        let hosts: Vec<_> =
            full.filter(|host| !host.ends_with('-')).chain([long.clone()]).collect();
        let shadowed = destination(&format!("{long}*.example"));
        let all = hosts.iter().map(|host| destination(&format!("{host}.example")));
        let router = Router::new(all.chain([shadowed.clone()]).map(|one| (one, ()))).unwrap();
        assert_eq!(sample_won_by(&router, &shadowed), None);
        assert_eq!(sample_won_by(&router, &destination("elsewhere.example")), None);
    }

    fn any_destination() -> impl Strategy<Value = Destination> {
        let label = "[ab]{0,2}\\*?[ab]{0,1}";
        let host = prop::collection::vec(label, 1..3).prop_map(|labels| labels.join(".") + ".c");
        let path = "(/[ab.4]{0,2}(%C3%A4)?\\*?[ab.4]{0,2}){0,3}";
        (host, path)
            .prop_filter_map("no destination", |(host, path)| format!("{host}{path}").parse().ok())
    }

    /// Every host and path with few characters, as far as they are canonical.
    fn all_places() -> (Vec<String>, Vec<String>) {
        let all = |characters: &[&str], longest: usize, prefix: &str, suffix: &str| {
            let mut all = vec![String::new()];
            let mut last = all.clone();
            for _ in 0..longest {
                last = last
                    .iter()
                    .flat_map(|text| characters.iter().map(move |next| format!("{text}{next}")))
                    .collect();
                all.extend_from_slice(&last);
            }
            all.into_iter().map(|text| format!("{prefix}{text}{suffix}")).collect::<Vec<_>>()
        };
        let mut hosts = all(&["a", "b", "."], 6, "", ".c");
        hosts.retain(|host| is_canonical_host(host));
        let mut paths = all(&["a", "b", "4", ".", "/", "%C3%A4"], 4, "/", "");
        paths.retain(|path| is_canonical_path(path));
        (hosts, paths)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]
        #[test]
        fn relations_hold_for_every_place(one in any_destination(), two in any_destination()) {
            static PLACES: std::sync::OnceLock<(Vec<String>, Vec<String>)> = std::sync::OnceLock::new();
            let (hosts, paths) = PLACES.get_or_init(all_places);
            let host_in = |destination: &Destination| -> Vec<bool> {
                hosts.iter().map(|host| destination.host().matches(host)).collect()
            };
            let path_in = |destination: &Destination| -> Vec<bool> {
                paths.iter().map(|path| destination.path().matches(path)).collect()
            };
            let ((one_hosts, two_hosts), (one_paths, two_paths)) =
                ((host_in(&one), host_in(&two)), (path_in(&one), path_in(&two)));
            let only_two = |one: &[bool], two: &[bool]| one.iter().zip(two).any(|(one, two)| *two && !one);
            let both = |one: &[bool], two: &[bool]| one.iter().zip(two).any(|(one, two)| *two && *one);

            if covers(&one, &two) {
                prop_assert!(!only_two(&one_hosts, &two_hosts));
                prop_assert!(!only_two(&one_paths, &two_paths));
                prop_assert!(one == two || one.specificity() > two.specificity());
            } else {
                // Some filler of the wildcards tells them apart.
                let fillers = [("x", "x"), ("", ""), ("x", ""), ("xy", "y")];
                let leaves = fillers.iter().any(|(host, path)| {
                    let Witness { host, path } = fill(&two, host, path);
                    two.matches(&host, &path) && !one.matches(&host, &path)
                });
                prop_assert!(leaves, "{one} covers {two}");
            }
            match overlaps(&one, &two) {
                Some(Witness { host, path }) => {
                    prop_assert!(one.matches(&host, &path) && two.matches(&host, &path));
                    prop_assert!(is_canonical(&host, &path));
                }
                None => prop_assert!(!(both(&one_hosts, &two_hosts) && both(&one_paths, &two_paths))),
            }
            let Witness { host, path } = sample(&two);
            prop_assert!(two.matches(&host, &path) && is_canonical(&host, &path));
        }

        #[test]
        fn every_destination_wins_somewhere(all in prop::collection::hash_set(any_destination(), 1..20)) {
            let router = Router::new(all.into_iter().map(|one| (one, ()))).unwrap();
            for (destination, ()) in router.destinations() {
                let found = sample_won_by(&router, destination);
                prop_assert!(found.is_some(), "{destination} in {router}");
            }
        }
    }
}
