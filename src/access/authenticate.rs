//! From a request to whom it comes from: steps 1 to 5 of a request's way.

use std::net::IpAddr;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Extensions, Request};
use tokio::sync::watch;

use crate::address::client_address;
use crate::application::{CanonicalHost, CanonicalPath, Directory, PathError, Protected};
use crate::clock::Timestamp;
use crate::headers;
use crate::identity::{Identity, Subject};
use crate::session::{Issued, cookie};
use crate::token::keys::{KeySet, Lookup};
use crate::token::{Claims, Expected, Jws, TokenError, TokenErrorKind, TokenKind, check_claims};

use super::peer::{arrived_uri, is_routed};
use super::rejection::{About, Rejection, RejectionKind};
use super::{Engine, Role, Verified};

/// What is known of a request once it is authenticated; what its authorization looks at.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    /// Whose it is: another engine does not take it.
    pub(super) directory: Arc<Directory>,
    pub(super) host: CanonicalHost,
    pub(super) protected: Arc<Protected>,
    pub(super) credential: Credential,
    pub(super) address: Option<IpAddr>,
    pub(super) now: Timestamp,
}

/// How a request proves who sent it.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    /// A token; from a cookie, browsers send it along whoever asks them to.
    Token {
        verified: Arc<Verified>,
        from_cookie: bool,
    },
    #[cfg(feature = "login")]
    ServiceToken {
        id: Box<str>,
        client_id: Box<str>,
        identity: Identity,
    },
    /// Something was there, and was not good. Opens nothing, but a `bypass` policy still does.
    Refused(RejectionKind),
}

impl Admission {
    /// Who it is, if that was proved.
    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.credential {
            Credential::Token { verified, .. } => Some(&verified.identity),
            #[cfg(feature = "login")]
            Credential::ServiceToken { identity, .. } => Some(identity),
            Credential::None | Credential::Refused(_) => None,
        }
    }
}

/// Where authentication stands.
#[derive(Debug)]
pub(crate) enum Step {
    Admit(Admission),
    Reject(Rejection),
    /// The issuer's keys are being fetched; [`Engine::resume`] afterwards.
    Wait(Box<Pending>),
}

/// A request that waits for keys.
#[derive(Debug)]
pub(crate) struct Pending {
    admission: Admission,
    brought: Brought,
    pub(crate) fetch: watch::Receiver<()>,
}

impl Engine {
    /// Authenticates a request, and leaves it fit for an inner service: identity headers scrubbed,
    /// path in canonical form.
    pub(crate) fn authenticate<B>(&self, request: &mut Request<B>) -> Step {
        // First of all, and on every path: nothing below may skip it.
        let brought = Brought::by(request.headers());
        headers::scrub(request.headers_mut());
        request.extensions_mut().remove::<Identity>();
        request.extensions_mut().remove::<Admission>();
        let mut admission = match self.locate(request) {
            Ok(admission) => admission,
            Err((kind, host)) => {
                let about = About { host, ..About::default() };
                return Step::Reject(self.reject(kind, request, about));
            }
        };
        match self.credential(&admission, request.headers(), &brought, true) {
            Ok(credential) => {
                admission.credential = credential;
                Step::Admit(admission)
            }
            Err(fetch) => Step::Wait(Box::new(Pending { admission, brought, fetch })),
        }
    }

    /// Goes on after a wait for keys; does not wait again.
    pub(crate) fn resume(&self, pending: Pending, headers: &HeaderMap) -> Admission {
        let Pending { mut admission, brought, .. } = pending;
        admission.credential = self
            .credential(&admission, headers, &brought, false)
            .unwrap_or_else(|_| Credential::Refused(RejectionKind::KeysUnavailable));
        admission
    }

