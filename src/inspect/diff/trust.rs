//! Settings of trust. They are not policies, and no single request could show the effect of a change: it
//! is reported and not compared further.

use crate::application::Audience;
use crate::config::{Config, Role};
use crate::inspect::Deployment;
use crate::policy::Evaluator;

use super::report::Undecided;

/// Returns one entry for each setting that differs.
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
        "`access.issuer` differs: whose tokens are accepted, and how they are verified, was not compared",
    );
    let logins = (login_methods(&one.access.role), login_methods(&two.access.role));
    say(
        matches!(&logins, (Some(old), Some(new)) if old != new),
        "`access.identity_providers` or `access.one_time_pin` differs: who can log in, and by whose word, \
         was not compared",
    );
    say(
        one.trusted_proxies != two.trusted_proxies,
        "`trusted_proxies` differs: which proxies may state the address, country or certificate of \
         a request was not compared",
    );
    say(
        one.public_addresses != two.public_addresses,
        "`public_port`, `public_ports` or `insecure_public_scheme` differs: a host with another URL \
         is another issuer, and users log in again there",
    );
    say(
        one.access.facts != two.access.facts,
        "`access.facts` differs: the source of the country or certificate of a request was not \
         compared",
    );
    say(
        one.access.strict_service_token_auth != two.access.strict_service_token_auth,
        "`access.strict_service_token_auth` differs: only one of the two accepts further credentials \
         with a service token, which was not compared",
    );
    say(
        audiences(one, two) != audiences(two, one),
        "an application's `aud` differs: it accepts tokens for another audience now, and no longer \
         the previous ones",
    );
    say(
        evaluators(old, new) != evaluators(new, old),
        "an evaluator's `keys_url` differs: whose responses are accepted was not compared",
    );
    found
}

/// Returns the settings of a verifying role; `None` if tokens are issued.
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

/// Returns the login methods; `None` if the issuer has them.
fn login_methods(role: &Role) -> Option<impl PartialEq> {
    match role {
        Role::Issuing { one_time_pin, identity_providers, .. } => {
            let others = identity_providers.iter();
            let others = others.map(|it| (&it.id, it.kind(), it.trusted())).collect::<Vec<_>>();
            Some((one_time_pin.as_ref().map(|pin| &pin.id), others))
        }
        Role::Verifying { .. } => None,
    }
}

/// Returns the audiences of the applications that both files have, by id.
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

/// Returns the evaluators whose URL the other file uses as well.
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
