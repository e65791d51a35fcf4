//! The setting of an application that names a header for service tokens.

use http::header::{self, HeaderName};

use super::settings::Application;

impl Application {
    /// Takes service tokens from one header as well, which holds JSON with the keys
    /// `cf-access-client-id` and `cf-access-client-secret`: for programs that can set no other than
    /// `Authorization`. `read_service_tokens_from_header`.
    ///
    /// ```http
    /// Authorization: {"cf-access-client-id": "9c0d….access", "cf-access-client-secret": "…"}
    /// ```
    ///
    /// A header that holds a service token, good or bad, is never handed on; any other value of it
    /// is. Together with the usual two headers it is refused. Where tokens are only verified it proves
    /// nothing, and is kept from the origin all the same.
    ///
    /// # Errors
    ///
    /// When it is no name of a header, or of one that has a meaning of its own here.
    pub fn read_service_tokens_from_header(
        mut self,
        name: &str,
    ) -> Result<Self, ServiceTokenHeaderError> {
        let refuse = || ServiceTokenHeaderError { name: name.chars().take(80).collect() };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
        if TAKEN_HEADERS.contains(&name) || crate::headers::is_ours(name.as_str()) {
            return Err(refuse());
        }
        self.service_token_header = Some(name);
        Ok(self)
    }
}

/// A header that service tokens cannot be read from.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "service tokens cannot be read from a header `{name}`: write one that has no meaning of its own \
     on the way here, such as `Authorization`"
)]
pub struct ServiceTokenHeaderError {
    name: Box<str>,
}

/// Headers that say how a message travels, where to, or from whom.
const TAKEN_HEADERS: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn app(domain: &str) -> Application {
        Application::new("App", domain).unwrap()
    }

    #[test]
    fn service_tokens_are_read_from_headers_without_another_meaning() {
        for name in ["Authorization", "x-service-token"] {
            assert!(app("a.example").read_service_tokens_from_header(name).is_ok(), "{name}");
        }
        for name in
            ["", "a b", "Cookie", "host", "Connection", "cf-access-token", "Cf_Access_Client-Id"]
        {
            assert!(app("a.example").read_service_tokens_from_header(name).is_err(), "{name}");
        }
    }
}
