//! What statements mean, read from their documentation: whether a request is one they are about.

use ipnet_like::contains;
use tower_access::explain::{Question, SimulatedCertificate};
use tower_access::inspect::{Condition, Deployment, DestinationDiff, Requesters, Statement};

use super::NOW;

/// Reading networks as the report writes them.
mod ipnet_like {
    use std::net::IpAddr;

    pub(super) fn contains(network: &str, address: IpAddr) -> bool {
        let network: tower_access::address::IpNet = match network.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => network.parse().unwrap(),
        };
        network.contains(&address)
    }
}

/// Two files, and the requests that are asked of both.
pub(crate) struct Both<'a> {
    pub(crate) old: &'a Deployment,
    pub(crate) new: &'a Deployment,
}

impl Both<'_> {
    /// The statements that are about a request.
    pub(crate) fn about<'s>(
        &self,
        places: &'s [DestinationDiff],
        question: &Question,
    ) -> Vec<&'s Statement> {
        let application = |deployment: &Deployment| {
            deployment.explain(question, NOW).application.map(|application| application.id)
        };
        let (old, new) = (application(self.old), application(self.new));
        let id = |one: &Option<tower_access::inspect::ApplicationRef>| {
            one.as_ref().map(|application| application.id.to_string())
        };
        places
            .iter()
            .filter(|place| id(&place.old) == old && id(&place.new) == new)
            .flat_map(|place| &place.statements)
            .filter(|statement| self.is_about(statement, question))
            .collect()
    }

    fn is_about(&self, statement: &Statement, question: &Question) -> bool {
        self.is_meant(&statement.who, question)
            && statement.when.iter().all(|condition| self.holds(condition, question))
    }

    fn is_meant(&self, who: &Requesters, question: &Question) -> bool {
        let identity = &question.identity;
        if who.anybody {
            return true;
        }
        let has = |names: &[Box<str>], name: &str| names.iter().any(|one| **one == *name);
        if let Some(email) = &identity.email {
            let by_domain = if who.everyone_else {
                !has(&who.not_domains, email.domain())
            } else {
                has(&who.domains, email.domain())
            };
            return has(&who.addresses, email.as_str())
                || by_domain && !has(&who.not_addresses, email.as_str());
        }
        if let Some(id) = &identity.service_token {
            let counts = |deployment: &Deployment| {
                let access = &deployment.config().access;
                let is_foreign =
                    matches!(access.role, tower_access::config::Role::Verifying { .. });
                let token = access.service_tokens.iter().find(|token| token.client_id == *id);
                token.map_or(is_foreign, |token| token.is_valid(NOW))
            };
            if counts(self.old) || counts(self.new) {
                return has(&who.service_tokens, id)
                    || who.other_service_tokens && !has(&who.not_service_tokens, id);
            }
        }
        if let Some(id) = &identity.linked_application {
            let counts = |deployment: &Deployment| {
                // By a method that is not let through before anybody looks.
                let mut question = question.clone();
                question.request.method = None;
                let explained = deployment.explain(&question, NOW);
                explained.application.is_some()
                    && !explained.notes.iter().any(|note| note.contains("the token is ignored"))
            };
            if counts(self.old) || counts(self.new) {
                return has(&who.linked_applications, id);
            }
        }
        who.nobody
    }

    fn holds(&self, condition: &Condition, question: &Question) -> bool {
        let (request, identity) = (&question.request, &question.identity);
        let is_issuing = [self.old, self.new].map(|one| {
            matches!(one.config().access.role, tower_access::config::Role::Issuing { .. })
        });
        let says_nothing = identity.login_method.is_none()
            && identity.auth_methods.is_none()
            && identity.auth_contexts.is_none()
            && identity.groups.is_none()
            && identity.organizations.is_none()
            && identity.claims.is_none()
            && identity.accounts.is_none();
        let is_usual = says_nothing && is_issuing == [true, true];
        let empty = |values: &Option<Vec<Box<str>>>| {
            if is_usual { Some(Vec::new()) } else { values.clone() }
        };
        let is_about_person = !["method", "address", "country", "certificate", "device_posture"]
            .contains(&condition.fact);
        if is_about_person && identity.email.is_none() {
            return true;
        }
        let differs = is_issuing[0] != is_issuing[1];
        if is_about_person
            && differs
            && says_nothing
            && !["usual_login", "external_evaluation", "risk"].contains(&condition.fact)
        {
            return true;
        }
        let mut is_missing = false;
        let values: Option<Vec<Box<str>>> = match condition.fact {
            "method" => Some(vec![request.method.clone().unwrap_or_default().into()]),
            "address" => {
                let Some(address) = request.ip else { return condition.or_unknown };
                let among = |networks: &[Box<str>]| {
                    networks.iter().any(|network| contains(network, address.to_canonical()))
                };
                return match (&condition.is, &condition.is_not) {
                    (Some(networks), None) => among(networks),
                    (None, Some(networks)) => !among(networks),
                    other => panic!("{other:?}"),
                };
            }
            "country" => request.country.map(|country| vec![country.as_str().into()]),
            "certificate" => match &request.certificate {
                None => None,
                Some(SimulatedCertificate::CommonName(name)) => Some(vec![name.clone()]),
                Some(_) => {
                    is_missing = true;
                    Some(Vec::new())
                }
            },
            "device_posture" => request.device_posture.clone(),
            "usual_login" => Some(vec![if says_nothing { "yes" } else { "no" }.into()]),
            "login_method" if is_usual => Some(vec!["onetimepin".into()]),
            "login_method" => identity.login_method.clone().map(|id| vec![id]),
            "login_type" => {
                if identity.login_method.is_none() && !is_usual {
                    return condition.or_unknown;
                }
                Some(vec![identity.login_type.clone().unwrap_or_default()])
            }
            "auth_method" if is_usual => Some(vec!["otp".into()]),
            "auth_method" => empty(&identity.auth_methods),
            "auth_context" => empty(&identity.auth_contexts),
            "group" => empty(&identity.groups),
            "organization" => empty(&identity.organizations).map(|all| {
                let above = |name: &str| name.split('/').next().unwrap().into();
                let above: Vec<Box<str>> = all.iter().map(|name| above(name)).collect();
                all.into_iter().chain(above).collect()
            }),
            "account" => empty(&identity.accounts),
            "claim" => {
                let name = condition.name.as_ref().unwrap();
                let claims = identity.claims.as_ref();
                claims.and_then(|claims| claims.get(name)).filter(|all| !all.is_empty()).cloned()
            }
            "risk" => identity.risk.map(|risk| vec![risk.as_str().into()]),
            "external_evaluation" => {
                let said = identity.evaluations.get(condition.name.as_ref().unwrap());
                said.map(|success| vec![success.to_string().into()])
            }
            other => panic!("{other}"),
        };
        let Some(values) = values else { return condition.or_unknown };
        if is_missing {
            return condition.or_missing;
        }
        let is_among = |named: &[Box<str>]| {
            values.iter().any(|value| {
                let is_other = |others: &Vec<Box<str>>| !others.contains(value);
                named.contains(value) || condition.other_than.as_ref().is_some_and(is_other)
            })
        };
        match (&condition.is, &condition.is_not) {
            (Some(is), None) => is_among(is),
            (None, Some(is_not)) => !is_among(is_not),
            other => panic!("{other:?}"),
        }
    }
}
