//! The login methods of a file, and those that rules name, held against them.

use crate::login::{MethodSettings, OneTimePin};
use crate::policy::{Definitions, KeepsOut, Policy, Rule, RuleHolder, rules_that_keep_out};
use crate::util::suggest::closest;

use super::error::NoteKind;
use super::parts::Parts;
use super::reader::{Place, Reader};
use super::settings::{OneTimePinConfig, Role};

impl Role {
    /// Returns the login methods; `None` where others run the login.
    pub(crate) fn login_methods(&self) -> Option<MethodSettings> {
        match self {
            Self::Issuing { one_time_pin, .. } => Some(MethodSettings::new(one_time_pin.into())),
            Self::Verifying { .. } => None,
        }
    }
}

impl From<&OneTimePinConfig> for OneTimePin {
    fn from(config: &OneTimePinConfig) -> Self {
        let OneTimePinConfig { id, expires_in, attempts, digits, limits } = config.clone();
        Self::new().id(id).expires_in(expires_in).attempts(attempts).digits(digits).limits(limits)
    }
}

/// Reports rules about a login method that does not exist where such a rule keeps people out: it
/// keeps out nobody. Where it lets people in it is a finding of `check` alone.
///
/// An error where the one that exists was meant. Others are what files from elsewhere name: nobody
/// comes in by them here, and they are noted.
pub(super) fn check(
    reader: &mut Reader,
    written: &Parts<'_, '_>,
    definitions: &Definitions,
    known: &[&str],
) {
    let inline = written.applications.iter().flat_map(|read| &read.policies);
    let inline = inline.map(|(place, policy)| (place, policy));
    let reusable = written.reusable.policies.iter();
    let reusable = reusable.filter_map(|(place, policy)| Some((place, policy.as_ref()?)));
    // What an application links to is reported where it is written.
    let policies: Vec<(&Place<'_>, &Policy)> =
        inline.filter(|(place, _)| place.get("decision").is_some()).chain(reusable).collect();
    let groups: Vec<&Place<'_>> =
        written.groups.iter().filter_map(|(place, group)| group.as_ref().map(|_| place)).collect();
    let is_unknown = |rule: &Rule| matches!(rule, Rule::LoginMethod(id) if !known.contains(&&**id));
    let rules = policies.iter().map(|(_, policy)| *policy);
    for KeepsOut { holder, list, number, rule } in
        rules_that_keep_out(rules, definitions, is_unknown)
    {
        let place = match holder {
            RuleHolder::Policy(number) => policies.get(number).map(|(place, _)| *place),
            RuleHolder::Group(number) => groups.get(number).copied(),
        };
        let place = place.and_then(|place| place.get(list.as_str())?.items().nth(number));
        let id = place.and_then(|rule| rule.get("login_method")?.get("id"));
        let (Some(at), Rule::LoginMethod(text)) = (id, rule) else { continue };
        let shown: String = text.chars().take(80).collect();
        let message = format!("there is no login method `{shown}`, and the rule keeps nobody out");
        let meant = closest(text, known.iter().copied().chain([ONE_TIME_PIN]));
        if meant.is_some() {
            let known = known.join("` or `");
            reader.error(&at, format_args!("{message}; did you mean `{known}`?"));
        } else {
            let known = known.join("` and `");
            let only = format_args!("{message}; there is only `{known}`, take the rule out");
            reader.note(NoteKind::Surprises, &at, only);
        }
    }
}

/// What the one-time PIN is called by default.
const ONE_TIME_PIN: &str = "onetimepin";
