//! What is known of well-known providers, as data.
//!
//! # Whose word counts for an email address
//!
//! An address is the user's only if the provider says that it has verified it, or that it manages it.
//! An absent statement is none.
//!
//! | provider | the address is the user's if |
//! | --- | --- |
//! | Google | `email_verified` is true. Google manages the addresses of Gmail and of Workspace; others were verified once, when they were added to the account |
//! | Google Workspace | `email_verified` is true, and the ID token's `hd` is the configured domain |
//! | Okta, Keycloak, Auth0, GitLab, OneLogin, PingOne, any other | `email_verified` is true (or the text `true`, which some providers send) |
//! | Microsoft Entra | `xms_edov` is true (or 1): the domain of the address is verified by the tenant; or `verified_primary_email` or `verified_secondary_email` contain it. `email` alone is nobody's proof: a tenant's administrator can write any address |
//!
//! An address in a claim other than `email` is nobody's, because these statements are about `email`.
//! `dangerous_trust_unverified_email` accepts every address of a provider.

/// What is known of a provider.
#[derive(Debug)]
pub(super) struct Preset {
    /// The type, as of Cloudflare's identity providers.
    pub(super) kind: &'static str,
    /// The name that users see, unless another is set.
    pub(super) name: &'static str,
    pub(super) scopes: &'static [&'static str],
    pub(super) email: EmailProof,
    /// Whether the provider returns groups, and what a group that is a text is.
    pub(super) groups: Option<GroupText>,
    /// Whether the userinfo endpoint has claims that an ID token may lack.
    pub(super) asks_userinfo: bool,
    /// How to request a refresh token, where it is not returned anyway.
    pub(super) offline: Offline,
}

/// What proves that an address is the user's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EmailProof {
    /// `email_verified`.
    EmailVerified,
    /// `xms_edov`, `verified_primary_email` or `verified_secondary_email`.
    VerifiedDomain,
}

/// What a group is if it is a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GroupText {
    Id,
    Name,
}

/// How to request a refresh token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offline {
    /// By the scope `offline_access`.
    Scope,
    /// By parameters of the authorization request.
    Parameters(&'static [(&'static str, &'static str)]),
    /// It is always returned.
    Always,
}

const USUAL_SCOPES: &[&str] = &["openid", "email", "profile"];

const GENERIC: Preset = Preset {
    kind: "oidc",
    name: "OpenID Connect",
    scopes: USUAL_SCOPES,
    email: EmailProof::EmailVerified,
    groups: Some(GroupText::Name),
    asks_userinfo: true,
    offline: Offline::Scope,
};

pub(super) static OIDC: Preset = GENERIC;

pub(super) static GOOGLE: Preset = ANY_GOOGLE;

pub(super) static GOOGLE_WORKSPACE: Preset = Preset { kind: "google-apps", ..ANY_GOOGLE };

const ANY_GOOGLE: Preset = Preset {
    kind: "google",
    name: "Google",
    // Groups are not in Google's claims.
    groups: None,
    offline: Offline::Parameters(&[("access_type", "offline"), ("prompt", "consent")]),
    ..GENERIC
};

/// An organization's own authorization server has the scope `groups`.
pub(super) static OKTA: Preset = Preset {
    kind: "okta",
    name: "Okta",
    scopes: &["openid", "email", "profile", "groups"],
    ..GENERIC
};

/// A custom authorization server refuses scopes that it does not define.
pub(super) static OKTA_CUSTOM: Preset = Preset { kind: "okta", name: "Okta", ..GENERIC };

pub(super) static ENTRA: Preset = Preset {
    kind: "azureAD",
    name: "Microsoft",
    email: EmailProof::VerifiedDomain,
    groups: Some(GroupText::Id),
    // It has none of these claims.
    asks_userinfo: false,
    ..GENERIC
};

/// A refresh token of the login's own session is always returned; `offline_access` would be one that
/// outlives a logout.
pub(super) static KEYCLOAK: Preset =
    Preset { name: "Keycloak", offline: Offline::Always, ..GENERIC };

pub(super) static AUTH0: Preset = Preset { name: "Auth0", ..GENERIC };

pub(super) static GITLAB: Preset = Preset { name: "GitLab", offline: Offline::Always, ..GENERIC };

pub(super) static ONELOGIN: Preset = Preset {
    kind: "onelogin",
    name: "OneLogin",
    scopes: &["openid", "email", "profile", "groups"],
    offline: Offline::Always,
    ..GENERIC
};

pub(super) static PINGONE: Preset = Preset { kind: "pingone", name: "PingOne", ..GENERIC };
