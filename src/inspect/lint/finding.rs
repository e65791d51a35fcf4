//! Findings.

use std::fmt;

use serde::Serialize;

use super::kind::{LintKind, Severity};

/// An error in a file, or a setting that is probably unintended.
///
/// Displayed as `file:line:column: severity: key: message; fix [id]`. In JSON the fields have the
/// names they have here; those of the subject are among them, and `None` is omitted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its kind, which suppressions name.
    pub id: LintKind,
    /// The severity.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The line; `None` for the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column in that line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// The key path, such as `access.applications[0].domain`; empty for the whole file.
    pub key: String,
    /// The problem.
    pub message: String,
    /// The proposed replacement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
    /// Its subject.
    #[serde(flatten)]
    pub subject: FindingSubject,
    /// The reason the file gives for allowing it, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// The subject of a finding, by name. A suppression matches on these fields.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FindingSubject {
    /// The application's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The policy's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The group's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The list's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// The service token's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_token: Option<String>,
    /// The hostname of the ingress rule; `*` if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The rule, destination or setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Finding {
    /// Whether it counts: it is more than a notice and the file does not allow it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.suppressed.is_none() && self.severity != Severity::Notice
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}:", self.severity.as_str())?;
        if !self.key.is_empty() {
            write!(f, " {}:", self.key)?;
        }
        write!(f, " {}", self.message)?;
        if let Some(fix) = &self.fix {
            write!(f, "; {fix}")?;
        }
        write!(f, " [{}]", self.id)?;
        match &self.suppressed {
            Some(reason) => write!(f, " (meant: {reason})"),
            None => Ok(()),
        }
    }
}
