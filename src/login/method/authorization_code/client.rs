//! The client at the provider, and its requests to the token endpoint.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::authentication::ClientAuthentication;
use super::tokens::{TokenError, Tokens, read_answer};
use crate::secret::SecretText;
use crate::util::fetch::{Fetch, Request};

/// The client that this server is to a provider.
#[derive(Clone, Debug)]
pub(in crate::login::method) struct Client {
    pub(in crate::login::method) id: Box<str>,
    pub(in crate::login::method) secret: SecretText,
}

/// What tokens are requested for.
#[derive(Clone, Copy, Debug)]
pub(in crate::login::method) enum Grant<'a> {
    Code { code: &'a str, redirect_uri: &'a str, verifier: &'a str },
    RefreshToken(&'a SecretText),
}

impl Client {
    /// Requests tokens. The time limit is that of `fetch`.
    pub(in crate::login::method) async fn request_tokens(
        &self,
        fetch: &dyn Fetch,
        endpoint: &Url,
        authentication: ClientAuthentication,
        grant: Grant<'_>,
    ) -> Result<Tokens, TokenError> {
        let request = self.request(endpoint, authentication, grant);
        let reply = fetch.send(request).await;
        let reply = reply.map_err(|error| TokenError::Unavailable(error.to_string()))?;
        read_answer(reply.status, &reply.body).map_err(|error| match error {
            TokenError::Refused { error, description, .. } => {
                TokenError::Refused { error, description, authentication }
            }
            error => error,
        })
    }

    fn request(
        &self,
        endpoint: &Url,
        authentication: ClientAuthentication,
        grant: Grant<'_>,
    ) -> Request {
        let mut form = Serializer::new(String::new());
        match grant {
            Grant::Code { code, redirect_uri, verifier } => form
                .append_pair("grant_type", "authorization_code")
                .append_pair("code", code)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("code_verifier", verifier),
            Grant::RefreshToken(token) => form
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose()),
        };
        if authentication == ClientAuthentication::Post {
            form.append_pair("client_id", &self.id);
            form.append_pair("client_secret", self.secret.expose());
        }
        // GitHub sends a form unless it is asked for JSON.
        let json = HeaderValue::from_static("application/json");
        let request = Request::post_form(endpoint, form.finish(), MAX_ANSWER_BYTES)
            .header(ACCEPT, json)
            .take_any_status();
        match authentication {
            ClientAuthentication::Post => request,
            ClientAuthentication::Basic => request.header(AUTHORIZATION, self.basic()),
        }
    }

    fn basic(&self) -> HeaderValue {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.id), encoded(self.secret.expose()));
        let line = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair)));
        // Base64 is always a header value.
        let mut line = line.unwrap_or_else(|_| HeaderValue::from_static("Basic"));
        line.set_sensitive(true);
        line
    }
}

/// Enough for an ID token with hundreds of groups.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn request(authentication: ClientAuthentication) -> (Option<String>, String) {
        let client = Client { id: "my app".into(), secret: "p+q%&=ü".to_owned().into() };
        let grant =
            Grant::Code { code: "c&d", redirect_uri: "https://login.example/cb", verifier: "v" };
        let endpoint = Url::parse("https://idp.example/token?tenant=1").unwrap();
        let request = client.request(&endpoint, authentication, grant);
        assert_eq!(request.url, endpoint);
        assert_eq!(request.headers[ACCEPT], "application/json");
        let line = request.headers.get(AUTHORIZATION).map(|line| line.to_str().unwrap().to_owned());
        (line, String::from_utf8(request.body.unwrap().to_vec()).unwrap())
    }

    #[test]
    fn the_secret_is_sent_once_and_encoded() {
        let form = "grant_type=authorization_code&code=c%26d\
                    &redirect_uri=https%3A%2F%2Flogin.example%2Fcb&code_verifier=v";
        let secret = "&client_id=my+app&client_secret=p%2Bq%25%26%3D%C3%BC";
        assert_eq!(request(ClientAuthentication::Post), (None, format!("{form}{secret}")));
        let (line, body) = request(ClientAuthentication::Basic);
        let pair = STANDARD.encode("my+app:p%2Bq%25%26%3D%C3%BC");
        assert_eq!((line, body), (Some(format!("Basic {pair}")), form.to_owned()));
    }

    #[test]
    fn secrets_do_not_print() {
        let client = Client { id: "app".into(), secret: "hush".to_owned().into() };
        let grant = Grant::RefreshToken(&client.secret);
        assert!(!format!("{client:?} {grant:?}").contains("hush"));
    }
}
