//! The rooms of the crate, and the one direction in which they import from each other.
//!
//! A room is a file or a folder at the top of `src`. It imports only from rooms above it in
//! [`ROOMS`]; and no files import from each other in a circle (see [`source_graph::circles`] for
//! what counts as one).
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test states what it expects by failing"
)]

mod source_graph;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source_graph::circles::{circles, is_above};
use source_graph::{Import, SourceGraph};

/// The ground floor first. A folder inside of a room is one of its own where it stands on other
/// floors than the rest: `proxy/configured` makes a proxy of a configuration file, and the proxy
/// itself knows of no file.
const ROOMS: &[&str] = &[
    "clock",
    "random",
    "secret",
    "address",
    "headers",
    "util",
    "audit",
    "metrics",
    "pages",
    "identity",
    "token",
    "policy",
    "application",
    "facts",
    "store",
    "issuer",
    "evaluation",
    "session",
    "service_token",
    "login",
    "engine",
    "layer",
    "proxy",
    "config",
    "proxy/configured",
    "inspect",
    "admin",
    "test_util",
    "lib",
    "_guide",
];

/// Rooms of the table without a file. Empty: an entry needs a reason.
const NOT_YET_BUILT: &[&str] = &[];

/// Files that belong to another room than the one they stand in. Empty: an entry needs a reason.
const MOVING: &[(&str, &str)] = &[];

/// Imports against the direction, as rooms (from, to); `lib` is a way through the front page:
/// Empty: an entry needs a reason.
const KNOWN_UPWARD: &[(&str, &str)] = &[];

/// Circles by their room and how many files they have. Empty: an entry needs a reason.
const KNOWN_CIRCLES: &[(&str, usize)] = &[];

/// The room a file belongs to.
fn room(file: &str) -> &str {
    let moving = MOVING.iter().filter(|(moving, _)| covers(moving, file));
    if let Some((_, room)) = moving.max_by_key(|(moving, _)| moving.len()) {
        return room;
    }
    let module = file.strip_suffix(".rs").unwrap_or(file);
    let rooms = ROOMS.iter().filter(|room| covers(room, module));
    rooms.max_by_key(|room| room.len()).map_or_else(|| top(file), |room| *room)
}

/// The name at the top of `src` that a file stands under.
fn top(file: &str) -> &str {
    let top = file.split_once('/').map_or(file, |(top, _)| top);
    top.strip_suffix(".rs").unwrap_or(top)
}

fn covers(entry: &str, file: &str) -> bool {
    file.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn floor(room: &str) -> usize {
    ROOMS
        .iter()
        .position(|known| *known == room)
        .unwrap_or_else(|| panic!("the room {room} is missing in the table ROOMS"))
}

fn crate_sources() -> (SourceGraph, BTreeSet<String>) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    SourceGraph::from_directory(&directory).expect("the sources are readable")
}

/// What a room's front page gives to others without using it is a name and no import, where it comes
/// from a folder of the room.
fn is_upward(import: &Import) -> bool {
    let is_name = import.is_reexport && is_above(&import.from, &import.to);
    import.through_root || !is_name && floor(room(&import.to)) > floor(room(&import.from))
}

fn upward_imports(graph: &SourceGraph) -> impl Iterator<Item = &Import> {
    graph.imports.iter().filter(|import| import.from != "lib.rs" && is_upward(import))
}

fn describe(import: &Import) -> String {
    let Import { from, line, to, path, .. } = import;
    let way = if import.through_root { " through lib.rs" } else { "" };
    format!("src/{from}:{line} ({}) imports {path} of src/{to} ({}){way}", room(from), room(to))
}

