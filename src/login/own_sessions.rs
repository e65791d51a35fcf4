//! `sessions`: the page that lists a user's sessions and ends them.

use http::{Method, StatusCode};
use time::OffsetDateTime;

use crate::clock::Timestamp;
use crate::session::Session;
use crate::util::response::{ResponseBytes, redirect};

use super::redirect::OWN_PREFIX;
use super::{EndpointRequest, Login, Refusal};
use crate::pages::{Page, Problem, SessionEntry, Sessions};

impl Login {
    /// Handles the page and its forms. Forms of other sites are refused before.
    pub(super) async fn own_sessions(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        let Some(current) = self.session(request).await? else {
            return Ok(self.not_logged_in(request));
        };
        if request.method != Method::POST {
            return self.sessions_page(request, &current).await;
        }
        let form = request.form()?;
        let asked = form.required("end")?;
        let own = self.sessions.for_user(&current.email, request.now).await?;
        // Only the user's own sessions, whatever the form says.
        let is_meant = |session: &&Session| match asked {
            "all" => true,
            "others" => session.id != current.id,
            id => session.id == id,
        };
        // The current session ends last, so that the user can retry after an error.
        let (this, others): (Vec<_>, Vec<_>) =
            own.iter().filter(is_meant).partition(|session| session.id == current.id);
        for session in others.into_iter().chain(this.iter().copied()) {
            self.end_session_by_id(&session.id, request.now).await?;
        }
        // The current session is ended even if the list lacks it.
        if this.is_empty() && (asked == "all" || asked == current.id) {
            self.end_session_by_id(&current.id, request.now).await?;
        }
        if asked == "all" || asked == current.id {
            let back = self.directory.landing_path(&request.host);
            return Ok(self.signed_out(request, back.as_deref()));
        }
        Ok(redirect(&self.sessions_url(request)))
    }

    /// Redirects to the page from a host that does not run the login.
    pub(super) fn to_own_sessions(&self, request: &EndpointRequest) -> ResponseBytes {
        redirect(&self.sessions_url(request))
    }

    /// Returns the URL of the page, on the host that runs the login.
    fn sessions_url(&self, request: &EndpointRequest) -> String {
        let team = self.team_host(&request.host);
        let url = format!("{}{OWN_PREFIX}/sessions", self.origins.origin(team));
        if *team == request.host {
            return url;
        }
        // A user who is not logged in there can return and log in.
        let back = format!("{}/", self.origins.origin(&request.host));
        url::form_urlencoded::Serializer::new(format!("{url}?"))
            .append_pair("returnTo", &back)
            .finish()
    }

    async fn sessions_page(
        &self,
        request: &EndpointRequest,
        current: &Session,
    ) -> Result<ResponseBytes, Refusal> {
        let own = self.sessions.for_user(&current.email, request.now).await?;
        let mut live: Vec<_> = own.iter().filter(|it| self.is_live(it, request.now)).collect();
        // The current session first.
        live.sort_by_key(|session| session.id != current.id);
        let texts: Vec<_> =
            live.iter().take(MAX_SESSIONS).map(|session| SessionText::new(session)).collect();
        let entries: Vec<_> = live
            .iter()
            .zip(&texts)
            .map(|(session, text)| SessionEntry {
                id: &session.id,
                browser: session.browser.as_deref(),
                address: text.address.as_deref(),
                started: &text.started,
                last_seen: &text.last_seen,
                login_method: session.login_method(),
                is_current: session.id == current.id,
            })
            .collect();
        let page = Page::Sessions(Sessions {
            email: current.email.as_str(),
            action: &format!("{OWN_PREFIX}/sessions"),
            sessions: &entries,
            more: live.len().saturating_sub(MAX_SESSIONS),
        });
        Ok(self.page(StatusCode::OK, &page))
    }

    fn not_logged_in(&self, request: &EndpointRequest) -> ResponseBytes {
        let query = request.query().ok();
        let back = self
            .return_url(query.as_ref().and_then(|query| query.one("returnTo").ok()?))
            .or_else(|| self.directory.landing_path(&request.host));
        let message = match back {
            Some(_) => "Log in to see your sessions.",
            None => "Open an application and log in there, then come back.",
        };
        let page = Problem::new("You are not logged in", message)
            .host(request.host.as_str())
            .retry(back.as_deref(), "Log in");
        self.page(StatusCode::UNAUTHORIZED, &Page::Problem(page))
    }
}

/// The texts of a session.
struct SessionText {
    address: Option<String>,
    started: String,
    last_seen: String,
}

impl SessionText {
    fn new(session: &Session) -> Self {
        Self {
            address: session.address.map(|address| address.to_string()),
            started: display_time(Timestamp::from_unix_seconds(session.started_at)),
            last_seen: display_time(session.seen_at()),
        }
    }
}

/// Formats a time for display: "25 November 2026, 21:06 UTC".
fn display_time(time: Timestamp) -> String {
    let seconds = i64::try_from(time.as_unix_seconds()).unwrap_or(i64::MAX);
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else { return String::new() };
    let (day, month, year) = (time.day(), time.month(), time.year());
    format!("{day} {month} {year}, {:02}:{:02} UTC", time.hour(), time.minute())
}

/// Sessions on one page.
const MAX_SESSIONS: usize = 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_26_times_are_shown_in_words() {
        let text = |seconds| display_time(Timestamp::from_unix_seconds(seconds));
        assert_eq!(text(1_790_000_000), "21 September 2026, 14:13 UTC");
        assert_eq!(text(4_300_000_000), "6 April 2106, 12:26 UTC");
        assert_eq!(text(u64::MAX), "");
    }
}
