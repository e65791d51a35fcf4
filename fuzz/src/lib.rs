//! What the targets share: the tokens of `tests/vectors/jwt.json` and how they are judged.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tower_access::Access;
use tower_access::clock::{ManualClock, Timestamp};
use tower_access::token::keys::KeySet;
use tower_access::token::{Expected, TokenKind};

/// The cases of `tests/vectors/jwt.json`, and what holds for all of them.
pub static VECTORS: LazyLock<Vectors> = LazyLock::new(Vectors::read);

/// See [`VECTORS`].
#[derive(Debug)]
pub struct Vectors {
    pub issuer: String,
    pub audience: &'static str,
    audiences: [&'static str; 1],
    /// Seconds since the Unix epoch.
    pub now: u64,
    /// Seconds.
    pub leeway: u64,
    pub jwks: Bytes,
    /// The tokens that are to be accepted.
    pub good: Vec<String>,
    /// The tokens that are to be refused.
    pub bad: Vec<String>,
}

impl Vectors {
    fn read() -> Self {
        let document: Value =
            serde_json::from_str(include_str!("../../tests/vectors/jwt.json")).unwrap();
        let text = |name: &str| document[name].as_str().unwrap().to_owned();
        let tokens = |expectation: &str| {
            let cases = document["vectors"].as_array().unwrap().iter();
            let chosen = cases.filter(|case| case["expect"] == expectation);
            chosen.map(|case| case["token"].as_str().unwrap().to_owned()).collect()
        };
        let audience: &'static str = text("audience").leak();
        Self {
            issuer: text("issuer"),
            audience,
            audiences: [audience],
            now: document["now"].as_u64().unwrap(),
            leeway: document["leeway"].as_u64().unwrap(),
            jwks: document["jwks"].to_string().into(),
            good: tokens("accept"),
            bad: tokens("reject"),
        }
    }

    pub fn keys(&self) -> KeySet {
        KeySet::from_jwks(&self.jwks).unwrap()
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.now)
    }

    /// What a token has to be.
    pub fn expected(&self) -> Expected<'_> {
        Expected::new(&self.issuer, &self.audiences, TokenKind::Application)
            .with_leeway(Duration::from_secs(self.leeway))
    }

    /// The same, as an engine for the layers.
    pub fn access(&self) -> Access {
        Access::verifier_builder(&self.issuer)
            .unwrap()
            .audience(self.audience.parse().unwrap())
            .leeway(Duration::from_secs(self.leeway))
            .keys(self.keys())
            .clock(Arc::new(ManualClock::new(self.now())))
            .build()
            .unwrap()
    }
}
