//! Who gets a code of their own by mail, and whose logins share one.
//!
//! | who asks | counted by | beyond it |
//! | --- | --- | --- |
//! | a browser that has logged in with the address | browser | as everybody else |
//! | everybody else | network; address and network; address | as below |
//! | somebody in a network from which the address has logged in | address and network, once more | a shared code |
//! | whoever is left | one mail in a window for each address | the code of that mail |
//!
//! What is counted for everybody else is counted for people in networks of the address as well, and
//! the page says the same to both: no answer tells which networks an address has.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Counters, DAY, HOUR, Limit, MINUTE, Networks, TooOften};
use crate::login::method::one_time_pin::OneTimePinLimits;
use crate::random::to_hex;
use crate::secret::tag;
use crate::store::StoreError;

/// Who asks for a code.
#[derive(Clone, Copy, Debug)]
pub(in crate::login) struct Asker<'a> {
    pub(in crate::login) email: &'a str,
    /// The browser, if it has logged in with this address before.
    pub(in crate::login) device: Option<&'a str>,
    pub(in crate::login) network: Option<IpAddr>,
    /// Whether the address has logged in from there lately.
    pub(in crate::login) is_known_network: bool,
}

/// Which code a login gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::login) enum MailPlan {
    /// One of its own, of the usual length.
    Own,
    /// One of its own, that is as long as if it were shared: the page must not tell the difference.
    OwnLong,
    /// The one that logins of this address share.
    Shared,
}

impl MailPlan {
    /// Whether so much mail is asked for that strangers get a shared code.
    pub(in crate::login) fn is_long(self) -> bool {
        self != Self::Own
    }
}

impl Counters<'_> {
    /// Counts what one browser asks for with one address. Only whoever has its cookie can use it up:
    /// it shares no bucket with others.
    pub(in crate::login) async fn count_asked_by_browser(
        &self,
        (email, browser): (&str, &str),
        limits: &OneTimePinLimits,
    ) -> Result<Result<(), TooOften>, StoreError> {
        let name = format!("{email}\n{browser}");
        for limit in [
            Limit::new("mail-by-browser", &name, limits.mails_per_browser, 15 * MINUTE),
            Limit::new("mail-by-browser-and-day", &name, limits.mails_per_browser_and_day, DAY),
        ] {
            if let Err(limit) = self.count_alone(limit).await? {
                return Ok(Err(limit));
            }
        }
        Ok(Ok(()))
    }

    /// Counts one request for mail, and decides which code it gets.
    pub(in crate::login) async fn plan_mail(
        &self,
        asker: Asker<'_>,
        limits: &OneTimePinLimits,
    ) -> Result<MailPlan, StoreError> {
        let Asker { email, device, network, is_known_network } = asker;
        if let Some(device) = device {
            let name = format!("{email}\n{device}");
            let own = [
                Limit::new("mail-by-device", &name, limits.mails_per_browser, 15 * MINUTE),
                Limit::new("mail-by-device-and-day", &name, limits.mails_per_browser_and_day, DAY),
            ];
            if self.allow(&own).await? {
                return Ok(MailPlan::Own);
            }
        }
        let networks = Networks::of(network);
        let here = format!("{email}\n{}", networks.narrow.as_deref().unwrap_or("unknown"));
        let mut everybody = Vec::with_capacity(4);
        if let Some(name) = &networks.narrow {
            let most = limits.mails_per_network;
            everybody.push(Limit::new("mail-by-network", name, most, 10 * MINUTE));
        }
        let most = limits.mails_per_wide_network;
        everybody.push(Limit::new("mail-by-wide-network", &networks.wide, most, 10 * MINUTE));
        everybody.extend([
            Limit::new(
                "mail-by-address-and-network",
                &here,
                limits.mails_per_address_and_network,
                15 * MINUTE,
            ),
            Limit::new("mail-by-address", email, limits.mails_per_address, HOUR),
        ]);
        if self.allow(&everybody).await? {
            return Ok(MailPlan::Own);
        }
        if !is_known_network {
            return Ok(MailPlan::Shared);
        }
        let own = [
            Limit::new("mail-by-known", &here, limits.mails_per_known_network, 15 * MINUTE),
            Limit::new("mail-by-known-and-day", &here, limits.mails_per_known_network_and_day, DAY),
        ];
        Ok(if self.allow(&own).await? { MailPlan::OwnLong } else { MailPlan::Shared })
    }

    /// Whether the code that an address shares in a window is still to be mailed: once.
    pub(in crate::login) async fn count_shared_mail(
        &self,
        name: &str,
        limits: &OneTimePinLimits,
    ) -> Result<bool, StoreError> {
        let every = limits.shared_code_every;
        if self.may_record(SHARED).await? {
            let name = to_hex(tag(self.key, &[name.as_bytes()]).as_ref());
            let key = format!("{SHARED}/{name}");
            return self.store.insert(&key, Bytes::new(), self.left(every)).await;
        }
        // So many addresses at once share buckets: rather two mails than none.
        let limit = Limit::new("mail-by-shared-code-bucket", name, 2, every);
        Ok(self.count(limit).await?.is_ok())
    }

    async fn allow(&self, limits: &[Limit<'_>]) -> Result<bool, StoreError> {
        for limit in limits {
            if self.count(*limit).await?.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

const SHARED: &str = "mail-by-shared-code";
