//! Whether a request acts on what lies below a path.

use http::Method;
use http::header::HeaderValue;

/// What of its own host a request acts on besides the request target.
///
/// Methods are compared without regard to case: some origins do. The docs of
/// [`layer`](crate::layer) have the table.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Members {
    None,
    /// Everything below the request target.
    Below,
    /// Everything on the host.
    OfHost,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Depth {
    Absent,
    Zero,
    One,
    Infinity,
}

impl Members {
    /// The most that any of the methods a request has, by its request line or by a header, comes to.
    pub(super) fn of<'a>(
        methods: impl Iterator<Item = &'a [u8]>,
        depths: impl Iterator<Item = &'a HeaderValue>,
    ) -> Self {
        let depth = Depth::of(depths);
        methods.map(|method| Self::of_method(method, depth)).max().unwrap_or(Self::Below)
    }

    /// What a method acts on that has no `Depth`.
    pub(crate) fn of_method_alone(method: &str) -> Self {
        Self::of_method(method.as_bytes(), Depth::Absent)
    }

    fn of_method(method: &[u8], depth: Depth) -> Self {
        let is_one_of =
            |names: &[&str]| names.iter().any(|name| method.eq_ignore_ascii_case(name.as_bytes()));
        let reaches_below = if is_one_of(&["BIND", "REBIND"]) {
            return Self::OfHost;
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
    fn of<'a>(mut lines: impl Iterator<Item = &'a HeaderValue>) -> Self {
        match (lines.next().map(|line| line.as_bytes().trim_ascii()), lines.next()) {
            (None, _) => Self::Absent,
            (Some(b"0"), None) => Self::Zero,
            (Some(b"1" | b"1,noroot"), None) => Self::One,
            _ => Self::Infinity,
        }
    }
}

/// Whether a method is one of those that act on the request target alone, whatever the headers.
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
        use Members::{Below, None, OfHost};
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
            ("BIND", &["0"], OfHost),
            ("PROPPATCH", &[], None),
            ("MKCOL", &[], None),
            ("UPDATE", &["infinity"], Below),
            ("LABEL", &["1"], Below),
        ] {
            let depths: Vec<HeaderValue> =
                depths.iter().map(|depth| HeaderValue::from_str(depth).unwrap()).collect();
            let found = Members::of(std::iter::once(method.as_bytes()), depths.iter());
            assert_eq!(found, members, "{method} {depths:?}");
        }
    }
}
