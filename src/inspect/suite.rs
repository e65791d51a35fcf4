//! `tests` of a file: what it is expected to decide, held against what it decides.

use std::fmt;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::ExpectedVerdict;
use crate::engine::explain::RequestExplanation;

use super::deployment::Deployment;

/// What became of all `tests` of a file.
///
/// In JSON (a stable format) the fields have the names they have here. Displayed for people.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SuiteReport {
    /// The version of this format.
    pub version: u32,
    /// The file.
    pub file: String,
    /// How many decide as expected.
    pub passed: usize,
    /// How many do not.
    pub failed: usize,
    /// All tests, in the order of the file.
    pub tests: Vec<TestReport>,
}

/// What became of one test.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// What it is called.
    pub name: String,
    /// The line it begins in.
    pub line: u64,
    /// Whether it decides as expected.
    pub passed: bool,
    /// What was expected and is not so; empty when it passed.
    pub differences: Vec<Difference>,
    /// What is decided, and why.
    pub actual: RequestExplanation,
}

/// What was expected of a request, and what is so.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// `outcome`, `policy` or `application`.
    pub of: &'static str,
    /// What was expected.
    pub expected: String,
    /// What is so; `none` without any.
    pub actual: String,
}

impl Deployment {
    /// Decides all `tests` of the file, with the policies as they would be enforced.
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
    /// Whether all tests passed, and there are any: what tests nothing is no success.
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
                write!(f, "{}", test.why())?;
            }
        }
        let Self { passed, failed, .. } = self;
        writeln!(f, "{passed} passed, {failed} failed")?;
        if self.tests.is_empty() {
            writeln!(
                f,
                "{}: has no `tests`, so nothing was tested; write what it is to decide",
                self.file
            )?;
        }
        Ok(())
    }
}

impl TestReport {
    /// What was expected against what is so, and how it comes about.
    pub(super) fn why(&self) -> String {
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

/// Where no policy or application is.
const NONE: &str = "none";
