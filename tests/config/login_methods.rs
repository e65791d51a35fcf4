//! What `check` says about rules where users log in by several methods of several types.

use tower_access::clock::Timestamp;
use tower_access::inspect::{CheckReport, check_text};

const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);
const PIN: &str = "{ name: PIN, type: onetimepin }";
const OKTA: &str = "{ id: corp, name: Corp, type: okta, config: { okta_account: 'https://a.okta.example', client_id: a, client_secret_file: /run/s } }";
const ENTRA: &str = "{ id: entra, name: Entra, type: azureAD, config: { directory_id: d, client_id: a, client_secret_file: /run/s } }";
const WORKSPACE: &str = "{ id: workspace, name: Workspace, type: google-apps, config: { apps_domain: example.com, client_id: a, client_secret_file: /run/s } }";
const GOOGLE: &str = "{ id: google, name: Google, type: google, config: { client_id: a, client_secret_file: /run/s } }";
const GITHUB: &str = "{ id: github, name: GitHub, type: github, config: { client_id: a, client_secret_file: /run/s } }";
const OWN_GITHUB: &str = "{ id: github, name: GitHub, type: github, config: { client_id: a, client_secret_file: /run/s, base_url: 'https://github.example.com' } }";
const ADA: &str = "{ email: { email: ada@example.com } }";

