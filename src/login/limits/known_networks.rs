//! The networks from which an email address has logged in recently.
//!
//! One record per address that has logged in, with MACs of a few of its networks: it discloses neither
//! the address nor a network.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Counters, Networks};
use crate::login::method::one_time_pin::OneTimePinLimits;
use crate::login::{read_record, write_record};
use crate::random::to_hex;
use crate::secret::{equal, tag};
use crate::store::StoreError;

#[derive(Clone, Debug, Deserialize, Serialize)]
struct KnownNetwork {
    /// The MAC of the address and the network.
    mac: String,
    /// When the address logged in from it, in days since 1970.
    day: u64,
}

impl Counters<'_> {
    /// Returns whether the address has logged in from the network; `false` for an unknown network.
    pub(in crate::login) async fn is_known_network(
        &self,
        email: &str,
        network: Option<IpAddr>,
        limits: &OneTimePinLimits,
    ) -> Result<bool, StoreError> {
        let networks = self.known_networks(email, limits).await?;
        let Some(mac) = self.mac(email, network) else { return Ok(false) };
        let is_it = |known: &KnownNetwork| equal(known.mac.as_bytes(), mac.as_bytes());
        Ok(networks.iter().any(is_it))
    }

    /// Records the network of a login. The latest networks replace the oldest.
    pub(in crate::login) async fn remember_network(
        &self,
        email: &str,
        network: Option<IpAddr>,
        limits: &OneTimePinLimits,
    ) -> Result<(), StoreError> {
        let Some(mac) = self.mac(email, network) else { return Ok(()) };
        let mut networks = self.known_networks(email, limits).await?;
        networks.retain(|known| !equal(known.mac.as_bytes(), mac.as_bytes()));
        networks.insert(0, KnownNetwork { mac, day: self.day() });
        networks.truncate(usize::try_from(limits.known_networks).unwrap_or_default());
        let record = write_record(&networks)?;
        self.store.put(&self.record(email), record, limits.remember_networks_for).await
    }

    async fn known_networks(
        &self,
        email: &str,
        limits: &OneTimePinLimits,
    ) -> Result<Vec<KnownNetwork>, StoreError> {
        let record = self.store.get(&self.record(email)).await?;
        let mut networks: Vec<KnownNetwork> = read_record(record).unwrap_or_default();
        let days = limits.remember_networks_for.as_secs() / A_DAY.as_secs();
        networks.retain(|known| self.day().saturating_sub(known.day) < days);
        Ok(networks)
    }

    fn record(&self, email: &str) -> String {
        format!("known-networks/{}", to_hex(tag(self.key, &[email.as_bytes()]).as_ref()))
    }

    fn mac(&self, email: &str, network: Option<IpAddr>) -> Option<String> {
        let network = Networks::new(Some(network?)).narrow?;
        let mac = to_hex(tag(self.key, &[email.as_bytes(), network.as_bytes()]).as_ref());
        mac.get(..MAC_DIGITS).map(ToOwned::to_owned)
    }

    fn day(&self) -> u64 {
        self.now.as_unix_seconds() / A_DAY.as_secs()
    }
}

const A_DAY: Duration = Duration::from_secs(86_400);
/// Sixteen bytes.
const MAC_DIGITS: usize = 32;
