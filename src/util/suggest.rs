//! Finds the key somebody meant.

/// The known word that is closest to `word`, if any is close enough to be meant.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(same) = same_word(word, known.iter().copied()) {
        return Some(same);
    }
    let plain = normalized(word);
    known
        .into_iter()
        .map(|candidate| (distance(&plain, &normalized(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= word.len().min(candidate.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The known word that `word` is but for letter case, separators, and singular or plural.
pub(crate) fn same_word<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let text = |word: &str| normalized(word).into_iter().collect::<String>();
    let is_plural = |plural: &str, word: &str| {
        let stem = plural.strip_suffix("ies").map(|stem| format!("{stem}y"));
        stem.as_deref() == Some(word)
            || plural.strip_suffix("es") == Some(word)
            || plural.strip_suffix('s') == Some(word)
    };
    let word = text(word);
    let known: Vec<(String, &str)> = known.into_iter().map(|one| (text(one), one)).collect();
    let exact = known.iter().find(|(one, _)| *one == word);
    let found = exact
        .or_else(|| known.iter().find(|(one, _)| is_plural(one, &word) || is_plural(&word, one)))?;
    Some(found.1)
}

/// Lower case without separators: `noTlsVerify`, `no-tls-verify` and `no_tls_verify` are one word.
fn normalized(word: &str) -> Vec<char> {
    word.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(one: &[char], two: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=two.len()).collect();
    let mut previous_left = None;
    for (row, left) in one.iter().enumerate() {
        let mut current = vec![row + 1];
        let mut previous_right = None;
        for (column, right) in two.iter().enumerate() {
            let at =
                |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, column) + usize::from(left != right);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(at(&current, column) + 1);
            if previous_left == Some(right) && previous_right == Some(left) {
                best = best.min(at(&before_last, column.wrapping_sub(1)) + 1);
            }
            current.push(best);
            previous_right = Some(right);
        }
        previous_left = Some(left);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

const LONGEST_WORD: usize = 40;

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
        let chars = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("emial"), &chars("email")), 1);
        assert_eq!(distance(&chars("abc"), &chars("abc")), 0);
        assert_eq!(distance(&chars(""), &chars("abc")), 3);
    }
}
