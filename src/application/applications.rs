//! Applications ready to decide, found by host and path or by audience.

use std::collections::HashMap;
use std::sync::Arc;

use crate::policy::{Definitions, PolicyError};

use super::compiled_application::CompiledApplication;
use super::contradiction::Contradiction;
use super::cookie_path::cookie_path;
use super::endpoint::{is_own, is_own_when_folded};
use super::explain::Choice;
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
    /// The only application there is, for every host and path: an origin that only verifies.
    everything: Option<ApplicationId>,
}

/// An application's place in its directory.
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
            let protected = CompiledApplication::new(application, definitions)
                .map_err(|error| ApplicationsError::Policy { application: name.clone(), error })?;
            let id = ApplicationId(all.len());
            for destination in &protected.application.destinations {
                destinations.push((destination.clone(), id));
            }
            let audience = protected.audience().into();
            if by_audience.insert(audience, id).is_some() {
                return Err(ApplicationsError::SameAudience { application: name });
            }
            all.push(Arc::new(protected));
        }
        let router = Router::new(destinations)?;
        let spellings = Spellings::of(&router)?;
        let directory =
            Self { applications: all, router, spellings, by_audience, everything: None };
        directory.check_deny_urls()?;
        Ok(directory)
    }

    /// Nobody is sent in circles.
    fn check_deny_urls(&self) -> Result<(), ApplicationsError> {
        for (index, protected) in self.applications.iter().enumerate() {
            let application = &protected.application;
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

    /// One application for every host and path.
    pub(crate) fn of_one(application: Application) -> Result<Self, ApplicationsError> {
        let mut directory = Self::new(vec![application], &Definitions::default())?;
        directory.everything = Some(ApplicationId(0));
        Ok(directory)
    }

    pub(crate) fn route(&self, host: &CanonicalHost, path: &str) -> Option<ApplicationId> {
        match self.everything {
            Some(everything) => Some(everything),
            None => self.router.locate(host.as_str(), path).copied(),
        }
    }

    /// The application of a request whose host and path are canonical.
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

    /// An upstream may read the path in other ways: all of them have to lead to one application,
    /// which lets such paths through.
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
            // The login has no such paths, and nobody answers in its name.
            if self.route(host, &reading) != Some(application) || is_own(&reading) {
                return Err(PathError::Divided);
            }
            if !self.is_alike_when_folded(host, path, &reading, application) {
                return Err(PathError::LetterCase);
            }
        }
        Ok(())
    }

    /// Whether an origin that takes several spellings for one serves a reading of a path under the
    /// same application.
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
        let Some(found) = self.spellings.otherwise(host.as_str(), reading, application) else {
            return true;
        };
        // What belongs to nobody is closed.
        let mut all = found.iter().chain([&application]);
        !found.is_empty()
            && all.all(|id| self.get(*id).is_some_and(|it| it.tells_spellings_apart()))
    }

    /// The applications of what lies below a canonical path and is not decided by the destination
    /// of the path itself, each with a path that it may have there; empty for nearly every path.
    ///
    /// Letter case makes no difference, nor do dots and blanks at the end of a segment: some servers
    /// make none either, and remove `/Drop/Secret` together with `/drop.`.
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
            .destinations_of(host.as_str())
            // What is less specific than the destination of the path itself decides nothing there.
            .take_while(|(destination, _)| !destination.path().matches(path))
            .filter(|(destination, _)| reaches_below(destination.path()))
            .map(|(destination, id)| (*id, destination.path().text().replace('*', "x")))
            .collect()
    }

    /// As [`route`](Self::route), with the reasons.
    pub(crate) fn explain(&self, host: &CanonicalHost, path: &str) -> Choice<'_, ApplicationId> {
        self.router.explain(host.as_str(), path)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<CompiledApplication>> {
        self.applications.iter()
    }

    /// The destinations of all applications.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &super::Destination> + Clone {
        self.applications.iter().flat_map(|protected| protected.application.destinations())
    }

    /// Whether one application has every host and path.
    pub(crate) fn is_of_everything(&self) -> bool {
        self.everything.is_some()
    }

    /// Where applications are found.
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

    /// Whether any application lets people in who log in.
    pub(crate) fn has_login(&self) -> bool {
        self.applications.iter().any(|protected| protected.policies.has_allow())
    }

    /// The audiences of the applications on a host, or of all.
    pub(crate) fn audiences_of(&self, host: &str, all: bool) -> Vec<&str> {
        if all {
            return self.applications.iter().map(|protected| protected.audience()).collect();
        }
        self.router
            .destinations_of(host)
            .filter_map(|(_, id)| self.get(*id))
            .map(|protected| protected.audience())
            .collect()
    }

    /// Whether an application on a host takes tokens for an audience of this kind.
    pub(crate) fn accepts_on(&self, host: &str, is_it: impl Fn(&str) -> bool) -> bool {
        let mut applications =
            self.router.destinations_of(host).filter_map(|(_, id)| self.get(*id));
        applications.any(|protected| protected.accepted(&is_it).is_some())
    }

    /// The paths that cookies of applications on a host may have, other than `/`; so many at most
    /// that an answer can name them.
    pub(crate) fn cookie_paths(&self, host: &str) -> Vec<String> {
        let paths = self.applications.iter().flat_map(|one| one.application.cookie_paths(host));
        let mut paths: Vec<String> = paths.filter(|path| path != "/").collect();
        paths.sort();
        paths.dedup();
        paths.truncate(MOST_COOKIE_PATHS);
        paths
    }

    /// Whether an application on a host keeps its cookie from every other site.
    pub(crate) fn has_strict_cookies(&self, host: &str) -> bool {
        let mut here = self
            .applications
            .iter()
            .filter(|one| one.application.destinations().iter().any(|it| it.matches_host(host)));
        here.any(|one| one.application.same_site == Some(SameSite::Strict))
    }

    /// A path on a host for people who came for nothing in particular: `/` where an application
    /// covers it, otherwise that of the first one that people log in to, if it has no wildcard.
    pub(crate) fn entrance(&self, host: &CanonicalHost) -> Option<String> {
        if self.route(host, "/").is_some() {
            return Some("/".to_owned());
        }
        self.applications
            .iter()
            .filter(|protected| protected.policies.has_allow())
            .flat_map(|protected| protected.application.destinations())
            .filter(|destination| destination.matches_host(host.as_str()))
            .find_map(cookie_path)
    }

    /// The host of all applications, where there is only one.
    pub(crate) fn only_host(&self) -> Option<CanonicalHost> {
        let mut hosts = self.router.destinations().map(|(destination, _)| destination.host());
        let first = hosts.next()?;
        let is_one = first.is_exact() && hosts.all(|host| host == first);
        is_one.then(|| first.text().parse().ok()).flatten()
    }

    /// Whether a destination has this very host.
    pub(crate) fn names_host(&self, host: &CanonicalHost) -> bool {
        let mut hosts =
            self.router.destinations_of(host.as_str()).map(|(destination, _)| destination.host());
        hosts.any(|named| named.is_exact() && named.text() == host.as_str())
    }

    /// The host of the destination that covers a host and a path, as it is written.
    pub(crate) fn host_pattern(&self, host: &CanonicalHost, path: &str) -> Option<&str> {
        self.router.entry(host.as_str(), path).map(|(destination, _)| destination.host().text())
    }

    pub(crate) fn knows_host(&self, host: &str) -> bool {
        self.everything.is_some() || self.router.knows_host(host)
    }
}

