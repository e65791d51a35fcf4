//! What a person sees who has asked for a code.

use http::StatusCode;
use http::header::RETRY_AFTER;

use super::code_page;
use super::pending::{Nonce, Pending};
use crate::answer::{Answer, redirect, with};
use crate::login::limits::TooOften;
use crate::login::redirect::OWN_PREFIX;
use crate::login::sign_in::Purpose;
use crate::login::{EndpointRequest, Flow, LONGEST_ADDRESS, Login, Refusal};
use crate::pages::{CodeError, EnterCode, Page, Problem};

impl Login {
    pub(super) fn code_form(
        &self,
        request: &EndpointRequest,
        nonce: &Nonce,
        pending: &Pending,
        status: StatusCode,
        error: Option<CodeError>,
    ) -> Answer {
        let application = self
            .directory
            .by_audience(&pending.flow.audience)
            .map_or("", |protected| &*protected.application.name);
        self.page(
            status,
            &Page::EnterCode(EnterCode {
                application,
                email: &pending.email,
                action: &format!("{OWN_PREFIX}/callback"),
                nonce: &nonce.text,
                resend_url: &format!("{OWN_PREFIX}/resend-code?nonce={}", nonce.text),
                start_over_url: &self.start_url(&pending.flow, request.now),
                minutes: self.minutes(),
                digits: pending.code.digits,
                uses_latest_mail: pending.code.is_flooded == 1,
                error,
            }),
        )
    }

    /// On to the page that asks for the code; that page itself where its address is too long for a
    /// redirect.
    pub(super) fn to_code_page(
        &self,
        request: &EndpointRequest,
        pending: &Pending,
        nonce: &Nonce,
    ) -> Answer {
        let address = code_page(&pending.flow, nonce);
        if address.len() <= LONGEST_ADDRESS {
            return redirect(&address);
        }
        self.code_form(request, nonce, pending, StatusCode::OK, None)
    }

    /// The code was right before and is spent.
    pub(super) fn used_code(&self, request: &EndpointRequest, flow: &Flow) -> Answer {
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(Problem {
                title: "This One-Time PIN has already been used",
                message: "A code works once. If you are not logged in, ask for a new one.",
                host: Some(flow.host.as_str()),
                reference: None,
                retry_url: Some(&self.start_url(flow, request.now)),
                retry_label: "Continue",
                home_url: None,
            }),
        )
    }

    /// The browser brings no cookie, or that of another login.
    pub(super) fn invalid_session(&self, request: &EndpointRequest, flow: Option<&Flow>) -> Answer {
        let start = flow
            .map(|flow| self.start_url(flow, request.now))
            .or_else(|| self.directory.entrance(&request.host));
        self.page(
            StatusCode::FORBIDDEN,
            &Page::Problem(Problem {
                title: "Invalid session. Please try logging in again.",
                message: "The login took too long, was begun in another browser, or cookies are blocked.",
                host: Some(flow.map_or(&request.host, |flow| &flow.host).as_str()),
                reference: None,
                retry_url: start.as_deref(),
                retry_label: "Log in again",
                home_url: None,
            }),
        )
    }

    pub(super) fn too_often(
        &self,
        request: &EndpointRequest,
        purpose: &Purpose<'_>,
        typed: &str,
        limit: TooOften,
    ) -> Result<Answer, Refusal> {
        let minutes = limit.retry_after.as_secs().div_ceil(60);
        let error =
            format!("Too many codes have been asked for. Please try again in {minutes} minutes.");
        let status = StatusCode::TOO_MANY_REQUESTS;
        let answer = self.sign_in_page(request, purpose, status, Some(typed), Some(&error))?;
        Ok(retry_later(answer, limit))
    }

    /// This browser has had so many codes that it is to use the latest.
    pub(super) fn no_more_codes(
        &self,
        request: &EndpointRequest,
        nonce: &Nonce,
        pending: &Pending,
        limit: TooOften,
    ) -> Answer {
        let (status, error) = (StatusCode::TOO_MANY_REQUESTS, Some(CodeError::ResendLimited));
        retry_later(self.code_form(request, nonce, pending, status, error), limit)
    }
}

fn retry_later(answer: Answer, limit: TooOften) -> Answer {
    with(answer, RETRY_AFTER, &limit.retry_after.as_secs().to_string())
}
