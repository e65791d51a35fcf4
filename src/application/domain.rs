//! The team domain: the host that runs the login and issues tokens.

use std::fmt;
use std::str::FromStr;

use super::host::CanonicalHost;

/// The host that runs the login: `acme.cloudflareaccess.com`, `login.example.com`.
///
/// Issuer and addresses are built from it: `https://` and the host, or, for `localhost` and names
/// below it, `http://`, the host and a port.
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
pub struct TeamDomain(CanonicalHost);

impl TeamDomain {
    /// The host.
    #[must_use]
    pub fn host(&self) -> &CanonicalHost {
        &self.0
    }

    /// The `iss` of its tokens: `https://` and the host, no slash at the end.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://{}", self.0)
    }
}

impl FromStr for TeamDomain {
    type Err = TeamDomainError;

    fn from_str(text: &str) -> Result<Self, TeamDomainError> {
        let name = text.strip_prefix("https://").unwrap_or(text);
        let refuse = || TeamDomainError { text: text.chars().take(80).collect() };
        let plain = name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)
        });
        let host: CanonicalHost = name.parse().map_err(|_| refuse())?;
        let named = plain && !name.ends_with('.') && (name.contains('.') || host.is_localhost());
        if named { Ok(Self(host)) } else { Err(refuse()) }
    }
}

impl fmt::Display for TeamDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no team domain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` is no team domain: write the whole host name in lower case, \
     such as `acme.cloudflareaccess.com` or `login.example.com`"
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
}
