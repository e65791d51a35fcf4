//! One exchange with an origin: rewrites the heads of the request and the response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::request::Parts;
use http::uri::Authority;
use http::{Extensions, Response, StatusCode, Version};
use http_body::Body;

use crate::engine::AccessGrant;

use super::BoxError;
use super::body::ProxyBody;
use super::failure::Failure;
use super::headers::{self, ForwardedFacts};
use super::http1::OriginBody;
use super::progress::Progress;
use super::request_body::RequestBody;
use super::upgrade::UpgradeRequest;
use super::upstream::{Outgoing, Upstream};

/// The origin and the settings for a forwarded request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forwarding<'a> {
    pub(super) upstream: &'a Arc<Upstream>,
    /// The host that the client requested.
    pub(super) sent_host: &'a Authority,
    /// The host to send to the origin instead.
    pub(super) host_override: Option<&'a Authority>,
    pub(super) facts: ForwardedFacts,
    /// Longest silence before the response begins; zero means no limit.
    pub(super) response_header_timeout: Duration,
}

/// A request that is ready for its origin.
#[derive(Debug)]
pub(super) struct Exchange {
    upstream: Arc<Upstream>,
    outgoing: Outgoing,
    upgrade: Option<UpgradeRequest>,
    grant: Option<AccessGrant>,
}

impl Forwarding<'_> {
    /// Rewrites the head of the request. Nothing here waits, so that the future of the exchange stays small.
    pub(super) fn prepare<B>(self, mut parts: Parts, body: B) -> Exchange
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let upgrade = UpgradeRequest::take(&mut parts);
        let grant = parts.extensions.remove::<AccessGrant>();
        self.rewrite(&mut parts, upgrade.as_ref());
        let mut progress = Progress::start(self.response_header_timeout);
        Exchange {
            upstream: Arc::clone(self.upstream),
            outgoing: Outgoing {
                parts,
                body: RequestBody::new(body, &mut progress),
                host: self.host().clone(),
                upgrading: upgrade.is_some(),
                progress,
            },
            upgrade,
            grant,
        }
    }

    fn rewrite(self, parts: &mut Parts, upgrade: Option<&UpgradeRequest>) {
        parts.extensions = Extensions::new();
        let head = &mut parts.headers;
        headers::remove_hop_by_hop(head);
        headers::clean_trailer_announcement(head);
        headers::write_forwarded(head, self.facts, self.sent_host);
        headers::write_host(head, self.host());
        if let Some(upgrade) = upgrade {
            upgrade.write(head);
        }
    }

    fn host(&self) -> &Authority {
        self.host_override.unwrap_or(self.sent_host)
    }
}

impl Exchange {
    /// Sends the request and returns the response, whose body is still streaming.
    ///
    /// Dropping the future, or the response's body, ends the exchange with the origin.
    pub(super) async fn run(self) -> Result<Response<ProxyBody>, Failure> {
        let Self { upstream, outgoing, upgrade, grant } = self;
        let response = upstream.send(outgoing).await.map_err(Failure::from_exchange_error)?;
        finish(response, upgrade, grant)
    }
}

fn finish(
    mut response: Response<OriginBody>,
    upgrade: Option<UpgradeRequest>,
    grant: Option<AccessGrant>,
) -> Result<Response<ProxyBody>, Failure> {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let chosen = upgrade.as_ref().and_then(|upgrade| upgrade.chosen(response.headers()));
    headers::remove_hop_by_hop(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    if !switched {
        return Ok(response.map(ProxyBody::origin));
    }
    let (Some(upgrade), Some(chosen)) = (upgrade, chosen) else {
        return Err(Failure::Unreachable(
            "the origin switched to a protocol that was not requested".into(),
        ));
    };
    upgrade.join(&mut response, grant);
    let mut response = response.map(|_| ProxyBody::empty());
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, chosen);
    Ok(response)
}
