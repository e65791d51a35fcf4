//! The session record, and its format in the store.
//!
//! Nodes of two versions may share a store during an update, so the format has versions:
//!
//! | version | login | read by earlier nodes |
//! | --- | --- | --- |
//! | none | `login_method`, the id of the one-time PIN | yes |
//! | 2 | `attributes`, which include the login method | no: the user logs in again there |
//! | 3 | the same, and the `account` at the provider | no |
//!
//! A login by one-time PIN is written without a version: its attributes follow from its id. Any other
//! login must not be read by a node that supports one-time PINs only, because it would treat the user
//! as having no groups. Its record therefore lacks the field that such a node requires. A login with an
//! account must not be read by a node that would not ask the provider again. Records of later versions
//! are ignored.

use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::clock::Timestamp;
use crate::facts::Person;
use crate::identity::{Attributes, Email, LoginMethod};

use super::account::{ProviderAccount, RefreshTimes, SessionAccount};

/// A user's login, as stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Session {
    /// The `identity_nonce` of its tokens.
    pub(crate) id: String,
    /// The verified email address.
    pub(crate) email: Email,
    /// A UUID, the same for every login with this address under one issuer.
    pub(crate) user_id: String,
    /// The login method and the attributes that it returned.
    #[serde(flatten)]
    pub(crate) login: SessionLogin,
    /// When the login happened, in seconds since 1970.
    pub(crate) started_at: u64,
    /// The latest end, in seconds since 1970.
    pub(crate) ends_at: u64,
    /// The client address; `None` if unknown.
    pub(crate) address: Option<IpAddr>,
    /// The country; `XX` if unknown.
    pub(crate) country: String,
    /// The last recorded activity; `None` in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last_seen: Option<u64>,
    /// The end without further activity, under the idle limit at the last activity; `None` without a
    /// limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) idle_until: Option<u64>,
    /// A short name of the browser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) browser: Option<String>,
}

impl Session {
    /// Parses a record. Returns `None` for another version, or if the id does not match.
    pub(super) fn read(id: &str, record: &Bytes) -> Option<Self> {
        serde_json::from_slice::<Self>(record).ok().filter(|session| session.id == id)
    }

    /// Returns the id of the login method.
    pub(crate) fn login_method(&self) -> &str {
        &self.login.method.id
    }

    /// Returns the user's attributes besides the email address.
    pub(crate) fn attributes(&self) -> &Arc<Attributes> {
        &self.login.attributes
    }

    /// Returns the account at the provider.
    pub(crate) fn account(&self) -> Option<&SessionAccount> {
        self.login.account.as_deref()
    }

    /// Returns when the provider is asked again; `None` if never.
    pub(crate) fn refresh(&self) -> Option<RefreshTimes> {
        self.account()?.refresh
    }

    /// Returns whether the provider has not confirmed the user for too long.
    pub(crate) fn is_unconfirmed(&self, now: Timestamp) -> bool {
        self.refresh().is_some_and(|refresh| refresh.is_expired(now))
    }

    /// Returns whether the session is past its own recorded idle end.
    pub(crate) fn is_idle(&self, now: Timestamp) -> bool {
        self.idle_until.is_some_and(|end| end <= now.as_unix_seconds())
    }

    /// Returns the latest end of the session.
    pub(crate) fn end(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.ends_at)
    }

    /// Returns the last recorded activity.
    pub(crate) fn seen_at(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.last_seen.unwrap_or(self.started_at))
    }

    /// Returns the user of the session.
    pub(crate) fn person(&self) -> Person<'_> {
        Person { email: Some(&self.email), user_id: Some(&self.user_id) }
    }
}

/// The login method and the user's attributes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "LoginFields", into = "LoginFields")]
pub(crate) struct SessionLogin {
    pub(crate) method: LoginMethod,
    /// Includes the login method.
    attributes: Arc<Attributes>,
    account: Option<Box<SessionAccount>>,
}

impl SessionLogin {
    /// Drops the largest parts of attributes with more than [`MAX_ATTRIBUTES`] bytes of JSON; these
    /// are missing facts. A part is never truncated: half a list would say that a user is not in a
    /// group.
    pub(super) fn new(
        method: LoginMethod,
        mut attributes: Attributes,
        account: Option<SessionAccount>,
    ) -> Self {
        attributes.login_method = Some(method.clone());
        let attributes = Arc::new(bounded(attributes));
        Self { method, attributes, account: account.map(Box::new) }
    }

