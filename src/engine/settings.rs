//! Settings of an engine whose role is chosen at run time.

use std::sync::Arc;

use super::{Access, AccessBuilder, ConfigError, Engine, VerifierBuilder};

/// Settings of an engine in either role. Both builders convert into it; [`Access::reload`] takes it.
///
/// ```
/// use tower_access::{Access, ConfigError, EngineSettings};
///
/// /// Verifies the tokens of an issuer, or runs a login.
/// fn settings(issuer: Option<&str>) -> Result<EngineSettings, ConfigError> {
///     match issuer {
///         Some(team_domain) => Ok(Access::verifier_builder(team_domain)?.into()),
///         None => Ok(Access::builder().into()),
///     }
/// }
/// # settings(None)?.build()?;
/// # Ok::<(), ConfigError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum EngineSettings {
    /// The engine runs the login and issues tokens.
    Issuing(Box<AccessBuilder>),
    /// The engine verifies the tokens of an issuer.
    Verifying(Box<VerifierBuilder>),
}

impl EngineSettings {
    /// Builds the engine.
    ///
    /// # Errors
    ///
    /// As [`AccessBuilder::build`] and [`VerifierBuilder::build`].
    pub fn build(self) -> Result<Access, ConfigError> {
        match self {
            Self::Issuing(builder) => builder.build(),
            Self::Verifying(builder) => builder.build(),
        }
    }

    /// Builds an engine that takes over the state of another.
    pub(super) fn successor(self, previous: &Engine) -> Result<Arc<Engine>, ConfigError> {
        match self {
            Self::Issuing(builder) => builder.successor(previous),
            Self::Verifying(builder) => builder.successor(previous),
        }
    }
}

impl From<AccessBuilder> for EngineSettings {
    fn from(builder: AccessBuilder) -> Self {
        Self::Issuing(Box::new(builder))
    }
}

impl From<VerifierBuilder> for EngineSettings {
    fn from(builder: VerifierBuilder) -> Self {
        Self::Verifying(Box::new(builder))
    }
}
