//! Decides whether a new login would bring a valid token, or the issuer would send the same one again.
//!
//! An engine that verifies redirects a browser with an invalid token to the issuer's login, which
//! redirects it back at once while its session there lasts. If the new token were invalid for the same
//! reason, the redirects would never end, so such a browser gets a page. The engine stores nothing about
//! the first redirect: a token that the issuer has just signed is like the one of another login.

use std::time::Duration;

use http::header::ORIGIN;
use http::{Method, Request};

use crate::application::CanonicalHost;
use crate::clock::Timestamp;
use crate::headers;
use crate::token::{TokenErrorKind, unverified_claims, unverified_lifetime};

use super::super::credential::RejectedToken;
use super::super::request_context::Scope;
use super::super::{Engine, Role};

/// Describes an invalid token of a cookie.
pub(in crate::engine) fn rejected_token(
    engine: &Engine,
    kind: TokenErrorKind,
    token: &[u8],
    at: Scope<'_>,
) -> RejectedToken {
    let login_helps = match (&engine.role, std::str::from_utf8(token), kind) {
        (Role::Verifying(_), Ok(token), TokenErrorKind::Revoked) => {
            !refuses_next_of_session(engine, token)
        }
        (Role::Verifying(_), Ok(token), TokenErrorKind::Audience)
            if is_of_same_host(engine, token, at.host) =>
        {
            true
        }
        (Role::Verifying(_), Ok(token), _) => {
            login_helps(kind, unverified_lifetime(token), at.now, engine.leeway)
        }
        // The login of this engine makes valid tokens.
        _ => true,
    };
    RejectedToken { kind, login_helps }
}

/// Returns whether a token was made for another application of the host: they share a cookie, so a user
/// who changes between them presents the token of the other.
fn is_of_same_host(engine: &Engine, token: &str, host: &CanonicalHost) -> bool {
    unverified_claims(token).is_some_and(|claims| {
        engine
            .applications
            .accepts_audience_on(host.as_str(), |audience| claims.aud.contains(audience))
    })
}

/// Returns whether a token was issued after its session was revoked here: the issuer continues a session
/// that it has not revoked itself.
fn refuses_next_of_session(engine: &Engine, token: &str) -> bool {
    unverified_claims(token).is_some_and(|claims| {
        let issued_at = Timestamp::from_unix_seconds(claims.iat);
        let session = claims.identity_nonce.as_deref();
        session
            .is_some_and(|id| engine.shared_state.revocations.session_revoked_before(id, issued_at))
    })
}

/// Returns whether a browser shows the response to its user, and would follow a redirect to the login.
pub(in crate::engine) fn is_visit<B>(request: &Request<B>) -> bool {
    let (method, headers) = (request.method(), request.headers());
    matches!(*method, Method::GET | Method::HEAD)
        && headers::wants_html(headers)
        && !headers::is_script(headers)
        && !headers::is_background(headers)
        && !headers::is_upgrade(method, headers)
        && (!headers.contains_key(ORIGIN) || headers::is_navigation(headers))
}

/// Returns whether a new token may be valid. `life` is when the token claims to be issued and to expire;
/// `None` without these claims.
fn login_helps(
    kind: TokenErrorKind,
    life: Option<(u64, Option<u64>)>,
    now: Timestamp,
    leeway: Duration,
) -> bool {
    use TokenErrorKind as Kind;
    let lately = now.minus(leeway).minus(JUST_NOW).as_unix_seconds();
    let is_fresh = life.is_none_or(|(issued_at, _)| issued_at >= lately);
    match kind {
        // The issuer did not sign this token: its own would be another.
        Kind::TooLarge
        | Kind::Segments
        | Kind::Encrypted
        | Kind::Encoding
        | Kind::Header
        | Kind::Critical
        | Kind::MediaType
        | Kind::Algorithm
        | Kind::NoKeyId
        | Kind::UnknownKey
        | Kind::Signature
        | Kind::KeysUnavailable
        | Kind::Binding
        | Kind::Revoked => true,
        Kind::Expired => {
            let had_no_life =
                |(issued_at, end): (u64, Option<u64>)| end.is_none_or(|end| end <= issued_at);
            !(is_fresh && life.is_some_and(had_no_life))
        }
        // The clocks differ, and still do after a login.
        Kind::NotYetValid => false,
        Kind::Payload
        | Kind::DuplicateClaim(_)
        | Kind::WrongType(_)
        | Kind::MissingClaim(_)
        | Kind::Issuer
        | Kind::Audience
        | Kind::Type
        | Kind::Lifetime
        | Kind::Subject => !is_fresh,
    }
}

/// A token as young as this comes from a redirect, which takes seconds.
const JUST_NOW: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::ClaimName;

    const NOW: u64 = 1_790_000_000;

    fn mends(kind: TokenErrorKind, issued_at: u64, end: u64) -> bool {
        let now = Timestamp::from_unix_seconds(NOW);
        login_helps(kind, Some((issued_at, Some(end))), now, Duration::from_secs(60))
    }

    #[test]
    fn jwt_28_a_fresh_token_that_is_refused_for_good_is_not_mended() {
        for kind in [
            TokenErrorKind::Audience,
            TokenErrorKind::Issuer,
            TokenErrorKind::Type,
            TokenErrorKind::Subject,
            TokenErrorKind::Lifetime,
            TokenErrorKind::WrongType(ClaimName::Email),
            TokenErrorKind::MissingClaim(ClaimName::Issuer),
            TokenErrorKind::DuplicateClaim(ClaimName::Email),
        ] {
            for (issued_at, expected) in
                [(NOW, false), (NOW - 120, false), (NOW - 121, true), (NOW + 60, false), (0, true)]
            {
                assert_eq!(mends(kind, issued_at, NOW + 3600), expected, "{kind}, {issued_at}");
            }
            let now = Timestamp::from_unix_seconds(NOW);
            assert!(!login_helps(kind, None, now, Duration::ZERO), "{kind}: of no known age");
        }
        assert!(!mends(TokenErrorKind::NotYetValid, NOW + 3600, NOW + 7200));
    }

    #[test]
    fn jwt_28_an_old_or_forged_token_is_mended() {
        for kind in [
            TokenErrorKind::Signature,
            TokenErrorKind::UnknownKey,
            TokenErrorKind::Encoding,
            TokenErrorKind::Segments,
        ] {
            assert!(mends(kind, NOW, NOW + 3600), "{kind}");
        }
        assert!(mends(TokenErrorKind::Expired, NOW - 90_000, NOW - 3600));
        assert!(mends(TokenErrorKind::Expired, NOW - 80, NOW - 70));
        assert!(!mends(TokenErrorKind::Expired, NOW, NOW - 70), "dead on arrival");
    }
}
