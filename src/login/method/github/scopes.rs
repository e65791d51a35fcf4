//! The scopes that a user has granted.

/// Scopes, separated by commas as GitHub does, or by spaces as RFC 6749 does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Scopes(Vec<Box<str>>);

impl Scopes {
    pub(super) fn parse(text: &str) -> Self {
        let scopes = text.split([',', ' ']).map(str::trim).filter(|scope| !scope.is_empty());
        Self(scopes.map(Box::from).collect())
    }

    pub(super) fn from_list(scopes: &[Box<str>]) -> Self {
        Self(scopes.to_vec())
    }

    /// Returns whether they include the user's organizations and teams: without, GitHub's lists of
    /// these lack private memberships, and the list of teams is empty.
    pub(super) fn include_organizations(&self) -> bool {
        // The wider ones include `read:org`.
        self.0.iter().any(|scope| matches!(&**scope, "read:org" | "write:org" | "admin:org"))
    }
}

/// The scopes to ask for. `read:org` is always among them, so that no user has to log in again when
/// the first rule about organizations is written.
pub(super) const WANTED: &str = "read:user user:email read:org";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_separated_by_commas_or_spaces() {
        for (text, includes) in [
            ("read:org,read:user,user:email", true),
            ("read:user, read:org", true),
            (WANTED, true),
            ("admin:org", true),
            ("", false),
            ("read:user,user:email", false),
            ("read:organization", false),
            ("READ:ORG", false),
            ("user;read:org", false),
        ] {
            assert_eq!(Scopes::parse(text).include_organizations(), includes, "{text}");
        }
    }
}
