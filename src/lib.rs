//! Identity-aware access for [Tower](https://docs.rs/tower) services: what Cloudflare Access does
//! at the edge, in your own process.
//!
//! A request is matched to an *application*, its credential is verified into an *identity*, the
//! application's *policies* decide, and the inner service runs only when they allow it. People
//! without a credential are taken through a login and come back with a session cookie. The wire
//! format is Cloudflare's: claims, headers, cookies, endpoints, policy JSON, ingress file.
//!
//! # Where to begin
//!
//! | you have | you write |
//! | --- | --- |
//! | a service behind Access, a tunnel or a proxy of ours | [`AccessLayer::new`] of [`Access::verifier`] |
//! | a service that needs a login of its own | [`AccessLayer::new`] of [`Access::builder`] |
//! | something else that speaks HTTP | the example `proxy`, or the modules `config` and `proxy` (features of the same names) |
//! | a part of this | [`AuthenticateLayer`], [`AuthorizeLayer`], [`LoginLayer`], or [`policy`] and [`token`] without any service |
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
//! Rooms, ground floor first; each knows only those above it in this list.
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`clock`], [`random`], [`secret`], [`address`], [`headers`] | time and randomness as arguments; secrets; client addresses; the names of Access's headers |
//! | [`pages`] | the pages people see, and how to replace them |
//! | `audit` | what concerns security, as events of plain fields |
//! | [`identity`] | who makes a request; the axum extractor |
//! | [`token`] | claims, verifying, key sets: fetched and filtered |
//! | [`policy`] | rules, groups, lists, policies as data; compiled; evaluated by a pure function; explained |
//! | [`application`] | hosts, paths, their canonical forms, and the most specific application for them |
//! | [`facts`] | where facts come from that a request does not prove itself: countries, certificates, devices, risk, evaluators |
//! | [`store`] | where state lives: memory, a file, Redis |
//! | [`issuer`] | signing keys: rotated, published, stored |
//! | [`evaluation`] | an external evaluator of your own |
//! | `session`, [`service_token`] | logins, cookies, revocation; machines' credentials |
//! | [`login`] | one-time PIN, mail, redirects |
//! | `engine` | [`Access`], the engine all layers share; [`explain`] answers questions about a request |
//! | [`layer`] | the tower layers |
//! | `proxy` | the streaming reverse proxy |
//! | `config`, `inspect` | the file; tools that answer who can get in, and why |
//! | `admin` | what a running proxy is told to do: revoke, reload, rotate |
//!
//! Where these docs name a section of *the contract*, they mean the maintainers' description of
//! Cloudflare Access's wire format; the facts that matter are repeated where they are used.
//!
//! # What a layer leaves behind
//!
//! In the request's extensions, for the inner service: the [`Identity`]. In the answer's
//! extensions, for layers further out: the [`policy::Verdict`] of every request that policies
//! decided, the [`Rejection`] of every refusal. Logs go through `tracing`; what concerns security
//! has the target `tower_access::audit` and names in `event` what happened, with a name that stays. No
//! line holds a code, cookie, token or secret; `session` is the first half of the SHA-256 hash of a
//! session's id, in hexadecimal. The line of a refusal has the reference its sender was shown and the
//! id of the verdict, which [`Access::explain`] gives for the same request.
//!
//! With the feature `metrics` there are counters and gauges, for whatever recorder the program has
//! installed. Labels are names of ours, never text from a request.
//!
//! | name | kind | |
//! | --- | --- | --- |
//! | `tower_access_key_state` | gauge | 1 for the present `state`: `never_loaded`, `fresh`, `stale`, `expired` |
//! | `tower_access_keys` | gauge | keys that tokens can be verified with |
//! | `tower_access_key_fetches_total` | counter | by `outcome`: `loaded`, `failed` |
//! | `tower_access_evaluations_total` | counter | questions to external evaluators, by `outcome`: `yes`, `no`, `no_answer`, `not_asked` (it gave none a moment ago) |
//! | `tower_access_tokens_refused_total` | counter | by `reason`, see [`token::TokenErrorKind::as_str`] |
//! | `tower_access_missing_facts_total` | counter | refusals where rules asked for a `fact` nobody could tell, see [`policy::Fact::as_str`] |
//! | `tower_access_configuration_reloads_total` | counter | by `outcome`: `in_force`, `unchanged`, `failed` |
//! | `tower_access_configuration_stale` | gauge | 1 when the file was changed into one that cannot be used |
//! | `tower_access_geo_database_stale` | gauge | 1 when the database of countries is more than 60 days old |
//!
//! # Deployment
//!
//! - Rules about networks and limits on mail need the peer's address: insert
//!   [`address::PeerAddress`], or serve axum with connect info. Behind another proxy name it in
//!   `trusted_proxies`; nobody's `X-Forwarded-For` is believed otherwise.
//! - Rules about countries, certificates, devices and risk need a [source](facts): until there is one,
//!   they open nothing, and the log names the fact that is missing. Whoever ends TLS inserts
//!   [`facts::PeerCertificate`].
//! - A restart logs everybody out, unless state is kept: `state` in the file, or a [`store`] and a
//!   master secret ([`AccessBuilder::build_with_kept_keys`]).
//! - Addresses are `https://` and the host. Only `localhost` and names below it are served without
//!   TLS.
//! - Layers see the path as it arrived, also inside a nested axum router. Do not rewrite paths
//!   outside the layers; what is rewritten inside was judged before.
//! - Where the login runs, put the layer around the whole router: `/cdn-cgi/access/` has to reach it
//!   on every host. Inside of `Router::nest`, and with `Router::route_layer`, the login is 404.
#![cfg_attr(docsrs, feature(doc_cfg))]

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
    Access, Carrier, ConfigError, Permission, Rejection, RejectionKind, ResourceError,
    RevocationError, VerifierBuilder,
};
pub use self::engine::{AccessBuilder, EngineSettings, Restore, RotationError, SessionSummary};
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
