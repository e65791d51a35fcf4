//! An application as it is configured.

use std::time::Duration;

use http::header::{self, HeaderName};

use crate::policy::Policy;

use super::ambiguity::{Ambiguities, Ambiguity};
use super::audience::Audience;
use super::cookie_path::cookie_path;
use super::cookie_path::is_sent;
use super::cors::CorsHeaders;
use super::deny_url::{DenyUrl, DenyUrlError};
use super::pattern::{Destination, DestinationError};

/// Hosts and paths under one set of policies: Cloudflare's self-hosted application (section 7.4).
///
/// ```
/// use std::time::Duration;
/// use tower_access::application::Application;
/// use tower_access::policy::{Policy, Rule};
///
/// let wiki = Application::new("Wiki", "wiki.example.com")?
///     .session_duration(Duration::from_secs(8 * 3600))
///     .policy(Policy::allow("staff").include(Rule::email_domain("example.com")?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Without a policy nobody gets in.
#[derive(Clone, Debug)]
pub struct Application {
    pub(crate) id: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) audience: Audience,
    pub(crate) other_audiences: Vec<Audience>,
    pub(crate) binding_cookie: bool,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) session_duration: Option<Duration>,
    pub(crate) policies: Vec<Policy>,
    pub(crate) http_only_cookie: bool,
    pub(crate) same_site: Option<SameSite>,
    pub(crate) custom_deny_message: Option<Box<str>>,
    pub(crate) service_auth_401_redirect: bool,
    pub(crate) ambiguities: Ambiguities,
    pub(crate) case_sensitive_origin: bool,
    pub(crate) allows_shared_caching: bool,
    pub(crate) cors_headers: Option<Box<CorsHeaders>>,
    pub(crate) options_preflight_bypass: bool,
    pub(crate) custom_deny_url: Option<Box<DenyUrl>>,
    pub(crate) custom_non_identity_deny_url: Option<Box<DenyUrl>>,
    pub(crate) path_cookie: bool,
    pub(crate) service_token_header: Option<HeaderName>,
    pub(crate) allowed_login_methods: Vec<Box<str>>,
    pub(crate) skips_interstitial: bool,
}

impl Application {
    /// An application for a host and an optional path, both with wildcards if need be; see
    /// [`Destination`]. Its audience is derived from this domain.
    ///
    /// # Errors
    ///
    /// When the domain is none, or has a port.
    pub fn new(name: impl Into<Box<str>>, domain: &str) -> Result<Self, DestinationError> {
        let destination = Destination::of_domain(domain)?;
        Ok(Self {
            id: destination.to_string().into(),
            name: name.into(),
            audience: Audience::derived_from(&destination.to_string()),
            other_audiences: Vec::new(),
            binding_cookie: false,
            destinations: vec![destination],
            session_duration: None,
            policies: Vec::new(),
            http_only_cookie: true,
            same_site: None,
            custom_deny_message: None,
            service_auth_401_redirect: false,
            ambiguities: Ambiguities::default(),
            case_sensitive_origin: false,
            allows_shared_caching: false,
            cors_headers: None,
            options_preflight_bypass: false,
            custom_deny_url: None,
            custom_non_identity_deny_url: None,
            path_cookie: false,
            service_token_header: None,
            allowed_login_methods: Vec::new(),
            skips_interstitial: false,
        })
    }

    /// Adds a host and path that belong to the application as well.
    ///
    /// # Errors
    ///
    /// When the domain is none, or has a port.
    pub fn also_at(mut self, domain: &str) -> Result<Self, DestinationError> {
        let destination = Destination::of_domain(domain)?;
        if !self.destinations.contains(&destination) {
            self.destinations.push(destination);
        }
        Ok(self)
    }