fn report(providers: &[&str], policy: &str, application: &str) -> CheckReport {
    let text = format!(
        "access:\n  mail: {{ smtp: {{ host: mail.example.com, from: access@example.com }} }}\n\
         \x20 identity_providers: [ {} ]\n\
         \x20 applications: [ {{ name: A, domain: a.example.com, {application}policies: [ {policy} ] }} ]\n",
        providers.join(", ")
    );
    check_text(&text, "f", NOW).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// `id place: message (fix)` of the findings about a policy.
fn found(providers: &[&str], rules: &str) -> Vec<String> {
    found_in(providers, rules, "")
}

fn found_in(providers: &[&str], rules: &str, application: &str) -> Vec<String> {
    let policy = format!("{{ name: P, decision: allow, {rules} }}");
    let report = report(providers, &policy, application);
    let line = |one: &tower_access::inspect::lint::Finding| {
        let place = one.key.replace("access.applications[0].policies[0].", "");
        let fix = one.fix.as_deref().unwrap_or_default();
        format!("{} {place}: {} ({fix})", one.id, one.message)
    };
    report.findings().iter().map(line).collect()
}

#[track_caller]
fn never_matches(providers: &[&str], rule: &str, why: &str, fix: &str) {
    let found = found(providers, &format!("include: [ {ADA}, {{ {rule} }} ]"));
    let [one] = &*found else { panic!("{rule}: {found:?}") };
    assert!(one.starts_with("rule-never-matches include[1]: "), "{one}");
    assert!(one.contains(&format!("never matches: {why}")), "{one}");
    assert!(one.ends_with(&format!("({fix})")), "{one}");
}

#[track_caller]
fn is_fine(providers: &[&str], rule: &str) {
    let found = found(providers, &format!("include: [ {ADA}, {{ {rule} }} ]"));
    assert_eq!(found, [""; 0], "{rule}");
}

#[test]
fn a_rule_is_met_by_logins_of_the_right_type_only() {
    let providers = [PIN, OKTA, ENTRA, WORKSPACE, GITHUB];
    for (rule, met_by) in [
        ("okta: { name: Ops }", &[OKTA, ENTRA][..]),
        ("azureAD: { id: 0d9c }", &[OKTA, ENTRA]),
        // Google's tokens have no groups.
        ("gsuite: { email: ops@example.com }", &[OKTA, ENTRA]),
        ("github-organization: { name: acme }", &[GITHUB]),
        ("oidc: { claim_name: a, claim_value: b }", &[OKTA, ENTRA, WORKSPACE]),
        ("saml: { attribute_name: a, attribute_value: b }", &[]),
        ("auth_method: { auth_method: mfa }", &[OKTA, ENTRA, WORKSPACE]),
        ("auth_method: { auth_method: otp }", &[PIN, OKTA, ENTRA, WORKSPACE]),
    ] {
        for provider in providers {
            // Each alone, and with another one that does not report it either.
            let other = if met_by.contains(&GITHUB) { WORKSPACE } else { OWN_GITHUB };
            if met_by.contains(&provider) {
                is_fine(&[provider], rule);
                is_fine(&[provider, other], rule);
                continue;
            }
            if provider == PIN {
                let fix = "name users by `email` or `email_domain`, or verify the tokens of an `issuer` that \
                           knows more";
                let why = "a one-time PIN login proves an email address only";
                never_matches(&[provider], rule, why, fix);
            }
            if provider != GITHUB && provider != other {
                let fix = "name users by `email` or `email_domain`, or add an identity provider that \
                           reports it";
                never_matches(&[provider, other], rule, "no login method reports it: `", fix);
            }
        }
    }
}

#[test]
fn a_rule_with_a_provider_is_met_by_its_logins_only() {
    let methods = [PIN, OKTA, GITHUB];
    is_fine(&methods, "okta: { name: Ops, identity_provider_id: corp }");
    is_fine(&methods, "github-organization: { name: acme, identity_provider_id: github }");
    is_fine(&methods, "login_method: { id: corp }");
    never_matches(
        &methods,
        "okta: { name: Ops, identity_provider_id: github }",
        "the login method `github` of type `github` does not report the user's groups at the identity provider",
        "name a login method that does, or remove the rule",
    );
    never_matches(
        &methods,
        "github-organization: { name: acme, identity_provider_id: corp }",
        "the login method `corp` of type `okta` does not report the user's GitHub organizations",
        "name a login method that does, or remove the rule",
    );
    for rule in ["login_method: { id: gihub }", "okta: { name: Ops, identity_provider_id: gihub }"]
    {
        let why = "there is no login method `gihub`, only `onetimepin`, `corp`, `github`";
        never_matches(&methods, rule, why, "write `github`");
    }
    never_matches(
        &methods,
        "azureAD: { id: g, identity_provider_id: 4b7828f2-cfcf-52c7-b99b-2e359256aa39 }",
        "there is no login method `4b7828f2-cfcf-52c7-b99b-2e359256aa39`, only `onetimepin`",
        "name one of these, or remove the rule",
    );
}

#[test]
fn what_an_application_does_not_accept_opens_nothing_there() {
    let methods = [PIN, OKTA, GITHUB];
    let only_corp = "allowed_idps: [ corp ], ";
    let rules = |rule: &str| format!("include: [ {ADA}, {{ {rule} }} ]");
    let found = |rule: &str| found_in(&methods, &rules(rule), only_corp);
    assert_eq!(found("okta: { name: Ops }"), [""; 0]);
    assert_eq!(
        found("login_method: { id: github }"),
        ["rule-never-matches include[1]: `login_method github` never matches: the login method \
             `github` is not accepted (`allowed_idps`) (accept it, or remove the rule)"]
    );
    let organization = found("github-organization: { name: acme }");
    assert!(organization[0].starts_with("rule-never-matches include[1]"), "{organization:?}");
}

#[test]
fn a_rule_that_keeps_all_users_of_another_method_out_is_reported() {
    let rules = |rule: &str| {
        format!(
            "include: [ {{ email_domain: {{ domain: example.com }} }} ], exclude: [ {{ {rule} }} ]"
        )
    };
    let found = |providers: &[&str], rule: &str| found(providers, &rules(rule));
    assert_eq!(
        found(&[PIN, OKTA, GITHUB], "okta: { name: Contractors }"),
        ["login-method-kept-out exclude[0]: `okta Contractors` excludes everybody who logs in by \
             `github` as well: the user's groups at the identity provider cannot be known there (add \
             `identity_provider_id` with the login method that the rule is about)"]
    );
    let named = "okta: { name: Contractors, identity_provider_id: corp }";
    assert_eq!(found(&[PIN, OKTA, GITHUB], named), [""; 0]);
    // Who logs in by one-time PIN is known to be in no group.
    assert_eq!(found(&[PIN, OKTA], "okta: { name: Contractors }"), [""; 0]);
    let method = found(&[OKTA, GITHUB], "auth_method: { auth_method: pwd }");
    assert!(method[0].contains("excludes everybody who logs in by `github`"), "{method:?}");
    // Nobody can meet it, and nobody is kept out by it.
    let team = "github-organization: { name: rivals }";
    let without_effect = found(&[PIN], team);
    assert!(
        without_effect[0].contains("; the rule has no effect (remove it, or"),
        "{without_effect:?}"
    );
    let provider = "okta: { name: Contractors, identity_provider_id: github }";
    let without_effect = found(&[PIN, OKTA, GITHUB], provider);
    assert_eq!(without_effect, [""; 0], "it keeps out everybody who logs in by GitHub");
}

#[test]
fn everyone_is_anybody_where_anybody_can_log_in() {
    let everyone = "include: [ { everyone: {} } ]";
    let says = |providers: &[&str], rules: &str| -> Option<String> {
        let found = found(providers, rules);
        assert!(found.len() <= 1, "{found:?}");
        let (_, message) = found.first()?.split_once("allow-admits-everyone include[0]: ")?;
        Some(message.split(" is allowed").next()?.to_owned())
    };
    let mail = Some("anybody who can receive mail".to_owned());
    assert_eq!(says(&[PIN], everyone), mail);
    assert_eq!(says(&[OKTA, PIN], everyone), mail);
    let account = |name: &str| Some(format!("anybody with an account at `{name}`"));
    assert_eq!(says(&[GITHUB, OKTA], everyone), account("GitHub"));
    assert_eq!(says(&[GOOGLE], everyone), account("Google"));
    // Who has an account at the organization's own provider is somebody.
    for methods in [&[OKTA][..], &[ENTRA, OWN_GITHUB, WORKSPACE]] {
        assert_eq!(says(methods, everyone), None);
    }
    let by = |id: &str| format!("include: [ {{ login_method: {{ id: {id} }} }} ]");
    assert_eq!(says(&[OKTA, PIN, GITHUB], &by("github")), account("GitHub"));
    assert_eq!(says(&[OKTA, PIN, GITHUB], &by("onetimepin")), mail);
    assert_eq!(says(&[OKTA, PIN, GITHUB], &by("corp")), None);
    let only_corp = found_in(&[OKTA, PIN, GITHUB], everyone, "allowed_idps: [ corp ], ");
    assert_eq!(only_corp, [""; 0]);
}
