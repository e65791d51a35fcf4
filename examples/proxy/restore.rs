//! `proxy restore`: restores a backup of the state, and revokes what may have been revoked since.

use std::path::PathBuf;

use clap::Args;
use tower_access::RestoreOptions;
use tower_access::config::Config;

use crate::{Error, output};

/// The configuration and the backup.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration: `state` sets where the state is stored.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The backup that replaces the state file. Leave it out for a Redis server that has loaded an old
    /// dump.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Keeps service tokens that were created at run time. Those that were deleted, disabled or rotated
    /// after the backup was made are valid again.
    #[arg(long)]
    insecure_keep_service_tokens: bool,
}

/// Revokes all sessions, rotates the signing key, and deletes the service tokens of the store.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let config = Config::load(&arguments.config)?;
    let mut options = RestoreOptions::new();
    if arguments.insecure_keep_service_tokens {
        options = options.insecure_keep_service_tokens();
    }
    config.restore(arguments.from.as_deref(), options).await?;
    output::line(format_args!(
        "restored: all users have to log in again, and the signing key is new{}",
        if arguments.insecure_keep_service_tokens {
            "; service tokens are as they were when the backup was made"
        } else {
            "; create the service tokens of the store again"
        }
    ));
    Ok(())
}
