//! The settings of a SAML provider.

use std::fmt;
use std::sync::Arc;

use super::SamlMethod;
use super::certificate::{self, CertificateError};
use super::peer::{Peer, PeerError, PeerSettings, RequestKey};
use crate::login::method::provider::{BuildError, IdentityProvider, ProviderSettings};
use crate::login::method::{LoginMethod, MethodContext};
use crate::secret::SecretText;
use crate::util::trusted_url::{self, UntrustedUrl};

/// A SAML 2.0 identity provider (experimental).
///
/// Users are redirected to the provider with an `AuthnRequest`, and come back with a signed assertion in
/// a form (HTTP-POST binding). Register two things at the provider, or give it the metadata at
/// `/cdn-cgi/access/ID/saml-metadata`: the assertion consumer service and the entity id (audience), which
/// are both `https://TEAM/cdn-cgi/access/callback`.
///
/// # What is accepted
///
/// The assertion must be signed with RSA and SHA-256, SHA-384 or SHA-512 by one of the configured
/// certificates, must name this provider as its issuer, this site as its audience and recipient, and the
/// request that the same browser began within the last 15 minutes. It is accepted once. Clocks may differ
/// by 60 seconds. Logins that begin at the provider, encrypted assertions, several assertions in one
/// answer, and XML comments are refused.
///
/// # Whose word counts
///
/// The email address is what the provider says: under the configured [attribute](Self::email_attribute),
/// otherwise under `email`, `mail`, the claim type
/// `http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress`, the OID
/// `urn:oid:0.9.2342.19200300.100.1.3`, or in a `NameID` of the format `emailAddress`. SAML has no
/// statement that an address was verified. So configure only providers whose users cannot choose their
/// addresses themselves.
///
/// # What policies see
///
/// | fact | from |
/// | --- | --- |
/// | SAML attributes | the [listed](Self::attributes) attributes |
/// | groups | the attribute `groups`, in any letter case, if it is listed |
/// | authentication contexts (`acr`) | `AuthnContextClassRef`, as it is |
/// | authentication methods (`amr`) | `AuthnContextClassRef`: `pwd` for `…:ac:classes:Password` and `…:PasswordProtectedTransport`, `mfa` for the REFEDS and Microsoft classes of a second factor, `sc` for `…:Smartcard` and `…:SmartcardPKI`; unknown for all others |
///
/// # Experimental
///
/// The library that reads SAML is young and was not audited. It builds on Linux and macOS, on x86-64 and
/// ARM64. This type may change in any release.
///
/// # Example
///
/// ```no_run
/// use tower_access::login::SamlProvider;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let certificate = std::fs::read_to_string("idp.pem")?;
/// let sso = "https://idp.example.com/saml/sso";
/// let provider = SamlProvider::new("corp", "https://idp.example.com", sso, [certificate])?
///     .name("Example Corp.")
///     .attributes(["groups", "department"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SamlProvider {
    pub(super) id: Box<str>,
    pub(super) name: Box<str>,
    pub(super) peer: PeerSettings,
    pub(super) email_attribute: Option<Box<str>>,
    pub(super) attributes: Vec<Box<str>>,
}

