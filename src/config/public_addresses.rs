//! `public_port`, `public_ports`, `insecure_public_scheme`: where people reach the hosts.

use std::collections::HashSet;

use crate::application::{CanonicalHost, Destination, PublicAddressError, PublicAddresses};

use super::de::key_path;
use super::error::NoteKind;
use super::location::Located;
use super::reader::{Place, Reader};
use super::settings::{AccessConfig, Role};

pub(super) fn read(
    reader: &mut Reader,
    root: &Place<'_>,
    access: &AccessConfig,
) -> PublicAddresses {
    let mut addresses = PublicAddresses::new();
    let mut ports: Vec<Located<u16>> = reader.optional(root, PORT).into_iter().collect();
    for port in &ports {
        match PublicAddresses::on_port(port.value) {
            Ok(on_port) => addresses = on_port,
            Err(error) => reader.error_at(port.at, &port.key, error),
        }
    }
    let is_http = reads_http(reader, root);
    if is_http {
        addresses = addresses.with_insecure_http_on_loopback();
    }
    if let Some(place) = root.get(PORTS) {
        let names: Vec<&str> = place.node.entries().iter().map(|entry| &*entry.key).collect();
        if place.node.entries().is_empty() && !place.node.is_switched_off() {
            reader.error(
                &place,
                "no ports of hosts; write `public_ports: { wiki.example.com: 8443 }`",
            );
        }
        let mut seen = HashSet::new();
        for name in names {
            let spelled = name.parse::<Destination>().map(|it| it.to_string());
            if let Ok(host) = spelled
                && !seen.insert(host.clone())
            {
                let path = key_path(&place.path, name);
                let message = format_args!("`{host}` is there already; write it once");
                reader.error_at(place.key_at(name), &path, message);
            }
            let Some(port) = reader.optional::<u16>(&place, name) else { continue };
            let with_port = addresses.clone().with_port_of(name, port.value);
            match with_port.and_then(|it| check_host(name, access).map(|()| it)) {
                Ok(with_port) => addresses = with_port,
                Err(error) => {
                    let at = match error {
                        PublicAddressError::Port => port.at,
                        _ => place.key_at(name),
                    };
                    reader.error_at(at, &key_path(&place.path, name), error);
                }
            }
            ports.push(port);
        }
    }
    if !is_http {
        for port in ports.iter().filter(|port| port.value == 80) {
            reader.note_at(
                NoteKind::Surprises,
                port,
                "people are sent to `https://` on port 80, which is the port of `http`; write the port \
                 on which TLS is spoken",
            );
        }
    }
    note_shared_ports(reader, &ports, &addresses, access);
    if let Some(place) = root.get(SCHEME).filter(|_| is_http)
        && let Err(error) = check(&PublicAddresses::new().with_insecure_http_on_loopback(), access)
    {
        reader.error(&place, error);
    }
    addresses
}

fn reads_http(reader: &mut Reader, root: &Place<'_>) -> bool {
    let Some(scheme) = reader.optional::<String>(root, SCHEME) else { return false };
    let Some(place) = root.get(SCHEME) else { return false };
    match &*scheme.value {
        "http" => {
            reader.note(
                NoteKind::Weakens,
                &place,
                "people reach hosts without TLS: for trying out on this machine",
            );
            true
        }
        _ => {
            reader.error_saying(
                &place,
                "no scheme but `http` can be set here; leave it out for `https`",
            );
            false
        }
    }
}

/// One port speaks either `http` or `https`.
fn note_shared_ports(
    reader: &mut Reader,
    ports: &[Located<u16>],
    addresses: &PublicAddresses,
    access: &AccessConfig,
) {
    let destinations = access.applications.iter().flat_map(|one| one.destinations());
    let hosts = destinations.filter_map(|destination| {
        let text = destination.to_string().replace('*', "x");
        text.split('/').next()?.parse::<CanonicalHost>().ok()
    });
    let (http, https): (Vec<_>, Vec<_>) = hosts.partition(|host| addresses.is_http(host));
    for port in ports {
        let on_it = |hosts: &[CanonicalHost]| {
            hosts.iter().find(|host| addresses.port_of(host) == Some(port.value)).cloned()
        };
        if let (Some(http), Some(https)) = (on_it(&http), on_it(&https)) {
            let message = format!(
                "`http://{http}` and `https://{https}` cannot both be on port {}; write the port of \
                 `{http}` under `public_ports`",
                port.value
            );
            reader.note_at(NoteKind::Surprises, port, &message);
        }
    }
}

/// Whether a host with a port of its own is one of the file's.
fn check_host(name: &str, access: &AccessConfig) -> Result<(), PublicAddressError> {
    check(&PublicAddresses::new().with_port_of(name, 443)?, access)
}

fn check(addresses: &PublicAddresses, access: &AccessConfig) -> Result<(), PublicAddressError> {
    let destinations = access.applications.iter().flat_map(|one| one.destinations());
    let others: Vec<_> = match &access.role {
        Role::Issuing { team_domain, transfer_host, .. } => {
            let team = team_domain.as_ref().map(crate::application::TeamDomain::host);
            team.into_iter().chain(transfer_host).collect()
        }
        Role::Verifying { .. } => Vec::new(),
    };
    addresses.check(destinations, &others)
}

const PORT: &str = "public_port";
const PORTS: &str = "public_ports";
const SCHEME: &str = "insecure_public_scheme";
