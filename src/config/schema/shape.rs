//! Levels, keys and the shapes of their values, as data.

use std::time::Duration;

use crate::application::setting::Setting;

/// A mapping of the file with a fixed set of keys.
#[derive(Debug)]
pub(crate) struct Level {
    /// The key path, such as `access.one_time_pin`.
    pub(crate) path: &'static str,
    /// One or two sentences about it.
    pub(crate) summary: &'static str,
    pub(crate) keys: &'static [Key],
    /// The names of `keys`, in the same order.
    pub(crate) names: &'static [&'static str],
    /// Further keys, which are known without being read.
    pub(crate) others: &'static [OtherKeys],
}

/// Keys of a level that have no effect, or must not be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OtherKeys {
    pub(crate) names: &'static [&'static str],
    pub(crate) acceptance: Acceptance,
}

/// Which values of a key without effect are accepted, with the reason.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Acceptance {
    /// All.
    Ignored(&'static str),
    /// Those that switch it off: `false`, empty or null.
    Off(&'static str),
    /// As `Off`, and mappings that switch it off by this key with this value.
    OffBy { reason: &'static str, key: &'static str, value: bool },
    /// As `Off`, and this text, which is the default.
    OffOr { reason: &'static str, text: &'static str },
    /// `false` and null.
    False(&'static str),
    /// None: the key is an error.
    Refused(&'static str),
}

/// A key of a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) presence: Presence,
    /// A value, as YAML.
    pub(crate) example: &'static str,
    /// What Cloudflare calls it; `None` for keys of our own.
    pub(crate) cloudflare: Option<&'static str>,
    pub(crate) shape: KeyShape,
}

/// Where the shape of a key's value comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyShape {
    /// The type that is read.
    Type(fn() -> Shape),
    /// The table of an application's settings.
    Setting(fn(&Setting) -> Shape, &'static Setting),
}

impl Key {
    /// Returns the values that the key accepts.
    pub(crate) fn shape(&self) -> Shape {
        match self.shape {
            KeyShape::Type(shape) => shape(),
            KeyShape::Setting(shape, setting) => shape(setting),
        }
    }
}

/// The effect of omitting a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Presence {
    /// An error.
    Required,
    /// This value, or what these words describe; null is the same as omitting it. A text that is a value
    /// is in quotes.
    Default(&'static str),
    /// As `Default`, but null is an error.
    NotNull(&'static str),
}

/// The values that a key accepts.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Integer { min: i64, max: i64 },
    /// A duration such as `1h30m`.
    Duration { min: Duration, max: Duration },
    /// A text: a name for its form, and a regular expression if there is one.
    Text { form: &'static str, pattern: Option<&'static str> },
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list.
    List(Box<Self>),
    /// A mapping with keys of its own.
    Mapping(&'static Level),
    /// A mapping whose keys the user chooses.
    Map { keys: &'static str, values: Box<Self> },
    /// One of several shapes.
    AnyOf(Vec<Self>),
    /// Null as well, with the same effect as omitting the key.
    OrNull(Box<Self>),
    /// Accepted only if it is off: `false`, empty or null. With the reason.
    Off(&'static str),
}
