//! One request to the administration of a running proxy.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::net::TcpStream;
use tower_access::secret::SecretText;

use crate::Error;

/// A request to the administration.
pub(crate) struct AdminRequest {
    method: Method,
    path: String,
    body: Option<String>,
}

impl AdminRequest {
    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(crate) fn post(segments: &[&str]) -> Self {
        Self::new(Method::POST, segments)
    }

    pub(crate) fn put(segments: &[&str]) -> Self {
        Self::new(Method::PUT, segments)
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    pub(crate) fn with(self, body: &Value) -> Self {
        Self { body: Some(body.to_string()), ..self }
    }

    fn new(method: Method, segments: &[&str]) -> Self {
        let path =
            segments.iter().map(|one| format!("/{}", utf8_percent_encode(one, ESCAPED))).collect();
        Self { method, path, body: None }
    }
}

/// Sends a request. Returns whether it succeeded, and the response.
pub(crate) async fn send(
    address: SocketAddr,
    token: &SecretText,
    request: AdminRequest,
) -> Result<(bool, Value), Error> {
    let response = tokio::time::timeout(TIME_LIMIT, exchange(address, token, request)).await;
    response.map_err(|_| Error::from("no response within a minute")).flatten().map_err(|error| {
        format!(
            "{address}: {error}; is the proxy running, and was it started with this `admin.listen`?"
        )
        .into()
    })
}

async fn exchange(
    address: SocketAddr,
    token: &SecretText,
    what: AdminRequest,
) -> Result<(bool, Value), Error> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(what.method)
        .uri(what.path)
        .header(HOST, address.to_string())
        .header(AUTHORIZATION, format!("Bearer {}", token.expose()));
    if what.body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = Full::new(Bytes::from(what.body.unwrap_or_default()));
    let response = sender.send_request(request.body(body)?).await?;
    let is_success = response.status().is_success();
    let body = Limited::new(response.into_body(), MAX_RESPONSE).collect().await?.to_bytes();
    Ok((
        is_success,
        serde_json::from_slice(&body)
            .map_err(|_| "the response is not JSON: this is not the administration of a proxy")?,
    ))
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');
/// Long enough to make a large key.
const TIME_LIMIT: Duration = Duration::from_secs(60);
const MAX_RESPONSE: usize = 16 << 20;
