//! `access.applications`: Cloudflare's application objects (section 7.4 of the contract).

mod destinations;
mod settings;

use std::time::Duration;

use crate::application::{Application, Destination};
use crate::clock::GoDuration;
use crate::policy::{Decision, Policy, Rule};

use self::destinations::read_destinations;
use self::settings::Settings;
use super::de::key_path;
use super::error::NoteKind;
use super::location::Located;
use super::reader::{Place, Reader};
use super::reusable::{Reusable, is_link};
use super::unsupported;

/// An application with what later checks need to know about its place.
#[derive(Debug)]
pub(super) struct ReadApplication<'t> {
    pub(super) application: Application,
    pub(super) place: Place<'t>,
    /// Whether the file names the audience.
    pub(super) names_audience: bool,
    pub(super) destinations: Vec<Located<Destination>>,
    /// The policies that could be read.
    pub(super) policies: Vec<(Place<'t>, Policy)>,
}

pub(super) fn read<'t>(
    reader: &mut Reader,
    place: &Place<'t>,
    reusable: &Reusable<'_>,
) -> Option<ReadApplication<'t>> {
    if !reader.mapping(place, &[IMPLEMENTED, &unsupported::keys()]) {
        return None;
    }
    read_kind(reader, place);
    let policies = read_policies(reader, place, reusable);
    let destinations = read_destinations(reader, place);
    unsupported::check(reader, place, &destinations);
    let settings = Settings::read(reader, place);

    let (first, others) = destinations.split_first()?;
    let first = first.value.to_string();
    let name = settings.name.clone().unwrap_or_else(|| first.clone());
    let mut application = Application::new(name, &first).ok()?;
    for destination in others {
        application = application.also_at(&destination.value.to_string()).ok()?;
    }
    let names_audience = place.get("aud").is_some();
    application = settings.apply(application)?;
    if let Err(error) = application.check() {
        let key = error.key();
        reader.error_at(place.key_at(key), &key_path(&place.path, key), error);
    }
    for (_, policy) in &policies {
        application = application.policy(policy.clone());
    }
    Some(ReadApplication {
        application,
        place: place.clone(),
        names_audience,
        destinations,
        policies,
    })
}

fn read_kind(reader: &mut Reader, place: &Place<'_>) {
    let Some(kind) = reader.optional::<String>(place, "type") else { return };
    if kind.value != "self_hosted" {
        let shown: String = kind.value.chars().take(40).collect();
        reader.error_at(
            kind.at,
            &kind.key,
            format_args!("applications of type `{shown}` are not supported; write `self_hosted`"),
        );
    }
}

fn read_policies<'t>(
    reader: &mut Reader,
    place: &Place<'t>,
    reusable: &Reusable<'_>,
) -> Vec<(Place<'t>, Policy)> {
    let mut policies = Vec::new();
    for entry in reader.list(place, "policies") {
        if is_link(entry.node) {
            policies.extend(reusable.resolve(reader, &entry).map(|policy| (entry, policy)));
        } else if let Some(policy) = reader.read::<Policy>(&entry, &["name", "decision", "include"])
        {
            check_policy(reader, &entry, &policy);
            policies.push((entry, policy));
        }
    }
    policies
}

pub(super) fn check_policy(reader: &mut Reader, place: &Place<'_>, policy: &Policy) {
    session_duration(reader, place);
    let include = place.get("include");
    if let Some(include) = &include
        && policy.conditions.include.is_empty()
    {
        reader.error(
            include,
            "the policy applies to nobody; write at least one rule (`everyone: {}` is everybody)",
        );
    }
    if policy.precedence == Some(0)
        && let Some(precedence) = place.get("precedence")
    {
        reader.error(&precedence, "a precedence begins at 1");
    }
    if policy.decision == Decision::Allow
        && policy.conditions.require.is_empty()
        && policy.conditions.include.contains(&Rule::Everyone)
        && let Some(include) = include
    {
        reader.note(
            NoteKind::Surprises,
            &include,
            "anybody who can receive mail may log in: `everyone` in an allow policy asks for no more",
        );
    }
}

/// An application's or a policy's `session_duration`: at most a month.
fn session_duration(reader: &mut Reader, place: &Place<'_>) -> Option<Duration> {
    let duration = reader.optional::<GoDuration>(place, "session_duration")?;
    check_duration(reader, &duration, Duration::ZERO, LONGEST_SESSION);
    Some(duration.value.get())
}

pub(super) fn check_duration(
    reader: &mut Reader,
    duration: &Located<GoDuration>,
    shortest: Duration,
    longest: Duration,
) {
    if !(shortest..=longest).contains(&duration.value.get()) {
        let (shortest, longest) = (GoDuration::from(shortest), GoDuration::from(longest));
        let value = duration.value;
        reader.error_at(
            duration.at,
            &duration.key,
            format_args!("{value} is out of range; write {shortest} to {longest}"),
        );
    }
}

/// Holds `allowed_idps` against the login methods there are.
pub(super) fn check_login_methods(
    reader: &mut Reader,
    applications: &[ReadApplication<'_>],
    known: &[&str],
) {
    let entries = applications.iter().filter_map(|read| read.place.get("allowed_idps"));
    for entry in entries.flat_map(|list| list.items().collect::<Vec<_>>()) {
        let Some(id) = entry.node.text().filter(|id| !known.contains(id)) else { continue };
        let shown: String = id.chars().take(80).collect();
        let known = known.join("`, `");
        reader.error(
            &entry,
            format_args!(
                "there is no login method `{shown}`, only `{known}`; write that, or leave the list out \
                 to accept all there are"
            ),
        );
    }
}

pub(super) const LONGEST_SESSION: Duration = Duration::from_secs(744 * 3600);

pub(super) const IMPLEMENTED: &[&str] = &[
    "id",
    "aud",
    "name",
    "domain",
    "destinations",
    "self_hosted_domains",
    "type",
    "session_duration",
    "policies",
    "http_only_cookie_attribute",
    "same_site_cookie_attribute",
    "custom_deny_message",
    "service_auth_401_redirect",
    "enable_binding_cookie",
    "insecure_allow_encoded_slashes",
    "insecure_allow_doubled_slashes",
    "insecure_allow_backslashes",
    "insecure_allow_path_parameters",
    "insecure_allow_control_characters",
    "insecure_allow_double_escapes",
    "insecure_allow_invalid_escapes",
    "insecure_allow_invalid_utf8",
    "insecure_allow_unescaped_characters",
    "insecure_case_sensitive_origin",
    "insecure_allow_shared_caching",
    "cors_headers",
    "options_preflight_bypass",
    "custom_deny_url",
    "custom_non_identity_deny_url",
    "path_cookie_attribute",
    "read_service_tokens_from_header",
    "allowed_idps",
    "skip_interstitial",
];
