//! Why nothing could be imported.

use crate::config::ConfigErrors;

/// Why files could not be imported at all.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file that is no JSON.
    #[error("{file}: no JSON: {message}")]
    Json {
        /// The file.
        file: String,
        /// What is wrong, with line and column.
        message: String,
    },
    /// An answer of the API that says what went wrong, in the place of objects.
    #[error("{file}: the API refused the request: {message}; ask it again")]
    Refused {
        /// The file.
        file: String,
        /// The API's messages.
        message: String,
    },
    /// Pages of the list of applications are missing: what they protect would be left to others.
    #[error(
        "{file}: {found} of {total} applications; give the other pages as well, or an application \
         that is less specific would take the place of one that is missing"
    )]
    PagesMissing {
        /// A file with one of the pages.
        file: String,
        /// How many applications there are in the pages given.
        found: u64,
        /// How many there are.
        total: u64,
    },
    /// Two versions of one object, and no telling which is newer.
    #[error(
        "{first} and {second}: {object} has two versions, different in `{key}`; give one of them alone"
    )]
    TwoVersions {
        /// The first file.
        first: String,
        /// The second file.
        second: String,
        /// The object.
        object: String,
        /// The key that differs.
        key: String,
    },
    /// Nothing to protect.
    #[error("there is no application with a public host in these files")]
    NoApplication,
    /// What would be written is not a good configuration.
    #[error("what was found does not make a good configuration:\n{0}")]
    NotLoadable(ConfigErrors),
}
