//! The browser comes back from the provider.

use bytes::Bytes;

use super::failure::Failure;
use super::pending::LIFETIME;
use super::{AuthorizationCode, Pending};
use crate::login::form::Fields;
use crate::login::{EndpointRequest, Login, Refusal};
use crate::store::StoreError;
use crate::util::response::ResponseBytes;

/// What the provider has sent with the browser.
#[derive(Debug)]
pub(in crate::login::method) struct Returned {
    pub(in crate::login::method) pending: Pending,
    pub(in crate::login::method) callback: Callback,
}

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
    fn read(query: &Fields) -> Result<Self, Refusal> {
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

impl AuthorizationCode {
    /// Reads the provider's answer. Otherwise returns the response: if the login was begun in another
    /// browser, too long ago, by another method or by nobody, or is finished.
    pub(in crate::login::method) async fn returned(
        &self,
        login: &Login,
        request: &EndpointRequest,
    ) -> Result<Result<Returned, ResponseBytes>, Refusal> {
        let query = request.query()?;
        let callback = Callback::read(&query)?;
        let Some(pending) = self.open(login, query.required("state")?) else {
            return Ok(Err(login.invalid_session(request, None)));
        };
        if *login.team_host(&pending.flow.host) != request.host {
            return Ok(Err(login.invalid_session(request, None)));
        }
        if login.store.get(&redeemed_key(&pending)).await?.is_some() {
            return Ok(Err(self.repeated(login, request, &pending).await?));
        }
        if !pending.is_of_browser(request) || pending.has_ended(request.now) {
            return Ok(Err(login.invalid_session(request, Some(&pending.flow))));
        }
        Ok(Ok(Returned { pending, callback }))
    }

    /// Marks the code of a login as spent, right before it is sent to the provider. Returns the
    /// response if it is spent already.
    pub(in crate::login::method) async fn redeem(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
    ) -> Result<Option<ResponseBytes>, Refusal> {
        if self.spent.spend(&pending.id, request.now) {
            return Ok(None);
        }
        self.repeated(login, request, pending).await.map(Some)
    }

    /// Records for all nodes that a login has succeeded.
    pub(in crate::login::method) async fn record_redemption(
        &self,
        login: &Login,
        pending: &Pending,
    ) -> Result<(), StoreError> {
        login.store.put(&redeemed_key(pending), Bytes::new(), LIFETIME).await
    }

    /// Responds to a callback that was reloaded, or opened again from the history.
    async fn repeated(
        &self,
        login: &Login,
        request: &EndpointRequest,
        pending: &Pending,
    ) -> Result<ResponseBytes, Refusal> {
        // The cookie may be gone by now: a session is proof enough that it is the user's browser.
        let session = login.session(request).await?;
        if session.is_some_and(|session| session.login_method() == &*self.method)
            && let Some(entered) =
                login.enter_with_existing_session(request, &pending.flow, None).await?
        {
            return Ok(entered);
        }
        if !pending.is_of_browser(request) {
            return Ok(login.invalid_session(request, Some(&pending.flow)));
        }
        Ok(self.failed(login, request, Some(&pending.flow), &Failure::repeated()))
    }
}

/// The key of a record that the code of a login was redeemed.
fn redeemed_key(pending: &Pending) -> String {
    format!("code-redeemed/{}", pending.id)
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
