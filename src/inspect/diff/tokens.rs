//! Changes of service tokens.

use std::collections::{BTreeMap, BTreeSet};

use crate::inspect::Deployment;
use crate::service_token::ServiceToken;

use super::report::{ChangedServiceToken, TokenChange};

/// Returns the service tokens that changed.
pub(super) fn changed(old: &Deployment, new: &Deployment) -> Vec<ChangedServiceToken> {
    let by_client_id = |deployment: &'_ Deployment| -> BTreeMap<Box<str>, ServiceToken> {
        let tokens = deployment.config().access.service_tokens.iter();
        tokens.map(|token| (token.client_id.clone(), token.clone())).collect()
    };
    let (of_old, of_new) = (by_client_id(old), by_client_id(new));
    let all: BTreeSet<&Box<str>> = of_old.keys().chain(of_new.keys()).collect();
    let changed = all.into_iter().filter_map(|client_id| {
        let (old, new) = (of_old.get(client_id), of_new.get(client_id));
        let changes = match (old, new) {
            (None, _) => vec![TokenChange::Added],
            (_, None) => vec![TokenChange::Removed],
            (Some(old), Some(new)) => changes(old, new),
        };
        let name = new.or(old)?.name.clone();
        Some(ChangedServiceToken { client_id: client_id.clone(), name, changes })
    });
    changed.filter(|token| !token.changes.is_empty()).collect()
}

fn changes(old: &ServiceToken, new: &ServiceToken) -> Vec<TokenChange> {
    let mut changes = Vec::new();
    if !old.secret_hash.is_same(&new.secret_hash) {
        changes.push(TokenChange::Secret);
    }
    match (old.enabled, new.enabled) {
        (false, true) => changes.push(TokenChange::SwitchedOn),
        (true, false) => changes.push(TokenChange::SwitchedOff),
        (true, true) | (false, false) => {}
    }
    if old.expires_at != new.expires_at {
        changes.push(TokenChange::Expiry);
    }
    if old.token_id() != new.token_id() {
        changes.push(TokenChange::Id);
    }
    changes
}
