//! The tower layers.
//!
//! | layer | does |
//! | --- | --- |
//! | [`LoginLayer`] | serves `/cdn-cgi/access/*`; turns bare refusals into redirects, pages or JSON |
//! | [`AuthenticateLayer`] | removes identity headers, locates the application, verifies the credential |
//! | [`AuthorizeLayer`] | evaluates the policies; passes the request on with its identity, or refuses it |
//! | [`AccessLayer`] | these three, in this order |
//!
//! They work over any `Service<http::Request<B>>`: an axum `Router`, a bare hyper service, a
//! `tower::service_fn`. The error type is the inner service's: a refusal is a response. An allowed
//! request boxes nothing. The response body of every layer is an [`AccessBody`].
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
//! # Requests that act on more than their target
//!
//! WebDAV (RFC 4918) names a second resource in `Destination` and further ones in `If`; object
//! stores name the source of a copy in a header of their own; some methods act on everything below a
//! path. The application of each such resource judges the request as if it had been sent there, with
//! the credentials of the request (a session of the host, a cookie of each application, a service
//! token valid for all). All of them have to allow it; a refusal names the first that does not. The
//! inner service sees only the identity at the application of the request target.
//!
//! | header | references that are read | refused with 400 |
//! | --- | --- | --- |
//! | `Destination` of `MOVE` and `COPY` | always: `https://host/path` or `/path` | anything else: `b`, `../b` and `//host/b` included |
//! | `Destination` of any other method | if it begins with `/`, `http:` or `https:`; other text is ignored, because APIs have headers of that name | such a value if it is ambiguous |
//! | `If` | the tags of its lists, `<https://host/path> (…)` and `</path> (…)`; a list without a tag is about the request target | syntax errors, and brackets or quotes inside entity tags |
//! | `X-…-Copy-Source`, `X-…-Rename-Source`, `X-…-Copy-From` | always: `/bucket/key`, `bucket/key` or a URL. `X-Copy-From` counts as a path of the host and as one of the account, `/v1/ACCOUNT`, in the request target | anything else |
//! | `Destination-Account`, `X-Copy-From-Account` | | always |
//!
//! A reference is read like a request target. Dot segments, empty segments, encoded slashes (unless the
//! application allows them), userinfo, fragments, another scheme, blanks, bytes beyond ASCII, and two
//! lines of a header give 400. The query and the port are ignored. A resource that no application
//! covers gives 403, on this host and on any other, and so do the login's own endpoints. More than 16
//! resources give 400, and more than 16 further applications give 403.
//!
//! | method | acts on everything below the request target |
//! | --- | --- |
//! | `DELETE`, `MOVE` | always, in plain HTTP APIs as well: a user who may not delete `/drop/secret` may not delete `/drop` |
//! | `COPY`, `LOCK` | unless `Depth: 0` |
//! | `PROPFIND` | unless `Depth: 0` or `Depth: 1`; the latter lists a collection, as a `GET` of it may |
//! | `REPORT`, `SEARCH` | always: their bodies say how deep they go |
//! | `BIND`, `REBIND` | always, and on the whole host: their bodies name any resource |
//! | `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `OPTIONS` | never |
//! | any other | if it has a `Depth` other than `0` |
//!
//! An unknown or repeated `Depth` counts as `infinity`. A `MOVE` or `COPY` acts on everything below its
//! target as well. Methods, and paths below, are compared without regard to letter case. The methods in
//! `X-HTTP-Method-Override` and similar headers count in addition to the request method.
//!
//! The inner service gets each reference in canonical form, as it was judged. In a `MOVE`, a `COPY` and
//! an `If`, a reference to the request's own host becomes a path, so that an origin reached without TLS,
//! or under another name, recognizes it as its own.
//!
//! Bodies are not read. The inner service has to judge what a body names (the addresses in a `REPORT`,
//! the operations of a batch).
//!
//! A refusal drops the body unread. The server decides what happens to the rest: hyper, and so
//! `axum::serve`, closes an HTTP/1.1 connection after the response, and the reset that follows can
//! destroy the response before a client that is still sending, or a proxy in front, has read it. Over
//! HTTP/2 only the stream ends, in order. `proxy::serve` (feature `proxy`) reads and discards the rest
//! within bounds, and serves any service over its `IncomingBody`, an axum `Router` among them.
//!
//! # WebSockets
//!
//! A request for a WebSocket, by `Upgrade` or by extended CONNECT (RFC 8441), whose credential is a
//! cookie is allowed only without an `Origin`, or with the origin of the host: `https` (for `localhost`
//! and names below it `http` as well), the host, and the port of the request, or the address under which
//! the login knows the host. `null`, two origins, and invalid origins are refused with 403.
//! `cf-access-token` and service tokens, which no page can send, are accepted from every origin: native
//! applications have origins of their own. Without a session a page gets 401 instead of a redirect,
//! which it could not follow; a program that sends no `Origin` is redirected to the login like any `GET`.
//!
//! # Extensions and panics
//!
//! Outer layers find a [`Verdict`](crate::policy::Verdict) in the extensions of every response except
//! the login's own, and a [`Rejection`](crate::Rejection) in every refusal.
//!
//! A panic in a [fact source](crate::facts::FactSource), a clock, a store, your pages, or this crate
//! refuses the request with 500 and affects no other request. A panic of the inner service passes
//! through to the server, which closes the connection.

mod authenticate;
mod authorize;
mod body;
mod endpoint;
mod login;
mod response;
mod stack;

pub use self::authenticate::{AuthenticateFuture, AuthenticateLayer, AuthenticateService};
pub use self::authorize::{AuthorizeFuture, AuthorizeLayer, AuthorizeService};
pub use self::body::AccessBody;
pub use self::login::{LoginFuture, LoginLayer, LoginService};
pub use self::stack::{AccessFuture, AccessLayer, AccessService};

/// The three accessors every service of a middleware has.
macro_rules! inner_service_accessors {
    () => {
        /// Returns the inner service.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// Returns the inner service, mutable.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// Unwraps the inner service.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}
use inner_service_accessors;