    /// Canonical host and path, client address, application.
    fn locate<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<Admission, (RejectionKind, Option<CanonicalHost>)> {
        let host = CanonicalHost::of_request(request.uri(), request.headers())
            .map_err(|_| (RejectionKind::Host, None))?;
        let refuse = |error| (RejectionKind::Path(error), Some(host.clone()));
        let uri = arrived_uri(request.uri(), request.extensions());
        let path = CanonicalPath::parse_with_encoded_slashes(uri.path()).map_err(refuse)?;
        // A router outside has chosen a handler by the spelling that arrived: there is no other.
        // (Letter case is that of the digits of escapes alone, which no route is told apart by.)
        if is_routed(request.extensions()) && !path.served().eq_ignore_ascii_case(uri.path()) {
            return Err(refuse(PathError::Escape));
        }
        let protected = self
            .directory
            .locate(host.as_str(), path.as_str())
            .ok_or_else(|| (RejectionKind::NoApplication, Some(host.clone())))?;
        if path.has_encoded_slash() {
            // An upstream may take it for a slash: both readings have to lead to an application
            // that lets it through, and to the same one.
            let other = self.directory.locate(host.as_str(), &path.with_slashes());
            let same = other.is_some_and(|other| Arc::ptr_eq(other, protected));
            if !same || !protected.application.allows_encoded_slashes {
                return Err(refuse(PathError::EncodedSlash));
            }
        }
        let protected = Arc::clone(protected);
        let address = self.client_address(request.headers(), request.extensions());
        // What was judged is what is served.
        if let Some(uri) = canonical_uri(request.uri()).map_err(refuse)? {
            *request.uri_mut() = uri;
        }
        Ok(Admission {
            directory: Arc::clone(&self.directory),
            host,
            protected,
            credential: Credential::None,
            address,
            now: self.now(),
        })
    }

