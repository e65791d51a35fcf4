//! Levels that serde types of other rooms read: policies, groups, lists, service tokens and tests.
//!
//! Their tables are held against these types by a test.

use super::objects_macro::{
    country, email, level, list, moment, non_empty, risk, session_duration, text,
};
use super::objects_rule::RULE;
use super::shape::Presence::{Default, NotNull, Required};
use super::shape::{Acceptance, OtherKeys, Shape};

level! {
    /// A decision, and the rules under which it is taken.
    /// The policy applies to a request if one rule of `include`, every rule of `require` and no rule of
    /// `exclude` matches.
    POLICY in "access.policies[]" with OF_EXPORTED_POLICIES {
        /// The id, by which applications and `lint` refer to the policy.
        "id": text(), Default("the name"), "9d2b6f0e", theirs;
        /// The name, for people and logs.
        "name": text(), Required, "Staff", theirs;
        /// What happens to a request that the policy applies to: `allow` after a login, `deny`, `bypass`
        /// without any check, or `non_identity` (Service Auth) without a login.
        "decision": Shape::Choice(&["allow", "deny", "bypass", "non_identity"]), Required, "allow", theirs;
        /// The position among the policies: lower numbers are evaluated first. Policies with `bypass` and
        /// `non_identity` are evaluated before the others.
        "precedence": Shape::Integer { min: 1, max: u32::MAX as i64 }, Default("the position in the list"), "1", theirs;
        /// The rules of which at least one must match.
        "include": rules(), Required, "[ { email_domain: { domain: example.com } } ]", theirs;
        /// The rules that must all match.
        "require": rules(), NotNull("[]"), "[ { geo: { country_code: FR } } ]", theirs;
        /// The rules of which none may match.
        "exclude": rules(), NotNull("[]"), "[ { email: { email: guest@example.com } } ]", theirs;
        /// Time for which an application token is valid that the policy allows.
        "session_duration": session_duration(), Default("that of the application"), "8h", theirs;
    }
}

const OF_EXPORTED_POLICIES: &[OtherKeys] = &[
    OtherKeys {
        names: &[
            "approval_required",
            "purpose_justification_required",
            "isolation_required",
            "mfa_config",
        ],
        acceptance: Acceptance::False(
            "not supported; ignoring it would let in more users than intended",
        ),
    },
    OtherKeys {
        names: &[
            "approval_groups",
            "purpose_justification_prompt",
            "connection_rules",
            "reusable",
            "app_count",
            "created_at",
            "updated_at",
        ],
        acceptance: Acceptance::Ignored("part of an export"),
    },
];

level! {
    /// A rule group: rules that policies and other groups refer to.
    GROUP in "access.groups[]" with OF_EXPORTED_GROUPS {
        /// The id, by which rules refer to the group.
        "id": text(), Default("the name"), "6f0e1c2d", theirs;
        /// The name, for people.
        "name": text(), Required, "Staff", theirs;
        /// The rules of which at least one must match. Without any the group matches nobody.
        "include": rules(), Required, "[ { email_domain: { domain: example.com } } ]", theirs;
        /// The rules that must all match.
        "require": rules(), NotNull("[]"), "[ { geo: { country_code: FR } } ]", theirs;
        /// The rules of which none may match.
        "exclude": rules(), NotNull("[]"), "[ { email: { email: guest@example.com } } ]", theirs;
    }
}

const OF_EXPORTED_GROUPS: &[OtherKeys] = &[OtherKeys {
    names: &["is_default", "created_at", "updated_at"],
    acceptance: Acceptance::Ignored("part of an export"),
}];

level! {
    /// A list of email addresses or networks that rules refer to.
    LIST in "access.lists[]" with OF_EXPORTED_LISTS {
        /// The id, by which rules refer to the list.
        "id": text(), Default("the name"), "a5b2c3d4", theirs;
        /// The name, for people.
        "name": text(), Required, "Offices", theirs;
        /// `EMAIL` for email addresses, `IP` for networks.
        "type": Shape::Choice(&["EMAIL", "IP"]), Required, "IP", theirs;
        /// The entries: an address or a network, alone or as `value` with a remark.
        "items": list(Shape::AnyOf(vec![text(), Shape::Mapping(LIST_ITEM)])), Required, "[ 192.0.2.0/24, { value: '2001:db8::/32' } ]", theirs;
    }
}

const OF_EXPORTED_LISTS: &[OtherKeys] = &[OtherKeys {
    names: &["description", "count", "list_count", "created_at", "updated_at"],
    acceptance: Acceptance::Ignored("part of an export"),
}];

