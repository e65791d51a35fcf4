//! The host of a destination: a name, or labels with wildcards.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::destination_error::DestinationError;
use super::host::CanonicalHost;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct HostPattern {
    /// In lower case, without port and without trailing dot.
    text: Box<str>,
    /// The patterns of the host's labels; empty for a host without wildcard.
    labels: Box<[Label]>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Label {
    Exact(Box<str>),
    /// Any text between the two parts, but not an empty label.
    Wildcard {
        before: Box<str>,
        after: Box<str>,
    },
}

impl HostPattern {
    pub(crate) fn matches(&self, host: &str) -> bool {
        if self.is_exact() {
            return *self.text == *host;
        }
        // The dots of `[::ffff:192.0.2.1]` do not separate labels.
        if host.starts_with('[') {
            return false;
        }
        let mut left = host.split('.');
        self.labels.iter().all(|label| left.next().is_some_and(|text| label.matches(text)))
            && left.next().is_none()
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.labels.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the labels of a host with wildcards.
    pub(crate) fn labels(&self) -> &[Label] {
        &self.labels
    }
}

impl Label {
    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Wildcard { before, after } => {
                text.len() >= (before.len() + after.len()).max(1)
                    && text.starts_with(&**before)
                    && text.ends_with(&**after)
            }
        }
    }
}

impl FromStr for HostPattern {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, DestinationError> {
        let text = to_ascii(without_port(text)?)?;
        // Checks the rest as a plain host, with a letter for each wildcard.
        let plain = text.replace('*', "x");
        let host: CanonicalHost = plain.parse().map_err(|_| DestinationError::Host)?;
        if !text.contains('*') {
            return Ok(Self { text: host.as_str().into(), labels: Box::default() });
        }
        let text = text.to_ascii_lowercase();
        let text = text.strip_suffix('.').unwrap_or(&text);
        // `*` or `*.*` would cover every host.
        if text.bytes().all(|byte| matches!(byte, b'*' | b'.')) {
            return Err(DestinationError::Host);
        }
        let labels = text.split('.').map(|label| match label.split_once('*') {
            None => Ok(Label::Exact(label.into())),
            Some((_, after)) if after.contains('*') => Err(DestinationError::Host),
            Some((before, after)) => {
                Ok(Label::Wildcard { before: before.into(), after: after.into() })
            }
        });
        Ok(Self { labels: labels.collect::<Result<_, _>>()?, text: text.into() })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Removes the port: a request's host is compared without its port, too.
fn without_port(text: &str) -> Result<&str, DestinationError> {
    let end =
        if text.starts_with('[') { text.rfind(']').map(|end| end + 1) } else { text.find(':') };
    let (host, port) = text.split_at(end.unwrap_or(text.len()));
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(host),
        None => Err(DestinationError::Host),
        // An IPv6 address without brackets.
        Some(port) if port.contains(':') => Err(DestinationError::Host),
        Some(port) => {
            let is_port =
                port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
            if is_port { Ok(host) } else { Err(DestinationError::Port) }
        }
    }
}

/// Converts non-ASCII labels as in requests: `bücher` becomes `xn--bcher-kva`.
///
/// A label that would become plain ASCII imitates a name, and one with a wildcard has no such form: both
/// are refused.
fn to_ascii(text: &str) -> Result<Cow<'_, str>, DestinationError> {
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text));
    }
    let label_to_ascii = |label: &str| {
        if label.is_ascii() {
            return Ok(label.to_owned());
        }
        if label.contains(['*', '%']) {
            return Err(DestinationError::Host);
        }
        match url::Host::parse(label) {
            Ok(url::Host::Domain(name)) if name.starts_with("xn--") && !name.contains('.') => {
                Ok(name)
            }
            Ok(_) | Err(_) => Err(DestinationError::Host),
        }
    };
    let labels: Vec<String> = text.split('.').map(label_to_ascii).collect::<Result<_, _>>()?;
    Ok(Cow::Owned(labels.join(".")))
}
