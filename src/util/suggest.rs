//! Suggests the key that was probably intended.

use strsim::osa_distance;

/// Returns the known word that is closest to `word`, if any is close enough.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD_LENGTH {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(same) = same_word(word, known.iter().copied()) {
        return Some(same);
    }
    let plain = normalized(word);
    known
        .into_iter()
        .map(|candidate| (osa_distance(&plain, &normalized(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= word.len().min(candidate.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns the known word that equals `word` except for letter case, separators, and singular or plural.
pub(crate) fn same_word<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let is_plural = |plural: &str, word: &str| {
        let stem = plural.strip_suffix("ies").map(|stem| format!("{stem}y"));
        stem.as_deref() == Some(word)
            || plural.strip_suffix("es") == Some(word)
            || plural.strip_suffix('s') == Some(word)
    };
    let word = normalized(word);
    let known: Vec<(String, &str)> =
        known.into_iter().map(|candidate| (normalized(candidate), candidate)).collect();
    let exact = known.iter().find(|(plain, _)| *plain == word);
    let found = exact.or_else(|| {
        known.iter().find(|(plain, _)| is_plural(plain, &word) || is_plural(&word, plain))
    })?;
    Some(found.1)
}

/// Lower case without separators: `noTlsVerify`, `no-tls-verify` and `no_tls_verify` are one word.
fn normalized(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

const MAX_WORD_LENGTH: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let known = ["policies", "policy", "domain", "name", "noTLSVerify", "from", "host"];
        for (word, meant) in [
            ("polices", Some("policies")),
            ("domian", Some("domain")),
            ("no_tls_verify", Some("noTLSVerify")),
            ("nmae", Some("name")),
            ("Host", Some("host")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn singular_and_plural_are_one_word_and_the_exact_one_comes_first() {
        let known = ["policies", "service_tokens", "address", "addresses", "caPool", "tls"];
        for (word, meant) in [
            ("policy", Some("policies")),
            ("Service-Token", Some("service_tokens")),
            ("addresses", Some("addresses")),
            ("ca_pools", Some("caPool")),
            ("ca-pool", Some("caPool")),
            ("", None),
            ("polic", None),
            ("s", None),
        ] {
            assert_eq!(same_word(word, known), meant, "{word}");
        }
    }

    #[test]
    fn counts_a_swap_once() {
        assert_eq!(osa_distance("emial", "email"), 1);
        assert_eq!(osa_distance("abc", "abc"), 0);
        assert_eq!(osa_distance("", "abc"), 3);
    }
}