fn fail_with(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_exists() {
    let (graph, files) = crate_sources();
    let mut complaints = Vec::new();
    let standing: BTreeSet<&str> = files
        .iter()
        .filter(|file| !MOVING.iter().any(|(moving, _)| covers(moving, file)))
        .map(|file| room(file))
        .collect();
    for room in &standing {
        if !ROOMS.contains(room) {
            complaints.push(format!("src/{room} is missing in the table ROOMS"));
        }
    }
    for room in ROOMS {
        match (standing.contains(room), NOT_YET_BUILT.contains(room)) {
            (false, false) => {
                complaints.push(format!("the table ROOMS names {room}, which src lacks"))
            }
            (true, true) => {
                complaints.push(format!("{room} is built: remove it from NOT_YET_BUILT"))
            }
            _ => {}
        }
    }
    for (moving, room) in MOVING {
        floor(room);
        if !graph.files.iter().any(|file| covers(moving, file)) {
            complaints.push(format!("src/{moving} has moved to {room}: remove it from MOVING"));
        }
    }
    fail_with(&complaints);
}

#[test]
fn every_file_is_read() {
    let (graph, files) = crate_sources();
    let read: BTreeSet<&String> = graph.files.union(&graph.test_files).collect();
    let missed: Vec<&String> = files.iter().filter(|file| !read.contains(file)).collect();
    assert!(missed.is_empty(), "no mod declaration leads to {missed:?}");
    assert!(graph.unresolved.is_empty(), "no item found for\n{}", graph.unresolved.join("\n"));
    assert!(graph.files.len() > 200, "{} files", graph.files.len());
    assert!(graph.imports.len() > 1_500, "{} imports", graph.imports.len());
    assert!(graph.test_files.iter().all(|file| files.contains(file)), "{:?}", graph.test_files);
}

#[test]
fn rooms_import_only_from_rooms_above_them() {
    let (graph, _) = crate_sources();
    let mut outdated: BTreeSet<(&str, &str)> = KNOWN_UPWARD.iter().copied().collect();
    let mut complaints = Vec::new();
    for import in upward_imports(&graph) {
        let to = if import.through_root { "lib" } else { room(&import.to) };
        let pair = (room(&import.from), to);
        if KNOWN_UPWARD.contains(&pair) {
            outdated.remove(&pair);
        } else {
            complaints.push(describe(import));
        }
    }
    for (from, to) in outdated {
        complaints.push(format!("{from} no longer imports from {to}: remove it from KNOWN_UPWARD"));
    }
    fail_with(&complaints);
}

#[test]
fn no_files_import_from_each_other_in_a_circle() {
    let (graph, _) = crate_sources();
    let mut known = KNOWN_CIRCLES.to_vec();
    let mut complaints = Vec::new();
    for circle in circles(&graph) {
        let rooms: BTreeSet<&str> = circle.files.iter().map(|file| room(file)).collect();
        let is_this = |(room, size): &(&str, usize)| {
            rooms == BTreeSet::from([*room]) && circle.files.len() == *size
        };
        match known.iter().position(is_this) {
            Some(at) => {
                known.swap_remove(at);
            }
            None => complaints.push(circle.to_string()),
        }
    }
    for (room, size) in known {
        complaints.push(format!(
            "{room} has no such circle of {size} files any more: remove it from KNOWN_CIRCLES"
        ));
    }
    fail_with(&complaints);
}

/// Reads made-up sources.
fn made_up(sources: &[(&str, &str)]) -> SourceGraph {
    let sources: BTreeMap<String, String> =
        sources.iter().map(|(file, text)| ((*file).to_owned(), (*text).to_owned())).collect();
    SourceGraph::from_sources(&sources)
}

fn imports(graph: &SourceGraph) -> Vec<(&str, usize, &str)> {
    graph
        .imports
        .iter()
        .map(|import| (import.from.as_str(), import.line, import.to.as_str()))
        .collect()
}

#[test]
fn an_import_against_the_direction_is_reported() {
    let graph = made_up(&[
        ("lib.rs", "mod clock; mod token;"),
        ("clock.rs", "// One line.\nuse crate::token::Token;"),
        ("token/mod.rs", "pub struct Token;"),
    ]);
    let found: Vec<String> = upward_imports(&graph).map(describe).collect();
    assert_eq!(
        found,
        ["src/clock.rs:2 (clock) imports crate::token::Token of src/token/mod.rs (token)"]
    );
}

#[test]
fn an_import_with_the_direction_is_not_reported() {
    let graph = made_up(&[
        ("lib.rs", "mod clock; mod token; pub use self::token::Token;"),
        ("clock.rs", "pub struct Clock;"),
        ("token/mod.rs", "use crate::clock::Clock; pub struct Token(Clock);"),
    ]);
    assert_eq!(upward_imports(&graph).count(), 0);
    assert_eq!(imports(&graph), [("lib.rs", 1, "token/mod.rs"), ("token/mod.rs", 1, "clock.rs")]);
}

#[test]
fn a_folder_on_another_floor_is_a_room_of_its_own() {
    let graph = |proxy: &str| {
        made_up(&[
            ("lib.rs", "mod config; mod proxy;"),
            ("config.rs", "pub struct Config;"),
            ("proxy/mod.rs", &format!("mod configured; mod serve; {proxy}")),
            ("proxy/serve.rs", "pub struct Serve;"),
            (
                "proxy/configured/mod.rs",
                "use super::serve::Serve; mod reload; pub struct Configured;",
            ),
            ("proxy/configured/reload.rs", "use crate::config::Config;"),
        ])
    };
    assert_eq!(upward_imports(&graph("pub use self::configured::Configured;")).count(), 0);
    let found = graph("pub use self::configured::Configured; fn f() -> Configured {}");
    let found: Vec<String> = upward_imports(&found).map(describe).collect();
    assert_eq!(
        found,
        ["src/proxy/mod.rs:1 (proxy) imports self::configured::Configured of \
          src/proxy/configured/mod.rs (proxy/configured)"]
    );
}

#[test]
fn an_import_through_the_front_page_is_reported() {
    let graph = made_up(&[
        ("lib.rs", "mod clock; mod token; pub use self::clock::Clock;"),
        ("clock.rs", "pub struct Clock;"),
        ("token.rs", "use crate::Clock;"),
    ]);
    let found: Vec<String> = upward_imports(&graph).map(describe).collect();
    assert_eq!(
        found,
        ["src/token.rs:1 (token) imports crate::Clock of src/clock.rs (clock) through lib.rs"]
    );
}

#[test]
fn every_way_to_name_an_item_is_an_import() {
    let lib = ("lib.rs", "mod a; mod b;");
    let b = (
        "b/mod.rs",
        "mod c; pub(crate) use self::c::{C, make as build}; pub(crate) use self::c::*;",
    );
    let c =
        ("b/c.rs", "pub enum C { One } pub fn make() {} pub const fn glob() {} pub struct r#type;");
    for text in [
        "use crate::b::C;",
        "use super::b::{self, C};",
        "use crate::{b::{C as D}};",
        "fn f() { crate::b::C::One; }",
        "fn f() -> Vec<super::b::C> { x }",
        "use crate::b; fn f() { b::build(); }",
        "fn f() { crate::b::build() }",
        "use crate::b::glob;",
        "use crate::b::r#type;",
        "use super::b::C::*;",
        "impl X { fn f() { use super::b::C; } }",
        "mod inner { use super::super::b::C; }",
        "struct A { #[cfg(test)] b: u8, c: super::b::C }",
        "macro_rules! m { () => { $crate::b::C } }",
        "const A: [u8; 2] = { crate::b::C; [0; 2] };",
    ] {
        let graph = made_up(&[lib, ("a.rs", text), b, c]);
        assert!(imports(&graph).contains(&("a.rs", 1, "b/c.rs")), "{text}: {:?}", graph.imports);
        assert_eq!(graph.unresolved, [""; 0], "{text}");
    }
}

#[test]
fn an_item_that_is_not_found_is_reported() {
    let graph = made_up(&[
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "\nuse crate::b::{Missing, Made};"),
        ("b.rs", "declare! { Made }"),
    ]);
    assert_eq!(graph.unresolved, ["src/a.rs:2: crate::b::Missing"]);
    assert_eq!(imports(&graph), [("a.rs", 2, "b.rs"), ("a.rs", 2, "b.rs")]);
}

