//! The browser comes back from the provider.

use bytes::Bytes;

use super::failure::Failure;
use super::pending::LIFETIME;
use super::{AuthorizationCode, Callback, Pending};
use crate::login::{EndpointRequest, Login, Refusal};
use crate::store::StoreError;
use crate::util::response::ResponseBytes;

/// What the provider has sent with the browser.
#[derive(Debug)]
pub(in crate::login::method) struct Returned {
    pub(in crate::login::method) pending: Pending,
    pub(in crate::login::method) callback: Callback,
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
