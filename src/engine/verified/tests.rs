use std::time::Duration;

use super::*;
use crate::application::Application;
use crate::policy::{Definitions, Policy, Rule};
use crate::token::Packed;

const ISSUER: &str = "https://acme.cloudflareaccess.com";
const AUDIENCE: &str = "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc";

fn application() -> CompiledApplication {
    let application = Application::new("Wiki", "wiki.example.com").unwrap();
    let policy = Policy::allow("staff").include(Rule::email_domain("example.com").unwrap());
    let application = application.audience(AUDIENCE.parse().unwrap()).policy(policy);
    CompiledApplication::new(application, &Definitions::default()).unwrap()
}

fn claims(audiences: Audiences) -> Claims {
    let now = Timestamp::from_unix_seconds(1_790_000_000);
    let end = now.plus(Duration::from_secs(3600));
    let mut claims = Claims::new(TokenKind::Application, ISSUER, audiences, now, end);
    claims.email = Some("ada.lovelace@example.com".to_owned());
    claims.sub = Some("4f0a7d0e-2c11-5b7f-9d0f-0c8f6a5d1b22".to_owned());
    claims.identity_nonce = Some("q2ZkWf0yTn9sVb3L".to_owned());
    claims.country = Some("FR".to_owned());
    claims
}

fn verified(token: &str, claims: Claims) -> Verified {
    verified_at(token, claims, &Arc::from(ISSUER), &application())
}

fn verified_at(
    token: &str,
    claims: Claims,
    issuer: &Arc<str>,
    application: &CompiledApplication,
) -> Verified {
    let mut unusable = UnusableClaims::default();
    let kind = claims.kind;
    let issuer = IssuerName::Fixed(issuer);
    Verified::new(token, (claims, &mut unusable), kind, issuer, application).unwrap()
}

#[test]
fn a_token_from_the_cache_is_what_it_was() {
    let two: Audiences = serde_json::from_str(&format!(r#"["{AUDIENCE}","other"]"#)).unwrap();
    let mut service = claims(Audiences::single(AUDIENCE));
    (service.email, service.sub) = (None, None);
    service.common_name = Some("ci.access".to_owned());
    let mut unnamed = claims(Audiences::single(AUDIENCE));
    (unnamed.email, unnamed.country) = (None, Some("?".to_owned()));
    let all = [claims(Audiences::single(AUDIENCE)), claims(two), service, unnamed];
    for claims in all {
        let fresh = verified("a.b.c", claims);
        let again = Verified::unpack(&fresh.pack().unwrap(), b"a.b.c").unwrap();
        assert_eq!(again.identity, fresh.identity);
        assert_eq!(again.email, fresh.email);
        assert_eq!(
            again.email.as_ref().map(HeaderValue::as_bytes),
            fresh.identity.email().map(str::as_bytes)
        );
        assert_eq!(again.assertion(), fresh.assertion());
        assert!(again.assertion().unwrap().is_sensitive());
        assert_eq!(again.token(), b"a.b.c");
        assert_eq!(format!("{again:?}"), format!("{fresh:?}"), "every field");
        assert!(!format!("{again:?}").contains("a.b.c"), "the token is not printed");
    }
}

#[test]
fn attributes_are_parsed_again_from_the_token() {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    let custom = serde_json::json!({ "custom": { "groups": ["ops"], "department": "r-and-d" } });
    let token = format!("e30.{}.AAAA", URL_SAFE_NO_PAD.encode(custom.to_string()));
    let mut fresh = verified(&token, claims(Audiences::single(AUDIENCE)));
    assert!(fresh.attributes().is_none());
    fresh.set_custom_claims(custom["custom"].as_object().unwrap());
    let again = Verified::unpack(&fresh.pack().unwrap(), token.as_bytes()).unwrap();
    assert!(again.attributes().is_some());
    assert_eq!(again.attributes(), fresh.attributes());
}

#[test]
fn jwt_27_a_packed_token_takes_what_it_is_accounted_with() {
    let several: Vec<_> = (0..20).map(|number| format!("{AUDIENCE}{number}")).collect();
    let several = serde_json::to_string(&[&several[..], &[AUDIENCE.to_owned()]].concat()).unwrap();
    let several: Audiences = serde_json::from_str(&several).unwrap();
    let (issuer, application) = (Arc::from(ISSUER), application());
    for (audiences, most) in [(Audiences::single(AUDIENCE), 112), (several, 3_000)] {
        let mut kept = Vec::with_capacity(100);
        let measured = allocation_counter::measure(|| {
            for _ in 0..100 {
                let claims = claims(audiences.clone());
                kept.push(verified_at("a.b.c", claims, &issuer, &application).pack().unwrap());
            }
        });
        let accounted: usize = kept.iter().map(Packed::heap_bytes).sum();
        let measured = usize::try_from(measured.bytes_current).unwrap();
        assert!(measured <= accounted, "{measured} of {accounted}");
        assert!(accounted <= 100 * most, "{accounted}");
    }
    // The name of the issuer counts if the engine does not share it.
    let own = verified("a.b.c", claims(Audiences::single(AUDIENCE))).pack().unwrap();
    assert!(own.heap_bytes() > 112);
}
