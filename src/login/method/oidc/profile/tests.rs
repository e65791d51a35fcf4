use serde_json::json;

use super::*;
use crate::identity::ClaimMatch;
use crate::secret::SecretText;

fn secret() -> SecretText {
    "s".to_owned().into()
}

fn generic() -> OpenIdProvider {
    OpenIdProvider::new("corp", "https://idp.example", "app", secret()).unwrap()
}

fn entra() -> OpenIdProvider {
    OpenIdProvider::entra("corp", "7d3c1e0a-0000-4000-8000-0123456789ab", "app", secret()).unwrap()
}

fn workspace() -> OpenIdProvider {
    OpenIdProvider::google_workspace("corp", "example.com", "app", secret()).unwrap()
}

fn claims(json: &Value) -> ClaimSet {
    ClaimSet::read(json.to_string().as_bytes()).unwrap()
}

fn email_of(settings: &OpenIdProvider, json: &Value) -> Result<String, UnfitUser> {
    read(settings, &claims(json), None).map(|profile| profile.email.as_str().to_owned())
}

fn ada() -> Result<String, UnfitUser> {
    Ok("ada@example.com".to_owned())
}

#[test]
fn an_address_counts_if_the_provider_says_so() {
    let unverified = || Err(UnfitUser::Unverified(EmailProof::EmailVerified));
    for (verified, expected) in [
        (json!(true), ada()),
        (json!("true"), ada()),
        (json!(false), unverified()),
        (json!("false"), unverified()),
        (json!("True"), unverified()),
        (json!("yes"), unverified()),
        (json!(0), unverified()),
        (json!([true]), unverified()),
        (json!({"true": true}), unverified()),
        (json!(null), unverified()),
    ] {
        let json = json!({"email": "Ada@Example.com", "email_verified": verified});
        assert_eq!(email_of(&generic(), &json), expected, "{json}");
    }
    assert_eq!(email_of(&generic(), &json!({"email": "ada@example.com"})), unverified());
    let nothing = Err(UnfitUser::NoEmail("email".into()));
    for email in [json!(null), json!(7), json!(["ada@example.com"]), json!(""), json!(" ")] {
        let json = json!({"email": email, "email_verified": true});
        assert_eq!(email_of(&generic(), &json), nothing, "{json}");
    }
    for email in ["ada", "ada@example.com,eve@evil.example", "ada@example.com\0", "a b@c.example"] {
        let json = json!({"email": email, "email_verified": true});
        assert_eq!(email_of(&generic(), &json), Err(UnfitUser::Malformed), "{email}");
    }
}

#[test]
fn the_word_and_the_address_come_from_one_source() {
    let both = |token: Value, userinfo: Value| {
        read(&generic(), &claims(&token), Some(&claims(&userinfo)))
            .map(|profile| profile.email.as_str().to_owned())
    };
    let verified = json!({"email": "ada@example.com", "email_verified": true});
    let unverified = || Err(UnfitUser::Unverified(EmailProof::EmailVerified));
    assert_eq!(both(json!({}), verified.clone()), ada());
    assert_eq!(both(json!({"email": "eve@example.com"}), verified.clone()), ada());
    // The ID token is signed: what it says counts first.
    assert_eq!(both(verified.clone(), json!({"email": "eve@example.com"})), ada());
    let denied = json!({"email": "ada@example.com", "email_verified": false});
    assert_eq!(both(denied, verified), unverified());
    // Nobody says that this address is verified.
    for (token, userinfo) in [
        (json!({"email": "ada@example.com"}), json!({"email_verified": true})),
        (json!({"email_verified": true}), json!({"email": "ada@example.com"})),
    ] {
        assert_eq!(both(token, userinfo), unverified());
    }
}