#[test]
fn tests_comments_texts_and_other_crates_are_no_imports() {
    let lib = ("lib.rs", "mod a; mod b;");
    let b = ("b.rs", "pub struct B;");
    for text in [
        "// use crate::b::B;",
        "/// [`crate::b::B`]\nstruct A;",
        "fn f() { \"crate::b::B\"; }",
        "#[cfg(test)]\nmod tests { use crate::b::B; }",
        "#[cfg(test)]\nuse crate::b::B;",
        "#[cfg(all(test, feature = \"x\"))]\nfn f() { crate::b::B; }",
        "impl A {\n#[cfg(test)]\nfn f() -> crate::b::B { {} }\nfn g() {} }",
        "struct A { #[cfg(test)] b: crate::b::B, c: u8 }",
        "use http::b::B; use ::b::B; use std::b;",
        "fn f() { b::B; x.b::<B>(); }",
    ] {
        let graph = made_up(&[lib, ("a.rs", text), b]);
        assert_eq!(imports(&graph), [], "{text}");
    }
}

#[test]
fn what_follows_a_part_for_tests_is_read() {
    let lib = ("lib.rs", "mod a; mod b; mod c;");
    let (b, c) = (("b.rs", "pub struct B;"), ("c.rs", "pub struct C;"));
    for skipped in [
        "use crate::b::B;",
        "pub(crate) use crate::b::B;",
        "mod tests { use crate::b::B; }",
        "mod tests;",
        "fn f<T, U>(b: crate::b::B) -> [u8; 2] { b }",
        "pub const B: crate::b::B = crate::b::B { };",
        "const fn f() -> crate::b::B { crate::b::B }",
        "impl crate::b::B { fn f() {} }",
        "struct A(crate::b::B);",
        "struct A<T>(T) where T: Into<crate::b::B>;",
        "macro_rules! m { () => { crate::b::B; } }",
        "m! { crate::b::B }",
        "m!(crate::b::B);",
    ] {
        let text = format!("#[cfg(test)]\n{skipped}\nuse crate::c::C;");
        let graph = made_up(&[lib, ("a.rs", &text), b, c]);
        assert_eq!(imports(&graph), [("a.rs", 3, "c.rs")], "{skipped}");
    }
    for body in [
        "struct A { #[cfg(test)] b: crate::b::B, c: crate::c::C }",
        "enum A { #[cfg(test)] B(crate::b::B), C(crate::c::C) }",
        "fn f() { #[cfg(test)] let b = crate::b::B {}; crate::c::C; }",
        "fn f() { #[cfg(test)] crate::b::B.f(); crate::c::C; }",
        "fn f() { #[cfg(test)] { crate::b::B; } crate::c::C; }",
        "fn f() { match x { #[cfg(test)] X => crate::b::B, _ => crate::c::C } }",
        "impl A { #[cfg(test)] pub(crate) fn b() { crate::b::B } fn c() { crate::c::C } }",
    ] {
        let graph = made_up(&[lib, ("a.rs", body), b, c]);
        assert_eq!(imports(&graph), [("a.rs", 1, "c.rs")], "{body}");
    }
}

