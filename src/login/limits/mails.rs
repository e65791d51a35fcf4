//! Decides which logins get a code of their own, and which share one.
//!
//! | requester | counted by | over the limit |
//! | --- | --- | --- |
//! | a browser that has logged in with the address | browser | as any other |
//! | any other | network; address and network; address | as below |
//! | from a network from which the address has logged in | address and network, separately | a shared code |
//! | all others | one mail per window and address | the code of that mail |
//!
//! Requests from known networks of an address are also counted as others, and get the same page: no
//! response discloses the networks of an address.

use std::net::IpAddr;

use bytes::Bytes;

use super::{Counters, DAY, HOUR, Limit, MINUTE, Networks, RateLimited};
use crate::login::method::one_time_pin::OneTimePinLimits;
use crate::random::to_hex;
use crate::secret::tag;
use crate::store::StoreError;

/// A request for a code.
#[derive(Clone, Copy, Debug)]
pub(in crate::login) struct MailRequest<'a> {
    pub(in crate::login) email: &'a str,
    /// The browser, if it has logged in with this address before.
    pub(in crate::login) device: Option<&'a str>,
    pub(in crate::login) network: Option<IpAddr>,
    /// Whether the address has logged in from this network recently.
    pub(in crate::login) is_known_network: bool,
}

/// The code that a login gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::login) enum MailPlan {
    /// A code of its own, of the usual length.
    Own,
    /// A code of its own, as long as a shared one: the page must not disclose the difference.
    OwnLong,
    /// The code that logins of this address share.
    Shared,
}

impl MailPlan {
    /// Returns whether so much mail is requested that strangers get a shared code.
    pub(in crate::login) fn is_long(self) -> bool {
        self != Self::Own
    }
}

impl Counters<'_> {
    /// Counts the requests of one browser for one address. The counter is not shared: only a client
    /// with the browser's cookie can use it up.
    pub(in crate::login) async fn count_browser_request(
        &self,
        (email, browser): (&str, &str),
        limits: &OneTimePinLimits,
    ) -> Result<Result<(), RateLimited>, StoreError> {
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

    /// Counts a request for mail, and decides which code it gets.
    pub(in crate::login) async fn plan_mail(
        &self,
        mail_request: MailRequest<'_>,
        limits: &OneTimePinLimits,
    ) -> Result<MailPlan, StoreError> {
        let MailRequest { email, device, network, is_known_network } = mail_request;
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
        let networks = Networks::new(network);
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

    /// Returns `true` once per shared code, for the request that has to mail it.
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
        // With so many addresses, some share a bucket: two mails are better than none.
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
