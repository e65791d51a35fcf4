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
//! # Requests that act on more than their target
//!
//! WebDAV (RFC 4918) names a second resource in `Destination` and further ones in `If`; object
//! stores name the source of a copy in a header of their own; some methods act on everything below a
//! path. The application of each such resource decides about the request as if it had been sent
//! there, with the credentials it has (a session of the host, a cookie for each, a service token that
//! is for all). All of them have to let it in; a refusal names the first that does not. The inner
//! service sees the identity at the application of the request target alone.
//!
//! | header | what counts | refused with 400 |
//! | --- | --- | --- |
//! | `Destination` of `MOVE` and `COPY` | always: `https://host/path` or `/path` | anything else: `b`, `../b` and `//host/b` included |
//! | `Destination` of any other method | where it begins with `/`, `http:` or `https:`; other text is left alone: APIs have headers of that name | such a value that can be read two ways |
//! | `If` | the tags of its lists, `<https://host/path> (…)` and `</path> (…)`; a list without a tag is about the request target | what does not follow the grammar, and brackets or quotes inside of entity tags |
//! | `X-…-Copy-Source`, `X-…-Rename-Source`, `X-…-Copy-From` | always: `/bucket/key`, `bucket/key` or a URL. `X-Copy-From` counts as a path of the host and as one of the account, `/v1/ACCOUNT`, in the request target | anything else |
//! | `Destination-Account`, `X-Copy-From-Account` | | always |
//!
//! A reference is read like a request target: dot segments, empty segments, encoded slashes (unless the
//! application allows them), userinfo, fragments, another scheme, blanks, bytes beyond ASCII, two lines
//! of a header: 400. The query does not count. A resource that no application covers is refused with
//! 403, on this host and on any other, and so are the login's own endpoints. Ports make no difference,
//! as everywhere. At most 16 resources (else 400) of at most 16 further applications (else 403).
//!
//! | method | acts on everything below the request target |
//! | --- | --- |
//! | `DELETE`, `MOVE` | always. Plain HTTP APIs included: whoever may not delete `/drop/secret` may not delete `/drop` |
//! | `COPY`, `LOCK` | unless `Depth: 0` |
//! | `PROPFIND` | unless `Depth: 0` or `Depth: 1`; the latter lists a collection, as a `GET` of it may |
//! | `REPORT`, `SEARCH` | always: how deep they go stands in their bodies |
//! | `BIND`, `REBIND` | and on the whole host: their bodies name any resource |
//! | `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `OPTIONS` | never |
//! | any other | where it has a `Depth` other than `0` |
//!
//! A `Depth` that is unknown or there twice counts as `infinity`. A `MOVE` or `COPY` acts on everything
//! below its target as well. The letter case of methods makes no difference, nor that of paths below;
//! and what `X-HTTP-Method-Override` and its kind say counts beside the method.
//!
//! The inner service gets each reference in canonical form, as it was judged. Of a `MOVE` or `COPY`, and
//! in an `If`, one to the request's own host is handed on as a path alone, so that an origin that is
//! spoken to without TLS, or under another name, takes it for its own.
//!
//! Bodies are not read. What a body names (the addresses in a `REPORT`, the operations of a batch) is for
//! the inner service to judge.
//!
//! A refusal drops the body unread. What becomes of the rest is the server's affair: hyper, and so
//! `axum::serve`, closes an HTTP/1.1 connection after the answer, and the reset that follows can destroy
//! the answer before a client that is still sending, or a proxy in front, has read it; over HTTP/2 it ends
//! the stream alone, in order. `proxy::serve` (feature `proxy`) reads and discards the rest within
//! bounds, and serves any service over its `IncomingBody`, an axum `Router` among them.
//!
//! # WebSockets
//!
//! A request for a WebSocket, by `Upgrade` or by extended CONNECT (RFC 8441), whose credential is a
//! cookie is let in only where it has no `Origin` at all, or one that is the host's: `https` (for
//! `localhost` and names below it `http` as well), the host, and the port of the request, or the address
//! under which the login knows the host. `null`, two origins, and what is none are refused with 403.
//! `cf-access-token` and service tokens, which no page can send, count from anywhere: native
//! applications have origins of their own. Without a session a page gets 401 and no redirect, which it
//! could not follow; a program that sends no `Origin` gets the redirect to the login like any `GET`.
//!
//! Layers further out find a [`Verdict`](crate::policy::Verdict) in the extensions of every answer
//! but the login's own, and a [`Rejection`](crate::Rejection) in every refusal.
//!
//! A panic on a request's way, in a [fact source](crate::facts::FactSource), a clock, a store, pages
//! of yours, or in this crate, refuses that request with 500; others do not notice. A panic of the
//! inner service passes through to the server, which closes the connection.

mod authenticate;
mod authorize;
mod body;
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
