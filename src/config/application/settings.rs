//! The settings of an application that are read one by one.

use std::fmt::Display;
use std::time::Duration;

use crate::application::{Ambiguity, Application, Audience, CorsHeaders, SameSite};
use crate::login::COMMAND_LINE_IS_AVAILABLE;

use super::super::cors;
use super::super::error::NoteKind;
use super::super::policy::session_duration;
use super::super::reader::{Place, Reader};

pub(super) struct Settings {
    id: Option<String>,
    pub(super) name: Option<String>,
    audience: Option<Audience>,
    session_duration: Option<Duration>,
    http_only: bool,
    same_site: Option<SameSite>,
    custom_deny_message: Option<String>,
    service_auth_401_redirect: bool,
    binding_cookie: bool,
    ambiguities: Vec<Ambiguity>,
    case_sensitive_origin: bool,
    shared_caching: bool,
    cors_headers: Option<CorsHeaders>,
    options_preflight_bypass: bool,
    custom_deny_url: Option<String>,
    custom_non_identity_deny_url: Option<String>,
    path_cookie: bool,
    service_token_header: Option<String>,
    allowed_login_methods: Vec<String>,
    skip_interstitial: bool,
}

impl Settings {
    pub(super) fn read(reader: &mut Reader, place: &Place<'_>) -> Self {
        let id = not_empty(reader, place, "id");
        let name = not_empty(reader, place, "name");
        let audience = reader.optional::<Audience>(place, "aud").map(|aud| aud.value);
        let session_duration = session_duration(reader, place);
        let http_only = switch(reader, place, "http_only_cookie_attribute").unwrap_or(true);
        let ambiguities = ambiguities(reader, place);
        let case_sensitive_origin =
            switch(reader, place, "insecure_case_sensitive_origin").unwrap_or(false);
        let same_site = same_site(reader, place);
        if !http_only {
            weakens(
                reader,
                place,
                "http_only_cookie_attribute",
                "scripts of the page can read the cookie: one that is injected can steal the login",
            );
        }
        if case_sensitive_origin {
            weakens(
                reader,
                place,
                "insecure_case_sensitive_origin",
                "paths that differ from those of another application in letter case alone are let \
                 through: an origin that ignores letter case serves them under the wrong policies",
            );
        }
        let shared_caching =
            switch(reader, place, "insecure_allow_shared_caching").unwrap_or(false);
        if shared_caching {
            weakens(
                reader,
                place,
                "insecure_allow_shared_caching",
                "caches in front may store what the origin marks as `public`, and hand it to people \
                 whom no policy lets in",
            );
        }
        let options_preflight_bypass =
            switch(reader, place, "options_preflight_bypass").unwrap_or(false);
        if options_preflight_bypass {
            weakens(
                reader,
                place,
                "options_preflight_bypass",
                "every OPTIONS request reaches the origin, whoever sends it: it must do nothing but \
                 answer",
            );
        }
        let cors_headers = cors::read(reader, place);
        if cors_headers.as_ref().is_some_and(CorsHeaders::allows_credentials)
            && matches!(same_site, Some(SameSite::Lax | SameSite::Strict))
            && let Some(value) = place.get("same_site_cookie_attribute")
        {
            reader.note(
                NoteKind::Surprises,
                &value,
                "browsers keep the cookie from pages of other sites: what `cors_headers` allows with \
                 credentials works for pages of the same site alone",
            );
        }
        Self {
            id,
            name,
            audience,
            session_duration,
            http_only,
            same_site,
            custom_deny_message: not_empty(reader, place, "custom_deny_message"),
            service_auth_401_redirect: switch(reader, place, "service_auth_401_redirect")
                .unwrap_or(false),
            binding_cookie: switch(reader, place, "enable_binding_cookie").unwrap_or(false),
            ambiguities,
            case_sensitive_origin,
            shared_caching,
            cors_headers,
            options_preflight_bypass,
            custom_deny_url: tried(reader, place, "custom_deny_url", Application::custom_deny_url),
            custom_non_identity_deny_url: tried(
                reader,
                place,
                "custom_non_identity_deny_url",
                Application::custom_non_identity_deny_url,
            ),
            path_cookie: switch(reader, place, "path_cookie_attribute").unwrap_or(false),
            service_token_header: tried(
                reader,
                place,
                "read_service_tokens_from_header",
                Application::read_service_tokens_from_header,
            ),
            allowed_login_methods: login_methods(reader, place),
            skip_interstitial: skip_interstitial(reader, place),
        }
    }

    pub(super) fn apply(self, mut application: Application) -> Option<Application> {
        if let Some(id) = self.id {
            application = application.id(id);
        }
        if let Some(audience) = self.audience {
            application = application.audience(audience);
        }
        if let Some(duration) = self.session_duration {
            application = application.session_duration(duration);
        }
        if let Some(same_site) = self.same_site {
            application = application.same_site_cookie(same_site);
        }
        if let Some(message) = self.custom_deny_message {
            application = application.custom_deny_message(message);
        }
        if !self.http_only {
            application = application.insecure_cookie_for_scripts();
        }
        if self.service_auth_401_redirect {
            application = application.service_auth_401_redirect();
        }
        if self.binding_cookie {
            application = application.binding_cookie();
        }
        application = self.ambiguities.into_iter().fold(application, Application::allow);
        if self.case_sensitive_origin {
            application = application.insecure_case_sensitive_origin();
        }
        if self.shared_caching {
            application = application.insecure_allow_shared_caching();
        }
        if let Some(cors) = self.cors_headers {
            application = application.cors_headers(cors);
        }
        if self.options_preflight_bypass {
            application = application.insecure_options_preflight_bypass();
        }
        if let Some(url) = self.custom_deny_url {
            application = application.custom_deny_url(&url).ok()?;
        }
        if let Some(url) = self.custom_non_identity_deny_url {
            application = application.custom_non_identity_deny_url(&url).ok()?;
        }
        if self.path_cookie {
            application = application.path_cookie();
        }
        if let Some(name) = self.service_token_header {
            application = application.read_service_tokens_from_header(&name).ok()?;
        }
        application.skips_interstitial = self.skip_interstitial;
        let methods = self.allowed_login_methods.into_iter();
        Some(methods.fold(application, Application::allowed_login_method))
    }
}

