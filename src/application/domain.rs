//! The team domain: the host that runs the login and issues tokens.

use std::fmt;
use std::str::FromStr;

use super::host::CanonicalHost;

/// The host that runs the login: `acme.cloudflareaccess.com`, `login.example.com`.
///
/// Issuer and URLs are built from it: `https://` and the host, or, for `localhost` and names below it,
/// `http://`, the host and a port.
///
/// An external issuer may have a port other than 443, as `login.example.com:8443`, or no TLS on this
/// machine, as `http://localhost:3000`: exactly as in its tokens. For the host that runs the login here,
/// [`PublicAddresses`](super::PublicAddresses) sets the port.
///
/// ```
/// use tower_access::application::TeamDomain;
///
/// let team: TeamDomain = "acme.cloudflareaccess.com".parse()?;
/// assert_eq!(team.issuer(), "https://acme.cloudflareaccess.com");
/// assert!("acme.evil.example#.cloudflareaccess.com".parse::<TeamDomain>().is_err());
/// # Ok::<(), tower_access::application::TeamDomainError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct TeamDomain {
    host: CanonicalHost,
    /// The port in the issuer's name.
    port: Option<u16>,
    is_http: bool,
}

impl TeamDomain {
    /// Returns the host.
    #[must_use]
    pub fn host(&self) -> &CanonicalHost {
        &self.host
    }

    /// Returns the `iss` of its tokens: `https://`, the host, and the port if there is one, without a
    /// trailing slash.
    #[must_use]
    pub fn issuer(&self) -> String {
        let scheme = if self.is_http { "http" } else { "https" };
        format!("{scheme}://{}", self.authority())
    }

    /// Returns whether it has neither a port nor a scheme.
    pub(crate) fn is_host_alone(&self) -> bool {
        self.port.is_none() && !self.is_http
    }

    fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }
}

impl FromStr for TeamDomain {
    type Err = TeamDomainError;

    fn from_str(text: &str) -> Result<Self, TeamDomainError> {
        let refuse = || TeamDomainError { text: text.chars().take(80).collect() };
        let http = text.strip_prefix("http://");
        let is_http = http.is_some();
        let name = http.or_else(|| text.strip_prefix("https://")).unwrap_or(text);
        let (name, port) = match name.split_once(':') {
            None => (name, None),
            Some((name, digits)) => {
                // Only the canonical spelling.
                let port: u16 = digits.parse().map_err(|_| refuse())?;
                let usual = if is_http { 80 } else { 443 };
                if port == 0 || port == usual || port.to_string() != digits {
                    return Err(refuse());
                }
                (name, Some(port))
            }
        };
        let plain = name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
        });
        let host: CanonicalHost = name.parse().map_err(|_| refuse())?;
        let named = plain && !name.ends_with('.') && (name.contains('.') || host.is_localhost());
        if named && (!is_http || host.is_localhost()) {
            Ok(Self { host, port, is_http })
        } else {
            Err(refuse())
        }
    }
}

impl fmt::Display for TeamDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_http { "http://" } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

/// A text that is not a team domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` is not a team domain: write the whole host name in lower case, \
     such as `acme.cloudflareaccess.com` or `login.example.com`, with the port if the issuer's name \
     has one"
)]
pub struct TeamDomainError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_12_odd_team_names_are_refused() {
        for text in [
            "",
            "acme",
            "a/../b",
            "a.evil.example#",
            "a@evil.example",
            "Acme.example.com",
            "acme.example.com/",
            "http://acme.example.com",
            "https://acme.example.com/x",
            "acme.example.com:443",
            "acme.example.com:0",
            "acme.example.com:08443",
            "acme.example.com:+8443",
            "acme.example.com:",
            "acme.example.com:8443:1",
            "acme.example.com:84430",
            "http://acme.example.com:8443",
            "http://localhost:80",
            "http://https://localhost",
            "acme.example.com.",
            "[::1]",
            " acme.example.com",
        ] {
            assert!(text.parse::<TeamDomain>().is_err(), "{text:?}");
        }
        for text in [
            "acme.cloudflareaccess.com",
            "https://login.example.com",
            "localhost",
            "login.localhost",
        ] {
            assert!(text.parse::<TeamDomain>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn an_issuer_elsewhere_may_have_a_port() {
        for (text, issuer, shown) in [
            ("login.example.com", "https://login.example.com", "login.example.com"),
            (
                "https://login.example.com:8443",
                "https://login.example.com:8443",
                "login.example.com:8443",
            ),
            ("localhost", "https://localhost", "localhost"),
            ("http://localhost:3000", "http://localhost:3000", "http://localhost:3000"),
            ("http://login.localhost", "http://login.localhost", "http://login.localhost"),
        ] {
            let team: TeamDomain = text.parse().unwrap();
            assert_eq!((&*team.issuer(), &*team.to_string()), (issuer, shown));
            assert_eq!(shown.parse::<TeamDomain>().unwrap(), team);
        }
    }
}
