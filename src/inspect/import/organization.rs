//! Carries over what the organization says for all applications (section 13.5 of the contract).

use serde_json::Value;

use crate::application::TeamDomain;

use super::inventory::Inventory;
use super::note::{ImportNote, ImportNoteKind};
use super::refusals::Refusals;
use super::value::is_off;

/// Settings for all applications, as they are written.
#[derive(Debug, Default)]
pub(super) struct WrittenOrganization {
    pub(super) team_domain: Option<String>,
    /// Where the login was, if it cannot be there any more.
    pub(super) former_team_domain: Option<String>,
    pub(super) session_duration: Option<String>,
    pub(super) one_time_pin: Option<String>,
    /// Whether service tokens were said not to be judged alone.
    pub(super) lax_service_tokens: bool,
}

pub(super) fn carry(
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
                    "the login cannot be there: each application's own host is used; write a host of \
                     yours as `team_domain` to log in at one place for all",
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
                    format_args!("{reason}; a login lasts as long as by default"),
                )),
            }
        }
        let strict = entry.fields.get("strict_service_token_auth");
        written.lax_service_tokens |= strict == Some(&Value::Bool(false));
        for (key, value) in &entry.fields {
            if KNOWN.contains(&key.as_str()) || is_off(value) {
                continue;
            }
            let known = WITHOUT_COUNTERPART.iter().find(|(name, _)| name == key);
            let message = known.map_or("not known, and left out", |(_, message)| message);
            notes.push(entry.note(ImportNoteKind::NotCarriedOver, key, message));
        }
        if entry.fields.get("deny_unmatched_requests").is_none_or(|on| *on != Value::Bool(true)) {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "deny_unmatched_requests",
                "hosts without an application are closed here, always",
            ));
        }
    }
    for entry in inventory.providers.iter() {
        if entry.text("type") == Some("onetimepin") {
            match refusals.organization.get("one_time_pin") {
                None if written.one_time_pin.is_none() => {
                    written.one_time_pin = Some(entry.key.clone());
                }
                None => notes.push(entry.note(
                    ImportNoteKind::NotCarriedOver,
                    "id",
                    "there is another one-time PIN already; rules that name this one are not met",
                )),
                Some(reason) => {
                    notes.push(entry.note(ImportNoteKind::NotCarriedOver, "id", reason));
                }
            }
        } else {
            notes.push(entry.note(
                ImportNoteKind::NotCarriedOver,
                "type",
                "this login method is not here: people prove their address by one-time PIN instead, and \
                 rules that name it, or ask for what it says about people, are not met",
            ));
        }
    }
    written
}

/// Keys that are read above, or say nothing about who gets in.
const KNOWN: &[&str] = &[
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

const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("allow_authenticate_via_warp", "sessions of the device client do not count; people log in"),
    ("warp_auth_session_duration", "sessions of the device client do not count; people log in"),
    ("warp_auth_non_browser_401", "the device client has no part here"),
    ("custom_pages", "people see the usual pages"),
    ("login_design", "the login looks as it always does"),
    ("deny_unmatched_requests_exempted_zone_names", "hosts without an application are closed"),
    ("service_token_inactivity", "service tokens that are not used are not switched off"),
];
