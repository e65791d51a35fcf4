//! The administration of a running proxy: revoke sessions, rotate keys, reload the file.
//!
//! [`AdminService`] has a listener of its own, which `admin` in the file opens
//! ([`AdminConfig`](crate::config::AdminConfig)). It is off by default, is never part of the proxy's
//! own listener, and listens only on a loopback address:
//!
//! ```yaml
//! admin: { listen: 127.0.0.1:9180, token_file: /run/secrets/admin-token }
//! # or `token: ${ADMIN_TOKEN}`, from the environment
//! ```
//!
//! Paths, bodies and responses are those of Cloudflare's API, which has them below
//! `/accounts/{account}` (sections 7.5 and 13.4 of the contract); "own" marks the others:
//!
//! | request | |
//! | --- | --- |
//! | `POST /access/organizations/revoke_user` `{"email"}` | revokes all sessions of a user |
//! | `POST /access/apps/{id, aud or name}/revoke_tokens` | revokes all tokens of an application |
//! | `GET /access/users/{email}/active_sessions` | lists the live sessions of a user |
//! | `GET /access/keys` | returns when the signing key was made, and when it is rotated |
//! | `POST /access/keys/rotate` | rotates the signing key immediately |
//! | `GET`, `POST /access/service_tokens` `{"name", "duration"}` | lists the service tokens; creates one, and returns its secret once |
//! | `PUT /access/service_tokens/{id}` `{"name", "enabled"}` | renames, enables or disables one |
//! | `POST /access/service_tokens/{id}/rotate` `{"previous_client_secret_expires_at"}` | makes another secret; the previous one is valid until then, or not at all |
//! | `POST /access/service_tokens/{id}/refresh` | extends its expiry by one year |
//! | `DELETE /access/service_tokens/{id}` | deletes it |
//! | `DELETE /access/sessions/{id}` | revokes one session; own |
//! | `POST /access/revoke_everybody` | revokes every session; own |
//! | `POST /reload` | reloads the file; own |
//! | `GET /health` | returns the configuration in force, and the state of the proxy; own |
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
//! Every response is JSON, `{"success":…,"errors":[{"code","message"}],"messages":[…],"result":…}`. After
//! a revocation, `messages` says what was revoked, with the code 11000; or 11001 if the user or session
//! is unknown. The revocation is recorded all the same.
//!
//! | status | reason |
//! | --- | --- |
//! | 400 | the request is invalid |
//! | 401 | the token is missing or wrong |
//! | 403 | the request comes from a browser, or for another host |
//! | 404, 405 | the path or the method is unknown |
//! | 409 | several applications have this name, or another service token has it |
//! | 422 | the file is invalid, and nothing has changed |
//! | 503 | the store is unavailable; a revocation applies in this process. `GET /health` also returns 503, with `success`, while keys or store are unavailable |
//!
//! `ignored_forwarding` in the response to `GET /health` names up to 16 untrusted peers that sent
//! `X-Forwarded-For` or `Forwarded`, if any: `{"peer", "header", "requests", "first_at"}`. If one is a
//! proxy of yours, add it to `trusted_proxies`: until then all users behind it count as one client.
//!
//! `mail` in that response is the state of mail delivery since the process started, if users log in here:
//! `{"state", "sent", "recipients_refused", "failed", "failed_since_sent", "last_sent_at",
//! "last_failed_at", "last_error"}`. `state` is `unused`, `working`, or `failing` while no mail was accepted
//! after the last failure. The status stays 200, because sessions continue. The log has a line for each
//! failure, target `tower_access::mail`, with the application and the recipient's domain.
//!
//! # Authentication
//!
//! A request needs the token, of at least 32 characters, which is compared in constant time. Requests of
//! a browser on the same machine are refused: the `Host` has to be a loopback name or address (DNS
//! rebinding sends another name), and a request with an `Origin` is refused. A `GET` changes nothing.
//! With `dangerous_listen_anywhere` the `Host` may be any address, but no name except `localhost`.
//!
//! Paths are compared segment by segment as they arrive; only an email address, an application or an id
//! in the path may be percent-encoded. Every action has a line in the log, target
//! `tower_access::audit`.

mod act;
mod guard;
mod mail_health;
mod response;
mod revoke;
mod route;
mod service;
mod service_tokens;

pub use self::service::AdminService;
