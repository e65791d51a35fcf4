//! The login of `cloudflared`, the command-line client (section 4.4 of the contract).
//!
//! | step | endpoint | host |
//! | --- | --- | --- |
//! | the client opens a browser | `GET cli?token=KEY&aud=…&redirect_url=…` | application |
//! | a user logs in and approves | `GET` and `POST cli/HOST?…` | team domain |
//! | the waiting client gets the tokens | `GET /transfer/KEY` | team domain, or the transfer host |
//!
//! The approval page is on the team domain, never on the application's host: the response may
//! contain the session token, which opens every application, and scripts of one application must not
//! be able to press the button. If each host runs its own login, its session is valid only there.
//!
//! Anybody can send a user a link with a key of their own. The page explains what approving does, and
//! shows the key, which the client has printed.

mod available;
mod key;
#[cfg(feature = "cloudflared")]
mod seal;
mod transfer;

use http::{Method, StatusCode};
use url::Url;
use zeroize::Zeroizing;

use crate::application::{CanonicalHost, CompiledApplication};
use crate::audit::{self, Event, EventKind};
use crate::headers::is_prefetch;
use crate::policy::{Outcome, Verdict};
use crate::random::to_hex;
use crate::secret::{equal, tag};
use crate::session::Session;
use crate::store::StoreError;
use crate::util::response::{ResponseBytes, redirect};

pub(crate) use self::available::IS_AVAILABLE;
pub(crate) use self::key::ClientKey;

use self::available::SEAL;
use self::transfer::Waiters;
use super::redirect::{CLIENT_PATH, ReturnTarget};
use super::{EndpointRequest, Flow, Login, Refusal};
use crate::pages::{ApproveClient, Page, Problem};

/// The state of the login of command-line clients.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// A further host that serves `/transfer/KEY`.
    transfer_host: Option<CanonicalHost>,
    waiters: Waiters,
}

impl CommandLine {
    pub(crate) fn new(transfer_host: Option<CanonicalHost>) -> Self {
        Self { transfer_host, waiters: Waiters::default() }
    }
}

/// The request of a client.
#[derive(Debug)]
struct ClientRequest<'a> {
    protected: &'a CompiledApplication,
    flow: Flow,
    key: ClientKey,
    /// Whether the client requests the session token as well.
    with_session: bool,
}

/// The content of the sealed response.
#[derive(serde::Serialize)]
struct Tokens {
    app_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_token: Option<String>,
}

impl ClientRequest<'_> {
    /// Returns the normalized query.
    fn query(&self) -> &str {
        self.flow.target.as_str().split_once('?').map_or("", |(_, query)| query)
    }
}

impl Login {
    /// Handles `cli` on an application's host: redirects to the team domain.
    pub(super) fn start_client_login(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        let Some(client) = self.client_request(request, &request.host)? else {
            return Ok(self.unknown_application(request));
        };
        let team = self.origins.origin(self.team_host(&request.host));
        let query = client.query();
        Ok(redirect(&format!("{team}{CLIENT_PATH}/{}?{query}", request.host)))
    }

    /// Handles `cli/HOST` on the team domain: the login if necessary, and the approval.
    pub(super) async fn client_approval(
        &self,
        request: &EndpointRequest,
        app_host: &str,
    ) -> Result<ResponseBytes, Refusal> {
        let host = app_host.parse::<CanonicalHost>().ok();
        let host = host.filter(|host| *self.team_host(host) == request.host);
        let client =
            host.as_ref().map(|host| self.client_request(request, host)).transpose()?.flatten();
        let Some(client) = client else { return Ok(self.unknown_application(request)) };
        let application = &client.protected.application;
        if application.binding_cookie {
            return Ok(self.client_refused(
                "This application is for browsers alone",
                "Its tokens are bound to the browser that logged in, so a command-line client cannot \
                 use them. Use a service token.",
            ));
        }
        let session = self.session(request).await?;
        let session = session.filter(|it| application.allows_login_method(it.login_method()));
        let Some(session) = session else {
            let flow = self.fit_for_address(client.flow, request).await?;
            return Ok(redirect(&self.start_url(&flow, request.now)));
        };
        let about = (client.protected, &client.flow.host);
        let (verdict, request_facts) = self.judge(request, about, &session).await;
        match verdict.outcome() {
            Outcome::Allowed => {}
            Outcome::Bypassed | Outcome::ServiceAllowed => {
                return Ok(self.client_refused(
                    "No login is necessary",
                    "You can access this application from here without a login.",
                ));
            }
            Outcome::LoginRequired | Outcome::Denied => {
                let facts = request_facts.facts_for(&session.email);
                return Ok(self.denied(
                    client.protected,
                    &client.flow,
                    &session,
                    (&facts, &verdict),
                ));
            }
        }
        let proof = self.proof(&session, &client);
        let approved = if request.method == Method::POST {
            if !equal(request.form()?.required("proof")?.as_bytes(), proof.as_bytes()) {
                return Err(Refusal::BadRequest);
            }
            true
        } else {
            application.skips_interstitial && is_opened_by_user(request)
        };
        if approved {
            return self.transfer_tokens(request, &client, &session, &verdict).await;
        }
        let key = client.key.to_string();
        let page = Page::ApproveClient(ApproveClient {
            application: application.name(),
            host: client.flow.host.as_str(),
            email: session.email.as_str(),
            action: &format!("{CLIENT_PATH}/{}?{}", client.flow.host, client.query()),
            proof: &proof,
            key: &key,
            with_session: client.with_session,
        });
        Ok(self.page(StatusCode::OK, &page))
    }

