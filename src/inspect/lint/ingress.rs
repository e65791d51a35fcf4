//! `ingress`, and where clients come from.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::policy::{Items, Rule};

use super::kind::LintKind;
use super::subject::{Subject, quoted};

pub(super) fn lint(subject: &Subject<'_>) {
    without_application(subject);
    always_local(subject);
}

fn without_application(subject: &Subject<'_>) {
    let config = subject.config();
    let mut closed: HashSet<&str> = config.closed().into_iter().collect();
    for (number, rule) in config.ingress.iter().enumerate() {
        let Some(hostname) = rule.hostname.as_deref() else { continue };
        // A fixed answer needs no protection.
        if rule.service.starts_with("http_status:") || !closed.remove(hostname) {
            continue;
        }
        subject.report(
            LintKind::IngressWithoutApplication,
            &format!("ingress[{number}].hostname"),
            None,
            format!("no application covers {}: it stays closed", quoted(hostname)),
            "add an application with this domain, or take the rule out",
        );
    }
}

/// Without a trusted proxy, whoever connects to this machine's own address is on this machine.
fn always_local(subject: &Subject<'_>) {
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
    let rule = subject.all_rules().find(|rule| match rule {
        Rule::Ip(network) => is_elsewhere(network),
        Rule::IpList(id) => definitions.list(id).is_some_and(|list| match &list.items {
            Items::Networks(networks) => !networks.is_empty() && networks.iter().all(is_elsewhere),
            Items::Emails(_) => false,
        }),
        _ => false,
    });
    if let Some(rule) = rule.filter(|_| is_certain) {
        subject.report(
            LintKind::ClientAddressAlwaysLocal,
            "listen",
            Some(rule.to_string()),
            format!(
                "all clients seem to be on this machine, where {} never matches",
                quoted(&rule.to_string())
            ),
            "name the proxy in front under `trusted_proxies`, or listen on another address",
        );
    }
}
