//! The port that users are redirected to for the login, and whether anything serves it.

use crate::application::CanonicalHost;
use crate::config::Role;
use crate::policy::Decision;

use super::kind::LintKind;
use super::subject::Subject;

pub(super) fn lint(subject: &Subject<'_>) {
    let Subject { places, .. } = subject;
    let config = subject.config();
    let (listen, addresses) = (config.listen, &config.public_addresses);
    // A trusted proxy in front speaks TLS. Loopback has only local clients.
    let mut policies = config.access.applications.iter().flat_map(|one| &one.policies);
    let logs_in = matches!(config.access.role, Role::Issuing { .. })
        && policies.any(|policy| policy.decision == Decision::Allow);
    if !logs_in
        || !places.has("listen")
        || places.has("trusted_proxies")
        || config.ingress.is_empty()
        || listen.ip().to_canonical().is_loopback()
    {
        return;
    }
    let destinations = config.access.applications.iter().flat_map(|one| one.destinations());
    let mut by_tls = destinations
        .filter_map(|destination| destination.exact_host()?.parse::<CanonicalHost>().ok())
        .filter(|host| !addresses.is_http(host))
        .map(|host| (addresses.port_for(&host), host));
    let is_own_port = |port: Option<u16>| port.unwrap_or(443) == listen.port();
    let Some((port, host)) = by_tls.next() else { return };
    let same = std::iter::once((port, host.clone()))
        .chain(by_tls)
        .find(|(port, _)| is_own_port(*port) && listen.ip().is_unspecified());
    if let Some((_, host)) = same {
        subject.report(
            LintKind::PublicPortServesNoTls,
            "listen",
            Some(listen.to_string()),
            format!(
                "people are sent to `https://{host}` on port {}, where this proxy serves without TLS",
                listen.port()
            ),
            "listen on another port behind a proxy that speaks TLS there, and name that proxy under \
             `trusted_proxies`",
        );
    } else if addresses.is_default() && !matches!(listen.port(), 80 | 443) {
        subject.report(
            LintKind::PublicPortNotSet,
            "listen",
            Some(listen.to_string()),
            format!(
                "users are redirected to `https://{host}` on port 443, whatever port they use, but \
                 the file names no proxy in front that serves it"
            ),
            "write `public_port` if users connect to another port, or name the proxy in front under \
             `trusted_proxies`",
        );
    }
}