/// Why a request belongs to no application.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LocateError {
    /// None covers it.
    NoApplication,
    /// Its path can be read two ways.
    Path(PathError),
}

/// Applications that contradict themselves or each other.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ApplicationsError {
    /// The policies of one application.
    #[error("application `{application}`: {error}")]
    Policy {
        /// Its name.
        application: Box<str>,
        /// What is wrong.
        error: PolicyError,
    },
    /// The settings of one application.
    #[error("application `{application}`: {error}")]
    Settings {
        /// Its name.
        application: Box<str>,
        /// What is wrong.
        error: Contradiction,
    },
    /// Whoever is refused is sent to where they are refused.
    #[error(
        "application `{application}`: `{url}` is an address of the application itself, where nobody \
         gets in who was refused: write one outside of it"
    )]
    DenyUrl {
        /// Its name.
        application: Box<str>,
        /// The address.
        url: String,
    },
    /// Two applications at one place.
    #[error(transparent)]
    Router(#[from] RouterError),
    /// Two applications with one audience tag: a token of one would open the other.
    #[error("application `{application}` has the audience tag of another one")]
    SameAudience {
        /// The later of the two.
        application: Box<str>,
    },
}

/// A browser reads a hundred lines or more of an answer's head.
const MOST_COOKIE_PATHS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn directory(domains: &[String]) -> Applications {
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
            let directory = directory(&domains);
            let host: CanonicalHost = "h.example".parse().unwrap();
            let own = directory.route(&host, if path.is_empty() { "/" } else { &path });
            let found: Vec<_> =
                directory.below(&host, &path).into_iter().map(|(id, _)| id).collect();
            for rest in below {
                let member = format!("{}{rest}", path.trim_end_matches('/'));
                if let Some(id) = directory.route(&host, &member) {
                    prop_assert!(Some(id) == own || found.contains(&id), "{member} of {domains:?}");
                }
            }
        }
    }

    #[test]
    fn path_30_only_what_lies_below_is_found() {
        let domains = ["h.example", "h.example/drop", "h.example/drop/secret", "h.example/dropped"];
        let directory = directory(&domains.map(str::to_owned));
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
            let mut found: Vec<_> = directory
                .below(&host, path)
                .iter()
                .map(|(id, _)| directory.get(*id).unwrap().application.name().to_owned())
                .collect();
            let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            found.sort();
            names.sort();
            assert_eq!(found, names, "{path}");
        }
    }
}
