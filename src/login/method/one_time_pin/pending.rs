//! A login that waits for its code, and where it is kept: with the browser.
//!
//! The whole of it is sealed into the `nonce` parameter, under a key of its own. Whoever holds the
//! text can read nothing from it, not even from its length whether mail was sent; changed, or sealed
//! with another secret, it is none. So a login that nobody finishes costs no memory, however many
//! strangers begin one. The store learns of a login when something happens that must happen once:
//!
//! | record | written by | bounded by |
//! | --- | --- | --- |
//! | `pin-attempt/ID-SERIAL` | the first code that is typed for one | 30,000 in half an hour over all; beyond that codes share 65,536 counters |
//! | `pin-resent/ID` | another code for the same login | three for each login, and 30,000 in half an hour over all; beyond that another login takes its place, which leaves none |
//! | `pin-used/ID`, `pin-shared-used/…` | the right code | a session begins with it |
//! | `pin-era/current` | the first login | one record |
//!
//! The era is a random value that ties sealed logins to this store: one that has forgotten which
//! codes were used takes no code of before.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::shared::SharedCode;
use super::{FLOW_LIFETIME, PinRequest};
use crate::clock::Timestamp;
use crate::login::form::Fields;
use crate::login::meta::hash;
use crate::login::{Flow, Refusal, read_record, write_record};
use crate::random;
use crate::secret::equal;
use crate::session::cookie;
use crate::store::StoreError;
use crate::util::response::ResponseBytes;

/// A login that waits for its code.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Pending {
    /// What the store knows it by.
    pub(super) id: String,
    pub(super) flow: Flow,
    /// As it was typed, in lower case.
    pub(super) email: String,
    /// Hash of the cookie of the browser that began.
    pub(super) browser: String,
    /// In seconds since 1970.
    pub(super) begun_at: u64,
    /// The newest code: an older one is dead.
    pub(super) code: Code,
    /// The record of the newest code, if it is not the first.
    #[serde(skip)]
    pub(super) resent: Option<Bytes>,
}

/// A code as it is written down. Nothing in it, nor its length, tells whether it was mailed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Code {
    /// How many were made with it, for this login.
    pub(super) serial: u32,
    /// The MAC of the code; random where the address may not log in: no code is ever right.
    pub(super) mac: String,
    /// In seconds since 1970.
    pub(super) ends: u64,
    pub(super) digits: u32,
    pub(super) attempts: u32,
    /// 1 where so much mail was asked for that strangers get the code that logins share: the page
    /// says so. (Numbers, which are all of one length.)
    pub(super) is_flooded: u8,
    /// 1 where this is such a code. The page does not tell.
    pub(super) is_shared: u8,
    /// Which code logins of the address shared when it was made.
    pub(super) window: u64,
    pub(super) generation: u8,
}

impl Code {
    /// The code that other logins have as well, if it is one.
    pub(super) fn shared(&self) -> Option<SharedCode> {
        let Self { window, generation, digits, .. } = *self;
        (self.is_shared == 1).then_some(SharedCode { window, generation, digits })
    }

    /// Whether it is too old.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        now >= Timestamp::from_unix_seconds(self.ends)
    }
}

impl Pending {
    fn resent_key(&self) -> String {
        format!("pin-resent/{}", self.id)
    }

    fn used_key(&self) -> String {
        format!("pin-used/{}", self.id)
    }

    /// The name of the newest code, under which its attempts are counted.
    pub(super) fn code_name(&self) -> String {
        format!("{}-{}", self.id, self.code.serial)
    }
}

/// A sealed login, or what somebody says is one.
pub(super) struct Nonce {
    pub(super) text: String,
}

impl Nonce {
    pub(super) fn of(fields: &Fields) -> Result<Self, Refusal> {
        let text = fields.required("nonce")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() <= LONGEST_NONCE && text.bytes().all(is_plain) {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(Refusal::BadRequest)
        }
    }
}

