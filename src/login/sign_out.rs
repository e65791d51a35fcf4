//! `logout`: ends the session for all applications.
//!
//! If the login method says so, the browser is then sent to the provider, which logs the user out there
//! as well and sends it back to `signed-out` on the team domain. That page needs nothing and changes
//! nothing. A provider that is to notify us of its own logouts calls
//! [`backchannel-logout`](super::back_channel); logouts through frames of its pages (OpenID Connect
//! Front-Channel Logout) are not supported, because browsers send no cookies there.

use http::header::{HeaderMap, SET_COOKIE};
use http::{Method, StatusCode};
use url::Url;

use crate::application::CanonicalHost;
use crate::audit::{self, Event, EventKind};
use crate::clock::Timestamp;
use crate::headers::is_prefetch;
use crate::session::{Revocation, Session, cookie};
use crate::store::StoreError;
use crate::token::{Claims, Jws};
use crate::util::response::{ResponseBytes, redirect};

use super::long_target::{MAX_HEAD, head_len};
use super::redirect::{OWN_PREFIX, ReturnTarget};
use super::{EndpointRequest, Login, Refusal};
use crate::pages::{Continue, Page, SignOut, SignedOut};

impl Login {
    /// Ends the session of the browser. Asks for confirmation if another site caused the request.
    pub(super) async fn sign_out(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        if request.method != Method::POST && is_caused_by_another_site(&request.headers) {
            let action = match request.query.as_str() {
                "" => format!("{OWN_PREFIX}/logout"),
                query => format!("{OWN_PREFIX}/logout?{query}"),
            };
            return Ok(self.page(StatusCode::OK, &Page::SignOut(SignOut { action: &action })));
        }
        let mut at_provider = None;
        for claims in self.own_claims(request) {
            if at_provider.is_none() {
                at_provider = self.provider_sign_out_url(request, &claims).await;
            }
            self.end_session(&claims, request.now).await?;
        }
        // An invalid query must not prevent the logout.
        let query = request.query().ok();
        let back = self
            .return_url(query.as_ref().and_then(|query| query.one("returnTo").ok()?))
            .or_else(|| self.directory.landing_path(&request.host));
        let answer = self.signed_out(request, back.as_deref());
        Ok(match at_provider {
            Some(url) => self.go_to_provider(&url, &answer),
            None => answer,
        })
    }

    /// Returns the URL that logs the user of a token out at the provider as well. A failure does not
    /// prevent the logout here.
    async fn provider_sign_out_url(
        &self,
        request: &EndpointRequest,
        claims: &Claims,
    ) -> Option<String> {
        let id = claims.identity_nonce.as_deref()?;
        let found = async {
            let session = self.live_session(id, request.now).await?;
            let is_theirs =
                |session: &Session| Some(session.email.as_str()) == claims.email.as_deref();
            let Some(session) = session.filter(is_theirs) else { return Ok(None) };
            let account = self.sessions.account(&session).await?;
            Ok::<_, StoreError>(account.map(|account| (session, account)))
        };
        let found = found.await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a user is not logged out at the provider: the session is unreadable");
            None
        });
        let (session, account) = found?;
        let team = self.origins.origin(self.team_host(&request.host));
        let back = format!("{team}{OWN_PREFIX}/signed-out");
        self.methods.get(session.login_method())?.sign_out_url(&account, &back)
    }

    /// Sends a browser that is logged out here on to the provider, with the cookies of the response that
    /// says so.
    fn go_to_provider(&self, url: &str, signed_out: &ResponseBytes) -> ResponseBytes {
        let with_cookies = |mut answer: ResponseBytes| {
            for line in signed_out.headers().get_all(SET_COOKIE) {
                answer.headers_mut().append(SET_COOKIE, line.clone());
            }
            answer
        };
        let answer = with_cookies(redirect(url));
        if answer.status() == StatusCode::FOUND && head_len(answer.headers()) <= MAX_HEAD {
            return answer;
        }
        // The token in the URL is too long for a response head.
        with_cookies(self.page(
            StatusCode::OK,
            &Page::Continue(Continue {
                title: "You are logged out here",
                message: "Your identity provider logs you out as well.",
                url,
                is_immediate: true,
            }),
        ))
    }

    /// Handles `signed-out`: the page that a provider sends the browser back to.
    pub(super) fn signed_out_at_provider(&self, request: &EndpointRequest) -> ResponseBytes {
        let sign_in_url = self.directory.landing_path(&request.host);
        let page = Page::SignedOut(SignedOut { sign_in_url: sign_in_url.as_deref() });
        self.page(StatusCode::OK, &page)
    }

    /// Returns the page that confirms the logout and clears the cookies.
    pub(super) fn signed_out(
        &self,
        request: &EndpointRequest,
        sign_in_url: Option<&str>,
    ) -> ResponseBytes {
        let paths = self.directory.cookie_paths(request.host.as_str());
        let page = Page::SignedOut(SignedOut { sign_in_url });
        let mut answer = self.page(StatusCode::OK, &page);
        for line in cookie::clear_all(&request.host, &paths) {
            answer.headers_mut().append(SET_COOKIE, line);
        }
        answer
    }

    /// Returns a link to the host of one of our applications. It is never followed automatically.
    pub(super) fn return_url(&self, return_to: Option<&str>) -> Option<String> {
        let host: CanonicalHost = Url::parse(return_to?).ok()?.host_str()?.parse().ok()?;
        let origin = self.origins.origin(&host);
        let target = ReturnTarget::parse(return_to?, &origin);
        self.directory.has_host(host.as_str()).then(|| format!("{origin}{}", target.as_str()))
    }

    /// Ends the session of a token: its record, and every token issued from it.
    pub(super) async fn end_session(&self, claims: &Claims, now: Timestamp) -> Result<(), Refusal> {
        match claims.identity_nonce.as_deref() {
            Some(id) => self.end_session_by_id(id, now).await,
            None => Ok(()),
        }
    }

    /// Ends the session with this id: its record, and every token issued from it.
    pub(super) async fn end_session_by_id(&self, id: &str, now: Timestamp) -> Result<(), Refusal> {
        self.revocations.revoke(Revocation::Session(id.into()), now).await?;
        let ended = self.sessions.end(id).await?;
        let email = ended.as_ref().map(|session| session.email.as_str());
        audit::record(&Event::new(EventKind::LoggedOut).session_id(id).email(email));
        Ok(())
    }

    /// Returns the claims of all our tokens in a request to this host.
    fn own_claims(&self, request: &EndpointRequest) -> Vec<Claims> {
        let issuer = self.issuer_name(&request.host);
        let keys = self.issuer.keys(request.now);
        cookie::values(&request.headers, cookie::AUTHORIZATION)
            .filter_map(|token| Jws::parse(token).ok()?.verify(&keys).ok())
            .filter(|claims| {
                claims.iss == issuer && Timestamp::from_unix_seconds(claims.exp) > request.now
            })
            .collect()
    }
}

/// Returns whether an image, frame, script or link of another site caused the request, according to
/// Fetch Metadata. A script of the same origin belongs to the application.
fn is_caused_by_another_site(headers: &HeaderMap) -> bool {
    let said = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let own = matches!(said("sec-fetch-site"), None | Some(b"same-origin" | b"none"));
    let sibling = said("sec-fetch-site") == Some(b"same-site");
    let page = matches!(said("sec-fetch-dest"), None | Some(b"document"));
    let script = said("sec-fetch-dest") == Some(b"empty");
    let allowed = own && (page || script) || sibling && page;
    !allowed || headers.contains_key("sec-purpose") || is_prefetch(headers)
}
