//! The library: requests to the provider, and the verification of its answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quick_xml::escape::escape;
use saml_rs::metadata::{Endpoint, IdpMetadataConfig, generate_idp_metadata};
use saml_rs::raw::{Binding, IdentityProvider, LoginRequestOptions};
use saml_rs::xml::XmlLimits;
use saml_rs::{
    AcsEndpoint, AssertionSignaturePolicy, AudienceValidationPolicy, AuthnRequest,
    AuthnRequestSigningPolicy, BrowserInput, CertificatePem, ClockSkew, Credentials, EntityId,
    EntitySetting, FormField, IdpDescriptor, MetadataTrustPolicy, NameIdFormat, Pending,
    PendingSnapshot, PrivateKeyPem, RelayStateParam, ReplayCache, ReplayKey, ReplayPolicy,
    ResponseSignaturePolicy, Saml, SamlError, SamlValidationContext, Sp, SpConfig,
    SpValidationPolicy, SsoResponse, SsoSession, VerifiedXmlSignatureCoverage, XmlPolicy,
    XmlSignatureProfile,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::element::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_VALUE_BYTES};
use crate::clock::Timestamp;
use crate::secret::SecretText;

/// What is configured of a provider, as far as its messages are concerned.
#[derive(Clone, Debug)]
pub(super) struct PeerSettings {
    /// Its entity id.
    pub(super) issuer: Box<str>,
    pub(super) sso_target_url: Url,
    /// In Base64, without the frame of PEM.
    pub(super) certificates: Vec<String>,
    pub(super) accepts_signed_response: bool,
    pub(super) request_key: Option<RequestKey>,
}

/// The key that signs requests.
#[derive(Clone, Debug)]
pub(super) struct RequestKey {
    /// In PEM.
    pub(super) key: SecretText,
    /// In Base64.
    pub(super) certificate: String,
}

/// A provider as the library knows it.
#[derive(Debug)]
pub(super) struct Peer {
    provider: IdpDescriptor,
    raw: IdentityProvider,
    credentials: Credentials,
    policy: SpValidationPolicy,
}

/// A verified answer.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) session: SsoSession,
    /// What must not be accepted again, and until when.
    pub(super) once: Vec<(String, Timestamp)>,
}

/// What an answer is verified against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The URL of the assertion consumer service, which is the entity id as well.
    pub(super) acs: &'a str,
    pub(super) request_id: &'a str,
    pub(super) relay_state: &'a str,
    pub(super) now: Timestamp,
}

impl Peer {
    pub(super) fn new(settings: &PeerSettings) -> Result<Self, PeerError> {
        let signs = settings.request_key.is_some();
        let metadata = generate_idp_metadata(&IdpMetadataConfig {
            entity_id: settings.issuer.to_string(),
            signing_certs: settings.certificates.clone(),
            want_authn_requests_signed: signs,
            single_sign_on_service: vec![Endpoint::new(
                Binding::Redirect,
                settings.sso_target_url.as_str(),
            )],
            ..IdpMetadataConfig::default()
        });
        // Written here, from the settings: there is nobody else to trust.
        let trust = MetadataTrustPolicy::UnsignedForCompatibility;
        let entity_id = EntityId::try_new(settings.issuer.to_string())?;
        let credentials = match &settings.request_key {
            Some(own) => Credentials {
                signing_key: Some(PrivateKeyPem::new(own.key.expose())),
                signing_certificate: Some(CertificatePem::new(&*own.certificate)),
                ..Credentials::default()
            },
            None => Credentials::default(),
        };
        Ok(Self {
            provider: IdpDescriptor::from_metadata_xml_for(entity_id, &metadata, trust)?,
            raw: IdentityProvider::from_metadata(&metadata, EntitySetting::default())?,
            credentials,
            policy: policy(settings.accepts_signed_response, signs),
        })
    }

    /// Returns this site as the library knows it.
    fn service_provider(&self, acs: &str) -> Result<Saml<Sp>, SamlError> {
        let limits = XmlLimits {
            max_bytes: MAX_BYTES,
            max_depth: MAX_DEPTH,
            max_nodes: MAX_ELEMENTS,
            // Namespaces in scope count as well.
            max_attributes_per_element: 2 * MAX_ATTRIBUTES,
            max_attribute_value_bytes: MAX_VALUE_BYTES,
            max_text_bytes: MAX_BYTES,
        };
        let config = SpConfig::builder(EntityId::try_new(acs)?)
            .acs_endpoint(AcsEndpoint::post(acs)?.with_index(0).mark_default())
            .name_id_format(NameIdFormat::EmailAddress)
            .name_id_format(NameIdFormat::Unspecified)
            .credentials(self.credentials.clone())
            .validation(self.policy.clone())
            .xml(XmlPolicy { limits, ..XmlPolicy::default() })
            .build()?;
        Saml::sp(config)
    }

    /// Returns the metadata of this site.
    pub(super) fn metadata(&self, acs: &str) -> Result<String, PeerError> {
        Ok(self.service_provider(acs)?.metadata_xml().to_owned())
    }

    /// Returns the URL at the provider that begins a login.
    pub(super) fn request_url(&self, request: Expected<'_>) -> Result<String, PeerError> {
        let text = self.request(request)?;
        let custom = |_: &str| (request.request_id.to_owned(), text.clone());
        let options = LoginRequestOptions {
            relay_state: Some(request.relay_state),
            // The library asks the system for time and randomness. Here they are arguments.
            custom: Some(&custom),
            ..LoginRequestOptions::default()
        };
        let here = self.service_provider(request.acs)?;
        let here = here.raw_service_provider();
        Ok(here.create_login_request_with_options(&self.raw, Binding::Redirect, &options)?.context)
    }

