//! Reads the settings of an application, row by row of their table.

use crate::application::setting::{SETTINGS, Setting, SettingValue};
use crate::application::{Application, CorsHeaders, SameSite};
use crate::login::COMMAND_LINE_IS_AVAILABLE;

use super::super::cors;
use super::super::error::NoteKind;
use super::super::policy::SessionDuration;
use super::super::reader::{NodeRef, Reader};
use super::super::schema::Read;

/// Applies the settings of the file. An invalid one is reported and changes nothing.
pub(super) fn read(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    mut application: Application,
) -> Application {
    for setting in SETTINGS {
        if let Some(value) = place.get(setting.key) {
            application = apply(reader, place, &value, setting, application);
        }
    }
    if application.cors_headers.as_deref().is_some_and(CorsHeaders::allows_credentials)
        && matches!(application.same_site, Some(SameSite::Lax | SameSite::Strict))
        && let Some(value) = place.get("same_site_cookie_attribute")
    {
        reader.note(
            NoteKind::Surprises,
            &value,
            "browsers do not send the cookie from pages of other sites: `cors_headers` with credentials \
             works only for pages of the same site",
        );
    }
    application
}

fn apply(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    value: &NodeRef<'_>,
    setting: &Setting,
    mut application: Application,
) -> Application {
    match setting.value {
        SettingValue::Switch { .. } | SettingValue::Spelling(_) => {
            if let Some(on) = bool::read(reader, value)
                && setting.is_on(&application) != Some(on)
            {
                note_risk(reader, place, value, setting);
                setting.switch(&mut application, on);
            }
        }
        SettingValue::Text { empty_is_default, set, .. } => {
            let Some(text) = String::read(reader, value) else { return application };
            if text.is_empty() && empty_is_default {
                return application;
            }
            match set(application.clone(), &text) {
                Ok(changed) => application = changed,
                Err(error) => reader.error(value, error),
            }
        }
        SettingValue::SameSite(set) => {
            // Cloudflare writes an empty text for the default.
            if value.node.text() != Some("")
                && let Some(same_site) = reader.read(value, &[])
            {
                set(&mut application, same_site);
            }
        }
        SettingValue::Duration(set) => {
            if let Some(duration) = SessionDuration::read(reader, value) {
                set(&mut application, duration);
            }
        }
        SettingValue::Texts { set, .. } => {
            if let Some(entries) = Vec::<String>::read(reader, value) {
                let texts = entries.into_iter().filter_map(|entry| entry.value);
                set(&mut application, texts.map(Into::into).collect());
            }
        }
        SettingValue::Cors(set) => {
            if let Some(cors) = cors::read(reader, value) {
                set(&mut application, cors);
            }
        }
    }
    application
}