    pub(crate) fn client_address(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Option<IpAddr> {
        client_address(self.peer.address(extensions), headers, &self.trusted_proxies)
    }

    /// The credential that counts, by role. The first one that is there decides; there is no
    /// falling back from a bad one to another, except among cookies of the same name. `Err` asks
    /// for a wait.
    fn credential(
        &self,
        admission: &Admission,
        headers: &HeaderMap,
        brought: &Brought,
        may_wait: bool,
    ) -> Result<Credential, watch::Receiver<()>> {
        let header = match &self.role {
            Role::Verifying(_) => &brought.assertion,
            #[cfg(feature = "login")]
            Role::Issuing(_) => match self.service_token(brought, admission.now) {
                Some(credential) => return Ok(credential),
                None => &brought.token,
            },
        };
        match header {
            Once::Many => Ok(Credential::Refused(RejectionKind::AmbiguousCredential)),
            Once::One(token) => {
                let verification = match token.to_str() {
                    Ok(token) => self.verify(token, admission, may_wait),
                    Err(_) => Verification::Bad(TokenErrorKind::Malformed),
                };
                match verification {
                    Verification::Good(verified) => {
                        Ok(Credential::Token { verified, from_cookie: false })
                    }
                    Verification::Bad(kind) => Ok(self.bad_header(kind)),
                    Verification::Wait(fetch) => Err(fetch),
                }
            }
            Once::Absent => self.cookie(admission, headers, may_wait),
        }
    }

    /// Several cookies may have our name, planted ones among them: the first good one counts. A
    /// bad one is as good as none.
    fn cookie(
        &self,
        admission: &Admission,
        headers: &HeaderMap,
        may_wait: bool,
    ) -> Result<Credential, watch::Receiver<()>> {
        let mut credential = Credential::None;
        for token in cookie::values(headers, cookie::AUTHORIZATION) {
            match self.verify(token, admission, may_wait) {
                Verification::Good(verified) => {
                    return Ok(Credential::Token { verified, from_cookie: true });
                }
                Verification::Bad(TokenErrorKind::KeysUnavailable) => {
                    credential = Credential::Refused(RejectionKind::KeysUnavailable);
                }
                Verification::Bad(_) => {}
                Verification::Wait(fetch) => return Err(fetch),
            }
        }
        Ok(credential)
    }

    /// A token in a header is there on purpose. Behind an issuer a bad one is refused outright:
    /// the issuer would bring the same one again. Where we issue, a login mends it.
    fn bad_header(&self, kind: TokenErrorKind) -> Credential {
        match (&self.role, kind) {
            (_, TokenErrorKind::KeysUnavailable) => {
                Credential::Refused(RejectionKind::KeysUnavailable)
            }
            (Role::Verifying(_), _) => Credential::Refused(RejectionKind::Token(kind)),
            #[cfg(feature = "login")]
            (Role::Issuing(_), _) => Credential::None,
        }
    }

    /// A service token, if any part of one is there: then nothing else counts.
    #[cfg(feature = "login")]
    fn service_token(&self, brought: &Brought, now: Timestamp) -> Option<Credential> {
        let (id, secret) = match (&brought.client_id, &brought.client_secret) {
            (Once::Absent, Once::Absent) => return None,
            (Once::One(id), Once::One(secret)) => (id.to_str().ok(), secret.to_str().ok()),
            _ => (None, None),
        };
        // Halves, copies and odd bytes go the same way as a wrong secret.
        let (id, secret) = (id.unwrap_or_default(), secret.unwrap_or_default());
        let Some(token) = self.service_tokens.authenticate(id, secret, now) else {
            return Some(Credential::Refused(RejectionKind::ServiceToken));
        };
        let subject = Subject::Service { client_id: token.client_id.clone() };
        let end = token.expires_at.unwrap_or_else(|| now.plus(crate::application::LONGEST_SESSION));
        Some(Credential::ServiceToken {
            id: token.token_id().into(),
            client_id: token.client_id.clone(),
            identity: Identity::new(subject, end),
        })
    }

    /// Whether a token opens this application: from the cache, or by a full check.
    fn verify(&self, token: &str, admission: &Admission, may_wait: bool) -> Verification {
        match &self.role {
            Role::Verifying(verifying) => {
                let keys = |lookup| match lookup {
                    Lookup::Settled(current) => Ok(current),
                    Lookup::UnderWay(fetch) if may_wait => Err(Verification::Wait(fetch)),
                    Lookup::UnderWay(_) => match verifying.keys.as_they_are(admission.now) {
                        Lookup::Settled(current) => Ok(current),
                        Lookup::UnderWay(_) | Lookup::Unavailable => {
                            Err(Verification::Bad(TokenErrorKind::KeysUnavailable))
                        }
                    },
                    Lookup::Unavailable => Err(Verification::Bad(TokenErrorKind::KeysUnavailable)),
                };
                if let Lookup::Settled(current) = verifying.keys.current(admission.now)
                    && let Some(known) = self.verified.get(token, current.number)
                {
                    return self.check(known, &verifying.issuer, admission);
                }
                let jws = match Jws::parse(token) {
                    Ok(jws) => jws,
                    Err(error) => return Verification::Bad(error.kind()),
                };
                match keys(verifying.keys.lookup(jws.key_id(), admission.now)) {
                    Ok(current) => {
                        let (set, number) = (&current.keys, current.number);
                        self.full_check(token, &jws, set, number, &verifying.issuer, admission)
                    }
                    Err(verification) => verification,
                }
            }
            #[cfg(feature = "login")]
            Role::Issuing(issuing) => {
                let issuer = issuing.issuer_name(&admission.host);
                if let Some(known) = self.verified.get(token, 0) {
                    return self.check(known, &issuer, admission);
                }
                match Jws::parse(token) {
                    Ok(jws) => {
                        let keys = issuing.login.issuer.keys();
                        self.full_check(token, &jws, keys, 0, &issuer, admission)
                    }
                    Err(error) => Verification::Bad(error.kind()),
                }
            }
        }
    }

    fn full_check(
        &self,
        token: &str,
        jws: &Jws<'_>,
        keys: &KeySet,
        generation: u64,
        issuer: &str,
        admission: &Admission,
    ) -> Verification {
        let verified = jws.verify(keys).and_then(|claims| Verified::new(token, claims));
        match verified.map(Arc::new) {
            Ok(verified) => {
                let verification = self.check(verified, issuer, admission);
                if let Verification::Good(verified) = &verification {
                    self.verified.insert(token, generation, Arc::clone(verified));
                }
                verification
            }
            Err(error) => Verification::Bad(error.kind()),
        }
    }

    /// What may have changed since the signature was checked.
    fn check(&self, verified: Arc<Verified>, issuer: &str, admission: &Admission) -> Verification {
        let audience = admission.protected.audience();
        let expected =
            Expected { issuer, audience, kind: TokenKind::Application, leeway: self.leeway };
        if let Err(error) = check_claims(&verified.claims, expected, admission.now) {
            return Verification::Bad(error.kind());
        }
        let revoked = self.revocations.cover(Issued {
            session: verified.identity.session_id(),
            email: verified.identity.email(),
            audience,
            issued_at: Timestamp::from_unix_seconds(verified.claims.iat),
        });
        if revoked || !self.is_good_subject(verified.identity.subject(), admission.now) {
            Verification::Bad(TokenErrorKind::Revoked)
        } else {
            Verification::Good(verified)
        }
    }
}

impl Engine {
    /// A token made from a service token is good while the service token is: while it is switched
    /// on where it is known, and known where we issue.
    fn is_good_subject(&self, subject: &Subject, now: Timestamp) -> bool {
        let Subject::Service { client_id } = subject else { return true };
        match (&self.role, self.service_tokens.known(client_id)) {
            (_, Some(token)) => token.is_good(now),
            (Role::Verifying(_), None) => true,
            #[cfg(feature = "login")]
            (Role::Issuing(_), None) => false,
        }
    }
}

enum Verification {
    Good(Arc<Verified>),
    Bad(TokenErrorKind),
    Wait(watch::Receiver<()>),
}

impl Verified {
    fn new(token: &str, claims: Claims) -> Result<Self, TokenError> {
        let identity = claims.identity()?;
        let mut assertion = HeaderValue::from_str(token).map_err(|_| TokenErrorKind::Malformed)?;
        assertion.set_sensitive(true);
        let email = identity
            .email()
            .map(HeaderValue::from_str)
            .transpose()
            .map_err(|_| TokenErrorKind::Subject)?;
        Ok(Self { claims, identity, assertion, email })
    }
}

/// The credentials a request brought in headers, taken before the headers are scrubbed.
#[derive(Debug)]
struct Brought {
    assertion: Once,
    #[cfg(feature = "login")]
    token: Once,
    #[cfg(feature = "login")]
    client_id: Once,
    #[cfg(feature = "login")]
    client_secret: Once,
}

/// A header that has to be there once or not at all.
#[derive(Debug)]
enum Once {
    Absent,
    One(HeaderValue),
    Many,
}

impl Brought {
    fn by(headers: &HeaderMap) -> Self {
        let once = |name| {
            let mut lines = headers.get_all(name).iter();
            match (lines.next(), lines.next()) {
                (None, _) => Once::Absent,
                (Some(line), None) => Once::One(line.clone()),
                (Some(_), Some(_)) => Once::Many,
            }
        };
        Self {
            assertion: once(headers::JWT_ASSERTION),
            #[cfg(feature = "login")]
            token: once(headers::TOKEN),
            #[cfg(feature = "login")]
            client_id: once(headers::CLIENT_ID),
            #[cfg(feature = "login")]
            client_secret: once(headers::CLIENT_SECRET),
        }
    }
}

/// The request target in canonical form, where it is not already.
fn canonical_uri(uri: &Uri) -> Result<Option<Uri>, PathError> {
    let path = CanonicalPath::parse_with_encoded_slashes(uri.path())?;
    if path.served() == uri.path() {
        return Ok(None);
    }
    let mut parts = uri.clone().into_parts();
    let target = match uri.query() {
        Some(query) => format!("{}?{query}", path.served()),
        None => path.served().to_owned(),
    };
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| PathError::Escape)?);
    Uri::from_parts(parts).map(Some).map_err(|_| PathError::Escape)
}
