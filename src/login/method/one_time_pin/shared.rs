//! The code that all logins of an address share while strangers ask for more mail than there is.
//!
//! For each window of some minutes there is one, which is derived and not stored. Whoever asks first
//! causes the mail; a login that begins later in the window takes the same code, which is in the
//! person's mailbox by then. So however many ask, the mails are few, and whoever reads the newest of
//! them gets in. Each login has its own attempts, and is bound to its own browser.
//!
//! The first login that uses the code is the only one: for the others of the window it is dead, and
//! who asks after that gets the next one.
//!
//! The code belongs to the address, not to an application: mails to an address are bounded however
//! many applications there are. Whether the address may log in is asked for each.

use bytes::Bytes;

use super::PinRequest;
use super::code::code_of_tag;
use crate::clock::Timestamp;
use crate::login::Refusal;
use crate::random::to_hex;
use crate::secret::tag;

/// Which of the codes that an address shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedCode {
    pub(super) window: u64,
    /// How many of the window were used before.
    pub(super) generation: u8,
    pub(super) digits: u32,
}

impl PinRequest<'_> {
    /// The code that logins of this address share now.
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

    /// Its digits. A store that has forgotten which were used has others.
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
        Ok(code_of_tag(shared.digits, tag.as_ref()))
    }

    /// Whether it is still to be mailed. Asked for addresses that may not log in as well, and counted
    /// apart: a login for an application that does not let the address in mails nothing, so it must
    /// not take the place of the one mail of a window.
    pub(super) async fn is_to_be_mailed(
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

    /// Uses it up, for all logins: of two that bring it, one does.
    pub(super) async fn use_up_shared(
        &self,
        email: &str,
        shared: SharedCode,
    ) -> Result<bool, Refusal> {
        let key = self.used_shared_key(email, shared);
        Ok(self.login.store.insert(&key, Bytes::new(), super::FLOW_LIFETIME).await?)
    }

    /// Not by its length: what was used is used, as long as any other is.
    fn used_shared_key(&self, email: &str, shared: SharedCode) -> String {
        let parts = [email.as_bytes(), &shared.window.to_be_bytes(), &[shared.generation]]
            .map(<[u8]>::to_vec);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        format!("pin-shared-used/{}", to_hex(tag(&self.login.keys.limits, &parts).as_ref()))
    }
}

/// Whoever has logged in so often within a window with a shared code waits for the next.
const LAST_GENERATION: u8 = 9;
