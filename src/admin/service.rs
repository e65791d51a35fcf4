//! The service of the administration listener.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::address::PeerAddress;
use crate::audit::{self, Event, EventKind};
use crate::proxy::Reloader;
use crate::util::response::ResponseBytes;

use super::act::act;
use super::guard;
use super::response::Failure;
use super::route::Action;

/// The administration of a running proxy as a service; see the [module docs](crate::admin).
///
/// ```no_run
/// # async fn run(reloader: tower_access::proxy::Reloader) -> Result<(), std::io::Error> {
/// use tower_access::admin::AdminService;
/// use tower_access::proxy::{ServeLimits, serve};
///
/// let config = reloader.config();
/// if let Some(admin) = &config.admin {
///     let listener = tokio::net::TcpListener::bind(admin.listen).await?;
///     let service = AdminService::new(reloader);
///     serve(listener, service, ServeLimits::default(), std::future::pending::<()>()).await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AdminService {
    reloader: Reloader,
    listens_anywhere: bool,
    slots: Arc<Semaphore>,
}

impl AdminService {
    /// Makes the service for the proxy of a reloader. Requests need the token of the file in force; if
    /// the file has no `admin`, every request is refused.
    #[must_use]
    pub fn new(reloader: Reloader) -> Self {
        let config = reloader.config();
        let listens_anywhere = config
            .admin
            .as_ref()
            .is_some_and(|admin| !admin.listen.ip().to_canonical().is_loopback());
        Self { reloader, listens_anywhere, slots: Arc::new(Semaphore::new(MAX_ACTIONS)) }
    }

    async fn respond<B>(self, request: Request<B>) -> ResponseBytes
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let token = self.reloader.admin_token();
        if let Err(failure) = guard::admit(&parts, token.as_deref(), self.listens_anywhere) {
            let kind = EventKind::AdministrationRefused { status: failure.status.as_u16() };
            audit::record(&Event::new(kind).peer(peer(&parts)));
            return failure.into_response();
        }
        let (action, outcome) = match requested_action(&parts) {
            Ok(action) => {
                let outcome = self.carry_out(&action, &parts.headers, body).await;
                (Some(action), outcome)
            }
            Err(failure) => (None, Err(failure)),
        };
        let response = outcome.unwrap_or_else(Failure::into_response);
        // Health checks are frequent and change nothing.
        if action != Some(Action::Health) {
            let kind = EventKind::Administration {
                action: action.as_ref().map(Action::name),
                about: action.as_ref().and_then(about),
                status: response.status().as_u16(),
            };
            audit::record(&Event::new(kind).peer(peer(&parts)));
        }
        response
    }

    async fn carry_out<B>(
        &self,
        action: &Action,
        headers: &HeaderMap,
        body: B,
    ) -> Result<ResponseBytes, Failure>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let _slot = self.slots.acquire().await.map_err(Failure::unavailable)?;
        let body = read(headers, body).await?;
        act(action, &self.reloader, &body).await
    }
}

/// Returns the action of a request.
fn requested_action(parts: &Parts) -> Result<Action, Failure> {
    let action =
        Action::from_path(parts.uri.path(), &parts.method).ok_or_else(Failure::unknown_path)?;
    if parts.uri.query().is_some() {
        return Err(Failure::bad_request("leave out the query"));
    }
    if parts.method != action.method() {
        return Err(Failure::method_not_allowed(action.methods()));
    }
    Ok(action)
}

async fn read<B>(headers: &HeaderMap, body: B) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let reading = Limited::new(body, MAX_BODY).collect();
    let read =
        tokio::time::timeout(BODY_TIME_LIMIT, reading).await.map_err(|_| Failure::too_slow())?;
    let body = match read {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Failure::too_large()),
        Err(_) => return Err(Failure::bad_request("the body could not be read")),
    };
    let is_json = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).is_some_and(|kind| {
        kind.split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
    });
    if body.is_empty() || is_json { Ok(body) } else { Err(Failure::not_json()) }
}

/// Returns the subject of an action for the audit event. (A revoked user is in the event of the
/// revocation.)
fn about(action: &Action) -> Option<&str> {
    match action {
        Action::RevokeApplication(about)
        | Action::RevokeSession(about)
        | Action::Sessions(about) => Some(about),
        Action::ServiceTokens(action) => action.about(),
        Action::RevokeUser
        | Action::RevokeEverybody
        | Action::Keys
        | Action::RotateKeys
        | Action::Reload
        | Action::Health => None,
    }
}

fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<PeerAddress>().map(|peer| peer.0)
}

impl<B> Service<Request<B>> for AdminService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.respond(request).await.map(Full::new)) })
    }
}

/// Bytes: bodies are short.
const MAX_BODY: usize = 16 << 10;
const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);
/// Actions at a time; others wait.
const MAX_ACTIONS: usize = 16;
