//! Identity-aware access for [Tower](https://docs.rs/tower) services: what Cloudflare Access does
//! at the edge, in your own process.
//!
//! A request is matched to an *application*, its credential is verified into an *identity*, and the
//! application's *policies* decide. The inner service runs only if they allow it. Users without a
//! credential go through a login and come back with a session cookie. The wire format is
//! Cloudflare's: claims, headers, cookies, endpoints, policy JSON, ingress file.
//!
//! # Where to begin
//!
//! | you have | write | guide |
//! | --- | --- | --- |
//! | a service behind Access, a tunnel or a proxy of this crate | [`AccessLayer::new`] of [`Access::verifier`] | [origin verification](_guide::origin_verification) |
//! | a service that needs a login of its own | [`AccessLayer::new`] of [`Access::builder`] | [embedded login](_guide::embedded_login) |
//! | something else that speaks HTTP | the program `proxy`, or the modules `config` and `proxy` (features of the same names) | [proxy](_guide::proxy) |
//! | only a part of this | [`AuthenticateLayer`], [`AuthorizeLayer`], [`LoginLayer`], or [`policy`] and [`token`] without any service | [how a request travels](_guide#how-a-request-travels) |
//!
//! The other guides: [policies](_guide::policies) (who can get in and why), [login
//! methods](_guide::login_methods) (identity providers), [sessions](_guide::sessions) (state, lifetimes,
//! revocation), [operations](_guide::operations) (deployment, backup, logs, metrics),
//! [guarantees](_guide::guarantees), [costs](_guide::costs), and the [configuration
//! reference](_guide::configuration), which lists every key of the file.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_access::{Access, AccessLayer, Identity};
//!
//! let access = Access::verifier(
//!     "acme.cloudflareaccess.com",
//!     "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
//! )?;
//! let app: Router = Router::new()
//!     .route("/", get(|identity: Identity| async move { format!("{:?}", identity.email()) }))
//!     .layer(AccessLayer::new(access));
//! # Ok::<(), tower_access::ConfigError>(())
//! ```
//!
//! # How it is built
//!
//! The modules at the top of the crate are its *rooms*. Each imports only from the rooms above it in
//! this list.
//!
//! | room | what it holds |
//! | --- | --- |
//! | [`clock`], [`random`], [`secret`], [`address`], [`headers`] | time and randomness as arguments; secrets; client addresses; the names of Access's headers |
//! | `audit`, `metrics` | security events as plain fields; counters |
//! | [`pages`] | the pages that users see, and how to replace them |
//! | [`identity`] | who makes a request; the axum extractor |
//! | [`token`] | claims, verification, key sets: fetched and filtered |
//! | [`policy`] | rules, groups, lists, policies as data; compiled; evaluated by a pure function; explained |
//! | [`application`] | hosts, paths, their canonical forms, and the most specific application for them |
//! | [`facts`] | sources of facts that a request does not prove: countries, certificates, devices, risk, evaluators |
//! | [`store`] | where state is stored: memory, a file, Redis |
//! | [`issuer`] | signing keys: rotated, published, stored |
//! | [`evaluation`] | an external evaluator of your own |
//! | `session`, [`service_token`] | logins, cookies, revocation; credentials of machines |
//! | [`login`] | one-time PIN, identity providers, mail, redirects |
//! | `engine` | [`Access`], the engine that all layers share; [`explain`] answers questions about a request |
//! | [`layer`] | the tower layers |
//! | `proxy` | the streaming reverse proxy |
//! | `config`, `inspect` | the file; tools that say who can get in, and why |
//! | `admin` | commands to a running proxy: revoke, reload, rotate |
//!
//! These docs cite sections of *the contract*: the maintainers' description of Cloudflare Access's wire
//! format. The facts that matter are repeated where they are used.
//!
//! # What a layer leaves behind
//!
//! | where | what |
//! | --- | --- |
//! | the request's extensions, for the inner service | the [`Identity`]; for an upgrade also a [`AccessGrant`] |
//! | the response's extensions, for layers further out | the [`policy::Verdict`] of every request that policies decided; the [`Rejection`] of every refusal |
//! | logs, through `tracing` | security events, with the target `tower_access::audit` |
//! | metrics (feature `metrics`) | counters and gauges |
//!
//! The guide [operations](_guide::operations) lists the [logs](_guide::operations#logs) and
//! [metrics](_guide::operations#metrics), and says how to [deploy](_guide::operations#deployment).
#![cfg_attr(docsrs, feature(doc_cfg))]

// The guides, for readers of the documentation alone. Their examples need these features.
#[cfg(all(
    doc,
    any(
        not(doctest),
        all(feature = "axum", feature = "config", feature = "proxy", feature = "test-util")
    )
))]
pub mod _guide;
pub mod address;
#[cfg(all(feature = "config", feature = "proxy"))]
pub mod admin;
pub mod application;
mod audit;
pub mod clock;
#[cfg(feature = "config")]
pub mod config;
mod engine;
pub mod evaluation;
pub mod facts;
pub mod headers;
pub mod identity;
#[cfg(feature = "config")]
pub mod inspect;
pub mod issuer;
pub mod layer;
pub mod login;
mod metrics;
pub mod pages;
pub mod policy;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod random;
pub mod secret;
pub mod service_token;
mod session;
pub mod store;
#[cfg(feature = "test-util")]
pub mod test_util;
pub mod token;
mod util;

pub use self::engine::explain;
pub use self::engine::{
    Access, AccessGrant, ConfigError, Rejection, RejectionKind, ResourceError, RevocationError,
    TokenLocation, VerifierBuilder,
};
pub use self::engine::{
    AccessBuilder, EngineSettings, RestoreOptions, RotationError, SessionSummary,
};
pub use self::identity::Identity;
#[doc(no_inline)]
pub use self::issuer::KeyRotationState;
pub use self::layer::{AccessLayer, AuthenticateLayer, AuthorizeLayer, LoginLayer};

/// The README's examples are compiled with the documentation's.
#[cfg(all(
    doctest,
    feature = "axum",
    feature = "config",
    feature = "proxy",
    feature = "test-util"
))]
#[doc = include_str!("../README.md")]
mod readme {}
