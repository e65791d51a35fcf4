//! The hosts and paths at which two configurations are compared.
//!
//! A request belongs to at most one application in the old file, and to at most one in the new file: a
//! *pair*. Of two patterns, one covers the other, or they are disjoint, or each covers something that
//! the other does not. In the first two cases all pairs are found: a request that fills a pattern's
//! wildcards with text that no other pattern contains is covered only by patterns that cover the whole
//! pattern, and every possible pair of patterns, one covering the other, is the pair of such a request.
//! In the third case requests that both cover are tried. If none belongs to the pair, it is reported.

use std::collections::{HashMap, HashSet};

use crate::application::{ApplicationId, Applications, CanonicalHost, CanonicalPath, Destination};
use crate::inspect::relation::{Witness, covers, overlaps, sample_won_by};

/// The applications of a request in both files.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) old: Option<ApplicationId>,
    pub(super) new: Option<ApplicationId>,
    pub(super) places: Vec<PatternSample>,
}

/// A pattern of hosts and paths.
#[derive(Clone, Debug)]
pub(super) struct PatternSample {
    pub(super) pattern: String,
    /// A URL that the pattern covers.
    pub(super) url: String,
}

/// All pairs that were found, and those that may exist.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub(super) pairs: Vec<Pair>,
    pub(super) unknown: Vec<(ApplicationId, ApplicationId, String)>,
    /// Whether there were too many patterns to compare each with each.
    pub(super) is_cut_short: bool,
}

/// Divides all hosts and paths.
pub(super) fn partition(old: &Applications, new: &Applications) -> Partition {
    let mut search = Search {
        sides: [old, new],
        found: Partition::default(),
        known: HashMap::new(),
        seen: HashSet::new(),
    };
    let patterns = |directory: &Applications| -> Vec<(Destination, ApplicationId)> {
        let all = directory.router().destinations();
        all.map(|(destination, id)| (destination.clone(), *id)).collect()
    };
    let (of_old, of_new) = (patterns(old), patterns(new));
    let all = || of_old.iter().chain(&of_new).map(|(destination, _)| destination);
    let host_filler = filler(all().map(|one| split(one).0), '.', HOST_CHARACTERS);
    let path_filler = filler(all().map(|one| split(one).1), '/', PATH_CHARACTERS);
    for destination in all() {
        match (&host_filler, &path_filler) {
            (Some(host), Some(path)) => search.visit(&fill(destination, host, path)),
            // The patterns use every character.
            _ => search.found.is_cut_short = true,
        }
        for directory in [old, new] {
            if let Some(witness) = sample_won_by(directory.router(), destination) {
                search.visit(&witness);
            }
        }
    }
    search.crossings(&of_old, &of_new, path_filler.as_deref().unwrap_or("x"));
    search.found
}

struct Search<'a> {
    sides: [&'a Applications; 2],
    found: Partition,
    /// The indices of the pairs that were found.
    known: HashMap<(Option<ApplicationId>, Option<ApplicationId>), usize>,
    /// The patterns of the requests that were found.
    seen: HashSet<(Option<ApplicationId>, Option<ApplicationId>, String)>,
}

