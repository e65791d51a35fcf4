//! All applications with compiled policies, found by host and path or by audience.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::{Definitions, PolicyError};

use super::compiled_application::CompiledApplication;
use super::contradiction::Contradiction;
use super::cookie_path::cookie_path;
use super::endpoint::{is_own, is_own_when_folded};
use super::explain::RouteExplanation;
use super::fold::fold;
use super::host::CanonicalHost;
use super::path::CanonicalPath;
use super::path_error::PathError;
use super::path_pattern::PathPattern;
use super::router::{Router, RouterError};
use super::settings::Application;
use super::settings::SameSite;
use super::spelling::Spellings;

/// All applications of a deployment.
#[derive(Debug)]
pub(crate) struct Applications {
    applications: Vec<Arc<CompiledApplication>>,
    router: Router<ApplicationId>,
    spellings: Spellings<ApplicationId>,
    by_audience: HashMap<Box<str>, ApplicationId>,
    /// The single application for every host and path, for an origin that only verifies.
    everything: Option<ApplicationId>,
}

/// The position of an application in [`Applications`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ApplicationId(usize);

impl Applications {
    pub(crate) fn new(
        applications: Vec<Application>,
        definitions: &Definitions,
    ) -> Result<Self, ApplicationsError> {
        let mut all = Vec::with_capacity(applications.len());
        let mut destinations = Vec::new();
        let mut by_audience = HashMap::new();
        for application in applications {
            let name = application.name.clone();
            application.check().map_err(|error| ApplicationsError::Settings {
                application: name.clone(),
                error,
            })?;
            let compiled = CompiledApplication::new(application, definitions)
                .map_err(|error| ApplicationsError::Policy { application: name.clone(), error })?;
            let id = ApplicationId(all.len());
            for destination in &compiled.application.destinations {
                destinations.push((destination.clone(), id));
            }
            let audience = compiled.audience().into();
            if by_audience.insert(audience, id).is_some() {
                return Err(ApplicationsError::SameAudience { application: name });
            }
            all.push(Arc::new(compiled));
        }
        let router = Router::new(destinations)?;
        let spellings = Spellings::new(&router)?;
        let applications =
            Self { applications: all, router, spellings, by_audience, everything: None };
        applications.check_deny_urls()?;
        Ok(applications)
    }

    /// Refuses deny URLs that lead back to the application.
    fn check_deny_urls(&self) -> Result<(), ApplicationsError> {
        for (index, compiled) in self.applications.iter().enumerate() {
            let application = &compiled.application;
            let here = ApplicationId(index);
            let own = application.deny_urls().find(|url| url.is_located_at(&self.router, &here));
            if let Some(url) = own {
                return Err(ApplicationsError::DenyUrl {
                    application: application.name.clone(),
                    url: url.to_string(),
                });
            }
        }
        Ok(())
    }

    /// Creates a single application for every host and path.
    pub(crate) fn from_single(application: Application) -> Result<Self, ApplicationsError> {
        let mut applications = Self::new(vec![application], &Definitions::default())?;
        applications.everything = Some(ApplicationId(0));
        Ok(applications)
    }

    pub(crate) fn route(&self, host: &CanonicalHost, path: &str) -> Option<ApplicationId> {
        match self.everything {
            Some(everything) => Some(everything),
            None => self.router.locate(host.as_str(), path).copied(),
        }
    }

    /// Returns the application of a canonical host and path.
    pub(crate) fn locate(
        &self,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
    ) -> Result<ApplicationId, LocateError> {
        let application = self.route(host, path.as_str()).ok_or(LocateError::NoApplication)?;
        let reads_alike =
            |reading: &str| self.is_alike_when_folded(host, path, reading, application);
        if !reads_alike(path.as_str()) {
            return Err(LocateError::Path(PathError::LetterCase));
        }
        if !path.ambiguities().is_empty() {
            self.check_readings(host, path, application).map_err(LocateError::Path)?;
        }
        Ok(application)
    }

    /// Checks an ambiguous path: all readings must belong to one application, whose settings allow them.
    fn check_readings(
        &self,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
        application: ApplicationId,
    ) -> Result<(), PathError> {
        let allowed = self.get(application).map(|it| it.application.ambiguities);
        if let Some(kind) = path.ambiguities().first_outside(allowed.unwrap_or_default()) {
            return Err(kind.into());
        }
        for reading in path.readings()? {
            // No reading may belong to the login.
            if self.route(host, &reading) != Some(application) || is_own(&reading) {
                return Err(PathError::Divided);
            }
            if !self.is_alike_when_folded(host, path, &reading, application) {
                return Err(PathError::LetterCase);
            }
        }
        Ok(())
    }

