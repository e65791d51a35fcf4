//! A pending login, which waits for its code and is kept by the browser.
//!
//! It is sealed into the `nonce` parameter, with a separate key. The text discloses nothing, not even
//! by its length whether mail was sent. It is rejected if it was changed or sealed with another secret.
//! So unfinished logins take no memory, however many strangers begin. The store has only records of
//! what must happen once:
//!
//! | record | written by | bounded by |
//! | --- | --- | --- |
//! | `pin-attempt/ID-SERIAL` | the first attempt at a code | 30,000 in half an hour in total; beyond that codes share 65,536 counters |
//! | `pin-resent/ID` | another code for the same login | three for each login, and 30,000 in half an hour in total; beyond that a new login without a record replaces it |
//! | `pin-used/ID`, `pin-shared-used/…` | the right code | a session begins with it |
//! | `pin-era/current` | the first login | one record |
//!
//! The era is a random value that binds sealed logins to this store: a store that has lost its records
//! of used codes rejects all earlier codes.

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
    /// The id in the store.
    pub(super) id: String,
    pub(super) flow: Flow,
    /// The typed address, in lower case.
    pub(super) email: String,
    /// Hash of the cookie of the browser that began.
    pub(super) browser: String,
    /// In seconds since 1970.
    pub(super) begun_at: u64,
    /// The newest code. Older ones are invalid.
    pub(super) code: Code,
    /// The record of the newest code, if it is not the first.
    #[serde(skip)]
    pub(super) resent: Option<Bytes>,
}

/// A code as recorded. Neither its content nor its length discloses whether it was mailed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Code {
    /// The serial number within the login, from 1.
    pub(super) serial: u32,
    /// The MAC of the code. Random if the address may not log in, so that no code is right.
    pub(super) mac: String,
    /// In seconds since 1970.
    pub(super) ends: u64,
    pub(super) digits: u32,
    pub(super) attempts: u32,
    /// 1 if so much mail was requested that strangers get a shared code. The page says so. (A number,
    /// because its encoded length is constant.)
    pub(super) is_flooded: u8,
    /// 1 if this is a shared code. The page does not say so.
    pub(super) is_shared: u8,
    /// The window of the shared code when this code was drawn.
    pub(super) window: u64,
    pub(super) generation: u8,
}

impl Code {
    /// Returns the shared code, if it is one.
    pub(super) fn shared(&self) -> Option<SharedCode> {
        let Self { window, generation, digits, .. } = *self;
        (self.is_shared == 1).then_some(SharedCode { window, generation, digits })
    }

    /// Returns whether the code has expired.
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

    /// Returns the name under which attempts at the newest code are counted.
    pub(super) fn code_name(&self) -> String {
        format!("{}-{}", self.id, self.code.serial)
    }
}

/// A sealed login, not verified yet.
pub(super) struct Nonce {
    pub(super) text: String,
}

impl Nonce {
    pub(super) fn from_fields(fields: &Fields) -> Result<Self, Refusal> {
        let text = fields.required("nonce")?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if text.len() <= MAX_NONCE && text.bytes().all(is_plain) {
            Ok(Self { text: text.to_owned() })
        } else {
            Err(Refusal::BadRequest)
        }
    }
}

impl PinRequest<'_> {
    /// Seals a new login.
    pub(super) async fn seal_pending(&self, pending: &Pending) -> Result<Nonce, Refusal> {
        let text = write_record(pending)?;
        let era = self.begin_era().await?;
        let sealed =
            self.keys().pending.close(&era, &text, &*self.login.random).map_err(StoreError::new);
        Ok(Nonce { text: URL_SAFE_NO_PAD.encode(sealed?) })
    }

    /// Opens the login in a nonce, if this browser began it and it is still pending. Otherwise returns
    /// the response: a user who has logged in meanwhile is redirected, whatever became of this login.
    pub(super) async fn pending(
        &self,
        nonce: &Nonce,
        flow: Option<&Flow>,
    ) -> Result<Result<Pending, ResponseBytes>, Refusal> {
        // Sealed with another secret, store or version: the user starts again.
        let Some(pending) = self.open_pending(nonce).await? else {
            let entered = match flow {
                Some(flow) => {
                    self.login.enter_with_existing_session(self.request, flow, None).await?
                }
                None => None,
            };
            return Ok(Err(
                entered.unwrap_or_else(|| self.login.invalid_session(self.request, flow))
            ));
        };
        if let Some(entered) = self
            .login
            .enter_with_existing_session(self.request, &pending.flow, Some(&pending.email))
            .await?
        {
            return Ok(Err(entered));
        }
        if !self.is_of_this_browser(&pending) {
            // Logged out meanwhile, or another browser, which may begin its own login.
            let anew = Flow { app_session_hash: None, ..pending.flow };
            return Ok(Err(self.login.invalid_session(self.request, Some(flow.unwrap_or(&anew)))));
        }
        self.still_pending(pending).await
    }

    /// Opens the login in a nonce, if this browser began it. It may have ended.
    pub(super) async fn own_pending(&self, nonce: &Nonce) -> Result<Option<Pending>, Refusal> {
        Ok(self.open_pending(nonce).await?.filter(|pending| self.is_of_this_browser(pending)))
    }

    fn is_of_this_browser(&self, pending: &Pending) -> bool {
        let is_own = |browser: &str| equal(pending.browser.as_bytes(), hash(browser).as_bytes());
        self.request.random_cookies(cookie::SESSION).any(is_own)
    }

    /// Returns a login of this browser with its newest code, if it is still pending. Otherwise returns
    /// the response.
    pub(super) async fn still_pending(
        &self,
        mut pending: Pending,
    ) -> Result<Result<Pending, ResponseBytes>, Refusal> {
        let age = self.request.now.since(Timestamp::from_unix_seconds(pending.begun_at));
        if age >= MAX_WAIT {
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

    /// Replaces the current code. Returns `false` if another request already has.
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

    /// Marks a login as used. Returns `true` for only one of several parallel requests.
    pub(super) async fn use_up(&self, pending: &Pending) -> Result<bool, Refusal> {
        Ok(self.login.store.insert(&pending.used_key(), Bytes::new(), MAX_WAIT).await?)
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
        // If several requests begin one, all use the first.
        self.era()
            .await?
            .ok_or_else(|| StoreError::new("a record was lost after it was written").into())
    }
}

/// Most codes for a login.
pub(super) const MAX_CODES: u32 = 3;
/// The longest time that a login is pending, and the lifetime of the record that it was used.
const MAX_WAIT: Duration = Duration::from_secs(1800 * MAX_CODES as u64);
/// Enough for the longest return target and email address.
const MAX_NONCE: usize = 12 * 1024;
pub(crate) const ERA: &str = "pin-era/current";
/// Logins that are pending at its end have to begin again.
const ERA_LIFETIME: Duration = Duration::from_secs(366 * 86_400);
