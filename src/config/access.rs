//! `access`: applications, groups, service tokens, and who issues tokens.

use std::time::Duration;

use crate::application::{CanonicalHost, LONGEST_SESSION, TeamDomain};
use crate::clock::GoDuration;
use crate::facts::ExternalEvaluation;
use crate::issuer::{KeyRotation, RsaKeySize};
use crate::login::{COMMAND_LINE_IS_AVAILABLE, MethodSettings};
use crate::policy::{Decision, Group, List};
use crate::service_token::ServiceToken;
use crate::session::SHORTEST_IDLE;
use crate::token::keys::RefreshPolicy;
use crate::token::{Algorithm, Algorithms};
use crate::util::trusted_url;

use super::application::{self, ReadApplication};
use super::cross;
use super::error::NoteKind;
use super::facts;
use super::keys;
use super::limits::{self, SECOND, hours, minutes};
use super::mail::{self, MailConfig};
use super::one_time_pin::one_time_pin;
use super::parts::Parts;
use super::reader::{Place, Reader};
use super::reusable::Reusable;
use super::settings::{AccessConfig, Role};

/// Reads `access`. `None` goes with at least one error.
pub(super) fn read(reader: &mut Reader, root: &Place<'_>) -> Option<AccessConfig> {
    let Some(place) = root.get("access") else {
        reader.required(
            root,
            &["access"],
            ": without applications everything is closed; write `access: { applications: [ … ] }`",
        );
        return None;
    };
    if !reader.mapping(&place, &[keys::ACCESS]) {
        return None;
    }
    let reusable = Reusable::read(reader, &place);
    let mut applications = Vec::new();
    for entry in reader.list(&place, "applications") {
        let before = reader.errors.len();
        match application::read(reader, &entry, &reusable) {
            Some(read) => applications.push(read),
            // Never left out in silence: a less specific application would take its place.
            None if reader.errors.len() == before => reader.error(&entry, "cannot be read"),
            None => {}
        }
    }
    if place.get("applications").is_none_or(|list| list.node.is_switched_off()) {
        reader.required(
            &place,
            &["applications"],
            ": everything would be closed; write at least one, with name, domain and policies",
        );
        if let Some(list) = place.get("applications") {
            reader.error(&list, "no applications: everything would be closed; write at least one");
        }
    }
    let mut groups = Vec::new();
    for entry in reader.list(&place, "groups") {
        groups.push((entry.clone(), reader.read::<Group>(&entry, &["name", "include"])));
    }
    let mut lists = Vec::new();
    for entry in reader.list(&place, "lists") {
        lists.push((entry.clone(), reader.read::<List>(&entry, &["name", "type", "items"])));
    }
    let mut tokens = Vec::new();
    for entry in reader.list(&place, "service_tokens") {
        tokens.push((entry.clone(), read_token(reader, &entry)));
    }
    let idle_timeout = reader.optional::<GoDuration>(&place, "idle_timeout");
    if let Some(duration) = &idle_timeout {
        reader.check_duration(duration, SHORTEST_IDLE, LONGEST_SESSION);
    }
    let session_duration = reader.optional::<GoDuration>(&place, "session_duration");
    if let Some(duration) = &session_duration {
        reader.check_duration(duration, SHORTEST_LOGIN, LONGEST_SESSION);
    }
    let strict = strict_service_token_auth(reader, &place);
    let role = if place.get("issuer").is_some() {
        verifying(reader, &place, &applications)
    } else {
        issuing(reader, &place, &applications)
    };
    let facts = facts::read(reader, root, &place);
    let tokens_are_ours = place.get("issuer").is_none();
    // A store that is named may define others while the program runs.
    let keeps_service_tokens = tokens_are_ours && root.get("state").is_some();
    let login_methods = role.as_ref().and_then(Role::login_methods);
    let login_method_ids = login_methods.as_ref().map(MethodSettings::ids);
    let written = Parts {
        applications: &applications,
        reusable: &reusable,
        groups: &groups,
        lists: &lists,
        tokens: &tokens,
        tokens_are_ours,
        login_methods: login_method_ids.as_deref(),
        keeps_service_tokens,
    };
    let definitions = cross::check(reader, &written);
    Some(AccessConfig {
        role: role?,
        session_duration: session_duration.map(|duration| duration.value.get()),
        idle_timeout: idle_timeout.map(|duration| duration.value.get()),
        applications: applications.into_iter().map(|read| read.application).collect(),
        definitions: definitions?,
        service_tokens: tokens.into_iter().filter_map(|(_, token)| token).collect(),
        strict_service_token_auth: strict,
        keeps_service_tokens,
        facts,
    })
}

