//! The name in the handshake follows the host of the request.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use http::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tower_access::proxy::{OriginSettings, ReverseProxy};

use super::world::*;

/// An encrypted origin for `a.example.com`, `b.example.com` and `inner.example`, which answers with the
/// name in the handshake, the number of the connection and the host of the request.
struct Inner {
    address: SocketAddr,
    authority: PathBuf,
    connections: Arc<AtomicUsize>,
}

impl Inner {
    async fn start() -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names = ["a.example.com", "b.example.com", "inner.example"].map(str::to_owned);
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(accept(listener, acceptor, Arc::clone(&connections)));
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-access-names-{}-{number}.pem", std::process::id());
        let authority = std::env::temp_dir().join(name);
        std::fs::write(&authority, pem).unwrap();
        Self { address, authority, connections }
    }

    fn settings(&self) -> OriginSettings {
        let mut settings = settings();
        settings.ca_pool = Some(self.authority.clone());
        settings.match_sni_to_host = true;
        settings
    }

    fn proxy(&self, settings: OriginSettings) -> ReverseProxy {
        proxy_to(&format!("https://{}", self.address), settings)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.authority);
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, connections: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, connections) = (acceptor.clone(), Arc::clone(&connections));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            connections.fetch_add(1, Ordering::Relaxed);
            let name = stream.get_ref().1.server_name().unwrap_or("none").to_owned();
            let answer = move |request: axum::extract::Request| {
                let host = request.headers().get("host").and_then(|host| host.to_str().ok());
                let host = host
                    .map_or_else(|| request.uri().authority().unwrap().to_string(), str::to_owned);
                async move { format!("{name} {host}") }
            };
            let service = TowerToHyperService::new(Router::new().fallback(answer));
            let builder = Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// What the origin says to a request for a host.
async fn ask(proxy: &ReverseProxy, host: &str) -> Result<String, StatusCode> {
    let request = Request::get("/").header("host", host).body(no_body()).unwrap();
    let answer = soon(proxy.clone().oneshot(request)).await.unwrap();
    if answer.status() == StatusCode::OK { Ok(text(answer).await) } else { Err(answer.status()) }
}

#[tokio::test]
async fn each_host_is_the_name_of_its_own_connections() {
    for http2 in [false, true] {
        let inner = Inner::start().await;
        let mut settings = inner.settings();
        settings.http2_origin = http2;
        let proxy = inner.proxy(settings);
        for _ in 0..2 {
            for (host, name) in [
                ("a.example.com", "a.example.com"),
                ("b.example.com", "b.example.com"),
                ("A.Example.Com:8443", "a.example.com"),
                ("b.example.com.", "b.example.com"),
            ] {
                let seen = ask(&proxy, host).await.unwrap();
                assert_eq!(seen.split_once(' ').unwrap().0, name, "{host}");
            }
        }
        assert_eq!(inner.connections.load(Ordering::Relaxed), 2, "one for each name");
        // It has no certificate for this one, whatever it had for others.
        assert_eq!(ask(&proxy, "c.example.com").await, Err(StatusCode::BAD_GATEWAY));
    }
}

#[tokio::test]
async fn a_name_that_is_written_wins_over_the_host() {
    let inner = Inner::start().await;
    let mut settings = inner.settings();
    settings.origin_server_name = Some("inner.example".to_owned());
    let proxy = inner.proxy(settings);
    for host in ["a.example.com", "c.example.com"] {
        assert_eq!(ask(&proxy, host).await.unwrap(), format!("inner.example {host}"));
    }
}

#[tokio::test]
async fn the_host_that_an_origin_is_sent_is_the_one_that_counts() {
    let inner = Inner::start().await;
    let mut settings = inner.settings();
    settings.http_host_header = Some("b.example.com:1234".parse().unwrap());
    let proxy = inner.proxy(settings);
    assert_eq!(ask(&proxy, "c.example.com").await.unwrap(), "b.example.com b.example.com:1234");
}

#[tokio::test]
async fn a_stranger_who_chooses_hosts_leaves_no_connections_behind() {
    let inner = Inner::start().await;
    let mut settings = inner.settings();
    settings.dangerous_no_tls_verify = true;
    let proxy = inner.proxy(settings);
    ask(&proxy, "a.example.com").await.unwrap();
    for number in 0..64 {
        let host = format!("{number}.example.com");
        assert_eq!(ask(&proxy, &host).await.unwrap(), format!("{host} {host}"));
    }
    let before = inner.connections.load(Ordering::Relaxed);
    ask(&proxy, "63.example.com").await.unwrap();
    assert_eq!(inner.connections.load(Ordering::Relaxed), before, "used lately");
    ask(&proxy, "a.example.com").await.unwrap();
    assert_eq!(inner.connections.load(Ordering::Relaxed), before + 1, "let go meanwhile");
}

#[tokio::test]
async fn a_host_that_no_certificate_can_have_is_the_clients_fault() {
    let inner = Inner::start().await;
    let proxy = inner.proxy(inner.settings());
    let host = format!("{}.example.com", "a".repeat(64));
    let status = ask(&proxy, &host).await.unwrap_err();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
