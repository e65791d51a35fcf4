//! `access`: applications, groups, service tokens, and who issues tokens.

mod document;
mod external_evaluation;
mod issuer;
mod issuing;
mod key_rotation;
mod service_token;

use crate::policy::{Group, List};
use crate::service_token::ServiceToken;

pub(super) use self::document::Access;
use super::application::{self, ReadApplication};
use super::cross;
use super::error::NoteKind;
use super::facts;
use super::parts::Parts;
use super::reader::{NodeRef, Reader};
use super::reusable::Reusable;
use super::schema::Field;
use super::settings::{AccessConfig, Role};

/// Builds `access`. `None` goes with at least one error.
pub(super) fn build(
    reader: &mut Reader,
    root: &NodeRef<'_>,
    access: Field<Access>,
) -> Option<AccessConfig> {
    let (place, mut access) = (root.get("access")?, access.value()?);
    let reusable = Reusable::read(reader, &place);
    let applications = read_applications(reader, &place, &reusable);
    let groups = reader.entries::<Group>(&place, "groups");
    let lists = reader.entries::<List>(&place, "lists");
    let tokens = reader.entries::<ServiceToken>(&place, "service_tokens");
    let strict_service_token_auth = strict_service_token_auth(reader, &place, &access);
    let facts = std::mem::take(&mut access.facts).value().unwrap_or_default();
    let facts = facts::build(reader, root, facts);
    let tokens_are_ours = !access.issuer.is_written();
    let (session_duration, idle_timeout) =
        (access.session_duration.get().copied(), access.idle_timeout.get().copied());
    let role = if access.issuer.is_written() {
        issuer::build(reader, &place, access.issuer, &applications)
    } else {
        Some(issuing::build(reader, &place, access, &applications))
    };
    // The store may define further service tokens while the program runs.
    let stored_service_tokens = tokens_are_ours && root.get("state").is_some();
    let login_methods = role.as_ref().and_then(Role::login_methods);
    let login_method_ids: Option<Vec<&str>> =
        login_methods.map(|methods| methods.iter().map(|method| method.id).collect());
    let public = role.as_ref().map(Role::public_login_methods).unwrap_or_default();
    let anybody = role.as_ref().and_then(Role::anybody);
    let written = Parts {
        applications: &applications,
        reusable: &reusable,
        groups: &groups,
        lists: &lists,
        tokens: &tokens,
        tokens_are_ours,
        login_methods: login_method_ids.as_deref(),
        anybody: anybody.as_deref(),
        public_login_methods: &public,
        stored_service_tokens,
    };
    let definitions = cross::check(reader, &written);
    Some(AccessConfig {
        role: role?,
        session_duration,
        idle_timeout,
        applications: applications.into_iter().map(|read| read.application).collect(),
        definitions: definitions?,
        service_tokens: tokens.into_iter().filter_map(|(_, token)| token).collect(),
        strict_service_token_auth,
        stored_service_tokens,
        facts,
    })
}

fn read_applications<'t>(
    reader: &mut Reader,
    access: &NodeRef<'t>,
    reusable: &Reusable<'t>,
) -> Vec<ReadApplication<'t>> {
    let mut applications = Vec::new();
    for entry in reader.list(access, "applications") {
        let before = reader.errors.len();
        match application::read(reader, &entry, reusable) {
            Some(read) => applications.push(read),
            // Never dropped silently: a less specific application would match instead.
            None if reader.errors.len() == before => reader.error(&entry, "invalid application"),
            None => {}
        }
    }
    if let Some(list) = access.get("applications").filter(|list| list.node.is_switched_off()) {
        reader.error(&list, "no applications: everything would be closed; write at least one");
    }
    applications
}

fn strict_service_token_auth(reader: &mut Reader, place: &NodeRef<'_>, access: &Access) -> bool {
    let Some(strict) = access.strict_service_token_auth.written() else { return true };
    if access.issuer.is_written() {
        let key = "strict_service_token_auth";
        reader.note_no_effect(place, key, "the issuer verifies service tokens");
        return true;
    }
    if strict.value == Some(false) {
        reader.note(
            NoteKind::Weakens,
            strict,
            "an invalid service token is ignored, and a valid one is exchanged for a cookie that opens \
             by itself",
        );
    }
    strict.value != Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::error::NoteKind;
    use crate::config::tree::Node;
    use crate::login::COMMAND_LINE_IS_AVAILABLE;

    /// Reads `access`; returns its errors and notes as well.
    fn read_text(text: &str) -> (Option<AccessConfig>, Reader) {
        let node = Node::parse(text).unwrap();
        let mut reader = Reader::default();
        let root = NodeRef::root(&node);
        let access = reader.field::<Access>(&root, "access");
        let config = build(&mut reader, &root, access);
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
        assert!(config.unwrap().stored_service_tokens);
        assert!(
            !read_text(&with_rule("").replace("depoly", "deploy")).0.unwrap().stored_service_tokens
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
