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

/// What is asked.
pub(crate) struct Ask {
    method: Method,
    path: String,
    body: Option<String>,
}

impl Ask {
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

/// Asks: whether the answer is a good one, and the answer.
pub(crate) async fn ask(
    address: SocketAddr,
    token: &SecretText,
    what: Ask,
) -> Result<(bool, Value), Error> {
    let asking = tokio::time::timeout(PATIENCE, send(address, token, what)).await;
    asking.map_err(|_| Error::from("no answer")).flatten().map_err(|error| {
        format!(
            "{address}: {error}; is the proxy running, and was it started with this `admin.listen`?"
        )
        .into()
    })
}

async fn send(address: SocketAddr, token: &SecretText, what: Ask) -> Result<(bool, Value), Error> {
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
    let answer = sender.send_request(request.body(body)?).await?;
    let is_fine = answer.status().is_success();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await?.to_bytes();
    Ok((is_fine, serde_json::from_slice(&body).map_err(|_| "this is no answer of a proxy's")?))
}

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'@');
/// Making a large key takes a while.
const PATIENCE: Duration = Duration::from_secs(60);
const LARGEST_ANSWER: usize = 16 << 20;