#[test]
fn one_module_in_two_files_is_read_twice() {
    let graph = made_up(&[
        (
            "lib.rs",
            "mod b; #[cfg(feature = \"x\")] mod a; #[cfg(not(feature = \"x\"))] #[path = \"no_a.rs\"] mod a;",
        ),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("no_a.rs", "\nuse crate::b::B; pub struct A;"),
        ("b.rs", "pub struct B;"),
    ]);
    assert_eq!(imports(&graph), [("a.rs", 1, "b.rs"), ("no_a.rs", 2, "b.rs")]);
}

#[test]
fn siblings_that_import_from_each_other_are_a_circle() {
    let graph = made_up(&[
        ("lib.rs", "mod room;"),
        ("room/mod.rs", "mod a; mod b; mod c; pub use self::a::A; pub use self::b::B;"),
        ("room/a.rs", "use super::B; pub struct A;"),
        ("room/b.rs", "use super::c::C; pub struct B;"),
        ("room/c.rs", "\nuse super::A; pub struct C;"),
    ]);
    let found = circles(&graph);
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].to_string(),
        "circle of room/a.rs, room/b.rs, room/c.rs\n    \
         src/room/a.rs:1 imports super::B of src/room/b.rs\n    \
         src/room/b.rs:1 imports super::c::C of src/room/c.rs\n    \
         src/room/c.rs:2 imports super::A of src/room/a.rs\n"
    );
}

#[test]
fn a_child_that_imports_from_its_parent_is_no_circle() {
    let graph = made_up(&[
        ("lib.rs", "mod room;"),
        ("room/mod.rs", "mod a; use self::a::A; pub struct Room(A);"),
        ("room/a.rs", "use super::Room; pub struct A;"),
    ]);
    assert_eq!(imports(&graph).len(), 2);
    assert_eq!(circles(&graph).len(), 0);
}

#[test]
fn a_folder_and_its_neighbour_can_be_a_circle() {
    let folder = |uses: &str| {
        made_up(&[
            ("lib.rs", "mod room;"),
            ("room/mod.rs", "mod a; mod b;"),
            (
                "room/a/mod.rs",
                &format!("mod child; pub use self::child::Child; pub struct A; {uses}"),
            ),
            ("room/a/child.rs", "use crate::room::b::B; pub struct Child;"),
            ("room/b.rs", "use super::a::A; pub struct B;"),
        ])
    };
    assert_eq!(circles(&folder("")).len(), 0, "a re-export alone makes no circle");
    assert_eq!(circles(&folder("fn f() -> Child {}")).len(), 1);
}
