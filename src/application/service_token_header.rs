//! The header that an application reads service tokens from.

use http::header::{self, HeaderName};

use super::settings::Application;

impl Application {
    /// Also reads service tokens from one header with JSON that has the keys `cf-access-client-id` and
    /// `cf-access-client-secret`: for clients that can set only `Authorization`.
    /// `read_service_tokens_from_header`.
    ///
    /// ```http
    /// Authorization: {"cf-access-client-id": "9c0d….access", "cf-access-client-secret": "…"}
    /// ```
    ///
    /// A header with a service token, valid or not, is never passed on; any other value is. A request that also
    /// has the two standard headers is refused. Where tokens are only verified, the header grants nothing, and
    /// is still not passed on.
    ///
    /// # Errors
    ///
    /// If it is not a header name, or the name of a reserved header.
    pub fn read_service_tokens_from_header(
        mut self,
        name: &str,
    ) -> Result<Self, ServiceTokenHeaderError> {
        let refuse = || ServiceTokenHeaderError { name: name.chars().take(80).collect() };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
        if RESERVED_HEADERS.contains(&name) || crate::headers::is_identity_header(name.as_str()) {
            return Err(refuse());
        }
        self.service_token_header = Some(name);
        Ok(self)
    }
}

/// A header from which service tokens cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "service tokens cannot be read from the header `{name}`: write a header without another \
     meaning, such as `Authorization`"
)]
pub struct ServiceTokenHeaderError {
    name: Box<str>,
}

/// Headers for framing, routing and forwarding.
const RESERVED_HEADERS: &[HeaderName] = &[
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
