//! The effect of a change of the configuration on access.
//!
//! Both files are divided into patterns that belong to one application in each (`places`). For each
//! pair of applications all requests are grouped into classes that no policy of the two can
//! distinguish (`reach`, `atoms`, `networks`, `space`). One request of each class is decided by both
//! files (`judge`, `table`), by the policies as they are enforced. The changes are combined into few
//! sentences (`describe`, `sentence`).

mod atoms;
mod axis;
mod describe;
mod judge;
mod networks;
mod places;
mod reach;
mod report;
mod requesters;
mod sentence;
mod space;
mod table;
mod text;
mod tokens;
mod trust;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::application::setting::{DiffRule, SETTINGS};
use crate::application::{ApplicationId, CompiledApplication};
use crate::clock::Timestamp;
use crate::policy::Verdict;

pub use self::report::{
    ApplicationChange, ApplicationRef, ChangedApplication, ChangedServiceToken, Condition,
    DestinationDiff, DiffReport, Effect, MovedDestination, RequestOutcome, Requesters, Statement,
    TokenChange, Undecided, Witness,
};

use self::atoms::Atoms;
use self::judge::{Side, Surroundings};
use self::places::{Pair, Partition, PatternSample};
use self::reach::Reach;
use self::space::Space;
use self::table::{Cube, Table};
use super::Deployment;

/// Returns the effect of a change of the configuration: who gains or loses access, and where.
///
/// ```
/// use tower_access::clock::Timestamp;
/// use tower_access::inspect::{Deployment, diff};
///
/// let file = |people: &str| Deployment::parse(
///     &format!("
/// access:
///   mail: console
///   applications:
///     - name: Wiki
///       domain: wiki.example.com
///       policies:
///         - {{ name: Staff, decision: allow, include: [ {people} ] }}
/// "),
///     "access.yml",
/// );
/// let old = file("{ email: { email: ada@example.com } }")?;
/// let new = file("{ email_domain: { domain: example.com } }")?;
/// let report = diff(&old, &new, Timestamp::from_unix_seconds(1_790_000_000));
/// let statement = &report.places[0].statements[0];
/// assert_eq!(statement.text, "everybody in example.com except ada@example.com gains access");
/// assert_eq!(
///     statement.witness.arguments,
///     "--url https://wiki.example.com/ --email someone@example.com"
/// );
/// # Ok::<(), tower_access::config::ConfigErrors>(())
/// ```
///
/// # What is complete
///
/// The requests are those that a [`Question`](crate::engine::explain::Question) can express. Among
/// them, every difference is in some statement, every statement is true of every request it is about,
/// and its witness shows it, with the exceptions listed in `undecided`:
///
/// - more combinations of requester and source than can be compared (200,000 for two applications,
///   five million in total): some are compared;
/// - two patterns with wildcards, each of which covers something that the other does not, if no request
///   was found that belongs to both;
/// - requests that questions cannot express: a name that stands for groups of two kinds of identity
///   provider, an encoded slash in a path.
///
/// Trust (the issuer, trusted proxies, sources of facts, audiences, evaluators' keys) is not a policy:
/// differences there are listed in `undecided`.
///
/// Service tokens are valid or not as of `now`. Settings that do not affect decisions are not compared:
/// lifetimes of sessions, cookies, texts, origins.
#[must_use]
pub fn diff(old: &Deployment, new: &Deployment, now: Timestamp) -> DiffReport {
    let mut comparison = Comparison {
        old,
        new,
        now,
        cells: MAX_TOTAL_CELLS,
        statements: 0,
        report: DiffReport {
            version: 1,
            old: old.file().to_owned(),
            new: new.file().to_owned(),
            applications: changed_applications(old, new),
            moved: Vec::new(),
            service_tokens: tokens::changed(old, new),
            places: Vec::new(),
            more: 0,
            undecided: trust::changed(old, new),
        },
    };
    comparison.run(places::partition(old.directory(), new.directory()));
    comparison.report
}

struct Comparison<'a> {
    old: &'a Deployment,
    new: &'a Deployment,
    now: Timestamp,
    /// How many more cells may be compared.
    cells: usize,
    /// How many statements there are.
    statements: usize,
    report: DiffReport,
}

impl<'a> Comparison<'a> {
    fn run(&mut self, partition: Partition) {
        let Partition { pairs, unknown, is_cut_short } = partition;
        for pair in &pairs {
            self.pair(pair);
        }
        for (old, new, patterns) in unknown {
            let (old, new) = (find(self.old, Some(old)), find(self.new, Some(new)));
            if !self.decide_alike(old, new) {
                let reason = format!(
                    "no request was found that belongs to {patterns}, the first in the old file \
                     and the second in the new one; there may be one"
                );
                self.undecided([old, new], reason);
            }
        }
        if is_cut_short && !self.is_same() {
            let reason = "there are too many patterns with wildcards to compare each with each: \
                          differences may be missing";
            self.undecided([None, None], reason.to_owned());
        }
        report::deduplicate(&mut self.report.undecided);
        self.report.undecided.truncate(MAX_STATEMENTS);
    }

