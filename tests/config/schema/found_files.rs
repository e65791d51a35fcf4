//! The files of the README, the guides, the tests and the examples: what the reader accepts, the schema
//! accepts.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Schema, read, yaml};

#[test]
fn what_the_reader_accepts_the_schema_accepts() {
    let schema = Schema::new();
    let mut accepted = 0;
    let mut of_readme = 0;
    let mut refused = Vec::new();
    for path in sources() {
        for text in candidates(&fs::read_to_string(&path).unwrap(), &path) {
            let Some(text) = readable(text) else { continue };
            if let Err(error) = schema.check(&yaml(&text)) {
                refused.push(format!("{}: {error}\n{text}", path.display()));
            }
            accepted += 1;
            of_readme += usize::from(path.ends_with("README.md"));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(of_readme >= 1, "the README has files");
    assert!(accepted >= 60, "only {accepted} files were found");
}

/// Makes a file of a candidate; `None` if the reader refuses it.
fn readable(text: String) -> Option<String> {
    let rest = "\naccess: { mail: console, applications: [ { domain: wiki.example.com } ] }\n";
    let is_section = !text.contains("access:") && text.contains(": ");
    let text = if is_section { text + rest } else { text };
    let forms = ["", "a.example", "127.0.0.1:8080"].map(|value| formatted(&text, value));
    std::iter::once(text).chain(forms).find(|text| read(text).is_ok())
}

/// Formats a format string with a value for all of its arguments.
fn formatted(text: &str, value: &str) -> String {
    let mut formatted = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.next_if_eq(&c).is_some() => formatted.push(c),
            '{' => {
                chars.by_ref().find(|c| *c == '}');
                formatted.push_str(value);
            }
            c => formatted.push(c),
        }
    }
    formatted
}

fn sources() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md")];
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "examples"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs" || it == "md" || it == "yml") {
                found.push(path);
            }
        }
    }
    found
}

/// Returns the texts of a source that may be files.
fn candidates(source: &str, path: &Path) -> Vec<String> {
    match path.extension().and_then(|it| it.to_str()) {
        Some("yml") => vec![source.to_owned()],
        Some("md") => blocks(source),
        _ => {
            let comments = source.lines().filter_map(|line| {
                let line = line.trim_start();
                let line = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
                Some(line.strip_prefix(' ').unwrap_or(line))
            });
            let comments = comments.collect::<Vec<_>>().join("\n");
            let mut all = blocks(&comments);
            all.extend(literals(&comments));
            all.extend(literals(source));
            all
        }
    }
}

/// Returns the blocks of YAML in Markdown.
fn blocks(markdown: &str) -> Vec<String> {
    let parts = markdown.split("\n```yaml\n").skip(1);
    parts.filter_map(|part| Some(part.split("\n```").next()?.to_owned() + "\n")).collect()
}

/// Returns the string literals of Rust that mention a key of a file.
fn literals(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some(at) = rest.find('"') {
        let is_character = rest[..at].ends_with('\'') && rest[at + 1..].starts_with('\'');
        let hashes = rest[..at].chars().rev().take_while(|c| *c == '#').count();
        let is_raw = rest[..at - hashes].ends_with('r');
        rest = &rest[at + 1..];
        if is_character {
            continue;
        }
        if is_raw {
            let end = format!("\"{}", "#".repeat(hashes));
            let Some(at) = rest.find(&end) else { break };
            found.push(rest[..at].to_owned());
            rest = &rest[at + end.len()..];
            continue;
        }
        let mut text = String::new();
        let mut chars = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, '\n')) => while chars.next_if(|(_, c)| c.is_whitespace()).is_some() {},
                    Some((_, c)) => text.push(c),
                    None => {}
                },
                c => text.push(c),
            }
        }
        rest = &rest[end..];
        found.push(text);
    }
    found.retain(|text| {
        ["access:", "listen:", "ingress:", "limits:", "state:", "admin:"]
            .iter()
            .any(|key| text.contains(key))
    });
    found
}
