//! `tests` of a file: the expected decisions, compared with the actual ones.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::ExpectedVerdict;
use crate::engine::explain::RequestExplanation;

use super::deployment::Deployment;

/// The results of all `tests` of a file.
///
/// In JSON (a stable format) the fields have the same names. `Display` writes it as text.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SuiteReport {
    /// The format version.
    pub version: u32,
    /// The file.
    pub file: String,
    /// The number of passed tests.
    pub passed: usize,
    /// The number of failed tests.
    pub failed: usize,
    /// All tests, in the order of the file.
    pub tests: Vec<TestReport>,
}

/// The result of one test.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// The line where it begins.
    pub line: u64,
    /// Whether the decision is the expected one.
    pub passed: bool,
    /// The differences; empty if it passed.
    pub differences: Vec<Difference>,
    /// The actual decision, with its explanation.
    pub actual: RequestExplanation,
}

/// A difference between the expected and the actual decision.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// `outcome`, `policy` or `application`.
    pub of: &'static str,
    /// The expected value.
    pub expected: String,
    /// The actual value, or `none`.
    pub actual: String,
}

impl Deployment {
    /// Runs all `tests` of the file, with the policies as they would be enforced.
    #[must_use]
    pub fn run_tests(&self, now: Timestamp) -> SuiteReport {
        let tests: Vec<TestReport> =
            self.config().tests.iter().map(|test| self.run_test(test, now)).collect();
        let passed = tests.iter().filter(|test| test.passed).count();
        SuiteReport {
            version: 1,
            file: self.file().to_owned(),
            passed,
            failed: tests.len() - passed,
            tests,
        }
    }

    fn run_test(&self, test: &ExpectedVerdict, now: Timestamp) -> TestReport {
        let actual = self.explain(&test.question, now);
        let mut differences = Vec::new();
        let mut hold = |of, expected: &str, names: [&str; 2]| {
            if !names.contains(&expected) {
                let [actual, _] = names.map(str::to_owned);
                differences.push(Difference { of, expected: expected.to_owned(), actual });
            }
        };
        hold("outcome", test.outcome.as_str(), [actual.outcome.as_str(); 2]);
        if let Some(expected) = &test.application {
            let names = actual.application.as_ref().map(|chosen| [&*chosen.name, &*chosen.id]);
            hold("application", expected, names.unwrap_or([NONE; 2]));
        }
        if let Some(expected) = &test.policy {
            let names = actual.deciding_policy().map(|policy| [&*policy.name, &*policy.id]);
            hold("policy", expected, names.unwrap_or([NONE; 2]));
        }
        TestReport {
            name: test.name.clone(),
            line: test.location.line,
            passed: differences.is_empty(),
            differences,
            actual,
        }
    }
}

impl SuiteReport {
    /// Whether there are tests and all passed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }
}

impl fmt::Display for SuiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for test in &self.tests {
            if test.passed {
                writeln!(f, "pass {}", test.name)?;
            } else {
                writeln!(f, "FAIL {} ({}:{})", test.name, self.file, test.line)?;
                write!(f, "{}", test.details())?;
            }
        }
        let Self { passed, failed, .. } = self;
        writeln!(f, "{passed} passed, {failed} failed")?;
        if self.tests.is_empty() {
            writeln!(
                f,
                "{}: has no `tests`, so nothing was tested; add the expected decisions under `tests`",
                self.file
            )?;
        }
        Ok(())
    }
}

impl TestReport {
    /// Returns the expected and the actual values, with the explanation.
    pub(super) fn details(&self) -> String {
        let mut text = String::new();
        for Difference { of, expected, actual } in &self.differences {
            text.push_str(&format!("  - {of}: {expected}\n  + {of}: {actual}\n"));
        }
        for line in self.actual.to_string().lines().filter(|line| !line.is_empty()) {
            text.push_str(&format!("    {line}\n"));
        }
        text
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, expected, actual } = self;
        write!(f, "{of}: expected {expected}, is {actual}")
    }
}

/// The text for an absent policy or application.
const NONE: &str = "none";
