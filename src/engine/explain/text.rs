//! Explanations of requests as text.

use std::fmt;

use crate::application::NotSelectedReason;

use super::{ExplainedApplication, OtherApplication, RequestExplanation};

impl fmt::Display for RequestExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.outcome, self.reason)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        if let (Some(host), Some(path)) = (&self.host, &self.path) {
            writeln!(f, "\nrequest for {host}{path}")?;
        }
        if let Some(ExplainedApplication { id, name, domain }) = &self.application {
            let name = name.escape_debug();
            writeln!(f, "application `{name}` ({}), by {domain}", id.escape_debug())?;
        }
        self.write_others(f)?;
        if let Some(explanation) = &self.explanation {
            writeln!(f, "\npolicies, in the order of evaluation:")?;
            for policy in &explanation.policies {
                policy.fmt(f)?;
            }
            if explanation.policies.is_empty() {
                writeln!(f, "  none: every request is refused")?;
            }
        }
        match self.id {
            Some(id) => writeln!(f, "\nverdict {id}"),
            None => Ok(()),
        }
    }
}

impl RequestExplanation {
    /// Writes each application of the same host, and the number of the others.
    fn write_others(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut elsewhere = 0;
        for OtherApplication { application, why } in &self.other_applications {
            if *why == NotSelectedReason::HostDiffers {
                elsewhere += 1;
                continue;
            }
            let name = application.name.escape_debug();
            writeln!(f, "  not `{name}`: {} {why}", application.domain)?;
        }
        match elsewhere {
            0 => Ok(()),
            1 => writeln!(f, "  one other application is for another host"),
            more => writeln!(f, "  {more} other applications are for other hosts"),
        }
    }
}
