//! Origins, proxies and clients for the tests.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tower_access::proxy::{Ingress, IngressRule, OriginSettings, ReverseProxy, ServeLimits, serve};

/// Longest a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a test waits to see that something does not happen. It can only be too short to notice a
/// fault, never long enough to make a good proxy fail.
pub(crate) const A_WHILE: Duration = Duration::from_millis(150);

/// Waits for what must happen.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened long ago")
}

// === Origins ===

/// An origin with routes.
pub(crate) async fn origin(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An origin that answers with the request as it arrived, one line each.
pub(crate) async fn mirror() -> SocketAddr {
    origin(Router::new().fallback(reflect)).await
}

pub(crate) async fn reflect(request: axum::extract::Request) -> String {
    let (parts, body) = request.into_parts();
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let body = collected.to_bytes();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version);
    let lines = |headers: &HeaderMap, prefix: &str| -> String {
        headers
            .iter()
            .map(|(name, value)| format!("{prefix}{name}: {}\n", value.to_str().unwrap()))
            .collect()
    };
    text += &lines(&parts.headers, "");
    text += &lines(&trailers, "trailer ");
    text + "body: " + str::from_utf8(&body).unwrap() + "\n"
}

/// An origin that handles each connection by hand.
pub(crate) async fn raw_origin<H, F>(handle: H) -> SocketAddr
where
    H: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}

/// Reads up to and with the empty line that ends a head.
pub(crate) async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.expect("the head is cut off"));
    }
    String::from_utf8(head).unwrap()
}

// === Proxies ===

pub(crate) fn settings() -> OriginSettings {
    OriginSettings::default()
}

pub(crate) fn one_rule(service: &str, settings: OriginSettings) -> Ingress {
    Ingress::new(vec![IngressRule::parse("", None, service, settings).unwrap()]).unwrap()
}

pub(crate) fn proxy_to(service: &str, settings: OriginSettings) -> ReverseProxy {
    ReverseProxy::builder(one_rule(service, settings)).build().unwrap()
}

/// A proxy on a socket.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<usize>,
}

pub(crate) async fn run(proxy: ReverseProxy, limits: ServeLimits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(serve(listener, proxy, limits, stopped));
    Running { address, stop, task }
}

/// A proxy with default settings in front of one origin.
pub(crate) async fn in_front_of(origin: SocketAddr) -> Running {
    run(proxy_to(&format!("http://{origin}"), settings()), ServeLimits::default()).await
}

// === Clients ===

pub(crate) type ClientBody = BoxBody<Bytes, Infallible>;

pub(crate) fn no_body() -> ClientBody {
    Empty::new().boxed()
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> ClientBody {
    Full::new(bytes.into()).boxed()
}

/// One HTTP/1.1 connection to a proxy.
pub(crate) struct Client(SendRequest<ClientBody>);

impl Client {
    pub(crate) async fn connect(running: &Running) -> Self {
        let stream = TcpStream::connect(running.address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    pub(crate) async fn send(&mut self, request: Request<ClientBody>) -> Response<Incoming> {
        soon(self.0.ready()).await.unwrap();
        soon(self.0.send_request(request)).await.unwrap()
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response<Incoming> {
        self.send(get(path)).await
    }
}

/// A GET for `app.example`.
pub(crate) fn get(path: &str) -> Request<ClientBody> {
    Request::get(path).header("host", "app.example").body(no_body()).unwrap()
}

pub(crate) async fn bytes<B>(response: Response<B>) -> Bytes
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    soon(response.into_body().collect()).await.unwrap().to_bytes()
}

pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(bytes(response).await.to_vec()).unwrap()
}

/// Sends bytes as they are and reads until the proxy closes the connection.
pub(crate) async fn raw_exchange(running: &Running, request: &str) -> String {
    let mut stream = TcpStream::connect(running.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A body whose frames a test hands out one by one.
pub(crate) struct Frames(mpsc::Receiver<Frame<Bytes>>);

pub(crate) fn frames() -> (mpsc::Sender<Frame<Bytes>>, Frames) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, Frames(receiver))
}

impl Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

pub(crate) fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

/// The next data of a body.
pub(crate) async fn next_data(body: &mut Incoming) -> Bytes {
    soon(body.frame()).await.expect("a frame").unwrap().into_data().expect("data")
}
