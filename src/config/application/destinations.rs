//! Reads the hosts and paths of an application.

use std::str::FromStr;

use crate::application::{Destination, DestinationError};

use super::super::location::Located;
use super::super::reader::{NodeRef, Reader};

/// Reads the destinations; the first one is the domain. If `destinations` is written,
/// `self_hosted_domains` is ignored.
pub(super) fn read_destinations(
    reader: &mut Reader,
    place: &NodeRef<'_>,
) -> Vec<Located<Destination>> {
    let has = |key: &str| place.get(key).is_some_and(|place| !place.node.is_switched_off());
    let domain = parsed(reader, place, "domain");
    let mut found = Vec::new();
    if has("destinations") {
        for entry in reader.list(place, "destinations") {
            found.extend(read_destination(reader, &entry));
        }
        if has("self_hosted_domains") {
            reader.note_no_effect(place, "self_hosted_domains", "`destinations` takes precedence");
        }
    } else if has("self_hosted_domains") {
        for entry in reader.list(place, "self_hosted_domains") {
            found.extend(reader.parse::<Domain>(&entry).map(|domain| entry.locate(domain.0)));
        }
    } else if !has("domain") {
        reader.required(place, &["domain"], ": write the host, such as `domain: wiki.example.com`");
    }
    if let Some(domain) = domain {
        let is_among = found.iter().position(|other| other.value == domain.value);
        match is_among {
            Some(index) => {
                found.swap(0, index);
            }
            None if found.is_empty() => found.push(domain),
            None => reader.error_at(
                domain.at,
                &domain.key,
                "the domain is not among the application's destinations; add it there, or leave it out",
            ),
        }
    }
    found
}

fn read_destination(reader: &mut Reader, place: &NodeRef<'_>) -> Option<Located<Destination>> {
    if let Some(kind) = reader.optional::<String>(place, "type")
        && kind.value != "public"
    {
        let shown: String = kind.value.chars().take(40).collect();
        reader.error_at(
            kind.at,
            &kind.key,
            format_args!("destinations of type `{shown}` are not supported; write `public`"),
        );
        return None;
    }
    if !reader.mapping(place, &[&["type", "uri"]]) {
        return None;
    }
    reader.required(place, &["uri"], ": write the host, such as `uri: wiki.example.com`");
    parsed(reader, place, "uri")
}

/// A destination without a port.
struct Domain(Destination);

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Destination::from_domain(text).map(Self).map_err(|error| match error {
            DestinationError::PublicPort => port_belongs_elsewhere(text),
            _ => error.to_string(),
        })
    }
}

fn port_belongs_elsewhere(domain: &str) -> String {
    let (host, path) = domain.split_once('/').map_or((domain, ""), |(host, path)| (host, path));
    let (host, port) = host.rsplit_once(':').unwrap_or((host, ""));
    let slash = if path.is_empty() { "" } else { "/" };
    format!(
        "a domain has no port and applies to every port; write `{host}{slash}{path}`, and the public \
         port as `public_port: {port}` at the top of the file, or as \
         `public_ports: {{ '{host}': {port} }}` only for this host"
    )
}

fn parsed(reader: &mut Reader, place: &NodeRef<'_>, key: &str) -> Option<Located<Destination>> {
    let Located { value, at, key } = reader.parsed::<Domain>(place, key)?;
    Some(Located { value: value.0, at, key })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn destinations_are_one_set_with_the_domain_first() {
        let domains = |settings: &str| {
            let text = format!("access: {{ mail: console, applications: [ {{ {settings} }} ] }}");
            Config::parse(&text, "f").map(|config| {
                let application = &config.access.applications[0];
                application.destinations().iter().map(ToString::to_string).collect::<Vec<_>>()
            })
        };
        assert_eq!(domains("domain: a.example/x").unwrap(), ["a.example/x"]);
        assert_eq!(
            domains("domain: B.example, destinations: [ { uri: a.example }, { type: public, uri: b.example } ]")
                .unwrap(),
            ["b.example", "a.example"]
        );
        assert_eq!(
            domains("destinations: [ { uri: a.example } ], self_hosted_domains: [ c.example ]")
                .unwrap(),
            ["a.example"]
        );
        assert_eq!(
            domains("self_hosted_domains: [ a.example, a.example/x ]").unwrap(),
            ["a.example", "a.example/x"]
        );
        assert_eq!(domains("domain: a.example, destinations: []").unwrap(), ["a.example"]);
        let error = domains("domain: a.example, destinations: [ { uri: b.example } ]").unwrap_err();
        assert!(error.to_string().contains("not among"), "{error}");
        assert!(domains("domain: 7").is_err());
        assert!(domains("destinations: x").is_err());
    }
}
