//! Settings of engines in both roles: one definition, default and check for each.

use std::sync::Arc;
use std::time::Duration;

use crate::address::TrustedProxies;
use crate::application::{
    Application, Applications, CanonicalHost, PublicAddresses, PublicOrigins,
};
use crate::clock::{Clock, SystemClock};
use crate::facts::Sources;
use crate::policy::{Definitions, Group, List};
use crate::random::{Random, SystemRandom};
use crate::service_token::{LiveServiceTokens, ServiceToken, ServiceTokens};

use super::peer::PeerSource;
use super::role::Role;
use super::shared_state::SharedState;
use super::token_location::{TokenLocation, TokenLocations};
use super::{ConfigError, Engine, EngineId};

/// Settings of an engine in either role.
#[derive(Debug)]
pub(super) struct EngineOptions {
    pub(super) applications: Vec<Application>,
    pub(super) groups: Vec<Group>,
    pub(super) lists: Vec<List>,
    /// Compiled groups and lists, if the caller has compiled them.
    pub(super) definitions: Option<Definitions>,
    pub(super) service_tokens: Vec<ServiceToken>,
    pub(super) public_addresses: PublicAddresses,
    pub(super) token_locations: TokenLocations,
    pub(super) token_cache_bytes: usize,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) sources: Sources,
    pub(super) peer: PeerSource,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
    /// Whether the program has set no other source.
    pub(super) has_system_random: bool,
}

/// The options of an engine, checked against its applications.
#[derive(Debug)]
pub(super) struct EngineParts {
    pub(super) applications: Arc<Applications>,
    pub(super) public_origins: Arc<PublicOrigins>,
    pub(super) sources: Arc<Sources>,
    trusted_proxies: TrustedProxies,
    peer: PeerSource,
    token_locations: TokenLocations,
}

impl EngineOptions {
    /// Returns the defaults of a role that reads tokens from this header.
    pub(super) fn new(role_header: TokenLocation) -> Self {
        Self {
            applications: Vec::new(),
            groups: Vec::new(),
            lists: Vec::new(),
            definitions: None,
            service_tokens: Vec::new(),
            public_addresses: PublicAddresses::new(),
            token_locations: TokenLocations::with_header(role_header),
            token_cache_bytes: DEFAULT_TOKEN_CACHE_BYTES,
            trusted_proxies: TrustedProxies::default(),
            sources: Sources::default(),
            peer: PeerSource::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            has_system_random: true,
        }
    }

    /// Compiles the groups and lists, unless they are compiled already.
    pub(super) fn take_definitions(&mut self) -> Result<Definitions, ConfigError> {
        let (groups, lists) = (std::mem::take(&mut self.groups), std::mem::take(&mut self.lists));
        match self.definitions.take() {
            Some(definitions) => Ok(definitions),
            None => Definitions::new(groups, lists).map_err(ConfigError::new),
        }
    }

    /// Compiles the applications.
    pub(super) fn take_applications(
        &mut self,
        definitions: &Definitions,
    ) -> Result<Applications, ConfigError> {
        let applications = std::mem::take(&mut self.applications);
        Applications::new(applications, definitions).map_err(ConfigError::new)
    }

    /// Indexes the service tokens.
    pub(super) fn take_service_tokens(&mut self) -> Result<ServiceTokens, ConfigError> {
        ServiceTokens::new(std::mem::take(&mut self.service_tokens)).map_err(ConfigError::new)
    }

    /// Checks the other settings against the applications and the other hosts of the engine.
    pub(super) fn into_parts(
        self,
        applications: Applications,
        other_hosts: &[&CanonicalHost],
        localhost_port: u16,
    ) -> Result<EngineParts, ConfigError> {
        if !applications.covers_everything() {
            self.public_addresses
                .check(applications.destinations(), other_hosts)
                .map_err(|error| ConfigError::new(format!("public addresses: {error}")))?;
        }
        Ok(EngineParts {
            applications: Arc::new(applications),
            public_origins: Arc::new(PublicOrigins::new(self.public_addresses, localhost_port)),
            sources: Arc::new(self.sources),
            trusted_proxies: self.trusted_proxies,
            peer: self.peer,
            token_locations: self.token_locations,
        })
    }
}

