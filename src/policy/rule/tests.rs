//! Rules on the wire.

use super::*;

fn refusal(json: &str) -> String {
    serde_json::from_str::<Rule>(json).unwrap_err().to_string()
}

#[test]
fn rules_read_and_write_cloudflares_json() {
    for json in [
        r#"{"everyone":{}}"#,
        r#"{"email":{"email":"ada@example.com"}}"#,
        r#"{"email_domain":{"domain":"example.com"}}"#,
        r#"{"ip":{"ip":"203.0.113.0/24"}}"#,
        r#"{"group":{"id":"6f0e"}}"#,
        r#"{"service_token":{"token_id":"3c2b"}}"#,
        r#"{"any_valid_service_token":{}}"#,
        r#"{"email_list":{"id":"a5b2"}}"#,
        r#"{"ip_list":{"id":"b6c3"}}"#,
        r#"{"geo":{"country_code":"FR"}}"#,
        r#"{"certificate":{}}"#,
        r#"{"common_name":{"common_name":"laptop-7.example.com"}}"#,
        r#"{"linked_app_token":{"app_uid":"5e4d"}}"#,
        r#"{"login_method":{"id":"1f0e"}}"#,
        r#"{"auth_method":{"auth_method":"mfa"}}"#,
        r#"{"auth_context":{"id":"0e1f","ac_id":"c1","identity_provider_id":"1f0e"}}"#,
        r#"{"azureAD":{"id":"9a8b","identity_provider_id":"1f0e"}}"#,
        r#"{"github-organization":{"name":"acme","team":"ops","identity_provider_id":"1f0e"}}"#,
        r#"{"github-organization":{"name":"acme","identity_provider_id":"1f0e"}}"#,
        r#"{"gsuite":{"email":"ops@example.com","identity_provider_id":"1f0e"}}"#,
        r#"{"okta":{"name":"Ops","identity_provider_id":"1f0e"}}"#,
        r#"{"saml":{"attribute_name":"department","attribute_value":"ops"}}"#,
        r#"{"oidc":{"claim_name":"department","claim_value":"ops","identity_provider_id":"1f0e"}}"#,
        r#"{"device_posture":{"integration_uid":"7c6b"}}"#,
        r#"{"external_evaluation":{"evaluate_url":"https://evaluator.example.com/","keys_url":"https://evaluator.example.com/keys"}}"#,
        r#"{"user_risk_score":{"user_risk_score":["low","medium"]}}"#,
        r#"{"cloudflare_account_member":{"account_id":"0f1e"}}"#,
        r#"{"cloudflare_account_member":{}}"#,
    ] {
        let rule: Rule = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), json);
    }
}

#[test]
fn pol_09_what_is_not_a_rule_is_refused_by_name() {
    assert!(refusal(r#"{"emial":{"email":"a@b.example"}}"#).contains("`emial` is not a selector"));
    assert!(refusal(r#"{"email":{"address":"a@b.example"}}"#).contains("address"));
    assert!(refusal(r#"{"email":{"email":7}}"#).contains("integer"));
    assert!(refusal(r#"{"email":{"email":""}}"#).contains("invalid email"));
    assert!(refusal(r#"{"ip":{"ip":"300.1.2.3"}}"#).contains("invalid network"));
    assert!(refusal(r#"{"everyone":{},"email":{"email":"a@b.example"}}"#).contains("one selector"));
    assert!(refusal(r#"{"geo":{"country_code":"XX"}}"#).contains("country code"));
    assert!(refusal(r#"{"user_risk_score":{"user_risk_score":[]}}"#).contains("no risk level"));
    for url in ["ftp://e.example/", "http://e.example/", "https://a:b@e.example/", "e.example"] {
        let rule = format!(
            r#"{{"external_evaluation":{{"evaluate_url":"{url}","keys_url":"https://e.example/"}}}}"#
        );
        assert!(refusal(&rule).contains("invalid URL of an evaluator"), "{url}");
    }
}

#[test]
fn spellings_of_terraform_are_the_same_rules() {
    for (terraform, api) in [
        (r#"{"azure_ad":{"id":"9a8b","identity_provider_id":"1f0e"}}"#, "azureAD"),
        (r#"{"github_organization":{"name":"acme","team":null}}"#, "github-organization"),
    ] {
        let rule: Rule = serde_json::from_str(terraform).unwrap();
        assert!(serde_json::to_string(&rule).unwrap().starts_with(&format!("{{\"{api}\"")));
    }
}

#[test]
fn a_rule_is_small() {
    assert!(size_of::<Rule>() <= 24, "{}", size_of::<Rule>());
}

#[test]
fn pol_03_empty_rules_and_ids_are_refused() {
    assert!(refusal("{}").contains("empty rule"));
    assert!(refusal(r#"{"group":{"id":""}}"#).contains("empty text"));
    assert!(refusal(r#"{"service_token":{"token_id":""}}"#).contains("empty text"));
}

#[test]
fn ip_05_mapped_networks_are_their_ipv4_selves() {
    let rule = |text| Rule::ip(text).unwrap();
    assert_eq!(rule("::ffff:192.0.2.0/120"), rule("192.0.2.0/24"));
    assert_eq!(rule("::ffff:192.0.2.7"), rule("192.0.2.7/32"));
    assert_eq!(rule("192.0.2.7/24"), rule("192.0.2.0/24"));
}
