//! The table.

use crate::application::ambiguity::Ambiguity;
use crate::application::audience::Audience;

use super::{DiffRule, Setting, SettingValue};

/// All settings, in the order in which the import writes them.
pub(crate) const SETTINGS: &[Setting] = &[
    Setting {
        key: "id",
        summary: "The id by which policies and tools refer to the application.",
        value: SettingValue::Text {
            form: "text",
            pattern: Some("."),
            empty_is_default: false,
            set: |application, id| Ok(application.id(not_empty("id", id)?)),
        },
        default: "the domain",
        example: "wiki",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "its id is its domain",
    },
    Setting {
        key: "name",
        summary: "The name that users, logs and tools see.",
        value: SettingValue::Text {
            form: "text",
            pattern: Some("."),
            empty_is_default: false,
            set: |mut application, name| {
                application.name = not_empty("name", name)?.into();
                Ok(application)
            },
        },
        default: "the domain",
        example: "Wiki",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "its name is its domain",
    },
    Setting {
        key: "aud",
        summary: "The audience tag of the application's tokens, 64 hexadecimal digits. Required with \
                  `issuer`: the tag that the issuer shows.",
        value: SettingValue::Text {
            form: "64 hexadecimal digits",
            pattern: Some("^[0-9a-f]{64}$"),
            empty_is_default: false,
            set: |application, tag| {
                let audience = tag.parse::<Audience>().map_err(|error| error.to_string())?;
                Ok(application.audience(audience))
            },
        },
        default: "derived from the domain",
        example: "7a1c0f5e9b3d2846e0517c9fa4b82d6310ff7e5589cc01a2d34b6e7f80912abc",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "another audience tag is derived from the domain",
    },
    Setting {
        key: "allowed_idps",
        summary: "The ids of the login methods that open the application.",
        value: SettingValue::Texts {
            form: "id of a login method",
            get: |application| &application.allowed_login_methods,
            set: |application, ids| application.allowed_login_methods = ids,
        },
        default: "all login methods",
        example: "[ onetimepin ]",
        is_cloudflares: true,
        diff: DiffRule::Compared,
        risk: None,
        without: "",
    },
    Setting {
        key: "auto_redirect_to_identity",
        summary: "Whether users are redirected to the identity provider without a page on which they \
                  choose it, if the application accepts only this login method.",
        value: SettingValue::Switch {
            get: |application| application.auto_redirect_to_identity,
            set: |application, on| application.auto_redirect_to_identity = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "users choose the login method on a page",
    },
    Setting {
        key: "session_duration",
        summary: "The lifetime of an application token; a policy's own duration takes precedence. With \
                  `0s` each page goes through the login again.",
        value: SettingValue::Duration(|application, duration| {
            application.session_duration = Some(duration);
        }),
        default: "`session_duration` of `access`, or 24h",
        example: "8h",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "tokens live as long as the login",
    },
    Setting {
        key: "http_only_cookie_attribute",
        summary: "Whether the cookie is hidden from scripts of the page.",
        value: SettingValue::Switch {
            get: |application| application.http_only_cookie,
            set: |application, on| application.http_only_cookie = on,
        },
        default: "true",
        example: "false",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: Some(
            "scripts of the page can read the cookie: an injected script can steal the login",
        ),
        without: "scripts cannot read the cookie",
    },
    Setting {
        key: "same_site_cookie_attribute",
        summary: "`SameSite` of the cookie: `none`, `lax` or `strict`.",
        value: SettingValue::SameSite(|application, same_site| {
            application.same_site = Some(same_site);
        }),
        default: "'none'",
        example: "lax",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "browsers also send the cookie from other sites",
    },
    Setting {
        key: "path_cookie_attribute",
        summary: "Whether the cookie is limited to the application's paths, for several applications on \
                  one host.",
        value: SettingValue::Switch {
            get: |application| application.path_cookie,
            set: |application, on| application.path_cookie = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "browsers send the cookie to the whole host",
    },
    Setting {
        key: "enable_binding_cookie",
        summary: "Whether each token requires a second cookie, `CF_Binding`, so that a stolen token alone \
                  opens nothing.",
        value: SettingValue::Switch {
            get: |application| application.binding_cookie,
            set: |application, on| application.binding_cookie = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "a stolen token alone is enough",
    },
    Setting {
        key: "custom_deny_message",
        summary: "The text of the page for users who are logged in and denied.",
        value: SettingValue::Text {
            form: "text",
            pattern: None,
            empty_is_default: true,
            set: |application, message| Ok(application.custom_deny_message(message)),
        },
        default: "the default text",
        example: "Ask the help desk for access.",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "users see the default text",
    },
    Setting {
        key: "custom_deny_url",
        summary: "The page to which browsers of denied users are redirected.",
        value: SettingValue::Text {
            form: "`https://` URL",
            pattern: Some("^https?://"),
            empty_is_default: true,
            set: |application, url| {
                application.custom_deny_url(url).map_err(|error| error.to_string())
            },
        },
        default: "the built-in page",
        example: "https://help.example.com/no-access",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "users see the default page",
    },
    Setting {
        key: "custom_non_identity_deny_url",
        summary: "As `custom_deny_url`, for requests that no login would help.",
        value: SettingValue::Text {
            form: "`https://` URL",
            pattern: Some("^https?://"),
            empty_is_default: true,
            set: |application, url| {
                application.custom_non_identity_deny_url(url).map_err(|error| error.to_string())
            },
        },
        default: "the built-in page",
        example: "https://help.example.com/network",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "users see the default page",
    },
    Setting {
        key: "cors_headers",
        summary: "Which pages of other origins may read responses. Excludes `options_preflight_bypass`.",
        value: SettingValue::Cors(|application, cors| {
            application.cors_headers = Some(Box::new(cors));
        }),
        default: "no other origin",
        example: "{ allowed_origins: [ 'https://app.example.com' ], allowed_methods: [ GET ] }",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "pages of other origins cannot call the application",
    },
    Setting {
        key: "options_preflight_bypass",
        summary: "Whether every `OPTIONS` request reaches the origin without a check.",
        value: SettingValue::Switch {
            get: |application| application.options_preflight_bypass,
            set: |application, on| application.options_preflight_bypass = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::Compared,
        risk: Some(
            "every OPTIONS request reaches the origin without a check: the origin must do nothing but respond",
        ),
        without: "preflight requests have to log in",
    },
    Setting {
        key: "service_auth_401_redirect",
        summary: "Whether requests without a valid credential get 401 instead of 403 if the application has no `allow` policy, and requests with a service token that is not admitted 401 instead of the login.",
        value: SettingValue::Switch {
            get: |application| application.service_auth_401_redirect,
            set: |application, on| application.service_auth_401_redirect = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "programs get 403",
    },
    Setting {
        key: "read_service_tokens_from_header",
        summary: "A header that may hold a service token as JSON, besides the two default ones.",
        value: SettingValue::Text {
            form: "header name",
            pattern: None,
            empty_is_default: true,
            set: |application, name| {
                application.read_service_tokens_from_header(name).map_err(|error| error.to_string())
            },
        },
        default: "only the two default headers",
        example: "Authorization",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: None,
        without: "programs send the two default headers",
    },
    Setting {
        key: "skip_interstitial",
        summary: "Whether `cloudflared access` gets its token without a confirmation by the user. Needs \
                  the feature `cloudflared`.",
        value: SettingValue::Switch {
            get: |application| application.skips_interstitial,
            set: |application, on| application.skips_interstitial = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: true,
        diff: DiffRule::None,
        risk: Some(
            "command-line clients are admitted without a question: an attacker who makes a user open a \
             prepared link is admitted as that user",
        ),
        without: "a user confirms a command-line client",
    },
    spelling(
        Ambiguity::EncodedSlash,
        "Allows `%2F` in paths.",
        "`%2F` is allowed: an origin that treats it as a slash may serve another path than the one that \
         was judged",
    ),
    spelling(
        Ambiguity::DoubledSlash,
        "Allows `//` in paths.",
        "`//` is allowed: an origin that collapses it may serve another path than the one that was judged",
    ),
    spelling(
        Ambiguity::Backslash,
        "Allows backslashes in paths, escaped or not.",
        "backslashes are allowed: an origin that treats them as slashes may serve another path than the \
         one that was judged",
    ),
    spelling(
        Ambiguity::PathParameter,
        "Allows `;` in paths, escaped or not.",
        "`;` is allowed: an origin that cuts path parameters off may serve another path than the one \
         that was judged",
    ),
    spelling(
        Ambiguity::ControlCharacter,
        "Allows escaped control characters in paths.",
        "escaped control characters are allowed: an origin that drops them, or ends the path there, may \
         serve another path than the one that was judged",
    ),
    spelling(
        Ambiguity::DoubleEscape,
        "Allows escapes of escapes (`%2541`) in paths.",
        "escapes of escapes are allowed: an origin that decodes twice may serve another path than the \
         one that was judged",
    ),
    spelling(
        Ambiguity::InvalidEscape,
        "Allows `%` without two hexadecimal digits in paths.",
        "invalid escapes are allowed: an origin may serve another path than the one that was judged",
    ),
    spelling(
        Ambiguity::InvalidUtf8,
        "Allows escapes in paths that are not UTF-8.",
        "escapes that are not UTF-8 are allowed: an origin may read other characters than the ones that \
         were judged",
    ),
    spelling(
        Ambiguity::UnescapedCharacter,
        "Allows characters beyond ASCII in paths without an escape.",
        "characters beyond ASCII are allowed without an escape: an origin may read other characters than \
         the ones that were judged",
    ),
    Setting {
        key: "insecure_case_sensitive_origin",
        summary: "States that the origin distinguishes paths that differ in letter case alone, so that \
                  they are not refused.",
        value: SettingValue::Switch {
            get: |application| application.case_sensitive_origin,
            set: |application, on| application.case_sensitive_origin = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: false,
        diff: DiffRule::PathsNotCompared,
        risk: Some(
            "paths that differ from those of another application in letter case alone are allowed: an \
             origin that ignores letter case serves them under the wrong policies",
        ),
        without: "",
    },
    Setting {
        key: "insecure_allow_shared_caching",
        summary: "Allows shared caches to store responses that the origin marks for them.",
        value: SettingValue::Switch {
            get: |application| application.allows_shared_caching,
            set: |application, on| application.allows_shared_caching = on,
        },
        default: "false",
        example: "true",
        is_cloudflares: false,
        diff: DiffRule::None,
        risk: Some(
            "caches in front may store what the origin marks as `public`, and serve it to users whom no \
             policy admits",
        ),
        without: "",
    },
];

const fn spelling(kind: Ambiguity, summary: &'static str, risk: &'static str) -> Setting {
    Setting {
        key: kind.setting(),
        summary,
        value: SettingValue::Spelling(kind),
        default: "false",
        example: "true",
        is_cloudflares: false,
        diff: DiffRule::PathsNotCompared,
        risk: Some(risk),
        without: "",
    }
}

fn not_empty<'t>(key: &str, text: &'t str) -> Result<&'t str, String> {
    if text.is_empty() {
        return Err(format!("`{key}` is empty; write a text or leave it out"));
    }
    Ok(text)
}
