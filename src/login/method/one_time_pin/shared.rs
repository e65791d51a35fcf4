//! The code that all logins of an address share while strangers request too much mail.
//!
//! Each window of some minutes has one, which is derived and not stored. The first request sends the
//! mail. A login that begins later in the window uses the same code, which is already in the user's
//! mailbox. So few mails are sent, however many requests arrive, and the newest one is valid. Each login
//! has its own attempts, and is bound to its own browser.
//!
//! Only the first login can use the code. It is then invalid for the others of the window, and later
//! requests get the next one.
//!
//! The code belongs to the address, not to an application: this bounds the mails to an address with any
//! number of applications. Each login checks whether the address may log in.

use bytes::Bytes;

use super::PinRequest;
use super::code::code_from_tag;
use crate::clock::Timestamp;
use crate::login::Refusal;
use crate::random::to_hex;
use crate::secret::tag;

/// Identifies a shared code of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedCode {
    pub(super) window: u64,
    /// The number of codes of the window that were used before.
    pub(super) generation: u8,
    pub(super) digits: u32,
}

impl PinRequest<'_> {
    /// Returns the code that logins of this address share now.
    pub(super) async fn shared_code(
        &self,
        email: &str,
        digits: u32,
        now: Timestamp,
    ) -> Result<SharedCode, Refusal> {
        let every = self.method.settings.limits.shared_code_every.as_secs().max(1);
        let mut shared =
            SharedCode { window: now.as_unix_seconds() / every, generation: 0, digits };
        while shared.generation < LAST_GENERATION
            && self.login.store.get(&self.used_shared_key(email, shared)).await?.is_some()
        {
            shared.generation += 1;
        }
        Ok(shared)
    }

    /// Returns its digits. A store that has lost its records of used codes has other digits.
    pub(super) async fn shared_digits(
        &self,
        email: &str,
        shared: SharedCode,
    ) -> Result<String, Refusal> {
        let era = self.begin_era().await?;
        let tag = tag(
            &self.keys().shared_code,
            &[
                era.as_bytes(),
                email.as_bytes(),
                &shared.window.to_be_bytes(),
                &[shared.generation],
                &shared.digits.to_be_bytes(),
            ],
        );
        Ok(code_from_tag(shared.digits, tag.as_ref()))
    }

    /// Returns `true` once per code, for the request that has to mail it. Also counted, separately, for
    /// addresses that may not log in: a login to an application that denies the address mails nothing,
    /// so it must not use up the window's only mail.
    pub(super) async fn claim_shared_mail(
        &self,
        (email, eligible): (&str, bool),
        shared: SharedCode,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let SharedCode { window, generation, digits } = shared;
        let name = format!("{email}\n{window}\n{generation}\n{digits}\n{eligible}");
        let counters = self.login.counters(now);
        Ok(counters.count_shared_mail(&name, &self.method.settings.limits).await?)
    }

    /// Marks it as used for all logins. Returns `true` for only one of several parallel requests.
    pub(super) async fn use_up_shared(
        &self,
        email: &str,
        shared: SharedCode,
    ) -> Result<bool, Refusal> {
        let key = self.used_shared_key(email, shared);
        Ok(self.login.store.insert(&key, Bytes::new(), super::FLOW_LIFETIME).await?)
    }

    /// The key does not depend on the length: a used code is used in all lengths.
    fn used_shared_key(&self, email: &str, shared: SharedCode) -> String {
        let parts = [email.as_bytes(), &shared.window.to_be_bytes(), &[shared.generation]]
            .map(<[u8]>::to_vec);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        format!("pin-shared-used/{}", to_hex(tag(&self.login.keys.limits, &parts).as_ref()))
    }
}

/// After so many logins with a shared code, a user waits for the next window.
const LAST_GENERATION: u8 = 9;
