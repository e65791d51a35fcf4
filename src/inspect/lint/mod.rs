//! `check`: a summary of the file, and findings about surprising settings.
//!
//! An invalid file is refused with all errors and their locations ([`ConfigErrors`]). A valid file
//! may still allow more, or less, than it seems to: [`check`] reports that as [`Finding`]s, each
//! with an id, a location and a fix. [`LintKind`] lists all kinds and when exactly each is
//! reported. Uncertain findings are not reported.
//!
//! # Allowed findings
//!
//! Allow a finding in the file, one by one, with a reason:
//!
//! ```yaml
//! lint:
//!   allow:
//!     - id: path-leaves-parent-open
//!       application: Wiki
//!       value: wiki.example.com/admin/*
//!       reason: the page above is a static one
//!     - { id: weakened-default, at: access.mail, reason: nobody logs in but us }
//! ```
//!
//! An entry allows the one finding that matches all its fields: `application`, `policy`, `group`,
//! `list`, `service_token` and `hostname` by name, `value` as the finding has it, `at` the key path.
//! An entry that matches no finding, or several, is a finding itself. Notices do not count and need
//! no entry.
//!
//! # In JSON
//!
//! A stable format: within a `version` nothing is renamed or removed; ids and fields may be added.
//! `severity` is `error`, `warning` or `notice`. Empty fields of a finding are omitted. A file that
//! is refused has `"valid": false`, its errors among the findings, and
//! `"meaning": null`.
//!
//! ```
//! use tower_access::clock::Timestamp;
//! use tower_access::inspect::check_text;
//!
//! let file = "
//! access:
//!   mail: { smtp: { host: mail.example.com, from: access@example.com } }
//!   applications:
//!     - name: Wiki
//!       domain: wiki.example.com/admin/*
//!       policies:
//!         - { name: Ada, decision: allow, include: [ { email: { email: ada@example.com } } ] }
//! ";
//! let report = check_text(file, "access.yml", Timestamp::from_unix_seconds(1_790_000_000))?;
//! assert!(!report.is_clean());
//! assert_eq!(
//!     serde_json::to_value(&report)?,
//!     serde_json::json!({
//!         "version": 1,
//!         "file": "access.yml",
//!         "valid": true,
//!         "summary": { "errors": 0, "warnings": 1, "notices": 0, "suppressed": 0 },
//!         "findings": [{
//!             "id": "path-leaves-parent-open",
//!             "severity": "warning",
//!             "file": "access.yml",
//!             "line": 6,
//!             "column": 15,
//!             "key": "access.applications[0].domain",
//!             "message": "does not cover `wiki.example.com/admin` itself: no application covers it",
//!             "fix": "write `wiki.example.com/admin`, which also covers the paths below it",
//!             "application": "Wiki",
//!             "value": "wiki.example.com/admin/*",
//!         }],
//!         "meaning": {
//!             "listen": "127.0.0.1:8080",
//!             "issuer": "here",
//!             "login": null,
//!             "idle_timeout": null,
//!             "applications": [{
//!                 "name": "Wiki",
//!                 "destinations": ["wiki.example.com/admin/*"],
//!                 "session_duration": "24h",
//!                 "policies": [
//!                     { "name": "Ada", "decision": "allow", "include": 1, "require": 0, "exclude": 0 },
//!                 ],
//!             }],
//!             "public": [],
//!             "closed": [],
//!             "ingress_rules": 0,
//!         },
//!     })
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ConfigErrors`]: crate::config::ConfigErrors

mod closed_paths;
mod compared;
mod definitions;
mod destinations;
mod facts;
mod finding;
mod inclusion;
mod ingress;
mod kind;
mod logins;
mod mail_providers;
mod notes;
mod policies;
mod public_port;
mod readings;
mod registered;
mod report;
mod rules;
mod spellings;
mod subject;
mod summary;
mod suppress;
mod tokens;

pub use self::finding::{Finding, FindingSubject};
pub use self::kind::{LintKind, Severity};
pub use self::report::{CheckReport, check, check_text};
pub use self::summary::{ApplicationSummary, ConfigSummary, PolicySummary, PublicDestination};
