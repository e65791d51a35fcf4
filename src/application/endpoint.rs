//! The path prefix of the login's endpoints.

use super::fold::fold;

/// The prefix of all endpoints of the login, on every host.
pub(crate) const OWN_PREFIX: &str = "/cdn-cgi/access";

/// Returns whether a canonical path belongs to the login.
pub(crate) fn is_own(path: &str) -> bool {
    path.strip_prefix(OWN_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns whether an origin may read a path as one of the login.
pub(super) fn is_own_when_folded(path: &str) -> bool {
    // Characters that fold to `c`, or that folding may drop before it.
    let may_be = matches!(path.as_bytes().get(1), Some(b'c' | b'C' | b'.' | b'%' | b'/'));
    may_be && is_own(&fold(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_25_path_29_own_endpoints_in_other_spellings() {
        for path in [
            "/cdn-cgi/access",
            "/CDN-CGI/access/login",
            "/cdn-cgi./access/login",
            "/cdn-cgi/ACCE%C5%BFS/login",
            "/cdn-cgi%20/Access./",
            "/.../cdn-cgi/access",
            "/%20/cdn-cgi/access",
        ] {
            assert!(is_own_when_folded(path), "{path}");
        }
        for path in ["/", "/x/cdn-cgi/access", "/cdn-cgi/accessories", "/CDN-CGI", "/content"] {
            assert!(!is_own_when_folded(path), "{path}");
        }
    }
}
