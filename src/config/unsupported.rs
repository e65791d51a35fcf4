//! Reads Cloudflare's settings of an application that are not supported.

use crate::application::Destination;
use crate::application::setting::{Support, UNSUPPORTED, Unsupported};

use super::error::NoteKind;
use super::location::Located;
use super::reader::{NodeRef, Reader};
use super::tree::{Node, Value};

/// Notes and refuses the settings of one application.
pub(super) fn check(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    destinations: &[Located<Destination>],
) {
    for setting in UNSUPPORTED {
        let Some(value) = place.get(setting.key).filter(|it| !is_off(setting, it.node)) else {
            continue;
        };
        match setting.support {
            Support::Ignored(reason) => reader.note_no_effect(place, setting.key, reason),
            Support::Refused { reason, .. } => reader.error(&value, reason),
            Support::DependsOnHosts { .. } if has_one_host(destinations) => {
                reader.note_no_effect(place, setting.key, "the application has one host");
            }
            Support::DependsOnHosts { .. } => reader.note(
                NoteKind::Surprises,
                &value,
                "a login sets the cookie of one host; the others set theirs on the first visit, \
                 without a question. A script that calls another host before that is redirected \
                 to the login",
            ),
        }
    }
}

fn is_off(setting: &Unsupported, node: &Node) -> bool {
    let is_switched_off = |(field, off): (&str, bool)| {
        node.get(field).is_some_and(|it| matches!(&it.value, Value::Boolean(is) if *is == off))
    };
    node.is_switched_off() || setting.off.is_some_and(is_switched_off)
}

fn has_one_host(destinations: &[Located<Destination>]) -> bool {
    let mut hosts = destinations.iter().map(|destination| destination.value.exact_host());
    let first = hosts.next().flatten();
    first.is_some() && hosts.all(|host| host == first)
}

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
        for setting in UNSUPPORTED {
            let Unsupported { key, support: Support::Refused { reason, .. }, .. } = setting else {
                continue;
            };
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
        for setting in UNSUPPORTED {
            let Unsupported { key, support: Support::Ignored(reason), .. } = setting else {
                continue;
            };
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