    /// Returns whether a reading of a path belongs to the same application after folding.
    fn is_alike_when_folded(
        &self,
        host: &CanonicalHost,
        path: &CanonicalPath<'_>,
        reading: &str,
        application: ApplicationId,
    ) -> bool {
        if is_own_when_folded(reading) && !is_own(path.as_str()) {
            return false;
        }
        if !self.spellings.can_differ() {
            return true;
        }
        let Some(found) = self.spellings.owners_when_folded(host.as_str(), reading, application)
        else {
            return true;
        };
        // A path without an owner is refused.
        let mut all = found.iter().chain([&application]);
        !found.is_empty() && all.all(|id| self.get(*id).is_some_and(|it| it.is_case_sensitive()))
    }

    /// Returns the applications of paths below a canonical path that its own destination does not cover,
    /// each with an example path; empty for nearly every path.
    ///
    /// Ignores letter case, and dots and spaces at the end of a segment, as some servers do: they remove
    /// `/Drop/Secret` together with `/drop.`.
    pub(crate) fn below(&self, host: &CanonicalHost, path: &str) -> Vec<(ApplicationId, String)> {
        if self.everything.is_some() {
            return Vec::new();
        }
        let below = format!("{}/", path.trim_end_matches('/'));
        let folded = format!("{}/", fold(path).trim_end_matches('/'));
        let reaches_below = |path: &PathPattern| {
            path.reaches_below(&below) || path.reaches_below_when_folded(&folded)
        };
        self.router
            .destinations_for(host.as_str())
            // Less specific destinations do not apply there.
            .take_while(|(destination, _)| !destination.path().matches(path))
            .filter(|(destination, _)| reaches_below(destination.path()))
            .map(|(destination, id)| (*id, destination.path().text().replace('*', "x")))
            .collect()
    }

    /// As [`route`](Self::route), with the reasons.
    pub(crate) fn explain(
        &self,
        host: &CanonicalHost,
        path: &str,
    ) -> RouteExplanation<'_, ApplicationId> {
        self.router.explain(host.as_str(), path)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<CompiledApplication>> {
        self.applications.iter()
    }

    /// Returns the destinations of all applications.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &super::Destination> + Clone {
        self.applications.iter().flat_map(|compiled| compiled.application.destinations())
    }

    /// Returns whether one application covers every host and path.
    pub(crate) fn covers_everything(&self) -> bool {
        self.everything.is_some()
    }

    /// Returns the router.
    #[cfg(feature = "config")]
    pub(crate) fn router(&self) -> &Router<ApplicationId> {
        &self.router
    }

    pub(crate) fn get(&self, id: ApplicationId) -> Option<&Arc<CompiledApplication>> {
        self.applications.get(id.0)
    }

    pub(crate) fn by_audience(&self, audience: &str) -> Option<&Arc<CompiledApplication>> {
        self.get(*self.by_audience.get(audience)?)
    }

    /// Returns whether any application has an `allow` policy.
    pub(crate) fn has_login(&self) -> bool {
        self.applications.iter().any(|compiled| compiled.policies.has_allow())
    }

    /// Returns the audiences of the applications on a host, or of all.
    pub(crate) fn audiences_for(&self, host: &str, all: bool) -> Vec<&str> {
        if all {
            return self.applications.iter().map(|compiled| compiled.audience()).collect();
        }
        self.router
            .destinations_for(host)
            .filter_map(|(_, id)| self.get(*id))
            .map(|compiled| compiled.audience())
            .collect()
    }

    /// Returns whether an application on a host accepts tokens for a matching audience.
    pub(crate) fn accepts_audience_on(&self, host: &str, is_it: impl Fn(&str) -> bool) -> bool {
        let mut applications =
            self.router.destinations_for(host).filter_map(|(_, id)| self.get(*id));
        applications.any(|compiled| compiled.accepted(&is_it).is_some())
    }

    /// Returns the paths other than `/` that cookies of applications on a host may have; bounded so that one
    /// response can list them.
    pub(crate) fn cookie_paths(&self, host: &str) -> Vec<String> {
        let paths = self.applications.iter().flat_map(|one| one.application.cookie_paths(host));
        let mut paths: Vec<String> = paths.filter(|path| path != "/").collect();
        paths.sort();
        paths.dedup();
        paths.truncate(MAX_COOKIE_PATHS);
        paths
    }

    /// Returns whether an application on a host uses `SameSite=Strict`.
    pub(crate) fn has_strict_cookies(&self, host: &str) -> bool {
        let mut here = self
            .applications
            .iter()
            .filter(|one| one.application.destinations().iter().any(|it| it.matches_host(host)));
        here.any(|one| one.application.same_site == Some(SameSite::Strict))
    }

    /// Returns the path on a host for a login without a target: `/` if an application covers it, otherwise
    /// that of the first application with an `allow` policy and a path without wildcard.
    pub(crate) fn landing_path(&self, host: &CanonicalHost) -> Option<String> {
        if self.route(host, "/").is_some() {
            return Some("/".to_owned());
        }
        self.applications
            .iter()
            .filter(|compiled| compiled.policies.has_allow())
            .flat_map(|compiled| compiled.application.destinations())
            .filter(|destination| destination.matches_host(host.as_str()))
            .find_map(cookie_path)
    }

    /// Returns the host of all applications, if there is only one.
    pub(crate) fn only_host(&self) -> Option<CanonicalHost> {
        let mut hosts = self.router.destinations().map(|(destination, _)| destination.host());
        let first = hosts.next()?;
        let is_one = first.is_exact() && hosts.all(|host| host == first);
        is_one.then(|| first.text().parse().ok()).flatten()
    }

    /// Returns whether a destination has exactly this host.
    pub(crate) fn has_exact_host(&self, host: &CanonicalHost) -> bool {
        let mut hosts =
            self.router.destinations_for(host.as_str()).map(|(destination, _)| destination.host());
        hosts.any(|named| named.is_exact() && named.text() == host.as_str())
    }

    /// Returns the host pattern of the destination that covers a host and a path.
    pub(crate) fn host_pattern(&self, host: &CanonicalHost, path: &str) -> Option<&str> {
        self.router.entry(host.as_str(), path).map(|(destination, _)| destination.host().text())
    }

    pub(crate) fn has_host(&self, host: &str) -> bool {
        self.everything.is_some() || self.router.has_host(host)
    }
}

