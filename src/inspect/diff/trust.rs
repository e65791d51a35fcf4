//! What decides whom to believe. It is no policy, and a change of it means more than one request
//! could show: it is said, and not compared further.

use crate::application::Audience;
use crate::config::{Config, Role};
use crate::inspect::Deployment;
use crate::policy::Evaluator;

use super::report::Undecided;

/// One entry for each setting that differs.
pub(super) fn changed(old: &Deployment, new: &Deployment) -> Vec<Undecided> {
    let (one, two) = (old.config(), new.config());
    let mut found = Vec::new();
    let mut say = |differs: bool, what: &str| {
        if differs {
            found.push(Undecided { applications: Vec::new(), reason: what.to_owned() });
        }
    };
    say(
        issuer(&one.access.role) != issuer(&two.access.role),
        "`access.issuer` differs: whose tokens count, and how they are verified, was not compared",
    );
    say(
        one.trusted_proxies != two.trusted_proxies,
        "`trusted_proxies` differs: who may say which address, country or certificate a request \
         has was not compared",
    );
    say(
        one.public_addresses != two.public_addresses,
        "`public_port`, `public_ports` or `insecure_public_scheme` differs: tokens name another \
         issuer where a host has another address, and everybody logs in again there",
    );
    say(
        one.access.facts != two.access.facts,
        "`access.facts` differs: who says which country or certificate a request has was not \
         compared",
    );
    say(
        one.access.strict_service_token_auth != two.access.strict_service_token_auth,
        "`access.strict_service_token_auth` differs: what a request shows beside a service token \
         counts in one of the two, and was not compared",
    );
    say(
        audiences(one, two) != audiences(two, one),
        "an application's `aud` differs: tokens made for another audience count there now, and \
         those made before do not",
    );
    say(
        evaluators(old, new) != evaluators(new, old),
        "an evaluator's `keys_url` differs: whose answers count was not compared",
    );
    found
}

/// Returns all that a verifying role says; nothing where tokens are issued.
fn issuer(role: &Role) -> Option<impl PartialEq> {
    match role {
        Role::Verifying {
            team_domain,
            certs_url,
            algorithms,
            get_identity,
            leeway,
            key_refresh,
        } => Some((team_domain, certs_url, algorithms, get_identity, leeway, key_refresh)),
        Role::Issuing { .. } => None,
    }
}

/// The audiences of the applications that the other file has as well, by id.
fn audiences<'a>(config: &'a Config, other: &Config) -> Vec<(&'a str, &'a Audience)> {
    let has = |id: &str| other.access.applications.iter().any(|one| *one.id == *id);
    let mut all: Vec<_> = config
        .access
        .applications
        .iter()
        .filter(|one| has(&one.id))
        .map(|one| (&*one.id, &one.audience))
        .collect();
    all.sort_by_key(|(id, _)| *id);
    all
}

/// The evaluators that are asked at an address the other file asks as well.
fn evaluators<'a>(deployment: &'a Deployment, other: &Deployment) -> Vec<&'a Evaluator> {
    let is_asked = |one: &&Evaluator| {
        let asked = other.directory().all().flat_map(|protected| protected.policies.evaluators());
        asked.into_iter().any(|it| it.evaluate_url() == one.evaluate_url())
    };
    let all = deployment.directory().all();
    let mut all: Vec<&Evaluator> =
        all.flat_map(|protected| protected.policies.evaluators()).filter(is_asked).collect();
    all.sort();
    all.dedup();
    all
}
