//! The next page of a list (`Link`, RFC 8288).

use http::HeaderValue;
use url::Url;

/// The `Link` lines of a response are not readable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct InvalidLink;

/// Returns the URL of the link whose relation is `next`; `None` if there is no such link. If there are
/// several, or a line cannot be read, which page is the next one is unknown.
pub(super) fn next<'a>(
    page: &Url,
    lines: impl IntoIterator<Item = &'a HeaderValue>,
) -> Result<Option<Url>, InvalidLink> {
    let mut found = None;
    for line in lines {
        let mut rest = line.to_str().map_err(|_| InvalidLink)?.trim();
        while !rest.is_empty() {
            let (target, parameters) =
                rest.strip_prefix('<').and_then(|rest| rest.split_once('>')).ok_or(InvalidLink)?;
            let (parameters, after) = split_outside_quotes(parameters, ',');
            if is_next(parameters)? && found.replace(target).is_some() {
                return Err(InvalidLink);
            }
            rest = after.trim();
        }
    }
    found.map(|target| page.join(target).map_err(|_| InvalidLink)).transpose()
}

fn is_next(parameters: &str) -> Result<bool, InvalidLink> {
    let mut rest = parameters.trim();
    while !rest.is_empty() {
        let (parameter, after) =
            split_outside_quotes(rest.strip_prefix(';').ok_or(InvalidLink)?, ';');
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let relations = value.trim().trim_matches('"');
            // Only the first `rel` counts.
            return Ok(relations.split(' ').any(|it| it.eq_ignore_ascii_case("next")));
        }
        rest = after;
    }
    Ok(false)
}

/// Splits at the first separator that is not quoted. A separator `;` stays with the rest.
fn split_outside_quotes(text: &str, separator: char) -> (&str, &str) {
    let mut is_quoted = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            is_quoted = !is_quoted;
        } else if c == separator && !is_quoted {
            let (before, after) = text.split_at(at);
            return (
                before,
                if separator == ';' { after } else { after.get(1..).unwrap_or_default() },
            );
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_of(lines: &[&'static str]) -> Result<Option<String>, InvalidLink> {
        let page = Url::parse("https://api.github.com/user/orgs?per_page=100").unwrap();
        let lines: Vec<_> = lines.iter().map(|line| HeaderValue::from_static(line)).collect();
        next(&page, &lines).map(|url| url.map(String::from))
    }

    #[test]
    fn the_next_page_is_found_among_other_links() {
        let next = Ok(Some("https://api.github.com/user/orgs?page=2".to_owned()));
        for lines in [
            &["<https://api.github.com/user/orgs?page=2>; rel=\"next\""][..],
            &["<https://api.github.com/user/orgs?page=2>; rel=next"],
            &[
                "<https://api.github.com/a>; rel=\"prev\", <https://api.github.com/user/orgs?page=2>; rel=\"next\", \
               <https://api.github.com/c>; rel=\"last\"",
            ],
            &["<https://api.github.com/user/orgs?page=2>;title=\"a, b; rel=last\"; REL=\"Next\""],
            &["<https://api.github.com/c>;rel=\"last\"", "</user/orgs?page=2>;rel=\"next\""],
            &[
                "<https://api.github.com/a,b>; rel=first,<https://api.github.com/user/orgs?page=2>;rel=\"x next\"",
            ],
        ] {
            assert_eq!(next_of(lines), next, "{lines:?}");
        }
        for lines in [
            &[][..],
            &[""],
            &["<https://api.github.com/a>; rel=\"prev\""],
            &["<https://api.github.com/a>; rel=\"last\"; rel=\"next\""],
            &["<https://api.github.com/a>; title=\"rel=next\""],
            &["<https://api.github.com/a>"],
        ] {
            assert_eq!(next_of(lines), Ok(None), "{lines:?}");
        }
    }

    #[test]
    fn proto_08_a_link_that_cannot_be_read_is_not_the_end_of_the_list() {
        for lines in [
            &["https://api.github.com/a; rel=\"next\""][..],
            &["<https://api.github.com/a; rel=\"next\""],
            &["<https://api.github.com/a> rel=\"next\""],
            &["<https://[>; rel=\"next\""],
            &["<a>; rel=next, <b>; rel=next"],
            &["<a>; rel=next", "<a>; rel=next"],
        ] {
            assert_eq!(next_of(lines), Err(InvalidLink), "{lines:?}");
        }
    }
}
