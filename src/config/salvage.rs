//! One section of a file that is not valid YAML as a whole.

/// Returns the lines of the section that begins at the margin with this key, with their line numbers
/// unchanged. `None` if there is no such section, or more than one.
pub(super) fn section(text: &str, key: &str) -> Option<String> {
    let mut beginnings = text.lines().enumerate().filter(|(_, line)| begins(line, key));
    let (first, _) = beginnings.next()?;
    if beginnings.next().is_some() {
        return None;
    }
    let mut section = "\n".repeat(first);
    let mut lines = text.lines().skip(first);
    section.extend(lines.next());
    section.push('\n');
    for line in lines.take_while(|line| continues(line)) {
        section.push_str(line);
        section.push('\n');
    }
    Some(section)
}

fn begins(line: &str, key: &str) -> bool {
    let rest = ["", "\"", "'"]
        .into_iter()
        .find_map(|quote| line.strip_prefix(quote)?.strip_prefix(key)?.strip_prefix(quote));
    rest.is_some_and(|rest| rest.trim_start_matches(' ').starts_with(':'))
}

/// All lines of a section but the first are indented; comments and closing brackets need not be.
fn continues(line: &str) -> bool {
    line.trim().is_empty() || line.starts_with([' ', '\t', '#', '}', ']'])
}

#[cfg(test)]
mod tests {
    use super::section;

    #[test]
    fn a_section_is_found_in_invalid_yaml() {
        for (text, expected) in [
            ("admin: { listen: x }\n", "admin: { listen: x }\n"),
            ("a: [\nadmin:\n  listen: x\nb: }\n", "\nadmin:\n  listen: x\n"),
            (
                "<<<<<<< HEAD\nadmin: {\n# why\n\n  listen: x\n}\n>>>>>>> b",
                "\nadmin: {\n# why\n\n  listen: x\n}\n",
            ),
            ("'admin' :\r\n  a: b\r\nc: d", "'admin' :\n  a: b\n"),
            ("\"admin\": x", "\"admin\": x\n"),
        ] {
            assert_eq!(section(text, "admin").as_deref(), Some(expected), "{text}");
        }
        for text in ["", "admins: x", "a:\n  admin: x", "admin: x\nadmin: y", "administration: x"] {
            assert_eq!(section(text, "admin"), None, "{text}");
        }
    }
}
