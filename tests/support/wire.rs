//! A service behind a real socket, over HTTP/1.1 or HTTP/2, and its client, which is a service again.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::HOST;
use http::{Request, Response, Uri, Version};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

pub const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// Leads to one server, whatever the address says.
#[derive(Clone, Debug)]
struct Dial(SocketAddr);

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.0;
        Box::pin(async move { TcpStream::connect(address).await.map(TokioIo::new) })
    }
}

/// The client.
#[derive(Clone, Debug)]
pub struct Wire {
    client: Client<Dial, Full<Bytes>>,
    version: Version,
}

impl Wire {
    /// A server for this service that lives as long as the runtime, and a client of it.
    pub async fn to<S, B>(service: S, version: Version) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let client = Client::builder(TokioExecutor::new())
            .http2_only(version == Version::HTTP_2)
            .build(Dial(address));
        Self { client, version }
    }
}

impl Service<Request<Full<Bytes>>> for Wire {
    type Response = Response<Incoming>;
    type Error = hyper_util::client::legacy::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Sends a request with a `Host` and a path alone.
    fn call(&mut self, mut request: Request<Full<Bytes>>) -> Self::Future {
        let host = request.headers().get(HOST).unwrap().to_str().unwrap().to_owned();
        let target = request.uri().path_and_query().unwrap();
        *request.uri_mut() = format!("http://{host}{target}").parse().unwrap();
        *request.version_mut() = self.version;
        if self.version == Version::HTTP_2 {
            request.headers_mut().remove(HOST);
        }
        Box::pin(self.client.request(request))
    }
}
