//! The link in the mail, which fills in the code.
//!
//! Its URL is `https://TEAM/cdn-cgi/access/emailed-code?nonce=NONCE#CODE`. The nonce is that of the code
//! page: the sealed login, which only the browser that began it can continue. So a link needs no record and
//! no cookie, and several tabs have a link each. The page has the form of the code page, with one button.
//! Whoever presses it enters a code: attempts, guesses, expiry and use are counted and checked as for a
//! code that is typed.
//!
//! Requests for the page change nothing, so software that follows links in mails cannot use up a code. In
//! any other browser the page only says where to open the link, whether or not its login exists.
//!
//! # Why the code is in the fragment
//!
//! Anybody can ask for a code with another user's address, and wait for it to become known: their browser
//! is the one that asked. Software that scans the user's mail requests the link within seconds. A code in
//! the path or query would then be in the access logs of every reverse proxy on the way, and whoever reads
//! one of them could log in as any user. Browsers do not send a fragment. So a script of the page, allowed
//! by its hash, fills in the code and removes it from the address. Without scripts the page works as well:
//! the user types the code.
//!
//! A redirect would pass the fragment on to its target, which may be an application. So the page is never
//! a redirect.

use http::StatusCode;

use super::pending::Nonce;
use super::{EMAILED_CODE, PinRequest};
use crate::application::CanonicalHost;
use crate::login::Refusal;
use crate::login::long_target::{LOGGED_IN, LOGGED_IN_TITLE};
use crate::login::redirect::OWN_PREFIX;
use crate::pages::{CodeError, Continue, Page, Problem};
use crate::util::response::ResponseBytes;

impl PinRequest<'_> {
    /// Returns the URL of the page for a login, without the code. `None` if mails have no link, or if its
    /// target could not be stored and makes the URL too long.
    pub(super) fn linked_page(&self, host: &CanonicalHost, nonce: &Nonce) -> Option<String> {
        let team = self.login.origins.origin(self.login.team_host(host));
        let page = format!("{team}{OWN_PREFIX}/{EMAILED_CODE}?nonce={}", nonce.text);
        (self.method.settings.link_in_mail && page.len() <= MAX_PAGE_BYTES).then_some(page)
    }

    /// Handles `GET emailed-code?nonce=…`: the page that the link opens.
    pub(super) async fn show_linked_form(&self) -> Result<ResponseBytes, Refusal> {
        let nonce = Nonce::from_fields(&self.request.query()?)?;
        let Some(pending) = self.own_pending(&nonce).await? else {
            return Ok(self.of_another_browser());
        };
        let (flow, email) = (&pending.flow, Some(&*pending.email));
        if self.login.existing_session(self.request, flow, email).await?.is_some() {
            let start = self.login.start_url(flow, self.request.now);
            let page = Page::Continue(Continue {
                title: LOGGED_IN_TITLE,
                message: LOGGED_IN,
                url: &start,
                is_immediate: true,
            });
            return Ok(self.login.page(StatusCode::OK, &page));
        }
        Ok(match self.still_pending(pending).await? {
            Ok(pending) => {
                let ended = pending.code.has_ended(self.request.now).then_some(CodeError::Expired);
                self.code_form_for(&nonce, &pending, StatusCode::OK, (ended, true))
            }
            Err(refusal) => refusal,
        })
    }

    /// Returns the page for every browser but the one that asked. It tells nothing of the login.
    fn of_another_browser(&self) -> ResponseBytes {
        let page = Problem::new(
            "This link works in another browser",
            "Open this link in the browser in which you asked for the code, or type the code there. If \
             you did not ask for a code, ignore the email.",
        );
        self.login.page(StatusCode::FORBIDDEN, &Page::Problem(page))
    }
}

/// Returns the URL of the link.
pub(super) fn with_code(page: &str, code: &str) -> String {
    format!("{page}#{code}")
}

/// Windows opens no longer URLs from a mail program. A usual one has 900 bytes.
const MAX_PAGE_BYTES: usize = 2_000;