    /// Adds a policy behind those already there.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policies.push(policy);
        self
    }

    /// Sets the id, by default the domain.
    #[must_use]
    pub fn id(mut self, id: impl Into<Box<str>>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the audience tag. Behind an issuer it is the tag the issuer shows.
    #[must_use]
    pub fn audience(mut self, audience: Audience) -> Self {
        self.audience = audience;
        self
    }

    /// Accepts tokens for this audience as well: for an origin that serves several applications of
    /// its issuer. A login is asked for with the first one, and so are tokens issued.
    #[must_use]
    pub fn also_for_audience(mut self, audience: Audience) -> Self {
        if audience != self.audience && !self.other_audiences.contains(&audience) {
            self.other_audiences.push(audience);
        }
        self
    }

    /// Asks for a second cookie, `CF_Binding`, with every token of a person: a token that was
    /// stolen alone, from a log or an origin, then opens nothing (`get-identity`, which shows what
    /// stands in the token, answers it all the same). Origins never see this cookie.
    ///
    /// Where tokens are issued only. Programs that carry a token in a header cannot come in any
    /// more, unless they carry the cookie as well; who shows a service token's id and secret can.
    #[must_use]
    pub fn binding_cookie(mut self) -> Self {
        self.binding_cookie = true;
        self
    }

    /// Sets how long an application token lives, 31 days at most (longer ones are cut). By default as
    /// long as a login lasts over all applications, 24 hours where that is not set either. What the
    /// policy says that lets somebody in goes before it; no token outlives its login.
    ///
    /// With zero every page is asked for anew: a token serves the page that was opened, for some
    /// seconds, and the next one goes through the login again, without a question while the login
    /// lasts.
    #[must_use]
    pub fn session_duration(mut self, duration: Duration) -> Self {
        self.session_duration = Some(duration.min(LONGEST_SESSION));
        self
    }

    /// Sets `SameSite` of the application's cookie. `None` by default, as at Cloudflare; on
    /// `localhost`, which has no TLS, `Lax`.
    #[must_use]
    pub fn same_site_cookie(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Keeps the application's cookies to its own paths: `path_cookie_attribute`. Two applications
    /// on one host then do not take each other's cookies away. With or without, a token of one is
    /// worth nothing at another; whoever goes from one to the other gets one there without a question
    /// while the session lasts: at once where the host runs the login itself, otherwise by way of
    /// the login.
    ///
    /// For destinations without `*` in the path alone, and with nothing else in it than letters,
    /// digits and `-._~/`: a browser compares a cookie's path literally. An engine is not built
    /// otherwise. Where the login runs on another host than the application, the token has a second
    /// cookie for `/cdn-cgi/access`, which no origin sees, so that a logout on the application's host
    /// still ends the session.
    #[must_use]
    pub fn path_cookie(mut self) -> Self {
        self.path_cookie = true;
        self
    }

    /// Lets scripts of the page read the application's cookie.
    ///
    /// **Weakens the default**: a script injected into the application can then steal the token.
    #[must_use]
    pub fn insecure_cookie_for_scripts(mut self) -> Self {
        self.http_only_cookie = false;
        self
    }

    /// Sets the text of the page for people who logged in and may not enter.
    #[must_use]
    pub fn custom_deny_message(mut self, message: impl Into<Box<str>>) -> Self {
        self.custom_deny_message = Some(message.into());
        self
    }

    /// Sends browsers here that open a page and are refused for who they are: people who have logged
    /// in, and whom no policy lets in. `custom_deny_url`.
    ///
    /// The address is sent as it stands, with a 302, in place of the page and its message; nothing
    /// of the request is added to it. Scripts, programs and gRPC calls get the plain 403. It must
    /// not lie in the application itself: an engine is not built otherwise.
    ///
    /// # Errors
    ///
    /// When it is no whole `https://` address (`http://` on `localhost`).
    pub fn custom_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// As [`custom_deny_url`](Self::custom_deny_url), for those whom no login would help: their
    /// network is refused, or only services may enter. `custom_non_identity_deny_url`.
    ///
    /// # Errors
    ///
    /// When it is no whole `https://` address (`http://` on `localhost`).
    pub fn custom_non_identity_deny_url(mut self, url: &str) -> Result<Self, DenyUrlError> {
        self.custom_non_identity_deny_url = Some(Box::new(url.parse()?));
        Ok(self)
    }

    /// Lets pages of other origins read answers, and answers their preflights. Excludes
    /// [`insecure_options_preflight_bypass`](Self::insecure_options_preflight_bypass).
    #[must_use]
    pub fn cors_headers(mut self, cors: CorsHeaders) -> Self {
        self.cors_headers = Some(Box::new(cors));
        self
    }

    /// Lets every `OPTIONS` request through to the inner service, so that it answers preflights
    /// itself: `options_preflight_bypass`. No identity goes with it and no cookie of ours, whoever
    /// asks.
    ///
    /// **Weakens the default**: not preflights alone but all `OPTIONS` requests are let through, as
    /// at Cloudflare, whatever the policies say. An inner service that does more than answer them
    /// does it for strangers. Those that ask for another protocol (`Upgrade`) or name another method
    /// (`X-HTTP-Method-Override` and its like) are judged as all other requests.
    #[must_use]
    pub fn insecure_options_preflight_bypass(mut self) -> Self {
        self.options_preflight_bypass = true;
        self
    }

    /// Takes service tokens from one header as well, which holds JSON with the keys
    /// `cf-access-client-id` and `cf-access-client-secret`: for programs that can set no other than
    /// `Authorization`. `read_service_tokens_from_header`.
    ///
    /// ```http
    /// Authorization: {"cf-access-client-id": "9c0d….access", "cf-access-client-secret": "…"}
    /// ```
    ///
    /// A header that holds a service token, good or bad, is never handed on; any other value of it
    /// is. Together with the usual two headers it is refused. Where tokens are only verified it proves
    /// nothing, and is kept from the origin all the same.
    ///
    /// # Errors
    ///
    /// When it is no name of a header, or of one that has a meaning of its own here.
    pub fn read_service_tokens_from_header(
        mut self,
        name: &str,
    ) -> Result<Self, ServiceTokenHeaderError> {
        let refuse = || ServiceTokenHeaderError { name: name.chars().take(80).collect() };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse())?;
        if TAKEN_HEADERS.contains(&name) || crate::headers::is_ours(name.as_str()) {
            return Err(refuse());
        }
        self.service_token_header = Some(name);
        Ok(self)
    }

    /// Lets people in who have logged in by this method alone, by its id; named again, by these.
    /// `allowed_idps`. By default by all there are: the one-time PIN, whose id is that of
    /// `OneTimePin`.
    ///
    /// Where tokens are issued only; the ids have to be those of methods that exist.
    #[must_use]
    pub fn allowed_login_method(mut self, id: impl Into<Box<str>>) -> Self {
        self.allowed_login_methods.push(id.into());
        self
    }

    /// Lets the command-line client in without asking the person who is logged in:
    /// `skip_interstitial`.
    ///
    /// **Weakens the default**: whoever brings somebody to open an address of their making, by mail
    /// for instance, gets in under that person's name. Where the browser says that a page led there,
    /// and right after a login, the person is asked all the same.
    #[cfg(feature = "cloudflared")]
    #[must_use]
    pub fn insecure_skip_interstitial(mut self) -> Self {
        self.skips_interstitial = true;
        self
    }

    /// Answers 401 in place of 403 where only services may enter and none has proved itself. git and
    /// git-lfs get 403 all the same.
    #[must_use]
    pub fn service_auth_401_redirect(mut self) -> Self {
        self.service_auth_401_redirect = true;
        self
    }

    /// Lets `%2F` through, wherever it stands in the path.
    ///
    /// **Weakens the default**, which answers 400: if the upstream takes `%2F` for a slash, it may
    /// serve another path than the one that was judged. Needed by applications that put whole
    /// names into one segment (Argo CD, GitLab, RabbitMQ, image proxies).
    ///
    /// This holds for each of the `insecure_allow_…` settings for paths:
    ///
    /// - The path is judged in every reading that servers are known to make of it, together with all
    ///   other kinds that are in it: each reading must belong to this application, also when letter
    ///   case is ignored, and none to the login. Anything else is a 400 as before. A more specific
    ///   application of the host is not reached in a roundabout way.
    /// - What hides a dot segment in any reading is a 400.
    /// - The path reaches the inner service byte for byte as it was sent.
    /// - A path with more readings than some hundred is a 400.
    /// - Where an axum router outside of the layer has chosen a handler, the path must be in normal form
    ///   but for what is let through.
    #[must_use]
    pub fn insecure_allow_encoded_slashes(self) -> Self {
        self.allow(Ambiguity::EncodedSlash)
    }

    /// Lets `//` through: for origins that carry whole addresses in their paths
    /// (`/proxy/https://x.example/`). Readings: as it stands, with runs of slashes collapsed, and with
    /// `//name` in front taken for a host.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_doubled_slashes(self) -> Self {
        self.allow(Ambiguity::DoubledSlash)
    }

    /// Lets backslashes through, escaped (`%5C`) or not. Readings: a character, and a slash.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_backslashes(self) -> Self {
        self.allow(Ambiguity::Backslash)
    }

    /// Lets `;` through, escaped (`%3B`) or not: matrix parameters, `;jsessionid=`. Readings: a
    /// character, and the start of what is cut off: of each segment, of the last one, of the path.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_path_parameters(self) -> Self {
        self.allow(Ambiguity::PathParameter)
    }

    /// Lets escaped control characters through (`%00`, `%0A`, `%7F`). Readings: a character, nothing,
    /// and the end of the path. Raw ones stay refused: no parser of HTTP lets them through. An origin
    /// that decodes `%0D%0A` and writes it into a header may answer with headers of a stranger's.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_control_characters(self) -> Self {
        self.allow(Ambiguity::ControlCharacter)
    }

    /// Lets escapes of escapes through (`%2541`). Readings: decoded once, twice, and so on.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_double_escapes(self) -> Self {
        self.allow(Ambiguity::DoubleEscape)
    }

    /// Lets `%` through without two hexadecimal digits behind it (`/100%`, `%zz`). Readings: a
    /// character, nothing, nothing with what would be its digits, and `%u0041` as Windows reads it.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_escapes(self) -> Self {
        self.allow(Ambiguity::InvalidEscape)
    }

    /// Lets escapes through that are no UTF-8 (`%E4`). Readings: the bytes, Latin-1, nothing, U+FFFD,
    /// and characters in an overlong form (`%C0%AF`).
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_invalid_utf8(self) -> Self {
        self.allow(Ambiguity::InvalidUtf8)
    }

    /// Lets characters beyond ASCII through without an escape. Readings: UTF-8, and Latin-1.
    ///
    /// **Weakens the default**, which answers 400; see
    /// [`insecure_allow_encoded_slashes`](Self::insecure_allow_encoded_slashes).
    #[must_use]
    pub fn insecure_allow_unescaped_characters(self) -> Self {
        self.allow(Ambiguity::UnescapedCharacter)
    }

    pub(crate) fn allow(mut self, kind: Ambiguity) -> Self {
        self.ambiguities.insert(kind);
        self
    }

    /// Says that the origin tells paths apart that differ in letter case alone, or in dots or blanks
    /// at the end of a segment.
    ///
    /// **Weakens the default**, which answers 400 where such a path would belong to another
    /// application (see [`Destination`]): if the origin ignores letter case after all, it serves
    /// what is protected here to whoever gets into the other one. Has to be said by each of the
    /// applications in question that does not let in everybody, and changes nothing where it is
    /// said by one that does. The rules of the proxy's `ingress` are then told apart likewise.
    #[must_use]
    pub fn insecure_case_sensitive_origin(mut self) -> Self {
        self.case_sensitive_origin = true;
        self
    }

    /// Lets caches that several people share store answers to people, services and networks, where
    /// the inner service names such caches: by `public` or `s-maxage` in `Cache-Control`, or in a
    /// header for them alone, such as `CDN-Cache-Control`, `Surrogate-Control` or `X-Accel-Expires`.
    ///
    /// By default every answer that not everybody would get leaves with `private`, or with the inner
    /// service's `no-store`, and without these headers; `max-age` and its like stay for the
    /// browser's own cache. Answers behind a `bypass` policy for everyone are never changed.
    ///
    /// **Weakens the default**: a cache in front asks no policy. What it stores, it hands to
    /// strangers, and to people whose access has ended. Needed where a cache checks access itself,
    /// or an application marks the files that strangers may see.
    #[must_use]
    pub fn insecure_allow_shared_caching(mut self) -> Self {
        self.allows_shared_caching = true;
        self
    }

    /// Where the application applies; the first is the domain shown.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.destinations
    }

    /// The policies, as they were added.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Application {
    /// Whether people may come in who have logged in by this method.
    pub(crate) fn allows_login_method(&self, id: &str) -> bool {
        let allowed = &self.allowed_login_methods;
        allowed.is_empty() || allowed.iter().any(|method| **method == *id)
    }

    /// The path of the application's cookies on a host, for a login that leads to `path`.
    pub(crate) fn cookie_path(&self, host: &str, path: &str) -> String {
        let mut paths: Vec<String> = self.cookie_paths(host).collect();
        paths.sort_by_key(String::len);
        let found = paths.iter().find(|cookie| is_sent(cookie, path)).or_else(|| paths.first());
        found.map_or_else(|| "/".to_owned(), Clone::clone)
    }

    /// The paths its cookies may have on a host, where it keeps them to its own.
    pub(crate) fn cookie_paths(&self, host: &str) -> impl Iterator<Item = String> {
        let here = |destination: &&Destination| destination.matches_host(host);
        let own = self.destinations.iter().filter(|_| self.path_cookie);
        own.filter(here).filter_map(cookie_path)
    }

    /// Where it sends those it refuses.
    pub(crate) fn deny_urls(&self) -> impl Iterator<Item = &DenyUrl> {
        let urls = [&self.custom_deny_url, &self.custom_non_identity_deny_url];
        urls.into_iter().filter_map(|url| url.as_deref())
    }

    /// Settings that exclude each other.
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

