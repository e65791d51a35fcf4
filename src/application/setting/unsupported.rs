//! Cloudflare's settings of an application that this program does not support.

/// A setting of Cloudflare's without an effect here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsupported {
    pub(crate) key: &'static str,
    pub(crate) support: Support,
    /// A field of the value that switches it off, and the value of that field.
    pub(crate) off: Option<(&'static str, bool)>,
}

/// What it means that a setting is not supported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Support {
    /// Ignoring it changes neither who is admitted nor which pages users see. It is noted.
    Ignored(&'static str),
    /// Ignoring it would change that: only its off value is accepted. With the reason, and the effect of
    /// an import that leaves it out; `None` where the import closes the application.
    Refused { reason: &'static str, without: Option<&'static str> },
    /// It depends on the hosts of the application. With the effect of an import that leaves it out.
    DependsOnHosts { without: &'static str },
}

const fn ignored(key: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { key, support: Support::Ignored(reason), off: None }
}

const fn refused(key: &'static str, without: &'static str, reason: &'static str) -> Unsupported {
    Unsupported { key, support: Support::Refused { reason, without: Some(without) }, off: None }
}

/// All of them.
pub(crate) const UNSUPPORTED: &[Unsupported] = &[
    ignored("app_launcher_visible", NO_LAUNCHER),
    ignored("logo_url", NO_LAUNCHER),
    ignored("tags", NO_LAUNCHER),
    ignored("use_clientless_isolation_app_launcher_url", NO_LAUNCHER),
    ignored("created_at", "a timestamp of Cloudflare's dashboard"),
    ignored("updated_at", "a timestamp of Cloudflare's dashboard"),
    ignored("uid", "an older name of `id`; write `id` if other settings refer to it"),
    Unsupported {
        off: Some(("enabled", false)),
        ..ignored(
            "scim_config",
            "accounts are not provisioned from here: let the identity provider do it, or former \
             users keep their account in the application",
        )
    },
    Unsupported {
        key: "eager_redirect_cookie_setting",
        support: Support::DependsOnHosts {
            without: "each host sets its cookie on the first visit",
        },
        off: None,
    },
    refused(
        "custom_pages",
        "users see the default pages",
        "pages stored at Cloudflare are not available; write `custom_deny_message`, or the URL of your own \
         page as `custom_deny_url` and `custom_non_identity_deny_url`",
    ),
    Unsupported {
        off: Some(("enabled", false)),
        ..refused(
            "oauth_configuration",
            "programs need a service token",
            "an authorization server is not supported; leave it out (or write `enabled: false`), and give \
             programs a service token",
        )
    },
    refused(
        "allow_authenticate_via_warp",
        "users log in",
        "sessions of the device client cannot be checked here; leave it out, and users log in",
    ),
    refused(
        "allow_iframe",
        "the login does not appear in frames",
        "the login never appears in a frame, because the page around it could trick users into clicking \
         hidden buttons; leave it out, and let a framed page open the login in a window of its own",
    ),
    Unsupported {
        key: "mfa_config",
        support: Support::Refused {
            reason: "a second factor is not supported, and without it more users would \
                     be admitted; leave it out (or write `mfa_disabled: true`) if a login is enough",
            without: None,
        },
        off: Some(("mfa_disabled", true)),
    },
];

const NO_LAUNCHER: &str = "an app launcher is not supported";
