//! The contract's sentences about policies, one after the other, as slow as they come.

use tower_access::policy::{Decision, Outcome};

use super::documents::{Condition, EMAILS, List, NETWORKS, OfProvider, Rule, Set, Text};
use super::facts::{Claim, Person, Shown, World};

/// What can be said of something: it is not so, it may be so, it is so. The least of some is what
/// can be said of all of them together, the greatest what can be said of one of them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Said {
    No,
    Maybe,
    Yes,
}

use Said::{Maybe, No, Yes};

/// What is to happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decided {
    pub outcome: Outcome,
    /// The policy's place.
    pub policy: Option<usize>,
    /// The place of the last policy that has to be looked at.
    pub last: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    pub set: &'a Set,
    pub world: &'a World,
}

impl Reference<'_> {
    /// Section 8.2: all Bypass and Service Auth policies by precedence, then all Block and Allow
    /// policies by precedence; the first that applies decides; none: denied. Section 8.4: who has
    /// not logged in is sent to the login if an Allow policy could still succeed.
    pub fn decide(&self) -> Decided {
        let order = self.order();
        let decided = |outcome, policy, last| Decided { outcome, policy, last };
        for place in order.iter().copied() {
            let outcome = match self.set.policies[place].decision {
                Decision::Bypass => Outcome::Bypassed,
                Decision::NonIdentity => Outcome::ServiceAllowed,
                _ => continue,
            };
            if self.policy(place) == Yes {
                return decided(outcome, Some(place), Some(place));
            }
        }
        let with_login: Vec<(usize, bool, Said)> = order
            .iter()
            .filter_map(|place| match self.set.policies[*place].decision {
                Decision::Allow => Some((*place, true, self.policy(*place))),
                Decision::Deny => Some((*place, false, self.policy(*place))),
                _ => None,
            })
            .collect();
        if self.world.email.is_some() {
            for (place, allows, said) in with_login {
                // What may be true lets nobody in, and keeps people out.
                match (allows, said) {
                    (true, Yes) => return decided(Outcome::Allowed, Some(place), Some(place)),
                    (false, Yes | Maybe) => {
                        return decided(Outcome::Denied, Some(place), Some(place));
                    }
                    _ => {}
                }
            }
        } else if !self.is_machine() {
            let could_allow = |(_, allows, said): &(usize, bool, Said)| *allows && *said != No;
            if let Some(first) = with_login.iter().position(could_allow) {
                let last = Some(with_login[first].0);
                let certain = |(_, allows, said): &&(usize, bool, Said)| !allows && *said == Yes;
                return match with_login[..first].iter().find(certain) {
                    Some((place, ..)) => decided(Outcome::Denied, Some(*place), last),
                    None => decided(Outcome::LoginRequired, None, last),
                };
            }
        }
        decided(Outcome::Denied, None, None)
    }

    /// Whether a login could open, if all that has not been asked says what opens.
    pub fn could_allow(&self) -> bool {
        if self.world.email.is_none() || !self.world.knows_email {
            return false;
        }
        for place in self.order() {
            let condition = &self.set.policies[place].condition;
            match self.set.policies[place].decision {
                Decision::Allow if self.condition(condition, Yes) == Yes => return true,
                Decision::Deny if self.condition(condition, No) != No => return false,
                _ => {}
            }
        }
        false
    }

    /// The places of the policies: by written precedence, or else the place counted from one.
    pub fn order(&self) -> Vec<usize> {
        let precedence = |place: &usize| {
            let written = self.set.policies[*place].precedence.map(u64::from);
            (written.unwrap_or(*place as u64 + 1), *place)
        };
        let mut order: Vec<usize> = (0..self.set.policies.len()).collect();
        order.sort_by_key(precedence);
        order
    }

    pub fn policy(&self, place: usize) -> Said {
        self.condition(&self.set.policies[place].condition, Maybe)
    }

    /// Section 8.3: `any(include) AND all(require) AND NOT any(exclude)`; an empty include matches
    /// nobody. The second says what evaluators are taken to say that have not been asked.
    fn condition(&self, condition: &Condition, unasked: Said) -> Said {
        let one_of = |rules: &[Rule], unasked| {
            rules.iter().map(|rule| self.rule(*rule, unasked)).max().unwrap_or(No)
        };
        let all_of = |rules: &[Rule], unasked| {
            rules.iter().map(|rule| self.rule(*rule, unasked)).min().unwrap_or(Yes)
        };
        let excluded = one_of(&condition.exclude, not(unasked));
        one_of(&condition.include, unasked)
            .min(all_of(&condition.require, unasked))
            .min(not(excluded))
    }

    /// Section 9.
    pub fn rule(&self, rule: Rule, unasked: Said) -> Said {
        let world = self.world;
        match rule {
            Rule::Everyone => Yes,
            Rule::Group(place) => self.condition(&self.set.groups[place].condition, unasked),
            Rule::Ip(network) => self.is_in_one_of(&[network]),
            Rule::IpList(place) => match &self.set.lists[place] {
                List::Networks(networks) => self.is_in_one_of(networks),
                List::Emails(_) => panic!("no list of networks"),
            },
            Rule::Geo(country) => known(world.country, |known| known == country),
            Rule::Certificate => known(world.certificate, |shown| matches!(shown, Shown::Good(_))),
            Rule::CommonName(name) => known(
                world.certificate,
                |shown| matches!(shown, Shown::Good(Some(known)) if known == name),
            ),
            Rule::AnyServiceToken => yes_or_no(world.service_token.is_some()),
            Rule::ServiceToken(name) => yes_or_no(
                world.service_token.is_some_and(|(id, client)| [id, client].contains(&name)),
            ),
            Rule::LinkedApplication(id) => yes_or_no(world.application == Some(id)),
            Rule::Posture(check) => {
                known(world.posture.as_ref(), |results| results.contains(&(check, true)))
            }
            // Nobody is on an empty list, whatever is not known.
            Rule::EmailList(place) if self.is_empty(place) => No,
            Rule::Email(_) | Rule::EmailDomain(_) | Rule::EmailList(_)
                if world.email.is_some() && !world.knows_email =>
            {
                Maybe
            }
            _ => match world.email {
                Some(email) => self.rule_about_person(rule, email, unasked),
                None if self.is_machine() => No,
                None => Maybe,
            },
        }
    }

    fn rule_about_person(&self, rule: Rule, email: usize, unasked: Said) -> Said {
        let address = EMAILS[email].as_str();
        match rule {
            Rule::Email(asked) => return yes_or_no(EMAILS[asked].as_str() == address),
            Rule::EmailDomain(domain) => {
                return yes_or_no(address.split('@').next_back() == Some(domain));
            }
            Rule::EmailList(place) => match &self.set.lists[place] {
                List::Emails(emails) => return yes_or_no(emails.contains(&email)),
                List::Networks(_) => panic!("no list of emails"),
            },
            Rule::Evaluation(place) => {
                return known_or(self.world.answers[place], unasked, |answer| answer);
            }
            _ => {}
        }
        let nothing = Person::default();
        let person = self.world.person.as_ref().unwrap_or(&nothing);
        let by = |provider: OfProvider| match provider {
            None => Yes,
            Some(provider) => known(person.login_method, |(id, _)| id == provider),
        };
        let group = |part: usize, is_it: &dyn Fn(Text) -> bool| {
            known(person.groups.as_ref(), |groups| {
                groups.iter().any(|group| group[part].is_some_and(is_it))
            })
        };
        match rule {
            Rule::LoginMethod(asked) => known(person.login_method, |(id, _)| id == asked),
            Rule::AuthMethod(asked) => {
                known(person.methods.as_ref(), |methods| methods.contains(&asked))
            }
            Rule::AuthContext(asked, provider) => {
                known(person.contexts.as_ref(), |all| all.contains(&asked)).min(by(provider))
            }
            Rule::Azure(id, provider) => group(0, &|known| known == id).min(by(provider)),
            Rule::Okta(name, provider) => group(1, &|known| known == name).min(by(provider)),
            Rule::Gsuite(email, provider) => {
                group(2, &|known| known.eq_ignore_ascii_case(email)).min(by(provider))
            }
            Rule::Github(name, team, provider) => {
                let Some(organizations) = &person.organizations else {
                    return Maybe.min(by(provider));
                };
                let member = organizations
                    .iter()
                    .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, teams)| match team {
                        None => Yes,
                        Some(team) => known(teams.as_ref(), |teams| {
                            teams.iter().any(|known| known.eq_ignore_ascii_case(team))
                        }),
                    });
                let absent = if person.organizations_are_partial { Maybe } else { No };
                member.max().unwrap_or(absent).min(by(provider))
            }
            Rule::Saml(name, value, provider) => {
                claims(person.saml.as_deref(), name, value).min(by(provider))
            }
            Rule::Oidc(name, value, provider) => {
                claims(person.oidc.as_deref(), name, value).min(by(provider))
            }
            Rule::Risk(levels) => known(person.risk, |level| levels.contains(&level)),
            Rule::Account(account) => {
                let is_cloudflare = known(person.login_method, |(_, kind)| kind == "cloudflare");
                let is_member = known(person.accounts.as_ref(), |accounts| match account {
                    Some(account) => accounts.contains(&account),
                    None => !accounts.is_empty(),
                });
                is_member.min(is_cloudflare)
            }
            other => panic!("{other:?} is about no person"),
        }
    }

    fn is_in_one_of(&self, networks: &[usize]) -> Said {
        if networks.is_empty() {
            return No;
        }
        known(self.world.address, |address| {
            networks.iter().any(|network| NETWORKS[*network].has(address))
        })
    }

    fn is_empty(&self, list: usize) -> bool {
        let (List::Emails(items) | List::Networks(items)) = &self.set.lists[list];
        items.is_empty()
    }

    /// Something that is no person and will never be one.
    fn is_machine(&self) -> bool {
        self.world.email.is_none()
            && (self.world.service_token.is_some() || self.world.application.is_some())
    }
}

