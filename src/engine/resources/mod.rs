//! Resources that a request acts on besides the one in its request target.
//!
//! WebDAV (RFC 4918) names a second resource in `Destination` and further ones in `If`; object
//! stores name the source of a copy in a header of their own; `DELETE`, `MOVE` and `PROPFIND` act on
//! everything below a collection. A client that may not request such a resource must not reach it
//! through one of these either.
//!
//! This module reads them, as strictly as the path of a request: ambiguous references are refused. It
//! decides nothing. The docs of [`layer`](crate::layer) say what is read, and how.

mod header;
mod members;
mod reference;
mod tagged_list;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};

use crate::application::{CanonicalHost, CanonicalPath};

use self::header::{HeaderKind, Headers};
pub(crate) use self::members::Members;
use self::members::is_usual;
use self::reference::Reference;

/// The resources that a request acts on besides its request target.
#[derive(Clone, Debug)]
pub(crate) struct Resources {
    /// Resources that headers name.
    pub(crate) named: Vec<NamedResource>,
    /// The part of its own host that it acts on as well.
    pub(crate) members: Members,
    /// The headers that have to be rewritten, in canonical form.
    pub(crate) rewritten: Vec<(HeaderName, HeaderValue)>,
}

/// A resource that a header names.
#[derive(Clone, Debug)]
pub(crate) struct NamedResource {
    pub(crate) host: CanonicalHost,
    pub(crate) path: CanonicalPath<'static>,
    /// Whether the request acts on everything below it as well.
    pub(crate) with_members: bool,
}

impl Resources {
    /// Reads the resources of a request to a canonical host and path. `None` for nearly every request:
    /// that takes a look at the method and the first letters of the header names.
    ///
    /// # Errors
    ///
    /// If a header is ambiguous, or there are more than [`MAX_RESOURCES`].
    pub(crate) fn read(
        method: &Method,
        headers: &HeaderMap,
        host: &CanonicalHost,
        path: &str,
    ) -> Result<Option<Self>, ResourceError> {
        let found = Headers::scan(headers);
        if found.is_empty() && is_usual(method) {
            return Ok(None);
        }
        let methods = || {
            let overrides = found.lines(headers, HeaderKind::MethodOverride);
            // Some programs take the first of a list.
            let overrides = overrides.flat_map(|(_, line)| line.as_bytes().split(|it| *it == b','));
            let overrides = overrides.map(<[u8]>::trim_ascii);
            std::iter::once(method.as_str().as_bytes()).chain(overrides)
        };
        let depths = found.lines(headers, HeaderKind::Depth).map(|(_, line)| line);
        let mut resources = Self {
            named: Vec::new(),
            members: Members::new(methods(), depths),
            rewritten: Vec::new(),
        };
        if found.lines(headers, HeaderKind::Account).next().is_some() {
            return Err(ResourceError::Ambiguous);
        }
        let is_transfer = methods().any(|method| {
            method.eq_ignore_ascii_case(b"MOVE") || method.eq_ignore_ascii_case(b"COPY")
        });
        resources.read_destination(&found, headers, host, is_transfer)?;
        resources.read_conditions(&found, headers, host)?;
        resources.read_sources(&found, headers, host, path)?;
        Ok(Some(resources))
    }

    fn read_destination(
        &mut self,
        found: &Headers,
        headers: &HeaderMap,
        host: &CanonicalHost,
        is_transfer: bool,
    ) -> Result<(), ResourceError> {
        let mut lines = found
            .lines(headers, HeaderKind::Destination)
            .filter(|(_, line)| is_transfer || looks_like_reference(line.as_bytes()));
        let Some((name, line)) = lines.next() else { return Ok(()) };
        if lines.next().is_some() || headers.get_all(name).iter().count() > 1 {
            return Err(ResourceError::Ambiguous);
        }
        let reference = Reference::parse(text(line)?)?;
        // An origin reached without TLS refuses a target with `https`; every origin accepts a path
        // (`Simple-ref` of RFC 4918, section 8.3).
        let canonical = if is_transfer { reference.shortened(host) } else { reference.canonical() };
        self.add(&reference, host, is_transfer)?;
        self.rewrite(name, line, &canonical)
    }