/// A text that a setter takes; an empty one is what an export writes for none.
fn tried<E: Display>(
    reader: &mut Reader,
    place: &Place<'_>,
    key: &str,
    set: impl FnOnce(Application, &str) -> Result<Application, E>,
) -> Option<String> {
    let text = reader.optional::<String>(place, key).filter(|text| !text.value.is_empty())?;
    let trial = Application::new("", "a.example").ok()?;
    match set(trial, &text.value) {
        Ok(_) => Some(text.value),
        Err(error) => {
            reader.error_at(text.at, &text.key, error);
            None
        }
    }
}

/// Where the login of `cloudflared` is not built in, there is no page to skip.
fn skip_interstitial(reader: &mut Reader, place: &Place<'_>) -> bool {
    const KEY: &str = "skip_interstitial";
    let skip = switch(reader, place, KEY).unwrap_or(false);
    if skip && COMMAND_LINE_IS_AVAILABLE {
        weakens(
            reader,
            place,
            KEY,
            "nobody is asked before a command-line client gets in: whoever brings a person to open an \
             address of their making gets in under that person's name",
        );
    } else if skip {
        reader.note_no_effect(
            place,
            KEY,
            "this program was built without the login of `cloudflared` (feature `cloudflared`)",
        );
    }
    skip
}

fn login_methods(reader: &mut Reader, place: &Place<'_>) -> Vec<String> {
    let entries = reader.list(place, "allowed_idps");
    entries.iter().filter_map(|entry| reader.read::<String>(entry, &[])).collect()
}

/// What is let through in paths although servers read it in several ways.
fn ambiguities(reader: &mut Reader, place: &Place<'_>) -> Vec<Ambiguity> {
    let mut allowed = Vec::new();
    for kind in Ambiguity::ALL {
        if switch(reader, place, kind.setting()).unwrap_or(false) {
            weakens(reader, place, kind.setting(), risk(kind));
            allowed.push(kind);
        }
    }
    allowed
}

fn risk(kind: Ambiguity) -> &'static str {
    match kind {
        Ambiguity::EncodedSlash => {
            "`%2F` is let through: an origin that takes it for a slash may serve another path than \
             the one that was judged"
        }
        Ambiguity::DoubledSlash => {
            "`//` is let through: an origin that collapses it may serve another path than the one \
             that was judged"
        }
        Ambiguity::Backslash => {
            "backslashes are let through: an origin that takes them for slashes may serve another \
             path than the one that was judged"
        }
        Ambiguity::PathParameter => {
            "`;` is let through: an origin that cuts path parameters off may serve another path \
             than the one that was judged"
        }
        Ambiguity::ControlCharacter => {
            "escaped control characters are let through: an origin that drops them, or ends the path \
             there, may serve another path than the one that was judged"
        }
        Ambiguity::DoubleEscape => {
            "escapes of escapes are let through: an origin that decodes twice may serve another path \
             than the one that was judged"
        }
        Ambiguity::InvalidEscape => {
            "invalid escapes are let through: an origin may serve another path than the one that was \
             judged"
        }
        Ambiguity::InvalidUtf8 => {
            "escapes that are not UTF-8 are let through: an origin may take them for other characters \
             than the ones that were judged"
        }
        Ambiguity::UnescapedCharacter => {
            "characters beyond ASCII are let through without an escape: an origin may take them for \
             other characters than the ones that were judged"
        }
    }
}

fn switch(reader: &mut Reader, place: &Place<'_>, key: &str) -> Option<bool> {
    reader.optional::<bool>(place, key).map(|on| on.value)
}

fn not_empty(reader: &mut Reader, place: &Place<'_>, key: &str) -> Option<String> {
    let text = reader.optional::<String>(place, key)?;
    if text.value.is_empty() {
        // An empty message is what an export writes for none.
        if key != "custom_deny_message" {
            reader.error_at(
                text.at,
                &text.key,
                format_args!("`{key}` is empty; write a text or leave it out"),
            );
        }
        return None;
    }
    Some(text.value)
}

/// Cloudflare writes an empty text where the attribute is not set.
fn same_site(reader: &mut Reader, place: &Place<'_>) -> Option<SameSite> {
    let value = place.get("same_site_cookie_attribute")?;
    if value.node.text() == Some("") {
        return None;
    }
    reader.read(&value, &[])
}

fn weakens(reader: &mut Reader, place: &Place<'_>, key: &str, message: &str) {
    if let Some(value) = place.get(key) {
        reader.note(NoteKind::Weakens, &value, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn cfg_04_each_setting_is_refused_where_it_stands_and_says_why() {
        let cors = "cors_headers: { allow_all_origins: true, allow_all_methods: true }";
        for (settings, key, words) in [
            (
                &*format!("options_preflight_bypass: true, {cors}"),
                "options_preflight_bypass",
                "exclude",
            ),
            ("custom_deny_url: /denied", "custom_deny_url", "no address of a page"),
            ("custom_deny_url: 'http://help.example/'", "custom_deny_url", "no address of a page"),
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
