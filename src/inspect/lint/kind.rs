//! The kinds of findings.

use std::fmt;

use serde::{Serialize, Serializer};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The file is refused, or cannot be run.
    Error,
    /// The file allows more, or less, than it appears to.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Severity {
    /// Returns its name, in JSON and in text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $id:literal $severity:ident,)*) => {
        /// The kinds of findings, each with the exact conditions under which it is reported.
        ///
        /// Displayed, and in JSON, as their ids, which are stable.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum LintKind {
            $($(#[$doc])* #[doc = concat!("\n\nId: `", $id, "`.")] $name,)*
        }

        impl LintKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the id.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// Returns the severity of findings of this kind.
            #[must_use]
            #[allow(clippy::match_same_arms, reason = "one line for each kind")]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    /// The file is invalid and refused.
    Invalid = "invalid" Error,
    /// The file is valid, but something it names is unusable: a certificate, a password file.
    CannotBeRun = "cannot-be-run" Error,

    /// A destination that ends in `/*` does not cover the path above it (`/admin/*` leaves
    /// `/admin`), and no application has that path as a destination. Not reported when
    /// the application is open to everyone, or has the same policies as the one that decides there.
    PathLeavesParentOpen = "path-leaves-parent-open" Warning,
    /// A path without wildcard ends at a segment (`/admin` is not for `/admin.html`), and what
    /// begins like it belongs to an application that is open to everyone.
    PathLeavesSiblingOpen = "path-leaves-sibling-open" Notice,
    /// A destination of all hosts below a domain (`*.example.com`) does not cover the domain
    /// itself, and no application has it.
    HostLeavesApexOpen = "host-leaves-apex-open" Warning,
    /// A path that differs from a destination's only in letter case belongs to another application
    /// with other policies, and is refused: an origin that ignores letter case would serve the
    /// destination. Also for a case-sensitive `path` under `ingress`, if the next rule
    /// for the host leads to another service. Each two applications are reported once; not where both
    /// are open to everyone.
    LetterCaseRefused = "letter-case-refused" Notice,
    /// The same, but the path is allowed, since `insecure_case_sensitive_origin` says that the
    /// origin is case-sensitive.
    LetterCaseLetThrough = "letter-case-let-through" Warning,
    /// An application allows paths that servers read in several ways, and every path of its hosts
    /// belongs to it: no reading is judged otherwise. Reported at the first of the settings. Without
    /// wildcards in hosts, and without a `path` under `ingress` for them.
    PathReadingsJudgedAlike = "path-readings-judged-alike" Notice,
    /// A destination is unreachable: it is below `/cdn-cgi/access`, which the login serves, or
    /// more specific destinations take every one of some hundred requests for it that were tried.
    DestinationUnreachable = "destination-unreachable" Warning,
    /// All destinations of an application are unreachable.
    ApplicationUnreachable = "application-unreachable" Warning,
    /// The file has `ingress`, and only its last rule, with a fixed status, matches a host of an
    /// application.
    ApplicationWithoutIngress = "application-without-ingress" Warning,
    /// No policy of an application allows anybody: it has no policy, or all of them deny.
    ApplicationAdmitsNobody = "application-admits-nobody" Warning,

    /// A policy never decides: an earlier one applies to everybody it applies to. If the earlier one
    /// denies and this one allows, it can still require a login of a user who is then refused.
    PolicyShadowed = "policy-shadowed" Warning,
    /// A policy applies to no user: everything it includes is excluded, contradicts what it requires,
    /// or never matches.
    PolicyNeverApplies = "policy-never-applies" Warning,
    /// An `allow` policy allows everybody who can log in: by `everyone`, by the one-time PIN as login
    /// method where there is no other, by a network of all addresses, or by a group of these.
    AllowAdmitsEveryone = "allow-admits-everyone" Warning,
    /// A `non_identity` policy allows everyone without a credential.
    ServiceAuthAdmitsEveryone = "service-auth-admits-everyone" Warning,
    /// An `allow` policy allows all addresses of a public mail provider.
    PublicMailDomain = "public-mail-domain" Warning,
    /// Two rules under `require` that never both match: two countries, two domains, networks
    /// apart from each other.
    ContradictoryRequire = "contradictory-require" Warning,

    /// A rule without effect: another rule of its list is the same or wider (in
    /// `require`: the same or narrower).
    RedundantRule = "redundant-rule" Warning,
    /// `everyone` beside other rules of a list of which one has to match.
    EveryoneBesideOtherRules = "everyone-beside-other-rules" Warning,
    /// A rule under `exclude` that excludes no user whom `include` admits.
    ExcludeWithoutEffect = "exclude-without-effect" Warning,
    /// A rule about service tokens in an `allow` or `deny` policy, which are about people.
    ServiceTokenInPersonPolicy = "service-token-in-person-policy" Warning,
    /// A rule of an `allow` or `deny` policy or of a group that never matches: it names a login
    /// method that does not exist or that the policy's applications do not accept, or needs what no
    /// login method reports, or not the one that it names. Under `exclude`, and in a `deny` policy,
    /// such a rule has no effect. Not reported there if the fact is unknown, which excludes everybody.
    RuleNeverMatches = "rule-never-matches" Warning,
    /// A rule under `exclude`, or in a `deny` policy, about what some login methods report and another
    /// one does not: it keeps out everybody who logs in by that one. Not reported if the rule names
    /// the login method (`identity_provider_id`).
    LoginMethodKeptOut = "login-method-kept-out" Warning,
    /// A value that is in no register, where providers may add their own: a way to prove who one is
    /// (`auth_method`) that RFC 8176 does not list, an authentication context outside `c1` to `c99`.
    /// Letter case counts.
    UnregisteredValue = "unregistered-value" Warning,
    /// A rule about a fact without a source: a country without `facts.geoip_database` or
    /// `facts.country_header`, a client certificate without `facts.certificate_headers`, a device, a
    /// level of risk.
    FactWithoutSource = "fact-without-source" Warning,
    /// An entry of a list that another entry covers.
    RedundantListEntry = "redundant-list-entry" Notice,

    /// A group that matches no user.
    GroupMatchesNobody = "group-matches-nobody" Warning,
    /// A list without entries that rules refer to.
    EmptyList = "empty-list" Warning,
    /// A group that nothing refers to.
    UnusedGroup = "unused-group" Warning,
    /// A list that nothing refers to.
    UnusedList = "unused-list" Warning,
    /// A policy under `access.policies` that no application refers to.
    UnusedPolicy = "unused-policy" Warning,

    /// A service token that has expired.
    ServiceTokenExpired = "service-token-expired" Warning,
    /// A disabled service token.
    ServiceTokenDisabled = "service-token-disabled" Notice,
    /// A service token that no rule refers to.
    ServiceTokenUnused = "service-token-unused" Warning,

    /// A host under `ingress` that no application covers: it stays closed.
    IngressWithoutApplication = "ingress-without-application" Warning,
    /// Applications cover some paths of a host under `ingress` and none covers the rest: that stays
    /// closed. Each rule of the host is reported where the path it begins with is closed; not one
    /// that answers with a fixed status, and not one whose expression begins with no certain path.
    /// At most 100 are reported.
    HostPartlyClosed = "host-partly-closed" Warning,
    /// A rule of `ingress` that is never reached.
    IngressUnreachable = "ingress-unreachable" Warning,
    /// An expression under `ingress` that can match anywhere in a path.
    IngressPathNotAnchored = "ingress-path-not-anchored" Warning,
    /// The file has the proxy listen on loopback only and trusts no proxy in front of it: all clients
    /// appear to be on this machine, and a rule about networks cannot match.
    ClientAddressAlwaysLocal = "client-address-always-local" Warning,
    /// The file has the proxy listen on a loopback or private address and omits `trusted_proxies`:
    /// all users behind a proxy in front count as one client for the login limits and for rules about
    /// networks. Not reported if nobody logs in and no rule is about networks, nor if
    /// `client-address-always-local` is.
    ProxyNotTrusted = "proxy-not-trusted" Warning,
    /// The file has the proxy listen on every address of the machine, on the public `https` port of a
    /// host, and trusts no proxy in front: this proxy itself does not support TLS. Not reported if
    /// nobody logs in.
    PublicPortServesNoTls = "public-port-serves-no-tls" Warning,
    /// The file has the proxy listen where others than this machine reach it, on another port than 80 and
    /// 443, and omits both `trusted_proxies` and `public_port`: possibly nothing serves port 443, where
    /// users are redirected to log in. Not reported if nobody logs in, or all hosts are `localhost`.
    PublicPortNotSet = "public-port-not-set" Notice,
    /// A very large network of trusted proxies.
    TrustedProxiesTooWide = "trusted-proxies-too-wide" Warning,

    /// A setting that weakens a default.
    WeakenedDefault = "weakened-default" Warning,
    /// A setting that is probably unintended.
    SurprisingSetting = "surprising-setting" Warning,
    /// A key that is understood and changes nothing.
    NoEffect = "no-effect" Notice,

    /// An entry of `lint.allow` that matches no finding.
    SuppressionUnused = "suppression-unused" Warning,
    /// An entry of `lint.allow` that matches several findings; it suppresses none of them.
    SuppressionAmbiguous = "suppression-ambiguous" Warning,
    /// The file is so large that not everything was compared with everything.
    CheckIncomplete = "check-incomplete" Notice,
}

impl LintKind {
    /// Whether `lint.allow` can name it.
    pub(super) fn can_be_allowed(self) -> bool {
        !matches!(
            self,
            Self::Invalid
                | Self::CannotBeRun
                | Self::SuppressionUnused
                | Self::SuppressionAmbiguous
        )
    }
}

impl fmt::Display for LintKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for LintKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
