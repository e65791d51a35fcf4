//! The headers that name resources, recognized by their first letters.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

/// The kind of a header about further resources.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum HeaderKind {
    Destination,
    If,
    Depth,
    CopySource,
    /// The account that the path of another header is relative to.
    Account,
    MethodOverride,
}

/// The kinds of headers that a request has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers(u8);

impl Headers {
    #[inline]
    pub(super) fn scan(headers: &HeaderMap) -> Self {
        let kinds = headers.keys().filter_map(|name| HeaderKind::from_name(name.as_str()));
        Self(kinds.fold(0, |all, kind| all | kind.bit()))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the lines of one kind.
    pub(super) fn lines<'a>(
        self,
        headers: &'a HeaderMap,
        kind: HeaderKind,
    ) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> + use<'a> {
        let present = (self.0 & kind.bit() != 0).then_some(headers);
        let lines = present.into_iter().flat_map(HeaderMap::iter);
        lines.filter(move |(name, _)| HeaderKind::from_name(name.as_str()) == Some(kind))
    }
}

impl HeaderKind {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Returns the kind of a header, by its name in lower case.
    #[inline]
    fn from_name(name: &str) -> Option<Self> {
        match name.as_bytes() {
            b"if" => Some(Self::If),
            [b'd', b'e', ..] => match name {
                "depth" => Some(Self::Depth),
                "destination" => Some(Self::Destination),
                _ => folds_to(name, "destination-account").then_some(Self::Account),
            },
            [b'x', _, .., b'e' | b'm' | b'd' | b't'] => Self::from_extension(name),
            _ => None,
        }
    }

    fn from_extension(name: &str) -> Option<Self> {
        let ends_in = |end: &str| {
            let start = name.len().checked_sub(end.len());
            start.and_then(|start| name.get(start..)).is_some_and(|tail| folds_to(tail, end))
        };
        if COPY_SOURCES.iter().any(|end| ends_in(end)) {
            Some(Self::CopySource)
        } else if METHOD_OVERRIDES.iter().any(|known| folds_to(name, known)) {
            Some(Self::MethodOverride)
        } else {
            folds_to(name, "x-copy-from-account").then_some(Self::Account)
        }
    }
}

/// Returns whether the path in a header may be relative to the account in the request target, as in
/// Swift.
pub(super) fn is_account_relative(name: &HeaderName) -> bool {
    folds_to(name.as_str(), "x-copy-from")
}

/// Returns whether two names are equal if every character except letters and digits is a hyphen: some
/// servers read `X_Copy_From` as `X-Copy-From`.
fn folds_to(name: &str, folded: &str) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    name.len() == folded.len() && name.bytes().map(fold).eq(folded.bytes())
}

/// The ends of header names for the source of a copy in object stores: `x-amz-copy-source`,
/// `x-ms-copy-source`, `x-goog-copy-source`, `x-amz-rename-source`, `x-ms-rename-source`,
/// `x-copy-from`.
const COPY_SOURCES: [&str; 3] = ["-copy-source", "-rename-source", "-copy-from"];

/// Headers by which some programs read another method than that of the request line.
const METHOD_OVERRIDES: [&str; 3] =
    ["x-http-method-override", "x-http-method", "x-method-override"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hdr_05_every_spelling_of_a_name_is_found() {
        for (name, kind) in [
            ("if", Some(HeaderKind::If)),
            ("depth", Some(HeaderKind::Depth)),
            ("destination", Some(HeaderKind::Destination)),
            ("destination-account", Some(HeaderKind::Account)),
            ("destination_account", Some(HeaderKind::Account)),
            ("x-copy-from-account", Some(HeaderKind::Account)),
            ("x-amz-copy-source", Some(HeaderKind::CopySource)),
            ("x_amz_copy_source", Some(HeaderKind::CopySource)),
            ("x.amz-copy_source", Some(HeaderKind::CopySource)),
            ("x-ms-rename-source", Some(HeaderKind::CopySource)),
            ("x-goog-copy-source", Some(HeaderKind::CopySource)),
            ("x-copy-from", Some(HeaderKind::CopySource)),
            ("x-http-method", Some(HeaderKind::MethodOverride)),
            ("x_http_method_override", Some(HeaderKind::MethodOverride)),
            ("if-match", None),
            ("date", None),
            ("device-memory", None),
            ("x", None),
            ("x-amz-copy-source-if-match", None),
            ("x-amz-copy-source-range", None),
            ("x-forwarded-host", None),
            ("content-destination", None),
        ] {
            assert_eq!(HeaderKind::from_name(name), kind, "{name}");
        }
    }
}
