//! The actions, and their paths and methods, which have to match exactly.

use http::Method;
use percent_encoding::percent_decode_str;

use super::service_tokens::ServiceTokenAction;

/// An action.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// Revokes all sessions of the user in the body.
    RevokeUser,
    /// Revokes the tokens of the application with this id, audience tag or name.
    RevokeApplication(String),
    /// Revokes one session.
    RevokeSession(String),
    /// Revokes everything.
    RevokeEverybody,
    /// Lists the sessions of the user with this email address.
    Sessions(String),
    /// Returns the state of the signing keys.
    Keys,
    /// Rotates the signing key.
    RotateKeys,
    /// Administers service tokens.
    ServiceTokens(ServiceTokenAction),
    /// Reloads the file.
    Reload,
    /// Returns the state of the proxy.
    Health,
}

impl Action {
    /// Returns the action of a path, by method if the path has several. Fixed segments are compared as
    /// they arrived.
    pub(super) fn from_path(path: &str, method: &Method) -> Option<Self> {
        use ServiceTokenAction as Token;

        let mut segments = [""; MAX_SEGMENTS];
        let mut count = 0;
        for segment in path.strip_prefix('/')?.split('/') {
            *segments.get_mut(count)? = segment;
            count += 1;
        }
        match segments.get(..count)? {
            ["access", "organizations", "revoke_user"] => Some(Self::RevokeUser),
            ["access", "apps", name, "revoke_tokens"] => decoded(name).map(Self::RevokeApplication),
            ["access", "sessions", id] => decoded(id).map(Self::RevokeSession),
            ["access", "revoke_everybody"] => Some(Self::RevokeEverybody),
            ["access", "users", email, "active_sessions"] => decoded(email).map(Self::Sessions),
            ["access", "keys"] => Some(Self::Keys),
            ["access", "keys", "rotate"] => Some(Self::RotateKeys),
            ["access", "service_tokens"] => Some(Self::ServiceTokens(match *method {
                Method::POST => Token::Create,
                _ => Token::List,
            })),
            ["access", "service_tokens", id] => decoded(id).map(|id| {
                Self::ServiceTokens(match *method {
                    Method::DELETE => Token::Delete(id),
                    _ => Token::Change(id),
                })
            }),
            ["access", "service_tokens", id, "rotate"] => {
                decoded(id).map(|id| Self::ServiceTokens(Token::Rotate(id)))
            }
            ["access", "service_tokens", id, "refresh"] => {
                decoded(id).map(|id| Self::ServiceTokens(Token::Refresh(id)))
            }
            ["reload"] => Some(Self::Reload),
            ["health"] => Some(Self::Health),
            _ => None,
        }
    }

    /// Returns the method of the action.
    pub(super) fn method(&self) -> Method {
        match self {
            Self::Sessions(_)
            | Self::Keys
            | Self::Health
            | Self::ServiceTokens(ServiceTokenAction::List) => Method::GET,
            Self::ServiceTokens(ServiceTokenAction::Change(_)) => Method::PUT,
            Self::RevokeSession(_) | Self::ServiceTokens(ServiceTokenAction::Delete(_)) => {
                Method::DELETE
            }
            Self::ServiceTokens(
                ServiceTokenAction::Create
                | ServiceTokenAction::Rotate(_)
                | ServiceTokenAction::Refresh(_),
            )
            | Self::RevokeUser
            | Self::RevokeApplication(_)
            | Self::RevokeEverybody
            | Self::RotateKeys
            | Self::Reload => Method::POST,
        }
    }

