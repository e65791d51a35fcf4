//! Encrypted origins: who is trusted, and what is spoken.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use http::StatusCode;
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

/// An encrypted origin for `origin.example`, and the file of the authority it is certified by.
struct Encrypted {
    address: SocketAddr,
    authority: PathBuf,
}

impl Encrypted {
    async fn start(protocols: &[&str]) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["origin.example".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();

        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config))));

        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tower-access-{}-{number}.pem", std::process::id());
        let authority = std::env::temp_dir().join(name);
        std::fs::write(&authority, pem).unwrap();
        Self { address, authority }
    }

    fn trusted(&self) -> OriginSettings {
        let mut settings = settings();
        settings.ca_pool = Some(self.authority.clone());
        settings.origin_server_name = Some("origin.example".to_owned());
        settings
    }

    async fn status(&self, settings: OriginSettings) -> StatusCode {
        let proxy = proxy_to(&format!("https://{}", self.address), settings);
        soon(proxy.oneshot(get("/"))).await.unwrap().status()
    }
}

impl Drop for Encrypted {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.authority);
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor) {
    let service = TowerToHyperService::new(Router::new().fallback(reflect));
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                let builder = Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let origin = Encrypted::start(&[]).await;
    let mut settings = settings();
    settings.origin_server_name = Some("origin.example".to_owned());
    let ingress = one_rule(&format!("https://{}", origin.address), settings);
    // Where the system has no authorities at all, the proxy cannot even be built.
    if let Ok(proxy) = ReverseProxy::builder(ingress).build() {
        let answer = soon(proxy.oneshot(get("/"))).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    }
    let stranger = Encrypted::start(&[]).await;
    assert_eq!(origin.status(stranger.trusted()).await, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn an_authority_of_ours_is_trusted_for_the_right_name() {
    let origin = Encrypted::start(&[]).await;
    assert_eq!(origin.status(origin.trusted()).await, StatusCode::OK);

    let mut settings = origin.trusted();
    settings.origin_server_name = Some("other.example".to_owned());
    assert_eq!(origin.status(settings).await, StatusCode::BAD_GATEWAY);

    let mut settings = origin.trusted();
    settings.origin_server_name = None;
    assert_eq!(origin.status(settings).await, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn verification_can_be_given_up_by_name() {
    let mut settings = settings();
    settings.dangerous_no_tls_verify = true;
    assert_eq!(Encrypted::start(&[]).await.status(settings).await, StatusCode::OK);
}

#[tokio::test]
async fn http2_is_spoken_if_wanted_and_understood() {
    for (protocols, wanted, spoken) in [
        (&["h2", "http/1.1"][..], true, "HTTP/2.0"),
        (&["h2", "http/1.1"][..], false, "HTTP/1.1"),
        (&["http/1.1"][..], true, "HTTP/1.1"),
        (&[][..], true, "HTTP/1.1"),
    ] {
        let origin = Encrypted::start(protocols).await;
        let mut settings = origin.trusted();
        settings.http2_origin = wanted;
        let proxy = proxy_to(&format!("https://{}", origin.address), settings);
        for _ in 0..2 {
            let seen = text(soon(proxy.clone().oneshot(get("/x"))).await.unwrap()).await;
            assert!(seen.lines().next().unwrap().ends_with(spoken), "{seen}");
            if spoken == "HTTP/2.0" {
                assert!(seen.starts_with("GET https://app.example/x"), "{seen}");
            } else {
                assert!(seen.contains("\nhost: app.example\n"), "{seen}");
            }
        }
    }
}

/// SVC-09: for certificates of origins.
#[test]
fn settings_that_cannot_work_are_refused_when_built() {
    let build = |settings| {
        ReverseProxy::builder(one_rule("https://127.0.0.1:1", settings)).build().unwrap_err()
    };
    let mut missing = settings();
    missing.ca_pool = Some("/nonexistent/ca.pem".into());
    let error = build(missing);
    assert_eq!(error.rule(), 0);
    assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");

    let mut nameless = settings();
    nameless.origin_server_name = Some("not a name".to_owned());
    assert!(build(nameless).to_string().contains("not a name"));
}
