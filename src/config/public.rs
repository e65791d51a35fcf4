//! Which destinations of a file are open without proof, and which hostnames stay closed.

use std::collections::HashSet;
use std::fmt;

use crate::application::{CanonicalHost, Destination, Router};
use crate::policy::{Conditions, Facts, Policies, Policy, Rule};

use super::settings::{Config, Role};

/// A host and path that is open to requests without a credential: by a `bypass` policy, or by a
/// `non_identity` policy that requires no service token.
///
/// Displayed as `example.com/public — open to everyone (policy `open`)`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct PublicDestination {
    /// The host and path.
    pub destination: String,
    /// The policy that opens it.
    pub policy: String,
    /// Whether it is open to everyone; otherwise only to those who meet the policy's rules.
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
    /// Returns the destinations that are open to requests without a credential.
    #[must_use]
    pub fn public_destinations(&self) -> Vec<PublicDestination> {
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

    /// Returns the hostnames of `ingress` that no application covers: they stay closed.
    ///
    /// The hosts of the login itself (`team_domain`, `transfer_host`) need no application.
    /// `*.example.com` is listed if no application covers any host below `example.com`.
    #[must_use]
    pub fn uncovered_hostnames(&self) -> Vec<&str> {
        let applications = self.access.applications.iter();
        let destinations: Vec<&Destination> =
            applications.flat_map(|application| application.destinations()).collect();
        let covered = Router::new(destinations.iter().map(|one| ((*one).clone(), ())));
        let is_covered = |hostname: &str| {
            let hostname = hostname.to_ascii_lowercase();
            let hostname = hostname.strip_suffix('.').unwrap_or(&hostname);
            match hostname.strip_prefix('*') {
                None => covered.as_ref().is_ok_and(|router| router.has_host(hostname)),
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
            .filter(|hostname| !self.is_login_host(hostname))
            .collect()
    }

    fn is_login_host(&self, hostname: &str) -> bool {
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

    /// Whether a request without any facts is allowed, or a rule names the whole Internet.
    fn opens_to_everyone(&self, policy: &Policy) -> bool {
        let Conditions { include, require, exclude } = &policy.conditions;
        let everywhere = require.is_empty()
            && exclude.is_empty()
            && include
                .iter()
                .any(|rule| matches!(rule, Rule::Ip(network) if network.prefix_len() == 0));
        let unconditional =
            Policies::compile(std::slice::from_ref(policy), &self.access.definitions).is_ok_and(
                |compiled| compiled.evaluate(&Facts::default()).outcome().grants_access(),
            );
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