fn read_token(reader: &mut Reader, place: &Place<'_>) -> Option<ServiceToken> {
    if let Some(secret) = place.get("client_secret") {
        reader.error(
            &secret,
            "the secret itself does not belong into this file; write `client_secret_hash` with \
             `sha256:` and 64 hexadecimal digits",
        );
        return None;
    }
    let token: ServiceToken = reader.read(place, &["name", "client_id", "client_secret_hash"])?;
    for (key, text) in [("name", &token.name), ("client_id", &token.client_id)] {
        if text.is_empty()
            && let Some(empty) = place.get(key)
        {
            reader.error(&empty, format_args!("`{key}` is empty"));
        }
    }
    Some(token)
}

fn strict_service_token_auth(reader: &mut Reader, place: &Place<'_>) -> bool {
    let Some(strict) = reader.optional::<bool>(place, keys::STRICT_SERVICE_TOKEN_AUTH) else {
        return true;
    };
    if place.get("issuer").is_some() {
        reader.note_no_effect(
            place,
            keys::STRICT_SERVICE_TOKEN_AUTH,
            "the issuer takes service tokens",
        );
        return true;
    }
    if !strict.value
        && let Some(value) = place.get(keys::STRICT_SERVICE_TOKEN_AUTH)
    {
        reader.note(
            NoteKind::Weakens,
            &value,
            "a service token that is not good counts as none, and a good one is exchanged for a \
             cookie that opens by itself",
        );
    }
    strict.value
}