impl PinRequest<'_> {
    /// Seals a login that has just begun.
    pub(super) async fn seal_pending(&self, pending: &Pending) -> Result<Nonce, Refusal> {
        let text = write_record(pending)?;
        let era = self.begin_era().await?;
        let sealed =
            self.keys().pending.close(&era, &text, &*self.login.random).map_err(StoreError::new);
        Ok(Nonce { text: URL_SAFE_NO_PAD.encode(sealed?) })
    }

    /// The login a nonce stands for, if this browser began it and it still waits. Otherwise what is
    /// answered: whoever has logged in meanwhile goes on, whatever became of this login.
    pub(super) async fn pending(
        &self,
        nonce: &Nonce,
        flow: Option<&Flow>,
    ) -> Result<Result<Pending, ResponseBytes>, Refusal> {
        // Of another secret, another store, another version: the person starts again.
        let Some(mut pending) = self.open_pending(nonce).await? else {
            let entered = match flow {
                Some(flow) => self.login.enter_again(self.request, flow, None).await?,
                None => None,
            };
            return Ok(Err(
                entered.unwrap_or_else(|| self.login.invalid_session(self.request, flow))
            ));
        };
        if let Some(entered) =
            self.login.enter_again(self.request, &pending.flow, Some(&pending.email)).await?
        {
            return Ok(Err(entered));
        }
        let is_own = |browser: &str| equal(pending.browser.as_bytes(), hash(browser).as_bytes());
        if !self.request.random_cookies(cookie::SESSION).any(is_own) {
            // Logged out meanwhile, or another browser: it may begin a login of its own.
            let anew = Flow { app_session_hash: None, ..pending.flow };
            return Ok(Err(self.login.invalid_session(self.request, Some(flow.unwrap_or(&anew)))));
        }
        let age = self.request.now.since(Timestamp::from_unix_seconds(pending.begun_at));
        if age >= LONGEST_WAIT {
            return Ok(Err(self.login.invalid_session(self.request, Some(&pending.flow))));
        }
        if self.login.store.get(&pending.used_key()).await?.is_some() {
            return Ok(Err(self.used_code(&pending.flow)));
        }
        pending.resent = self.login.store.get(&pending.resent_key()).await?;
        match read_record(pending.resent.clone()) {
            Some(code) => pending.code = code,
            None if age >= FLOW_LIFETIME => {
                return Ok(Err(self.login.invalid_session(self.request, Some(&pending.flow))));
            }
            None => {}
        }
        Ok(Ok(pending))
    }

    /// Puts another code in place of the one that is there; `false` when somebody else did.
    pub(super) async fn replace_code(
        &self,
        pending: &Pending,
        code: &Code,
    ) -> Result<bool, Refusal> {
        let (key, record) = (pending.resent_key(), write_record(code)?);
        Ok(match &pending.resent {
            Some(present) => self.login.store.replace(&key, present, record, FLOW_LIFETIME).await?,
            None => self.login.store.insert(&key, record, FLOW_LIFETIME).await?,
        })
    }

    /// Uses a login up: of two that come at once, one does.
    pub(super) async fn use_up(&self, pending: &Pending) -> Result<bool, Refusal> {
        Ok(self.login.store.insert(&pending.used_key(), Bytes::new(), LONGEST_WAIT).await?)
    }

    async fn open_pending(&self, nonce: &Nonce) -> Result<Option<Pending>, Refusal> {
        let Ok(sealed) = URL_SAFE_NO_PAD.decode(&nonce.text) else { return Ok(None) };
        let Some(era) = self.era().await? else { return Ok(None) };
        let Ok(text) = self.keys().pending.open(&era, &sealed) else { return Ok(None) };
        Ok(serde_json::from_slice(&text).ok())
    }

    async fn era(&self) -> Result<Option<String>, Refusal> {
        let record = self.login.store.get(ERA).await?;
        Ok(record.and_then(|record| String::from_utf8(record.into()).ok()))
    }

    pub(super) async fn begin_era(&self) -> Result<String, Refusal> {
        if let Some(era) = self.era().await? {
            return Ok(era);
        }
        let era = random::hex::<16>(&*self.login.random)?;
        self.login.store.insert(ERA, era.into(), ERA_LIFETIME).await?;
        // Of several that begin one, all go on with the first.
        self.era().await?.ok_or_else(|| StoreError::new("a record is gone at once").into())
    }
}

/// How many codes are made for a login.
pub(super) const MOST_CODES: u32 = 3;
/// No login waits longer, whatever the store has of it; and so long it is remembered that it was used.
const LONGEST_WAIT: Duration = Duration::from_secs(1800 * MOST_CODES as u64);
/// A return target and an address of the greatest length stay below.
const LONGEST_NONCE: usize = 12 * 1024;
pub(crate) const ERA: &str = "pin-era/current";
/// Logins under way at its end have to begin again.
const ERA_LIFETIME: Duration = Duration::from_secs(366 * 86_400);
