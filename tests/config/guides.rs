//! What the README and the guides show: files that are accepted, output as it is printed, links that
//! lead somewhere. Their Rust is compiled with the documentation, and by `tests/readme`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tower_access::clock::Timestamp;
use tower_access::config::Config;
use tower_access::explain::Question;
use tower_access::inspect::{Deployment, check_text};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The README and the guides, by their paths from the root.
fn documents() -> BTreeMap<PathBuf, String> {
    let guides = std::fs::read_dir(root().join("src/_guide")).expect("the guides are there");
    let guides = guides.map(|entry| Path::new("src/_guide").join(entry.unwrap().file_name()));
    let documents = guides.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    std::iter::once(PathBuf::from("README.md"))
        .chain(documents)
        .map(|path| (path.clone(), std::fs::read_to_string(root().join(path)).unwrap()))
        .collect()
}

/// The blocks of one kind in a document.
fn blocks<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let opening = format!("```{kind}\n");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(&opening) {
        let (block, after) = after.split_once("```\n").expect("a block that ends");
        found.push(block);
        rest = after;
    }
    found
}

fn guide(name: &str) -> String {
    std::fs::read_to_string(root().join("src/_guide").join(name)).unwrap()
}

/// A block is a whole file, or a part at the top level that is added to the README's file.
#[test]
fn every_file_and_part_of_a_file_is_accepted() {
    let documents = documents();
    let base = blocks(&documents[Path::new("README.md")], "yaml")[0];
    let mut read = 0;
    for (path, text) in &documents {
        if path.ends_with("configuration.md") {
            continue; // parts of any level; the reference has tests of its own
        }
        for block in blocks(text, "yaml") {
            read += 1;
            let Err(alone) = Config::parse(block, "alone") else { continue };
            let added = format!("{base}{block}");
            if let Err(added) = Config::parse(&added, "added") {
                panic!("{}:\n{block}\n{alone}\n{added}", path.display());
            }
        }
    }
    assert!(read >= 6, "{read} blocks");
}

#[test]
fn the_files_to_begin_with_have_no_findings() {
    let documents = documents();
    for document in ["README.md", "src/_guide/proxy.md"] {
        let file = blocks(&documents[Path::new(document)], "yaml")[0];
        let report = check_text(file, document, NOW).unwrap();
        assert!(report.is_clean(), "{document}: {:?}", report.findings());
    }
}

#[test]
fn the_explanation_in_the_guide_is_what_is_printed() {
    let guide = guide("policies.md");
    let deployment = Deployment::parse(blocks(&guide, "yaml")[0], "access.yml").unwrap();
    let question = Question::new("https://wiki.example.com/docs")
        .with_email("ada@example.com".parse().unwrap())
        .with_address("192.0.2.9".parse().unwrap());
    let printed = deployment.explain(&question, NOW).to_string();
    let (command, shown) = blocks(&guide, "text")[0].split_once('\n').unwrap();
    assert!(command.starts_with("$ proxy explain"), "{command}");
    assert_eq!(shown.trim_end(), printed.trim_end());
}

#[test]
fn the_parts_of_the_guide_to_policies_hold_for_its_file() {
    let guide = guide("policies.md");
    let [file, lint, tests] = blocks(&guide, "yaml")[..] else { panic!("three blocks") };

    let report = check_text(&format!("{file}{lint}"), "access.yml", NOW).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings());
    assert!(!check_text(file, "access.yml", NOW).unwrap().is_clean());

    let report = Deployment::parse(&format!("{file}{tests}"), "access.yml").unwrap().run_tests(NOW);
    assert_eq!((report.passed, report.failed), (1, 0));
}

/// The name that a heading has in links of a repository's page.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_of_the_readme_lead_to_files_and_headings() {
    let readme = &documents()[Path::new("README.md")];
    let mut followed = 0;
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|it| it.0) {
        if link.starts_with("https://") {
            continue;
        }
        followed += 1;
        let (file, heading) = link.split_once('#').unwrap_or((link, ""));
        let text = if file.is_empty() {
            readme.clone()
        } else {
            std::fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("{link}"))
        };
        let mut headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        let is_there = headings.any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
        assert!(heading.is_empty() || is_there, "{link}");
    }
    assert!(followed >= 8, "{followed} links");
}

#[test]
fn the_readme_is_short() {
    let lines = documents()[Path::new("README.md")].lines().count();
    assert!(lines < 200, "{lines} lines");
}
