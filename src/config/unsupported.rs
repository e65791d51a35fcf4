//! Application settings of Cloudflare's that do nothing here, each with its reason.
//!
//! What only changes something that is not here, such as the launcher, is noted and left alone. What
//! would change who gets in, or what they meet, is refused unless it is switched off.

use crate::application::Destination;

use super::error::NoteKind;
use super::location::Located;
use super::reader::{Place, Reader};
use super::tree::{Node, Value};

/// Notes and refuses the settings of one application.
pub(super) fn check(reader: &mut Reader, place: &Place<'_>, destinations: &[Located<Destination>]) {
    for (key, reason) in WITHOUT_EFFECT {
        if place.get(key).is_some_and(|value| !is_off(key, value.node)) {
            reader.note_no_effect(place, key, reason);
        }
    }
    for (key, reason) in REFUSED {
        if let Some(value) = place.get(key)
            && !is_off(key, value.node)
        {
            reader.error(&value, reason);
        }
    }
    check_eager_cookies(reader, place, destinations);
}

/// The names of all of them.
pub(super) fn keys() -> Vec<&'static str> {
    let tables = WITHOUT_EFFECT.iter().chain(REFUSED).map(|(key, _)| *key);
    tables.chain([EAGER_COOKIES]).collect()
}

/// Whether a setting says that it is not wanted.
fn is_off(key: &str, node: &Node) -> bool {
    let says = |inner: &str, on: bool| {
        node.get(inner).is_some_and(|node| matches!(&node.value, Value::Boolean(is) if *is == on))
    };
    node.is_switched_off()
        || matches!(key, "oauth_configuration" | "scim_config") && says("enabled", false)
        || key == "mfa_config" && says("mfa_disabled", true)
}

/// With one host there is nothing to do; over several, each has its turn.
fn check_eager_cookies(
    reader: &mut Reader,
    place: &Place<'_>,
    destinations: &[Located<Destination>],
) {
    let Some(value) = place.get(EAGER_COOKIES).filter(|it| !it.node.is_switched_off()) else {
        return;
    };
    let mut hosts = destinations.iter().map(|destination| destination.value.exact_host());
    let first = hosts.next().flatten();
    if first.is_none() || hosts.any(|host| host != first) {
        reader.note(
            NoteKind::Surprises,
            &value,
            "a login sets the cookie of one host; the others set theirs when they are first visited, \
             without a question. A script that calls another host before that is asked to log in",
        );
    } else {
        reader.note_no_effect(place, EAGER_COOKIES, "the application has one host");
    }
}

const EAGER_COOKIES: &str = "eager_redirect_cookie_setting";

/// Ignoring these changes neither who gets in nor what they meet.
const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("app_launcher_visible", NO_LAUNCHER),
    ("logo_url", NO_LAUNCHER),
    ("tags", NO_LAUNCHER),
    ("use_clientless_isolation_app_launcher_url", NO_LAUNCHER),
    (
        "auto_redirect_to_identity",
        "the login begins at once: there are no login methods to choose among here",
    ),
    ("created_at", "a mark of the dashboard's"),
    ("updated_at", "a mark of the dashboard's"),
    ("uid", "an older name of `id`; write `id` if other settings refer to it"),
    (
        "scim_config",
        "accounts are not provisioned from here: let the identity provider do it, or those who leave \
         keep their account in the application",
    ),
];

const NO_LAUNCHER: &str = "there is no launcher";

/// Ignoring one of these would change who gets in, or what they meet.
const REFUSED: &[(&str, &str)] = &[
    (
        "allow_authenticate_via_warp",
        "sessions of the device client cannot be checked here; leave it out, and people log in",
    ),
    (
        "allow_iframe",
        "the login is never shown in a frame: the page around it could have people click on what they \
         do not see; leave it out, and let a framed page open the login in a window of its own",
    ),
    (
        "custom_pages",
        "pages that are kept elsewhere under an id cannot be shown; write `custom_deny_message`, or \
         the address of a page of yours as `custom_deny_url` and `custom_non_identity_deny_url`",
    ),
    (
        "mfa_config",
        "no second factor is asked for after the login, and without one more people would get in; \
         leave it out (or write `mfa_disabled: true`) if a login is enough",
    ),
    (
        "oauth_configuration",
        "no authorization server is offered; leave it out (or write `enabled: false`), and give \
         programs a service token",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Notes on the application.
    fn notes(settings: &str) -> Vec<crate::config::Note> {
        let notes = parse(settings).unwrap().notes().to_vec();
        notes.into_iter().filter(|note| note.key().starts_with("access.applications")).collect()
    }

    fn parse(settings: &str) -> Result<Config, crate::config::ConfigErrors> {
        let text = format!(
            "access: {{ mail: console, applications: [ {{ domain: a.example, {settings} }} ] }}"
        );
        Config::parse(&text, "f")
    }

    #[test]
    fn cfg_04_what_is_not_there_may_only_be_off_and_says_why_not() {
        for (key, reason) in REFUSED {
            for off in ["false", "[]", "{}", "~", "''"] {
                assert!(parse(&format!("{key}: {off}")).is_ok(), "{key}: {off}");
            }
            for on in ["true", "[ x ]", "{ x: y }", "x", "1", "{ enabled: 1, mfa_disabled: 1 }"] {
                let error = parse(&format!("{key}: {on}")).unwrap_err().to_string();
                assert!(error.contains(&format!("applications[0].{key}: {reason}")), "{error}");
                assert_eq!(error.lines().count(), 1, "{error}");
            }
        }
        assert!(parse("oauth_configuration: { enabled: false, grant: {} }").is_ok());
        assert!(notes("scim_config: { enabled: false, remote_uri: x }").is_empty());
        assert!(parse("mfa_config: { mfa_disabled: true }").is_ok());
        assert!(parse("mfa_config: { mfa_disabled: false }").is_err());
        assert!(parse("oauth_configuration: { mfa_disabled: true }").is_err());
    }

    #[test]
    fn cfg_04_what_changes_nothing_is_noted_with_its_reason() {
        for (key, reason) in WITHOUT_EFFECT {
            let notes = |on: bool| notes(&format!("{key}: {on}"));
            let [note] = &notes(true)[..] else { panic!("{key}") };
            assert_eq!((note.kind(), note.message()), (NoteKind::HasNoEffect, *reason));
            assert!(notes(false).is_empty(), "{key}");
        }
    }

    #[test]
    fn eager_cookies_surprise_over_several_hosts() {
        let kinds = |settings: &str| -> Vec<NoteKind> {
            notes(settings).iter().map(crate::config::Note::kind).collect()
        };
        assert_eq!(kinds("eager_redirect_cookie_setting: false"), []);
        assert_eq!(kinds("eager_redirect_cookie_setting: true"), [NoteKind::HasNoEffect]);
        for (others, kind) in [
            ("{ uri: a.example/x }", NoteKind::HasNoEffect),
            ("{ uri: b.example }", NoteKind::Surprises),
            ("{ uri: '*.example' }", NoteKind::Surprises),
        ] {
            let settings = format!(
                "eager_redirect_cookie_setting: true, \
                 destinations: [ {{ uri: a.example }}, {others} ]"
            );
            assert_eq!(kinds(&settings), [kind], "{others}");
        }
    }
}
