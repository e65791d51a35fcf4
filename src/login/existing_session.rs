//! Requests from pages of a login after the browser has got a session.
//!
//! Users open several tabs, go back and reload. Each page carries its login (see
//! [`pending`](super::method::one_time_pin)), and the browser carries the session. So one question
//! decides all cases: does the browser have a session of the same user?
//!
//! | request from an old page | with a session of the same user | without one |
//! | --- | --- | --- |
//! | the email address, posted again | redirected to the target, without mail | another login begins |
//! | the code page, reloaded | redirected to the target | the form, while the login is pending |
//! | a code: used, expired, of the other tab's mail, or right | redirected to the target, code not checked | code checked |
//! | the link in the mail | a page that continues to the target | the form, in the browser that asked |
//! | a request for another code | redirected to the target, without mail | mailed |
//!
//! This grants nothing beyond the session: the response is that of the login's first URL, including
//! the policies, and the code stays valid for one use. Typing another user's address begins a login of
//! that user, with or without a session.

use crate::headers;
use crate::identity::Email;
use crate::session::Session;
use crate::util::response::ResponseBytes;

use super::purpose::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal};

impl Login {
    /// Redirects a browser that already has a session, of this user if the login has an address.
    /// Returns `None` if it has none, or for a background request.
    pub(super) async fn enter_with_existing_session(
        &self,
        request: &EndpointRequest,
        flow: &Flow,
        email: Option<&str>,
    ) -> Result<Option<ResponseBytes>, Refusal> {
        let Some((purpose, session)) = self.existing_session(request, flow, email).await? else {
            return Ok(None);
        };
        self.enter(request, &purpose, &session).await.map(Some)
    }

    /// Returns the session that spares a browser a login, of this user if the login has an address.
    pub(super) async fn existing_session(
        &self,
        request: &EndpointRequest,
        flow: &Flow,
        email: Option<&str>,
    ) -> Result<Option<(Purpose<'_>, Session)>, Refusal> {
        if headers::is_background(&request.headers) {
            return Ok(None);
        }
        let Some(session) = self.session(request).await? else { return Ok(None) };
        let is_theirs = |email: &str| email.parse::<Email>().is_ok_and(|it| it == session.email);
        let Some(protected) = self.directory.by_audience(&flow.audience) else { return Ok(None) };
        if !email.is_none_or(is_theirs)
            || !protected.application.allows_login_method(session.login_method())
        {
            return Ok(None);
        }
        Ok(Some((Purpose { protected, flow: flow.clone() }, session)))
    }
}
