//! Applications that accept the tokens of other applications: `linked_app_token` rules (section 9.5 of
//! the contract).

use std::collections::HashMap;
use std::sync::Arc;

use crate::application::{Applications, CompiledApplication};
use crate::policy::linked_names;

/// The applications whose tokens each application accepts, by its audience.
#[derive(Debug, Default)]
pub(super) struct LinkedApplications(HashMap<Box<str>, Vec<Arc<CompiledApplication>>>);

impl LinkedApplications {
    /// # Errors
    ///
    /// If a rule names an unknown application, or a name that several applications have.
    pub(super) fn new(applications: &Applications) -> Result<Self, LinkedApplicationError> {
        let mut links = HashMap::new();
        for application in applications.all() {
            let policies = &application.policies;
            if !policies.uses_linked_application() {
                continue;
            }
            let mut accepted: Vec<Arc<CompiledApplication>> = Vec::new();
            for name in linked_names(policies.documents(), policies.definitions()) {
                let mut named = applications_named(applications, name);
                let error = |is_known| LinkedApplicationError {
                    application: application.application.name.clone(),
                    name: name.into(),
                    is_known,
                };
                let one = named.next().ok_or_else(|| error(false))?;
                if named.next().is_some() {
                    return Err(error(true));
                }
                if !accepted.iter().any(|other| Arc::ptr_eq(other, one)) {
                    accepted.push(Arc::clone(one));
                }
            }
            links.insert(application.audience().into(), accepted);
        }
        Ok(Self(links))
    }

    /// Returns the applications whose tokens an application accepts.
    pub(super) fn accepted_by(
        &self,
        application: &CompiledApplication,
    ) -> &[Arc<CompiledApplication>] {
        self.0.get(application.audience()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Returns the application with this id or name if a rule of the accepting application names it.
pub(crate) fn linked_application<'a>(
    applications: &'a Applications,
    accepting: &CompiledApplication,
    name: &str,
) -> Option<&'a CompiledApplication> {
    let names = linked_names(accepting.policies.documents(), accepting.policies.definitions());
    let is_accepted = |it: &&Arc<CompiledApplication>| {
        names.contains(&*it.application.id) || names.contains(&*it.application.name)
    };
    applications_named(applications, name).find(is_accepted).map(|found| &**found)
}

/// Returns the applications with this id or name.
fn applications_named<'a>(
    applications: &'a Applications,
    name: &str,
) -> impl Iterator<Item = &'a Arc<CompiledApplication>> {
    applications
        .all()
        .filter(move |it| *it.application.id == *name || *it.application.name == *name)
}

/// A `linked_app_token` rule whose name matches no application, or several.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "application `{application}`: `linked_app_token` names `{name}`, but {} that id or name",
    if *is_known { "several applications have" } else { "no application has" }
)]
pub(super) struct LinkedApplicationError {
    application: Box<str>,
    name: Box<str>,
    is_known: bool,
}
