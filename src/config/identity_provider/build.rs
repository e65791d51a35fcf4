//! Checks the entries against their types.

use std::sync::Arc;

use super::IdentityProviderConfig;
use super::document::{HEADER_ATTRIBUTES, Provider, ProviderConfig, ServerUrl};
use super::kind::ProviderKind;
use crate::config::error::NoteKind;
use crate::config::reader::{NodeRef, Reader};

/// The entries, read.
#[derive(Debug, Default)]
pub(in crate::config) struct Providers<'t> {
    /// Whether the file has `identity_providers`.
    pub(in crate::config) is_written: bool,
    /// The entry of the one-time PIN, and its id.
    pub(in crate::config) one_time_pin: Option<(NodeRef<'t>, String)>,
    pub(in crate::config) others: Vec<IdentityProviderConfig>,
}

/// Reads `identity_providers`.
pub(in crate::config) fn build<'t>(reader: &mut Reader, access: &NodeRef<'t>) -> Providers<'t> {
    let mut providers = Providers { is_written: access.get(KEY).is_some(), ..Providers::default() };
    let mut ids: Vec<String> = Vec::new();
    for (place, entry) in reader.entries::<Provider>(access, KEY) {
        let Some(Provider { id, name, kind, config }) = entry else { continue };
        let (Some(name), Some(kind)) = (name.value(), kind.value()) else { continue };
        let id = id.value().unwrap_or_else(|| kind.as_str().to_owned());
        if ids.contains(&id) {
            reader.error(
                &place,
                format_args!(
                    "there is another identity provider `{id}`; give each an `id` of its own"
                ),
            );
            continue;
        }
        ids.push(id.clone());
        if kind == ProviderKind::OneTimePin {
            check_keys(reader, &place, kind);
            if providers.one_time_pin.is_some() {
                reader.error(&place, "there is one login by one-time PIN; remove the second entry");
            }
            providers.one_time_pin = Some((place, id));
            continue;
        }
        check_keys(reader, &place, kind);
        let keys = config.value().unwrap_or_default();
        check_values(reader, &place, kind, &keys);
        let path = place.path.clone();
        providers.others.push(IdentityProviderConfig {
            id,
            name,
            kind,
            path,
            keys: Arc::new(keys),
        });
    }
    providers
}

/// Reports keys that a type lacks, and keys that are missing.
fn check_keys(reader: &mut Reader, place: &NodeRef<'_>, kind: ProviderKind) {
    let config = place.get("config");
    for name in ProviderConfig::LEVEL.names {
        if let Some(value) = config.as_ref().and_then(|config| config.get(name))
            && !kind.has(name)
        {
            let kind = kind.as_str();
            reader.error(&value, format_args!("`{kind}` has no `{name}`; remove it"));
        }
    }
    for name in NOT_SUPPORTED {
        if let Some(value) = config.as_ref().and_then(|config| config.get(name))
            && !value.node.is_switched_off()
        {
            reader.fixed_error(&value, "not supported; remove it, or switch it off");
        }
    }
    let hint = format!(": `{}` needs it", kind.as_str());
    match &config {
        Some(config) => reader.required(config, kind.required(), &hint),
        None => reader.required(place, kind.required(), &format!(", under `config`{hint}")),
    }
}

fn check_values(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    kind: ProviderKind,
    keys: &ProviderConfig,
) {
    if let Some(written) =
        keys.client_secret.written().filter(|_| keys.client_secret_file.is_written())
    {
        reader.fixed_error(
            written,
            "`client_secret` and `client_secret_file` exclude each other; leave one out",
        );
    }
    let has_secret = keys.client_secret.is_written() || keys.client_secret_file.is_written();
    let config = place.get("config").unwrap_or_else(|| place.clone());
    if kind.has("client_secret") && !has_secret {
        reader.error(
            &config,
            "`client_secret` is missing; write `client_secret_file: /path/to/it`, or `client_secret: \
             '${NAME}'` for one in the environment",
        );
    }
    let signs = [keys.request_key_file.is_written(), keys.request_certificate_file.is_written()];
    if signs.contains(&true) != keys.sign_request.is_on()
        || signs.contains(&true) && signs.contains(&false)
    {
        reader.error(
            &config,
            "`sign_request`, `request_key_file` and `request_certificate_file` belong together",
        );
    }
    let is_saml = kind == ProviderKind::Saml;
    if let (Some(written), Some(url)) = (keys.issuer_url.written(), keys.issuer_url.get())
        && !is_saml
        && !ServerUrl::is_one(url)
    {
        reader.error(
            written,
            "invalid issuer; write the `https://` URL at which the provider is found",
        );
    }
    for field in [&keys.okta_account, &keys.onelogin_account] {
        if let (Some(written), Some(url)) = (field.written(), field.get())
            && !ServerUrl::is_origin(url)
        {
            reader.error(
                written,
                "invalid account; write its URL, such as `https://example.okta.com`",
            );
        }
    }
    if let Some(written) = keys.pkce_enabled.written().filter(|_| !keys.pkce_enabled.is_on()) {
        reader.note(NoteKind::HasNoEffect, written, "each login has a PKCE challenge");
    }
    if let Some(written) =
        keys.dangerous_trust_unverified_email.written().filter(|it| it.value == Some(true))
    {
        reader.note(
            NoteKind::Weakens,
            written,
            "addresses count that the provider does not call verified: whoever can choose an address \
             there can log in with it",
        );
    }
    if let Some(written) = keys.accept_signed_response.written().filter(|it| it.value == Some(true))
    {
        reader.note(
            NoteKind::Weakens,
            written,
            "assertions count that are not signed themselves, if the response around them is",
        );
    }
    let (auth, token, certs) = (&keys.auth_url, &keys.token_url, &keys.certs_url);
    let written = [auth.is_written(), token.is_written(), certs.is_written()];
    if written.contains(&true) && written.contains(&false) {
        reader.error(
            &config,
            "`auth_url`, `token_url` and `certs_url` belong together; write all three, or none and let \
             the discovery find them",
        );
    }
}

const KEY: &str = "identity_providers";
const NOT_SUPPORTED: &[&str] = &[HEADER_ATTRIBUTES, "enable_encryption"];
