//! The schema of the file: the keys of each level, and the values they accept.
//!
//! Each level is a [`document!`](document): one table from which the reader takes the known keys,
//! types and bounds, and from which the configuration reference and the JSON Schema are made.

mod application;
mod document;
mod field;
mod json_schema;
mod leaf;
pub(super) mod levels;
mod objects;
mod objects_macro;
mod objects_rule;
mod reference;
mod shape;

pub(super) use self::document::{Entries, Read, document};
pub(super) use self::field::{Field, Written};
pub(super) use self::leaf::{
    FilePath, NonEmpty, Port, Secret, Time, Whole, from_serde, from_text, hours, millis, minutes,
    seconds,
};
pub(super) use self::shape::{Acceptance, Key, KeyShape, Level, OtherKeys, Presence, Shape};
