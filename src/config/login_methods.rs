//! Login methods that rules name, held against those there are.

use crate::policy::{Definitions, KeepsOut, Policy, Rule, RuleHolder, rules_that_keep_out};
use crate::suggest::closest;

use super::cross::Written;
use super::reader::{Place, Reader};

/// Reports rules about a login method that does not exist where such a rule keeps people out: it
/// would keep out nobody. Where it lets people in it is a finding of `check`.
pub(super) fn check(
    reader: &mut Reader,
    written: &Written<'_, '_>,
    definitions: &Definitions,
    known: &str,
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
    let is_unknown = |rule: &Rule| matches!(rule, Rule::LoginMethod(id) if **id != *known);
    let rules = policies.iter().map(|(_, policy)| *policy);
    for KeepsOut { holder, list, number, rule } in
        rules_that_keep_out(rules, definitions, is_unknown)
    {
        let place = match holder {
            RuleHolder::Policy(number) => policies.get(number).map(|(place, _)| *place),
            RuleHolder::Group(number) => groups.get(number).copied(),
        };
        let place = place.and_then(|place| place.get(list)?.items().nth(number));
        let id = place.and_then(|rule| rule.get("login_method")?.get("id"));
        let (Some(at), Rule::LoginMethod(text)) = (id, rule) else { continue };
        let hint = match closest(text, [known]) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("there is only `{known}`; take the rule out"),
        };
        let shown: String = text.chars().take(80).collect();
        reader.error(
            &at,
            format_args!(
                "there is no login method `{shown}`, and the rule would keep nobody out; {hint}"
            ),
        );
    }
}
