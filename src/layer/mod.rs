//! The tower layers.
//!
//! | layer | does |
//! | --- | --- |
//! | [`LoginLayer`] | answers `/cdn-cgi/access/*`; turns bare refusals into redirects, pages or JSON |
//! | [`AuthenticateLayer`] | scrubs identity headers, finds the application, verifies the credential |
//! | [`AuthorizeLayer`] | asks the policies; lets the request through with its identity, or refuses it |
//! | [`AccessLayer`] | these three, in this order |
//!
//! They work over any `Service<http::Request<B>>`: an axum `Router`, a bare hyper service, a
//! `tower::service_fn`. The error type is the inner service's: a refusal is an answer. On the
//! allowed path nothing is boxed.
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
//! Layers further out find a [`Verdict`](crate::policy::Verdict) in the extensions of every answer
//! but the login's own, and a [`Rejection`](crate::Rejection) in every refusal.
//!
//! A panic on a request's way, in a [fact source](crate::source::FactSource), a clock, a store, pages
//! of yours, or in this crate, refuses that request with 500; others do not notice. A panic of the
//! inner service passes through to the server, which closes the connection.

mod authenticate;
mod authorize;
mod body;
#[cfg(feature = "login")]
mod endpoint;
mod login;
mod stack;

pub use self::authenticate::{AuthenticateFuture, AuthenticateLayer, AuthenticateService};
pub use self::authorize::{AuthorizeFuture, AuthorizeLayer, AuthorizeService};
pub use self::body::AccessBody;
pub use self::login::{LoginFuture, LoginLayer, LoginService};
pub use self::stack::{AccessFuture, AccessLayer, AccessResponseBody, AccessService};

/// The three accessors every service of a middleware has.
macro_rules! inner_service_accessors {
    () => {
        /// The inner service.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// The inner service, to change it.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// Gives the inner service back.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}
use inner_service_accessors;
