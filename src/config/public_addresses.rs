//! `public_port`, `public_ports`, `insecure_public_scheme`: the URLs at which users reach the hosts.

use std::collections::HashSet;

use crate::application::{CanonicalHost, Destination, PublicAddressError, PublicAddresses};

use super::error::NoteKind;
use super::location::Located;
use super::reader::{NodeRef, Reader};
use super::schema::{Field, Port, Read, Shape, Written};
use super::settings::{AccessConfig, Role};

/// `public_ports`: the ports of hosts, in the order of the file.
#[derive(Debug)]
pub(super) struct HostPorts(Vec<(String, Written<u16>)>);

impl Read for HostPorts {
    type Output = Self;

    fn shape() -> Shape {
        let keys = "host name, or `*.` and a domain";
        Shape::Map { keys, values: Box::new(Shape::OrNull(Box::new(Port::shape()))) }
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        let names: Vec<String> =
            place.node.entries().iter().map(|entry| entry.key.clone()).collect();
        if names.is_empty() && !place.node.is_switched_off() {
            reader.error(
                place,
                "not a mapping of hosts; write `public_ports: { wiki.example.com: 8443 }`",
            );
        }
        let ports = names.into_iter().filter_map(|name| {
            let port = reader.field::<Port>(place, &name).written().cloned()?;
            Some((name, port))
        });
        Some(Self(ports.collect()))
    }
}

/// `insecure_public_scheme: http`.
#[derive(Debug)]
pub(super) struct HttpScheme;

impl Read for HttpScheme {
    type Output = Self;

    fn shape() -> Shape {
        Shape::Choice(&["http"])
    }

    fn read(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Self> {
        if reader.read::<String>(place, &[])? == "http" {
            return Some(Self);
        }
        reader.fixed_error(place, "invalid scheme; write `http`, or leave it out for `https`");
        None
    }
}

/// Builds the URLs at which users reach the hosts.
pub(super) fn build(
    reader: &mut Reader,
    port: Field<u16>,
    host_ports: Field<HostPorts>,
    scheme: &Field<HttpScheme>,
    access: &AccessConfig,
) -> PublicAddresses {
    let mut ports: Vec<Located<u16>> = port.located().into_iter().collect();
    let on_port = ports.first().and_then(|port| PublicAddresses::with_port(port.value).ok());
    let mut addresses = on_port.unwrap_or_default();
    let http = scheme.written().filter(|scheme| scheme.value.is_some());
    if let Some(scheme) = http {
        reader.note(
            NoteKind::Weakens,
            scheme,
            "users reach hosts without TLS: for trying out on this machine",
        );
        addresses = addresses.with_insecure_http_on_loopback();
    }
    let mut seen = HashSet::new();
    for (name, port) in host_ports.value().map(|ports| ports.0).unwrap_or_default() {
        let key = port.key_position();
        if let Ok(host) = name.parse::<Destination>().map(|it| it.to_string())
            && !seen.insert(host.clone())
        {
            reader.error(&key, format_args!("`{host}` is listed already; write it once"));
        }
        let Some(port) = Field::new(port).located() else { continue };
        let with_port = addresses.clone().with_host_port(&name, port.value);
        match with_port.and_then(|it| check_host(&name, access).map(|()| it)) {
            Ok(with_port) => addresses = with_port,
            Err(error) => reader.error(&key, error),
        }
        ports.push(port);
    }
    if http.is_none() {
        for port in ports.iter().filter(|port| port.value == 80) {
            reader.note_at(
                NoteKind::Surprises,
                port,
                "users are sent to `https://` on port 80, which is the port of `http`; write the TLS port",
            );
        }
    }
    note_shared_ports(reader, &ports, &addresses, access);
    if let Some(scheme) = http
        && let Err(error) = check(&PublicAddresses::new().with_insecure_http_on_loopback(), access)
    {
        reader.error(scheme, error);
    }
    addresses
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
            hosts.iter().find(|host| addresses.port_for(host) == Some(port.value)).cloned()
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

/// Checks that a host with a port of its own is a host of the file.
fn check_host(name: &str, access: &AccessConfig) -> Result<(), PublicAddressError> {
    check(&PublicAddresses::new().with_host_port(name, 443)?, access)
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
