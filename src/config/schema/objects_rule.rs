//! Rules: one selector and its value each.

use super::objects_macro::{country, email, level, list, non_empty, risk, text};
use super::shape::Presence::{Default, NotNull, Required};
use super::shape::Shape;

level! {
    /// A rule of `include`, `require` or `exclude`: exactly one selector, and its value.
    /// The facts that a selector needs come from the login, from the request, or from `access.facts`.
    RULE in "rule" {
        /// Everybody. In a policy with the decision `allow`, everybody who logs in.
        "everyone": Shape::Mapping(EVERYONE), NotNull(""), "{}", theirs;
        /// The user with this verified email address.
        "email": Shape::Mapping(EMAIL), NotNull(""), "{ email: ada@example.com }", theirs;
        /// Users whose verified email address is in this domain. Subdomains are other domains.
        "email_domain": Shape::Mapping(EMAIL_DOMAIN), NotNull(""), "{ domain: example.com }", theirs;
        /// Users whose verified email address is in a list of `access.lists`.
        "email_list": Shape::Mapping(EMAIL_LIST), NotNull(""), "{ id: board }", theirs;
        /// Clients whose address is in this network.
        "ip": Shape::Mapping(IP), NotNull(""), "{ ip: 203.0.113.0/24 }", theirs;
        /// Clients whose address is in a list of `access.lists`.
        "ip_list": Shape::Mapping(IP_LIST), NotNull(""), "{ id: Offices }", theirs;
        /// Clients in this country. Needs a source under `access.facts`.
        "geo": Shape::Mapping(GEO), NotNull(""), "{ country_code: FR }", theirs;
        /// Whoever a group of `access.groups` matches.
        "group": Shape::Mapping(GROUP), NotNull(""), "{ id: Staff }", theirs;
        /// Clients with a valid certificate.
        "certificate": Shape::Mapping(CERTIFICATE), NotNull(""), "{}", theirs;
        /// Clients with a valid certificate that has this common name.
        "common_name": Shape::Mapping(COMMON_NAME), NotNull(""), "{ common_name: laptop-7.example.com }", theirs;
        /// The service token with this id, client id or name.
        "service_token": Shape::Mapping(SERVICE_TOKEN), NotNull(""), "{ token_id: ci }", theirs;
        /// Any valid service token.
        "any_valid_service_token": Shape::Mapping(ANY_VALID_SERVICE_TOKEN), NotNull(""), "{}", theirs;
        /// A valid token of another application, sent on behalf of its user. Only with `non_identity`.
        "linked_app_token": Shape::Mapping(LINKED_APP_TOKEN), NotNull(""), "{ app_uid: portal }", theirs;
        /// Users who have logged in with this login method.
        "login_method": Shape::Mapping(LOGIN_METHOD), NotNull(""), "{ id: onetimepin }", theirs;
        /// Users whose login used this authentication method (`amr`).
        "auth_method": Shape::Mapping(AUTH_METHOD), NotNull(""), "{ auth_method: mfa }", theirs;
        /// Users whose login satisfied this authentication context of Microsoft Entra ID.
        "auth_context": Shape::Mapping(AUTH_CONTEXT), NotNull(""), "{ ac_id: c1 }", theirs;
        /// Users in this group of Microsoft Entra ID.
        "azureAD": Shape::Mapping(AZURE), NotNull(""), "{ id: 9a8b7c6d }", theirs;
        /// `azureAD`, as Cloudflare's Terraform provider spells it.
        "azure_ad": Shape::Mapping(AZURE), NotNull(""), "{ id: 9a8b7c6d }", theirs;
        /// Members of this GitHub organization, or of a team in it.
        "github-organization": Shape::Mapping(GITHUB), NotNull(""), "{ name: acme, team: ops }", theirs;
        /// `github-organization`, as Cloudflare's Terraform provider spells it.
        "github_organization": Shape::Mapping(GITHUB), NotNull(""), "{ name: acme, team: ops }", theirs;
        /// Users in this Google Workspace group.
        "gsuite": Shape::Mapping(GSUITE), NotNull(""), "{ email: ops@example.com }", theirs;
        /// Users in this Okta group.
        "okta": Shape::Mapping(OKTA), NotNull(""), "{ name: Ops }", theirs;
        /// Users with this value of a SAML attribute.
        "saml": Shape::Mapping(SAML), NotNull(""), "{ attribute_name: department, attribute_value: ops }", theirs;
        /// Users with this value of an OpenID claim.
        "oidc": Shape::Mapping(OIDC), NotNull(""), "{ claim_name: department, claim_value: ops }", theirs;
        /// Devices that have passed this check.
        "device_posture": Shape::Mapping(DEVICE_POSTURE), NotNull(""), "{ integration_uid: 7c6b5a49 }", theirs;
        /// Whoever a service of yours approves.
        "external_evaluation": Shape::Mapping(EXTERNAL_EVALUATION), NotNull(""), "{ evaluate_url: 'https://evaluator.example.com/', keys_url: 'https://evaluator.example.com/keys' }", theirs;
        /// Users with one of these risk levels.
        "user_risk_score": Shape::Mapping(USER_RISK_SCORE), NotNull(""), "{ user_risk_score: [ low, medium ] }", theirs;
        /// Members of this Cloudflare account, or of any.
        "cloudflare_account_member": Shape::Mapping(ACCOUNT_MEMBER), NotNull(""), "{ account_id: 0f1e2d3c }", theirs;
    }
}

level! {
    /// An empty mapping.
    EVERYONE in "rule.everyone" {}
}

