//! Settings that engines of both roles have: one definition, default and check of each.

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

use super::carrier::{Carrier, Carriers};
use super::lasting::Lasting;
use super::peer::PeerSource;
use super::role::Role;
use super::{ConfigError, Engine, EngineId};

/// Settings of an engine in either role.
#[derive(Debug)]
pub(super) struct EngineOptions {
    pub(super) applications: Vec<Application>,
    pub(super) groups: Vec<Group>,
    pub(super) lists: Vec<List>,
    /// Groups and lists that are compiled already.
    pub(super) definitions: Option<Definitions>,
    pub(super) service_tokens: Vec<ServiceToken>,
    pub(super) public_addresses: PublicAddresses,
    pub(super) carriers: Carriers,
    pub(super) token_cache_bytes: usize,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) sources: Sources,
    pub(super) peer: PeerSource,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) random: Arc<dyn Random>,
}

/// The options of an engine, checked against its applications.
#[derive(Debug)]
pub(super) struct EngineParts {
    pub(super) directory: Arc<Applications>,
    pub(super) public_origins: Arc<PublicOrigins>,
    pub(super) sources: Arc<Sources>,
    trusted_proxies: TrustedProxies,
    peer: PeerSource,
    carriers: Carriers,
}

impl EngineOptions {
    /// Returns the defaults of a role whose tokens come in this header.
    pub(super) fn new(header_of_role: Carrier) -> Self {
        Self {
            applications: Vec::new(),
            groups: Vec::new(),
            lists: Vec::new(),
            definitions: None,
            service_tokens: Vec::new(),
            public_addresses: PublicAddresses::new(),
            carriers: Carriers::with_header(header_of_role),
            token_cache_bytes: DEFAULT_TOKEN_CACHE_BYTES,
            trusted_proxies: TrustedProxies::default(),
            sources: Sources::default(),
            peer: PeerSource::default(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
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

    /// Checks what is left against the applications and the other hosts of the engine.
    pub(super) fn into_parts(
        self,
        directory: Applications,
        other_hosts: &[&CanonicalHost],
        localhost_port: u16,
    ) -> Result<EngineParts, ConfigError> {
        if !directory.is_of_everything() {
            self.public_addresses
                .check(directory.destinations(), other_hosts)
                .map_err(|error| ConfigError::new(format!("public addresses: {error}")))?;
        }
        Ok(EngineParts {
            directory: Arc::new(directory),
            public_origins: Arc::new(PublicOrigins::new(self.public_addresses, localhost_port)),
            sources: Arc::new(self.sources),
            trusted_proxies: self.trusted_proxies,
            peer: self.peer,
            carriers: self.carriers,
        })
    }
}

impl Engine {
    /// Makes an engine of the options of both roles, and what its role adds.
    pub(super) fn new(
        options: EngineParts,
        (role, leeway): (Role, Duration),
        service_tokens: Arc<LiveServiceTokens>,
        lasting: Arc<Lasting>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            id: EngineId::next(),
            me: me.clone(),
            directory: options.directory,
            role,
            clock: Arc::clone(&lasting.clock),
            random: Arc::clone(&lasting.random),
            lasting,
            service_tokens,
            public_origins: options.public_origins,
            trusted_proxies: options.trusted_proxies,
            sources: options.sources,
            peer: options.peer,
            carriers: options.carriers,
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

            /// Sets all groups and lists, compiled already.
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

            /// Sets under which ports people reach the hosts. Default: 443.
            ///
            /// Each host that has a port of its own there has to be one of an application, the team
            /// domain or the transfer host. Behind an issuer, which makes all addresses itself, this
            /// says whose pages may open a WebSocket.
            pub fn public_addresses(
                mut self,
                addresses: crate::application::PublicAddresses,
            ) -> Self {
                self.options.public_addresses = addresses;
                self
            }

            /// Ignores tokens in this location: the header of the [role](crate::Carrier), or the
            /// cookie.
            ///
            /// Where the login runs, nobody can log in with a browser without
            /// [`Carrier::Cookie`](crate::Carrier::Cookie).
            pub fn without_carrier(mut self, carrier: crate::engine::Carrier) -> Self {
                self.options.carriers = self.options.carriers.without(carrier);
                self
            }

            /// Sets how many bytes of verified tokens are cached, so that their signatures need not
            /// be checked again. Default: 16 MiB, about ten thousand tokens.
            ///
            /// Beside that each thread has copies of up to 32 tokens that it sees most, of 4 KiB at
            /// most.
            pub fn token_cache_bytes(mut self, bytes: usize) -> Self {
                self.options.token_cache_bytes = bytes;
                self
            }

            /// Trusts `X-Forwarded-For` of these proxies. Default: nobody's.
            pub fn trusted_proxies(mut self, proxies: crate::address::TrustedProxies) -> Self {
                self.options.trusted_proxies = proxies;
                self
            }

            /// Adds a source of facts that a request does not prove itself.
            ///
            /// Sources are asked in the order they were added; the first that knows a fact wins. See
            /// [`facts`](crate::facts).
            pub fn fact_source(mut self, source: impl crate::facts::FactSource) -> Self {
                self.options.sources.add(source);
                self
            }

            /// Sets how the peer's address is found. Default:
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

/// Some ten thousand tokens of the usual size.
const DEFAULT_TOKEN_CACHE_BYTES: usize = 16 * 1024 * 1024;
