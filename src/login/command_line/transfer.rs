//! `GET /transfer/KEY`: what a person approved, for the client that waits for it.
//!
//! The key names the answer, and only whoever made it can read the answer: a stranger who has seen
//! it may take the answer away, never use it. An answer is handed out once.

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
    /// The key that a path on a host names, where answers are handed out there.
    pub(crate) fn transfer_key(&self, host: &CanonicalHost, path: &str) -> Option<ClientKey> {
        let key = path.strip_prefix("/transfer/")?.parse().ok()?;
        let serves = self.command_line.transfer_host.as_ref() == Some(host)
            || match &self.team_domain {
                Some(team) => team.host() == host,
                None => self.directory.knows_host(host.as_str()),
            };
        (IS_AVAILABLE && serves).then_some(key)
    }

    /// Waits until there is an answer for a key: 404 where there is none yet after half a minute,
    /// or at once where too many wait already.
    pub(in super::super) async fn transfer(
        &self,
        request: &EndpointRequest,
        key: ClientKey,
    ) -> Result<ResponseBytes, Refusal> {
        let name = name(key);
        let Some(_waiting) = self.command_line.waiters.enter(request.sender.address) else {
            return Ok(handed_out(self.taken(&name).await?));
        };
        let wait = self.arrival(&name);
        let found = tokio::time::timeout(LONGEST_WAIT, wait).await.unwrap_or(Ok(None));
        Ok(handed_out(found?))
    }

    /// Waits for an answer as long as it takes.
    async fn arrival(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        let channel = channel(name);
        // No channel has this number: the present one is told at once.
        let mut seen = u64::MAX;
        loop {
            // Before the look: what arrives after it is heard of.
            seen = self.store.notified(&channel, seen).await?;
            if let Some(sealed) = self.taken(name).await? {
                return Ok(Some(sealed));
            }
        }
    }

    async fn taken(&self, name: &str) -> Result<Option<Sealed>, StoreError> {
        Ok(read_record(self.store.take(&format!("transfer/{name}")).await?))
    }

    /// Leaves an answer for a key, in place of an earlier one of this session; whether it did. What
    /// another session left under the same key stays.
    pub(super) async fn leave(
        &self,
        session: &str,
        key: ClientKey,
        sealed: &Sealed,
    ) -> Result<bool, Refusal> {
        let name = name(key);
        let of_session = format!("transfer-of/{}", hash(session));
        if let Some(earlier) = read_record::<String>(self.store.take(&of_session).await?) {
            self.taken(&earlier).await?;
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

fn handed_out(found: Option<Sealed>) -> ResponseBytes {
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

/// Channels are kept for good: there are sixteen. Whoever waits looks once for each answer that
/// arrives on theirs.
fn channel(name: &str) -> String {
    format!("transfer/{}", name.get(..1).unwrap_or_default())
}

/// Who waits at the moment.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Option<IpAddr>, usize>>);

impl Waiters {
    /// One more, unless too many wait, from this network or altogether.
    fn enter(&self, address: Option<IpAddr>) -> Option<Waiting<'_>> {
        let network = address.map(network);
        let mut waiting = self.lock();
        let all: usize = waiting.values().sum();
        let here = waiting.get(&network).copied().unwrap_or_default();
        // Without addresses nobody can be told from anybody.
        if all >= MOST_WAITERS || network.is_some() && here >= MOST_OF_A_NETWORK {
            return None;
        }
        waiting.insert(network, here + 1);
        Some(Waiting { waiters: self, network })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits, until it is dropped.
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

/// An IPv4 address, or the IPv6 network of a customer.
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
/// Clients hang up after a minute, and ask again at once, ten times.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long an answer waits for its client.
const LIFETIME: Duration = Duration::from_secs(300);
const MOST_WAITERS: usize = 256;
const MOST_OF_A_NETWORK: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_03_waiters_are_bounded_for_a_network_and_altogether() {
        let waiters = Waiters::default();
        let enter = |text: &str| waiters.enter(Some(text.parse().unwrap()));
        let near: Vec<_> = (0..20).filter_map(|n| enter(&format!("2001:db8:0:1::{n}"))).collect();
        assert_eq!(near.len(), MOST_OF_A_NETWORK);
        let far: Vec<_> =
            (0..500_u32).filter_map(|n| enter(&format!("10.0.{}.{}", n / 256, n % 256))).collect();
        assert_eq!(near.len() + far.len(), MOST_WAITERS);
        assert!(waiters.enter(None).is_none());
        drop(near);
        assert!(waiters.enter(None).is_some());
        drop(far);
        assert!(waiters.lock().is_empty());
    }
}
