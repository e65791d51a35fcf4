//! The settings of an application as one table: Cloudflare's keys and our own.
//!
//! The reader of the configuration file, its reference and JSON Schema, and the import of Cloudflare's
//! objects take keys, effects and words from here, so that a new setting is one row.

mod table;
mod unsupported;

use std::time::Duration;

use super::ambiguity::Ambiguity;
use super::cors::CorsHeaders;
use super::settings::{Application, SameSite};

pub(crate) use self::table::SETTINGS;
pub(crate) use self::unsupported::{Support, UNSUPPORTED, Unsupported};

/// A key of an application that has an effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    /// One or two sentences about its effect.
    pub(crate) summary: &'static str,
    pub(crate) value: SettingValue,
    /// The value that has the same effect as omitting the key, or words about it.
    pub(crate) default: &'static str,
    /// A value, as YAML.
    pub(crate) example: &'static str,
    /// Whether Cloudflare's object has this key.
    pub(crate) is_cloudflares: bool,
    /// How `diff` treats it.
    pub(crate) diff: DiffRule,
    /// Why a switch weakens the default when it differs from it.
    pub(crate) risk: Option<&'static str>,
    /// The effect of an import that leaves it out. It never admits more users.
    pub(crate) without: &'static str,
}

/// The values that a setting accepts, and how they get into an [`Application`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum SettingValue {
    /// `true` or `false`.
    Switch { get: fn(&Application) -> bool, set: fn(&mut Application, bool) },
    /// `true` or `false`: whether a path with this ambiguity is allowed.
    Spelling(Ambiguity),
    /// A text. If `empty_is_default`, the empty text has the effect of omitting the key.
    Text {
        form: &'static str,
        pattern: Option<&'static str>,
        empty_is_default: bool,
        set: fn(Application, &str) -> Result<Application, String>,
    },
    /// `none`, `lax`, `strict`, or the empty text for the default.
    SameSite(fn(&mut Application, SameSite)),
    /// A duration, up to [`MAX_SESSION_DURATION`](super::MAX_SESSION_DURATION).
    Duration(fn(&mut Application, Duration)),
    /// A list of texts.
    Texts {
        form: &'static str,
        get: fn(&Application) -> &[Box<str>],
        set: fn(&mut Application, Vec<Box<str>>),
    },
    /// Cloudflare's CORS object.
    Cors(fn(&mut Application, CorsHeaders)),
}

/// How `diff` treats a setting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DiffRule {
    /// It does not affect who is admitted, or is compared separately.
    None,
    /// It affects who is admitted. Only for switches and lists.
    Compared,
    /// As `Compared`; but the paths that the switch allows are beyond what a comparison can ask about.
    PathsNotCompared,
}

impl Setting {
    /// Whether two applications are the same in this setting, as far as it affects who is admitted.
    pub(crate) fn decides_alike(&self, one: &Application, other: &Application) -> bool {
        match (self.diff, self.value) {
            (DiffRule::None, _) => true,
            (_, SettingValue::Texts { get, .. }) => get(one) == get(other),
            _ => self.is_on(one) == self.is_on(other),
        }
    }

    /// Whether a switch is on in an application; `None` for settings that are not switches.
    pub(crate) fn is_on(&self, application: &Application) -> Option<bool> {
        match self.value {
            SettingValue::Switch { get, .. } => Some(get(application)),
            SettingValue::Spelling(kind) => Some(application.ambiguities.contains(kind)),
            _ => None,
        }
    }

    /// Switches it; without effect for settings that are not switches.
    pub(crate) fn switch(&self, application: &mut Application, on: bool) {
        match self.value {
            SettingValue::Switch { set, .. } => set(application, on),
            SettingValue::Spelling(kind) if on => application.ambiguities.insert(kind),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn application() -> Application {
        Application::new("App", "a.example").unwrap()
    }

    #[test]
    fn every_key_stands_in_the_table_once() {
        let keys = SETTINGS.iter().map(|setting| setting.key);
        let mut seen = HashSet::new();
        for key in keys.chain(UNSUPPORTED.iter().map(|setting| setting.key)) {
            assert!(seen.insert(key), "{key}");
        }
        for kind in Ambiguity::ALL {
            assert!(seen.contains(kind.setting()), "{kind:?}");
        }
    }

    #[test]
    fn every_setting_that_takes_part_in_decisions_can_be_compared() {
        for setting in SETTINGS {
            let is_switch = setting.is_on(&application()).is_some();
            let is_list = matches!(setting.value, SettingValue::Texts { .. });
            match setting.diff {
                DiffRule::None => {}
                DiffRule::Compared => assert!(is_switch || is_list, "{}", setting.key),
                DiffRule::PathsNotCompared => assert!(is_switch, "{}", setting.key),
            }
            let mut changed = application();
            match setting.value {
                SettingValue::Texts { set, .. } => set(&mut changed, vec!["x".into()]),
                _ => setting.switch(&mut changed, setting.default != "true"),
            }
            let is_alike = setting.decides_alike(&changed, &application());
            assert_eq!(is_alike, setting.diff == DiffRule::None, "{}", setting.key);
        }
    }

    #[test]
    fn a_switch_changes_itself_alone_and_its_default_is_that_of_a_new_application() {
        for setting in SETTINGS {
            let Some(usual) = setting.is_on(&application()) else {
                assert!(setting.risk.is_none(), "{}", setting.key);
                continue;
            };
            assert_eq!(setting.default, usual.to_string(), "{}", setting.key);
            assert_eq!(setting.example, (!usual).to_string(), "{}", setting.key);
            let mut changed = application();
            setting.switch(&mut changed, !usual);
            for other in SETTINGS {
                let differs = other.is_on(&changed) != other.is_on(&application());
                assert_eq!(differs, other.key == setting.key, "{} and {}", setting.key, other.key);
            }
            assert_eq!(
                setting.key.starts_with("insecure_"),
                !setting.is_cloudflares,
                "{}",
                setting.key
            );
            assert!(setting.is_cloudflares || setting.risk.is_some(), "{}", setting.key);
        }
    }
}
