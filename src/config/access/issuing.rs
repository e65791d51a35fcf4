//! A file whose program issues tokens.

use crate::config::application::{self, ReadApplication};
use crate::config::identity_provider::{self, Providers};
use crate::config::mail::MailSection;
use crate::config::one_time_pin::{self, OneTimePin};
use crate::config::reader::{NodeRef, Reader};
use crate::config::schema::Field;
use crate::config::settings::{OneTimePinConfig, Role};
use crate::login::COMMAND_LINE_IS_AVAILABLE;
use crate::policy::Decision;

use super::document::{Access, TransferHost};

/// Builds the role.
pub(super) fn build(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    access: Access,
    applications: &[ReadApplication<'_>],
) -> Role {
    check_team_domain(reader, &access);
    check_transfer_host(reader, &access, applications);
    let providers = identity_provider::build(reader, place);
    let one_time_pin = one_time_pin(reader, place, access.one_time_pin, &providers);
    let pin_id = one_time_pin.as_ref().map(|pin| &*pin.id);
    let others = providers.others.iter().map(|provider| &*provider.id);
    let ids: Vec<&str> = pin_id.into_iter().chain(others).collect();
    application::check_login_methods(reader, applications, &ids);
    let mut policies = applications.iter().flat_map(|read| &read.policies);
    let has_login = policies.any(|(_, policy)| policy.decision == Decision::Allow);
    if has_login && ids.is_empty() && reader.errors.is_empty() {
        reader.error(place, "policies let users log in, but `identity_providers` is empty");
    }
    if has_login && one_time_pin.is_some() && !access.mail.is_written() {
        reader.required(
            place,
            &["mail"],
            ": codes have to reach people; write `mail: { smtp: { host: …, from: … } }`, or `mail: \
             console` for trying out",
        );
    }
    // Without a policy that needs a login, none is needed; an invalid one was reported.
    let MailSection { way: mail, template: mail_template } =
        access.mail.value().unwrap_or_default();
    Role::Issuing {
        team_domain: access.team_domain.value(),
        transfer_host: access.transfer_host.value().map(|host| host.0),
        one_time_pin,
        identity_providers: providers.others,
        key_rotation: access.key_rotation.value().unwrap_or_default().into(),
        external_evaluation: access.external_evaluation.value().unwrap_or_default().into(),
        mail,
        mail_template,
    }
}

/// Builds the one-time PIN. A file that names identity providers has it if it is one of them, or if it has
/// settings.
fn one_time_pin(
    reader: &mut Reader,
    place: &NodeRef<'_>,
    document: Field<OneTimePin>,
    providers: &Providers<'_>,
) -> Option<OneTimePinConfig> {
    if providers.is_written && providers.one_time_pin.is_none() && !document.is_written() {
        return None;
    }
    let document = document.value().unwrap_or_default();
    let has_id = document.id.is_written();
    let mut config = one_time_pin::build(reader, place, document);
    if let Some((entry, id)) = &providers.one_time_pin {
        if has_id && config.id != *id {
            reader.error(
                entry,
                format_args!(
                    "the one-time PIN has the id `{}` in `one_time_pin` and `{id}` here; write one of them",
                    config.id
                ),
            );
        }
        config.id.clone_from(id);
    }
    if providers.others.iter().any(|provider| provider.id == config.id) {
        reader.error(
            place,
            format_args!(
                "an identity provider has the id of the one-time PIN, `{}`; give it another one",
                config.id
            ),
        );
    }
    Some(config)
}

fn check_team_domain(reader: &mut Reader, access: &Access) {
    let (Some(written), Some(team)) = (access.team_domain.written(), access.team_domain.get())
    else {
        return;
    };
    if !team.is_host_alone() {
        reader.error(
            written,
            format_args!(
                "the host that runs the login is written alone; write `{0}`, and the port that people \
                 use as `public_port` at the top of the file, or under `public_ports` for `{0}` alone",
                team.host()
            ),
        );
    }
}

fn check_transfer_host(reader: &mut Reader, access: &Access, applications: &[ReadApplication<'_>]) {
    let (Some(written), Some(TransferHost(host))) =
        (access.transfer_host.written(), access.transfer_host.get())
    else {
        return;
    };
    let mut destinations = applications.iter().flat_map(|read| read.application.destinations());
    if !COMMAND_LINE_IS_AVAILABLE {
        reader.error(
            written,
            "this program was built without the login of `cloudflared` (feature `cloudflared`); \
             build it with `cloudflared` as well, or leave this out",
        );
    } else if destinations.any(|destination| destination.matches_host(host.as_str())) {
        reader.error(
            written,
            format_args!(
                "`{host}` is the host of an application, which would lose its paths below \
                 `/transfer/`; use a host of its own"
            ),
        );
    }
}
