//! Identity providers as configured, before their login methods are built.

use std::fmt;
use std::sync::Arc;

use super::LoginMethod;
use crate::clock::Clock;

/// An identity provider by which users log in, in addition to the one-time PIN.
///
/// Made from the settings of one kind of provider. Several may be of one kind, each with an id of its
/// own.
#[derive(Clone)]
pub struct IdentityProvider(Arc<dyn ProviderSettings>);

#[cfg_attr(
    not(any(feature = "github", feature = "oidc", feature = "saml")),
    allow(dead_code, reason = "there are no providers then")
)]
impl IdentityProvider {
    pub(super) fn new(settings: impl ProviderSettings + 'static) -> Self {
        Self(Arc::new(settings))
    }

    /// Returns the id that rules, applications and sessions refer to.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// Returns the name that users see.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Returns the type, as of Cloudflare's identity providers: `oidc`, `github`, `saml`, …
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.kind()
    }

    /// Builds its login method.
    pub(super) fn build(
        &self,
        context: &MethodContext<'_>,
    ) -> Result<Arc<dyn LoginMethod>, ProviderError> {
        self.0.build(context).map_err(|cause| ProviderError { id: self.id().into(), cause })
    }
}

impl fmt::Debug for IdentityProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The settings of one kind of identity provider.
pub(super) trait ProviderSettings: fmt::Debug + Send + Sync {
    fn id(&self) -> &str;

    fn name(&self) -> &str;

    fn kind(&self) -> &str;

    /// Builds the login method. Nothing is requested yet.
    fn build(&self, context: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError>;
}

/// Why a login method cannot be built.
pub(super) type BuildError = Box<dyn std::error::Error + Send + Sync>;

/// What a login method is built with.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "oidc"), allow(dead_code, reason = "other methods need no clock"))]
pub(crate) struct MethodContext<'a> {
    pub(crate) clock: &'a Arc<dyn Clock>,
}

/// The error of an identity provider that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("identity provider `{id}`: {cause}")]
pub(crate) struct ProviderError {
    id: Box<str>,
    cause: BuildError,
}
