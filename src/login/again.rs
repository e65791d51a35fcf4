//! Pages of a login that the browser still has after the login is over.
//!
//! A person has several tabs, goes back, and reloads. Each of these pages carries the login it
//! belongs to (see [`pending`](super::method::one_time_pin)), and the browser carries the session, so the orders in
//! which they meet come down to one question: does the browser have a session of the same person?
//!
//! | what comes from a page of before | with a session of the same person | without one |
//! | --- | --- | --- |
//! | the address, typed again | on to the target, without mail | another login begins |
//! | the page for the code, reloaded | on to the target | the form, as long as the login waits |
//! | a code: used, old, of the other tab's mail, or right | on to the target, without a look at it | looked at |
//! | another code asked for | on to the target, without mail | mailed |
//!
//! Nothing opens by it that the session does not open: the answer is that of the login's first
//! address, policies included, and a code is as good as before, once. Whoever types the address of
//! somebody else begins a login of theirs, session or not.

use crate::headers;
use crate::identity::Email;
use crate::util::response::ResponseBytes;

use super::sign_in::Purpose;
use super::{EndpointRequest, Flow, Login, Refusal};

impl Login {
    /// Sends a browser on that has a session by now, of this person where a login says whose it is.
    /// `None` where it has none, or where nobody looks at the answer yet.
    pub(super) async fn enter_again(
        &self,
        request: &EndpointRequest,
        flow: &Flow,
        email: Option<&str>,
    ) -> Result<Option<ResponseBytes>, Refusal> {
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
        let purpose = Purpose { protected, flow: flow.clone() };
        self.enter(request, &purpose, &session).await.map(Some)
    }
}