    /// Returns a login with the attributes that its provider has confirmed. The ids at the provider
    /// stay, because the session is found by them.
    pub(super) fn confirmed(
        login: &Self,
        attributes: Attributes,
        account: &ProviderAccount,
        times: RefreshTimes,
    ) -> Self {
        // How the user has logged in stays true; many providers do not repeat it.
        let Attributes { authentication_methods, authentication_contexts, .. } = &*login.attributes;
        let attributes = Attributes {
            authentication_methods: attributes
                .authentication_methods
                .or_else(|| authentication_methods.clone()),
            authentication_contexts: attributes
                .authentication_contexts
                .or_else(|| authentication_contexts.clone()),
            ..attributes
        };
        let stored = login.account.as_deref().map(|stored| stored.confirmed(account, times));
        Self::new(login.method.clone(), attributes, stored)
    }

    pub(super) fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    /// Sets when the provider is asked again.
    pub(super) fn set_refresh(&mut self, times: RefreshTimes) {
        if let Some(account) = &mut self.account {
            account.refresh = Some(times);
        }
    }

    fn is_one_time_pin(&self) -> bool {
        self.account.is_none() && *self.attributes == Attributes::one_time_pin(&self.method.id)
    }
}

/// The fields that differ between the versions.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct LoginFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    login_method: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attributes: Option<Attributes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Box<SessionAccount>>,
}

impl From<SessionLogin> for LoginFields {
    fn from(login: SessionLogin) -> Self {
        if login.is_one_time_pin() {
            return Self { login_method: Some(login.method.id), ..Self::default() };
        }
        let version = if login.account.is_some() { VERSION_WITH_ACCOUNT } else { VERSION };
        let attributes = Arc::unwrap_or_clone(login.attributes);
        Self {
            version: Some(version),
            login_method: None,
            attributes: Some(attributes),
            account: login.account,
        }
    }
}

impl TryFrom<LoginFields> for SessionLogin {
    type Error = UnknownVersion;

    fn try_from(fields: LoginFields) -> Result<Self, UnknownVersion> {
        let LoginFields { version, login_method, attributes, account } = fields;
        let (attributes, account) = match (version, login_method, attributes, account) {
            (None, Some(id), None, None) => (Attributes::one_time_pin(&id), None),
            (Some(VERSION), None, Some(attributes), None) => (attributes, None),
            (Some(VERSION_WITH_ACCOUNT), None, Some(attributes), Some(account)) => {
                (attributes, Some(account))
            }
            _ => return Err(UnknownVersion),
        };
        let method = attributes.login_method.clone().ok_or(UnknownVersion)?;
        Ok(Self { method, attributes: Arc::new(attributes), account })
    }
}

/// The record has an unknown version.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the session record has an unknown version")]
struct UnknownVersion;

/// Drops the largest parts until the rest fits a record.
fn bounded(attributes: Attributes) -> Attributes {
    let Ok(serde_json::Value::Object(mut parts)) = serde_json::to_value(&attributes) else {
        return Attributes { login_method: attributes.login_method, ..Attributes::default() };
    };
    let size = |part: &serde_json::Value| part.to_string().len();
    let mut dropped = Vec::new();
    while parts.values().map(size).sum::<usize>() > MAX_ATTRIBUTES {
        let others = parts.iter().filter(|(name, _)| *name != "login_method");
        let Some((largest, _)) = others.max_by_key(|(_, part)| size(part)) else { break };
        let largest = largest.clone();
        parts.remove(&largest);
        dropped.push(largest);
    }
    if dropped.is_empty() {
        return attributes;
    }
    tracing::warn!(
        ?dropped,
        max_bytes = MAX_ATTRIBUTES,
        "a login method returned more attributes than a session stores: rules about the dropped ones \
         open nothing; configure the provider to send fewer groups or claims"
    );
    serde_json::from_value(parts.into()).unwrap_or_else(|_| Attributes {
        login_method: attributes.login_method,
        ..Attributes::default()
    })
}

/// Returns a UUID (RFC 9562, version 5) derived from the issuer and the address: one id per user.
/// It need not be hard to guess.
pub(super) fn user_id(issuer: &str, email: &Email) -> String {
    let name = format!("{issuer}/cdn-cgi/access/users/{email}");
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(Uuid::NAMESPACE_URL.as_bytes());
    context.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, hash)| *byte = *hash);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}

/// The version of records that store attributes.
const VERSION: u32 = 2;
/// The version of records that store an account as well.
const VERSION_WITH_ACCOUNT: u32 = 3;
/// In bytes of JSON: several hundred groups.
const MAX_ATTRIBUTES: usize = 16 * 1024;
