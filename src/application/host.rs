//! The canonical form of a request's host.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::Ipv6Addr;
use std::str::FromStr;

use http::HeaderMap;
use http::header::HOST;
use http::uri::Uri;

/// The host of a request: lower case, without port and without trailing dot.
///
/// Names are plain ASCII (`xn--` labels are compared as they are); IP addresses are allowed. A host that
/// programs could read differently is refused.
///
/// ```
/// use tower_access::application::CanonicalHost;
///
/// let host: CanonicalHost = "Wiki.Example.COM.:8443".parse()?;
/// assert_eq!(host.as_str(), "wiki.example.com");
/// assert!("user@wiki.example.com".parse::<CanonicalHost>().is_err());
/// # Ok::<(), tower_access::application::HostError>(())
/// ```
#[derive(Clone)]
pub struct CanonicalHost(HostKind);

/// Nearly all hosts are short: those need no allocation.
#[derive(Clone)]
enum HostKind {
    Short { length: u8, bytes: Aligned },
    Long(Box<str>),
}

/// Aligned to words, so that a check of its text takes few steps.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Aligned([u8; SHORT]);

impl CanonicalHost {
    /// Returns the host of a request: from the request target if it has one, else from `Host`.
    ///
    /// # Errors
    ///
    /// If there is no host or more than one, if the request target and `Host` differ, or if the host is
    /// invalid.
    pub fn from_request(uri: &Uri, headers: &HeaderMap) -> Result<Self, HostError> {
        let mut lines = headers.get_all(HOST).iter();
        let header = match (lines.next(), lines.next()) {
            (None, _) => None,
            (Some(line), None) => Some(line.as_bytes()),
            (Some(_), Some(_)) => return Err(HostError),
        };
        match (uri.authority(), header) {
            (None, None) => Err(HostError),
            (None, Some(header)) => Self::from_bytes(header),
            (Some(authority), None) => authority.as_str().parse(),
            (Some(authority), Some(header)) => {
                let host: Self = authority.as_str().parse()?;
                if host == Self::from_bytes(header)? { Ok(host) } else { Err(HostError) }
            }
        }
    }

    /// Returns the host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            HostKind::Short { length, bytes: Aligned(bytes) } => bytes
                .get(..usize::from(*length))
                .and_then(|bytes| std::str::from_utf8(bytes).ok())
                .unwrap_or_default(),
            HostKind::Long(name) => name,
        }
    }

    /// Parses a host with or without a port. Bytes other than those of plain names are invalid, except
    /// in an IPv6 address.
    fn from_bytes(text: &[u8]) -> Result<Self, HostError> {
        if text.first() == Some(&b'[') {
            let text = std::str::from_utf8(text).map_err(|_| HostError)?;
            let (address, port) = text.rsplit_once(']').ok_or(HostError)?;
            check_port(port.as_bytes())?;
            let address: Ipv6Addr =
                address.get(1..).and_then(|inner| inner.parse().ok()).ok_or(HostError)?;
            return Self::lowered(format!("[{address}]").as_bytes());
        }
        let mut label = 0;
        let mut end = text.len();
        for (index, byte) in text.iter().copied().enumerate() {
            if is_plain(byte) && label < 63 {
                label += 1;
            } else if byte == b'.' && label > 0 {
                label = 0;
            } else if byte == b':' {
                end = index;
                break;
            } else {
                return Err(HostError);
            }
        }
        let (name, port) = text.split_at_checked(end).ok_or(HostError)?;
        check_port(port)?;
        // A trailing dot is the DNS root.
        let name = name.strip_suffix(b".").unwrap_or(name);
        if (1..=253).contains(&name.len()) { Self::lowered(name) } else { Err(HostError) }
    }

    /// Converts a plain name to lower case.
    fn lowered(name: &[u8]) -> Result<Self, HostError> {
        let mut bytes = [0; SHORT];
        if let (Some(place), Ok(length)) = (bytes.get_mut(..name.len()), u8::try_from(name.len())) {
            place.copy_from_slice(name);
            place.make_ascii_lowercase();
            return Ok(Self(HostKind::Short { length, bytes: Aligned(bytes) }));
        }
        let name = std::str::from_utf8(name).map_err(|_| HostError)?;
        Ok(Self(HostKind::Long(name.to_ascii_lowercase().into())))
    }

    /// Returns whether this is `localhost` or a name below it: always this machine, served without TLS.
    #[must_use]
    pub fn is_localhost(&self) -> bool {
        let name = self.as_str();
        name == "localhost" || name.ends_with(".localhost")
    }
}

