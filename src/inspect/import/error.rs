//! Errors of an import.

use crate::config::ConfigErrors;

/// A reason why files could not be imported.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A file is not valid JSON.
    #[error("{file}: invalid JSON: {message}")]
    Json {
        /// The file.
        file: String,
        /// The error, with line and column.
        message: String,
    },
    /// A file contains an error response of the API.
    #[error("{file}: the API refused the request: {message}; export it again")]
    Refused {
        /// The file.
        file: String,
        /// The API's messages.
        message: String,
    },
    /// Pages of the list of applications are missing; less specific applications would take the place of
    /// the missing ones.
    #[error(
        "{file}: {found} of {total} applications; import the other pages as well: otherwise less specific \
         applications would take the place of the missing ones"
    )]
    PagesMissing {
        /// A file with one of the pages.
        file: String,
        /// The number of applications in these pages.
        found: u64,
        /// The number of applications in all pages.
        total: u64,
    },
    /// There are two versions of one object, and neither is known to be newer.
    #[error(
        "{first} and {second}: {object} has two versions, which differ in `{key}`; import only one"
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
    /// There is no application to protect.
    #[error("there is no application with a public host in these files")]
    NoApplication,
    /// The result would not be a valid configuration.
    #[error("the result would not be a valid configuration:\n{0}")]
    NotLoadable(ConfigErrors),
}
