//! Any text as a configuration file: it is read, or refused with a place and a short message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tower_access::config::Config;
use tower_access::policy::{Facts, Policies};

fuzz_target!(|text: &str| {
    match Config::parse(text, "f") {
        Err(errors) => {
            let shown = errors.to_string();
            assert!(errors.iter().count() > 0 && !shown.is_empty());
            assert_eq!(shown.lines().count(), errors.iter().count(), "{shown:?}");
            let lines = u64::try_from(text.split(['\n', '\r']).count()).unwrap();
            for error in &errors {
                let line = error.location().map_or(1, |at| at.line);
                assert!((1..=lines + 1).contains(&line), "{shown}");
            }
        }
        Ok(config) => {
            assert!(config.notes().iter().all(|note| note.location().line > 0));
            // What was accepted as a file is accepted as policies.
            for application in &config.access.applications {
                let policies =
                    Policies::compile(application.policies(), &config.access.definitions).unwrap();
                let facts = Facts::default();
                let id = policies.evaluate(&facts).id();
                assert_eq!(id, Some(policies.explain(&facts).id));
            }
        }
    }
});
