//! How levels are declared that serde types read, and the shapes that several of them have.

use std::time::Duration;

use super::shape::Shape;
use crate::application::MAX_SESSION_DURATION;

/// Declares a level whose keys serde reads. `theirs` marks keys that Cloudflare calls by the same name,
/// `ours` all others.
macro_rules! level {
    (
        $(#[doc = $about:literal])+
        $LEVEL:ident in $path:literal $(with $others:ident)? {
            $(
                $(#[doc = $summary:literal])+
                $name:literal: $shape:expr, $presence:expr, $example:literal, $whose:ident;
            )*
        }
    ) => {
        $(#[doc = $about])+
        pub(in crate::config) const $LEVEL: &$crate::config::schema::Level =
            &$crate::config::schema::Level {
                path: $path,
                summary: concat!($($about),+),
                keys: &[$(
                    $crate::config::schema::Key {
                        name: $name,
                        summary: concat!($($summary),+),
                        presence: $presence,
                        example: $example,
                        cloudflare: $crate::config::schema::objects_macro::level!(@$whose $name),
                        shape: $crate::config::schema::KeyShape::Type(|| $shape),
                    },
                )*],
                names: &[$($name),*],
                others: $crate::config::schema::objects_macro::level!(@others $($others)?),
            };
    };
    (@theirs $name:literal) => { Some($name) };
    (@ours $name:literal) => { None };
    (@others $others:ident) => { $others };
    (@others) => { &[] };
}
pub(super) use level;

pub(super) fn text() -> Shape {
    Shape::Text { form: "text", pattern: None }
}

pub(super) fn non_empty() -> Shape {
    Shape::Text { form: "text", pattern: Some(".") }
}

pub(super) fn list(entries: Shape) -> Shape {
    Shape::List(Box::new(entries))
}

pub(super) fn email() -> Shape {
    const PATTERN: &str = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*\
                           @[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*$";
    Shape::Text { form: "email address", pattern: Some(PATTERN) }
}

pub(super) fn country() -> Shape {
    let form = "two letters of a country (ISO 3166-1), or `T1` for Tor";
    Shape::Text { form, pattern: Some("^[A-Za-z][A-Za-z1]$") }
}

pub(super) fn risk() -> Shape {
    Shape::Choice(&["low", "medium", "high", "unscored"])
}

pub(super) fn moment() -> Shape {
    const PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[^0-9][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?\
                           ([Zz]|[+-][0-9]{2}:[0-9]{2})$";
    Shape::Text { form: "moment (RFC 3339)", pattern: Some(PATTERN) }
}

pub(super) fn session_duration() -> Shape {
    Shape::Duration { min: Duration::ZERO, max: MAX_SESSION_DURATION }
}