#[test]
fn an_address_elsewhere_or_unverified_counts_only_if_that_was_asked_for() {
    let upn = generic().email_claim_name("upn");
    let json = json!({"upn": "ada@example.com", "email": "eve@x.example", "email_verified": true});
    assert!(email_of(&upn, &json).is_err());
    assert_eq!(email_of(&upn.dangerous_trust_unverified_email(), &json), ada());
    let trusting = generic().dangerous_trust_unverified_email();
    for verified in [json!(null), json!(false)] {
        let json = json!({"email": "ada@example.com", "email_verified": verified});
        assert_eq!(email_of(&trusting, &json), ada());
    }
}

#[test]
fn the_email_of_entra_is_no_proof_without_its_claim() {
    let unverified = || Err(UnfitUser::Unverified(EmailProof::VerifiedDomain));
    let with = |more: Value| {
        let mut json = json!({"email": "ada@example.com", "preferred_username": "ada@example.com"});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        email_of(&entra(), &json)
    };
    assert_eq!(with(json!({})), unverified());
    assert_eq!(with(json!({"email_verified": true})), unverified(), "it is not Entra's claim");
    for (edov, expected) in [
        (json!(true), ada()),
        (json!(1), ada()),
        (json!("1"), ada()),
        (json!("true"), ada()),
        (json!(false), unverified()),
        (json!(0), unverified()),
        (json!("0"), unverified()),
        (json!(2), unverified()),
    ] {
        assert_eq!(with(json!({"xms_edov": edov})), expected, "{edov}");
    }
    assert_eq!(with(json!({"verified_primary_email": ["ADA@example.com"]})), ada());
    assert_eq!(
        with(json!({"verified_secondary_email": ["x@y.example", "ada@example.com"]})),
        ada()
    );
    assert_eq!(with(json!({"verified_primary_email": ["eve@example.com"]})), unverified());
    assert_eq!(with(json!({"verified_primary_email": []})), unverified());
}

#[test]
fn an_account_of_another_workspace_does_not_log_in() {
    let with = |hd: Value| {
        let json = json!({"email": "ada@example.com", "email_verified": true, "hd": hd});
        email_of(&workspace(), &json)
    };
    assert_eq!(with(json!("example.com")), ada());
    assert_eq!(with(json!("Example.com")), ada());
    let other =
        [json!("evil.example"), json!(null), json!(["example.com"]), json!("x.example.com")];
    for hd in other {
        assert_eq!(with(hd.clone()), Err(UnfitUser::HostedDomain), "{hd}");
    }
    // Neither does the userinfo endpoint say it.
    let token = claims(&json!({"email": "ada@example.com", "email_verified": true}));
    let userinfo = claims(&json!({"hd": "example.com"}));
    assert_eq!(read(&workspace(), &token, Some(&userinfo)).unwrap_err(), UnfitUser::HostedDomain);
}

#[test]
fn groups_are_texts_or_objects_or_unknown() {
    let groups = |settings: &OpenIdProvider, more: Value| {
        let mut json =
            json!({"email": "ada@example.com", "email_verified": true, "xms_edov": true});
        json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(settings, &claims(&json), None).unwrap().attributes.groups
    };
    let named = |name: &str| ProviderGroup { name: Some(name.into()), ..ProviderGroup::default() };
    let with_id = |id: &str| ProviderGroup { id: Some(id.into()), ..ProviderGroup::default() };
    assert_eq!(groups(&generic(), json!({})), None);
    assert_eq!(groups(&generic(), json!({"groups": []})), Some(vec![]));
    let two = json!({"groups": ["ops", "dev"]});
    assert_eq!(groups(&generic(), two.clone()), Some(vec![named("ops"), named("dev")]));
    assert_eq!(groups(&entra(), two), Some(vec![with_id("ops"), with_id("dev")]));
    assert_eq!(groups(&generic(), json!({"groups": "ops"})), Some(vec![named("ops")]));
    let object = json!({"groups": [{"id": "g-1", "name": "Ops", "email": "ops@example.com"}]});
    let whole = ProviderGroup {
        id: Some("g-1".into()),
        name: Some("Ops".into()),
        email: Some("ops@example.com".into()),
    };
    assert_eq!(groups(&generic(), object), Some(vec![whole]));
    for unknown in [
        json!({"groups": null}),
        json!({"groups": 7}),
        json!({"groups": ["ops", 7]}),
        json!({"groups": [{"title": "ops"}]}),
        json!({"groups": vec!["x"; MAX_GROUPS + 1]}),
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}),
        json!({"_claim_names": {"groups": "src1"}, "groups": []}),
        json!({"hasgroups": true, "groups": []}),
    ] {
        assert_eq!(groups(&entra(), unknown.clone()), None, "{unknown:.60}");
    }
    assert_eq!(groups(&workspace(), json!({"groups": ["ops"], "hd": "example.com"})), None);
}

