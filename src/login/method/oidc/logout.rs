//! Logging out at the provider, and being told of a logout there.

use std::fmt;

use super::OidcMethod;
use super::claims::ClaimSet;
use super::id_token::{
    IdTokenError, LEEWAY, MAX_SUBJECT_BYTES, check_audience, check_times, signed_claims,
};
use crate::clock::Timestamp;
use crate::login::method::LogoutNotice;
use crate::session::ProviderAccount;
use crate::token::unverified_payload;

/// Why a logout token is refused.
#[derive(Debug, Eq, PartialEq)]
enum LogoutTokenError {
    /// A check that ID tokens share.
    Token(IdTokenError),
    /// There is no such event in it, or it is an ID token (`nonce`).
    Event,
    /// It names neither a user nor a session.
    Subject,
    /// It has no id, or was issued too long ago.
    Age,
    Unavailable(String),
}

impl fmt::Display for LogoutTokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(error) => error.fmt(f),
            Self::Event => f.write_str("it is not a logout token (`events`, `nonce`)"),
            Self::Subject => f.write_str("it names neither a user (`sub`) nor a session (`sid`)"),
            Self::Age => f.write_str("it has no id (`jti`), or was issued too long ago"),
            Self::Unavailable(cause) => f.write_str(cause),
        }
    }
}

impl<E: Into<IdTokenError>> From<E> for LogoutTokenError {
    fn from(error: E) -> Self {
        Self::Token(error.into())
    }
}

impl OidcMethod {
    /// Returns the URL of a logout at the provider (OpenID Connect RP-Initiated Logout 1.0). `None` while
    /// the provider's configuration is not known.
    pub(super) fn end_session_url(&self, account: &ProviderAccount, back: &str) -> Option<String> {
        if !self.settings.logs_out_at_provider {
            return None;
        }
        let provider = self.discovery.known(self.clock.now())?;
        let mut url = provider.end_session.clone()?;
        let mut query = url.query_pairs_mut();
        if let Some(token) = &account.id_token {
            query.append_pair("id_token_hint", token.expose());
        }
        query.append_pair("client_id", &self.settings.client.id);
        query.append_pair("post_logout_redirect_uri", back);
        drop(query);
        Some(url.into())
    }

    /// Verifies a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.6). Returns `None` for a
    /// token that is not for this client, and for one that is refused, which is logged. Whether it was
    /// used before is not checked.
    pub(super) async fn verified_logout_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Option<LogoutNotice> {
        let settings = &self.settings;
        // Tokens of other issuers, and for their other clients, must not cost a signature or a fetch.
        let stated = ClaimSet::read(&unverified_payload(token)?)?;
        check_audience(&stated, &settings.issuer, &settings.client.id).ok()?;
        match self.logout_claims(token, now).await {
            Ok(notice) => Some(notice),
            Err(error) => {
                let method = &*settings.id;
                tracing::warn!(method, %error, "a logout token of a provider is refused");
                None
            }
        }
    }