level! {
    /// An email address.
    EMAIL in "rule.email" {
        /// The email address, in any letter case.
        "email": email(), Required, "ada@example.com", theirs;
    }
}

level! {
    /// A domain.
    EMAIL_DOMAIN in "rule.email_domain" {
        /// The part after the `@`, in any letter case.
        "domain": Shape::Text { form: "domain", pattern: Some("^[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*$") }, Required, "example.com", theirs;
    }
}

level! {
    /// A list.
    EMAIL_LIST in "rule.email_list" {
        /// The id or the name of the list.
        "id": non_empty(), Required, "board", theirs;
    }
}

level! {
    /// A network.
    IP in "rule.ip" {
        /// The address, or the network in CIDR notation: IPv4 or IPv6.
        "ip": Shape::Text { form: "address or network", pattern: Some("^[0-9A-Fa-f.:]+(/[0-9]+)?$") }, Required, "203.0.113.0/24", theirs;
    }
}

level! {
    /// A list.
    IP_LIST in "rule.ip_list" {
        /// The id or the name of the list.
        "id": non_empty(), Required, "Offices", theirs;
    }
}

level! {
    /// A country.
    GEO in "rule.geo" {
        /// The country.
        "country_code": country(), Required, "FR", theirs;
    }
}

level! {
    /// A group.
    GROUP in "rule.group" {
        /// The id or the name of the group.
        "id": non_empty(), Required, "Staff", theirs;
    }
}

level! {
    /// An empty mapping.
    CERTIFICATE in "rule.certificate" {}
}

level! {
    /// A certificate.
    COMMON_NAME in "rule.common_name" {
        /// The common name, in this letter case.
        "common_name": non_empty(), Required, "laptop-7.example.com", theirs;
    }
}

level! {
    /// A service token.
    SERVICE_TOKEN in "rule.service_token" {
        /// The id, client id or name of the service token.
        "token_id": non_empty(), Required, "ci", theirs;
    }
}

level! {
    /// An empty mapping.
    ANY_VALID_SERVICE_TOKEN in "rule.any_valid_service_token" {}
}

level! {
    /// Another application.
    LINKED_APP_TOKEN in "rule.linked_app_token" {
        /// The id or the name of the application.
        "app_uid": non_empty(), Required, "portal", theirs;
    }
}

level! {
    /// A login method.
    LOGIN_METHOD in "rule.login_method" {
        /// The id of the login method.
        "id": non_empty(), Required, "onetimepin", theirs;
    }
}

level! {
    /// An authentication method.
    AUTH_METHOD in "rule.auth_method" {
        /// The authentication method, such as `mfa`.
        "auth_method": non_empty(), Required, "mfa", theirs;
    }
}

level! {
    /// An authentication context.
    AUTH_CONTEXT in "rule.auth_context" {
        /// The id of the context at Cloudflare, which is not compared.
        "id": text(), Default("none"), "0e1f2a3b", theirs;
        /// The context, such as `c1`.
        "ac_id": non_empty(), Required, "c1", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// A group of Microsoft Entra ID.
    AZURE in "rule.azureAD" {
        /// The object id of the group.
        "id": non_empty(), Required, "9a8b7c6d", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// An organization, or a team in it.
    GITHUB in "rule.github-organization" {
        /// The name of the organization, in any letter case.
        "name": non_empty(), Required, "acme", theirs;
        /// The name of the team, in any letter case.
        "team": text(), Default("every member of the organization"), "ops", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// A Google Workspace group.
    GSUITE in "rule.gsuite" {
        /// The email address of the group, in any letter case.
        "email": non_empty(), Required, "ops@example.com", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// An Okta group.
    OKTA in "rule.okta" {
        /// The name of the group.
        "name": non_empty(), Required, "Ops", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// A value of a SAML attribute.
    SAML in "rule.saml" {
        /// The name of the attribute.
        "attribute_name": non_empty(), Required, "department", theirs;
        /// The whole value.
        "attribute_value": non_empty(), Required, "ops", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// A value of an OpenID claim.
    OIDC in "rule.oidc" {
        /// The name of the claim.
        "claim_name": non_empty(), Required, "department", theirs;
        /// The whole value.
        "claim_value": non_empty(), Required, "ops", theirs;
        /// The login method that must say so.
        "identity_provider_id": text(), Default("any"), "1f0e2d3c", theirs;
    }
}

level! {
    /// A device check.
    DEVICE_POSTURE in "rule.device_posture" {
        /// The id of the check.
        "integration_uid": non_empty(), Required, "7c6b5a49", theirs;
    }
}

level! {
    /// An external evaluator: `https`, or `http` to a loopback address.
    EXTERNAL_EVALUATION in "rule.external_evaluation" {
        /// The URL at which the evaluator is queried.
        "evaluate_url": url(), Required, "https://evaluator.example.com/", theirs;
        /// The URL of the keys that sign its responses.
        "keys_url": url(), Required, "https://evaluator.example.com/keys", theirs;
    }
}

level! {
    /// Risk levels.
    USER_RISK_SCORE in "rule.user_risk_score" {
        /// The risk levels, at least one.
        "user_risk_score": list(risk()), Required, "[ low, medium ]", theirs;
    }
}

level! {
    /// A Cloudflare account.
    ACCOUNT_MEMBER in "rule.cloudflare_account_member" {
        /// The id of the account.
        "account_id": text(), Default("any"), "0f1e2d3c", theirs;
    }
}

fn url() -> Shape {
    Shape::Text { form: "URL", pattern: Some("^https?://") }
}
