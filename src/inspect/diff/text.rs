//! Comparisons as text.

use std::fmt;

use super::report::{
    ApplicationChange, ApplicationRef, DestinationDiff, DiffReport, Effect, RequestOutcome,
    Statement, TokenChange,
};

impl fmt::Display for DiffReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no difference for anybody");
        }
        for changed in &self.applications {
            let sign = match changed.change {
                ApplicationChange::Added => "added",
                ApplicationChange::Removed => "removed",
            };
            writeln!(f, "application {} {sign}", changed.application)?;
        }
        for moved in &self.moved {
            writeln!(f, "{} moved: {} -> {}", moved.place, At(&moved.old), At(&moved.new))?;
        }
        for token in &self.service_tokens {
            let changes: Vec<&str> = token.changes.iter().map(|change| change.as_str()).collect();
            writeln!(
                f,
                "service token `{}` ({}) {}",
                token.name.escape_debug(),
                token.client_id.escape_debug(),
                changes.join(", ")
            )?;
        }
        for place in &self.places {
            place.fmt(f)?;
        }
        if self.more > 0 {
            writeln!(f, "\n{} more", self.more)?;
        }
        if !self.undecided.is_empty() {
            writeln!(f, "\nnot compared:")?;
        }
        for undecided in &self.undecided {
            let names: Vec<String> =
                undecided.applications.iter().map(|name| name.escape_debug().to_string()).collect();
            writeln!(f, "  {}: {}", names.join(", "), undecided.reason)?;
        }
        Ok(())
    }
}

impl fmt::Display for DestinationDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |application: &Option<ApplicationRef>| {
            application.as_ref().map(|application| application.id.clone())
        };
        match (&self.old, &self.new) {
            (Some(_), Some(new)) if id(&self.old) == id(&self.new) => write!(f, "\n{new}")?,
            _ => write!(f, "\n{} -> {}", At(&self.old), At(&self.new))?,
        }
        writeln!(f, ", {}", self.places.join(", "))?;
        self.statements.iter().try_for_each(|statement| statement.fmt(f))
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.effect {
            Effect::Gains => '+',
            Effect::Loses => '-',
            Effect::Changes => '~',
        };
        let witness = &self.witness;
        writeln!(f, "  {sign} {}", self.text)?;
        writeln!(f, "      {} -> {}", witness.old, witness.new)?;
        writeln!(f, "      explain FILE {}", witness.arguments)
    }
}

impl fmt::Display for RequestOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)?;
        if let Some(policy) = &self.policy {
            write!(f, " by `{}`", policy.escape_debug())?;
        }
        match self.id {
            Some(id) => write!(f, " ({id})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ApplicationRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.name.escape_debug(), self.id.escape_debug())
    }
}

struct At<'a>(&'a Option<ApplicationRef>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(application) => application.fmt(f),
            None => f.write_str("closed"),
        }
    }
}

impl TokenChange {
    fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Secret => "secret changed",
            Self::SwitchedOn => "switched on",
            Self::SwitchedOff => "switched off",
            Self::Expiry => "expiry changed",
            Self::Id => "id changed",
        }
    }
}
