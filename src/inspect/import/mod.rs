//! From Cloudflare's API to a configuration: `proxy import`.
//!
//! Give [`import`] what the API answered: applications, policies, groups, lists and what is on them,
//! service tokens, identity providers, the organization (section 7.5 of the contract). It gives back a
//! configuration that can be loaded, and says what could not be carried over.
//!
//! ```
//! use tower_access::config::Config;
//! use tower_access::inspect::import::import;
//!
//! let answer = r#"{"success": true, "result": [{
//!     "id": "3f1c", "type": "self_hosted", "name": "Wiki", "domain": "wiki.example.com",
//!     "policies": [{ "id": "b7d2", "name": "Staff", "decision": "allow", "precedence": 1,
//!                    "include": [{ "email_domain": { "domain": "example.com" } }] }]
//! }]}"#;
//! let import = import(&[("apps.json", answer)])?;
//! let config = Config::parse(import.yaml(), "access.yml")?;
//! assert_eq!(config.access.applications[0].name(), "Wiki");
//! assert!(import.is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is read
//!
//! A file holds the API's envelope, a list, a single object, or several of them behind each other.
//! Objects are told apart by their shape, and found twice they count once; account and zone make no
//! difference. What is on a list comes from an API call of its own: keep the answer in a file that is
//! named after the list, such as `<id>.json`. Policies of an application that does not hold them come
//! from a file that is named after the application, or whose folder is.
//!
//! # Never wider
//!
//! Nobody gets in by what was imported who did not get in before:
//!
//! | what cannot be carried over | what is written |
//! | --- | --- |
//! | an alternative (`include`) of a policy that lets people in | the policy without it |
//! | a condition (`require`, `exclude`) or an extra check of such a policy | nothing: the policy is left out |
//! | an alternative of a `deny` policy, or a policy that was not exported | a policy that refuses everyone, in its place |
//! | a condition of a `deny` policy | the policy without it |
//! | a rule in a group, a network on a list | nothing: rules that name the group or list are lost too |
//! | a rule that keeps people out by what only other login methods say, if nobody logged in by one-time PIN | as if the rule could not be carried over |
//! | a second factor, login methods that are not here | a first policy that refuses everyone who logs in |
//! | an application of another type, a setting that is not known | the application, and nobody gets in |
//! | the secret of a service token | the token, switched off |

mod application;
mod document;
mod error;
mod inventory;
mod kind;
mod note;
mod organization;
mod policy;
mod references;
mod refusals;
mod settle;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

pub use self::error::ImportError;
use self::inventory::Inventory;
pub use self::note::{ImportNote, ImportNoteKind};
use self::source::Source;

/// A configuration, and what could not be carried over.
#[derive(Clone, Debug)]
pub struct Import {
    yaml: String,
    notes: Vec<ImportNote>,
}

impl Import {
    /// The configuration. It can be loaded.
    #[must_use]
    pub fn yaml(&self) -> &str {
        &self.yaml
    }

    /// What could not be carried over, and what has to be added by hand.
    #[must_use]
    pub fn notes(&self) -> &[ImportNote] {
        &self.notes
    }

    /// Whether everything was carried over. Notes may say all the same what has to be added.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.notes.iter().all(|note| note.kind() == ImportNoteKind::ToBeAdded)
    }
}

/// Makes a configuration of what the API answered: names of files and what they hold.
///
/// # Errors
///
/// When a file is no JSON or an answer that says an error, two versions of one object contradict each
/// other, pages of the list of applications are missing, or there is nothing to protect.
pub fn import<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Import, ImportError> {
    let inventory = Inventory::new(Source::read(files)?)?;
    let (yaml, notes) = settle::settle(&inventory)?;
    Ok(Import { yaml, notes })
}
