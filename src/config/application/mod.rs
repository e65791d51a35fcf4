//! `access.applications`: Cloudflare's application objects (section 7.4 of the contract).

mod destinations;
mod settings;

use crate::application::{Application, Destination};
use crate::policy::Policy;

use self::destinations::read_destinations;
use super::de::key_path;
use super::location::Located;
use super::reader::{NodeRef, Reader};
use super::reusable::{Reusable, is_link};
use super::schema::{Read, levels};
use super::unsupported;

/// An application with the positions that later checks report.
#[derive(Debug)]
pub(super) struct ReadApplication<'t> {
    pub(super) application: Application,
    pub(super) place: NodeRef<'t>,
    /// Whether the file names the audience.
    pub(super) names_audience: bool,
    pub(super) destinations: Vec<Located<Destination>>,
    /// The policies that could be read.
    pub(super) policies: Vec<(NodeRef<'t>, Policy)>,
}

pub(super) fn read<'t>(
    reader: &mut Reader,
    place: &NodeRef<'t>,
    reusable: &Reusable<'_>,
) -> Option<ReadApplication<'t>> {
    if !reader.level(place, levels::APPLICATION) {
        return None;
    }
    read_type(reader, place);
    let policies = read_policies(reader, place, reusable);
    let destinations = read_destinations(reader, place);
    unsupported::check(reader, place, &destinations);
    let domains = destinations.iter().map(|destination| destination.value.clone());
    let name = destinations.first().map(|first| first.value.to_string()).unwrap_or_default();
    let mut application = Application::with_destinations(name, domains);
    application = settings::read(reader, place, application);
    if destinations.is_empty() {
        return None;
    }
    let names_audience = place.get("aud").is_some();
    if let Err(error) = application.check() {
        let key = error.key();
        reader.error_at(place.key_at(key), &key_path(&place.path, key), error);
    }
    for (_, policy) in &policies {
        application = application.policy(policy.clone());
    }
    Some(ReadApplication {
        application,
        place: place.clone(),
        names_audience,
        destinations,
        policies,
    })
}

fn read_type(reader: &mut Reader, place: &NodeRef<'_>) {
    let Some(kind) = reader.optional::<String>(place, "type") else { return };
    if kind.value != "self_hosted" {
        let shown: String = kind.value.chars().take(40).collect();
        reader.error_at(
            kind.at,
            &kind.key,
            format_args!("applications of type `{shown}` are not supported; write `self_hosted`"),
        );
    }
}

fn read_policies<'t>(
    reader: &mut Reader,
    place: &NodeRef<'t>,
    reusable: &Reusable<'_>,
) -> Vec<(NodeRef<'t>, Policy)> {
    let mut policies = Vec::new();
    for entry in reader.list(place, "policies") {
        if is_link(entry.node) {
            policies.extend(reusable.resolve(reader, &entry).map(|policy| (entry, policy)));
        } else if let Some(policy) = Policy::read(reader, &entry) {
            policies.push((entry, policy));
        }
    }
    policies
}

/// Checks that the login methods in `allowed_idps` exist.
pub(super) fn check_login_methods(
    reader: &mut Reader,
    applications: &[ReadApplication<'_>],
    known: &[&str],
) {
    let entries = applications.iter().filter_map(|read| read.place.get("allowed_idps"));
    for entry in entries.flat_map(|list| list.items().collect::<Vec<_>>()) {
        let Some(id) = entry.node.text().filter(|id| !known.contains(id)) else { continue };
        let shown: String = id.chars().take(80).collect();
        let known = known.join("`, `");
        reader.error(
            &entry,
            format_args!(
                "there is no login method `{shown}`, only `{known}`; write that, or leave the list out \
                 to accept every method"
            ),
        );
    }
}
