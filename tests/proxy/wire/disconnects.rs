//! Clients that go away in the middle of something.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service};
use tower_access::application::Application;
use tower_access::issuer::SigningKey;
use tower_access::layer::AccessService;
use tower_access::policy::{Policy, Rule};
use tower_access::store::{MemoryStore, StoreError};
use tower_access::{Access, AccessLayer};

use super::client::*;
use super::world::*;
use crate::support::wrapping_store::{Hooks, WrappingStore};
use crate::support::{Browser, Mailbox, Origin, absolute, ask_for_code, clock, log_in};

const WIKI: &str = "https://wiki.example.com/";
const ADA: &str = "ada@example.com";
/// The status of what nobody waited for.
const LEFT: u16 = 499;

/// A store that has to be waited for, each time.
#[derive(Debug)]
struct Waits;

impl Hooks for Waits {
    async fn before(&self) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn after(&self) -> Result<(), StoreError> {
        self.before().await
    }
}

/// A line on which the client goes away when its patience is at an end.
#[derive(Clone)]
struct Line {
    service: AccessService<Origin>,
    /// How often the answer is asked for; less by one each time.
    patience: Arc<AtomicUsize>,
}

impl Service<Request<Full<Bytes>>> for Line {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let (mut answer, patience) =
            (Box::pin(self.service.call(request)), Arc::clone(&self.patience));
        let mut answer = Some(Box::pin(async move {
            let (parts, body) = answer.as_mut().await.unwrap().into_parts();
            Response::from_parts(parts, Full::new(body.collect().await.unwrap().to_bytes()))
        }));
        Box::pin(std::future::poll_fn(move |context| {
            let count = |left: usize| left.checked_sub(1);
            if patience.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count).is_err() {
                answer = None;
                let left = Response::builder().status(LEFT).body(Full::default());
                return Poll::Ready(Ok(left.unwrap()));
            }
            answer.as_mut().unwrap().as_mut().poll(context).map(Ok)
        }))
    }
}

struct Deployment {
    access: Access,
    line: Line,
    mail: Mailbox,
}

fn deployment(key: SigningKey) -> Deployment {
    let (mail, clock) = (Mailbox::default(), clock());
    let staff = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let wiki = Application::new("Wiki", "wiki.example.com").unwrap();
    let memory = MemoryStore::new(Arc::clone(&clock), 10_000);
    let access = Access::builder()
        .team_domain("login.example.com".parse().unwrap())
        .application(wiki.audience(AUDIENCE.parse().unwrap()).policy(staff))
        .signing_key(key)
        .store(Arc::new(WrappingStore::new(memory, Waits)))
        .mailer(mail.clone())
        .clock(clock)
        .build()
        .unwrap();
    let service = AccessLayer::new(access.clone()).layer(Origin::default());
    let line = Line { service, patience: Arc::new(AtomicUsize::new(usize::MAX)) };
    Deployment { access, line, mail }
}

impl Deployment {
    fn set_patience(&self, patience: usize) {
        self.line.patience.store(patience, Ordering::SeqCst);
    }

    async fn sessions(&self) -> usize {
        self.access.sessions_of(&ADA.parse().unwrap()).await.unwrap().len()
    }
}

/// Which request of a login the client does not wait for.
#[derive(Clone, Copy, Debug)]
enum Step {
    Page,
    Code,
    Verification,
    Arrival,
}

