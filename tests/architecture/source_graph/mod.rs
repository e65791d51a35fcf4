//! Which source file imports from which: a reader of modules, `use` declarations and paths.
//!
//! It is no compiler. It follows `mod` declarations, `use` with braces, names and globs, and
//! re-exports to the file that defines the item; it does not see methods, so an `impl` of a type in
//! another file counts only as far as that file imports something. Code behind `#[cfg(test)]` is
//! left out; code behind features counts.

pub(crate) mod circles;
mod declarations;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::declarations::{Binding, Child, Declarations};

/// One file imports something from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) line: usize,
    /// The file that defines what is imported.
    pub(crate) to: String,
    /// The path as it is written.
    pub(crate) path: String,
    /// A `pub use` whose name the file itself does not use.
    pub(crate) is_reexport: bool,
    /// The path leads through a re-export of the crate's root.
    pub(crate) through_root: bool,
}

/// What was found in a crate's sources.
#[derive(Debug, Default)]
pub(crate) struct SourceGraph {
    /// Files that `mod` declarations lead to, without those for tests.
    pub(crate) files: BTreeSet<String>,
    pub(crate) test_files: BTreeSet<String>,
    /// Sorted, each once a line.
    pub(crate) imports: Vec<Import>,
    /// Paths into the crate whose item was not found, as `file:line: path`.
    pub(crate) unresolved: Vec<String>,
}

impl SourceGraph {
    /// Reads all sources below a directory, from `lib.rs`.
    pub(crate) fn from_directory(directory: &Path) -> std::io::Result<(Self, BTreeSet<String>)> {
        let mut sources = BTreeMap::new();
        read_into(directory, "", &mut sources)?;
        let names = sources.keys().cloned().collect();
        Ok((Self::from_sources(&sources), names))
    }

    /// Reads sources by their paths, from `lib.rs`.
    pub(crate) fn from_sources(sources: &BTreeMap<String, String>) -> Self {
        let mut modules = Modules::default();
        modules.add_file(sources, None, "lib.rs", "");
        let mut graph = Self {
            files: modules.all.iter().map(|module| module.file.clone()).collect(),
            test_files: std::mem::take(&mut modules.test_files),
            ..Self::default()
        };
        for module in 0..modules.all.len() {
            modules.collect_imports(module, &mut graph);
        }
        graph.imports.sort();
        graph.imports.dedup();
        graph
    }
}

fn read_into(
    directory: &Path,
    prefix: &str,
    sources: &mut BTreeMap<String, String>,
) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory.join(prefix))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if entry.file_type()?.is_dir() {
            read_into(directory, &path, sources)?;
        } else if path.ends_with(".rs") {
            sources.insert(path, std::fs::read_to_string(entry.path())?);
        }
    }
    Ok(())
}

/// A module of the crate; several have one name where a feature decides between two files.
struct Module {
    file: String,
    parent: Option<usize>,
    children: Vec<(String, usize)>,
    declarations: Declarations,
}

/// What a path leads to.
#[derive(Debug, Default)]
struct Target {
    modules: BTreeSet<usize>,
    through_root: bool,
    is_missing: bool,
}

impl Target {
    fn missing() -> Self {
        Self { is_missing: true, ..Self::default() }
    }

    fn merge(&mut self, more: Self) {
        self.modules.extend(more.modules);
        self.through_root |= more.through_root;
        self.is_missing |= more.is_missing;
    }
}

/// The longest chain of re-exports that is followed.
const MAX_DEPTH: usize = 32;

#[derive(Default)]
struct Modules {
    all: Vec<Module>,
    test_files: BTreeSet<String>,
}

impl Modules {
    fn add_file(
        &mut self,
        sources: &BTreeMap<String, String>,
        parent: Option<(usize, &str)>,
        file: &str,
        folder: &str,
    ) {
        let text = sources.get(file).unwrap_or_else(|| panic!("src/{file} is not there"));
        let declarations = Declarations::from_tokens(&tokens::tokens(text));
        self.add_module(sources, parent, file, folder, declarations);
    }

    fn add_module(
        &mut self,
        sources: &BTreeMap<String, String>,
        parent: Option<(usize, &str)>,
        file: &str,
        folder: &str,
        mut declarations: Declarations,
    ) {
        let id = self.all.len();
        let children = std::mem::take(&mut declarations.children);
        self.all.push(Module {
            file: file.to_owned(),
            parent: parent.map(|(parent, _)| parent),
            children: Vec::new(),
            declarations,
        });
        if let Some((parent, name)) = parent {
            self.all[parent].children.push((name.to_owned(), id));
        }
        for child in children {
            self.add_child(sources, id, file, folder, child);
        }
    }

