//! Converts the settings of the organization (section 13.5 of the contract).

use serde_json::Value;

use crate::application::TeamDomain;

use super::inventory::Inventory;
use super::note::{ImportNote, ImportNoteKind};
use super::provider::is_one_time_pin;
use super::refusals::Refusals;
use super::value::is_off;

/// The settings for all applications that are written.
#[derive(Debug, Default)]
pub(super) struct WrittenOrganization {
    pub(super) team_domain: Option<String>,
    /// The previous host of the login, if it cannot be used here.
    pub(super) former_team_domain: Option<String>,
    pub(super) session_duration: Option<String>,
    pub(super) one_time_pin: Option<String>,
    /// Whether `strict_service_token_auth` was switched off.
    pub(super) lax_service_tokens: bool,
}

pub(super) fn convert(
    inventory: &Inventory,
    refusals: &Refusals,
    notes: &mut Vec<ImportNote>,
) -> WrittenOrganization {
    let mut written = WrittenOrganization::default();
    for entry in inventory.organizations.iter() {
        if let Some(domain) = entry.text("auth_domain") {
            let is_theirs = domain.to_ascii_lowercase().ends_with(".cloudflareaccess.com");
            let refused = refusals.organization.contains_key("team_domain");
            if is_theirs
                || refused
                || !domain.parse().is_ok_and(|team: TeamDomain| team.is_host_alone())
            {
                written.former_team_domain = Some(domain.to_owned());
                notes.push(entry.note(
                    ImportNoteKind::ToBeAdded,
                    "auth_domain",
                    "this host cannot run the login, so each application's own host does; write your own host \
                     as `team_domain` to run the login on one host for all",
                ));
            } else {
                written.team_domain = Some(domain.to_owned());
                notes.push(entry.note(
                    ImportNoteKind::ToBeAdded,
                    "auth_domain",
                    format_args!("let `{domain}` point to this proxy"),
                ));
            }
        }
        if let Some(duration) = entry.text("session_duration") {
            match refusals.organization.get("session_duration") {
                None => written.session_duration = Some(duration.to_owned()),
                Some(reason) => notes.push(entry.note(
                    ImportNoteKind::NotCarriedOver,
                    "session_duration",
                    format_args!("{reason}; logins have the default duration"),
                )),
            }
        }
        let strict = entry.fields.get("strict_service_token_auth");
        written.lax_service_tokens |= strict == Some(&Value::Bool(false));
        for (key, value) in &entry.fields {
            if HANDLED_KEYS.contains(&key.as_str()) || is_off(value) {
                continue;
            }
            let known = UNSUPPORTED_KEYS.iter().find(|(name, _)| name == key);
            let message = known.map_or("unknown; it was left out", |(_, message)| message);
            notes.push(entry.note(ImportNoteKind::NotCarriedOver, key, message));
        }
        if entry.fields.get("deny_unmatched_requests").is_none_or(|on| *on != Value::Bool(true)) {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "deny_unmatched_requests",
                "hosts without an application are always closed here",
            ));
        }
    }
    for entry in inventory.providers.iter() {
        if is_one_time_pin(entry) {
            match refusals.organization.get("one_time_pin") {
                None if written.one_time_pin.is_none() => {
                    written.one_time_pin = Some(entry.key.clone());
                }
                None => notes.push(entry.note(
                    ImportNoteKind::NotCarriedOver,
                    "id",
                    "there is another one-time PIN already; rules that name this one never match",
                )),
                Some(reason) => {
                    notes.push(entry.note(ImportNoteKind::NotCarriedOver, "id", reason));
                }
            }
        }
    }
    written
}

/// Keys that are read above, or do not affect who is admitted.
const HANDLED_KEYS: &[&str] = &[
    "id",
    "name",
    "auth_domain",
    "session_duration",
    "created_at",
    "updated_at",
    "auto_redirect_to_identity",
    "deny_unmatched_requests",
    "is_ui_read_only",
    "ui_read_only_toggle_reason",
    "user_seat_expiration_inactive_time",
    "strict_service_token_auth",
    "mfa_config",
    "mfa_required_for_all_apps",
];

const UNSUPPORTED_KEYS: &[(&str, &str)] = &[
    ("allow_authenticate_via_warp", "sessions of the device client are not accepted; users log in"),
    ("warp_auth_session_duration", "sessions of the device client are not accepted; users log in"),
    ("warp_auth_non_browser_401", "the device client is not supported here"),
    ("custom_pages", "users see the default pages"),
    ("login_design", "the login has the default design"),
    ("deny_unmatched_requests_exempted_zone_names", "hosts without an application are closed"),
    ("service_token_inactivity", "unused service tokens are not switched off"),
];
