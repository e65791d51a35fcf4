//! Providers as a file names them, under Cloudflare's names.

use serde_json::json;

use super::world::*;
use crate::server::Folder;
use crate::support::identity_providers::IdentityProvider;

/// All that a file says of providers leads to logins, and to policies that know them.
#[tokio::test]
async fn the_providers_of_a_file_log_people_in() {
    let front = Front::bind().await;
    let corp = IdentityProvider::openid(front.openid(json!({}))).await;
    let saml = json!({ "accounts": { "ada": saml_account("ada", &["teachers"]) } });
    let school = IdentityProvider::saml(saml).await;
    let certificate = school.said("certificate");
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let folder = Folder::new("identity-providers");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let access = format!(
        "
  team_domain: {TEAM_HOST}
  identity_providers:
    - id: corp
      name: Corp
      type: oidc
      config: {{ issuer_url: '{}', client_id: team, client_secret_file: '{}' }}
    - id: school
      name: School
      type: saml
      config:
        issuer_url: '{}'
        sso_target_url: '{}'
        idp_public_certs: [ '{certificate}' ]
        attributes: [ groups ]
  applications:
    - name: Wiki
      domain: {WIKI_HOST}
      policies:
        - name: Ops of the company, teachers of the school
          decision: allow
          include:
            - oidc: {{ claim_name: groups, claim_value: ops, identity_provider_id: corp }}
            - saml: {{ attribute_name: groups, attribute_value: teachers, identity_provider_id: school }}
    - name: Hall
      domain: hall.example.com
      allowed_idps: [ corp ]
      auto_redirect_to_identity: true
      policies:
        - name: Logged in by the company, with a second factor
          decision: allow
          include: [ {{ login_method: {{ id: corp }} }} ]
          require: [ {{ auth_method: {{ auth_method: mfa }} }} ]
",
        corp.said("issuer"),
        secret.display(),
        school.said("issuer"),
        school.said("sso"),
    );
    let world = front.serve_file(&access).await;
    for (provider, user, status) in
        [("Corp", "ada", 200), ("Corp", "bob", 403), ("School", "ada", 200)]
    {
        let mut agent = world.agent();
        let page = log_in_by(&mut agent, &format!("{WIKI}/"), provider, user).await;
        page.has_status(status);
    }
    // One way in: nothing to choose, and a session by the other one does not count.
    let mut ada = world.agent();
    log_in_by(&mut ada, &format!("{WIKI}/"), "School", "ada").await.has_status(200);
    let page = ada.open(&format!("{HALL}/x")).await;
    page.shows("Password");
    assert!(page.url.as_str().starts_with(&corp.origin), "{}", page.url);
    let page = sign_in(&mut ada, &page, "ada").await;
    page.has_status(200).shows("The origin shows /x to ada@example.com.");
    corp.control("account", json!({ "user": "bob", "amr": ["pwd"] })).await;
    let mut bob = world.agent();
    let page = bob.open(&format!("{HALL}/")).await;
    sign_in(&mut bob, &page, "bob").await.has_status(403).shows("No access to Hall");
}
