//! The organizations and teams of a user.
//!
//! A list that GitHub does not give whole is never taken for a whole one: otherwise a user who is in an
//! organization would seem not to be in it.
//!
//! | what GitHub does | organizations | teams |
//! | --- | --- | --- |
//! | gives all pages | known | known |
//! | has more pages than are read (1,000 entries) | those of the pages are known, others unknown | unknown |
//! | hides organizations, as the user has not logged in to them by SAML (`X-GitHub-SSO`) | those of the list are known, others unknown | those of hidden organizations are unknown |
//! | refuses to answer (403) | unknown | unknown |
//! | does not answer, or sends what cannot be read | the login fails | the login fails |

use std::collections::HashMap;

use serde::Deserialize;

use super::api::{Api, ApiError, Hidden, List, Reason};
use crate::identity::{Attributes, Organization};
use crate::secret::SecretText;

/// The organizations that a user is a member of, and the teams in them. `Default`: unknown.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Memberships {
    organizations: Option<Vec<Organization>>,
    /// Whether there may be further organizations.
    is_partial: bool,
}

#[derive(Deserialize)]
struct ListedOrganization {
    id: u64,
    login: Box<str>,
}

#[derive(Deserialize)]
struct ListedTeam {
    /// The name in URLs, which GitHub derives from the name and keeps unique. The name itself is not
    /// compared: whoever can create teams could choose one that looks like another.
    slug: Box<str>,
    organization: ListedOrganization,
}

/// Asks for the memberships of the user of a token.
pub(super) async fn of_token(api: &Api, token: &SecretText) -> Result<Memberships, ApiError> {
    let Some(organizations) = list(api, token, ORGANIZATIONS).await? else {
        return Ok(Memberships::default());
    };
    let teams = list(api, token, TEAMS).await?;
    let memberships = merged(organizations, teams);
    if memberships.is_partial {
        tracing::warn!(
            "GitHub has not told all organizations of a user: rules about others open nothing until the \
             user has logged in to them at GitHub by SAML"
        );
    }
    Ok(memberships)
}

/// Asks for a list; `None` if GitHub refuses to give it.
async fn list<T: serde::de::DeserializeOwned>(
    api: &Api,
    token: &SecretText,
    path: &'static str,
) -> Result<Option<List<T>>, ApiError> {
    match api.list(path, token).await {
        Ok(list) => Ok(Some(list)),
        Err(error) if matches!(error.reason, Reason::Forbidden) => {
            tracing::warn!(
                path,
                "GitHub refuses to list the organizations or teams of a user: rules about them open nothing"
            );
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn merged(organizations: List<ListedOrganization>, teams: Option<List<ListedTeam>>) -> Memberships {
    let is_partial = organizations.has_more || organizations.hidden != Hidden::None;
    let mut by_id: HashMap<u64, Vec<Box<str>>> = HashMap::new();
    let (are_listed, hidden) = match &teams {
        Some(teams) => (!teams.has_more, teams.hidden.clone()),
        None => (false, Hidden::Unknown),
    };
    for team in teams.into_iter().flat_map(|teams| teams.items) {
        by_id.entry(team.organization.id).or_default().push(team.slug);
    }
    let knows_teams = |id: u64| match &hidden {
        Hidden::None => are_listed,
        Hidden::Some(ids) => are_listed && !ids.contains(&id),
        Hidden::Unknown => false,
    };
    let organizations = organizations.items.into_iter().map(|organization| Organization {
        teams: knows_teams(organization.id)
            .then(|| by_id.remove(&organization.id).unwrap_or_default()),
        name: organization.login,
    });
    Memberships { organizations: Some(organizations.collect()), is_partial }
}

impl Memberships {
    pub(super) fn write_to(self, attributes: &mut Attributes) {
        attributes.organizations = self.organizations;
        attributes.organizations_are_partial = self.is_partial;
    }
}

const ORGANIZATIONS: &str = "user/orgs";
const TEAMS: &str = "user/teams";

#[cfg(test)]
mod tests {
    use super::*;

    fn organizations() -> List<ListedOrganization> {
        let listed = |id, login: &str| ListedOrganization { id, login: login.into() };
        let items = vec![listed(1, "Acme"), listed(2, "bigcorp"), listed(3, "club")];
        List { items, has_more: false, hidden: Hidden::None }
    }

    fn teams() -> List<ListedTeam> {
        let team = |id, slug: &str| ListedTeam {
            slug: slug.into(),
            organization: ListedOrganization { id, login: "renamed".into() },
        };
        let items = vec![team(1, "ops"), team(2, "staff"), team(1, "dev"), team(7, "ops")];
        List { items, has_more: false, hidden: Hidden::None }
    }

    /// An organization, and its teams if they are known.
    type Known = (Box<str>, Option<Vec<Box<str>>>);

    fn known(memberships: Memberships) -> (Vec<Known>, bool) {
        let organizations = memberships.organizations.unwrap();
        let all = organizations.into_iter().map(|it| (it.name, it.teams)).collect();
        (all, memberships.is_partial)
    }

    fn organization(name: &str, teams: Option<&[&str]>) -> Known {
        (name.into(), teams.map(|teams| teams.iter().map(|team| (*team).into()).collect()))
    }

    #[test]
    fn teams_belong_to_their_organization() {
        let expected = vec![
            organization("Acme", Some(&["ops", "dev"])),
            organization("bigcorp", Some(&["staff"])),
            organization("club", Some(&[])),
        ];
        assert_eq!(known(merged(organizations(), Some(teams()))), (expected, false));
    }

    #[test]
    fn pol_07_what_is_hidden_or_cut_off_is_unknown() {
        let all = |of_two: Option<&[&str]>| {
            vec![
                organization("Acme", Some(&["ops", "dev"])),
                organization("bigcorp", of_two),
                organization("club", Some(&[])),
            ]
        };
        // An organization is hidden from both lists.
        let hidden = || Hidden::Some(vec![9, 2]);
        let memberships = merged(
            List { hidden: hidden(), ..organizations() },
            Some(List { hidden: hidden(), ..teams() }),
        );
        assert_eq!(known(memberships), (all(None), true));
        // Only its teams are.
        let memberships = merged(organizations(), Some(List { hidden: hidden(), ..teams() }));
        assert_eq!(known(memberships), (all(None), false));
        // More pages of organizations than are read.
        let memberships = merged(List { has_more: true, ..organizations() }, Some(teams()));
        assert_eq!(known(memberships), (all(Some(&["staff"])), true));
        // No team is known to be absent.
        let none = || {
            vec![
                organization("Acme", None),
                organization("bigcorp", None),
                organization("club", None),
            ]
        };
        for teams in [
            None,
            Some(List { has_more: true, ..teams() }),
            Some(List { hidden: Hidden::Unknown, ..teams() }),
        ] {
            assert_eq!(known(merged(organizations(), teams)), (none(), false));
        }
    }
}
