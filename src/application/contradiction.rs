//! Conflicting settings of one application.

use super::cookie_path::cookie_path;
use super::destination::Destination;
use super::settings::Application;

impl Application {
    /// Checks for settings that conflict.
    pub(crate) fn check(&self) -> Result<(), Contradiction> {
        if self.options_preflight_bypass && self.cors_headers.is_some() {
            return Err(Contradiction::Preflights);
        }
        let no_path = |destination: &&Destination| cookie_path(destination).is_none();
        match self.destinations.iter().filter(|_| self.path_cookie).find(no_path) {
            Some(destination) => Err(Contradiction::CookiePath(destination.to_string())),
            None => Ok(()),
        }
    }
}

/// Conflicting settings of one application.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error(
        "`options_preflight_bypass` and `cors_headers` exclude each other: either the origin answers preflights, \
         or the proxy does; remove one of them"
    )]
    Preflights,
    #[error(
        "`path_cookie_attribute` needs literal paths: a browser compares a cookie's path byte by byte, \
         so `{0}` may have no `*` in its path, and only letters, digits and `-._~/`; \
         write such a path, or remove the setting"
    )]
    CookiePath(String),
}

impl Contradiction {
    /// Returns the key of the setting to change.
    #[cfg(feature = "config")]
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Preflights => "options_preflight_bypass",
            Self::CookiePath(_) => "path_cookie_attribute",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::application::CorsHeaders;

    fn app(domain: &str) -> Application {
        Application::new("App", domain).unwrap()
    }

    #[test]
    fn cfg_04_settings_that_exclude_each_other_are_told_apart() {
        let cors = CorsHeaders::for_all_origins;
        assert!(app("a.example").cors_headers(cors()).check().is_ok());
        assert!(app("a.example").insecure_options_preflight_bypass().check().is_ok());
        let both = app("a.example").cors_headers(cors()).insecure_options_preflight_bypass();
        assert_eq!(both.check(), Err(Contradiction::Preflights));
        assert!(app("a.example/x*").check().is_ok());
        assert!(app("*.a.example/x").path_cookie().check().is_ok());
        let error = app("a.example").also_at("a.example/x*").unwrap().path_cookie().check();
        assert_eq!(error, Err(Contradiction::CookiePath("a.example/x*".to_owned())));
    }
}