    /// Reads a client's request for a host. Returns `None` if the application does not exist.
    fn client_request(
        &self,
        request: &EndpointRequest,
        host: &CanonicalHost,
    ) -> Result<Option<ClientRequest<'_>>, Refusal> {
        let query = request.query()?;
        let key: ClientKey = query.required("token")?.parse().map_err(|_| Refusal::BadRequest)?;
        let audience = query.required("aud")?;
        let address = query.required("redirect_url")?;
        let origin = self.origins.origin(host);
        if !is_on(address, &origin) {
            return Err(Refusal::BadRequest);
        }
        let with_session = query.one("send_org_token")? == Some("true");
        let Some(protected) = self.directory.by_audience(audience) else { return Ok(None) };
        let mut destinations = protected.application.destinations.iter();
        if !destinations.any(|destination| destination.matches_host(host.as_str())) {
            return Ok(None);
        }
        let mut again = url::form_urlencoded::Serializer::new(format!("{CLIENT_PATH}?"));
        again.append_pair("aud", audience).append_pair("token", &key.to_string());
        again.append_pair("redirect_url", address);
        if with_session {
            again.append_pair("send_org_token", "true");
        }
        let again = again.finish();
        let target = ReturnTarget::parse(&again, &origin);
        if target.path() != CLIENT_PATH || again.len() > MAX_REQUEST {
            // Too long for a return target.
            return Err(Refusal::BadRequest);
        }
        let flow = Flow {
            audience: audience.to_owned(),
            host: host.clone(),
            target,
            app_session_hash: None,
            stored: None,
            is_shortened: false,
            refreshes_identity: false,
        };
        Ok(Some(ClientRequest { protected, flow, key, with_session }))
    }

    /// Issues the tokens, seals them for the client, and stores them for its request.
    async fn transfer_tokens(
        &self,
        request: &EndpointRequest,
        client: &ClientRequest<'_>,
        session: &Session,
        verdict: &Verdict,
    ) -> Result<ResponseBytes, Refusal> {
        let (issuer, now) = (self.issuer_name(&client.flow.host), request.now);
        let lifetime = self.lifetimes.bounded(self.token_lifetime(client.protected, verdict));
        let audience = client.protected.audience();
        let claims = session.application_claims(&issuer, audience, lifetime, now);
        let token = self.issuer.issue(claims, now)?;
        let org_token = match client.with_session {
            true => Some(self.issuer.issue(session.session_claims(&issuer, now), now)?.token),
            false => None,
        };
        let tokens = Tokens { app_token: token.token, org_token };
        let text = Zeroizing::new(serde_json::to_vec(&tokens).map_err(StoreError::new)?);
        let seal = SEAL.ok_or(Refusal::BadRequest)?;
        let sealed = seal(&text, client.key, &*self.random)?;
        if !self.store_transfer(&session.id, client.key, &sealed).await? {
            return Ok(self.client_refused(
                "Somebody has approved this client already",
                "If it was not you, start the command again.",
            ));
        }
        audit::record(
            &Event::new(EventKind::ClientApproved { with_session: client.with_session })
                .application(client.protected.audited())
                .host(client.flow.host.as_str())
                .email(session.email.as_str())
                .session_id(&session.id)
                .address(request.sender.address),
        );
        Ok(self.page(StatusCode::OK, &Page::ClientApproved))
    }

    /// Returns a value that only the page for this user and client contains: other sites do not know it.
    fn proof(&self, session: &Session, client: &ClientRequest<'_>) -> String {
        let parts = [session.id.as_str(), client.flow.host.as_str(), client.query()];
        to_hex(tag(&self.keys.client, &parts.map(str::as_bytes)).as_ref())
    }

    fn client_refused(&self, title: &str, message: &str) -> ResponseBytes {
        self.page(StatusCode::FORBIDDEN, &Page::Problem(Problem::new(title, message)))
    }
}

/// Returns whether an absolute URL has this origin: clients never use another one.
fn is_on(address: &str, origin: &str) -> bool {
    let (Ok(address), Ok(origin)) = (Url::parse(address), Url::parse(origin)) else { return false };
    let is_plain = address.username().is_empty() && address.password().is_none();
    is_plain && address.origin().is_tuple() && address.origin() == origin.origin()
}

/// Returns whether the URL was typed or opened by a program, as the client does, not by a link or a
/// prefetch. Browsers without Fetch Metadata headers are trusted.
fn is_opened_by_user(request: &EndpointRequest) -> bool {
    let said = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
    request.method == Method::GET
        && matches!(said("sec-fetch-site"), None | Some(b"none"))
        && matches!(said("sec-fetch-dest"), None | Some(b"document"))
        && said("sec-purpose").is_none()
        && !is_prefetch(&request.headers)
}

/// Longest normalized request of a client, in bytes: far below the size limit of a response head.
const MAX_REQUEST: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_18_an_address_is_on_the_applications_own_host() {
        let origin = "https://app.example";
        for address in [
            "https://app.example",
            "https://app.example?aud=1&token=2",
            "https://APP.example:443/docs",
        ] {
            assert!(is_on(address, origin), "{address}");
        }
        for address in [
            "",
            "/docs",
            "//app.example/",
            "http://app.example/",
            "https://app.example:444/",
            "https://app.example.evil.example/",
            "https://evil.example/?https://app.example",
            "https://app.example@evil.example/",
            "https://ada@app.example/",
            "https://evil.example\\@app.example/",
            "https://xn--app-example.evil/",
            "javascript:https://app.example",
            "data:text/html,x",
        ] {
            assert!(!is_on(address, origin), "{address}");
        }
    }
}
