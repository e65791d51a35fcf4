//! An issuer for tests of programs behind the layers (feature `test-util`).
//!
//! ```
//! use http::{Request, StatusCode};
//! use tower::{Layer, ServiceExt, service_fn};
//! use tower_access::test_util::TestIssuer;
//! use tower_access::{AccessLayer, headers};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let app = service_fn(|_: Request<axum::body::Body>| async {
//! #     Ok::<_, std::convert::Infallible>(http::Response::new(axum::body::Body::empty()))
//! # });
//! let issuer = TestIssuer::new();
//! let app = AccessLayer::new(issuer.access()).layer(app);
//! let request = Request::get("http://wiki.example.com/")
//!     .header(headers::JWT_ASSERTION, issuer.token_for("ada@example.com"));
//! # let answer = app.oneshot(request.body(axum::body::Body::empty())?).await?;
//! # assert_eq!(answer.status(), StatusCode::OK);
//! # Ok(())
//! # }
//! ```
//!
//! Everything uses the issuer's own clock, so a test moves time instead of waiting. For
//! tests only: a [`TestIssuer`] can impersonate every user.
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

use crate::clock::{Clock, ManualClock, Timestamp};
use crate::engine::{Access, VerifierBuilder};
use crate::issuer::{KeyRotation, SigningKey, SigningKeys};
use crate::token::keys::KeySource;
use crate::token::{Audiences, Claims, TokenKind};

/// An issuer of tokens, with keys and a clock of its own.
///
/// Clones share one state. Keys are generated once per process, so that tests stay fast.
#[derive(Clone, Debug)]
pub struct TestIssuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<ManualClock>,
    keys: Arc<SigningKeys>,
}

impl TestIssuer {
    /// The team domain of every test issuer.
    pub const TEAM_DOMAIN: &str = "test.cloudflareaccess.com";
    /// The `iss` of its tokens.
    pub const ISSUER: &str = "https://test.cloudflareaccess.com";
    /// The audience of its application.
    pub const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

    /// Creates an issuer whose clock is set to 2026-09-21T13:33:20Z.
    #[must_use]
    pub fn new() -> Self {
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        let keys = SigningKeys::new(first_key(), Self::ISSUER, KeyRotation::default(), now);
        Self(Arc::new(Inner {
            clock: Arc::new(ManualClock::new(now)),
            keys: Arc::new(keys.expect("a certificate for a good key")),
        }))
    }

    /// Returns an engine that verifies this issuer's tokens by its clock: for `AccessLayer::new`.
    #[must_use]
    pub fn access(&self) -> Access {
        let audience = Self::AUDIENCE.parse().expect("an audience tag");
        let builder = self.verifier_builder().audience(audience);
        builder.build().expect("settings that fit each other")
    }

    /// Returns the builder of such an engine, for tests with applications and policies of their own.
    pub fn verifier_builder(&self) -> VerifierBuilder {
        Access::verifier_builder(Self::TEAM_DOMAIN)
            .expect("a team domain")
            .keys(Arc::clone(&self.0.keys))
            .clock(self.clock())
    }

    /// Returns the clock of issuer and engine.
    #[must_use]
    pub fn clock(&self) -> Arc<ManualClock> {
        Arc::clone(&self.0.clock)
    }

    /// Returns a user's token, valid for an hour.
    #[must_use]
    pub fn token_for(&self, email: &str) -> String {
        self.sign(&self.claims_for(email))
    }

    /// Returns a user's token with attributes of the login method: the claim `custom`.
    #[must_use]
    pub fn token_with_custom_claims(&self, email: &str, custom: &impl Serialize) -> String {
        let mut claims = serde_json::to_value(self.claims_for(email)).expect("claims");
        let custom = serde_json::to_value(custom).expect("claims that serialise");
        claims.as_object_mut().expect("an object").insert("custom".to_owned(), custom);
        self.sign(&claims)
    }

    /// Returns a service's token, valid for an hour.
    #[must_use]
    pub fn token_for_service(&self, client_id: &str) -> String {
        self.sign(&Claims {
            sub: Some(String::new()),
            email: None,
            common_name: Some(client_id.to_owned()),
            identity_nonce: None,
            country: None,
            nbf: None,
            ..self.claims_for("nobody@example.com")
        })
    }

    /// Returns the claims of such a token, for changes.
    #[must_use]
    pub fn claims_for(&self, email: &str) -> Claims {
        let now = self.0.clock.now();
        Claims {
            kind: TokenKind::Application,
            iss: Self::ISSUER.to_owned(),
            aud: Audiences::single(Self::AUDIENCE),
            exp: now.plus(Duration::from_secs(3600)).as_unix_seconds(),
            iat: now.as_unix_seconds(),
            nbf: Some(now.as_unix_seconds()),
            sub: Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned()),
            email: Some(email.to_owned()),
            common_name: None,
            identity_nonce: Some("q2ZkWf0yTn9sVb3L".to_owned()),
            country: Some("FR".to_owned()),
        }
    }

    /// Signs any claims: a [`Claims`], or JSON with more, or with mistakes.
    #[must_use]
    pub fn sign(&self, claims: &impl Serialize) -> String {
        self.0.keys.sign(claims, self.0.clock.now()).expect("claims that serialise")
    }

    /// Replaces the signing key; the previous one verifies for seven more days.
    pub fn rotate(&self) {
        let key = SigningKey::generate().expect("a new key");
        self.0.keys.rotate(key, self.0.clock.now()).expect("a certificate for a good key");
    }

    /// Returns the published key set, for a test that serves it.
    #[must_use]
    pub fn key_set_json(&self) -> bytes::Bytes {
        self.0.keys.key_set_json(self.0.clock.now())
    }

    /// Returns the keys, as a source for an engine.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeySource> {
        Arc::clone(&self.0.keys) as Arc<dyn KeySource>
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

fn first_key() -> SigningKey {
    static DER: OnceLock<Vec<u8>> = OnceLock::new();
    let der = DER.get_or_init(|| {
        let key = SigningKey::generate().expect("a new key");
        key.to_pkcs8_der().expect("the key's DER form").to_vec()
    });
    SigningKey::from_pkcs8_der(der).expect("a key that was just made")
}
