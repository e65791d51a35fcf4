//! The report of `check` about a file.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::clock::Timestamp;
use crate::config::{Config, ConfigErrors, Problem, SourceMap};
use crate::inspect::Deployment;

use super::finding::{Finding, FindingSubject};
use super::kind::{LintKind, Severity};
use super::notes::split;
use super::subject::Subject;
use super::summary::ConfigSummary;
use super::{
    closed_paths, definitions, destinations, facts, ingress, notes, policies, public_port,
    readings, registered, rules, spellings, suppress, tokens,
};

/// Reads a file, and reports its meaning and its possible mistakes.
///
/// # Errors
///
/// Everything that is wrong with the file; see [`Config::load`]. They have the form of a report in
/// JSON.
pub fn check(path: impl AsRef<Path>, now: Timestamp) -> Result<CheckReport, ConfigErrors> {
    let path = path.as_ref();
    let (config, places) = Config::load_with_places(path)?;
    CheckReport::new(config, &places, &path.display().to_string(), now)
}

/// As [`check`], for the text of a file. `file` is its name in findings.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn check_text(text: &str, file: &str, now: Timestamp) -> Result<CheckReport, ConfigErrors> {
    let (config, places) = Config::parse_with_places(text, file)?;
    CheckReport::new(config, &places, file, now)
}

/// A summary of a file, with the findings about it.
///
/// Displayed as text: a line for each finding, then the summary. In JSON as the
/// documentation of [`lint`](crate::inspect::lint) shows.
#[derive(Clone, Debug)]
pub struct CheckReport {
    file: String,
    config: Config,
    findings: Vec<Finding>,
    meaning: ConfigSummary,
}

impl CheckReport {
    fn new(
        config: Config,
        places: &SourceMap,
        file: &str,
        now: Timestamp,
    ) -> Result<Self, ConfigErrors> {
        let deployment = Deployment::new(config, file)?;
        let subject = Subject::new(&deployment, places, now);
        destinations::lint(&subject);
        rules::lint(&subject);
        registered::lint(&subject);
        facts::lint(&subject);
        policies::lint(&subject);
        definitions::lint(&subject);
        tokens::lint(&subject);
        ingress::lint(&subject);
        closed_paths::lint(&subject);
        public_port::lint(&subject);
        spellings::lint(&subject);
        readings::lint(&subject);
        notes::lint(&subject);
        let mut findings = subject.into_findings();
        suppress::apply(file, &deployment.config().lint, &mut findings);
        findings.sort_by_key(|finding| (finding.line, finding.column));
        let meaning = ConfigSummary::new(deployment.config());
        Ok(Self { file: file.to_owned(), config: deployment.into_config(), findings, meaning })
    }

    /// Returns the findings, in the order of the file.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns whether the file passes: every finding above a notice is allowed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.findings.iter().any(Finding::counts)
    }

    /// Returns the summary of the file.
    #[must_use]
    pub fn summary(&self) -> &ConfigSummary {
        &self.meaning
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the configuration by value.
    #[must_use]
    pub fn into_config(self) -> Config {
        self.config
    }

    /// Adds the finding that the configuration cannot be run, with the reason.
    #[must_use]
    pub fn with_build_error(mut self, why: impl fmt::Display) -> Self {
        self.findings.insert(0, whole_file(&self.file, LintKind::CannotBeRun, &why.to_string()));
        self
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (meant, found): (Vec<_>, Vec<_>) =
            self.findings.iter().partition(|finding| finding.suppressed.is_some());
        found.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        if !found.is_empty() {
            writeln!(f)?;
        }
        let count = found.iter().filter(|finding| finding.counts()).count();
        match count {
            0 => writeln!(f, "OK {}", self.file)?,
            1 => writeln!(f, "1 finding in {}", self.file)?,
            count => writeln!(f, "{count} findings in {}", self.file)?,
        }
        write!(f, "{}", self.meaning)?;
        if !meant.is_empty() {
            writeln!(f, "\nmeant to be so:")?;
        }
        meant.iter().try_for_each(|finding| writeln!(f, "  {finding}"))
    }
}

impl Serialize for CheckReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, &self.file, &self.findings, Some(&self.meaning))
    }
}

/// As [`check`](crate::inspect::check) reports a file that is refused.
impl Serialize for ConfigErrors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(serializer, self.file(), &self.findings(), None)
    }
}

impl ConfigErrors {
    /// The errors as findings: displayed with their severity, as [`check`](crate::inspect::check)
    /// displays all that it finds.
    ///
    /// ```
    /// use tower_access::config::Config;
    ///
    /// let errors = Config::parse("acces: {}\n", "access.yml").unwrap_err();
    /// let finding = errors.findings().remove(0).to_string();
    /// assert_eq!(
    ///     finding,
    ///     "access.yml:1:1: error: acces: unknown key; did you mean `access`? [invalid]"
    /// );
    /// ```
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.iter().map(|problem| problem_finding(self.file(), problem)).collect()
    }
}

fn serialize<S: Serializer>(
    serializer: S,
    file: &str,
    findings: &[Finding],
    meaning: Option<&ConfigSummary>,
) -> Result<S::Ok, S::Error> {
    let mut report = serializer.serialize_struct("CheckReport", 6)?;
    report.serialize_field("version", &VERSION)?;
    report.serialize_field("file", file)?;
    report.serialize_field("valid", &meaning.is_some())?;
    report.serialize_field("summary", &FindingCounts::new(findings))?;
    report.serialize_field("findings", findings)?;
    report.serialize_field("meaning", &meaning)?;
    report.end()
}

#[derive(Serialize)]
struct FindingCounts {
    errors: usize,
    warnings: usize,
    notices: usize,
    suppressed: usize,
}

impl FindingCounts {
    fn new(findings: &[Finding]) -> Self {
        let of = |severity| {
            let is_it = |one: &&Finding| one.severity == severity && one.suppressed.is_none();
            findings.iter().filter(is_it).count()
        };
        Self {
            errors: of(Severity::Error),
            warnings: of(Severity::Warning),
            notices: of(Severity::Notice),
            suppressed: findings.iter().filter(|one| one.suppressed.is_some()).count(),
        }
    }
}

fn problem_finding(file: &str, problem: &Problem) -> Finding {
    let location = problem.location();
    Finding {
        line: location.map(|location| location.line),
        column: location.map(|location| location.column),
        key: problem.key().to_owned(),
        ..whole_file(file, LintKind::Invalid, problem.message())
    }
}

fn whole_file(file: &str, kind: LintKind, message: &str) -> Finding {
    let (message, fix) = split(message);
    Finding {
        id: kind,
        severity: kind.severity(),
        file: file.to_owned(),
        line: None,
        column: None,
        key: String::new(),
        message: message.to_owned(),
        fix: fix.map(str::to_owned),
        subject: FindingSubject::default(),
        suppressed: None,
    }
}

/// The version of the JSON format.
const VERSION: u32 = 1;