    fn read_conditions(
        &mut self,
        found: &Headers,
        headers: &HeaderMap,
        host: &CanonicalHost,
    ) -> Result<(), ResourceError> {
        let mut lines = found.lines(headers, HeaderKind::If);
        let Some((name, line)) = lines.next() else { return Ok(()) };
        if lines.next().is_some() {
            return Err(ResourceError::Ambiguous);
        }
        let mut canonical = String::with_capacity(line.len());
        for piece in tagged_list::pieces(text(line)?)? {
            match piece {
                tagged_list::Piece::Tag(tag) => {
                    let reference = Reference::parse(tag)?;
                    self.add(&reference, host, false)?;
                    canonical.extend(["<", &reference.shortened(host), ">"]);
                }
                tagged_list::Piece::Text(text) => canonical.push_str(text),
            }
        }
        self.rewrite(name, line, &canonical)
    }

    fn read_sources(
        &mut self,
        found: &Headers,
        headers: &HeaderMap,
        host: &CanonicalHost,
        path: &str,
    ) -> Result<(), ResourceError> {
        for (name, line) in found.lines(headers, HeaderKind::CopySource) {
            if headers.get_all(name).iter().count() > 1 {
                return Err(ResourceError::Ambiguous);
            }
            let written = text(line)?;
            let is_reference = looks_like_reference(written.as_bytes());
            let absolute = if is_reference { written.to_owned() } else { format!("/{written}") };
            let reference = Reference::parse(&absolute)?;
            self.add(&reference, host, false)?;
            if header::is_account_relative(name)
                && let Some(below_account) = reference.below_account_of(path)
            {
                self.add(&Reference::parse(&below_account)?, host, false)?;
            }
            let canonical = reference.canonical();
            let canonical = canonical.get(usize::from(!is_reference)..).unwrap_or_default();
            self.rewrite(name, line, canonical)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        reference: &Reference<'_>,
        own_host: &CanonicalHost,
        with_members: bool,
    ) -> Result<(), ResourceError> {
        if self.named.len() == MAX_RESOURCES {
            return Err(ResourceError::TooMany);
        }
        let host = reference.host().unwrap_or(own_host).clone();
        let path = reference.path().clone().into_owned();
        self.named.push(NamedResource { host, path, with_members });
        Ok(())
    }

    fn rewrite(
        &mut self,
        name: &HeaderName,
        line: &HeaderValue,
        canonical: &str,
    ) -> Result<(), ResourceError> {
        if line.as_bytes() != canonical.as_bytes() {
            let value = HeaderValue::from_str(canonical).map_err(|_| ResourceError::Ambiguous)?;
            self.rewritten.push((name.clone(), value));
        }
        Ok(())
    }
}

/// An error in the resources that a request acts on besides its request target; see
/// [`layer`](crate::layer#requests-that-act-on-more-than-their-target).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceError {
    /// A header names another resource ambiguously: 400.
    #[error("a header names another resource ambiguously")]
    Ambiguous,
    /// The headers name more than 16 resources: 400.
    #[error("the headers name more than 16 other resources")]
    TooMany,
    /// A header names a resource that no application covers, or an endpoint of the login: 403.
    #[error("a header names another resource that no application covers")]
    NotCovered,
    /// The request acts on resources of more than 16 other applications: 403.
    #[error("the request acts on resources of more than 16 other applications")]
    TooManyApplications,
}

/// Returns whether a value looks like an absolute path or an HTTP URL.
fn looks_like_reference(value: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    let begins_with = |scheme: &[u8]| {
        value.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    value.first() == Some(&b'/') || begins_with(b"http:") || begins_with(b"https:")
}

fn text(line: &HeaderValue) -> Result<&str, ResourceError> {
    line.to_str().map_err(|_| ResourceError::Ambiguous)
}

/// The maximum of resources in the headers of a request, and of further applications.
pub(crate) const MAX_RESOURCES: usize = 16;

#[cfg(test)]
mod tests;
