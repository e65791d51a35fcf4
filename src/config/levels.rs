//! Suggestions for unknown keys: the level where a key belongs, and other names of keys.

use std::fmt;

use super::schema::{Level, Shape};
use crate::util::suggest::{closest, same_word};

/// The levels of the file, from the outermost to the innermost, with words for where they are.
#[derive(Debug, Default)]
pub(super) struct Levels(Vec<(String, &'static Level)>);

impl Levels {
    /// Collects a level and all levels below it.
    pub(super) fn new(root: &'static Level) -> Self {
        let mut levels = Self::default();
        levels.add(Shape::Mapping(root));
        levels
    }

    fn add(&mut self, shape: Shape) {
        match shape {
            Shape::Mapping(level) => {
                if self.0.iter().any(|(_, known)| known.path == level.path) {
                    return;
                }
                self.0.push((words(level.path), level));
                for key in level.keys {
                    self.add(key.shape());
                }
            }
            Shape::List(of) | Shape::OrNull(of) | Shape::Map { values: of, .. } => self.add(*of),
            Shape::AnyOf(shapes) => shapes.into_iter().for_each(|shape| self.add(shape)),
            _ => {}
        }
    }

    /// Returns the error for an unknown key of a level with these keys.
    ///
    /// `listed` are those of them that a message lists.
    pub(super) fn unknown_key(&self, key: &str, known: &[&str], listed: &[&str]) -> String {
        let elsewhere = self.elsewhere(key);
        let is_exact = elsewhere.as_ref().is_some_and(|elsewhere| elsewhere.key == key);
        let same = same_word(key, known.iter().copied()).filter(|_| !is_exact);
        if let Some(word) = same.or_else(|| synonym(key, known)) {
            return format!("{UNKNOWN_KEY}; did you mean `{word}`?");
        }
        match elsewhere {
            Some(elsewhere) => format!("{UNKNOWN_KEY}; {elsewhere}"),
            None => format!("{UNKNOWN_KEY}; {}", suggestion_from(key, known, listed)),
        }
    }

    /// Finds the levels that know a key, also by the spelling of cloudflared's flags.
    fn elsewhere(&self, key: &str) -> Option<KeyElsewhere<'_>> {
        let plain = plain(key);
        if AMBIGUOUS.contains(&key) || plain.len() > MAX_KEY_BYTES {
            return None;
        }
        let prefixes = ["proxy", "origin"].into_iter();
        let flag = prefixes.filter_map(|prefix| plain.strip_prefix(prefix)).next();
        let mut found: Vec<(&str, &'static str)> = Vec::new();
        for (words, level) in self.0.iter().filter(|(words, _)| !words.is_empty()) {
            let is_meant = |known: &&&str| {
                let known = self::plain(known);
                known == plain || level.path == ORIGIN && flag == Some(&*known)
            };
            found.extend(level.names.iter().find(is_meant).map(|known| (&**words, *known)));
        }
        // The exact spelling first.
        let is_exact = |(_, known): &&(&str, &str)| *known == key;
        let (_, first) = *found.iter().find(is_exact).or_else(|| found.first())?;
        let same = found.iter().filter(|(_, known)| *known == first);
        let levels = same.map(|(words, _)| *words).take(MAX_LEVELS).collect();
        Some(KeyElsewhere { key: first, levels, is_flag: first != key && key.contains('-') })
    }
}

/// Describes where a level is; an empty text for levels that are never suggested.
fn words(path: &str) -> String {
    match (path, path.strip_prefix("access.applications[].")) {
        ("", _) => "at the top level".to_owned(),
        ("ingress[]", _) => "in a rule of `ingress`".to_owned(),
        (ORIGIN, _) => "below `originRequest` of the rule".to_owned(),
        ("access.applications[]", _) => "in an application".to_owned(),
        ("access.policies[]", _) => "in a policy".to_owned(),
        (_, Some(below)) if !below.contains("[]") => format!("below `{below}` of an application"),
        (path, _) if path.contains("[]") || path.starts_with("rule") => String::new(),
        (path, _) => format!("below `{path}`"),
    }
}

/// A key of other levels.
struct KeyElsewhere<'l> {
    key: &'static str,
    levels: Vec<&'l str>,
    is_flag: bool,
}

/// Prints what to write instead.
impl fmt::Display for KeyElsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write `{}` {}", self.key, self.levels.join(" or "))?;
        if self.is_flag {
            f.write_str(" (flags are spelled differently)")?;
        }
        Ok(())
    }
}