impl SamlProvider {
    /// Creates the settings from the id of the login method, the provider's entity id, the URL of its
    /// single sign-on service (HTTP-Redirect binding), and its signing certificates.
    ///
    /// Certificates are in PEM, several in one text if needed, or in Base64 as in SAML metadata. More than
    /// one is for a change of keys: any of them may have signed. Only their keys are used; their dates
    /// and issuers are not checked.
    ///
    /// # Errors
    ///
    /// If the id or the entity id is empty, the URL is neither `https` nor `http` to this machine, or
    /// there is no certificate, more than 8, or one without an RSA key of at least 2048 bits.
    pub fn new(
        id: impl Into<Box<str>>,
        issuer: impl Into<Box<str>>,
        sso_target_url: &str,
        certificates: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, SamlProviderError> {
        let (id, issuer) = (id.into(), issuer.into());
        if id.trim().is_empty() {
            return Err(Cause::NoId.into());
        }
        if issuer.trim().is_empty() {
            return Err(Cause::NoIssuer.into());
        }
        let sso_target_url = trusted_url::parse(sso_target_url).map_err(Cause::Url)?;
        let certificates = certificate::read_all(certificates).map_err(Cause::Certificate)?;
        Ok(Self {
            name: id.clone(),
            id,
            peer: PeerSettings {
                issuer,
                sso_target_url,
                certificates,
                accepts_signed_response: false,
                request_key: None,
            },
            email_attribute: None,
            attributes: Vec::new(),
        })
    }

    /// Sets the name that users see. Default: the id.
    #[must_use]
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the name of the attribute with the email address. Then no other attribute counts, and
    /// neither does the `NameID`. Of several values, the first one counts.
    #[must_use]
    pub fn email_attribute(mut self, name: impl Into<Box<str>>) -> Self {
        self.email_attribute = Some(name.into());
        self
    }

    /// Sets the names of the attributes that policies can use, exactly as the provider sends them.
    /// Default: none. At most 1,000 values of each are kept.
    #[must_use]
    pub fn attributes(mut self, names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        self.attributes = names.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts assertions without a signature of their own in responses that are signed as a whole.
    /// Default: the assertion itself must be signed.
    ///
    /// For providers that sign nothing but the response. Then a response without a signature is refused,
    /// whatever its assertion has.
    #[must_use]
    pub fn accept_signed_response(mut self) -> Self {
        self.peer.accepts_signed_response = true;
        self
    }

    /// Signs requests, with RSA and SHA-256. Default: they are not signed.
    ///
    /// The key is an RSA key in PEM (PKCS #8 or PKCS #1) without a passphrase. The certificate is in PEM
    /// or Base64. It is part of the metadata, from which the provider can read it.
    ///
    /// # Errors
    ///
    /// If the key or the certificate cannot be used.
    pub fn sign_requests(
        mut self,
        key: SecretText,
        certificate: &str,
    ) -> Result<Self, SamlProviderError> {
        let certificate = certificate::read_one(certificate).map_err(Cause::OwnCertificate)?;
        self.peer.request_key = Some(RequestKey { key, certificate });
        Peer::new(&self.peer).and_then(|peer| peer.try_key()).map_err(Cause::RequestKey)?;
        Ok(self)
    }
}

impl ProviderSettings for SamlProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> &str {
        KIND
    }

    fn build(&self, _: &MethodContext<'_>) -> Result<Arc<dyn LoginMethod>, BuildError> {
        Ok(Arc::new(SamlMethod::new(self.clone())?))
    }
}

impl From<SamlProvider> for IdentityProvider {
    fn from(settings: SamlProvider) -> Self {
        Self::new(settings)
    }
}

impl fmt::Debug for SamlProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SamlProvider")
            .field("id", &self.id)
            .field("issuer", &self.peer.issuer)
            .field("sso_target_url", &self.peer.sso_target_url.as_str())
            .field("certificates", &self.peer.certificates.len())
            .field("signs_requests", &self.peer.request_key.is_some())
            .finish_non_exhaustive()
    }
}

/// The error of settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SamlProviderError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error("the id of the login method is empty")]
    NoId,
    #[error("the entity id of the provider (`issuer_url`) is empty")]
    NoIssuer,
    #[error("the URL of the single sign-on service (`sso_target_url`): {0}")]
    Url(UntrustedUrl),
    #[error("the certificates of the provider (`idp_public_certs`): {0}")]
    Certificate(CertificateError),
    #[error("the certificate for signed requests: {0}")]
    OwnCertificate(CertificateError),
    #[error("the key for signed requests: {0}")]
    RequestKey(PeerError),
}

/// The type, as of Cloudflare's identity providers.
pub(super) const KIND: &str = "saml";