/// Section 9.3: values are compared as a whole and one by one, and the name `groups` without case.
/// A claim that is missing, or has values that are no texts, may have any value.
fn claims(claims: Option<&[Claim]>, name: Text, value: Text) -> Said {
    let is_it = |known: Text| {
        if name.eq_ignore_ascii_case("groups") {
            known.eq_ignore_ascii_case("groups")
        } else {
            known == name
        }
    };
    let found: Vec<&Claim> =
        claims.into_iter().flatten().filter(|claim| is_it(claim.name)).collect();
    if found.iter().any(|claim| claim.texts.contains(&value)) {
        Yes
    } else if found.is_empty() || found.iter().any(|claim| claim.has_others) {
        Maybe
    } else {
        No
    }
}

fn known<T>(fact: Option<T>, holds: impl FnOnce(T) -> bool) -> Said {
    known_or(fact, Maybe, holds)
}

fn known_or<T>(fact: Option<T>, missing: Said, holds: impl FnOnce(T) -> bool) -> Said {
    fact.map_or(missing, |fact| yes_or_no(holds(fact)))
}

fn yes_or_no(holds: bool) -> Said {
    if holds { Yes } else { No }
}

fn not(said: Said) -> Said {
    match said {
        No => Yes,
        Maybe => Maybe,
        Yes => No,
    }
}