fn issuing(
    reader: &mut Reader,
    place: &Place<'_>,
    applications: &[ReadApplication<'_>],
) -> Option<Role> {
    let team_domain = reader.parsed::<TeamDomain>(place, "team_domain");
    if let Some(team) = team_domain.as_ref().filter(|team| !team.value.is_host_alone()) {
        reader.error_at(
            team.at,
            &team.key,
            format_args!(
                "the host that runs the login is written alone; write `{0}`, and the port that people \
                 use as `public_port` at the top of the file, or under `public_ports` for `{0}` alone",
                team.value.host()
            ),
        );
    }
    let transfer_host = transfer_host(reader, place, applications);
    let one_time_pin = one_time_pin(reader, place);
    application::check_login_methods(reader, applications, &[&one_time_pin.id]);
    let key_rotation = key_rotation(reader, place);
    let external_evaluation = external_evaluation(reader, place);
    let has_login = applications
        .iter()
        .flat_map(|read| &read.policies)
        .any(|(_, policy)| policy.decision == Decision::Allow);
    let mail = match place.get("mail") {
        Some(mail) => mail::read(reader, &mail)?,
        // Nobody is ever asked to log in.
        None if !has_login => MailConfig::Console,
        None => {
            reader.required(
                place,
                &["mail"],
                ": codes have to reach people; write `mail: { smtp: { host: …, from: … } }`, or \
                 `mail: console` for trying out",
            );
            return None;
        }
    };
    let team_domain = team_domain.map(|domain| domain.value);
    Some(Role::Issuing {
        team_domain,
        transfer_host,
        one_time_pin,
        key_rotation,
        external_evaluation,
        mail,
    })
}

fn transfer_host(
    reader: &mut Reader,
    place: &Place<'_>,
    applications: &[ReadApplication<'_>],
) -> Option<CanonicalHost> {
    let written = reader.optional::<String>(place, "transfer_host")?;
    let host = written.value.parse::<TeamDomain>().ok().filter(TeamDomain::is_host_alone);
    let Some(host) = host else {
        reader.error_at(
            written.at,
            &written.key,
            "no host; write the whole host name in lower case, such as `login.cloudflareaccess.org`",
        );
        return None;
    };
    let host = host.host().clone();
    let mut destinations = applications.iter().flat_map(|read| read.application.destinations());
    if !COMMAND_LINE_IS_AVAILABLE {
        reader.error_at(
            written.at,
            &written.key,
            "this program was built without the login of `cloudflared` (feature `cloudflared`); leave \
             it out",
        );
    } else if destinations.any(|destination| destination.matches_host(host.as_str())) {
        reader.error_at(
            written.at,
            &written.key,
            format_args!(
                "`{host}` is the host of an application, which would lose its paths below \
                 `/transfer/`; use a host of its own"
            ),
        );
    }
    Some(host)
}

fn key_rotation(reader: &mut Reader, place: &Place<'_>) -> KeyRotation {
    let mut rotation = KeyRotation::default();
    let Some(place) = place.get("key_rotation") else { return rotation };
    if !reader.mapping(&place, &[keys::KEY_ROTATION]) {
        return rotation;
    }
    if let Some(interval) = reader.optional::<GoDuration>(&place, "interval") {
        reader.check_duration(&interval, SHORTEST_ROTATION, LONGEST_ROTATION);
        rotation = rotation.interval(interval.value.get());
    }
    if let Some(announce) = reader.optional::<GoDuration>(&place, "announce") {
        reader.check_duration(&announce, SHORTEST_ANNOUNCEMENT, LONGEST_ANNOUNCEMENT);
        rotation = rotation.announce(announce.value.get());
    }
    if let Some(overlap) = reader.optional::<GoDuration>(&place, "overlap") {
        reader.check_duration(&overlap, Duration::ZERO, LONGEST_SESSION);
        rotation = rotation.overlap(overlap.value.get());
    }
    if let Some(bits) = reader.optional::<u32>(&place, "rsa_bits") {
        match bits.value {
            2048 => rotation = rotation.key_size(RsaKeySize::Bits2048),
            3072 => rotation = rotation.key_size(RsaKeySize::Bits3072),
            4096 => rotation = rotation.key_size(RsaKeySize::Bits4096),
            other => reader.error_at(
                bits.at,
                &bits.key,
                format_args!("{other} is no size of keys; write 2048, 3072 or 4096"),
            ),
        }
    }
    rotation
}

fn external_evaluation(reader: &mut Reader, place: &Place<'_>) -> ExternalEvaluation {
    let mut evaluation = ExternalEvaluation::new();
    let Some(place) = place.get("external_evaluation") else { return evaluation };
    if !reader.mapping(&place, &[keys::EXTERNAL_EVALUATION]) {
        return evaluation;
    }
    if let Some(timeout) = reader.optional::<GoDuration>(&place, "timeout") {
        reader.check_duration(
            &timeout,
            ExternalEvaluation::MIN_TIMEOUT,
            ExternalEvaluation::MAX_TIMEOUT,
        );
        evaluation = evaluation.timeout(timeout.value.get());
    }
    let stale = limits::duration(reader, &place, "serve_stale_up_to", Duration::ZERO..=hours(168));
    if let Some(stale) = stale {
        evaluation = evaluation.serve_stale_up_to(stale);
    }
    if place.get("recheck_every").is_some_and(|every| every.node.text() == Some("login")) {
        return evaluation.only_at_login();
    }
    if let Some(interval) = reader.optional::<GoDuration>(&place, "recheck_every") {
        reader.check_duration(
            &interval,
            ExternalEvaluation::MIN_RECHECK,
            ExternalEvaluation::MAX_RECHECK,
        );
        evaluation = evaluation.recheck_every(interval.value.get());
    }
    evaluation
}

fn verifying(
    reader: &mut Reader,
    place: &Place<'_>,
    applications: &[ReadApplication<'_>],
) -> Option<Role> {
    refuse_evaluators(reader, place, applications);
    for key in [
        "team_domain",
        "transfer_host",
        "one_time_pin",
        "key_rotation",
        "external_evaluation",
        "mail",
    ] {
        if place.get(key).is_some() {
            reader.error_at(
                place.key_at(key),
                &format!("{}.{key}", place.path),
                format_args!(
                    "`{key}` and `issuer` exclude each other: either this program runs the login, or \
                     the issuer does; leave one out"
                ),
            );
        }
    }
    for key in ["session_duration", "idle_timeout"] {
        if place.get(key).is_some() {
            reader.note_no_effect(place, key, "the issuer decides how long a login lasts");
        }
    }
    for read in applications.iter().filter(|read| !read.names_audience) {
        reader.error(
            &read.place,
            "`aud` is missing: behind an issuer each application names its audience tag, as the \
             issuer's dashboard shows it",
        );
    }
    for read in applications.iter().filter(|read| read.application.binding_cookie) {
        reader.error_at(
            read.place.key_at("enable_binding_cookie"),
            &format!("{}.enable_binding_cookie", read.place.path),
            "a binding cookie is asked for where tokens are issued, and never reaches an origin; \
             leave it out here and set it at the issuer",
        );
    }
    for read in applications.iter().filter(|it| !it.application.allowed_login_methods.is_empty()) {
        reader.error_at(
            read.place.key_at("allowed_idps"),
            &format!("{}.allowed_idps", read.place.path),
            "tokens do not say by which method somebody has logged in: the issuer chooses among its \
             login methods; leave it out here and set it there",
        );
    }
    let issuer = place.get("issuer")?;
    if !reader.mapping(&issuer, &[keys::ISSUER]) {
        return None;
    }
    reader.required(
        &issuer,
        &["team_domain"],
        ": write who issues the tokens, such as `team_domain: acme.cloudflareaccess.com`",
    );
    let certs_url = reader.optional::<String>(&issuer, "certs_url");
    if let Some(url) = certs_url.as_ref().filter(|url| trusted_url::parse(&url.value).is_err()) {
        reader.error_at(
            url.at,
            &url.key,
            "no address for keys; write an `https://` address (`http://` to a loopback address alone)",
        );
    }
    let algorithms = algorithms(reader, &issuer);
    let get_identity = reader.optional::<bool>(&issuer, "get_identity");
    let leeway = limits::duration(reader, &issuer, "leeway", Duration::ZERO..=minutes(5));
    let key_refresh = key_refresh(reader, &issuer);
    let team_domain = reader.parsed::<TeamDomain>(&issuer, "team_domain")?.value;
    Some(Role::Verifying {
        team_domain,
        certs_url: certs_url.map(|url| url.value),
        algorithms,
        get_identity: get_identity.is_some_and(|asked| asked.value),
        leeway,
        key_refresh,
    })
}

fn key_refresh(reader: &mut Reader, issuer: &Place<'_>) -> RefreshPolicy {
    let mut policy = RefreshPolicy::default();
    let Some(place) = issuer.get("key_refresh") else { return policy };
    if !reader.mapping(&place, &[&["fresh_for", "serve_stale_up_to", "cool_down"]]) {
        return policy;
    }
    if let Some(time) = limits::duration(reader, &place, "fresh_for", minutes(1)..=hours(6)) {
        policy = policy.fresh_for(time);
    }
    if let Some(age) =
        limits::duration(reader, &place, "serve_stale_up_to", minutes(1)..=hours(744))
    {
        policy = policy.serve_stale_up_to(age);
    }
    if let Some(pause) = limits::duration(reader, &place, "cool_down", SECOND..=hours(1)) {
        policy = policy.cool_down(pause);
    }
    policy
}

/// Questions to evaluators are signed with the issuer's key, which is not here.
fn refuse_evaluators(
    reader: &mut Reader,
    access: &Place<'_>,
    applications: &[ReadApplication<'_>],
) {
    let policies = applications.iter().filter_map(|read| read.place.get("policies"));
    let lists = [access.get("policies"), access.get("groups")].into_iter().flatten();
    let holders: Vec<Place<'_>> =
        policies.chain(lists).flat_map(|list| list.items().collect::<Vec<_>>()).collect();
    for place in &holders {
        for (_, rule) in cross::rules(place).filter(|(key, _)| *key == "external_evaluation") {
            reader.error(
                &rule,
                "an evaluator is asked with the issuer's signing key, which is not here; leave the \
                 rule out and write it at the issuer",
            );
        }
    }
}

fn algorithms(reader: &mut Reader, issuer: &Place<'_>) -> Algorithms {
    let mut allowed = Algorithms::default();
    for entry in reader.list(issuer, "algorithms") {
        let name = reader.read::<String>(&entry, &[]).unwrap_or_default();
        match Algorithm::named(&name) {
            Some(algorithm) => allowed = allowed.allow(algorithm),
            None => reader.error(
                &entry,
                "no signature algorithm that can be verified; write RS256, PS256, ES256 or EdDSA",
            ),
        }
    }
    allowed
}

const SHORTEST_ROTATION: Duration = Duration::from_secs(86_400);
const LONGEST_ROTATION: Duration = Duration::from_secs(365 * 86_400);
const SHORTEST_ANNOUNCEMENT: Duration = Duration::from_secs(5);
const LONGEST_ANNOUNCEMENT: Duration = Duration::from_secs(7 * 86_400);
const SHORTEST_LOGIN: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::error::NoteKind;
    use crate::config::tree::Node;

    /// What reading this came to, and what was said about it.
    fn read_text(text: &str) -> (Option<AccessConfig>, Reader) {
        let node = Node::parse(text).unwrap();
        let mut reader = Reader::default();
        let config = read(&mut reader, &Place::root(&node));
        (config, reader)
    }

    fn with_rule(more: &str) -> String {
        format!(
            "access:\n  applications:\n    - name: Hook\n      domain: hook.example\n      policies:\n        \
             - {{ name: CI, decision: non_identity, include: [ {{ service_token: {{ token_id: depoly }} }} ] }}\n  \
             service_tokens: [ {{ name: deploy, client_id: a.access, client_secret_hash: 'sha256:{}' }} ]\n{more}",
            "ab".repeat(32)
        )
    }

    #[test]
    fn a_service_token_that_the_file_does_not_define_may_be_one_of_the_stores() {
        let (_, reader) = read_text(&with_rule(""));
        let [error] = &reader.errors[..] else { panic!("{:?}", reader.errors) };
        assert!(error.message().contains("no service token `depoly`; did you mean `deploy`?"));
        let (config, reader) = read_text(&with_rule("state: { redis: { url: 'redis://h' } }\n"));
        assert!(reader.errors.is_empty(), "{:?}", reader.errors);
        let [note] = &reader.notes[..] else { panic!("{:?}", reader.notes) };
        assert_eq!(note.kind(), NoteKind::Surprises);
        assert!(note.message().contains("until the store has one"), "{note}");
        assert!(note.message().ends_with("; did you mean `deploy`?"), "{note}");
        assert!(config.unwrap().keeps_service_tokens);
        assert!(
            !read_text(&with_rule("").replace("depoly", "deploy")).0.unwrap().keeps_service_tokens
        );
    }

    #[test]
    fn service_tokens_are_judged_alone_unless_the_file_says_otherwise() {
        let text = with_rule("").replace("depoly", "deploy");
        let strict = |more: &str| {
            let (config, reader) =
                read_text(&text.replace("access:\n", &format!("access:\n{more}")));
            assert!(reader.errors.is_empty(), "{:?}", reader.errors);
            let kinds: Vec<_> = reader.notes.iter().map(|note| note.kind()).collect();
            (config.unwrap().strict_service_token_auth, kinds)
        };
        assert_eq!(strict(""), (true, vec![]));
        assert_eq!(strict("  strict_service_token_auth: true\n"), (true, vec![]));
        let off = "  strict_service_token_auth: false\n";
        assert_eq!(strict(off), (false, vec![NoteKind::Weakens]));
        let (_, reader) =
            read_text(&text.replace("access:\n", "access:\n  strict_service_token_auth: no way\n"));
        assert!(!reader.errors.is_empty());
    }

    fn parse(more: &str) -> Result<Config, String> {
        let text = format!("access: {{ applications: [ {{ domain: a.example }} ], {more} }}");
        Config::parse(&text, "f").map_err(|errors| errors.to_string())
    }

    #[test]
    fn cfg_04_a_transfer_host_is_one_of_ours_and_no_applications() {
        let host = "transfer_host: login.cloudflareaccess.org";
        if COMMAND_LINE_IS_AVAILABLE {
            assert!(parse(host).unwrap().access().is_ok());
            let error = parse("transfer_host: a.example").unwrap_err();
            assert!(error.contains("transfer_host: `a.example` is the host of an"), "{error}");
        } else {
            let error = parse(host).unwrap_err();
            assert!(error.contains("transfer_host: this program was built without"), "{error}");
        }
        for text in ["''", "https://a.example", "7", "A.example", "'*.a.example'"] {
            let error = parse(&format!("transfer_host: {text}")).unwrap_err();
            assert!(error.contains("transfer_host: "), "{text}: {error}");
        }
        let issuer = format!("{host}, issuer: {{ team_domain: acme.example.com }}");
        let error = parse(&issuer).unwrap_err();
        assert!(error.contains("`transfer_host` and `issuer` exclude each other"), "{error}");
    }
}