    /// Whether both files have the same applications at the same destinations, which decide alike.
    fn is_same(&self) -> bool {
        let known = |deployment: &'a Deployment| {
            let all = deployment.directory().router().destinations();
            all.map(move |(destination, id)| (destination, find(deployment, Some(*id))))
        };
        known(self.old).count() == known(self.new).count()
            && known(self.old).zip(known(self.new)).all(|((one, old), (two, new))| {
                one == two && reference(old) == reference(new) && self.decide_alike(old, new)
            })
    }

    fn pair(&mut self, pair: &Pair) {
        let old = find(self.old, pair.old);
        let new = find(self.new, pair.new);
        if reference(old).map(|one| one.id) != reference(new).map(|one| one.id) {
            for PatternSample { pattern, url } in &pair.places {
                self.moved(pattern, url, old, new);
            }
        }
        if self.decide_alike(old, new) {
            return;
        }
        let mut statements = Vec::new();
        if let Some(place) = pair.places.first() {
            statements = self.compare(old, new, &place.url);
        }
        if !statements.is_empty() {
            let patterns = pair.places.iter().map(|place| place.pattern.clone());
            let patterns: BTreeSet<String> = patterns.collect();
            self.report.places.push(DestinationDiff {
                old: reference(old),
                new: reference(new),
                places: patterns.into_iter().take(MAX_PLACES).collect(),
                statements,
            });
        }
    }

    fn moved(
        &mut self,
        pattern: &str,
        url: &str,
        old: Option<&CompiledApplication>,
        new: Option<&CompiledApplication>,
    ) {
        if self.report.moved.len() >= MAX_STATEMENTS {
            self.report.more += 1;
            return;
        }
        self.report.moved.push(MovedDestination {
            place: pattern.to_owned(),
            url: url.to_owned(),
            old: reference(old),
            new: reference(new),
        });
    }

    /// Whether nothing that affects decisions differs.
    fn decide_alike(
        &self,
        old: Option<&'a CompiledApplication>,
        new: Option<&'a CompiledApplication>,
    ) -> bool {
        let (Some(one), Some(two)) = (old, new) else { return old.is_none() && new.is_none() };
        SETTINGS.iter().all(|setting| setting.decides_alike(&one.application, &two.application))
            && Reach::new(&one.policies) == Reach::new(&two.policies)
            && self.old.usual_login() == self.new.usual_login()
            && self.tokens_are_alike()
            && Side::new(self.old, old, self.now).linked_applications()
                == Side::new(self.new, new, self.now).linked_applications()
    }

    fn tokens_are_alike(&self) -> bool {
        let known = |deployment: &Deployment| -> BTreeSet<(String, String, String, bool)> {
            let tokens = deployment.config().access.service_tokens.iter();
            tokens
                .map(|token| {
                    let (client_id, name) = (token.client_id.to_string(), token.name.to_string());
                    (client_id, token.token_id().to_owned(), name, token.is_valid(self.now))
                })
                .collect()
        };
        known(self.old) == known(self.new)
    }

    /// Returns the changes between two applications, with requests for a URL of both.
    fn compare(
        &mut self,
        old: Option<&'a CompiledApplication>,
        new: Option<&'a CompiledApplication>,
        url: &str,
    ) -> Vec<Statement> {
        let sides = [Side::new(self.old, old, self.now), Side::new(self.new, new, self.now)];
        let reaches =
            [old, new].map(|one| one.map_or_else(Reach::default, |one| Reach::new(&one.policies)));
        let [of_old, of_new] = &reaches;
        let mut atoms = Atoms::new([of_old, of_new]);
        for side in &sides {
            atoms.allow_login_methods(side.allowed_login_methods());
        }
        let space = Space::new(&atoms, &sides);
        for reason in not_compared(&atoms, &sides) {
            self.undecided([old, new], reason);
        }
        let known_as = describe::known_as([of_old, of_new]);
        let services: BTreeMap<&str, &str> = space.service_names().collect();
        let choices = table::choices(&space, MAX_CELLS.min(self.cells));
        if choices.len() > 1 {
            let all = space.axes.iter().fold(1_f64, |all, axis| all * axis.len() as f64);
            let some: usize = choices.iter().map(|choice| table::size(choice)).sum();
            let reason = format!(
                "{all:.0} combinations of requester and source are too many: {some} were compared"
            );
            self.undecided([old, new], reason);
        }
        let mut statements: Vec<Statement> = Vec::new();
        for choice in &choices {
            let size = table::size(choice);
            if size > self.cells {
                self.undecided(
                    [old, new],
                    "the limit of comparisons was reached before".to_owned(),
                );
                break;
            }
            self.cells -= size;
            let table = Table::new(&space, &sides, choice);
            let (cubes, has_more) = table.cubes(MAX_STATEMENTS);
            if has_more {
                let reason = format!("more than {MAX_STATEMENTS} statements");
                self.undecided([old, new], reason);
            }
            for cube in &cubes {
                let statement = state(&space, &sides, cube, &known_as, &services, url);
                if statements.contains(&statement) {
                    continue;
                }
                if self.statements >= MAX_STATEMENTS {
                    self.report.more += 1;
                    continue;
                }
                self.statements += 1;
                statements.push(statement);
            }
        }
        statements.sort_by_key(|statement| match statement.effect {
            Effect::Gains => 0,
            Effect::Loses => 1,
            Effect::Changes => 2,
        });
        statements
    }

    fn undecided(&mut self, applications: [Option<&CompiledApplication>; 2], reason: String) {
        let names: BTreeSet<Box<str>> =
            applications.into_iter().flatten().map(|one| one.application.name.clone()).collect();
        let applications = names.into_iter().collect();
        self.report.undecided.push(Undecided { applications, reason });
    }
}

