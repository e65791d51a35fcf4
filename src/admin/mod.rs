//! What a running proxy is told to do: end sessions, replace keys, read its file again.
//!
//! [`AdminService`] answers on a listener of its own, which `admin` in the file opens
//! ([`AdminConfig`](crate::config::AdminConfig)). It is off by default, is never part of the proxy's
//! own listener, and listens on this machine alone:
//!
//! ```yaml
//! admin: { listen: 127.0.0.1:9180, token_file: /run/secrets/admin-token }
//! # or `token: ${ADMIN_TOKEN}`, from the environment
//! ```
//!
//! Paths, bodies and answers are those of Cloudflare's API where it has them, below
//! `/accounts/{account}` there (sections 7.5 and 13.4 of the contract):
//!
//! | request | |
//! | --- | --- |
//! | `POST /access/organizations/revoke_user` `{"email"}` | ends all sessions of a person |
//! | `POST /access/apps/{id, aud or name}/revoke_tokens` | voids all tokens of an application |
//! | `GET /access/users/{email}/active_sessions` | the sessions of a person |
//! | `GET /access/keys` | when the signing key was made, and when it is replaced |
//! | `POST /access/keys/rotate` | replaces the signing key now |
//! | `GET`, `POST /access/service_tokens` `{"name", "duration"}` | lists the service tokens; makes one, whose secret is shown this once |
//! | `PUT /access/service_tokens/{id}` `{"name", "enabled"}` | renames one, switches it on or off |
//! | `POST /access/service_tokens/{id}/rotate` `{"previous_client_secret_expires_at"}` | gives it another secret; the one before is good until then, or not at all |
//! | `POST /access/service_tokens/{id}/refresh` | gives it one more year |
//! | `DELETE /access/service_tokens/{id}` | deletes it |
//! | `DELETE /access/sessions/{id}` | ends one session; ours |
//! | `POST /access/revoke_everybody` | ends every session there is; ours |
//! | `POST /reload` | reads the file again; ours |
//! | `GET /health` | which configuration is in force, and whether all serves; ours |
//!
//! ```text
//! TOKEN=$(cat /run/secrets/admin-token)
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9180/health
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:9180/access/users/ada@example.com/active_sessions
//! curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
//!      -d '{"email":"ada@example.com"}' http://127.0.0.1:9180/access/organizations/revoke_user
//! curl -H "Authorization: Bearer $TOKEN" -X POST http://127.0.0.1:9180/access/apps/Wiki/revoke_tokens
//! curl -H "Authorization: Bearer $TOKEN" -X DELETE http://127.0.0.1:9180/access/sessions/q2ZkWf0yTn9sVb3L
//! curl -H "Authorization: Bearer $TOKEN" -X POST http://127.0.0.1:9180/access/keys/rotate
//! curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
//!      -d '{"name":"ci"}' http://127.0.0.1:9180/access/service_tokens
//! curl -H "Authorization: Bearer $TOKEN" -X POST http://127.0.0.1:9180/reload
//! ```
//!
//! Every answer is JSON, `{"success":…,"errors":[{"code","message"}],"messages":[…],"result":…}`. After
//! a revocation `messages` has one that says what was ended, with the code 11000; 11001 where nothing
//! was there to end, because nobody knows the person or the session. What is revoked is void all the
//! same.
//! 400: the request says nothing that can be done. 401: no token, or another one. 403: the request
//! comes through a browser. 404 and 405: there is no such thing, or it is asked for otherwise. 409:
//! several applications have this name, or another service token has it. 422: the file is wrong,
//! and everything stays as it is. 503: the store is away; what was to be ended is ended in this
//! process. (`GET /health` answers 503 as well, with
//! `success`, while something does not serve.)
//!
//! `ignored_forwarding` in the answer to `GET /health` names up to 16 peers whose `X-Forwarded-For` or
//! `Forwarded` counts for nothing, if there are any: `{"peer", "header", "requests", "first_at"}`. One that is a proxy of
//! yours belongs under `trusted_proxies`: until then all people behind it count as one client.
//!
//! `mail` in it tells how the delivery of login codes goes since the process started, where people log in:
//! `{"state", "sent", "recipients_refused", "failed", "failed_since_sent", "last_sent_at",
//! "last_failed_at", "last_error"}`. `state` is `unused`, `working`, or `failing` while no mail was accepted
//! after the last one that failed; the answer stays 200, for sessions go on. Each failure is a line in
//! the log, target `tower_access::mail`, with the application and the recipient's domain.
//!
//! # Who may ask
//!
//! Whoever shows the token, at least 32 characters, compared in constant time. A browser on the same
//! machine is no way in: the `Host` has to be a loopback name or address (a page whose name was made
//! to lead here has its own), and a request with an `Origin` is refused whatever it is. Nothing that
//! a `GET` asks for changes anything. With `dangerous_listen_anywhere` the `Host` may be any address,
//! still no name but `localhost`.
//!
//! Paths are compared segment by segment as they arrive; only what stands for an email address, an
//! application or a session may be percent-encoded. What is done leaves a line in the log, target
//! `tower_access::audit`.

mod act;
mod answer;
mod guard;
mod mail_health;
mod revoke;
mod route;
mod service;
mod service_tokens;

pub use self::service::AdminService;
