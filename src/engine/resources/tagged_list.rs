//! A parser for the header `If` of WebDAV (RFC 4918, section 10.4).

use super::ResourceError;

/// A part of the header. All parts together are the whole header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Piece<'a> {
    /// The reference in a tag, without its angle brackets.
    Tag(&'a str),
    /// Any other text, unchanged.
    Text(&'a str),
}

/// Splits the header into its tags and the text between them.
///
/// Programs find the end of a list by its first `)`, or by counting quotes: a list that these would
/// read differently is refused.
///
/// # Errors
///
/// If the text does not follow the grammar, or mixes lists with and without a tag.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, ResourceError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    // Lists since the last tag.
    let mut lists = 0_usize;
    loop {
        let (blanks, after) =
            rest.split_at_checked(blanks(rest)).ok_or(ResourceError::Ambiguous)?;
        push_text(&mut pieces, blanks);
        if let Some(tagged) = after.strip_prefix('<') {
            let follows_a_tag = pieces.iter().any(|piece| matches!(piece, Piece::Tag(_)));
            let is_first = !follows_a_tag && lists == 0;
            if !is_first && (!follows_a_tag || lists == 0) {
                return Err(ResourceError::Ambiguous);
            }
            let (tag, behind) = tagged.split_once('>').ok_or(ResourceError::Ambiguous)?;
            pieces.push(Piece::Tag(tag));
            (lists, rest) = (0, behind);
        } else if after.starts_with('(') {
            let end = after.find(')').ok_or(ResourceError::Ambiguous)? + 1;
            let (list, behind) = after.split_at_checked(end).ok_or(ResourceError::Ambiguous)?;
            check_list(list)?;
            push_text(&mut pieces, list);
            (lists, rest) = (lists + 1, behind);
        } else if after.is_empty() && lists > 0 {
            return Ok(pieces);
        } else {
            return Err(ResourceError::Ambiguous);
        }
    }
}

fn push_text<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
}

/// `( ["Not"] (<token> | [etag]) … )`, up to the first `)`.
fn check_list(list: &str) -> Result<(), ResourceError> {
    let inner = list.strip_prefix('(').and_then(|list| list.strip_suffix(')'));
    let mut rest = inner.ok_or(ResourceError::Ambiguous)?.trim_start_matches(BLANKS);
    if rest.is_empty() {
        return Err(ResourceError::Ambiguous);
    }
    while !rest.is_empty() {
        if let Some((not, behind)) = rest.split_at_checked(3)
            && not.eq_ignore_ascii_case("not")
        {
            rest = behind.trim_start_matches(BLANKS);
        }
        let (condition, behind) = if let Some(token) = rest.strip_prefix('<') {
            token.split_once('>')
        } else if let Some(etag) = rest.strip_prefix('[') {
            etag.split_once(']').filter(|(etag, _)| is_entity_tag(etag))
        } else {
            None
        }
        .ok_or(ResourceError::Ambiguous)?;
        if condition.is_empty() || condition.contains(['<', '>', '(', '[', ']']) {
            return Err(ResourceError::Ambiguous);
        }
        rest = behind.trim_start_matches(BLANKS);
    }
    Ok(())
}

fn is_entity_tag(text: &str) -> bool {
    let opaque = text.strip_prefix("W/").unwrap_or(text);
    let opaque = opaque.strip_prefix('"').and_then(|opaque| opaque.strip_suffix('"'));
    opaque.is_some_and(|opaque| !opaque.contains(['"', '\\']))
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start_matches(BLANKS).len()
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(text: &str) -> Result<Vec<&str>, ResourceError> {
        let pieces = pieces(text)?;
        Ok(pieces
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Tag(tag) => Some(tag),
                Piece::Text(_) => None,
            })
            .collect())
    }

    /// The examples of RFC 4918, section 10.4, and what clients send.
    #[test]
    fn path_30_tags_are_found() {
        for (text, expected) in [
            ("(<urn:uuid:181d4fae> [\"I am an ETag\"]) ([\"I am another ETag\"])", &[][..]),
            ("(Not <urn:uuid:181d4fae> <urn:uuid:58f202ac>)", &[]),
            ("(<urn:uuid:181d4fae>) (Not <DAV:no-lock>)", &[]),
            (
                "</resource1> (<urn:uuid:181d4fae> [W/\"A weak ETag\"]) ([\"strong ETag\"])",
                &["/resource1"],
            ),
            (
                "<http://www.example.com/specs/> (<urn:uuid:181d4fae>)",
                &["http://www.example.com/specs/"],
            ),
            ("</a>(<x:1>)</b>([\"2\"])([\"3\"])", &["/a", "/b"]),
            ("<https://h.example/a> ([\"\"])", &["https://h.example/a"]),
        ] {
            assert_eq!(tags(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn path_30_what_programs_read_differently_is_refused() {
        for text in [
            "",
            " ",
            "x",
            "</a>",
            "</a> </b> (<x:1>)",
            "(<x:1>) </a> (<x:1>)",
            "</a> (<x:1>) </b>",
            "()",
            "( )",
            "(Not)",
            "(<>)",
            "(<x:1>",
            "(x)",
            "<x",
            "(<x:1>), (<x:2>)",
            // A list that ends at its first bracket, or does not.
            "([\"a)</staff/x> (\"])",
            "([\"a\"b\"])",
            "(<a(b>)",
            "(<a<b>)",
            "([a])",
            "([\"a\\\"])",
        ] {
            assert_eq!(tags(text), Err(ResourceError::Ambiguous), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn path_30_the_pieces_are_the_whole(text in "[<>()\\[\\]\" /aNot:W]{0,24}") {
            if let Ok(pieces) = pieces(&text) {
                let whole: String = pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Tag(tag) => format!("<{tag}>"),
                        Piece::Text(text) => (*text).to_owned(),
                    })
                    .collect();
                prop_assert_eq!(whole, text);
            }
        }
    }
}
