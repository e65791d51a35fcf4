//! `GET /transfer/KEY`: the approved tokens, for the waiting client.
//!
//! The key names the transfer, and only its owner can open the sealed tokens: a stranger who has seen
//! the key can take the transfer away, but not use it. A transfer is delivered once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};

use crate::application::CanonicalHost;
use crate::store::StoreError;
use crate::util::response::{ResponseBytes, empty, with};

use super::super::meta::hash;
use super::super::{EndpointRequest, Login, Refusal, read_record, write_record};
use super::available::IS_AVAILABLE;
use super::key::{ClientKey, Sealed};

impl Login {
    /// Returns the key in a path, if the host serves transfers.
    pub(crate) fn transfer_key(&self, host: &CanonicalHost, path: &str) -> Option<ClientKey> {
        let key = path.strip_prefix("/transfer/")?.parse().ok()?;
        let serves = self.command_line.transfer_host.as_ref() == Some(host)
            || match &self.team_domain {
                Some(team) => team.host() == host,
                None => self.directory.has_host(host.as_str()),
            };
        (IS_AVAILABLE && serves).then_some(key)
    }

    /// Waits for the transfer of a key. Responds with 404 after 30 seconds, or at once if too many
    /// clients wait.
    pub(in super::super) async fn transfer(
        &self,
        request: &EndpointRequest,
        key: ClientKey,
    ) -> Result<ResponseBytes, Refusal> {
        let name = name(key);
        let Some(_waiting) = self.command_line.waiters.enter(request.sender.address) else {
            return Ok(transfer_response(self.take_transfer(&name).await?));
        };
        let wait = self.wait_for_transfer(&name);
        let found = tokio::time::timeout(MAX_WAIT, wait).await.unwrap_or(Ok(None));
        Ok(transfer_response(found?))
    }

    /// Waits for a transfer without a time limit.
    async fn wait_for_transfer(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        let channel = channel(name);
        // Not a valid number, so that the first call returns the current one immediately.
        let mut seen = u64::MAX;
        loop {
            // Before the read, so that a later transfer is not missed.
            seen = self.store.notified(&channel, seen).await?;
            if let Some(sealed) = self.take_transfer(name).await? {
                return Ok(Some(sealed));
            }
        }
    }

    async fn take_transfer(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        Ok(read_record(self.store.take(&format!("transfer/{name}")).await?))
    }

    /// Stores the transfer for a key, and replaces an earlier one of this session. Returns `false` if
    /// another session has stored one under this key, which is kept.
    pub(super) async fn store_transfer(
        &self,
        session: &str,
        key: ClientKey,
        sealed: &Sealed,
    ) -> Result<bool, Refusal> {
        let name = name(key);
        let of_session = format!("transfer-of/{}", hash(session));
        if let Some(earlier) = read_record::<String>(self.store.take(&of_session).await?) {
            self.take_transfer(&earlier).await?;
        }
        self.store.put(&of_session, write_record(&name)?, LIFETIME).await?;
        let record = write_record(sealed)?;
        let left = self.store.insert(&format!("transfer/{name}"), record, LIFETIME).await?;
        if left {
            self.store.notify(&channel(&name)).await?;
        }
        Ok(left)
    }
}

fn transfer_response(found: Option<Sealed>) -> ResponseBytes {
    let Some(Sealed { service_public_key, text }) = found else {
        return empty(StatusCode::NOT_FOUND);
    };
    let mut answer = with(empty(StatusCode::OK), SERVICE_PUBLIC_KEY, &service_public_key);
    answer = with(answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer = with(answer, X_CONTENT_TYPE_OPTIONS, "nosniff");
    *answer.body_mut() = text.into();
    answer
}

fn name(key: ClientKey) -> String {
    hash(&key.to_string())
}

/// Returns one of sixteen channels, which are never removed. A waiting client reads once for each
/// transfer on its channel.
fn channel(name: &str) -> String {
    format!("transfer/{}", name.get(..1).unwrap_or_default())
}

/// The waiting clients, counted by network.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Option<IpAddr>, usize>>);

impl Waiters {
    /// Counts one more client, unless too many wait from its network or altogether.
    fn enter(&self, address: Option<IpAddr>) -> Option<Waiting<'_>> {
        let network = address.map(network);
        let mut waiting = self.lock();
        let all: usize = waiting.values().sum();
        let here = waiting.get(&network).copied().unwrap_or_default();
        // Clients without an address cannot be told apart.
        if all >= MAX_WAITERS || network.is_some() && here >= MAX_WAITERS_PER_NETWORK {
            return None;
        }
        waiting.insert(network, here + 1);
        Some(Waiting { waiters: self, network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiting client, counted until dropped.
struct Waiting<'a> {
    waiters: &'a Waiters,
    network: Option<IpAddr>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiters.lock();
        match waiting.get_mut(&self.network) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                waiting.remove(&self.network);
            }
        }
    }
}

/// Returns an IPv4 address, or the /64 network of an IPv6 address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        address @ IpAddr::V4(_) => address,
    }
}

const SERVICE_PUBLIC_KEY: HeaderName = HeaderName::from_static("service-public-key");
/// Clients time out after a minute, and retry at once, ten times.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// How long a transfer waits for its client.
const LIFETIME: Duration = Duration::from_secs(300);
const MAX_WAITERS: usize = 256;
const MAX_WAITERS_PER_NETWORK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_03_waiters_are_bounded_for_a_network_and_altogether() {
        let waiters = Waiters::default();
        let enter = |text: &str| waiters.enter(Some(text.parse().unwrap()));
        let near: Vec<_> = (0..20).filter_map(|n| enter(&format!("2001:db8:0:1::{n}"))).collect();
        assert_eq!(near.len(), MAX_WAITERS_PER_NETWORK);
        let far: Vec<_> =
            (0..500_u32).filter_map(|n| enter(&format!("10.0.{}.{}", n / 256, n % 256))).collect();
        assert_eq!(near.len() + far.len(), MAX_WAITERS);
        assert!(waiters.enter(None).is_none());
        drop(near);
        assert!(waiters.enter(None).is_some());
        drop(far);
        assert!(waiters.lock().is_empty());
    }
}
