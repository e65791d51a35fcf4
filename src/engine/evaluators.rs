//! External evaluators in rules.

use crate::application::Application;
use crate::policy::{Definitions, Evaluator, Policies, reachable_evaluators};

use super::ConfigError;

/// Returns the evaluators that rules of applications and groups name, each once.
pub(super) fn evaluators_named(
    applications: &[Application],
    definitions: &Definitions,
) -> Vec<Evaluator> {
    let policies = applications.iter().flat_map(|application| &application.policies);
    let of_policies = policies.map(|policy| &policy.conditions);
    let of_groups = definitions.groups().iter().map(|group| &group.conditions);
    let evaluators = reachable_evaluators(of_policies.chain(of_groups), definitions);
    evaluators.into_iter().cloned().collect()
}

/// Rejects evaluators in an engine that verifies: requests to them are signed with the issuer's key,
/// which this engine does not have.
pub(super) fn check_evaluators(
    applications: &[Application],
    definitions: &Definitions,
) -> Result<(), ConfigError> {
    if evaluators_named(applications, definitions).is_empty() {
        return Ok(());
    }
    for application in applications {
        let policies =
            Policies::compile(&application.policies, definitions).map_err(ConfigError::new)?;
        if let Some(evaluator) = policies.evaluators().first() {
            return Err(ConfigError::new(format!(
                "application `{}`: `external_evaluation` ({}) needs the issuer's signing key, which an \
                 engine that verifies does not have; move the rule to the issuer",
                application.name,
                evaluator.evaluate_url()
            )));
        }
    }
    Ok(())
}
