//! Converts identity providers.
//!
//! A provider is carried over whole or not at all: a setting that is left out could change whose address
//! counts. Without it nobody logs in by it, and rules that name it never match.

use serde_json::Value;

use crate::config::{IdentityProviderConfig, ProviderKeyUse};

use super::inventory::{Entry, Inventory};
use super::note::{ImportNote, ImportNoteKind};
use super::refusals::Refusals;
use super::value::is_off;

/// An identity provider to write.
#[derive(Debug)]
pub(super) struct WrittenProvider {
    pub(super) key: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) config: Vec<(String, Value)>,
    /// The file into which the client secret has to be written.
    pub(super) secret_file: Option<String>,
}

/// Converts all providers other than the one-time PIN.
pub(super) fn convert_all(
    inventory: &Inventory,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> Vec<WrittenProvider> {
    let others = inventory.providers.iter().filter(|entry| !is_one_time_pin(entry));
    let mut written = Vec::new();
    for entry in others {
        let converted = match refusals.providers.get(&entry.key) {
            Some(reason) => Err(("config".to_owned(), reason.clone())),
            None => convert(entry, notes),
        };
        match converted {
            Ok(provider) => {
                if provider.secret_file.is_some() {
                    notes.push(entry.note(
                        ImportNoteKind::ToBeAdded,
                        "config.client_secret",
                        "exports do not contain it; write it into the `client_secret_file`",
                    ));
                }
                written.push(provider);
            }
            Err((key, reason)) => notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                &key,
                format_args!(
                    "{reason}; it was left out: nobody logs in by it, and rules that name it, or ask for \
                     attributes it provides, never match"
                ),
            )),
        }
    }
    written
}

pub(super) fn is_one_time_pin(entry: &Entry) -> bool {
    entry.text("type") == Some("onetimepin")
}

fn convert(
    entry: &Entry,
    notes: &mut Vec<ImportNote>,
) -> Result<WrittenProvider, (String, String)> {
    let kind = entry.text("type").and_then(IdentityProviderConfig::known_kind);
    let Some(kind) = kind else {
        return Err(("type".to_owned(), "this type does not exist here".to_owned()));
    };
    let mut config = Vec::new();
    let given = entry.fields.get("config").and_then(Value::as_object);
    for (key, value) in given.into_iter().flatten() {
        if is_off(value) {
            continue;
        }
        match IdentityProviderConfig::key_use(kind, key) {
            ProviderKeyUse::Read => config.push((key.clone(), value.clone())),
            ProviderKeyUse::Ignored => {}
            ProviderKeyUse::HeadersOnly => notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                &format!("config.{key}"),
                "not supported; it was left out: origins read the signed assertion",
            )),
            ProviderKeyUse::Unknown => {
                return Err((format!("config.{key}"), "not supported".to_owned()));
            }
        }
    }
    // Without the switch Cloudflare reads no groups, and rules about them are met by nobody.
    if kind == "azureAD"
        && given.and_then(|it| it.get("support_groups")) != Some(&Value::Bool(true))
    {
        config.push(("support_groups".to_owned(), Value::Bool(false)));
    }
    let secret_file = IdentityProviderConfig::has_client(kind)
        .then(|| format!("/etc/access/{}-secret", plain(&entry.key)));
    let (key, name) = (entry.key.clone(), entry.name().to_owned());
    Ok(WrittenProvider { key, name, kind, config, secret_file })
}

/// Returns the characters of an id that are safe in a file name.
fn plain(id: &str) -> String {
    let is_safe = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let safe: String = id.chars().filter(is_safe).take(64).collect();
    if safe.is_empty() { "provider".to_owned() } else { safe }
}
