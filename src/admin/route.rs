//! Which request asks for what: exact segments, exact methods.

use http::Method;
use percent_encoding::percent_decode_str;

use super::service_tokens::ServiceTokenAction;

/// What can be asked for.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// Ends all sessions of a person, whom the body names.
    RevokePerson,
    /// Voids the tokens of the application that is called so.
    RevokeApplication(String),
    /// Ends one session.
    RevokeSession(String),
    /// Ends everything.
    RevokeEverybody,
    /// Lists the sessions of the person with this address.
    Sessions(String),
    /// Tells how the keys stand.
    Keys,
    /// Replaces the signing key.
    RotateKeys,
    /// Looks after service tokens.
    ServiceTokens(ServiceTokenAction),
    /// Reads the file again.
    Reload,
    /// Tells how all stands.
    Health,
}

impl Action {
    /// What a path asks for, with this method where there are several. Segments of ours are compared
    /// as they arrived.
    pub(super) fn of_path(path: &str, method: &Method) -> Option<Self> {
        use ServiceTokenAction as Token;

        let mut segments = [""; MOST_SEGMENTS];
        let mut count = 0;
        for segment in path.strip_prefix('/')?.split('/') {
            *segments.get_mut(count)? = segment;
            count += 1;
        }
        match segments.get(..count)? {
            ["access", "organizations", "revoke_user"] => Some(Self::RevokePerson),
            ["access", "apps", called, "revoke_tokens"] => {
                named(called).map(Self::RevokeApplication)
            }
            ["access", "sessions", id] => named(id).map(Self::RevokeSession),
            ["access", "revoke_everybody"] => Some(Self::RevokeEverybody),
            ["access", "users", email, "active_sessions"] => named(email).map(Self::Sessions),
            ["access", "keys"] => Some(Self::Keys),
            ["access", "keys", "rotate"] => Some(Self::RotateKeys),
            ["access", "service_tokens"] => Some(Self::ServiceTokens(match *method {
                Method::POST => Token::Create,
                _ => Token::List,
            })),
            ["access", "service_tokens", id] => named(id).map(|id| {
                Self::ServiceTokens(match *method {
                    Method::DELETE => Token::Delete(id),
                    _ => Token::Change(id),
                })
            }),
            ["access", "service_tokens", id, "rotate"] => {
                named(id).map(|id| Self::ServiceTokens(Token::Rotate(id)))
            }
            ["access", "service_tokens", id, "refresh"] => {
                named(id).map(|id| Self::ServiceTokens(Token::Refresh(id)))
            }
            ["reload"] => Some(Self::Reload),
            ["health"] => Some(Self::Health),
            _ => None,
        }
    }

    /// How it is asked for.
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
            | Self::RevokePerson
            | Self::RevokeApplication(_)
            | Self::RevokeEverybody
            | Self::RotateKeys
            | Self::Reload => Method::POST,
        }
    }

    /// All methods its path has.
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

    /// Whether the body says what exactly is asked for.
    pub(super) fn has_body(&self) -> bool {
        use ServiceTokenAction as Token;

        matches!(
            self,
            Self::RevokePerson
                | Self::ServiceTokens(Token::Create | Token::Change(_) | Token::Rotate(_))
        )
    }

    /// Its name in the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::RevokePerson => "revoke_person",
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

/// A name in a path. What could be read as more than one segment is none.
fn named(segment: &str) -> Option<String> {
    let name = percent_decode_str(segment).decode_utf8().ok()?;
    let is_plain = !name.contains(['/', '\\']) && !name.contains(char::is_control);
    (1..=LONGEST_NAME).contains(&name.len()).then_some(())?;
    (is_plain && name != "." && name != "..").then(|| name.into_owned())
}

const MOST_SEGMENTS: usize = 4;
/// Bytes: an address has 254.
const LONGEST_NAME: usize = 512;

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
            assert_eq!(Action::of_path(path, &action.method()).as_ref(), Some(&action), "{path}");
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
            assert_eq!(Action::of_path(path, &Method::GET), None, "{path}");
        }
        let long = format!("/access/sessions/{}", "x".repeat(513));
        assert_eq!(Action::of_path(&long, &Method::DELETE), None);
    }
}