/// Why no application was found for a request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocateError {
    /// No application covers it.
    NoApplication,
    /// Its path is ambiguous.
    Path(PathError),
}

/// An error in the definitions of applications.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApplicationsError {
    /// Invalid policies of one application.
    #[error("application `{application}`: {error}")]
    Policy {
        /// Its name.
        application: Box<str>,
        /// The cause.
        error: PolicyError,
    },
    /// Conflicting settings of one application.
    #[error("application `{application}`: {error}")]
    Settings {
        /// Its name.
        application: Box<str>,
        /// The cause.
        error: Contradiction,
    },
    /// A deny URL that belongs to the application itself.
    #[error(
        "application `{application}`: the deny URL `{url}` belongs to the application itself, which \
         refuses the user again: write a URL outside of it"
    )]
    DenyUrl {
        /// Its name.
        application: Box<str>,
        /// The URL.
        url: String,
    },
    /// Two applications with the same destination.
    #[error(transparent)]
    Router(#[from] RouterError),
    /// Two applications with the same audience tag: a token of one would be valid for the other.
    #[error(
        "application `{application}` has the audience tag of another application: write another one"
    )]
    SameAudience {
        /// The second of the two.
        application: Box<str>,
    },
}

/// Most cookie paths: browsers accept at least a hundred header lines in a response.
const MAX_COOKIE_PATHS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn applications(domains: &[String]) -> Applications {
        let mut applications = Vec::new();
        for (number, domain) in domains.iter().enumerate() {
            let application = Application::new(&*format!("App {number}"), domain).unwrap();
            let is_twice = applications
                .iter()
                .any(|known: &Application| known.destinations() == application.destinations());
            if !is_twice {
                applications.push(application);
            }
        }
        Applications::new(applications, &Definitions::default()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// PATH-30, against every path that there could be below.
        #[test]
        fn path_30_no_application_below_a_path_is_missed(
            domains in prop::collection::vec(
                "(h\\.example|\\*\\.example)(/[aAb]{1,2}|/[ab]?\\*[ab]?){0,3}", 1..6),
            path in "(/[ab]{1,2}){0,2}/?",
            below in prop::collection::vec("(/[ab]{1,2}){1,3}", 1..12),
        ) {
            let applications = applications(&domains);
            let host: CanonicalHost = "h.example".parse().unwrap();
            let own = applications.route(&host, if path.is_empty() { "/" } else { &path });
            let found: Vec<_> =
                applications.below(&host, &path).into_iter().map(|(id, _)| id).collect();
            for rest in below {
                let member = format!("{}{rest}", path.trim_end_matches('/'));
                if let Some(id) = applications.route(&host, &member) {
                    prop_assert!(Some(id) == own || found.contains(&id), "{member} of {domains:?}");
                }
            }
        }
    }

    #[test]
    fn path_30_only_what_lies_below_is_found() {
        let domains = ["h.example", "h.example/drop", "h.example/drop/secret", "h.example/dropped"];
        let applications = applications(&domains.map(str::to_owned));
        let host: CanonicalHost = "h.example".parse().unwrap();
        for (path, names) in [
            ("/", &["App 2", "App 1", "App 3"][..]),
            ("/drop", &["App 2"]),
            ("/drop/", &["App 2"]),
            ("/drop/s", &[]),
            ("/drop/secret", &[]),
            ("/dropped", &[]),
            ("/d", &[]),
            ("/x", &[]),
        ] {
            let mut found: Vec<_> = applications
                .below(&host, path)
                .iter()
                .map(|(id, _)| applications.get(*id).unwrap().application.name().to_owned())
                .collect();
            let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            found.sort();
            names.sort();
            assert_eq!(found, names, "{path}");
        }
    }
}
