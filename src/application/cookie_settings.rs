//! Cookie settings of an application.

use super::cookie_path::cookie_path;
use super::cookie_path::is_sent;
use super::destination::Destination;
use super::settings::{Application, SameSite};

impl Application {
    /// Requires a second cookie, `CF_Binding`, with every token of a user: a token that is stolen alone,
    /// from a log or an origin, then grants no access (only `get-identity`, which returns the claims of
    /// the token, still accepts it). Origins never receive this cookie.
    ///
    /// Only where tokens are issued. Clients that send a token in a header are refused unless they send the
    /// cookie as well; service tokens (id and secret) still work.
    #[must_use]
    pub fn binding_cookie(mut self) -> Self {
        self.binding_cookie = true;
        self
    }

    /// Sets `SameSite` of the application's cookie. Default: `None`, as at Cloudflare; on `localhost`,
    /// which has no TLS, `Lax`.
    #[must_use]
    pub fn same_site_cookie(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Limits the application's cookies to its own paths: `path_cookie_attribute`. Two applications on one
    /// host then do not overwrite each other's cookies. With or without this setting, a token of one is
    /// invalid at another; a user who moves to the other gets a token there without a prompt while the
    /// session lasts: at once if the host runs the login itself, otherwise through the login.
    ///
    /// Only for destinations whose paths have letters, digits and `-._~/` and no `*`: a browser compares a
    /// cookie's path literally. Building an engine fails otherwise. If the login runs on another host than
    /// the application, the token has a second cookie for `/cdn-cgi/access`, which origins never receive, so
    /// that a logout on the application's host still ends the session.
    #[must_use]
    pub fn path_cookie(mut self) -> Self {
        self.path_cookie = true;
        self
    }

    /// Lets scripts of the page read the application's cookie (no `HttpOnly`).
    ///
    /// **Weakens the default**: a script injected into the application can then steal the token.
    #[must_use]
    pub fn insecure_cookie_for_scripts(mut self) -> Self {
        self.http_only_cookie = false;
        self
    }

    /// Returns the path of the application's cookies on a host, for a login that returns to `path`.
    pub(crate) fn cookie_path(&self, host: &str, path: &str) -> String {
        let mut paths: Vec<String> = self.cookie_paths(host).collect();
        paths.sort_by_key(String::len);
        let found = paths.iter().find(|cookie| is_sent(cookie, path)).or_else(|| paths.first());
        found.map_or_else(|| "/".to_owned(), Clone::clone)
    }

    /// Returns the paths that its cookies may have on a host, if they are limited to its own.
    pub(crate) fn cookie_paths(&self, host: &str) -> impl Iterator<Item = String> {
        let here = |destination: &&Destination| destination.matches_host(host);
        let own = self.destinations.iter().filter(|_| self.path_cookie);
        own.filter(here).filter_map(cookie_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(domain: &str) -> Application {
        Application::new("App", domain).unwrap()
    }

    #[test]
    fn the_broadest_path_that_covers_the_target_is_the_cookies() {
        let app = app("h.example/docs").also_at("h.example/docs/old").unwrap();
        let app = app.also_at("h.example/wiki").unwrap().also_at("*.example").unwrap();
        assert_eq!(app.cookie_path("h.example", "/docs/old/x"), "/", "without the attribute");
        let app = app.path_cookie();
        assert_eq!(app.cookie_path("other.example", "/x"), "/");
        assert_eq!(app.cookie_path("h.example", "/docs/old/x"), "/");
        let app = Application { destinations: app.destinations[..3].to_vec(), ..app };
        assert_eq!(app.cookie_path("h.example", "/docs/old/x"), "/docs");
        assert_eq!(app.cookie_path("h.example", "/wiki"), "/wiki");
        assert_eq!(app.cookie_path("h.example", "/elsewhere"), "/docs");
        assert_eq!(app.cookie_paths("h.example").count(), 3);
        assert_eq!(app.cookie_paths("x.example").count(), 0);
    }
}
