use askama::Template;

use super::content::{
    ApproveClient, ChooseMethod, CodeError, Continue, Denied, EnterCode, Forbidden, Page, Problem,
    Sessions, SignIn, SignOut, SignedOut,
};

/// Renders the page as a complete HTML document.
#[must_use]
pub fn render(page: &Page<'_>) -> String {
    let document = match page {
        Page::SignIn(page) => SignInDocument { page }.render(),
        Page::ChooseMethod(page) => ChooseMethodDocument { page }.render(),
        Page::EnterCode(page) => EnterCodeDocument { page }.render(),
        Page::Denied(page) => DeniedDocument { page }.render(),
        Page::Forbidden(page) => ForbiddenDocument { page }.render(),
        Page::Problem(page) => ProblemDocument { page }.render(),
        Page::SignOut(page) => SignOutDocument { page }.render(),
        Page::SignedOut(page) => SignedOutDocument { page }.render(),
        Page::ApproveClient(page) => ApproveClientDocument { page }.render(),
        Page::ClientApproved => ClientApprovedDocument.render(),
        Page::Sessions(page) => SessionsDocument { page }.render(),
        Page::Continue(page) => ContinueDocument { page }.render(),
    };
    // Writing text into a `String` does not fail.
    document.unwrap_or_default()
}

// The templates are private types, so that the template engine stays out of the public API.

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInDocument<'a> {
    page: &'a SignIn<'a>,
}

#[derive(Template)]
#[template(path = "choose_method.html")]
struct ChooseMethodDocument<'a> {
    page: &'a ChooseMethod<'a>,
}

#[derive(Template)]
#[template(path = "enter_code.html")]
struct EnterCodeDocument<'a> {
    page: &'a EnterCode<'a>,
}

impl EnterCodeDocument<'_> {
    fn needs_new_code(&self) -> bool {
        self.page.error.is_some_and(CodeError::needs_new_code)
    }

    fn wrong_code(&self) -> bool {
        matches!(self.page.error, Some(CodeError::Wrong { .. } | CodeError::Malformed { .. }))
    }
}

#[derive(Template)]
#[template(path = "denied.html")]
struct DeniedDocument<'a> {
    page: &'a Denied<'a>,
}

impl DeniedDocument<'_> {
    fn message(&self) -> &str {
        self.page.message.unwrap_or("That account does not have access.")
    }
}

#[derive(Template)]
#[template(path = "forbidden.html")]
struct ForbiddenDocument<'a> {
    page: &'a Forbidden<'a>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemDocument<'a> {
    page: &'a Problem<'a>,
}

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutDocument<'a> {
    page: &'a SignOut<'a>,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutDocument<'a> {
    page: &'a SignedOut<'a>,
}

#[derive(Template)]
#[template(path = "approve_client.html")]
struct ApproveClientDocument<'a> {
    page: &'a ApproveClient<'a>,
}

#[derive(Template)]
#[template(path = "client_approved.html")]
struct ClientApprovedDocument;

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsDocument<'a> {
    page: &'a Sessions<'a>,
}

#[derive(Template)]
#[template(path = "continue.html")]
struct ContinueDocument<'a> {
    page: &'a Continue<'a>,
}

/// Returns the URL if following it can only load a page, otherwise `#`: escaping does not disarm
/// `javascript:` and the like.
fn web_url(url: &str) -> &str {
    let scheme = |scheme: &str| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let is_local = url.starts_with(['/', '?']) && !url.starts_with("//") && !url.starts_with("/\\");
    if is_local || scheme("https://") || scheme("http://") { url } else { "#" }
}

/// The only stylesheet, byte for byte as in the document.
pub(super) const STYLE: &str = include_str!("templates/style.css");

/// The only script, byte for byte as in the document of the link in the mail.
pub(super) const FILL_IN_CODE: &str = include_str!("templates/fill_in_code.js");

/// The favicon. Without it, browsers would request `/favicon.ico` from the application.
const ICON: &str = "data:image/svg+xml,\
    %3Csvg xmlns=%22http:%2F%2Fwww.w3.org%2F2000%2Fsvg%22 viewBox=%220 0 40 40%22%3E\
    %3Crect width=%2240%22 height=%2240%22 rx=%2211%22 fill=%22%230d675d%22%2F%3E\
    %3Cpath fill=%22%23fff%22 d=%22M20 10a6 6 0 0 0-3.2 11.1L15 29.2a.7.7 0 0 0 .7.8h8.6\
    a.7.7 0 0 0 .7-.8l-1.8-8.1A6 6 0 0 0 20 10z%22%2F%3E%3C%2Fsvg%3E";
