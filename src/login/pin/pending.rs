//! A login that waits for its code, as the store has it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::login::form::Fields;
use crate::login::meta::hash;
use crate::login::{Flow, Refusal};
use crate::session::cookie;

/// A login that waits for its code.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Pending {
    pub(super) flow: Flow,
    /// As it was typed, in lower case.
    pub(super) email: String,
    /// Whether mail was sent. Without, no code is ever right.
    pub(super) eligible: bool,
    /// Hash of the cookie of the browser that began.
    pub(super) browser: String,
    /// How many codes were made; an older one is dead.
    pub(super) serial: u32,
    /// The MAC of the code.
    pub(super) code: String,
    pub(super) code_ends: u64,
}

/// What is left of a login whose code was used.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Used {
    pub(super) flow: Flow,
}

/// The name of a login under way. The store knows its hash.
pub(super) struct Nonce {
    pub(super) text: String,
    hash: String,
}

impl Nonce {
    pub(super) fn new(text: String) -> Self {
        Self { hash: hash(&text), text }
    }

    pub(super) fn of(fields: &Fields) -> Result<Self, Refusal> {
        let text = fields.required("nonce")?;
        if cookie::is_random(text) {
            Ok(Self::new(text.to_owned()))
        } else {
            Err(Refusal::BadRequest)
        }
    }

    pub(super) fn key(&self) -> String {
        format!("pin/{}", self.hash)
    }

    pub(super) fn used_key(&self) -> String {
        format!("pin-used/{}", self.hash)
    }

    /// Counts the attempts at one code.
    pub(super) fn attempt_key(&self, serial: u32) -> String {
        format!("pin-attempt/{}-{serial}", self.hash)
    }
}

/// How long a login waits after its latest code.
pub(super) const FLOW_LIFETIME: Duration = Duration::from_secs(1800);
