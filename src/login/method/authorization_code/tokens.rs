//! The token endpoint's answer, read liberally: providers differ in all that does not matter.

use std::fmt;

use http::StatusCode;
use serde_json::{Map, Value};

use super::authentication::ClientAuthentication;
use super::quoted::quoted;
use crate::secret::SecretText;

/// Tokens of a provider.
#[derive(Debug)]
pub(in crate::login::method) struct Tokens {
    pub(in crate::login::method) access_token: SecretText,
    pub(in crate::login::method) id_token: Option<SecretText>,
    pub(in crate::login::method) refresh_token: Option<SecretText>,
    /// The granted scopes; `None` if the answer does not say.
    pub(in crate::login::method) scopes: Option<Vec<Box<str>>>,
}

/// Why there are no tokens.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::login::method) enum TokenError {
    /// No response, or one that is too late or too large.
    Unavailable(String),
    /// A response that is neither an error nor tokens.
    Unreadable(&'static str),
    /// An error of the provider.
    Refused {
        error: String,
        description: String,
        /// How the client was authenticated.
        authentication: ClientAuthentication,
    },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(cause) => write!(f, "the token endpoint did not respond: {cause}"),
            Self::Unreadable(cause) => {
                write!(f, "the token endpoint's response cannot be used: {cause}")
            }
            Self::Refused { error, description, authentication } => {
                let (quoted, way) = (quoted(error, description), authentication.as_str());
                write!(f, "the token endpoint returned {quoted}")?;
                match &**error {
                    "invalid_client" | "incorrect_client_credentials" => write!(
                        f,
                        ": check the client id and the client secret, which were sent by {way}"
                    ),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Reads an answer: tokens with any status of success, and an error with any status. JSON is read
/// whatever the type of the content, and a form as well.
pub(super) fn read_answer(status: StatusCode, body: &[u8]) -> Result<Tokens, TokenError> {
    let members = members(body);
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    if members.get("error").is_some_and(|error| !error.is_null()) {
        return Err(TokenError::Refused {
            error: text("error").unwrap_or_default().to_owned(),
            description: text("error_description").unwrap_or_default().to_owned(),
            authentication: ClientAuthentication::Post,
        });
    }
    if status.is_server_error() {
        return Err(TokenError::Unavailable(format!("status {status}")));
    }
    if !status.is_success() {
        return Err(TokenError::Unreadable("a status that is no success, without an error"));
    }
    let token = |name: &str| -> Result<Option<SecretText>, TokenError> {
        match members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() <= MAX_TOKEN_BYTES => {
                Ok(Some(text.clone().into()))
            }
            Some(_) => Err(TokenError::Unreadable("a token that is no text, or too long")),
        }
    };
    if !text("token_type").unwrap_or("bearer").eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Unreadable("tokens of another type than `bearer`"));
    }
    Ok(Tokens {
        access_token: token("access_token")?
            .ok_or(TokenError::Unreadable("there is no access token in it"))?,
        id_token: token("id_token")?,
        refresh_token: token("refresh_token")?,
        scopes: members.get("scope").map(scopes),
    })
}

/// Returns the members of a JSON object, or the fields of a form.
fn members(body: &[u8]) -> Map<String, Value> {
    if body.trim_ascii_start().first() == Some(&b'{') {
        return serde_json::from_slice(body).unwrap_or_default();
    }
    let fields = url::form_urlencoded::parse(body).take(MAX_FIELDS);
    fields.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

/// Reads scopes, separated by spaces, or by commas as GitHub does.
fn scopes(value: &Value) -> Vec<Box<str>> {
    let split = |text: &str| -> Vec<Box<str>> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        words.take(MAX_SCOPES).map(Into::into).collect()
    };
    match value {
        Value::String(text) => split(text),
        Value::Array(list) => {
            let texts = list.iter().filter_map(Value::as_str);
            texts.take(MAX_SCOPES).map(Into::into).collect()
        }
        _ => Vec::new(),
    }
}

/// The longest token.
pub(in crate::login::method) const MAX_TOKEN_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 32;
const MAX_SCOPES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Tokens, TokenError> {
        read_answer(StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn answers_are_read_whatever_their_form() {
        for body in [
            r#"{"access_token":"a","token_type":"Bearer","expires_in":3600,"scope":"x y"}"#,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"3600","scope":"x,y"}"#,
            r#"{"access_token":"a","token_type":"BEARER","expires_in":3600.0,"scope":["x","y"]}"#,
            r#" {"access_token":"a","expires_in":null,"id_token":null,"error":null,"scope":"x, y"}"#,
            "access_token=a&scope=x%2Cy&token_type=bearer",
            "access_token=a&scope=x+y&refresh_token=",
        ] {
            for status in [200, 201, 203] {
                let tokens = read(status, body).unwrap();
                assert_eq!(tokens.access_token.expose(), "a", "{body}");
                assert!(tokens.id_token.is_none() && tokens.refresh_token.is_none(), "{body}");
                assert_eq!(tokens.scopes, Some(vec!["x".into(), "y".into()]), "{body}");
            }
        }
        let tokens =
            read(200, r#"{"access_token":"a","id_token":"b","refresh_token":"c"}"#).unwrap();
        assert_eq!(tokens.id_token.unwrap().expose(), "b");
        assert_eq!(tokens.refresh_token.unwrap().expose(), "c");
        assert_eq!(tokens.scopes, None);
    }

    #[test]
    fn an_error_is_an_error_with_any_status() {
        for status in [200, 201, 400, 401, 500] {
            for body in [
                r#"{"error":"invalid_client","error_description":"no"}"#,
                r#"{"error":"invalid_client","error_description":"no","access_token":"a"}"#,
                "error=invalid_client&error_description=no",
            ] {
                let error = read(status, body).unwrap_err();
                let text = error.to_string();
                assert!(matches!(error, TokenError::Refused { .. }), "{status} {body}");
                assert!(
                    text.contains("invalid_client") && text.contains("client_secret_post"),
                    "{text}"
                );
            }
            let error = read(status, r#"{"error":{"code":1},"access_token":"a"}"#).unwrap_err();
            assert!(matches!(error, TokenError::Refused { .. }));
        }
    }

    #[test]
    fn what_is_neither_is_refused() {
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(MAX_TOKEN_BYTES + 1));
        for (status, body) in [
            (200, ""),
            (200, "<html>access_token=</html>"),
            (200, "[]"),
            (200, "null"),
            (200, "{"),
            (200, "{}"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":7}"#),
            (200, r#"{"access_token":["a"]}"#),
            (200, r#"{"access_token":"a","id_token":7}"#),
            (200, r#"{"access_token":"a","token_type":"mac"}"#),
            (302, r#"{"access_token":"a"}"#),
            (404, r#"{"access_token":"a"}"#),
            (200, &long),
        ] {
            let error = read(status, body).unwrap_err();
            assert!(matches!(error, TokenError::Unreadable(_)), "{status} {body:.40}");
        }
        assert!(matches!(read(503, "{}"), Err(TokenError::Unavailable(_))));
    }
}
