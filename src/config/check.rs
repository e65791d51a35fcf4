//! `check`: what a file means, for people.

use std::fmt;
use std::path::Path;

use crate::clock::GoDuration;

use super::error::ConfigErrors;
use super::settings::{Config, Role};

/// Reads and checks a file, and says what it means.
///
/// # Errors
///
/// Everything that is wrong with the file; see [`Config::load`].
///
/// ```no_run
/// match tower_access::config::check("access.yml") {
///     Ok(report) => println!("{report}"),
///     Err(errors) => eprintln!("{errors}"),
/// }
/// ```
pub fn check(path: impl AsRef<Path>) -> Result<Report, ConfigErrors> {
    let path = path.as_ref();
    Config::load(path).map(|config| Report { file: path.display().to_string(), config })
}

/// What a file means. Displayed for people.
#[derive(Clone, Debug)]
pub struct Report {
    file: String,
    config: Config,
}

impl Report {
    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The configuration, to run with.
    #[must_use]
    pub fn into_config(self) -> Config {
        self.config
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, config } = self;
        writeln!(f, "OK {file}")?;
        writeln!(f, "listens on {}", config.listen)?;
        match &config.access.role {
            Role::Issuing { team_domain: Some(team), .. } => writeln!(f, "login at {team}")?,
            Role::Issuing { team_domain: None, .. } => {
                writeln!(f, "login at each application's own host")?;
            }
            Role::Verifying { team_domain, .. } => {
                writeln!(f, "tokens are issued by {}", team_domain.issuer())?;
            }
        }
        writeln!(f, "\napplications:")?;
        for application in &config.access.applications {
            let domains: Vec<String> =
                application.destinations().iter().map(ToString::to_string).collect();
            let lifetime = GoDuration::from(application.session_duration);
            writeln!(f, "  {}: {} (session {lifetime})", application.name(), domains.join(", "))?;
            for policy in &application.policies {
                let counts = [
                    ("include", policy.include.len()),
                    ("require", policy.require.len()),
                    ("exclude", policy.exclude.len()),
                ];
                let counts: Vec<String> = counts
                    .into_iter()
                    .filter(|(_, count)| *count > 0)
                    .map(|(list, count)| format!("{list} {count}"))
                    .collect();
                writeln!(f, "    {} `{}` ({})", policy.decision, policy.name, counts.join(", "))?;
            }
            if application.policies.is_empty() {
                writeln!(f, "    no policy: nobody gets in")?;
            }
        }
        let public: Vec<String> = config.public().iter().map(ToString::to_string).collect();
        write_list(f, "open without login", &public)?;
        write_list(f, "closed, because no application covers them", &config.closed())?;
        let notes: Vec<String> =
            config.notes().iter().map(|note| format!("{file}:{note}")).collect();
        write_list(f, "notes", &notes)
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[impl fmt::Display]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}:")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}
