//! Keys that are known at another level of the file than the one they were written at.

use crate::login::OneTimePinLimits;

use super::{
    access, admin, application, cors, facts, ingress, load, mail, one_time_pin, origin, state,
};

/// What to write for a key that is known at other levels, or by the spelling of cloudflared's flag.
pub(super) fn elsewhere(key: &str) -> Option<String> {
    let plain = plain(key);
    if AMBIGUOUS.contains(&key) || plain.len() > LONGEST_KEY {
        return None;
    }
    let of_flag = |word: &str| {
        let prefixes = ["proxy", "origin"].into_iter();
        prefixes.filter_map(|prefix| word.strip_prefix(prefix)).map(str::to_owned).next()
    };
    let flag = of_flag(&plain);
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (level, keys) in LEVELS {
        let is_meant = |known: &&&str| {
            let known = self::plain(known);
            known == plain || *level == ORIGIN && flag.as_ref() == Some(&known)
        };
        found.extend(keys.iter().find(is_meant).map(|known| (*level, *known)));
    }
    let (_, first) = *found.first()?;
    let same = found.iter().filter(|(_, known)| *known == first);
    let levels: Vec<&str> = same.map(|(level, _)| *level).take(MOST_LEVELS).collect();
    let spelling = if first != key && key.contains('-') {
        " (a flag has another spelling than the file)"
    } else {
        ""
    };
    Some(format!("write `{first}` {}{spelling}", levels.join(" or ")))
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
    ("at the top level", load::KEYS),
    ("in a rule of `ingress`", ingress::KEYS),
    (ORIGIN, origin::SUPPORTED),
    ("below `access`", access::KEYS),
    ("below `access.one_time_pin`", one_time_pin::KEYS),
    ("below `access.one_time_pin.limits`", OneTimePinLimits::NAMES),
    ("below `access.one_time_pin.limits`", one_time_pin::MORE_LIMITS),
    ("below `access.key_rotation`", access::KEY_ROTATION_KEYS),
    ("below `access.external_evaluation`", access::EVALUATION_KEYS),
    ("below `access.issuer`", access::ISSUER_KEYS),
    ("below `access.facts`", facts::KEYS),
    ("below `access.mail`", mail::KEYS),
    ("below `access.mail.smtp`", mail::SMTP_KEYS),
    ("below `state`", state::KEYS),
    ("below `state.redis`", state::REDIS_KEYS),
    ("below `admin`", admin::KEYS),
    ("in an application", application::IMPLEMENTED),
    ("in a policy", &["decision", "include", "require", "exclude", "precedence"]),
    ("below `cors_headers` of an application", cors::KEYS),
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