fn note_risk(reader: &mut Reader, place: &NodeRef<'_>, value: &NodeRef<'_>, setting: &Setting) {
    if setting.key == "skip_interstitial" && !COMMAND_LINE_IS_AVAILABLE {
        reader.note_no_effect(
            place,
            setting.key,
            "this program was built without the login of `cloudflared` (feature `cloudflared`)",
        );
    } else if let Some(risk) = setting.risk {
        reader.note(NoteKind::Weakens, value, risk);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::application::Ambiguity;
    use crate::config::Config;

    fn application(settings: &str) -> Application {
        let text = format!(
            "access: {{ mail: console, applications: [ {{ domain: a.example{settings} }} ] }}"
        );
        Config::parse(&text, "f").unwrap().access.applications.remove(0)
    }

    #[test]
    fn cfg_04_each_setting_has_its_effect_and_its_default() {
        let plain = application("");
        assert_eq!((&*plain.id, &*plain.name), ("a.example", "a.example"));
        assert_eq!(plain.audience, Application::new("", "a.example").unwrap().audience);
        assert_eq!(plain.session_duration, None);
        assert!(plain.http_only_cookie);
        assert!(plain.same_site.is_none() && plain.custom_deny_message.is_none());
        assert!(!plain.service_auth_401_redirect && plain.ambiguities.is_empty());
        assert!(!plain.case_sensitive_origin);
        assert!(plain.policies.is_empty());
        assert!(plain.cors_headers.is_none() && !plain.options_preflight_bypass);
        assert!(plain.custom_deny_url.is_none() && plain.custom_non_identity_deny_url.is_none());
        assert!(!plain.path_cookie && plain.service_token_header.is_none());
        assert!(plain.allowed_login_methods.is_empty());

        let off = application(
            ", cors_headers: {}, options_preflight_bypass: false, custom_deny_url: '', \
             custom_non_identity_deny_url: ~, path_cookie_attribute: false, \
             read_service_tokens_from_header: '', allowed_idps: []",
        );
        assert!(off.cors_headers.is_none() && !off.options_preflight_bypass);
        assert!(off.custom_deny_url.is_none() && off.custom_non_identity_deny_url.is_none());
        assert!(!off.path_cookie && off.service_token_header.is_none());
        assert!(off.allowed_login_methods.is_empty());

        let off = application(
            ", http_only_cookie_attribute: true, service_auth_401_redirect: false, \
             insecure_allow_encoded_slashes: false, insecure_case_sensitive_origin: false, same_site_cookie_attribute: '', \
             custom_deny_message: ''",
        );
        assert!(off.http_only_cookie && off.same_site.is_none());
        assert!(!off.service_auth_401_redirect && off.ambiguities.is_empty());
        assert!(!off.case_sensitive_origin);
        assert!(off.custom_deny_message.is_none());

        let aud = "7a".repeat(32);
        let on = application(&format!(
            ", id: x, name: A, aud: {aud}, session_duration: 0s, http_only_cookie_attribute: false, \
             same_site_cookie_attribute: strict, custom_deny_message: Ask IT, \
             service_auth_401_redirect: true, insecure_allow_encoded_slashes: true, \
             insecure_case_sensitive_origin: true"
        ));
        assert_eq!((&*on.id, &*on.name, on.audience.as_str()), ("x", "A", aud.as_str()));
        assert_eq!(on.session_duration, Some(Duration::ZERO));
        assert!(!on.http_only_cookie);
        assert_eq!(on.same_site, Some(SameSite::Strict));
        assert_eq!(on.custom_deny_message.as_deref(), Some("Ask IT"));
        assert!(on.service_auth_401_redirect && on.ambiguities.contains(Ambiguity::EncodedSlash));
        assert!(on.case_sensitive_origin);

        let on = application(
            ", options_preflight_bypass: true, custom_deny_url: 'https://help.example/a', \
             custom_non_identity_deny_url: 'https://help.example/b', path_cookie_attribute: true, \
             read_service_tokens_from_header: Authorization, allowed_idps: [ onetimepin ], \
             auto_redirect_to_identity: true",
        );
        assert!(on.options_preflight_bypass && on.path_cookie);
        assert_eq!(on.custom_deny_url.unwrap().as_str(), "https://help.example/a");
        assert_eq!(on.custom_non_identity_deny_url.unwrap().as_str(), "https://help.example/b");
        assert_eq!(on.service_token_header.unwrap(), "authorization");
        assert_eq!(on.allowed_login_methods, [Box::from("onetimepin")]);
        let cors = "cors_headers: { allow_all_origins: true, allow_all_methods: true }";
        assert!(application(&format!(", {cors}")).cors_headers.is_some());
    }

    /// What the builder methods make of an application that the examples of the table describe.
    fn built(key: &str) -> Application {
        let it = || Application::new("a.example", "a.example").unwrap();
        match key {
            "id" => it().id("wiki"),
            "name" => Application::new("Wiki", "a.example").unwrap(),
            "aud" => it().audience(
                "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc".parse().unwrap(),
            ),
            "allowed_idps" => it().allowed_login_method("onetimepin"),
            "auto_redirect_to_identity" => it().auto_redirect_to_identity(),
            "session_duration" => it().session_duration(Duration::from_secs(8 * 3600)),
            "http_only_cookie_attribute" => it().insecure_cookie_for_scripts(),
            "same_site_cookie_attribute" => it().same_site_cookie(SameSite::Lax),
            "path_cookie_attribute" => it().path_cookie(),
            "enable_binding_cookie" => it().binding_cookie(),
            "custom_deny_message" => it().custom_deny_message("Ask the help desk for access."),
            "custom_deny_url" => {
                it().custom_deny_url("https://help.example.com/no-access").unwrap()
            }
            "custom_non_identity_deny_url" => {
                it().custom_non_identity_deny_url("https://help.example.com/network").unwrap()
            }
            "cors_headers" => it().cors_headers(
                CorsHeaders::for_origins(["https://app.example.com"])
                    .unwrap()
                    .methods([http::Method::GET]),
            ),
            "options_preflight_bypass" => it().insecure_options_preflight_bypass(),
            "service_auth_401_redirect" => it().service_auth_401_redirect(),
            "read_service_tokens_from_header" => {
                it().read_service_tokens_from_header("Authorization").unwrap()
            }
            #[cfg(feature = "cloudflared")]
            "skip_interstitial" => it().insecure_skip_interstitial(),
            #[cfg(not(feature = "cloudflared"))]
            "skip_interstitial" => Application { skips_interstitial: true, ..it() },
            "insecure_allow_encoded_slashes" => it().insecure_allow_encoded_slashes(),
            "insecure_allow_doubled_slashes" => it().insecure_allow_doubled_slashes(),
            "insecure_allow_backslashes" => it().insecure_allow_backslashes(),
            "insecure_allow_path_parameters" => it().insecure_allow_path_parameters(),
            "insecure_allow_control_characters" => it().insecure_allow_control_characters(),
            "insecure_allow_double_escapes" => it().insecure_allow_double_escapes(),
            "insecure_allow_invalid_escapes" => it().insecure_allow_invalid_escapes(),
            "insecure_allow_invalid_utf8" => it().insecure_allow_invalid_utf8(),
            "insecure_allow_unescaped_characters" => it().insecure_allow_unescaped_characters(),
            "insecure_case_sensitive_origin" => it().insecure_case_sensitive_origin(),
            "insecure_allow_shared_caching" => it().insecure_allow_shared_caching(),
            key => panic!("`{key}` needs a builder method, and that method a line here"),
        }
    }

    #[test]
    fn cfg_04_each_example_does_what_its_builder_method_does() {
        let omitted = format!("{:?}", application(""));
        for setting in SETTINGS {
            let example = application(&format!(", {}: {}", setting.key, setting.example));
            let example = format!("{example:?}");
            assert_eq!(example, format!("{:?}", built(setting.key)), "{}", setting.key);
            assert_ne!(example, omitted, "{}", setting.key);
        }
    }

    #[test]
    fn cfg_04_each_default_is_what_an_omitted_key_means() {
        let omitted = format!("{:?}", application(""));
        for setting in SETTINGS {
            let mut defaults = vec!["~"];
            match setting.value {
                SettingValue::Switch { .. } | SettingValue::Spelling(_) => {
                    defaults.push(setting.default);
                }
                SettingValue::Text { empty_is_default: true, .. } | SettingValue::SameSite(_) => {
                    defaults.push("''");
                }
                SettingValue::Texts { .. } => defaults.push("[]"),
                SettingValue::Cors(_) => defaults.push("{}"),
                SettingValue::Text { .. } | SettingValue::Duration(_) => {}
            }
            for default in defaults {
                let written = application(&format!(", {}: {default}", setting.key));
                assert_eq!(format!("{written:?}"), omitted, "{}: {default}", setting.key);
            }
        }
    }

    #[test]
    fn cfg_04_each_setting_is_refused_where_it_stands_and_says_why() {
        let cors = "cors_headers: { allow_all_origins: true, allow_all_methods: true }";
        for (settings, key, words) in [
            (
                &*format!("options_preflight_bypass: true, {cors}"),
                "options_preflight_bypass",
                "exclude",
            ),
            ("custom_deny_url: /denied", "custom_deny_url", "invalid URL: write an absolute"),
            (
                "custom_deny_url: 'http://help.example/'",
                "custom_deny_url",
                "invalid URL: write an absolute",
            ),
            ("custom_non_identity_deny_url: 7", "custom_non_identity_deny_url", "a text"),
            (
                "custom_deny_url: 'https://a.example/no'",
                "custom_deny_url",
                "the application itself",
            ),
            (
                "custom_non_identity_deny_url: 'https://A.example'",
                "custom_non_identity_deny_url",
                "the application itself",
            ),
            (
                "path_cookie_attribute: true, destinations: [ { uri: a.example }, { uri: a.example/x* } ]",
                "path_cookie_attribute",
                "`a.example/x*` may have no `*`",
            ),
            ("path_cookie_attribute: 1", "path_cookie_attribute", "`true` or `false`"),
            (
                "read_service_tokens_from_header: Cookie",
                "read_service_tokens_from_header",
                "such as `Authorization`",
            ),
            (
                "allowed_idps: [ onetimepin, okta ]",
                "allowed_idps[1]",
                "no login method `okta`, only `onetimepin`",
            ),
            ("allowed_idps: okta", "allowed_idps", "a list"),
            ("allowed_idps: [ 7 ]", "allowed_idps[0]", "a text"),
        ] {
            let text = format!(
                "access: {{ mail: console, applications: [ {{ domain: a.example, {settings} }} ] }}"
            );
            let errors = Config::parse(&text, "f").unwrap_err();
            let errors: Vec<_> = errors.iter().collect();
            let [error] = errors[..] else { panic!("{settings}: {errors:?}") };
            assert_eq!(error.key(), format!("access.applications[0].{key}"), "{settings}");
            assert!(error.message().contains(words), "{settings}: {error}");
        }
    }

    #[test]
    fn a_cookie_that_cors_cannot_reach_is_noted() {
        let notes = |same_site: &str, credentials: bool| {
            let text = format!(
                "access: {{ mail: console, applications: [ {{ domain: a.example, \
                 same_site_cookie_attribute: {same_site}, cors_headers: {{ allow_all_methods: true, \
                 allowed_origins: ['https://b.example'], allow_credentials: {credentials} }} }} ] }}"
            );
            let config = Config::parse(&text, "f").unwrap();
            let is_it =
                |note: &&crate::config::Note| note.key().ends_with("same_site_cookie_attribute");
            config.notes().iter().filter(is_it).count()
        };
        assert_eq!((notes("strict", true), notes("lax", true)), (1, 1));
        assert_eq!((notes("none", true), notes("strict", false)), (0, 0));
    }

    /// HDR-21
    #[test]
    fn hdr_21_shared_caching_is_off_by_default_and_noted_as_weaker() {
        assert!(!application("").allows_shared_caching);
        assert!(!application(", insecure_allow_shared_caching: false").allows_shared_caching);
        assert!(application(", insecure_allow_shared_caching: true").allows_shared_caching);
        let text = |value: &str| {
            format!(
                "access: {{ mail: console, applications: [ {{ domain: a.example, \
                 insecure_allow_shared_caching: {value} }} ] }}"
            )
        };
        let config = Config::parse(&text("true"), "f").unwrap();
        let is_it =
            |note: &&crate::config::Note| note.key().ends_with("insecure_allow_shared_caching");
        assert_eq!(config.notes().iter().find(is_it).unwrap().kind(), NoteKind::Weakens);
        let config = Config::parse(&text("false"), "f").unwrap();
        assert!(config.notes().iter().find(is_it).is_none());
        assert!(Config::parse(&text("public"), "f").unwrap_err().to_string().contains("`true`"));
    }

    #[test]
    fn the_id_of_the_one_time_pin_is_a_setting() {
        let parse = |pin: &str, idps: &str| {
            Config::parse(
                &format!(
                    "access: {{ mail: console, one_time_pin: {{ {pin} }}, \
                     applications: [ {{ domain: a.example, allowed_idps: [ {idps} ] }} ] }}"
                ),
                "f",
            )
        };
        let config = parse("id: 0d9c3a4e-x", "0d9c3a4e-x").unwrap();
        assert!(config.access().is_ok());
        let error = parse("id: 0d9c3a4e-x", "onetimepin").unwrap_err().to_string();
        assert!(error.contains("only `0d9c3a4e-x`"), "{error}");
        assert!(parse("id: ''", "").is_err());
    }

    #[test]
    #[cfg(feature = "cloudflared")]
    fn cfg_03_a_page_that_is_skipped_is_noted_as_weaker() {
        let text = |on: bool| {
            format!(
                "access: {{ mail: console, \
                 applications: [ {{ domain: a.example, skip_interstitial: {on} }} ] }}"
            )
        };
        let config = Config::parse(&text(true), "f").unwrap();
        assert!(config.access.applications[0].skips_interstitial);
        let is_it = |note: &&crate::config::Note| note.key().ends_with("skip_interstitial");
        assert_eq!(config.notes().iter().find(is_it).unwrap().kind(), NoteKind::Weakens);
        let config = Config::parse(&text(false), "f").unwrap();
        assert!(!config.access.applications[0].skips_interstitial);
        assert!(config.notes().iter().find(is_it).is_none());
    }

    #[test]
    #[cfg(not(feature = "cloudflared"))]
    fn cfg_03_without_its_login_there_is_no_page_to_skip() {
        let text = "access: { mail: console, \
                    applications: [ { domain: a.example, skip_interstitial: true } ] }";
        let config = Config::parse(text, "f").unwrap();
        let is_it = |note: &&crate::config::Note| note.key().ends_with("skip_interstitial");
        assert_eq!(config.notes().iter().find(is_it).unwrap().kind(), NoteKind::HasNoEffect);
    }

    #[test]
    fn cfg_04_an_issuer_chooses_its_login_methods_itself() {
        let text = |settings: &str| {
            let aud = "7a".repeat(32);
            format!(
                "access: {{ issuer: {{ team_domain: acme.example.com }}, \
                 applications: [ {{ domain: a.example, aud: {aud}, {settings} }} ] }}"
            )
        };
        let error = Config::parse(&text("allowed_idps: [ x ]"), "f").unwrap_err().to_string();
        assert!(error.contains("allowed_idps: tokens do not say"), "{error}");
        assert!(Config::parse(&text("allowed_idps: []"), "f").is_ok());
    }
}
