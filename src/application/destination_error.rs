//! The reasons why a text is not a destination.

/// A text that is not a destination.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// `https://…`.
    #[error("a domain has no scheme: write `wiki.example.com/docs`")]
    Scheme,
    /// `…:https`: a port, which would be left out, but none there is.
    #[error("no port number behind the colon: write `wiki.example.com/docs`, it is for every port")]
    Port,
    /// `…:8443` in the domain of an application, which is for every port.
    #[error(
        "a domain has no port, and is for every port: write `wiki.example.com/docs`, and say with \
         `AccessBuilder::public_addresses` (in a file `public_port`) which port people use"
    )]
    PublicPort,
    /// `…?x=1`, `…#top`.
    #[error("a domain has no query and no fragment: write `wiki.example.com/docs`")]
    Query,
    /// Not a host name, or a wildcard where none may be.
    #[error(
        "no host name: write `wiki.example.com` or `*.example.com`, one `*` between two dots at most"
    )]
    Host,
    /// Not a plain path, or a wildcard too many.
    #[error(
        "no plain path: write `/docs` or `/docs/*`, one `*` between two slashes at most, no `..`"
    )]
    Path,
}