impl FromStr for CanonicalHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl PartialEq for CanonicalHost {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for CanonicalHost {}

impl Hash for CanonicalHost {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for CanonicalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CanonicalHost").field(&self.as_str()).finish()
    }
}

impl fmt::Display for CanonicalHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for CanonicalHost {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for CanonicalHost {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A missing, ambiguous or invalid host.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the host is missing, ambiguous or invalid")]
pub struct HostError;

/// Returns whether a byte is a letter, digit, hyphen or underscore.
fn is_plain(byte: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "checked at compile time")]
    const PLAIN: [bool; 256] = {
        let mut plain = [false; 256];
        let mut byte = 0;
        while byte < plain.len() {
            plain[byte] =
                matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_');
            byte += 1;
        }
        plain
    };
    PLAIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Checks that `text` is empty, or a colon and a port.
fn check_port(text: &[u8]) -> Result<(), HostError> {
    let Some(port) = text.strip_prefix(b":") else {
        return if text.is_empty() { Ok(()) } else { Err(HostError) };
    };
    let digits = (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    let port = std::str::from_utf8(port).map_err(|_| HostError)?;
    if digits && port.parse::<u16>().is_ok() { Ok(()) } else { Err(HostError) }
}

/// With the length and a tag, a host takes 40 bytes.
const SHORT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn host(text: &str) -> Result<String, HostError> {
        text.parse::<CanonicalHost>().map(|host| host.as_str().to_owned())
    }

    #[test]
    fn host_01_case_dot_and_port_make_no_difference() {
        for text in
            ["app.example", "APP.Example", "app.example.", "app.example:443", "app.example.:8443"]
        {
            assert_eq!(host(text).as_deref(), Ok("app.example"), "{text}");
        }
        assert_eq!(host("[::1]:8080").as_deref(), Ok("[::1]"));
        assert_eq!(host("[2001:DB8:0::1]").as_deref(), Ok("[2001:db8::1]"));
        assert_eq!(host("127.0.0.1:80").as_deref(), Ok("127.0.0.1"));
    }

    #[test]
    fn host_02_host_05_host_06_what_is_not_plain_is_refused() {
        for text in [
            "",
            " app.example",
            "app.example ",
            "app\texample",
            "a, b",
            "user@app.example",
            "app.example/admin",
            "app.example#x",
            "a\";for=10.0.0.1",
            "app..example",
            ".app.example",
            "app.example..",
            "app.example:",
            "app.example:99999",
            "app.example:80:80",
            "app.example:x",
            "*.app.example",
            "app\u{ff0e}example",
            "bücher.example",
            "[fe80::1%25eth0]",
            "[::1",
            "::1",
            "[::1]x",
        ] {
            assert_eq!(host(text), Err(HostError), "{text:?}");
        }
    }

    #[test]
    fn host_03_host_04_exactly_one_host_is_needed() {
        let headers = |lines: &[&str]| {
            let mut map = HeaderMap::new();
            for line in lines {
                map.append(HOST, HeaderValue::from_str(line).unwrap());
            }
            map
        };
        let of = |uri: &str, lines: &[&str]| {
            CanonicalHost::from_request(&uri.parse().unwrap(), &headers(lines))
        };
        assert!(of("/x", &[]).is_err());
        assert!(of("/x", &["a.example", "b.example"]).is_err());
        assert!(of("/x", &["a.example", "a.example"]).is_err());
        assert!(of("http://evil.example/x", &["a.example"]).is_err());
        assert!(of("http://a.example/x", &["A.example:80"]).is_ok());
        assert!(of("https://a.example/x", &[]).is_ok());
    }
}