    fn add_child(
        &mut self,
        sources: &BTreeMap<String, String>,
        parent: usize,
        file: &str,
        folder: &str,
        child: Child,
    ) {
        let Child { name, path, is_test, body } = child;
        let inside = join(folder, &name);
        if let Some(body) = body {
            if !is_test {
                self.add_module(sources, Some((parent, &name)), file, &inside, body);
            }
            return;
        }
        let child_file = match path {
            Some(path) => join(file.rsplit_once('/').map_or("", |(folder, _)| folder), &path),
            None => {
                let beside = format!("{inside}.rs");
                if sources.contains_key(&beside) { beside } else { format!("{inside}/mod.rs") }
            }
        };
        if is_test {
            self.test_files.insert(child_file);
        } else {
            self.add_file(sources, Some((parent, &name)), &child_file, &inside);
        }
    }

    fn collect_imports(&self, module: usize, graph: &mut SourceGraph) {
        let Module { declarations, file, .. } = &self.all[module];
        for Binding { name, path, is_public } in &declarations.bindings {
            let is_used = name.as_ref().is_some_and(|name| declarations.words.contains(name));
            if let Some(target) = self.resolve(module, &path.segments, 0) {
                add_import(graph, file, path, target, *is_public && !is_used, self);
            }
        }
        for path in &declarations.paths {
            let first = path.segments.first().and_then(|first| first.chars().next());
            if first.is_some_and(char::is_uppercase) {
                // A type; the declaration that imported it counts.
                continue;
            }
            if let Some(target) = self.resolve(module, &path.segments, 0) {
                add_import(graph, file, path, target, false, self);
            }
        }
    }

    /// Finds the modules that define what a path names; `None` outside the crate.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(self.walk(0, rest, depth)),
            "self" => Some(self.walk(module, rest, depth)),
            "super" => {
                let mut at = self.all[module].parent?;
                let mut rest = rest;
                while let Some((first, further)) = rest.split_first()
                    && first == "super"
                {
                    at = self.all[at].parent?;
                    rest = further;
                }
                Some(self.walk(at, rest, depth))
            }
            _ if self.declares(module, first) => Some(self.walk(module, path, depth)),
            _ => None,
        }
    }

    /// Whether the first name of a path is a child module or an import of this module. A path from an
    /// item of the module itself leads nowhere else.
    fn declares(&self, module: usize, name: &str) -> bool {
        let Module { children, declarations, .. } = &self.all[module];
        children.iter().any(|(child, _)| child == name)
            || declarations.bindings.iter().any(|binding| {
                binding.name.as_deref() == Some(name) && binding.path.segments.len() > 1
            })
    }

    /// Follows a path inside of a module; what is outside the crate leads to no module.
    fn walk(&self, at: usize, path: &[String], depth: usize) -> Target {
        let Some((name, rest)) = path.split_first() else {
            return Target { modules: BTreeSet::from([at]), ..Target::default() };
        };
        if depth > MAX_DEPTH {
            return Target::missing();
        }
        let Module { children, declarations, .. } = &self.all[at];
        let mut found = Target::default();
        let is_item = declarations.items.contains(name);
        if is_item && rest.is_empty() {
            found.modules.insert(at);
            return found;
        }
        let mut missing = Target::default();
        let mut is_known = false;
        for (_, child) in children.iter().filter(|(child, _)| child == name) {
            let target = self.walk(*child, rest, depth);
            if target.is_missing {
                missing.merge(target);
            } else {
                is_known = true;
                found.merge(target);
            }
        }
        if is_item && !is_known {
            // A variant, a constant of the type, a function of it.
            is_known = true;
            found.modules.insert(at);
        }
        if is_known {
            return found;
        }
        for binding in &declarations.bindings {
            let path = &binding.path.segments;
            if binding.name.as_ref() == Some(name) && path.len() > 1 {
                let further: Vec<String> = path.iter().chain(rest).cloned().collect();
                let target = self.resolve(at, &further, depth + 1);
                is_known |= target.as_ref().is_none_or(|target| !target.is_missing);
                if let Some(target) = target.filter(|target| !target.is_missing) {
                    found.merge(target);
                    found.through_root |= at == 0;
                }
            }
        }
        if !is_known {
            for glob in declarations.bindings.iter().filter(|binding| binding.name.is_none()) {
                let further: Vec<String> = glob.path.segments.iter().chain(path).cloned().collect();
                if let Some(target) = self.resolve(at, &further, depth + 1)
                    && !target.is_missing
                {
                    is_known = true;
                    found.merge(target);
                }
            }
        }
        if is_known {
            return found;
        }
        missing.is_missing = !declarations.macro_words.contains(name);
        if missing.modules.is_empty() {
            missing.modules.insert(at);
        }
        missing
    }
}

fn add_import(
    graph: &mut SourceGraph,
    from: &str,
    path: &declarations::Path,
    target: Target,
    is_reexport: bool,
    modules: &Modules,
) {
    let text = path.segments.join("::");
    if target.is_missing {
        graph.unresolved.push(format!("src/{from}:{}: {text}", path.line));
    }
    for module in target.modules {
        let to = &modules.all[module].file;
        if to != from {
            graph.imports.push(Import {
                from: from.to_owned(),
                line: path.line,
                to: to.clone(),
                path: text.clone(),
                is_reexport,
                through_root: target.through_root,
            });
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