/// Returns the word that is meant, or the words there are.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    suggestion_from(word, known, known)
}

fn suggestion_from(word: &str, known: &[&str], listed: &[&str]) -> String {
    match closest(word, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let more = if listed.len() > MAX_LISTED { ", …" } else { "" };
            let listed: Vec<&str> = listed.iter().copied().take(MAX_LISTED).collect();
            format!("known are `{}`{more}", listed.join("`, `"))
        }
    }
}

/// Returns the key of this level that other programs call by this name.
pub(super) fn synonym(key: &str, known: &[&str]) -> Option<&'static str> {
    let mut meant = SYNONYMS.iter().filter(|(meant, _)| known.contains(meant));
    meant.find(|(_, names)| names.contains(&plain(key).as_str())).map(|(meant, _)| *meant)
}

/// Returns a key in lower case without separators.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// The beginning of messages about unknown keys.
pub(super) const UNKNOWN_KEY: &str = "unknown key";
const ORIGIN: &str = "originRequest";
/// Keys of so many levels that naming one would not help.
const AMBIGUOUS: &[&str] = &[
    "id", "name", "type", "path", "host", "port", "from", "url", "file", "tls", "timeout",
    "listen", "prefix", "username", "password", "interval", "limits", "allow", "required",
];
/// Keys, and their names in other programs; the first that a level knows counts.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("hostname", &["host", "domain", "servername"]),
    ("service", &["url", "origin", "backend", "upstream", "target"]),
    ("domain", &["host", "hostname", "url", "uri"]),
    ("decision", &["action", "effect"]),
    ("include", &["allow", "rules", "selectors"]),
    ("team_domain", &["authdomain", "teamname", "organization"]),
    ("trusted_proxies", &["trustedproxy", "proxies", "realipfrom"]),
    ("listen", &["bind", "address", "addr", "port"]),
];
const MAX_LEVELS: usize = 2;
const MAX_LISTED: usize = 14;
const MAX_KEY_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn levels() -> Levels {
        Levels::new(crate::config::load::Root::LEVEL)
    }

    fn says(key: &str) -> Option<String> {
        levels().elsewhere(key).map(|elsewhere| elsewhere.to_string())
    }

    #[test]
    fn every_key_of_every_level_is_found_by_its_own_spelling_and_as_a_flag() {
        let levels = levels();
        for (words, level) in levels.0.iter().filter(|(words, _)| !words.is_empty()) {
            for key in level.names.iter().filter(|key| !AMBIGUOUS.contains(key)) {
                let said = says(key).unwrap();
                assert!(said.starts_with(&format!("write `{key}` ")), "{said}");
                assert!(!said.contains("flag"), "{said}");
                let is_elsewhere = said.matches(" or ").count() + 1 == MAX_LEVELS;
                assert!(said.contains(words) || is_elsewhere, "{key} {words}: {said}");
            }
        }
        let (_, origin) = levels.0.iter().find(|(_, level)| level.path == ORIGIN).unwrap();
        for key in origin.names {
            let flag: String = key.chars().fold(String::new(), |flag, c| {
                let dash = if c.is_ascii_uppercase() && !flag.is_empty() { "-" } else { "" };
                format!("{flag}{dash}{}", c.to_ascii_lowercase())
            });
            for flag in [flag.clone(), format!("proxy-{flag}"), format!("origin-{flag}")] {
                if flag.contains('-') {
                    assert!(says(&flag).is_some_and(|said| said.contains(key)), "{flag}");
                }
            }
        }
    }

    #[test]
    fn what_is_of_no_level_or_of_many_is_not_guessed() {
        for key in ["", "-", "_", "colour", "id", "name", "host", "proxy-", "origin-", "proxy"] {
            assert_eq!(says(key), None, "{key}");
        }
        assert_eq!(says(&"x".repeat(100_000)), None);
    }
}
