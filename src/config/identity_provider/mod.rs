//! `access.identity_providers`: the providers by which users log in.
//!
//! The entries are Cloudflare's identity-provider objects. One table has the keys of all types, and
//! another one says which of them a type has.

mod build;
mod document;
mod exported;
mod kind;
mod settings;

use std::sync::Arc;

pub(super) use self::build::{Providers, build};
pub(super) use self::document::{Provider, ProviderConfig};
pub(crate) use self::exported::ProviderKeyUse;
pub(super) use self::kind::ProviderKind;

/// An entry of `identity_providers`, other than the one-time PIN.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdentityProviderConfig {
    /// `id`: the id that rules and applications name. The type by default.
    pub id: String,
    /// `name`: what users see.
    pub name: String,
    kind: ProviderKind,
    /// The key path of the entry, for errors of files that are read later.
    path: String,
    keys: Arc<ProviderConfig>,
}

impl IdentityProviderConfig {
    /// Returns the files that it names.
    #[cfg(feature = "proxy")]
    pub(crate) fn files(&self) -> impl Iterator<Item = &std::path::Path> {
        let ProviderConfig {
            client_secret_file,
            ca_file,
            request_key_file,
            request_certificate_file,
            ..
        } = &*self.keys;
        let files = [client_secret_file, ca_file, request_key_file, request_certificate_file];
        files.into_iter().filter_map(|file| file.get().map(std::path::PathBuf::as_path))
    }

    /// Returns the `type`: `oidc`, `github`, `saml`, …
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Returns whose word counts for users, apart from the id and the type.
    pub(crate) fn trusted(&self) -> impl PartialEq {
        let keys = &self.keys;
        let texts = [
            keys.client_id.get().map(|it| format!("{it:?}")),
            keys.issuer_url.get().map(|it| format!("{it:?}")),
            keys.certs_url.get().map(|it| format!("{it:?}")),
            keys.token_url.get().map(|it| format!("{it:?}")),
            keys.userinfo_url.get().map(|it| format!("{it:?}")),
            keys.email_claim_name.get().map(|it| format!("{it:?}")),
            keys.apps_domain.get().map(|it| format!("{it:?}")),
            keys.okta_account.get().map(|it| format!("{it:?}")),
            keys.authorization_server_id.get().map(|it| format!("{it:?}")),
            keys.directory_id.get().map(|it| format!("{it:?}")),
            keys.onelogin_account.get().map(|it| format!("{it:?}")),
            keys.ping_env_id.get().map(|it| format!("{it:?}")),
            keys.base_url.get().map(|it| format!("{it:?}")),
            keys.idp_public_certs.get().map(|it| format!("{it:?}")),
            keys.email_attribute_name.get().map(|it| format!("{it:?}")),
        ];
        let weakened = [
            keys.dangerous_trust_unverified_email.get() == Some(&true),
            keys.accept_signed_response.get() == Some(&true),
            keys.support_groups.get() == Some(&false),
        ];
        (texts, weakened)
    }