level! {
    /// An entry of a list, with remarks.
    LIST_ITEM in "access.lists[].items[]" with OF_EXPORTED_ITEMS {
        /// The email address, or the address or network.
        "value": text(), Required, "192.0.2.0/24", theirs;
    }
}

const OF_EXPORTED_ITEMS: &[OtherKeys] = &[OtherKeys {
    names: &["description", "created_at"],
    acceptance: Acceptance::Ignored("a remark"),
}];

level! {
    /// A service token: the client id of a program, and the hash of its secret.
    SERVICE_TOKEN in "access.service_tokens[]" with SECRETS {
        /// The id, by which rules refer to the token.
        "id": text(), Default("the name"), "3c2b1a09", theirs;
        /// The name, for people and logs.
        "name": non_empty(), Required, "ci", theirs;
        /// The client id, which the program sends as `CF-Access-Client-Id`.
        "client_id": non_empty(), Required, "9c0d5f8b7e6a41d2b3c4d5e6f7a8b9c0.access", theirs;
        /// The SHA-256 hash of the client secret: `printf %s "$SECRET" | sha256sum`.
        "client_secret_hash": Shape::Text { form: "`sha256:` and 64 hexadecimal digits", pattern: Some("^sha256:[0-9A-Fa-f]{64}$") }, Required, "'sha256:2d4dbe2a87baf61d2d460f2639a88a5799418db5c3adb3ad511b18b138605971'", ours;
        /// `false` switches the token off: it opens nothing.
        "enabled": Shape::Switch, NotNull("true"), "false", ours;
        /// The moment from which the token is invalid.
        "expires_at": moment(), Default("never"), "2027-01-31T00:00:00Z", theirs;
    }
}

const SECRETS: &[OtherKeys] = &[OtherKeys {
    names: &["client_secret"],
    acceptance: Acceptance::Refused(
        "the secret does not belong in the file; write `client_secret_hash`",
    ),
}];

level! {
    /// A request, and the verdict that is expected. `proxy test` runs them.
    TEST in "tests[]" {
        /// What the test is about, for the report.
        "name": text(), Default("the request"), "guests stay out", ours;
        /// The request.
        "request": Shape::Mapping(TEST_REQUEST), Required, "{ url: 'https://wiki.example.com/' }", ours;
        /// Who sends it: one of `email`, `service_token` and `linked_application`.
        "identity": Shape::Mapping(TEST_IDENTITY), NotNull("nobody has logged in"), "{ email: ada@example.com }", ours;
        /// The moment of the request.
        "at": moment(), Default("now"), "2027-01-31T00:00:00Z", ours;
        /// The expected outcome.
        "expect": Shape::Choice(&["allowed", "service_allowed", "bypassed", "login_required", "denied"]), Required, "allowed", ours;
        /// The id or the name of the policy that is expected to decide.
        "policy": text(), Default("any"), "Staff", ours;
        /// The id or the name of the application that is expected to be chosen.
        "application": text(), Default("any"), "Wiki", ours;
    }
}

level! {
    /// A request. Facts that are omitted are unknown, and unknown facts match no rule.
    TEST_REQUEST in "tests[].request" {
        /// The URL, with or without the scheme.
        "url": text(), Required, "https://wiki.example.com/docs", ours;
        /// The method.
        "method": text(), Default("GET"), "POST", ours;
        /// The IP address of the client.
        "ip": Shape::Text { form: "IP address", pattern: Some("^[0-9A-Fa-f.:]+$") }, Default("unknown"), "192.0.2.9", ours;
        /// The country of that address.
        "country": country(), Default("unknown"), "FR", ours;
        /// The client certificate. `none`: the client has no valid one.
        "certificate": Shape::AnyOf(vec![Shape::Choice(&["none"]), Shape::Mapping(TEST_CERTIFICATE)]), Default("unknown"), "{ common_name: laptop-7 }", ours;
        /// The ids of the device checks that have passed; all others have failed.
        "device_posture": list(text()), Default("unknown"), "[ 7c6b5a49 ]", ours;
    }
}

level! {
    /// A valid client certificate.
    TEST_CERTIFICATE in "tests[].request.certificate" {
        /// The common name of its subject.
        "common_name": text(), Required, "laptop-7", ours;
    }
}

