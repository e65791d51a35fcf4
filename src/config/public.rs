//! What a file leaves open, and what it leaves closed.

use std::collections::HashSet;
use std::fmt;

use crate::application::{CanonicalHost, Destination, Router};
use crate::policy::{Conditions, Facts, Policies, Policy, Rule};

use super::settings::{Config, Role};

/// A host and path that somebody reaches without proving anything: a `bypass` policy, or a
/// `non_identity` policy that asks for no service token, opens it.
///
/// Displayed as `example.com/public — open to everyone (policy `open`)`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PublicDestination {
    /// The host and path.
    pub destination: String,
    /// The policy that opens it.
    pub policy: String,
    /// Whether everyone may pass; otherwise only who meets the policy's rules.
    pub to_everyone: bool,
    /// The selectors of the policy.
    pub selectors: Vec<&'static str>,
}

impl fmt::Display for PublicDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, policy, .. } = self;
        if self.to_everyone {
            write!(f, "{destination} — open to everyone (policy `{policy}`)")
        } else {
            let selectors = self.selectors.join(", ");
            write!(f, "{destination} — open to some without login (policy `{policy}`: {selectors})")
        }
    }
}

impl Config {
    /// The destinations that are open to somebody who proves nothing.
    #[must_use]
    pub fn public(&self) -> Vec<PublicDestination> {
        let mut found = Vec::new();
        for application in &self.access.applications {
            for policy in &application.policies {
                if !self.opens_without_proof(policy) {
                    continue;
                }
                let to_everyone = self.opens_to_everyone(policy);
                found.extend(application.destinations().iter().map(|destination| {
                    PublicDestination {
                        destination: destination.to_string(),
                        policy: policy.name.to_string(),
                        to_everyone,
                        selectors: selectors(policy),
                    }
                }));
            }
        }
        found
    }

    /// The hostnames of `ingress` that no application covers: they stay closed.
    ///
    /// Those of the login itself (`team_domain`, `transfer_host`) need no application.
    /// A `*.example.com` is among them when no application covers any host below `example.com`.
    #[must_use]
    pub fn closed(&self) -> Vec<&str> {
        let applications = self.access.applications.iter();
        let destinations: Vec<&Destination> =
            applications.flat_map(|application| application.destinations()).collect();
        let covered = Router::new(destinations.iter().map(|one| ((*one).clone(), ())));
        let is_covered = |hostname: &str| {
            let hostname = hostname.to_ascii_lowercase();
            let hostname = hostname.strip_suffix('.').unwrap_or(&hostname);
            match hostname.strip_prefix('*') {
                None => covered.as_ref().is_ok_and(|router| router.knows_host(hostname)),
                Some(below) => destinations.iter().any(|destination| {
                    let text = destination.to_string();
                    text.split('/').next().is_some_and(|host| host.ends_with(below))
                }),
            }
        };
        let mut seen = HashSet::new();
        self.ingress
            .iter()
            .filter_map(|rule| rule.hostname.as_deref())
            .filter(|hostname| seen.insert(*hostname) && !is_covered(hostname))
            .filter(|hostname| !self.is_of_login(hostname))
            .collect()
    }

    fn is_of_login(&self, hostname: &str) -> bool {
        let Role::Issuing { team_domain, transfer_host, .. } = &self.access.role else {
            return false;
        };
        let Ok(hostname) = hostname.parse::<CanonicalHost>() else { return false };
        team_domain.as_ref().is_some_and(|team| team.to_string() == hostname.as_str())
            || transfer_host.as_ref() == Some(&hostname)
    }

    fn opens_without_proof(&self, policy: &Policy) -> bool {
        Policies::compile(std::slice::from_ref(policy), &self.access.definitions)
            .is_ok_and(|compiled| compiled.open_without_proof().next().is_some())
    }

    /// Whether somebody of whom nothing is known passes, or the whole Internet is named.
    fn opens_to_everyone(&self, policy: &Policy) -> bool {
        let Conditions { include, require, exclude } = &policy.conditions;
        let everywhere = require.is_empty()
            && exclude.is_empty()
            && include
                .iter()
                .any(|rule| matches!(rule, Rule::Ip(network) if network.prefix_len() == 0));
        let unconditional =
            Policies::compile(std::slice::from_ref(policy), &self.access.definitions)
                .is_ok_and(|compiled| compiled.evaluate(&Facts::default()).outcome().opens());
        everywhere || unconditional
    }
}

fn selectors(policy: &Policy) -> Vec<&'static str> {
    let mut found = Vec::new();
    for rule in policy.conditions.rules() {
        let key = rule.selector().key();
        if !found.contains(&key) {
            found.push(key);
        }
    }
    found
}
