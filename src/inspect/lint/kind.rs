//! The kinds of findings there are.

use std::fmt;

use serde::{Serialize, Serializer};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// The file is refused, or what it says cannot be carried out.
    Error,
    /// It opens more, or less, than it seems to.
    Warning,
    /// Worth knowing.
    Notice,
}

impl Severity {
    /// Its name, in JSON and in text.
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
        /// Displayed, and in JSON, by their ids, which stay as they are.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum LintKind {
            $($(#[$doc])* #[doc = concat!("\n\nId: `", $id, "`.")] $name,)*
        }

        impl LintKind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The id.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// How grave findings of this kind are.
            #[must_use]
            #[allow(clippy::match_same_arms, reason = "one line for each kind")]
            pub fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    /// The file is wrong and refused.
    Invalid = "invalid" Error,
    /// The file is right, but something it names cannot be used: a certificate, a password file.
    CannotBeRun = "cannot-be-run" Error,

    /// A destination that ends in `/*` does not cover the path above it (`/admin/*` leaves
    /// `/admin`), and no application has that path for a destination of its own. Not reported when
    /// the application is open to everyone, or has the same policies as the one that decides there.
    PathLeavesParentOpen = "path-leaves-parent-open" Warning,
    /// A path without wildcard ends at a segment (`/admin` is not for `/admin.html`), and what
    /// begins like it belongs to an application that is open to everyone.
    PathLeavesSiblingOpen = "path-leaves-sibling-open" Notice,
    /// A destination of all hosts below a domain (`*.example.com`) does not cover the domain
    /// itself, and no application has it.
    HostLeavesApexOpen = "host-leaves-apex-open" Warning,
    /// A path that differs from a destination's in letter case alone belongs to another application
    /// with other policies, and is refused: an origin that ignores letter case would serve the
    /// destination. Also of a `path` under `ingress` that tells letter case apart, where the next rule
    /// for the host leads to another service. Each two applications are reported once; not where both
    /// are open to everyone.
    LetterCaseRefused = "letter-case-refused" Notice,
    /// The same, but the path is let through, since `insecure_case_sensitive_origin` says that the
    /// origin tells letter case apart.
    LetterCaseLetThrough = "letter-case-let-through" Warning,
    /// An application allows paths that servers read in several ways, and every path of its hosts
    /// belongs to it: no reading is judged otherwise. Reported at the first of the settings. Without
    /// wildcards in hosts, and without a `path` under `ingress` for them.
    PathReadingsJudgedAlike = "path-readings-judged-alike" Notice,
    /// Nobody gets to a destination: it is below `/cdn-cgi/access`, which the login answers, or
    /// more specific destinations take every one of some hundred requests for it that were tried.
    DestinationUnreachable = "destination-unreachable" Warning,
    /// Nobody gets to any of an application's destinations.
    ApplicationUnreachable = "application-unreachable" Warning,
    /// The file has `ingress`, and requests for a host of an application are answered with a fixed
    /// status by its last rule alone.
    ApplicationWithoutIngress = "application-without-ingress" Warning,
    /// No policy of an application lets anybody in: there is none, or all of them deny.
    ApplicationAdmitsNobody = "application-admits-nobody" Warning,

    /// A policy never decides: an earlier one applies to everybody it applies to. When the earlier
    /// one denies and this one allows, it can still make somebody log in who is then refused.
    PolicyShadowed = "policy-shadowed" Warning,
    /// A policy applies to nobody: what it includes it excludes as well, or is not what it
    /// requires, or matches nobody.
    PolicyNeverApplies = "policy-never-applies" Warning,
    /// An `allow` policy lets in whoever can log in: by `everyone`, by the one-time PIN as login
    /// method where there is no other, by a network of all addresses, or by a group of these.
    AllowAdmitsEveryone = "allow-admits-everyone" Warning,
    /// A `non_identity` policy lets everyone in, without any proof.
    ServiceAuthAdmitsEveryone = "service-auth-admits-everyone" Warning,
    /// An `allow` policy is for all addresses of a provider where anybody can have one.
    PublicMailDomain = "public-mail-domain" Warning,
    /// Two rules under `require` that can never both hold: two countries, two domains, networks
    /// apart from each other.
    ContradictoryRequire = "contradictory-require" Warning,

    /// A rule that makes no difference, for another one of its list says the same or more (in
    /// `require`: the same or less).
    RedundantRule = "redundant-rule" Warning,
    /// `everyone` stands beside other rules of a list of which one has to hold.
    EveryoneBesideOtherRules = "everyone-beside-other-rules" Warning,
    /// A rule under `exclude` that excludes nobody whom `include` lets through.
    ExcludeWithoutEffect = "exclude-without-effect" Warning,
    /// A rule about service tokens in an `allow` or `deny` policy, which are about people.
    ServiceTokenInPersonPolicy = "service-token-in-person-policy" Warning,
    /// A rule of an `allow` or `deny` policy or of a group that nobody can meet: it names a login
    /// method that does not exist, or asks for what a one-time PIN, the only way to log in, does not
    /// tell. Under `exclude`, and in a `deny` policy, such a rule keeps nobody out. Not reported
    /// there where the answer is unknown, which keeps everybody out.
    RuleNeverMatches = "rule-never-matches" Warning,
    /// A value that is in no register, where providers may add their own: a way to prove who one is
    /// (`auth_method`) that RFC 8176 does not list, an authentication context that is none of `c1`
    /// to `c99`. Letter case counts.
    UnregisteredValue = "unregistered-value" Warning,
    /// A rule about a fact that nothing tells the proxy: a country without `facts.geoip_database` or
    /// `facts.country_header`, a client certificate without `facts.certificate_headers`, a device, a
    /// level of risk.
    FactWithoutSource = "fact-without-source" Warning,
    /// An entry of a list that another entry covers.
    RedundantListEntry = "redundant-list-entry" Notice,

    /// A group that matches nobody.
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
    /// A service token that is switched off.
    ServiceTokenDisabled = "service-token-disabled" Notice,
    /// A service token that no rule asks for.
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
    /// An expression under `ingress` that is found anywhere in a path.
    IngressPathNotAnchored = "ingress-path-not-anchored" Warning,
    /// The file has the proxy listen on this machine alone and trusts no proxy in front of it: all
    /// clients seem to be on this machine, and a rule about networks cannot match.
    ClientAddressAlwaysLocal = "client-address-always-local" Warning,
    /// The file has the proxy listen on a loopback or private address and says nothing of trusted
    /// proxies: somebody in front asks for all people, who count as one client for the limits of the
    /// login and for rules about networks. Not reported where nobody logs in and no rule is about
    /// networks, nor where `client-address-always-local` is.
    ProxyNotTrusted = "proxy-not-trusted" Warning,
    /// The file has the proxy listen on every address of the machine, on the very port under which
    /// people reach a host by `https`, and trusts no proxy in front: this proxy itself speaks no TLS.
    /// Not reported where nobody logs in.
    PublicPortServesNoTls = "public-port-serves-no-tls" Warning,
    /// The file has the proxy listen where others than this machine reach it, on another port than 80 and
    /// 443, says nothing of trusted proxies and sets no public port: it is not known that anybody
    /// answers on port 443, where people are sent to log in. Not reported where nobody logs in, or all
    /// hosts are `localhost`.
    PublicPortNotSet = "public-port-not-set" Notice,
    /// A very large network of trusted proxies.
    TrustedProxiesTooWide = "trusted-proxies-too-wide" Warning,

    /// A setting that weakens a default.
    WeakenedDefault = "weakened-default" Warning,
    /// A setting that may not be meant.
    SurprisingSetting = "surprising-setting" Warning,
    /// A key that is understood and changes nothing.
    NoEffect = "no-effect" Notice,

    /// An entry of `lint.allow` that stands for no finding.
    SuppressionUnused = "suppression-unused" Warning,
    /// An entry of `lint.allow` that stands for several findings; it suppresses none of them.
    SuppressionAmbiguous = "suppression-ambiguous" Warning,
    /// The file is so large that not everything was compared with everything.
    CheckIncomplete = "check-incomplete" Notice,
}

impl LintKind {
    /// Whether an entry of `lint.allow` can stand for it.
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
