//! The pages that users see while logging in and out.
//!
//! A page is plain data ([`Page`]). A pure function ([`render`]) turns it into a complete HTML
//! document, without a request, a clock or I/O. It escapes all data for its context. The documents
//! work without scripts and use no frames and nothing from other servers, so they can be sent with the
//! strict policy from [`content_security_policy`]. One has a script: it fills in the code of the link in
//! the mail.
//!
//! To use your own design, implement [`Pages`].
//!
//! # Example
//!
//! ```
//! use tower_access::pages::{self, Page, Pages};
//!
//! /// The built-in pages, apart from one.
//! #[derive(Debug)]
//! struct Branded;
//!
//! impl Pages for Branded {
//!     fn render(&self, page: &Page<'_>) -> String {
//!         match page {
//!             Page::SignedOut(_) => "<!doctype html><title>Bye</title><h1>Bye</h1>".to_owned(),
//!             page => pages::render(page),
//!         }
//!     }
//!
//!     fn content_security_policy(&self) -> &str {
//!         pages::content_security_policy()
//!     }
//! }
//! ```

mod content;
mod document;
#[cfg(feature = "proxy")]
mod failure;
mod policy;
mod response;

#[cfg(test)]
mod tests;

use std::fmt;

pub use self::content::{
    ApproveClient, ChooseMethod, CodeError, Continue, Denied, EnterCode, Forbidden, MethodLink,
    Page, Problem, SessionEntry, Sessions, SignIn, SignOut, SignedOut,
};
pub use self::document::render;
#[cfg(feature = "proxy")]
pub(crate) use self::failure::{FailurePage, failure_security_policy};
pub use self::policy::content_security_policy;
pub(crate) use self::response::response;

/// Renders the pages in a design of your own.
///
/// The forms of [`Page::SignIn`], [`Page::EnterCode`], [`Page::SignOut`], [`Page::Sessions`] and
/// [`Page::ApproveClient`] must post the fields that their data describes. Otherwise the login
/// refuses them.
///
/// # Security
///
/// The data comes from the request. An implementation must escape all of it, and must not weaken
/// the policy to allow inline scripts.
pub trait Pages: Send + Sync + fmt::Debug + 'static {
    /// Renders the page as a complete HTML document.
    fn render(&self, page: &Page<'_>) -> String;

    /// Returns the `Content-Security-Policy` header for every page.
    ///
    /// Its `form-action` must allow the applications that the login redirects to, and the pages
    /// set with [`custom_deny_url`](crate::application::Application::custom_deny_url): browsers
    /// check redirects after a form against it.
    fn content_security_policy(&self) -> &str;
}

/// The built-in pages.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInPages;

impl Pages for BuiltInPages {
    fn render(&self, page: &Page<'_>) -> String {
        render(page)
    }

    fn content_security_policy(&self) -> &str {
        content_security_policy()
    }
}
