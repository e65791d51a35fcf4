//! The external evaluators that rules name.

use crate::application::Application;
use crate::policy::{Definitions, Evaluator, Policies, Rule};

use super::ConfigError;

/// Returns the evaluators that rules of applications and groups name, each once.
pub(super) fn evaluators_named(
    applications: &[Application],
    definitions: &Definitions,
) -> Vec<Evaluator> {
    let of_policies = applications
        .iter()
        .flat_map(|application| &application.policies)
        .flat_map(|policy| [&policy.include, &policy.require, &policy.exclude]);
    let of_groups = definitions
        .groups()
        .iter()
        .flat_map(|group| [&group.include, &group.require, &group.exclude]);
    let mut evaluators: Vec<Evaluator> = of_policies
        .chain(of_groups)
        .flatten()
        .filter_map(|rule| match rule {
            Rule::ExternalEvaluation(evaluator) => Some((**evaluator).clone()),
            _ => None,
        })
        .collect();
    evaluators.sort();
    evaluators.dedup();
    evaluators
}

/// Rejects evaluators where tokens are verified: questions to them are signed with the issuer's key,
/// which is not here.
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
                "application `{}`: `external_evaluation` ({}) asks with the issuer's signing key, \
                 which an engine that verifies does not have; write the rule where tokens are issued",
                application.name,
                evaluator.evaluate_url()
            )));
        }
    }
    Ok(())
}
