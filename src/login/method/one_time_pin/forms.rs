//! The pages of the one-time PIN.

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::pending::{Nonce, Pending};
use super::steps::code_page;
use super::{CALLBACK, PinRequest, RESEND_CODE, VERIFY_CODE};
use crate::login::limits::RateLimited;
use crate::login::long_target::SHORTENED;
use crate::login::method::LoginMethod;
use crate::login::purpose::Purpose;
use crate::login::redirect::OWN_PREFIX;
use crate::login::sign_in::describe;
use crate::login::{Flow, MAX_URL_BYTES};
use crate::pages::{CodeError, EnterCode, MethodLink, Page, Problem, SignIn};
use crate::util::response::{ResponseBytes, redirect, with};

impl PinRequest<'_> {
    pub(super) fn code_form(
        &self,
        nonce: &Nonce,
        pending: &Pending,
        status: StatusCode,
        error: Option<CodeError>,
    ) -> ResponseBytes {
        self.code_form_for(nonce, pending, status, (error, false))
    }

    /// As [`code_form`](Self::code_form). A browser that comes from the mail has the code in its address.
    pub(super) fn code_form_for(
        &self,
        nonce: &Nonce,
        pending: &Pending,
        status: StatusCode,
        (error, is_from_mail): (Option<CodeError>, bool),
    ) -> ResponseBytes {
        let application = self
            .login
            .directory
            .by_audience(&pending.flow.audience)
            .map_or("", |protected| &*protected.application.name);
        self.login.page(
            status,
            &Page::EnterCode(EnterCode {
                application,
                email: &pending.email,
                action: &format!("{OWN_PREFIX}/{CALLBACK}"),
                nonce: &nonce.text,
                resend_url: &format!("{OWN_PREFIX}/{RESEND_CODE}?nonce={}", nonce.text),
                start_over_url: &self.login.start_url(&pending.flow, self.request.now),
                minutes: self.minutes(),
                digits: pending.code.digits,
                uses_latest_mail: pending.code.is_flooded == 1,
                is_from_mail,
                error,
            }),
        )
    }

    /// Redirects to the code page, or returns the page itself if its URL is too long for a redirect.
    pub(super) fn to_code_page(&self, pending: &Pending, nonce: &Nonce) -> ResponseBytes {
        let address = code_page(&pending.flow, nonce);
        if address.len() <= MAX_URL_BYTES {
            return redirect(&address);
        }
        self.code_form(nonce, pending, StatusCode::OK, None)
    }

    /// Returns the page for a code that was already used.
    pub(super) fn used_code(&self, flow: &Flow) -> ResponseBytes {
        let start = self.login.start_url(flow, self.request.now);
        let page = Problem::new(
            "This One-Time PIN has already been used",
            "A code works once. If you are not logged in, ask for a new one.",
        )
        .host(flow.host.as_str())
        .retry(&*start, "Continue");
        self.login.page(StatusCode::FORBIDDEN, &Page::Problem(page))
    }

    /// Returns the page with the form for the email address.
    pub(super) fn email_form(
        &self,
        purpose: &Purpose<'_>,
        status: StatusCode,
        email: Option<&str>,
        error: Option<&str>,
    ) -> ResponseBytes {
        let flow = &purpose.flow;
        let action = self.login.step_url(VERIFY_CODE, flow, self.request.now);
        let others = self.login.method_links(self.request, purpose, Some(self.method.id()));
        let page = Page::SignIn(SignIn {
            application: &purpose.protected.application.name,
            host: flow.host.as_str(),
            action: &action,
            redirect_url: flow.target.as_str(),
            client_id: purpose.protected.audience(),
            connector_id: self.method.id(),
            email,
            error,
            notice: flow.is_shortened.then_some(SHORTENED),
            other_methods: &others.iter().map(MethodLink::from).collect::<Vec<_>>(),
        });
        self.login.page(status, &page)
    }

    pub(super) fn too_often(
        &self,
        purpose: &Purpose<'_>,
        typed: &str,
        limit: RateLimited,
    ) -> ResponseBytes {
        let minutes = limit.retry_after.as_secs().div_ceil(60);
        let error =
            format!("Too many codes have been asked for. Please try again in {minutes} minutes.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let answer = self.email_form(purpose, status, Some(typed), Some(&error));
        retry_later(describe(answer, purpose), limit)
    }

    /// Returns the code page for a browser that has requested too many codes.
    pub(super) fn no_more_codes(
        &self,
        nonce: &Nonce,
        pending: &Pending,
        limit: RateLimited,
    ) -> ResponseBytes {
        let (status, error) = (StatusCode::TOO_MANY_REQUESTS, Some(CodeError::ResendLimited));
        retry_later(self.code_form(nonce, pending, status, error), limit)
    }
}

fn retry_later(answer: ResponseBytes, limit: RateLimited) -> ResponseBytes {
    with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string())
}
