//! Reads only `admin` of a file.

use std::path::Path;

use super::admin::{self, Admin, AdminConfig};
use super::environment::{Environment, Expansion, expand};
use super::error::ConfigErrors;
use super::file::{named_text, strip_byte_order_mark};
use super::load::Root;
use super::reader::{NodeRef, Reader};
use super::salvage;
use super::tree::Node;

impl AdminConfig {
    /// Reads only `admin` of a file, for clients of the administration: they need only the environment
    /// variables that `admin` uses. `None` if the file has no `admin`.
    ///
    /// The rest of the file may be invalid, and even invalid YAML: this is logged, and the lines of the
    /// one `admin` at the margin are read.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or `admin` is invalid.
    pub fn load(
        path: impl AsRef<Path>,
        environment: &Environment,
    ) -> Result<Option<Self>, ConfigErrors> {
        let (name, text) = named_text(path.as_ref())?;
        let text = strip_byte_order_mark(&text);
        let mut root = match Node::parse(text) {
            Ok(root) => root,
            Err(problem) => {
                let errors = ConfigErrors::new(&name, vec![problem]);
                let salvaged = salvage::section(text, admin::KEY).map(|text| Node::parse(&text));
                let Some(Ok(root)) = salvaged else { return Err(errors) };
                tracing::warn!("the file is invalid, and only `admin` is read: {errors}");
                root
            }
        };
        root.keep_only(admin::KEY);
        let Expansion { mut problems, hidden, .. } = expand(&mut root, environment);
        let mut reader = Reader::new(Root::LEVEL);
        let root = NodeRef::root(&root);
        let admin = reader.field::<Admin>(&root, admin::KEY);
        let config = admin::build(&mut reader, &root, admin, None);
        problems.extend(reader.errors.into_iter().filter_map(|error| hidden.redact_problem(error)));
        if problems.is_empty() { Ok(config) } else { Err(ConfigErrors::new(&name, problems)) }
    }
}