/// Settings of one application that exclude each other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error(
        "`options_preflight_bypass` and `cors_headers` exclude each other: the origin answers \
         preflights, or they are answered here; leave one out"
    )]
    Preflights,
    #[error(
        "`path_cookie_attribute` needs literal paths: a browser compares a cookie's path letter by \
         letter, so `{0}` may have no `*` in its path and nothing but letters, digits and `-._~/`; \
         write such a path, or leave the attribute out"
    )]
    CookiePath(String),
}

impl Contradiction {
    /// The setting in the file that would have to change.
    #[cfg(feature = "config")]
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Preflights => "options_preflight_bypass",
            Self::CookiePath(_) => "path_cookie_attribute",
        }
    }
}

/// A header that service tokens cannot be read from.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "service tokens cannot be read from a header `{name}`: write one that has no meaning of its own \
     on the way here, such as `Authorization`"
)]
pub struct ServiceTokenHeaderError {
    name: Box<str>,
}

/// `SameSite` of a cookie.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SameSite {
    /// Sent along from other sites as well.
    None,
    /// Sent along when a person follows a link.
    Lax,
    /// Never sent from other sites. The first page after a login then asks once more.
    Strict,
}

/// Headers that say how a message travels, where to, or from whom.
const TAKEN_HEADERS: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(crate) const LONGEST_SESSION: Duration = Duration::from_secs(31 * 86_400);

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

    #[test]
    fn service_tokens_are_read_from_headers_without_another_meaning() {
        for name in ["Authorization", "x-service-token"] {
            assert!(app("a.example").read_service_tokens_from_header(name).is_ok(), "{name}");
        }
        for name in
            ["", "a b", "Cookie", "host", "Connection", "cf-access-token", "Cf_Access_Client-Id"]
        {
            assert!(app("a.example").read_service_tokens_from_header(name).is_err(), "{name}");
        }
    }

    #[test]
    fn login_methods_are_all_or_those_that_are_named() {
        assert!(app("a.example").allows_login_method("x"));
        let app = app("a.example").allowed_login_method("x").allowed_login_method("y");
        assert!(app.allows_login_method("x") && app.allows_login_method("y"));
        assert!(!app.allows_login_method("z") && !app.allows_login_method(""));
    }
}
