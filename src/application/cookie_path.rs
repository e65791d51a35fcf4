//! The path of an application's cookies, if they are limited to the application's own paths.
//!
//! A browser compares a cookie's path literally with the start of the request's path, at the boundary of
//! a segment: just as a destination without wildcards covers paths.

use super::destination::Destination;

/// Returns the path of a cookie that is sent to a destination, `/` for a whole host; `None` if no literal
/// path covers the same.
pub(crate) fn cookie_path(destination: &Destination) -> Option<String> {
    let text = destination.to_string();
    let path = text.find('/').and_then(|slash| text.get(slash..)).unwrap_or("/");
    // Other characters may be written in two ways; a browser compares only one.
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().all(is_unreserved).then(|| path.to_owned())
}

/// Returns whether a browser sends a cookie with this path with a request for a path (RFC 6265, section
/// 5.1.4).
pub(crate) fn is_sent(cookie_path: &str, path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || cookie_path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(destination: &str) -> Option<String> {
        cookie_path(&destination.parse().unwrap())
    }

    #[test]
    fn literal_paths_are_cookie_paths() {
        for (destination, path) in [
            ("h.example", "/"),
            ("h.example/*", "/"),
            ("*.h.example", "/"),
            ("h.example/docs/", "/docs"),
            ("*.h.example/docs/a_b~c.d-e", "/docs/a_b~c.d-e"),
        ] {
            assert_eq!(path_of(destination).as_deref(), Some(path), "{destination}");
        }
        for destination in ["h.example/docs/*", "h.example/a*", "h.example/a@b", "h.example/a%20b"]
        {
            assert!(path_of(destination).is_none(), "{destination}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_browser_sends_a_cookie_where_its_application_is(
            destination in "(/[ab]{1,2}){0,3}",
            path in "(/[ab]{1,2}){1,4}/?",
        ) {
            let destination: Destination = format!("h.example{destination}").parse().unwrap();
            let cookie = cookie_path(&destination).unwrap();
            proptest::prop_assert_eq!(
                is_sent(&cookie, &path),
                destination.matches("h.example", &path)
            );
        }
    }
}
