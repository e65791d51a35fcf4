//! Errors of destinations.

/// A text that is not a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// `https://…`.
    #[error("a domain has no scheme: write `wiki.example.com/docs`")]
    Scheme,
    /// `…:https`: a colon without a port number.
    #[error(
        "no port number after the colon: write `wiki.example.com/docs`, which covers every port"
    )]
    Port,
    /// `…:8443` in the domain of an application, which covers every port.
    #[error(
        "a domain has no port and covers every port: write `wiki.example.com/docs`, and set the public \
         port with `AccessBuilder::public_addresses` (in a file `public_port`)"
    )]
    PublicPort,
    /// `…?x=1`, `…#top`.
    #[error("a domain has no query and no fragment: write `wiki.example.com/docs`")]
    Query,
    /// An invalid host name, or an invalid wildcard in it.
    #[error(
        "invalid host name: write `wiki.example.com` or `*.example.com`, at most one `*` between two dots"
    )]
    Host,
    /// An invalid path, or an invalid wildcard in it.
    #[error(
        "invalid path: write `/docs` or `/docs/*`, at most one `*` between two slashes, no `..`"
    )]
    Path,
}