impl Search<'_> {
    /// Records the pair of a request.
    fn visit(&mut self, witness: &Witness) {
        let (Ok(host), Ok(path)) =
            (witness.host.parse::<CanonicalHost>(), CanonicalPath::parse(&witness.path))
        else {
            return;
        };
        if host.as_str() != witness.host || path.as_str() != witness.path {
            return;
        }
        // A path that is refused for its spelling is as closed as one without an application.
        let [old, new] = self.sides.map(|directory| {
            let entry = directory.router().entry(&witness.host, &witness.path);
            entry.filter(|_| directory.locate(&host, &path).is_ok())
        });
        let pattern = match (old, new) {
            (None, None) => return,
            (Some((one, _)), None) | (None, Some((one, _))) => one.to_string(),
            (Some((one, _)), Some((two, _))) if covers(one, two) => two.to_string(),
            (Some((one, _)), Some((two, _))) if covers(two, one) => one.to_string(),
            (Some((one, _)), Some((two, _))) => format!("{one} where {two} covers it too"),
        };
        let (old, new) = (old.map(|(_, id)| *id), new.map(|(_, id)| *id));
        if !self.seen.insert((old, new, pattern.clone())) {
            return;
        }
        let place = *self.known.entry((old, new)).or_insert_with(|| {
            self.found.pairs.push(Pair { old, new, places: Vec::new() });
            self.found.pairs.len() - 1
        });
        if let Some(pair) = self.found.pairs.get_mut(place) {
            let url = format!("https://{}{}", witness.host, witness.path);
            pair.places.push(PatternSample { pattern, url });
        }
    }

    /// Tries patterns that overlap without one covering the other.
    fn crossings(
        &mut self,
        old: &[(Destination, ApplicationId)],
        new: &[(Destination, ApplicationId)],
        filler: &str,
    ) {
        if old.len().saturating_mul(new.len()) > MAX_CROSSINGS {
            self.found.is_cut_short |= old.iter().chain(new).any(|(one, _)| has_wildcard(one));
            return;
        }
        let [old_side, new_side] = self.sides;
        for (one, id) in old {
            for (two, other_id) in new {
                // Patterns without wildcards are disjoint, or one covers the other.
                let may_cross = has_wildcard(one) || has_wildcard(two);
                if !may_cross || covers(one, two) || covers(two, one) {
                    continue;
                }
                // The more specific pattern wins wherever a file has both.
                let is_first = one.specificity() < two.specificity();
                let is_beaten = |directory: &Applications, by: &Destination| {
                    directory.router().destinations().any(|(known, _)| known == by)
                };
                let is_impossible =
                    if is_first { is_beaten(new_side, one) } else { is_beaten(old_side, two) };
                if is_impossible {
                    continue;
                }
                let Some(shortest) = overlaps(one, two) else { continue };
                for witness in tries(one, two, shortest, filler) {
                    self.visit(&witness);
                }
                if !self.known.contains_key(&(Some(*id), Some(*other_id))) {
                    let both = format!("`{one}` and `{two}`");
                    self.found.unknown.push((*id, *other_id, both));
                }
            }
        }
        let known = &self.known;
        self.found.unknown.retain(|(old, new, _)| !known.contains_key(&(Some(*old), Some(*new))));
    }
}

/// Returns requests that both patterns cover, or may cover.
fn tries(one: &Destination, two: &Destination, shortest: Witness, filler: &str) -> Vec<Witness> {
    let mut all = vec![
        Witness {
            path: format!("{}/{filler}", shortest.path.trim_end_matches('/')),
            ..shortest.clone()
        },
        Witness { path: format!("{}/", shortest.path.trim_end_matches('/')), ..shortest.clone() },
    ];
    for (filled, other) in [(one, two), (two, one)] {
        let (_, other) = split(other);
        let pieces = other.split('*').flat_map(|piece| {
            let bare = piece.trim_matches('/');
            [
                piece.to_owned(),
                bare.to_owned(),
                format!("{filler}{piece}"),
                format!("{piece}{filler}"),
            ]
        });
        for piece in pieces {
            let path = fill(filled, "x", &piece).path;
            all.push(Witness { path, ..shortest.clone() });
        }
    }
    all.push(shortest);
    all
}

/// Returns the host and the path of a pattern.
fn split(destination: &Destination) -> (String, String) {
    let text = destination.to_string();
    match text.find('/') {
        Some(slash) => {
            let (host, path) = text.split_at(slash);
            (host.to_owned(), path.to_owned())
        }
        None => (text, String::new()),
    }
}

fn has_wildcard(destination: &Destination) -> bool {
    destination.to_string().contains('*')
}

fn fill(destination: &Destination, host: &str, path: &str) -> Witness {
    let (of_host, of_path) = split(destination);
    let path = if of_path.is_empty() { "/".to_owned() } else { of_path.replace('*', path) };
    Witness { host: of_host.replace('*', host), path }
}

/// Returns a text that no pattern contains: a character that no piece with a wildcard contains, repeated
/// until no pattern without one contains it either.
fn filler(
    texts: impl Iterator<Item = String>,
    separator: char,
    characters: &str,
) -> Option<String> {
    let texts: Vec<String> = texts.collect();
    let taken: String = texts
        .iter()
        .filter(|text| text.contains('*'))
        .flat_map(|text| {
            // A host's wildcard stays within its label, a path's does not.
            let pieces = text.split(separator);
            pieces.filter(move |piece| separator == '/' || piece.contains('*'))
        })
        .collect();
    let free = characters.chars().find(|character| !taken.contains(*character))?;
    (1..MAX_REPEATED)
        .map(|times| free.to_string().repeat(times))
        .find(|filler| !texts.iter().any(|text| text.contains(filler.as_str())))
}

const HOST_CHARACTERS: &str = "xqzjkvwy0123456789abcdefghilmnoprstu";
const PATH_CHARACTERS: &str =
    "xqzjkvwy0123456789abcdefghilmnoprstuXQZJKVWYABCDEFGHILMNOPRSTU~!$&'()+,=:@";
/// Labels of hosts end at 63 characters.
const MAX_REPEATED: usize = 30;
/// About one second.
const MAX_CROSSINGS: usize = 1_000_000;
