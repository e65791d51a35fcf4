//! `proxy restore`: a backup in the place of the state, with nothing of it good that may have ended.

use std::path::PathBuf;

use clap::Args;
use tower_access::Restore;
use tower_access::config::Config;

use crate::{Error, output};

/// What is restored.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration: `state` in it says where state is kept.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The backup that is put in the place of the state file. Without it the state is taken as it is:
    /// for a Redis server that has loaded an old dump.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Keeps service tokens that were made at run time, although some may have been deleted, disabled
    /// or given another secret after the backup was made: these are good again.
    #[arg(long)]
    insecure_keep_service_tokens: bool,
}

/// Ends all sessions, replaces the signing key, and deletes the service tokens of the store.
pub(crate) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let config = Config::load(&arguments.config)?;
    let mut how = Restore::new();
    if arguments.insecure_keep_service_tokens {
        how = how.insecure_keep_service_tokens();
    }
    config.restore(arguments.from.as_deref(), how).await?;
    output::line(format_args!(
        "restored: everybody logs in again, and the signing key is new{}",
        if arguments.insecure_keep_service_tokens {
            "; service tokens are as they were when the backup was made"
        } else {
            "; create the service tokens again that were made at run time"
        }
    ));
    Ok(())
}
