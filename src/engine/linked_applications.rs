//! Which applications take the tokens of which others: rules `linked_app_token` (section 9.5 of the
//! contract).

use std::collections::HashMap;
use std::sync::Arc;

use crate::application::{Applications, CompiledApplication};
use crate::policy::linked_names;

/// Which applications' tokens each application takes, by its audience.
#[derive(Debug, Default)]
pub(super) struct LinkedApplications(HashMap<Box<str>, Vec<Arc<CompiledApplication>>>);

impl LinkedApplications {
    /// # Errors
    ///
    /// When a rule names no application, or one of several.
    pub(super) fn new(directory: &Applications) -> Result<Self, LinkedApplicationError> {
        let mut links = HashMap::new();
        for protected in directory.all() {
            let policies = &protected.policies;
            if !policies.asks_for_linked_application() {
                continue;
            }
            let mut taken: Vec<Arc<CompiledApplication>> = Vec::new();
            for name in linked_names(policies.documents(), policies.definitions()) {
                let mut named = applications_named(directory, name);
                let error = |is_known| LinkedApplicationError {
                    application: protected.application.name.clone(),
                    name: name.into(),
                    is_known,
                };
                let one = named.next().ok_or_else(|| error(false))?;
                if named.next().is_some() {
                    return Err(error(true));
                }
                if !taken.iter().any(|other| Arc::ptr_eq(other, one)) {
                    taken.push(Arc::clone(one));
                }
            }
            links.insert(protected.audience().into(), taken);
        }
        Ok(Self(links))
    }

    pub(super) fn of(&self, protected: &CompiledApplication) -> &[Arc<CompiledApplication>] {
        self.0.get(protected.audience()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The application of this id or name, where a rule of the taker names it: nobody else's token is
/// looked at.
pub(crate) fn linked_application<'a>(
    directory: &'a Applications,
    taker: &CompiledApplication,
    name: &str,
) -> Option<&'a CompiledApplication> {
    let names = linked_names(taker.policies.documents(), taker.policies.definitions());
    let is_taken = |it: &&Arc<CompiledApplication>| {
        names.contains(&*it.application.id) || names.contains(&*it.application.name)
    };
    applications_named(directory, name).find(is_taken).map(|found| &**found)
}

/// The applications that a rule means by an id or a name.
fn applications_named<'a>(
    directory: &'a Applications,
    name: &str,
) -> impl Iterator<Item = &'a Arc<CompiledApplication>> {
    directory.all().filter(move |it| *it.application.id == *name || *it.application.name == *name)
}

/// A rule `linked_app_token` that names no application, or one of several.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "application `{application}`: a rule asks for the token of `{name}`, and {} that id or name",
    if *is_known { "more than one application has" } else { "no application has" }
)]
pub(super) struct LinkedApplicationError {
    application: Box<str>,
    name: Box<str>,
    is_known: bool,
}