    /// Returns an `AuthnRequest`. It asks for no format of the `NameID`: what the provider is set to fits
    /// best.
    fn request(&self, request: Expected<'_>) -> Result<String, SamlError> {
        let seconds = i64::try_from(request.now.as_unix_seconds()).unwrap_or(i64::MAX);
        let issued = OffsetDateTime::from_unix_timestamp(seconds)
            .ok()
            .and_then(|issued| issued.format(&Rfc3339).ok())
            .ok_or_else(|| SamlError::Invalid("the time cannot be written".to_owned()))?;
        let endpoint = self.raw.metadata.get_single_sign_on_service(Binding::Redirect);
        let endpoint = endpoint.unwrap_or_default();
        let (destination, acs) = (escape(&endpoint), escape(request.acs));
        Ok(format!(
            "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"{}\" Version=\"2.0\" \
             IssueInstant=\"{issued}\" Destination=\"{destination}\" \
             ProtocolBinding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
             AssertionConsumerServiceURL=\"{acs}\"><saml:Issuer>{acs}</saml:Issuer>\
             </samlp:AuthnRequest>",
            escape(request.request_id),
        ))
    }

    /// Checks that the configured key signs.
    pub(super) fn try_key(&self) -> Result<(), PeerError> {
        let acs = "https://login.example/cdn-cgi/access/callback";
        let now = Timestamp::from_unix_seconds(0);
        self.request_url(Expected { acs, request_id: "_0", relay_state: "0", now }).map(|_| ())
    }

    /// Verifies an answer. `response` is as posted, in Base64.
    pub(super) fn verify(
        &self,
        response: &str,
        expected: Expected<'_>,
    ) -> Result<Verified, PeerError> {
        let relay_state = || RelayStateParam::try_from_option(Some(expected.relay_state));
        let pending = Pending::<AuthnRequest>::from_snapshot(PendingSnapshot::authn_request(
            expected.request_id,
            relay_state()?,
            self.provider.entity_id().as_str(),
            Binding::Post.short_name(),
            expected.acs,
            Binding::Post.short_name(),
        ))?;
        let input = BrowserInput::<SsoResponse>::post(vec![
            FormField::new("SAMLResponse", response),
            FormField::new("RelayState", expected.relay_state),
        ]);
        let now = UNIX_EPOCH
            .checked_add(Duration::from_secs(expected.now.as_unix_seconds()))
            .ok_or_else(|| SamlError::Invalid("the time is out of range".to_owned()))?;
        let mut once = Once::default();
        let validation = SamlValidationContext::new(now, ReplayPolicy::RequireCache(&mut once))
            .with_clock_skew(ClockSkew::from_millis(-SKEW_MILLIS, SKEW_MILLIS));
        let here = self.service_provider(expected.acs)?;
        let session = here.finish_sso(&self.provider, &pending, input, validation)?;
        // What the policy requires, asked once more of what was verified.
        let is_covered = session.verified_xml_signatures().iter().any(|signature| {
            use VerifiedXmlSignatureCoverage as Coverage;
            match self.policy.assertions {
                AssertionSignaturePolicy::RequireSigned => matches!(
                    signature.coverage(),
                    Coverage::ConsumedAssertion | Coverage::ResponseRootAndConsumedAssertion
                ),
                AssertionSignaturePolicy::AllowUnsignedForCompatibility => matches!(
                    signature.coverage(),
                    Coverage::ResponseRoot | Coverage::ResponseRootAndConsumedAssertion
                ),
            }
        });
        if !is_covered {
            return Err(SamlError::SignedReferenceMismatch.into());
        }
        Ok(Verified { session, once: once.0 })
    }
}

/// What is required of an answer. Written out: none of the library's presets is strict enough.
fn policy(accepts_signed_response: bool, signs: bool) -> SpValidationPolicy {
    let (assertions, responses) = if accepts_signed_response {
        (
            AssertionSignaturePolicy::AllowUnsignedForCompatibility,
            ResponseSignaturePolicy::RequireSigned,
        )
    } else {
        (AssertionSignaturePolicy::RequireSigned, ResponseSignaturePolicy::RequireForEncryptedCbc)
    };
    SpValidationPolicy {
        assertions,
        responses,
        xml_signatures: XmlSignatureProfile::StrictRsaSha2,
        audience: AudienceValidationPolicy::Validate,
        authn_requests: if signs {
            AuthnRequestSigningPolicy::Sign
        } else {
            AuthnRequestSigningPolicy::DoNotSignForCompatibility
        },
        ..SpValidationPolicy::recommended()
    }
}

/// Collects what must not be accepted again. Our store is asynchronous, so it is asked afterwards.
#[derive(Debug, Default)]
struct Once(Vec<(String, Timestamp)>);

impl ReplayCache for Once {
    fn check_and_store(&mut self, key: ReplayKey, until: SystemTime) -> Result<(), SamlError> {
        let until = until.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.0.push((key.cache_key(), Timestamp::from_unix_seconds(until.as_secs())));
        Ok(())
    }
}

/// The error of the library.
#[derive(Debug, thiserror::Error)]
#[error("{}", short(.0))]
pub(super) struct PeerError(#[from] SamlError);

/// Returns the error for a log line: one short line, whatever the document says.
fn short(error: &SamlError) -> String {
    let text = error.to_string();
    text.chars().filter(|character| !character.is_control()).take(MAX_ERROR_CHARS).collect()
}

const MAX_ERROR_CHARS: usize = 300;
const SKEW_MILLIS: i64 = 60_000;
