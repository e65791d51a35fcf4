//! `ingress`, and the addresses of clients.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Role;
use crate::policy::{Decision, ListItems, Rule};

use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    without_application(subject);
    if !always_local(subject) {
        behind_untrusted_proxy(subject);
    }
}

fn without_application(subject: &Subject<'_>) {
    let config = subject.config();
    let mut closed: HashSet<&str> = config.uncovered_hostnames().into_iter().collect();
    for (number, rule) in config.ingress.iter().enumerate() {
        let Some(hostname) = rule.hostname.as_deref() else { continue };
        // A fixed response needs no protection.
        if rule.service.starts_with("http_status:") || !closed.remove(hostname) {
            continue;
        }
        subject.report(
            LintKind::IngressWithoutApplication,
            &format!("ingress[{number}].hostname"),
            None,
            format!("no application covers {}: it stays closed", quoted(hostname)),
            "add an application with this domain, or remove the rule",
        );
    }
}

/// Without a trusted proxy, every client of a loopback listener is on this machine.
fn always_local(subject: &Subject<'_>) -> bool {
    let Subject { places, .. } = subject;
    let config = subject.config();
    let is_certain = places.has("listen")
        && config.listen.ip().is_loopback()
        && !config.ingress.is_empty()
        && !places.has("trusted_proxies")
        && !places.has("access.facts");
    let definitions = &config.access.definitions;
    let is_elsewhere = |network: &ipnet::IpNet| {
        let local = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        !local.iter().any(|address| network.contains(address))
    };
    let rule = subject.all_rules().find(|rule| {
        if let Rule::Ip(network) = rule {
            is_elsewhere(network)
        } else if let Rule::IpList(id) = rule {
            definitions.list(id).is_some_and(|list| match &list.items {
                ListItems::Networks(networks) => {
                    !networks.is_empty() && networks.iter().all(is_elsewhere)
                }
                ListItems::Emails(_) => false,
            })
        } else {
            false
        }
    });
    if let Some(rule) = rule.filter(|_| is_certain) {
        subject.report(
            LintKind::ClientAddressAlwaysLocal,
            "listen",
            Some(rule.to_string()),
            format!(
                "all clients appear to be on this machine, so {} never matches",
                quoted(&rule.to_string())
            ),
            "name the proxy in front under `trusted_proxies`, or listen on another address",
        );
        return true;
    }
    false
}

/// A listener that the Internet cannot reach usually has a proxy in front. If that is not trusted,
/// all users count as one client, for rules about networks and for the login limits.
fn behind_untrusted_proxy(subject: &Subject<'_>) {
    let Subject { places, .. } = subject;
    let config = subject.config();
    let address = config.listen.ip().to_canonical();
    let asks_for_addresses =
        || subject.all_rules().any(|rule| matches!(rule, Rule::Ip(_) | Rule::IpList(_)));
    let logs_in = matches!(config.access.role, Role::Issuing { .. })
        && config
            .access
            .applications
            .iter()
            .flat_map(|application| &application.policies)
            .any(|policy| policy.decision == Decision::Allow);
    let is_meant = places.has("trusted_proxies") || !places.has("listen");
    if is_meant
        || config.ingress.is_empty()
        || !is_private(address)
        || !(logs_in || asks_for_addresses())
    {
        return;
    }
    subject.report(
        LintKind::ProxyNotTrusted,
        "listen",
        Some(config.listen.to_string()),
        format!(
            "only this machine or a private network reaches {}: the proxy in front is not trusted, \
             and all users behind it count as one client",
            quoted(&config.listen.to_string())
        ),
        "name the proxy in front under `trusted_proxies` (`trusted_proxies: []` if there is none)",
    );
}

/// Whether an address is unreachable from the Internet: loopback, private (RFC 1918, RFC 4193),
/// link-local, or shared by a provider's customers (RFC 6598).
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || first == 100 && second & 0xc0 == 64
        }
        IpAddr::V6(address) => {
            let [first, ..] = address.segments();
            address.is_loopback() || first & 0xfe00 == 0xfc00 || first & 0xffc0 == 0xfe80
        }
    }
}
