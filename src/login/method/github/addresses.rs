//! The URLs of a GitHub server.

use url::{Host, Url};

use crate::util::trusted_url::{self, UntrustedUrl};

/// The URLs of a GitHub server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Addresses {
    base: Url,
    /// Where the browser is sent.
    pub(super) authorize: Url,
    /// Where a code is redeemed.
    pub(super) token: Url,
    /// The root of the API: ends with a slash.
    pub(super) api: Url,
}

/// The error of a base URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum AddressError {
    #[error(transparent)]
    Untrusted(#[from] UntrustedUrl),
    #[error("write only the scheme and the host, such as `https://github.example.com`")]
    NotRoot,
}

impl Addresses {
    /// Returns those of `https://github.com`, of an enterprise there with its own host
    /// (`https://NAME.ghe.com`), or of a GitHub Enterprise Server.
    pub(super) fn new(base_url: &str) -> Result<Self, AddressError> {
        let base = trusted_url::parse(base_url)?;
        if base.path() != "/" || base.query().is_some() {
            return Err(AddressError::NotRoot);
        }
        let at = |path: &str| base.join(path).map_err(|_| AddressError::NotRoot);
        let api = match base.host() {
            Some(Host::Domain(host)) if host == HOSTED || is_hosted_enterprise(host) => {
                let mut api = base.clone();
                api.set_host(Some(&format!("api.{host}"))).map_err(|_| AddressError::NotRoot)?;
                api
            }
            _ => at("/api/v3/")?,
        };
        Ok(Self {
            authorize: at("/login/oauth/authorize")?,
            token: at("/login/oauth/access_token")?,
            api,
            base,
        })
    }

    pub(super) fn base(&self) -> &str {
        self.base.as_str()
    }
}

fn is_hosted_enterprise(host: &str) -> bool {
    host.strip_suffix(".ghe.com").is_some_and(|name| !name.is_empty() && !name.contains('.'))
}

const HOSTED: &str = "github.com";
/// The base URL by default.
pub(super) const HOSTED_URL: &str = "https://github.com";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_its_api_below_its_own_host_and_github_com_on_another() {
        for (base, api) in [
            ("https://github.com", "https://api.github.com/"),
            ("https://GitHub.com/", "https://api.github.com/"),
            ("https://acme.ghe.com", "https://api.acme.ghe.com/"),
            ("https://github.example.com", "https://github.example.com/api/v3/"),
            ("https://github.example.com:8443", "https://github.example.com:8443/api/v3/"),
            // Names that only look like GitHub's.
            ("https://ghe.com", "https://ghe.com/api/v3/"),
            ("https://a.b.ghe.com", "https://a.b.ghe.com/api/v3/"),
            ("https://www.github.com.example", "https://www.github.com.example/api/v3/"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3/"),
        ] {
            let addresses = Addresses::new(base).unwrap();
            assert_eq!(addresses.api.as_str(), api, "{base}");
            assert!(addresses.authorize.path() == "/login/oauth/authorize");
            assert!(addresses.token.path() == "/login/oauth/access_token");
            assert_eq!(addresses.token.host(), Url::parse(base).unwrap().host());
        }
    }

    #[test]
    fn a_base_url_is_trusted_and_has_no_path() {
        for base in ["http://github.example.com", "https://a:b@github.com", "github.com"] {
            assert!(matches!(Addresses::new(base), Err(AddressError::Untrusted(_))), "{base}");
        }
        for base in
            ["https://github.example.com/api/v3", "https://github.com/?a", "https://github.com//"]
        {
            assert_eq!(Addresses::new(base), Err(AddressError::NotRoot), "{base}");
        }
    }
}
