//! Declares the levels of the file.

use std::marker::PhantomData;

use super::field::{Field, Written};
use super::shape::{Level, Shape};
use crate::config::de::ReadError;
use crate::config::reader::{NodeRef, Reader};
use crate::config::tree::Value;

/// A value of the file: its shape, and how it is read.
pub(in crate::config) trait Read {
    /// The result of reading it.
    type Output;

    fn shape() -> Shape;

    /// Reads it. `None` goes with at least one reported error.
    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self::Output>;
}

/// Declares a level of the file: a struct with one [`Field`] for each key, and the table of these keys.
///
/// ```text
/// document! {
///     /// Limits of a listener.
///     pub(super) struct Listener in "limits.listen" {
///         /// The number of connections at a time; further ones wait.
///         "max_connections" max_connections: Whole<usize, 1, 1_000_000> {
///             default: "10000",
///             example: "500",
///         }
///     }
/// }
/// ```
///
/// `required: "hint"` instead of `default` makes omitting the key an error with this hint;
/// `cloudflare: "name"` is its name at Cloudflare or in cloudflared. `in "path" with TABLE` adds keys
/// that are known without being read: a slice of [`OtherKeys`](super::OtherKeys).
macro_rules! document {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Document:ident in $path:literal $(with $others:ident)? {
            $(
                $(#[doc = $summary:literal])+
                $name:literal $field:ident: $Value:ty {
                    $(required: $hint:literal,)?
                    $(default: $default:literal,)?
                    example: $example:literal,
                    $(cloudflare: $cloudflare:literal,)?
                }
            )*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Default)]
        #[allow(dead_code, reason = "some keys are read by their place")]
        $vis struct $Document {
            $(
                $(#[doc = $summary])+
                $vis $field:
                    $crate::config::schema::Field<<$Value as $crate::config::schema::Read>::Output>,
            )*
        }

        impl $Document {
            $vis const LEVEL: &'static $crate::config::schema::Level =
                &$crate::config::schema::Level {
                    path: $path,
                    summary: concat!($($about),+),
                    keys: &[$(
                        $crate::config::schema::Key {
                            name: $name,
                            summary: concat!($($summary),+),
                            presence: $crate::config::schema::document!(
                                @presence $(required $hint)? $(default $default)?
                            ),
                            example: $example,
                            cloudflare: $crate::config::schema::document!(
                                @cloudflare $($cloudflare)?
                            ),
                            shape: $crate::config::schema::KeyShape::Type(
                                <$Value as $crate::config::schema::Read>::shape,
                            ),
                        },
                    )*],
                    names: &[$($name),*],
                    others: $crate::config::schema::document!(@others $($others)?),
                };
        }

        impl $crate::config::schema::Read for $Document {
            type Output = Self;

            fn shape() -> $crate::config::schema::Shape {
                $crate::config::schema::Shape::Mapping(Self::LEVEL)
            }

            fn read(
                reader: &mut $crate::config::reader::Reader,
                place: &$crate::config::reader::NodeRef<'_>,
            ) -> Option<Self> {
                if !reader.level(place, Self::LEVEL) {
                    return None;
                }
                $($(reader.required(place, &[$name], $hint);)?)*
                Some(Self { $($field: reader.field::<$Value>(place, $name),)* })
            }
        }
    };
    (@presence required $hint:literal) => { $crate::config::schema::Presence::Required };
    (@presence default $default:literal) => { $crate::config::schema::Presence::Default($default) };
    (@cloudflare $name:literal) => { Some($name) };
    (@cloudflare) => { None };
    (@others $others:ident) => { $others };
    (@others) => { &[] };
}
pub(in crate::config) use document;

/// A list, with the position of each entry; invalid entries were reported.
impl<T: Read> Read for Vec<T> {
    type Output = Vec<Written<T::Output>>;

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self::Output> {
        if !matches!(place.node.value, Value::Sequence(_)) {
            let of_texts = matches!(T::shape(), Shape::Text { .. });
            reader.error(place, ReadError::not_a_list(place.node, of_texts));
            return None;
        }
        let read = |place: NodeRef<'_>| Written {
            at: place.at(),
            key_at: place.at(),
            value: T::read(reader, &place),
            path: place.path,
        };
        Some(place.items().map(read).collect())
    }
}

/// A list that [`Reader::entries`] reads: its entries stay in the tree.
#[allow(dead_code, reason = "describes a value, and is never one itself")]
pub(in crate::config) struct Entries<T>(PhantomData<T>);

impl<T: Read> Read for Entries<T> {
    type Output = ();

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn read(_: &mut Reader, _: &NodeRef<'_>) -> Option<()> {
        Some(())
    }
}

impl Reader {
    /// Reads the value of a key.
    pub(in crate::config) fn field<T: Read>(
        &mut self,
        parent: &NodeRef<'_>,
        key: &str,
    ) -> Field<T::Output> {
        let Some(place) = parent.get(key) else { return Field::default() };
        Field::new(Written {
            at: place.at(),
            key_at: parent.key_at(key),
            value: T::read(self, &place),
            path: place.path,
        })
    }

    /// Reads a list whose entries stay in the tree for later checks: see [`Entries`].
    pub(in crate::config) fn entries<'t, T: Read>(
        &mut self,
        parent: &NodeRef<'t>,
        key: &str,
    ) -> Vec<(NodeRef<'t>, Option<T::Output>)> {
        let places = self.list(parent, key);
        let read = |place: NodeRef<'t>| {
            let value = T::read(self, &place);
            (place, value)
        };
        places.into_iter().map(read).collect()
    }

    /// Reports keys that a level does not have. Any value but a mapping is an error and `false`.
    pub(in crate::config) fn level(&mut self, place: &NodeRef<'_>, level: &Level) -> bool {
        let others = level.others.iter().map(|others| others.names);
        let known: Vec<_> = std::iter::once(level.names).chain(others).collect();
        self.mapping(place, &known)
    }
}
