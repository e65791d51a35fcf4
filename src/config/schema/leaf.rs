//! Values that are one scalar.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::document::Read;
use super::shape::Shape;
use crate::clock::GoDuration;
use crate::config::reader::{NodeRef, Reader};
use crate::secret::SecretText;

/// A whole number from `MIN` to `MAX`.
#[allow(dead_code, reason = "describes a value, and is never one itself")]
pub(in crate::config) struct Whole<T, const MIN: u64, const MAX: u64>(PhantomData<T>);

impl<T: TryFrom<u64>, const MIN: u64, const MAX: u64> Read for Whole<T, MIN, MAX> {
    type Output = T;

    fn shape() -> Shape {
        Shape::Integer { min: signed(MIN), max: signed(MAX) }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<T> {
        let value: u64 = reader.read(place, &[])?;
        let number = Some(value).filter(|value| (MIN..=MAX).contains(value));
        let number = number.and_then(|value| T::try_from(value).ok());
        if number.is_none() {
            reader.error(place, format_args!("{value} is out of range; write {MIN} to {MAX}"));
        }
        number
    }
}

/// No bound is greater than `i64::MAX`.
fn signed(bound: u64) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}

/// A duration from `MIN` to `MAX`, in milliseconds: see [`seconds`], [`minutes`], [`hours`].
#[allow(dead_code, reason = "describes a value, and is never one itself")]
pub(in crate::config) struct Time<const MIN: u64, const MAX: u64>;

impl<const MIN: u64, const MAX: u64> Read for Time<MIN, MAX> {
    type Output = Duration;

    fn shape() -> Shape {
        Shape::Duration { min: Duration::from_millis(MIN), max: Duration::from_millis(MAX) }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Duration> {
        let written: GoDuration = reader.read(place, &[])?;
        let (min, max) = (Duration::from_millis(MIN), Duration::from_millis(MAX));
        if (min..=max).contains(&written.get()) {
            return Some(written.get());
        }
        let (min, max) = (GoDuration::from(min), GoDuration::from(max));
        reader.error(place, format_args!("{written} is out of range; write {min} to {max}"));
        None
    }
}

/// A port.
pub(in crate::config) type Port = Whole<u16, 1, 65_535>;

/// A text that is not empty.
pub(in crate::config) struct NonEmpty;

impl Read for NonEmpty {
    type Output = String;

    fn shape() -> Shape {
        Shape::Text { form: "text", pattern: Some(".") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<String> {
        let text: String = reader.read(place, &[])?;
        if text.is_empty() {
            let key = place.key();
            reader.error(place, format_args!("`{key}` is empty; write a text or leave it out"));
            return None;
        }
        Some(text)
    }
}

/// The path of a file.
pub(in crate::config) struct FilePath;

impl Read for FilePath {
    type Output = PathBuf;

    fn shape() -> Shape {
        Shape::Text { form: "path of a file", pattern: Some(".") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<PathBuf> {
        let text: String = reader.read(place, &[])?;
        if text.trim().is_empty() {
            reader.error(place, format_args!("`{}` is empty; write the file's path", place.key()));
            return None;
        }
        if text.contains("://") {
            reader.error(place, "a URL instead of a path; write the path of a file");
            return None;
        }
        Some(text.into())
    }
}

/// A secret, which comes from the environment and is never written in the file.
pub(in crate::config) struct Secret;

impl Read for Secret {
    type Output = SecretText;

    fn shape() -> Shape {
        Shape::Text { form: "`${NAME}` alone", pattern: Some(r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<SecretText> {
        reader.secret(place)
    }
}

impl Read for SocketAddr {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Text { form: "IP address and port", pattern: Some(r":[0-9]+$") }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let address = place.node.text().and_then(|text| text.parse().ok());
        if address.is_none() {
            let message = "not an IP address with a port; write `127.0.0.1:8080` or `[::1]:8080`";
            reader.fixed_error(place, message);
        }
        address
    }
}

/// Milliseconds of a duration, as the bound of a [`Time`].
#[allow(clippy::cast_possible_truncation, reason = "no bound is that long")]
pub(in crate::config) const fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// Seconds, as the bound of a [`Time`].
pub(in crate::config) const fn seconds(seconds: u64) -> u64 {
    1_000 * seconds
}

/// Minutes, as the bound of a [`Time`].
pub(in crate::config) const fn minutes(minutes: u64) -> u64 {
    seconds(60 * minutes)
}

/// Hours, as the bound of a [`Time`].
pub(in crate::config) const fn hours(hours: u64) -> u64 {
    minutes(60 * hours)
}

/// Implements [`Read`] for types that serde reads. `required` names the keys a mapping must have.
macro_rules! from_serde {
    ($($Type:ty: $shape:expr $(, required $required:expr)?;)+) => {$(
        impl $crate::config::schema::Read for $Type {
            type Output = Self;

            fn shape() -> $crate::config::schema::Shape {
                $shape
            }

            fn read(
                reader: &mut $crate::config::reader::Reader,
                place: &$crate::config::reader::NodeRef<'_>,
            ) -> Option<Self> {
                let required: &[&[&str]] = &[$(&$required)?];
                reader.read(place, &required.concat())
            }
        }
    )+};
}
pub(in crate::config) use from_serde;

/// Implements [`Read`] for types that are parsed from a text.
macro_rules! from_text {
    ($($Type:ty: $shape:expr;)+) => {$(
        impl $crate::config::schema::Read for $Type {
            type Output = Self;

            fn shape() -> $crate::config::schema::Shape {
                $shape
            }

            fn read(
                reader: &mut $crate::config::reader::Reader,
                place: &$crate::config::reader::NodeRef<'_>,
            ) -> Option<Self> {
                reader.parse(place)
            }
        }
    )+};
}
pub(in crate::config) use from_text;

from_serde! {
    bool: Shape::Switch;
    String: Shape::Text { form: "text", pattern: None };
    PathBuf: Shape::Text { form: "path of a file", pattern: None };
}
