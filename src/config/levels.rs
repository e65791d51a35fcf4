//! Keys that are known at another level of the file than the one they were written at.

use std::fmt;

use crate::login::OneTimePinLimits;

use super::keys;

/// A key of other levels.
pub(super) struct Elsewhere {
    pub(super) key: &'static str,
    levels: Vec<&'static str>,
    is_flag: bool,
}

/// What to write in its place.
impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write `{}` {}", self.key, self.levels.join(" or "))?;
        if self.is_flag {
            f.write_str(" (a flag has another spelling than the file)")?;
        }
        Ok(())
    }
}

/// The key of other levels that a key is, or is by the spelling of cloudflared's flag.
pub(super) fn elsewhere(key: &str) -> Option<Elsewhere> {
    let plain = plain(key);
    if AMBIGUOUS.contains(&key) || plain.len() > LONGEST_KEY {
        return None;
    }
    let prefixes = ["proxy", "origin"].into_iter();
    let flag = prefixes.filter_map(|prefix| plain.strip_prefix(prefix)).next();
    let mut found: Vec<(&'static str, &'static str)> = Vec::new();
    for (level, keys) in LEVELS {
        let is_meant = |known: &&&str| {
            let known = self::plain(known);
            known == plain || *level == ORIGIN && flag == Some(&*known)
        };
        found.extend(keys.iter().find(is_meant).map(|known| (*level, *known)));
    }
    // By its own spelling before any other.
    let is_exact = |(_, known): &&(&str, &str)| *known == key;
    let (_, first) = *found.iter().find(is_exact).or_else(|| found.first())?;
    let same = found.iter().filter(|(_, known)| *known == first);
    let levels = same.map(|(level, _)| *level).take(MOST_LEVELS).collect();
    Some(Elsewhere { key: first, levels, is_flag: first != key && key.contains('-') })
}

/// The key of this level that other programs call by another name.
pub(super) fn synonym(key: &str, known: &[&str]) -> Option<&'static str> {
    let mut meant = SYNONYMS.iter().filter(|(meant, _)| known.contains(meant));
    meant.find(|(_, names)| names.contains(&plain(key).as_str())).map(|(meant, _)| *meant)
}

/// Lower case without separators.
fn plain(key: &str) -> String {
    key.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

const ORIGIN: &str = "below `originRequest` of the rule";

/// The readers' own keys, from the outermost level to the innermost.
const LEVELS: &[(&str, &[&str])] = &[
    ("at the top level", keys::ROOT),
    ("in a rule of `ingress`", keys::INGRESS_RULE),
    (ORIGIN, keys::ORIGIN_REQUEST),
    ("below `access`", keys::ACCESS),
    ("below `access.one_time_pin`", keys::ONE_TIME_PIN),
    ("below `access.one_time_pin.limits`", OneTimePinLimits::NAMES),
    ("below `access.one_time_pin.limits`", keys::ONE_TIME_PIN_DURATIONS),
    ("below `access.key_rotation`", keys::KEY_ROTATION),
    ("below `access.external_evaluation`", keys::EXTERNAL_EVALUATION),
    ("below `access.issuer`", keys::ISSUER),
    ("below `access.facts`", keys::FACTS),
    ("below `access.mail`", keys::MAIL),
    ("below `access.mail.smtp`", keys::SMTP),
    ("below `state`", keys::STATE),
    ("below `state.redis`", keys::REDIS),
    ("below `admin`", keys::ADMIN),
    ("below `limits`", keys::LIMITS),
    ("below `limits.listen`", keys::LISTENER),
    ("in an application", keys::APPLICATION),
    ("in a policy", &["decision", "include", "require", "exclude", "precedence"]),
    ("below `cors_headers` of an application", keys::CORS),
];

/// Keys of so many things that a level says nothing.
const AMBIGUOUS: &[&str] = &[
    "id", "name", "type", "path", "host", "port", "from", "url", "file", "tls", "timeout",
    "listen", "prefix", "username", "interval", "limits",
];
/// A key, and what it is called elsewhere; the first that a level knows is meant.
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
const MOST_LEVELS: usize = 2;
const LONGEST_KEY: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn says(key: &str) -> Option<String> {
        elsewhere(key).map(|elsewhere| elsewhere.to_string())
    }

    #[test]
    fn every_key_of_every_level_is_found_by_its_own_spelling_and_as_a_flag() {
        for (level, keys) in LEVELS {
            for key in keys.iter().filter(|key| !AMBIGUOUS.contains(key)) {
                let said = says(key).unwrap();
                assert!(said.starts_with(&format!("write `{key}` ")), "{said}");
                assert!(!said.contains("flag"), "{said}");
                let is_elsewhere = said.matches(" or ").count() + 1 == MOST_LEVELS;
                assert!(said.contains(level) || is_elsewhere, "{key} of {level}: {said}");
            }
        }
        for key in keys::ORIGIN_REQUEST {
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
