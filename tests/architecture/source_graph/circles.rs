//! Circles of files that import from each other.
//!
//! A file below a folder may use what the folder's `mod.rs` defines, and that file may use its
//! children: Rust gives children sight of their parents, and a parent that nobody declares from
//! is a namespace only. So an import by a file from a `mod.rs` above it makes no circle. Siblings,
//! and files of different folders, get no such leave. Nor does a `pub use` make one whose name the
//! file itself does not use: whoever imports through it is counted as importing from the file
//! that defines the item.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Import, SourceGraph};

/// Files of which each leads to each other, and one way around.
#[derive(Debug)]
pub(crate) struct Circle {
    pub(crate) files: BTreeSet<String>,
    pub(crate) shortest: Vec<Import>,
}

impl std::fmt::Display for Circle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files: Vec<&str> = self.files.iter().map(String::as_str).collect();
        writeln!(f, "circle of {}", files.join(", "))?;
        for import in &self.shortest {
            writeln!(
                f,
                "    src/{}:{} imports {} of src/{}",
                import.from, import.line, import.path, import.to
            )?;
        }
        Ok(())
    }
}

/// Finds all circles, those of more files first.
pub(crate) fn circles(graph: &SourceGraph) -> Vec<Circle> {
    let mut outgoing: BTreeMap<&str, BTreeMap<&str, &Import>> = BTreeMap::new();
    for import in &graph.imports {
        if !import.is_reexport && !is_above(&import.to, &import.from) {
            let from = outgoing.entry(&import.from).or_default();
            from.entry(&import.to).or_insert(import);
        }
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        outgoing.keys().map(|file| (*file, reachable(file, &outgoing))).collect();
    let leads = |from: &str, to: &str| reach.get(from).is_some_and(|files| files.contains(to));
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for &file in reach.keys() {
        if leads(file, file) && !seen.contains(file) {
            let files: BTreeSet<&str> =
                reach.keys().copied().filter(|to| leads(file, to) && leads(to, file)).collect();
            seen.extend(&files);
            let shortest = files
                .iter()
                .map(|file| way_around(file, &outgoing))
                .min_by_key(Vec::len)
                .unwrap_or_default();
            found.push(Circle { files: files.into_iter().map(String::from).collect(), shortest });
        }
    }
    found.sort_by_key(|circle| std::cmp::Reverse(circle.files.len()));
    found
}

/// Whether `parent` is the module file of a folder that `file` stands in.
pub(crate) fn is_above(parent: &str, file: &str) -> bool {
    let folder = match parent.strip_suffix("mod.rs") {
        _ if parent == "lib.rs" => return true,
        Some(folder) => folder.to_owned(),
        None => format!("{}/", parent.trim_end_matches(".rs")),
    };
    file.starts_with(&folder)
}

type Outgoing<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

fn reachable<'a>(file: &str, outgoing: &Outgoing<'a>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        for to in outgoing.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*to) {
                waiting.push(to);
            }
        }
    }
    found
}

/// Returns the fewest imports that lead from a file back to it.
fn way_around(file: &str, outgoing: &Outgoing<'_>) -> Vec<Import> {
    let mut arrived_by: BTreeMap<&str, &Import> = BTreeMap::new();
    let mut waiting = VecDeque::from([file]);
    while let Some(from) = waiting.pop_front() {
        for (&to, &import) in outgoing.get(from).into_iter().flatten() {
            if arrived_by.contains_key(to) {
                continue;
            }
            arrived_by.insert(to, import);
            waiting.push_back(to);
        }
    }
    let mut way = Vec::new();
    let mut at = file;
    while let Some(&import) = arrived_by.get(at) {
        way.push(import.clone());
        at = &import.from;
        if at == file {
            break;
        }
    }
    way.reverse();
    way
}
