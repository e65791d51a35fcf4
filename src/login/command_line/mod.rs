//! The login of `cloudflared`, the command-line client (section 4.4 of the contract).
//!
//! | step | endpoint | host |
//! | --- | --- | --- |
//! | the client opens a browser | `GET cli?token=KEY&aud=…&redirect_url=…` | application |
//! | a person logs in and approves | `GET` and `POST cli/HOST?…` | team domain |
//! | the client, waiting all the while, gets the tokens | `GET /transfer/KEY` | team domain, or the transfer host |
//!
//! The approval is asked for on the team domain, never on the application's host: the answer may
//! hold the session token, which opens every application, and scripts of one application must not
//! be able to press the button. Where each host runs its own login, its session is good for itself
//! alone.
//!
//! Anybody may send a person a link with a key of their own: the page says what approving does, and
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

/// What the login of command-line clients has of its own.
#[derive(Debug)]
pub(crate) struct CommandLine {
    /// A host beside the team domain where tokens are handed out.
    transfer_host: Option<CanonicalHost>,
    waiters: Waiters,
}

impl CommandLine {
    pub(crate) fn new(transfer_host: Option<CanonicalHost>) -> Self {
        Self { transfer_host, waiters: Waiters::default() }
    }
}

/// What a client asks for.
#[derive(Debug)]
struct ClientRequest<'a> {
    protected: &'a CompiledApplication,
    flow: Flow,
    key: ClientKey,
    /// Whether the session token is wanted as well.
    with_session: bool,
}

/// What the client finds when it opens its answer.
#[derive(serde::Serialize)]
struct Tokens {
    app_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_token: Option<String>,
}

impl ClientRequest<'_> {
    /// The query, in one spelling.
    fn query(&self) -> &str {
        self.flow.target.as_str().split_once('?').map_or("", |(_, query)| query)
    }
}

impl Login {
    /// `cli` on an application's host: on to the team domain.
    pub(super) fn client_arrives(
        &self,
        request: &EndpointRequest,
    ) -> Result<ResponseBytes, Refusal> {
        let Some(client) = self.client_request(request, &request.host)? else {
            return Ok(self.unknown_application(request));
        };
        let team = self.origins.of(self.team_host(&request.host));
        let query = client.query();
        Ok(redirect(&format!("{team}{CLIENT_PATH}/{}?{query}", request.host)))
    }

    /// `cli/HOST` on the team domain: the login if need be, the question, and its answer.
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
            return Ok(self.no_client(
                "This application is for browsers alone",
                "Its tokens are bound to the browser that logged in, and are no use to a \
                 command-line client. Service tokens work.",
            ));
        }
        let session = self.session(request).await?;
        let session = session.filter(|it| application.allows_login_method(it.login_method()));
        let Some(session) = session else {
            let flow = self.fit_for_address(client.flow, request).await?;
            return Ok(redirect(&self.start_url(&flow, request.now)));
        };
        let about = (client.protected, &client.flow.host);
        let (verdict, circumstances) = self.judge(request, about, &session).await;
        match verdict.outcome() {
            Outcome::Allowed => {}
            Outcome::Bypassed | Outcome::ServiceAllowed => {
                return Ok(self.no_client(
                    "There is nothing to log in to",
                    "This application is open to you without a login, from where you are.",
                ));
            }
            Outcome::LoginRequired | Outcome::Denied => {
                let facts = circumstances.facts_of(&session.email);
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
            application.skips_interstitial && is_opened_by_the_person(request)
        };
        if approved {
            return self.hand_over(request, &client, &session, &verdict).await;
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

    /// What a client asks for on a host; `None` when there is no such application.
    fn client_request(
        &self,
        request: &EndpointRequest,
        host: &CanonicalHost,
    ) -> Result<Option<ClientRequest<'_>>, Refusal> {
        let query = request.query()?;
        let key: ClientKey = query.required("token")?.parse().map_err(|_| Refusal::BadRequest)?;
        let audience = query.required("aud")?;
        let address = query.required("redirect_url")?;
        let origin = self.origins.of(host);
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
            // Too long to come back to.
            return Err(Refusal::BadRequest);
        }
        let flow = Flow {
            audience: audience.to_owned(),
            host: host.clone(),
            target,
            app_session_hash: None,
            stored: None,
            is_shortened: false,
        };
        Ok(Some(ClientRequest { protected, flow, key, with_session }))
    }

    /// Makes the tokens, sealed for the client, and leaves them for it.
    async fn hand_over(
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
        if !self.leave(&session.id, client.key, &sealed).await? {
            return Ok(self.no_client(
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

    /// What only the page made for this person and this client says: no other site knows it.
    fn proof(&self, session: &Session, client: &ClientRequest<'_>) -> String {
        let parts = [session.id.as_str(), client.flow.host.as_str(), client.query()];
        to_hex(tag(&self.keys.client, &parts.map(str::as_bytes)).as_ref())
    }

    fn no_client(&self, title: &str, message: &str) -> ResponseBytes {
        self.page(StatusCode::FORBIDDEN, &Page::Problem(Problem::new(title, message)))
    }
}

/// Whether an absolute address has this origin: the client looks nowhere else, and never names
/// anything else.
fn is_on(address: &str, origin: &str) -> bool {
    let (Ok(address), Ok(origin)) = (Url::parse(address), Url::parse(origin)) else { return false };
    let is_plain = address.username().is_empty() && address.password().is_none();
    is_plain && address.origin().is_tuple() && address.origin() == origin.origin()
}

/// Whether the address was opened by a program or typed, as the client does it: no page of anybody's
/// led here, and the browser does not look ahead. Browsers that do not say count as if it was.
fn is_opened_by_the_person(request: &EndpointRequest) -> bool {
    let said = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
    request.method == Method::GET
        && matches!(said("sec-fetch-site"), None | Some(b"none"))
        && matches!(said("sec-fetch-dest"), None | Some(b"document"))
        && said("sec-purpose").is_none()
        && !is_prefetch(&request.headers)
}

/// What a client asks for, as an address: much less than the head of an answer may have.
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