    async fn logout_claims(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<LogoutNotice, LogoutTokenError> {
        let provider = self.discovery.provider(now).await;
        let provider = provider.map_err(LogoutTokenError::Unavailable)?;
        let (claims, _) = signed_claims(token, &provider.keys, TYPES, now).await?;
        read(&claims, &self.settings.issuer, &self.settings.client.id, now)
    }
}

fn read(
    claims: &ClaimSet,
    issuer: &str,
    client_id: &str,
    now: Timestamp,
) -> Result<LogoutNotice, LogoutTokenError> {
    check_audience(claims, issuer, client_id)?;
    // Older providers set no end.
    if claims.contains_key("exp") {
        check_times(claims, now)?;
    }
    let issued_at = claims.required_time("iat")?;
    let oldest = issued_at.plus(MAX_AGE).plus(LEEWAY);
    if issued_at > now.plus(LEEWAY) || oldest <= now {
        return Err(LogoutTokenError::Age);
    }
    let events = claims.get("events").and_then(serde_json::Value::as_object);
    let is_logout =
        events.and_then(|events| events.get(EVENT)).is_some_and(serde_json::Value::is_object);
    // An ID token must not pass as a logout token.
    if !is_logout || claims.contains_key("nonce") {
        return Err(LogoutTokenError::Event);
    }
    let id = claims.text("jti")?.filter(|id| !id.is_empty() && id.len() <= MAX_ID_BYTES);
    let (subject, session) = (claims.text("sub")?, claims.text("sid")?);
    let is_usable = |text: &&str| !text.is_empty() && text.len() <= MAX_SUBJECT_BYTES;
    if subject.is_none() && session.is_none()
        || !subject.iter().chain(session.iter()).all(is_usable)
    {
        return Err(LogoutTokenError::Subject);
    }
    Ok(LogoutNotice {
        subject: subject.map(Into::into),
        session: session.map(Into::into),
        id: id.ok_or(LogoutTokenError::Age)?.into(),
        expires_at: oldest,
    })
}

const TYPES: &[&str] = &["logout+jwt", "jwt"];
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How old a logout token may be. Longer than a provider retries, and short enough to remember the used
/// ones.
const MAX_AGE: std::time::Duration = std::time::Duration::from_secs(300);
const MAX_ID_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    fn claims() -> Value {
        json!({"iss": "https://idp.example", "aud": "app", "iat": NOW.as_unix_seconds(),
               "exp": NOW.as_unix_seconds() + 120, "jti": "j-1", "sub": "u-1", "sid": "s-1",
               "events": {EVENT: {}}})
    }

    fn outcome(claims: &Value) -> Result<LogoutNotice, LogoutTokenError> {
        let claims = ClaimSet::read(claims.to_string().as_bytes()).unwrap();
        read(&claims, "https://idp.example", "app", NOW)
    }

    #[test]
    fn a_logout_token_names_a_user_or_a_session() {
        let notice = outcome(&claims()).unwrap();
        assert_eq!(notice.subject.as_deref(), Some("u-1"));
        assert_eq!(notice.session.as_deref(), Some("s-1"));
        assert_eq!((&*notice.id, notice.expires_at), ("j-1", NOW.plus(MAX_AGE).plus(LEEWAY)));
        for name in ["sub", "sid", "exp"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(outcome(&claims).is_ok(), "without {name}");
        }
    }

    #[test]
    fn what_is_no_logout_token_is_refused() {
        let now = NOW.as_unix_seconds();
        for (name, values) in [
            ("iss", vec![json!("https://other.example"), json!(null)]),
            ("aud", vec![json!("other"), json!(["app", "other"]), json!(null)]),
            ("iat", vec![json!(now + 61), json!(now - 360), json!("1"), json!(null)]),
            ("exp", vec![json!(now - 60), json!("x"), json!(null)]),
            ("jti", vec![json!(""), json!(7), json!(null), json!("j".repeat(257))]),
            ("sub", vec![json!(""), json!(7), json!(null), json!("u".repeat(256))]),
            ("sid", vec![json!(""), json!(7), json!(null)]),
            ("nonce", vec![json!("n"), json!(null)]),
            (
                "events",
                vec![json!({}), json!([EVENT]), json!(EVENT), json!({EVENT: null}), json!(null)],
            ),
        ] {
            for value in values {
                let mut claims = claims();
                claims[name] = value.clone();
                assert!(outcome(&claims).is_err(), "{name}: {value}");
            }
        }
        for name in ["iss", "aud", "iat", "jti", "events"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(name);
            assert!(outcome(&claims).is_err(), "without {name}");
        }
        let mut nobody = claims();
        nobody.as_object_mut().unwrap().retain(|name, _| name != "sub" && name != "sid");
        assert_eq!(outcome(&nobody).unwrap_err(), LogoutTokenError::Subject);
    }
}
