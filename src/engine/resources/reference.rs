//! A reference to a resource: an HTTP URL, or an absolute path.

use crate::application::{Ambiguity, CanonicalHost, CanonicalPath};

use super::ResourceError;

/// An unambiguous `https://host/path?query` or `/path?query`.
///
/// Has no userinfo, fragment, dot segments, or anything else that is refused in a request path. It
/// includes the port, which is not compared: applications cover every port.
#[derive(Clone, Debug)]
pub(super) struct Reference<'a> {
    origin: Option<Origin<'a>>,
    path: CanonicalPath<'a>,
    query: Option<&'a str>,
}

#[derive(Clone, Debug)]
struct Origin<'a> {
    scheme: &'static str,
    host: CanonicalHost,
    /// With its colon.
    port: &'a str,
}

impl<'a> Reference<'a> {
    /// # Errors
    ///
    /// If the text is invalid or ambiguous.
    pub(super) fn parse(text: &'a str) -> Result<Self, ResourceError> {
        if !text.bytes().all(may_stand_in_reference) {
            return Err(ResourceError::Ambiguous);
        }
        let (origin, rest) =
            if text.starts_with('/') { (None, text) } else { Origin::split(text)? };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        // Some programs read the query as a part of the path.
        if query.is_some_and(|query| query.contains(['/', '?'])) {
            return Err(ResourceError::Ambiguous);
        }
        let path = if path.is_empty() && origin.is_some() { "/" } else { path };
        let path =
            CanonicalPath::parse_with_ambiguities(path).map_err(|_| ResourceError::Ambiguous)?;
        // Ambiguities that an application allows are allowed only in the path of the request.
        if path.ambiguities().iter().any(|kind| kind != Ambiguity::EncodedSlash) {
            return Err(ResourceError::Ambiguous);
        }
        Ok(Self { origin, path, query })
    }

    /// Returns the host, if the reference has one.
    pub(super) fn host(&self) -> Option<&CanonicalHost> {
        self.origin.as_ref().map(|origin| &origin.host)
    }

    pub(super) fn path(&self) -> &CanonicalPath<'a> {
        &self.path
    }

    /// Returns the text as it was judged.
    pub(super) fn canonical(&self) -> String {
        let mut text = match &self.origin {
            Some(Origin { scheme, host, port }) => format!("{scheme}://{host}{port}"),
            None => String::new(),
        };
        text.push_str(self.path.served());
        if let Some(query) = self.query {
            text.push('?');
            text.push_str(query);
        }
        text
    }

    /// Returns the text as it was judged, without the origin if the host is this one.
    pub(super) fn shortened(&self, own_host: &CanonicalHost) -> String {
        let is_own = self.host() == Some(own_host);
        let origin = if is_own { None } else { self.origin.clone() };
        Self { origin, ..self.clone() }.canonical()
    }

    /// Returns the path below the account of a request target such as `/v1/ACCOUNT/container/object`.
    pub(super) fn below_account_of(&self, target: &str) -> Option<String> {
        let mut segments = target.split('/').skip(1).filter(|segment| !segment.is_empty());
        let (version, account) = (segments.next()?, segments.next()?);
        self.origin.is_none().then(|| format!("/{version}/{account}{}", self.path.served()))
    }
}

impl<'a> Origin<'a> {
    /// Splits a URL after its authority.
    fn split(text: &'a str) -> Result<(Option<Self>, &'a str), ResourceError> {
        let (scheme, rest) = text.split_once("://").ok_or(ResourceError::Ambiguous)?;
        let known = ["https", "http"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known));
        let scheme = known.ok_or(ResourceError::Ambiguous)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(ResourceError::Ambiguous)?;
        // Refuses userinfo: only a host and a port are valid.
        let host: CanonicalHost = authority.parse().map_err(|_| ResourceError::Ambiguous)?;
        let behind_host = authority.rfind(']').unwrap_or_default();
        let port = authority.get(behind_host..).and_then(|end| end.find(':'));
        let port = port.and_then(|colon| authority.get(behind_host + colon..)).unwrap_or_default();
        Ok((Some(Self { scheme, host, port }), rest))
    }
}

/// Returns `false` for blanks, controls, bytes beyond ASCII, quotes and angle brackets, which end a
/// reference in some programs, and for a backslash and a fragment.
fn may_stand_in_reference(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"<>\\#".contains(&byte)
}
