//! `access.issuer`: a file whose program verifies tokens that somebody else issues.

use std::str::FromStr;

use crate::application::TeamDomain;
use crate::config::application::ReadApplication;
use crate::config::cross;
use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::{
    Field, Read, Shape, Time, document, from_text, hours, minutes, seconds,
};
use crate::config::settings::Role;
use crate::token::keys::RefreshPolicy;
use crate::token::{Algorithm, Algorithms};
use crate::util::trusted_url;

document! {
    /// Who issues the tokens, if this program only verifies them.
    pub(in crate::config) struct Issuer in "access.issuer" {
        /// The team domain of the issuer.
        "team_domain" team_domain: TeamDomain {
            required: ": write who issues the tokens, such as `team_domain: acme.cloudflareaccess.com`",
            example: "acme.cloudflareaccess.com", cloudflare: "auth_domain",
        }
        /// The URL of the issuer's keys: `https`, or `http` to a loopback address.
        "certs_url" certs_url: CertsUrl {
            default: "`/cdn-cgi/access/certs` at the team domain",
            example: "https://acme.cloudflareaccess.com/cdn-cgi/access/certs",
        }
        /// The signature algorithms that are accepted in addition to RS256, which always is.
        "algorithms" algorithms: Vec<Algorithm> { default: "[]", example: "[ ES256 ]", }
        /// Asks the issuer for further attributes of the user (`get-identity`).
        "get_identity" get_identity: bool { default: "false", example: "true", }
        /// Tolerance between the clock of the issuer and ours.
        "leeway" leeway: Time<0, { minutes(5) }> { default: "60s", example: "30s", }
        /// When the keys are fetched again.
        "key_refresh" key_refresh: KeyRefresh {
            default: "the defaults of its keys", example: "{ fresh_for: 30m }",
        }
    }
}

document! {
    /// When the keys of the issuer are fetched again. It takes effect after a restart.
    pub(in crate::config) struct KeyRefresh in "access.issuer.key_refresh" {
        /// Time for which fetched keys are used, if the issuer does not say.
        "fresh_for" fresh_for: Time<{ minutes(1) }, { hours(6) }> { default: "1h", example: "30m", }
        /// Age up to which keys are used while they cannot be fetched.
        "serve_stale_up_to" serve_stale_up_to: Time<{ minutes(1) }, { hours(744) }> {
            default: "24h", example: "6h",
        }
        /// Time between fetches for unknown keys.
        "cool_down" cool_down: Time<{ seconds(1) }, { hours(1) }> { default: "10s", example: "30s", }
    }
}

from_text! {
    CertsUrl: Shape::Text { form: "URL", pattern: Some("^https?://") };
}

impl Read for Algorithm {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Choice(&["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let algorithm = Self::from_name(&reader.read::<String>(place, &[])?);
        if algorithm.is_none() {
            let message = "unsupported signature algorithm; write RS256, PS256, ES256 or EdDSA";
            reader.error(place, message);
        }
        algorithm
    }
}

/// Builds the role. `None` goes with at least one error.
pub(super) fn build(
    reader: &mut Reader,
    access: &NodeRef<'_>,
    issuer: Field<Issuer>,
    applications: &[ReadApplication<'_>],
) -> Option<Role> {
    refuse_evaluators(reader, access, applications);
    refuse_login(reader, access);
    check_applications(reader, applications);
    let issuer = issuer.value()?;
    let algorithms = issuer.algorithms.value().unwrap_or_default().into_iter();
    let algorithms = algorithms.filter_map(|written| written.value);
    Some(Role::Verifying {
        team_domain: issuer.team_domain.value()?,
        certs_url: issuer.certs_url.value().map(|url| url.0),
        algorithms: algorithms.fold(Algorithms::default(), Algorithms::allow),
        get_identity: issuer.get_identity.is_on(),
        leeway: issuer.leeway.value(),
        key_refresh: issuer.key_refresh.value().unwrap_or_default().into(),
    })
}

/// Reports the keys of a login, which the issuer runs.
fn refuse_login(reader: &mut Reader, access: &NodeRef<'_>) {
    for key in [
        "team_domain",
        "transfer_host",
        "identity_providers",
        "one_time_pin",
        "key_rotation",
        "external_evaluation",
        "mail",
    ] {
        if access.get(key).is_some() {
            reader.error_at(
                access.key_at(key),
                &format!("{}.{key}", access.path),
                format_args!(
                    "`{key}` and `issuer` exclude each other: either this program runs the login, or \
                     the issuer does; leave one out"
                ),
            );
        }
    }
    for key in ["session_duration", "idle_timeout"] {
        if access.get(key).is_some() {
            reader.note_no_effect(access, key, "the issuer decides how long a login lasts");
        }
    }
}

fn check_applications(reader: &mut Reader, applications: &[ReadApplication<'_>]) {
    for read in applications {
        if !read.names_audience {
            reader.error(
                &read.place,
                "`aud` is missing: behind an issuer each application names its audience tag, as the \
                 issuer's dashboard shows it",
            );
        }
        let mut refuse = |key: &str, message: &str| {
            let path = format!("{}.{key}", read.place.path);
            reader.error_at(read.place.key_at(key), &path, message);
        };
        if read.application.binding_cookie {
            refuse(
                "enable_binding_cookie",
                "a binding cookie is checked where tokens are issued, and never reaches an origin; \
                 leave it out here and set it at the issuer",
            );
        }
        if !read.application.allowed_login_methods.is_empty() {
            refuse(
                "allowed_idps",
                "tokens do not say by which method somebody has logged in: the issuer chooses among \
                 its login methods; leave it out here and set it there",
            );
        }
    }
}

/// Questions to evaluators are signed with the issuer's key, which only the issuer has.
fn refuse_evaluators(
    reader: &mut Reader,
    access: &NodeRef<'_>,
    applications: &[ReadApplication<'_>],
) {
    let policies = applications.iter().filter_map(|read| read.place.get("policies"));
    let lists = [access.get("policies"), access.get("groups")].into_iter().flatten();
    for holder in policies.chain(lists).flat_map(|list| list.items().collect::<Vec<_>>()) {
        for (_, rule) in cross::rules(&holder).filter(|(key, _)| *key == "external_evaluation") {
            reader.error(
                &rule,
                "an evaluator is asked with the issuer's signing key, which only the issuer has; leave \
                 the rule out and write it at the issuer",
            );
        }
    }
}

impl From<KeyRefresh> for RefreshPolicy {
    fn from(document: KeyRefresh) -> Self {
        let policy = document.fresh_for.apply(Self::default(), Self::fresh_for);
        let policy = document.serve_stale_up_to.apply(policy, Self::serve_stale_up_to);
        document.cool_down.apply(policy, Self::cool_down)
    }
}

/// Where the issuer publishes its keys.
#[derive(Debug)]
pub(in crate::config) struct CertsUrl(String);

impl FromStr for CertsUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match trusted_url::parse(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => {
                Err("invalid URL; write an `https://` URL (`http://` to a loopback address only)")
            }
        }
    }
}