fn state(
    space: &Space,
    [old, new]: &[Side<'_>; 2],
    cube: &Cube,
    known_as: &[describe::Named],
    services: &BTreeMap<&str, &str>,
    url: &str,
) -> Statement {
    let mut who = space.who(cube, known_as);
    let mut when = space.conditions(cube);
    let text = sentence::sentence(&who, cube.change, &when, services);
    who.shorten();
    when.iter_mut().for_each(Condition::shorten);
    let (question, _) = space.witness(cube, url);
    let surroundings = Surroundings::new(question.request.clone());
    let decided = |side: &Side<'_>| {
        let subject = side.subject(&question.identity);
        RequestOutcome::from(&side.verdict(&subject, &surroundings))
    };
    let (old, new) = (decided(old), decided(new));
    let arguments = question.to_string();
    let witness = Witness { question, arguments, old, new };
    Statement { effect: cube.change.effect(), text, who, when, witness }
}

impl From<&Verdict> for RequestOutcome {
    fn from(verdict: &Verdict) -> Self {
        Self {
            outcome: verdict.outcome(),
            id: verdict.id(),
            policy: verdict.policy().map(|policy| policy.name().into()),
        }
    }
}

/// Returns the differences between requests that questions cannot express.
fn not_compared(atoms: &Atoms<'_>, sides: &[Side<'_>; 2]) -> Vec<String> {
    let mut reasons = atoms.inexpressible_facts();
    let applications = || sides.iter().filter_map(|side| side.protected);
    for setting in SETTINGS.iter().filter(|it| it.diff == DiffRule::PathsNotCompared) {
        if applications().any(|one| setting.is_on(&one.application) == Some(true)) {
            reasons.push(format!("paths that only `{}` allows were not compared", setting.key));
        }
    }
    reasons
}

fn changed_applications(old: &Deployment, new: &Deployment) -> Vec<ChangedApplication> {
    let known = |deployment: &Deployment| -> BTreeMap<Box<str>, Box<str>> {
        let applications = deployment.config().access.applications.iter();
        applications.map(|one| (one.id.clone(), one.name.clone())).collect()
    };
    let (of_old, of_new) = (known(old), known(new));
    let alone =
        |one: &BTreeMap<Box<str>, Box<str>>, other: &BTreeMap<Box<str>, Box<str>>, change| {
            let missing = one.iter().filter(|(id, _)| !other.contains_key(*id));
            let changed = missing.map(|(id, name)| ChangedApplication {
                application: ApplicationRef { id: id.clone(), name: name.clone() },
                change,
            });
            changed.collect::<Vec<_>>()
        };
    let mut all = alone(&of_old, &of_new, ApplicationChange::Removed);
    all.extend(alone(&of_new, &of_old, ApplicationChange::Added));
    all
}

fn find(deployment: &Deployment, id: Option<ApplicationId>) -> Option<&CompiledApplication> {
    deployment.directory().get(id?).map(Arc::as_ref)
}

fn reference(protected: Option<&CompiledApplication>) -> Option<ApplicationRef> {
    let application = &protected?.application;
    Some(ApplicationRef { id: application.id.clone(), name: application.name.clone() })
}

/// For one pair of applications.
const MAX_CELLS: usize = 200_000;
const MAX_TOTAL_CELLS: usize = 5_000_000;
const MAX_STATEMENTS: usize = 1_000;
/// Patterns that are listed for one pair of applications.
const MAX_PLACES: usize = 100;
