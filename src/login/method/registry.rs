//! The login methods of a deployment, by id.

use std::sync::Arc;

use http::Method;

use super::info::MethodInfo;
use super::{CrossSiteForm, EndpointCall, LoginMethod, Step};
use crate::application::Application;
use crate::identity::Attributes;
use crate::login::endpoint::check;
use crate::login::{EndpointRequest, Login, Refusal};
use crate::util::response::ResponseBytes;

/// The login methods of a deployment, in the order in which they are offered.
#[derive(Debug)]
pub(crate) struct LoginMethods(Vec<Arc<dyn LoginMethod>>);

impl LoginMethods {
    /// Registers methods with distinct ids.
    pub(super) fn new(all: Vec<Arc<dyn LoginMethod>>) -> Self {
        Self(all)
    }

    /// Returns all methods.
    pub(in crate::login) fn iter(&self) -> impl Iterator<Item = &dyn LoginMethod> {
        self.0.iter().map(|method| &**method)
    }

    /// Returns the method with this id.
    pub(in crate::login) fn get(&self, id: &str) -> Option<&dyn LoginMethod> {
        self.iter().find(|method| method.id() == id)
    }

    /// Returns the methods that an application accepts.
    fn offered<'a>(
        &'a self,
        application: &'a Application,
    ) -> impl Iterator<Item = &'a Arc<dyn LoginMethod>> {
        self.0.iter().filter(|method| application.allows_login_method(method.id()))
    }

    /// Returns whether users can log in to an application.
    pub(crate) fn offers_login(&self, application: &Application) -> bool {
        self.offered(application).next().is_some()
    }

    /// Returns the method that a login begins with, if the user has requested the one of this id or none;
    /// `None` if the user has to choose.
    ///
    /// # Errors
    ///
    /// If the application accepts no method that exists.
    pub(in crate::login) fn choose<'a>(
        &'a self,
        application: &'a Application,
        id: Option<&str>,
    ) -> Result<Option<&'a dyn LoginMethod>, NoLoginMethod> {
        let mut offered = self.offered(application);
        let requested = self.offered(application).find(|method| Some(method.id()) == id);
        let has_page = || self.offered(application).find(|method| method.has_page());
        match (requested.or_else(has_page), offered.next(), offered.next()) {
            (Some(method), ..) => Ok(Some(&**method)),
            (None, None, _) => Err(NoLoginMethod),
            (None, Some(only), None) if application.auto_redirect_to_identity => Ok(Some(&**only)),
            (None, Some(_), _) => Ok(None),
        }
    }

    /// Returns the ids and names of the methods that an application accepts besides this one.
    pub(in crate::login) fn besides<'a>(
        &'a self,
        application: &'a Application,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let others = self.offered(application).filter(move |method| Some(method.id()) != id);
        others.map(|method| (method.id(), method.name()))
    }

    /// Returns the login methods, for checks and tools.
    pub(crate) fn infos(&self) -> impl Iterator<Item = MethodInfo<'_>> {
        fn info(method: &Arc<dyn LoginMethod>) -> MethodInfo<'_> {
            MethodInfo { id: method.id(), kind: method.kind(), name: method.name() }
        }
        self.0.iter().map(info)
    }

    /// Returns the attributes of all users who log in by one-time PIN, if that is a login method.
    pub(crate) fn one_time_pin(&self) -> Option<&Attributes> {
        self.0.iter().find_map(|method| method.usual_attributes())
    }

    /// Returns the attributes of all users who log in, if they are always the same.
    pub(crate) fn usual_login(&self) -> Option<&Attributes> {
        match &*self.0 {
            [only] => only.usual_attributes(),
            _ => None,
        }
    }

    /// Returns whether an endpoint refuses prefetches and requests for parts of a page.
    pub(in crate::login) fn refuses_background(&self, name: &str) -> bool {
        let mut endpoints = self.0.iter().flat_map(|method| method.endpoints());
        endpoints.any(|endpoint| endpoint.name == name && endpoint.refuses_background)
    }

    /// Returns whether a method has this endpoint.
    pub(in crate::login) fn has_endpoint(&self, name: &str, host: Option<&str>) -> bool {
        !self.allowed(name, host).is_empty()
    }

    /// Returns the form that other sites may post to an endpoint, if any.
    pub(in crate::login) fn cross_site_form(&self, name: &str) -> Option<CrossSiteForm> {
        let mut forms = self.0.iter().filter_map(|method| method.cross_site_form());
        forms.find(|form| form.endpoint == name)
    }

    /// Returns a document for a provider: that of the method with this id, or of the first that has it.
    pub(in crate::login) fn provider_document(
        &self,
        (login, request): (&Login, &EndpointRequest),
        id: Option<&str>,
        name: &str,
    ) -> Option<ResponseBytes> {
        let mut methods = self.0.iter().filter(|method| id.is_none_or(|id| method.id() == id));
        methods.find_map(|method| method.provider_document(login, request, name))
    }

    /// Handles a request to an endpoint of a method, including the end of the login.
    pub(in crate::login) async fn answer(
        &self,
        login: &Login,
        call: EndpointCall<'_>,
    ) -> Result<ResponseBytes, Refusal> {
        if let Some(refusal) = check(call.request, &self.allowed(call.name, call.host)) {
            return Ok(refusal);
        }
        let method = self.0.iter().find(|method| has(&***method, &call) && method.recognizes(call));
        let Some(method) = method else { return Err(Refusal::BadRequest) };
        match method.answer(login, call).await? {
            Step::Answer(answer) => Ok(answer),
            Step::Finished(finished) => login.finish(call.request, &**method, *finished).await,
        }
    }

    /// Returns the HTTP methods of an endpoint. Empty if the endpoint does not exist.
    fn allowed(&self, name: &str, host: Option<&str>) -> Vec<Method> {
        let mut allowed = Vec::new();
        for endpoint in self.0.iter().flat_map(|method| method.endpoints()) {
            if endpoint.name == name && endpoint.takes_host == host.is_some() {
                let new = endpoint.methods.iter().filter(|method| !allowed.contains(*method));
                let new: Vec<_> = new.cloned().collect();
                allowed.extend(new);
            }
        }
        allowed
    }
}

/// An application accepts no login method that exists.
#[derive(Clone, Copy, Debug)]
pub(in crate::login) struct NoLoginMethod;

/// Returns whether a method has the endpoint of a call.
fn has(method: &dyn LoginMethod, call: &EndpointCall<'_>) -> bool {
    let EndpointCall { request: EndpointRequest { method: asked, .. }, name, host } = call;
    method.endpoints().iter().any(|endpoint| {
        endpoint.name == *name
            && endpoint.takes_host == host.is_some()
            && endpoint.methods.contains(asked)
    })
}
