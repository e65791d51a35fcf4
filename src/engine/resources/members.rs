//! Requests that act on everything below a path.

use http::Method;
use http::header::HeaderValue;

/// The part of its own host that a request acts on besides the request target.
///
/// Methods are compared without regard to case, as some origins do. The docs of
/// [`layer`](crate::layer) have the table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Members {
    None,
    /// Everything below the request target.
    Below,
    /// Everything on the host.
    WholeHost,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    Absent,
    Zero,
    One,
    Infinity,
}

impl Members {
    /// Returns the largest part that any method of the request, in the request line or a header, acts
    /// on.
    pub(super) fn new<'a>(
        methods: impl Iterator<Item = &'a [u8]>,
        depths: impl Iterator<Item = &'a HeaderValue>,
    ) -> Self {
        let depth = Depth::from_lines(depths);
        methods.map(|method| Self::from_method(method, depth)).max().unwrap_or(Self::Below)
    }

    /// Returns the part that a method without `Depth` acts on.
    pub(crate) fn from_method_name(method: &str) -> Self {
        Self::from_method(method.as_bytes(), Depth::Absent)
    }

    fn from_method(method: &[u8], depth: Depth) -> Self {
        let is_one_of =
            |names: &[&str]| names.iter().any(|name| method.eq_ignore_ascii_case(name.as_bytes()));
        let reaches_below = if is_one_of(&["BIND", "REBIND"]) {
            return Self::WholeHost;
        } else if is_one_of(&["DELETE", "MOVE", "REPORT", "SEARCH"]) {
            true
        } else if is_one_of(&["COPY", "LOCK"]) {
            depth != Depth::Zero
        } else if is_one_of(&["PROPFIND"]) {
            matches!(depth, Depth::Absent | Depth::Infinity)
        } else if is_one_of(&USUAL) {
            false
        } else {
            matches!(depth, Depth::One | Depth::Infinity)
        };
        if reaches_below { Self::Below } else { Self::None }
    }
}

impl Depth {
    fn from_lines<'a>(mut lines: impl Iterator<Item = &'a HeaderValue>) -> Self {
        match (lines.next().map(|line| line.as_bytes().trim_ascii()), lines.next()) {
            (None, _) => Self::Absent,
            (Some(b"0"), None) => Self::Zero,
            (Some(b"1" | b"1,noroot"), None) => Self::One,
            _ => Self::Infinity,
        }
    }
}

/// Returns whether a method always acts on the request target alone, whatever the headers say.
#[inline]
pub(super) fn is_usual(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::OPTIONS
            | Method::TRACE
            | Method::CONNECT
    )
}

const USUAL: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_30_depth_says_whether_a_method_reaches_below() {
        use Members::{Below, None, WholeHost};
        for (method, depths, members) in [
            ("GET", &["infinity"][..], None),
            ("DELETE", &[], Below),
            ("DELETE", &["0"], Below),
            ("delete", &[], Below),
            ("MOVE", &["0"], Below),
            ("COPY", &[], Below),
            ("COPY", &["0"], None),
            ("COPY", &["1"], Below),
            ("LOCK", &["0"], None),
            ("LOCK", &["infinity"], Below),
            ("PROPFIND", &[], Below),
            ("PROPFIND", &["0"], None),
            ("PROPFIND", &[" 1 "], None),
            ("PROPFIND", &["1,noroot"], None),
            ("PROPFIND", &["Infinity"], Below),
            ("PROPFIND", &["2"], Below),
            ("PROPFIND", &[""], Below),
            ("PROPFIND", &["0", "infinity"], Below),
            ("PROPFIND", &["0", "0"], Below),
            ("REPORT", &["0"], Below),
            ("SEARCH", &[], Below),
            ("BIND", &["0"], WholeHost),
            ("PROPPATCH", &[], None),
            ("MKCOL", &[], None),
            ("UPDATE", &["infinity"], Below),
            ("LABEL", &["1"], Below),
        ] {
            let depths: Vec<HeaderValue> =
                depths.iter().map(|depth| HeaderValue::from_str(depth).unwrap()).collect();
            let found = Members::new(std::iter::once(method.as_bytes()), depths.iter());
            assert_eq!(found, members, "{method} {depths:?}");
        }
    }
}