/// Leaves at one step of a login after so much patience, and logs in afterwards. Whether the step
/// was waited for to its end.
async fn leave(step: Step, patience: usize, key: SigningKey) -> bool {
    let deployment = deployment(key);
    let mut browser = Browser::new(deployment.line.clone());
    let status = match step {
        Step::Page => {
            let redirect = browser.get(WIKI).await;
            deployment.set_patience(patience);
            browser.get(redirect.location()).await.status()
        }
        Step::Code => {
            let (url, page) = browser.visit(WIKI).await;
            let form = crate::support::Form::of(&url, &page.text);
            deployment.set_patience(patience);
            form.submit(&mut browser, &[("email", ADA)]).await.status()
        }
        Step::Verification => {
            let form = ask_for_code(&mut browser, WIKI, ADA).await;
            let code = deployment.mail.code(1).await;
            deployment.set_patience(patience);
            form.submit(&mut browser, &[("code", &code)]).await.status()
        }
        Step::Arrival => {
            let form = ask_for_code(&mut browser, WIKI, ADA).await;
            let code = deployment.mail.code(1).await;
            let done = form.submit(&mut browser, &[("code", &code)]).await;
            let target = absolute(&form.action, done.location());
            deployment.set_patience(patience);
            browser.get(&target).await.status()
        }
    };
    deployment.set_patience(usize::MAX);
    let sessions = deployment.sessions().await;
    match step {
        Step::Page | Step::Code => assert_eq!(sessions, 0, "{step:?} {patience}"),
        Step::Verification => assert!(sessions <= 1, "{step:?} {patience}: {sessions}"),
        Step::Arrival => assert_eq!(sessions, 1, "{step:?} {patience}"),
    }
    let is_left = status == LEFT;
    if is_left {
        // Nothing of it lets anybody in by itself, and nothing of it stands in the way.
        let in_already = matches!(step, Step::Arrival);
        let (url, page) = browser.visit(WIKI).await;
        if in_already {
            assert!(page.text.starts_with("origin saw"), "{step:?} {patience}: {url}");
        } else {
            assert!(url.starts_with(TEAM), "{step:?} {patience}: {url}");
            let text = log_in(&mut browser, &deployment.mail, WIKI, ADA).await;
            assert!(text.starts_with("origin saw"), "{step:?} {patience}: {text}");
        }
        // A further person is not kept waiting by it either.
        let mut other = Browser::new(deployment.line.clone());
        log_in(&mut other, &deployment.mail, WIKI, "bob@example.com").await;
        assert!(deployment.sessions().await <= 2, "{step:?} {patience}");
    }
    !is_left
}

/// At whatever point a client leaves: no token without its session, no second use of a code, and
/// the next login goes through.
#[tokio::test]
async fn proto_06_a_login_left_at_any_point_can_be_made_again() {
    let key = SigningKey::generate().unwrap();
    let copy = || SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
    for (step, least) in
        [(Step::Page, 1), (Step::Code, 5), (Step::Verification, 5), (Step::Arrival, 3)]
    {
        let mut patience = 0;
        while !leave(step, patience, copy()).await {
            patience += 1;
            assert!(patience < 500, "{step:?} never ends");
        }
        assert!(patience >= least, "{step:?} was left {patience} times");
    }
}

/// Clients that leave while they are judged, or while the origin answers, leave no place taken.
#[tokio::test]
async fn proto_06_clients_that_leave_take_no_place_with_them() {
    let mut limits = tower_access::proxy::ServeLimits::default();
    limits.max_connections = 4;
    let world = world_with(limits).await;
    let cookie = world.cookie();
    for round in 0..40 {
        let mut wire = Wire::connect(world.proxy).await;
        let request = match round % 4 {
            0 => format!("GET /x HTTP/1.1\r\nhost: app.example\r\n{cookie}\r\n"),
            1 => "GET /x HTTP/1.1\r\nhost: app.example\r\n\r\n".to_owned(),
            2 => {
                "POST / HTTP/1.1\r\nhost: open.example\r\ncontent-length: 9\r\n\r\nhalf".to_owned()
            }
            _ => "GET / HTTP/1.1\r\nhost: open.example\r\nx-half: ".to_owned(),
        };
        wire.send(request).await;
    }
    let request = "GET /last HTTP/1.1\r\nhost: open.example\r\n\r\n";
    assert_eq!(ask(world.proxy, request).await.status, 200);
    // Half a body is no request for an origin.
    assert!(world.origin.received().iter().all(|request| request.body != b"half"));
}