    /// Returns whether anybody on the Internet can have an account at the provider.
    pub(in crate::config) fn is_public(&self) -> bool {
        match self.kind {
            ProviderKind::OneTimePin | ProviderKind::Google => true,
            ProviderKind::GitHub => !self.keys.base_url.is_written(),
            ProviderKind::GitLab => !self.keys.issuer_url.is_written(),
            ProviderKind::Oidc
            | ProviderKind::AzureAd
            | ProviderKind::GoogleApps
            | ProviderKind::Okta
            | ProviderKind::OneLogin
            | ProviderKind::PingOne
            | ProviderKind::Keycloak
            | ProviderKind::Auth0
            | ProviderKind::Saml => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, NoteKind, Role};

    /// Reads a file with these entries, and more keys of `access`.
    fn parse(entries: &str, more: &str) -> Result<Config, String> {
        let text = format!(
            "access:\n  identity_providers: [ {entries} ]\n  applications: [ {{ domain: a.example, policies: \
             [ {{ name: p, decision: allow, include: [ {{ everyone: {{}} }} ] }} ] }} ]\n{more}"
        );
        Config::parse(&text, "f").map_err(|errors| errors.to_string())
    }

    fn ids(config: &Config) -> Vec<String> {
        let methods = config.access.role.login_methods().unwrap();
        methods.iter().map(|method| format!("{} {}", method.id, method.kind)).collect()
    }

    const CORP: &str = "{ id: corp, name: Corp, type: oidc, config: { issuer_url: 'https://id.example', client_id: a, client_secret_file: /s } }";

    #[test]
    fn the_one_time_pin_is_offered_if_the_file_names_it_or_no_provider() {
        let pin = "{ name: PIN, type: onetimepin }";
        let mail = "  mail: console\n";
        assert_eq!(ids(&parse(CORP, "").unwrap()), ["corp oidc"]);
        let both = format!("{CORP}, {pin}");
        assert_eq!(ids(&parse(&both, mail).unwrap()), ["onetimepin onetimepin", "corp oidc"]);
        let error = parse(&both, "").unwrap_err();
        assert!(error.contains("codes have to reach people"), "{error}");
        let written = format!("{mail}  one_time_pin: {{ id: code }}\n");
        assert_eq!(ids(&parse(CORP, &written).unwrap()), ["code onetimepin", "corp oidc"]);
        let named = format!("{CORP}, {{ id: code, name: PIN, type: onetimepin, config: {{}} }}");
        assert_eq!(ids(&parse(&named, mail).unwrap()), ["code onetimepin", "corp oidc"]);
        let twice = parse(&both, &written).unwrap_err();
        assert!(
            twice.contains("has the id `code` in `one_time_pin` and `onetimepin` here"),
            "{twice}"
        );
        let taken = format!("{mail}  one_time_pin: {{ id: corp }}\n");
        let error = parse(CORP, &taken).unwrap_err();
        assert!(
            error.contains("an identity provider has the id of the one-time PIN, `corp`"),
            "{error}"
        );
        let error = parse("", "").unwrap_err();
        assert!(error.contains("`identity_providers` is empty"), "{error}");
    }

    #[test]
    fn each_type_has_its_keys_and_needs_some_of_them() {
        for kind in ProviderKind::ALL {
            let required = kind.required();
            assert!(required.iter().all(|key| kind.has(key)), "{kind:?}");
            let entry = |config: &str| {
                let kind = kind.as_str();
                format!("{{ name: x, type: {kind}, config: {{ {config} }} }}")
            };
            let error = parse(&entry(""), "  mail: console\n");
            match required.first() {
                None => assert!(error.is_ok()),
                Some(first) => {
                    let error = error.unwrap_err();
                    let missing = format!("`{first}`");
                    assert!(error.contains(&missing) && error.contains("needs it"), "{error}");
                }
            }
            for key in ProviderConfig::LEVEL.keys.iter().filter(|key| !kind.has(key.name)) {
                let value = match key.example {
                    "false" => "true",
                    example => example,
                };
                let error = parse(&entry(&format!("{}: {value}", key.name)), "").unwrap_err();
                let message = format!("`{}` has no `{}`; remove it", kind.as_str(), key.name);
                assert!(
                    error.contains(&message) || error.contains("ID_SECRET"),
                    "{key:?}: {error}"
                );
            }
        }
    }

    #[test]
    fn cfg_04_what_is_wrong_with_an_entry_is_said_at_its_place() {
        let with = |more: &str| CORP.replace("client_id: a", &format!("client_id: a, {more}"));
        for (entries, message) in [
            (format!("{CORP}, {CORP}"), "there is another identity provider `corp`"),
            (CORP.replace("oidc", "linkedin"), "linkedin"),
            (CORP.replace("https://id", "http://id"), "issuer_url: invalid issuer"),
            (with("auth_url: 'https://id.example/a'"), "belong together; write all three"),
            (with("auth_url: 'ftp://x'"), "auth_url: invalid URL"),
            (with("client_secret: hush"), "does not belong in this file"),
            (CORP.replace(", client_secret_file: /s", ""), "`client_secret` is missing"),
            (with("header_attributes: [ x ]"), "header_attributes: not supported"),
            (with("refresh_interval: 10s"), "out of range; write 1m to 24h"),
            (with("clientid: b"), "clientid"),
            (
                "{ name: x, type: onetimepin }, { id: y, name: y, type: onetimepin }".to_owned(),
                "there is one login by one-time PIN",
            ),
        ] {
            let error = parse(&entries, "  mail: console\n").unwrap_err();
            assert!(error.starts_with("f:2:") && error.contains(message), "{message}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
        let weak = parse(&with("dangerous_trust_unverified_email: true"), "").unwrap();
        let weakens = weak.notes().iter().filter(|note| note.kind() == NoteKind::Weakens);
        assert_eq!(weakens.count(), 1);
        let exported =
            with("pkce_enabled: false, redirect_url: 'https://x', header_attributes: []");
        assert!(parse(&exported, "").is_ok());
    }

    #[cfg(all(feature = "oidc", feature = "github", feature = "saml"))]
    #[test]
    fn each_type_builds_the_login_method_that_it_names() {
        let folder = std::env::temp_dir().join(format!("tower-access-idp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let secret = folder.join("secret");
        std::fs::write(&secret, "hush\n").unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
        let pem = certificate.pem().replace('\n', "\\n");
        let issuer = "issuer_url: 'https://id.example/realms/x'";
        for (kind, config, of_method) in [
            ("oidc", issuer, "oidc"),
            ("keycloak", issuer, "oidc"),
            ("auth0", issuer, "oidc"),
            ("gitlab", "", "oidc"),
            ("azureAD", "directory_id: 7d3c1e0a-0000-4000-8000-0123456789ab", "azureAD"),
            ("google", "", "google"),
            ("google-apps", "apps_domain: example.com", "google-apps"),
            ("okta", "okta_account: 'https://x.okta.com', authorization_server_id: a", "okta"),
            ("onelogin", "onelogin_account: 'https://x.onelogin.com'", "onelogin"),
            ("pingone", "ping_env_id: e-1", "pingone"),
            ("github", "base_url: 'https://github.example'", "github"),
            (
                "saml",
                &format!(
                    "{issuer}, sso_target_url: 'https://id.example', idp_public_certs: [ \"{pem}\" ]"
                ),
                "saml",
            ),
        ] {
            let comma = if config.is_empty() { "" } else { ", " };
            let client = if kind == "saml" {
                String::new()
            } else {
                format!("{comma}client_id: a, client_secret_file: '{}'", secret.display())
            };
            let entry =
                format!("{{ id: x, name: X, type: {kind}, config: {{ {config}{client} }} }}");
            let config = parse(&entry, "").unwrap_or_else(|error| panic!("{kind}: {error}"));
            let Role::Issuing { identity_providers, .. } = &config.access.role else { panic!() };
            let provider = identity_providers[0].provider().unwrap();
            let info = identity_providers[0].info();
            assert_eq!((provider.id(), provider.name(), provider.kind()), ("x", "X", of_method));
            assert_eq!((info.id, info.name, info.kind), ("x", "X", of_method));
            assert!(!format!("{provider:?}").contains("hush"), "{kind}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let error = parse(CORP, "").unwrap().access().unwrap_err().to_string();
        assert!(
            error.contains("access.identity_providers[0].config.client_secret_file: /s: "),
            "{error}"
        );
    }

    #[test]
    fn cfg_04_an_issuer_has_its_own_identity_providers() {
        let issuer = "  issuer: { team_domain: acme.example.com }\n";
        let error = parse(CORP, issuer).unwrap_err();
        assert!(error.contains("`identity_providers` and `issuer` exclude each other"), "{error}");
        let Role::Issuing { identity_providers, one_time_pin, .. } =
            parse(CORP, "").unwrap().access.role
        else {
            panic!("it issues");
        };
        assert!(one_time_pin.is_none());
        assert_eq!((&*identity_providers[0].name, identity_providers[0].kind()), ("Corp", "oidc"));
    }
}
