//! The parameters with which the browser comes back.

use crate::login::Refusal;
use crate::login::form::Fields;

/// The parameters of the provider's answer (RFC 6749, section 4.1.2; RFC 9207).
#[derive(Debug)]
pub(in crate::login::method) struct Callback {
    /// The code, or the value of `error`.
    pub(in crate::login::method) code: Result<String, String>,
    /// `error_description`, for the log only.
    pub(in crate::login::method) description: Option<String>,
    /// The issuer that has answered (`iss`), if it says so.
    pub(in crate::login::method) issuer: Option<String>,
}

impl Callback {
    /// Reads the parameters. An answer that has both a code and an error is an error.
    pub(super) fn read(query: &Fields) -> Result<Self, Refusal> {
        let text = |name: &str| -> Result<Option<String>, Refusal> {
            let text = query.one(name)?.filter(|text| !text.is_empty());
            if text.is_some_and(|text| text.len() > MAX_PARAMETER) {
                return Err(Refusal::BadRequest);
            }
            Ok(text.map(ToOwned::to_owned))
        };
        let code = match (text("error")?, text("code")?) {
            (Some(error), _) => Err(error),
            (None, Some(code)) => Ok(code),
            (None, None) => return Err(Refusal::BadRequest),
        };
        Ok(Self { code, description: text("error_description")?, issuer: text("iss")? })
    }
}

/// Codes of well-known providers have up to 2 KiB.
const MAX_PARAMETER: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Callback, Refusal> {
        Callback::read(&Fields::parse_query(query.as_bytes()).unwrap())
    }

    #[test]
    fn a_code_or_an_error_is_read_and_an_error_wins() {
        let answer = read("code=a%2Fb&iss=https%3A%2F%2Fidp.example").unwrap();
        assert_eq!(answer.code.as_deref(), Ok("a/b"));
        assert_eq!(answer.issuer.as_deref(), Some("https://idp.example"));
        let answer = read("code=a&error=access_denied&error_description=No+way").unwrap();
        assert_eq!(answer.code.unwrap_err(), "access_denied");
        assert_eq!(answer.description.as_deref(), Some("No way"));
    }

    #[test]
    fn repeated_missing_and_huge_parameters_are_refused() {
        let long = format!("code={}", "c".repeat(MAX_PARAMETER + 1));
        for query in [
            "",
            "code=",
            "error=",
            "state=x",
            "code=a&code=a",
            "code=a&iss=b&iss=c",
            "error=a&error=b",
            "code=a&error_description=a&error_description=b",
            &long,
        ] {
            assert!(matches!(read(query), Err(Refusal::BadRequest)), "{query:.40}");
        }
    }
}