impl Engine {
    /// Makes an engine from the options of both roles and its role.
    pub(super) fn new(
        options: EngineParts,
        (role, leeway): (Role, Duration),
        service_tokens: Arc<LiveServiceTokens>,
        shared_state: Arc<SharedState>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|weak_self| Self {
            id: EngineId::next(),
            weak_self: weak_self.clone(),
            applications: options.applications,
            role,
            clock: Arc::clone(&shared_state.clock),
            random: Arc::clone(&shared_state.random),
            shared_state,
            service_tokens,
            public_origins: options.public_origins,
            trusted_proxies: options.trusted_proxies,
            sources: options.sources,
            peer: options.peer,
            token_locations: options.token_locations,
            leeway,
        })
    }
}

/// Emits the setters of [`EngineOptions`] for a builder that has them in its field `options`.
macro_rules! shared_setters {
    ($builder:ident) => {
        /// Settings that engines of both roles have.
        impl $builder {
            /// Adds an application, with its policies.
            ///
            /// Behind an issuer its [`audience`](crate::application::Application::audience) is the
            /// tag that the issuer puts into the application's tokens, and the policies apply to
            /// the claims of these tokens.
            pub fn application(mut self, application: crate::application::Application) -> Self {
                self.options.applications.push(application);
                self
            }

            /// Adds a rule group.
            pub fn group(mut self, group: crate::policy::Group) -> Self {
                self.options.groups.push(group);
                self
            }

            /// Adds a list of addresses or networks.
            pub fn list(mut self, list: crate::policy::List) -> Self {
                self.options.lists.push(list);
                self
            }

            /// Sets all groups and lists in compiled form.
            #[cfg(feature = "config")]
            pub(crate) fn definitions(mut self, definitions: crate::policy::Definitions) -> Self {
                self.options.definitions = Some(definitions);
                self
            }

            /// Adds a service token.
            ///
            /// Behind an issuer this gives one of the issuer's service tokens an id, for
            /// `service_token` rules. Rules can name tokens that are not added by the client id.
            pub fn service_token(mut self, token: crate::service_token::ServiceToken) -> Self {
                self.options.service_tokens.push(token);
                self
            }

            /// Sets the ports under which clients reach the hosts. Default: 443.
            ///
            /// Each host with a port of its own has to be the host of an application, the team
            /// domain or the transfer host. Behind an issuer, which makes all URLs itself, this
            /// setting decides which pages may open a WebSocket.
            pub fn public_addresses(
                mut self,
                addresses: crate::application::PublicAddresses,
            ) -> Self {
                self.options.public_addresses = addresses;
                self
            }

            /// Ignores tokens in this location: the header of the [role](crate::TokenLocation), or the
            /// cookie.
            ///
            /// If this engine runs the login, no browser can log in without
            /// [`TokenLocation::Cookie`](crate::TokenLocation::Cookie).
            pub fn without_token_location(mut self, location: crate::engine::TokenLocation) -> Self {
                self.options.token_locations = self.options.token_locations.without(location);
                self
            }

            /// Sets how many bytes of verified tokens are cached, so that their signatures need not
            /// be checked again. Default: 16 MiB, about forty thousand tokens.
            ///
            /// In addition each thread caches up to 32 of its most frequent tokens, of at most 4 KiB
            /// each.
            pub fn token_cache_bytes(mut self, bytes: usize) -> Self {
                self.options.token_cache_bytes = bytes;
                self
            }

            /// Trusts `X-Forwarded-For` of these proxies. Default: none.
            pub fn trusted_proxies(mut self, proxies: crate::address::TrustedProxies) -> Self {
                self.options.trusted_proxies = proxies;
                self
            }

            /// Adds a source of facts that the request does not prove itself.
            ///
            /// Sources are queried in the order of the calls; the first that knows a fact wins. See
            /// [`facts`](crate::facts).
            pub fn fact_source(mut self, source: impl crate::facts::FactSource) -> Self {
                self.options.sources.add(source);
                self
            }

            /// Sets how to find the peer's address. Default:
            /// [`PeerAddress`](crate::address::PeerAddress) or axum's `ConnectInfo<SocketAddr>`, in
            /// the extensions of the request.
            pub fn peer_address(
                mut self,
                source: impl Fn(&http::Extensions) -> Option<std::net::IpAddr> + Send + Sync + 'static,
            ) -> Self {
                self.options.peer = crate::engine::peer::PeerSource::new(source);
                self
            }

            /// Sets the clock. Default: [`SystemClock`](crate::clock::SystemClock).
            pub fn clock(mut self, clock: impl crate::clock::Clock) -> Self {
                self.options.clock = std::sync::Arc::new(clock);
                self
            }
        }
    };
}
pub(super) use shared_setters;

/// About ten thousand tokens of the usual size.
const DEFAULT_TOKEN_CACHE_BYTES: usize = 16 * 1024 * 1024;