    /// Returns all methods of its path.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Self::ServiceTokens(ServiceTokenAction::List | ServiceTokenAction::Create) => {
                "GET, POST"
            }
            Self::ServiceTokens(ServiceTokenAction::Change(_) | ServiceTokenAction::Delete(_)) => {
                "PUT, DELETE"
            }
            other if other.method() == Method::GET => "GET",
            Self::RevokeSession(_) => "DELETE",
            _ => "POST",
        }
    }

    /// Returns whether the action reads the body.
    pub(super) fn has_body(&self) -> bool {
        use ServiceTokenAction as Token;

        matches!(
            self,
            Self::RevokeUser
                | Self::ServiceTokens(Token::Create | Token::Change(_) | Token::Rotate(_))
        )
    }

    /// Returns its name in the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::RevokeUser => "revoke_person",
            Self::RevokeApplication(_) => "revoke_application",
            Self::RevokeSession(_) => "revoke_session",
            Self::RevokeEverybody => "revoke_everybody",
            Self::Sessions(_) => "list_sessions",
            Self::Keys => "show_keys",
            Self::RotateKeys => "rotate_keys",
            Self::ServiceTokens(action) => match action {
                ServiceTokenAction::List => "list_service_tokens",
                ServiceTokenAction::Create => "create_service_token",
                ServiceTokenAction::Change(_) => "change_service_token",
                ServiceTokenAction::Rotate(_) => "rotate_service_token",
                ServiceTokenAction::Refresh(_) => "refresh_service_token",
                ServiceTokenAction::Delete(_) => "delete_service_token",
            },
            Self::Reload => "reload",
            Self::Health => "health",
        }
    }
}

/// Decodes a name in a path; `None` if it could be read as more than one segment.
fn decoded(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = !name.contains(['/', '\\']) && !name.contains(char::is_control);
    (1..=MAX_NAME).contains(&name.len()).then_some(())?;
    (is_plain && name != "." && name != "..").then(|| name.into_owned())
}

const MAX_SEGMENTS: usize = 4;
/// Bytes: an email address has at most 254.
const MAX_NAME: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfg_05_paths_are_compared_segment_by_segment() {
        for (path, action) in [
            ("/health", Action::Health),
            ("/access/keys", Action::Keys),
            ("/access/keys/rotate", Action::RotateKeys),
            ("/access/apps/My%20wiki/revoke_tokens", Action::RevokeApplication("My wiki".into())),
            ("/access/apps/01/revoke_tokens", Action::RevokeApplication("01".into())),
            (
                "/access/users/a%2Bb%40c.example/active_sessions",
                Action::Sessions("a+b@c.example".into()),
            ),
            ("/access/sessions/x_-1", Action::RevokeSession("x_-1".into())),
            ("/access/service_tokens", Action::ServiceTokens(ServiceTokenAction::List)),
            ("/access/service_tokens", Action::ServiceTokens(ServiceTokenAction::Create)),
            (
                "/access/service_tokens/a-1",
                Action::ServiceTokens(ServiceTokenAction::Delete("a-1".into())),
            ),
            (
                "/access/service_tokens/a-1/rotate",
                Action::ServiceTokens(ServiceTokenAction::Rotate("a-1".into())),
            ),
        ] {
            assert_eq!(Action::from_path(path, &action.method()).as_ref(), Some(&action), "{path}");
        }
        for path in [
            "",
            "/",
            "*",
            "health",
            "/health2",
            "/health/",
            "//health",
            "/Health",
            "/%68ealth",
            "/health%2f",
            "/x/../health",
            "/access/keys2",
            "/access/keysrotate",
            "/access%2Fkeys",
            "/access//keys",
            "/access/keys/rotate/now",
            "/access/keys/rotate/now/and/then",
            "/access/apps//revoke_tokens",
            "/access/apps/a%2Fb/revoke_tokens",
            "/access/apps/a%5Cb/revoke_tokens",
            "/access/apps/a/b/revoke_tokens",
            "/access/apps/%2e%2e/revoke_tokens",
            "/access/apps/a%00/revoke_tokens",
            "/access/apps/a%0a/revoke_tokens",
            "/access/apps/%ff/revoke_tokens",
            "/access/sessions/",
        ] {
            assert_eq!(Action::from_path(path, &Method::GET), None, "{path}");
        }
        let long = format!("/access/sessions/{}", "x".repeat(513));
        assert_eq!(Action::from_path(&long, &Method::DELETE), None);
    }
}