level! {
    /// Who sends a request.
    /// Unless a fact of the login is named, a user has logged in by one-time PIN.
    TEST_IDENTITY in "tests[].identity" {
        /// The verified email address of the user.
        "email": email(), Default("no user"), "ada@example.com", ours;
        /// The id of the login method.
        "login_method": text(), Default("unknown"), "onetimepin", ours;
        /// The type of the login method, such as `oidc`.
        "login_type": text(), Default("unknown"), "oidc", ours;
        /// The authentication methods (`amr`).
        "auth_methods": list(text()), Default("unknown"), "[ mfa ]", ours;
        /// The authentication contexts (`acrs`).
        "auth_contexts": list(text()), Default("unknown"), "[ c1 ]", ours;
        /// The groups at the identity provider, by id, name or email address.
        "groups": list(text()), Default("unknown"), "[ ops ]", ours;
        /// The GitHub organizations, alone or with a team.
        "organizations": list(text()), Default("unknown"), "[ acme, acme/ops ]", ours;
        /// The claims of an OpenID provider, or the attributes of a SAML provider.
        "claims": Shape::Map { keys: "claim", values: Box::new(list(text())) }, Default("unknown"), "{ department: [ ops ] }", ours;
        /// The Cloudflare accounts.
        "accounts": list(text()), Default("unknown"), "[ 0f1e2d3c ]", ours;
        /// The risk level.
        "risk": risk(), Default("unknown"), "low", ours;
        /// The responses of external evaluators, by their URL.
        "evaluations": Shape::Map { keys: "`evaluate_url`", values: Box::new(Shape::Switch) }, NotNull("unknown"), "{ 'https://evaluator.example.com/': true }", ours;
        /// The id, name or client id of the service token.
        "service_token": text(), Default("no service token"), "ci", ours;
        /// The id of the application whose token is sent.
        "linked_application": text(), Default("no application"), "portal", ours;
    }
}

fn rules() -> Shape {
    list(Shape::Mapping(RULE))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt;

    use serde::Deserialize;
    use serde::de::value::MapDeserializer;
    use serde::de::{self, DeserializeOwned};

    use super::*;
    use crate::config::schema::Level;
    use crate::config::tests::Document;
    use crate::engine::explain::{SimulatedIdentity, SimulatedRequest};
    use crate::policy::{Group, List, Policy, Rule, Selector};
    use crate::service_token::ServiceToken;

    thread_local! {
        /// The keys that serde named for an unknown one.
        static KNOWN: Cell<&'static [&'static str]> = const { Cell::new(&[]) };
    }

    #[derive(Debug)]
    struct ReadError;

    impl fmt::Display for ReadError {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused")
        }
    }

    impl std::error::Error for ReadError {}

    impl de::Error for ReadError {
        fn custom<T: fmt::Display>(_: T) -> Self {
            Self
        }

        fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
            KNOWN.set(expected);
            Self
        }
    }

    /// Returns the keys that a type knows.
    fn keys<T: DeserializeOwned>() -> BTreeSet<&'static str> {
        let unknown = MapDeserializer::<_, ReadError>::new([("no such key", ())].into_iter());
        KNOWN.set(&[]);
        assert!(T::deserialize(unknown).is_err());
        KNOWN.get().iter().copied().collect()
    }

    fn declared(level: &Level) -> BTreeSet<&'static str> {
        let is_accepted =
            |others: &&OtherKeys| !matches!(others.acceptance, Acceptance::Refused(_));
        let others = level.others.iter().filter(is_accepted).flat_map(|others| others.names);
        let all: Vec<&str> = level.names.iter().chain(others).copied().collect();
        let keys: BTreeSet<&str> = all.iter().copied().collect();
        assert_eq!(keys.len(), all.len(), "{} has a key twice", level.path);
        keys
    }

    #[test]
    fn the_tables_have_the_keys_that_serde_reads() {
        for (level, keys) in [
            (POLICY, keys::<Policy>()),
            (GROUP, keys::<Group>()),
            (LIST, keys::<List>()),
            (SERVICE_TOKEN, keys::<ServiceToken>()),
            (TEST, keys::<Document>()),
            (TEST_REQUEST, keys::<SimulatedRequest>()),
            (TEST_IDENTITY, keys::<SimulatedIdentity>()),
        ] {
            assert!(!keys.is_empty(), "{}", level.path);
            assert_eq!(declared(level), keys, "{}", level.path);
        }
    }

    #[test]
    fn the_tables_have_the_selectors_and_their_keys() {
        let selectors = Selector::ALL.map(Selector::key);
        for selector in selectors {
            assert!(RULE.names.contains(&selector), "{selector}");
        }
        for key in RULE.keys {
            let selector = Selector::from_key(key.name).unwrap();
            assert!(key.name == selector.key() || !selectors.contains(&key.name));
            let Shape::Mapping(value) = key.shape() else { panic!("{}", key.name) };
            KNOWN.set(&[]);
            let unknown = BTreeMap::from([("no such key", ())]);
            let rule = [(key.name, unknown)].into_iter();
            assert!(Rule::deserialize(MapDeserializer::<_, ReadError>::new(rule)).is_err());
            assert_eq!(declared(value), KNOWN.get().iter().copied().collect(), "{}", key.name);
        }
    }
}
