//! A host program that made other choices than the crate.
//!
//! A library shares its process, and two choices there are process-wide: the provider that rustls
//! takes when nobody names one, and the backend of `jsonwebtoken`, which the crate uses as well (for
//! the form of keys). This program takes the other one of each: it installs *ring* for rustls, and
//! turns on `rust_crypto` in jsonwebtoken, so that with the crate's `aws_lc_rs` both backends are in
//! the build and jsonwebtoken's own choice between them panics. The crate has to work all the same,
//! and must not make the choice for the program either.
//!
//! A package of its own, because features are united over a whole build: inside the crate's tests
//! these choices would be everybody's.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower_access::test_util::TestIssuer;
use tower_access::token::keys::{HttpFetch, KeyState, RemoteKeys};
use tower_access::{Access, AccessLayer, Identity};

#[tokio::test]
async fn the_layer_works_in_a_program_that_chose_other_cryptography() {
    let choice = ring_with(cipher_suite::TLS13_CHACHA20_POLY1305_SHA256);
    choice.install_default().expect("the first choice of the process");
    let installed = CryptoProvider::get_default().map(Arc::as_ptr);

    let issuer = TestIssuer::new();
    let good = issuer.token_for("ada@example.com");
    let forged = with_other_claims(&good, &issuer.token_for("eve@example.com"));

    // What the crate must not depend on: a program with both backends has to choose one first.
    let document = issuer.key_set_json();
    let panic = std::panic::catch_unwind(|| read_with_jsonwebtoken(&good, &document)).unwrap_err();
    let panic = panic.downcast_ref::<String>().expect("a panic with a message");
    assert!(panic.contains("CryptoProvider"), "not the panic this is about: {panic}");

    let authority = authority();
    let plain = format!("http://{}/certs", serve_keys(document.to_vec(), None).await);
    let tls = TlsAcceptor::from(Arc::new(tls_of(&authority)));
    let secure = format!("https://{}/certs", serve_keys(document.to_vec(), Some(tls)).await);
    let fetches = [
        HttpFetch::new(&plain).expect("a loopback address"),
        HttpFetch::with_authorities(&secure, authority.pem().as_bytes()).expect("an authority"),
    ];
    for fetch in fetches {
        let name = format!("{fetch:?}");
        let keys = RemoteKeys::new(fetch);
        let access = issuer
            .verifier_builder()
            .audience(TestIssuer::AUDIENCE.parse().expect("an audience tag"))
            .keys(keys)
            .build()
            .expect("settings that fit each other");
        let app = serve_app(access.clone()).await;
        assert_eq!(ask(app, &good).await, (200, "ada@example.com".to_owned()), "{name}");
        assert_eq!(access.key_state(), KeyState::Fresh { keys: 1 }, "{name}");
        assert_eq!(ask(app, &forged).await.0, 401, "{name}");
    }

    let still = CryptoProvider::get_default().map(Arc::as_ptr);
    assert_eq!(still, installed, "the program's choice is the program's");
}

/// What the program would do without the crate. The token is good, so a panic says nothing of it.
fn read_with_jsonwebtoken(token: &str, key_set: &[u8]) -> bool {
    let keys: JwkSet = serde_json::from_slice(key_set).expect("a key set");
    let jwk = keys.keys.first().expect("a key");
    let key = jsonwebtoken::DecodingKey::from_jwk(jwk).expect("a usable key");
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    rules.set_audience(&[TestIssuer::AUDIENCE]);
    rules.validate_exp = false;
    jsonwebtoken::decode::<serde_json::Value>(token, &key, &rules).is_ok()
}

/// The one token's header and signature around the other's claims.
fn with_other_claims(token: &str, other: &str) -> String {
    let [header, _, signature] = parts(token);
    let [_, claims, _] = parts(other);
    let text = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
    assert!(String::from_utf8_lossy(&text).contains("eve@example.com"));
    format!("{header}.{claims}.{signature}")
}

fn parts(token: &str) -> [&str; 3] {
    token.split('.').collect::<Vec<_>>().try_into().expect("three parts")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

/// *ring* with this cipher suite alone.
fn ring_with(suite: SupportedCipherSuite) -> CryptoProvider {
    CryptoProvider { cipher_suites: vec![suite], ..ring::default_provider() }
}

/// TLS with a certificate for the loopback address. It speaks no cipher suite of the program's own
/// choice: a client made with that cannot talk to it.
fn tls_of(authority: &CertifiedIssuer<'static, KeyPair>) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = ring_with(cipher_suite::TLS13_AES_256_GCM_SHA384);
    ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("a version for the cipher suite")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate and its key")
}

/// A key server; its address.
async fn serve_keys(document: Vec<u8>, tls: Option<TlsAcceptor>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answered = match &tls {
                None => answer(stream, &document).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => answer(stream, &document).await,
                    Err(error) => Err(error),
                },
            };
            answered.expect("a client that listens");
        }
    });
    address
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, body: &[u8]) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.shutdown().await
}

/// The program: one page, for whoever brings a good token.
async fn serve_app(access: Access) -> std::net::SocketAddr {
    let page = |identity: Identity| async move { identity.email().unwrap_or_default().to_owned() };
    let app = Router::new().route("/", get(page)).layer(AccessLayer::new(access));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Status and body of the program's answer.
async fn ask(app: std::net::SocketAddr, token: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(app).await.expect("a program that listens");
    let request = format!(
        "GET / HTTP/1.1\r\nhost: wiki.example.com\r\nconnection: close\r\n\
         cf-access-jwt-assertion: {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status line"), body.to_owned())
}