#[test]
fn claims_methods_and_contexts_are_what_rules_compare() {
    // `groups` is one without being named.
    let settings = generic().claims(["department", "level", "absent"]);
    let token = claims(&json!({
        "email": "ada@example.com", "email_verified": true, "department": "r-and-d", "secret": "x",
        "amr": ["pwd", "mfa"], "acr": "urn:phishing-resistant", "acrs": ["c1", "c2"],
        "name": "Ada L", "groups": ["ops"],
    }));
    let userinfo = claims(&json!({"department": "other", "level": ["1", "2"]}));
    let profile = read(&settings, &token, Some(&userinfo)).unwrap();
    let attributes = profile.attributes;
    let methods = attributes.authentication_methods.unwrap();
    assert_eq!(methods.iter().map(|it| &**it).collect::<Vec<_>>(), ["pwd", "mfa"]);
    let contexts = attributes.authentication_contexts.unwrap();
    let contexts: Vec<&str> = contexts.iter().map(|it| &**it).collect();
    assert_eq!(contexts, ["c1", "c2", "urn:phishing-resistant"]);
    let kept = attributes.oidc_claims.unwrap();
    for (name, value, expected) in [
        ("department", "r-and-d", ClaimMatch::Yes),
        ("department", "other", ClaimMatch::No),
        ("level", "2", ClaimMatch::Yes),
        ("groups", "ops", ClaimMatch::Yes),
        ("absent", "x", ClaimMatch::Unknown),
        ("secret", "x", ClaimMatch::Unknown),
    ] {
        assert_eq!(kept.says(name, value), expected, "{name} {value}");
    }
    assert_eq!(profile.name.as_deref(), Some("Ada L"));
    let little = claims(&json!({"email": "ada@example.com", "email_verified": true, "amr": [1]}));
    let attributes = read(&settings, &little, None).unwrap().attributes;
    assert_eq!(attributes.authentication_methods, None);
    assert_eq!(attributes.authentication_contexts, None);
}

#[test]
fn the_userinfo_endpoint_is_asked_only_for_what_is_absent() {
    let whole = json!({"email": "a@b.example", "email_verified": true, "groups": [], "level": "1"});
    let without = |name: &str| {
        let mut json = whole.clone();
        json.as_object_mut().unwrap().remove(name);
        claims(&json)
    };
    let settings = generic().claims(["level"]);
    assert!(!wants_userinfo(&settings, &claims(&whole)));
    for name in ["email", "email_verified", "groups", "level"] {
        assert!(wants_userinfo(&settings, &without(name)), "{name}");
        assert!(!wants_userinfo(&entra(), &without(name)), "{name}");
    }
    assert!(!wants_userinfo(&workspace(), &without("groups")));
    let trusting = generic().dangerous_trust_unverified_email();
    assert!(!wants_userinfo(&trusting, &without("email_verified")));
}

#[test]
fn groups_are_unknown_if_they_are_not_to_be_read() {
    let json = json!({"email": "ada@example.com", "email_verified": true, "groups": ["staff"]});
    let groups =
        |settings: &OpenIdProvider| read(settings, &claims(&json), None).unwrap().attributes.groups;
    assert!(groups(&generic()).is_some());
    assert_eq!(groups(&generic().without_groups()), None);
}
