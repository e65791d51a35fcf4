//! The level of an application, from the table of its settings.

use std::time::Duration;

use super::document::{Entries, Read, document};
use super::leaf::Whole;
use super::shape::{Acceptance, Key, KeyShape, Level, OtherKeys, Presence, Shape};
use crate::application::MAX_SESSION_DURATION;
use crate::application::setting::{
    SETTINGS, Setting, SettingValue, Support, UNSUPPORTED, Unsupported,
};
use crate::config::cors::Cors;
use crate::config::reader::{NodeRef, Reader};
use crate::policy::Policy;

/// An entry of `access.applications`.
pub(in crate::config) const APPLICATION: &Level = &Level {
    path: "access.applications[]",
    summary: " Hosts and paths under one set of policies.",
    keys: &KEYS,
    names: &NAMES,
    others: &OTHERS,
};

#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const OTHERS: [OtherKeys; UNSUPPORTED.len()] = {
    let mut others = [other(&UNSUPPORTED[0]); UNSUPPORTED.len()];
    let mut index = 0;
    while index < others.len() {
        others[index] = other(&UNSUPPORTED[index]);
        index += 1;
    }
    others
};

const fn other(setting: &'static Unsupported) -> OtherKeys {
    let acceptance = match setting.support {
        Support::Ignored(reason) => Acceptance::Ignored(reason),
        Support::Refused { reason, .. } => match setting.off {
            Some((key, value)) => Acceptance::OffBy { reason, key, value },
            None => Acceptance::Off(reason),
        },
        Support::DependsOnHosts { .. } => Acceptance::Ignored("each host sets its own cookie"),
    };
    OtherKeys { names: std::slice::from_ref(&setting.key), acceptance }
}

document! {
    /// Keys that say where an application applies and who may pass, beside its settings.
    struct Scope in "access.applications[]" {
        /// The host and an optional path, with `*` as wildcard. Required unless `destinations` or
        /// `self_hosted_domains` is written.
        "domain" domain: String {
            default: "the first of `destinations`", example: "wiki.example.com", cloudflare: "domain",
        }
        /// All hosts and paths of the application.
        "destinations" destinations: Vec<Destination> {
            default: "the `domain`", example: "[ { uri: wiki.example.com } ]",
            cloudflare: "destinations",
        }
        /// An older form of `destinations`.
        "self_hosted_domains" self_hosted_domains: Vec<String> {
            default: "the `domain`", example: "[ wiki.example.com ]",
            cloudflare: "self_hosted_domains",
        }
        /// The type of application; others are not supported.
        "type" kind: SelfHosted {
            default: "self_hosted", example: "self_hosted", cloudflare: "type",
        }
        /// The policies, in their order of precedence: objects, or the id or name of one of
        /// `access.policies`. Without policies nobody gets in.
        "policies" policies: Entries<PolicyOrLink> {
            default: "[]",
            example: "[ { name: Staff, decision: allow, include: [ { email_domain: { domain: example.com } } ] } ]",
            cloudflare: "policies",
        }
    }
}

document! {
    /// A host and an optional path of an application.
    pub(in crate::config) struct Destination in "access.applications[].destinations[]" {
        /// The kind of destination; others are not supported.
        "type" kind: Public {
            default: "public", example: "public", cloudflare: "type",
        }
        /// The host and an optional path, with `*` as wildcard.
        "uri" uri: String {
            required: ": write the host, such as `uri: wiki.example.com`",
            example: "wiki.example.com/docs", cloudflare: "uri",
        }
    }
}

document! {
    /// A link to one of `access.policies`.
    struct Link in "access.applications[].policies[]" {
        /// The id or name of the policy.
        "id" id: String {
            required: "", example: "staff", cloudflare: "id",
        }
        /// The precedence of the policy in this application: 1 is asked first.
        "precedence" precedence: Whole<u32, 1, { u32::MAX as u64 }> {
            default: "the order of the list", example: "1", cloudflare: "precedence",
        }
    }
}

/// A policy, or a link to one.
#[derive(Debug)]
struct PolicyOrLink;

impl Read for PolicyOrLink {
    type Output = ();

    fn shape() -> Shape {
        let name = Shape::Text { form: "id or name of a policy", pattern: None };
        Shape::AnyOf(vec![Policy::shape(), name, Shape::Mapping(Link::LEVEL)])
    }

    fn read(_: &mut Reader, _: &NodeRef<'_>) -> Option<()> {
        Some(())
    }
}

/// One value of a key that Cloudflare has more of.
macro_rules! only {
    ($($Type:ident: $text:literal;)+) => {$(
        #[derive(Debug)]
        pub(in crate::config) struct $Type;

        impl Read for $Type {
            type Output = String;

            fn shape() -> Shape {
                Shape::Choice(&[$text])
            }

            fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<String> {
                String::read(reader, place)
            }
        }
    )+};
}

only! {
    SelfHosted: "self_hosted";
    Public: "public";
}

/// Returns the values that a setting accepts.
pub(super) fn shape(setting: &Setting) -> Shape {
    match setting.value {
        SettingValue::Switch { .. } | SettingValue::Spelling(_) => Shape::Switch,
        SettingValue::Text { form, pattern, empty_is_default, .. } => {
            let text = Shape::Text { form, pattern };
            if empty_is_default { Shape::AnyOf(vec![text, EMPTY]) } else { text }
        }
        SettingValue::SameSite(_) => Shape::Choice(&["none", "lax", "strict", ""]),
        SettingValue::Duration(_) => {
            Shape::Duration { min: Duration::ZERO, max: MAX_SESSION_DURATION }
        }
        SettingValue::Texts { form, .. } => {
            Shape::List(Box::new(Shape::Text { form, pattern: None }))
        }
        SettingValue::Cors(_) => Shape::AnyOf(vec![
            Shape::Mapping(Cors::LEVEL),
            Shape::Off("an empty object is no `cors_headers`"),
        ]),
    }
}

const EMPTY: Shape = Shape::Choice(&[""]);

const SCOPE: &[Key] = Scope::LEVEL.keys;
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const KEYS: [Key; SCOPE.len() + SETTINGS.len()] = {
    let mut keys = [SCOPE[0]; SCOPE.len() + SETTINGS.len()];
    let mut index = 0;
    while index < keys.len() {
        keys[index] =
            if index < SCOPE.len() { SCOPE[index] } else { key(&SETTINGS[index - SCOPE.len()]) };
        index += 1;
    }
    keys
};
#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const NAMES: [&str; KEYS.len()] = {
    let mut names = [""; KEYS.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = KEYS[index].name;
        index += 1;
    }
    names
};

const fn key(setting: &'static Setting) -> Key {
    Key {
        name: setting.key,
        summary: setting.summary,
        presence: Presence::Default(setting.default),
        example: setting.example,
        cloudflare: if setting.is_cloudflares { Some(setting.key) } else { None },
        shape: KeyShape::Setting(shape, setting),
    }
}
