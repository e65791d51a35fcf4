//! Converts exports of Cloudflare's API into a configuration: `proxy import`.
//!
//! Pass the API's responses to [`import`]: applications, policies, groups, lists and their entries,
//! service tokens, identity providers, the organization (section 7.5 of the contract). It returns a
//! configuration that can be loaded, with notes about everything that could not be converted.
//!
//! ```
//! use tower_access::config::Config;
//! use tower_access::inspect::import::import;
//!
//! let response = r#"{"success": true, "result": [{
//!     "id": "3f1c", "type": "self_hosted", "name": "Wiki", "domain": "wiki.example.com",
//!     "policies": [{ "id": "b7d2", "name": "Staff", "decision": "allow", "precedence": 1,
//!                    "include": [{ "email_domain": { "domain": "example.com" } }] }]
//! }]}"#;
//! let import = import(&[("apps.json", response)])?;
//! let config = Config::parse(import.yaml(), "access.yml")?;
//! assert_eq!(config.access.applications[0].name(), "Wiki");
//! assert!(import.is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is read
//!
//! A file contains the API's envelope, a list, a single object, or several of them in sequence. Objects
//! are recognised by their shape, and duplicates count once; account and zone make no difference. The
//! entries of a list come from a separate API call: store the response in a file that is named after
//! the list, such as `<id>.json`. Policies of an application that does not contain them come from a
//! file that is named after the application, or whose folder is.
//!
//! # Never wider
//!
//! The import never admits anybody who was not admitted before:
//!
//! | what cannot be converted | what is written |
//! | --- | --- |
//! | an alternative (`include`) of a policy that admits users | the policy without it |
//! | a condition (`require`, `exclude`) or an extra check of such a policy | nothing: the policy is left out |
//! | an alternative of a `deny` policy, or a policy that was not exported | a policy that refuses everyone |
//! | a condition of a `deny` policy | the policy without it |
//! | a rule in a group, a network on a list | nothing: rules that name the group or list are lost too |
//! | an identity provider of a type that does not exist here, or with a setting that does not | nothing: nobody logs in by it, and rules about it never match |
//! | all identity providers | the one-time PIN |
//! | a rule that excludes users by attributes of identity providers, if the one-time PIN takes their place | as if the rule could not be converted |
//! | a second factor, `allowed_idps` of which none exists here | a first policy that refuses everyone who logs in |
//! | an application of another type, an unknown setting | the application, which refuses everyone |
//! | the secret of a service token | the token, switched off |

mod application;
mod document;
mod error;
mod inventory;
mod kind;
mod note;
mod organization;
mod policy;
mod provider;
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

/// A configuration, with notes about everything that could not be converted.
#[derive(Clone, Debug)]
pub struct Import {
    yaml: String,
    notes: Vec<ImportNote>,
}

impl Import {
    /// Returns the configuration. It can be loaded.
    #[must_use]
    pub fn yaml(&self) -> &str {
        &self.yaml
    }

    /// Returns what could not be converted, and what has to be added by hand.
    #[must_use]
    pub fn notes(&self) -> &[ImportNote] {
        &self.notes
    }

    /// Whether everything was converted. Notes may still state what has to be added.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.notes.iter().all(|note| note.kind() == ImportNoteKind::ToBeAdded)
    }
}

/// Converts responses of the API, given as file names and contents, into a configuration.
///
/// # Errors
///
/// If a file is not JSON or is an error response, if two versions of one object contradict each other, if
/// pages of the list of applications are missing, or if there is nothing to protect.
pub fn import<N: AsRef<str>, T: AsRef<str>>(files: &[(N, T)]) -> Result<Import, ImportError> {
    let inventory = Inventory::new(Source::read(files)?)?;
    let (yaml, notes) = settle::build_valid(&inventory)?;
    Ok(Import { yaml, notes })
}
