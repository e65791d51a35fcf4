//! A standalone proxy: Access in front of anything that speaks HTTP.
//!
//! ```text
//! proxy                     a demonstration on http://localhost:8080
//! proxy --config FILE       runs the proxy of a file
//! proxy check FILE          checks a file, and reports what it opens
//! proxy explain FILE --url  explains the decision about a request
//! proxy import FILE…        makes a file from responses of Cloudflare's API
//! proxy test FILE           runs the `tests` of a file
//! proxy diff OLD NEW        reports who gains or loses access by a change
//! proxy schema              prints the JSON Schema of the file, for editors
//! proxy mail test ADDRESS   sends a test mail, with the mail server of --config FILE
//! proxy completions SHELL   prints the completion script of a shell
//! proxy man                 prints the manual page
//! ```
//!
//! A running proxy reloads its file when the file has changed or was replaced, and on SIGHUP, which also
//! reloads the files that it names. Either all changes take effect or none, and the log says which.
//! Requests under way finish under the old configuration; open responses that the new one does not allow
//! are closed. `listen`, `admin.listen`, `state`, `limits` and the role (issuing or verifying) change
//! only at a restart.
//!
//! If the file opens an administration listener (`admin: { listen: 127.0.0.1:9180, token_file: PATH }`),
//! these commands administer the running proxy, with `--config FILE`, or `--admin URL --token-file PATH`.
//! They read only `admin` of the file, so errors elsewhere do not matter:
//!
//! ```text
//! proxy revoke session ID   revokes one session; or: person EMAIL, application NAME, everybody
//! proxy sessions EMAIL      lists the sessions of a user
//! proxy keys show           shows when the signing key was made and is rotated; `rotate`: now
//! proxy service-token list  lists the service tokens; or: create NAME, and rotate, refresh,
//!                           disable, enable, delete by ID
//! proxy reload              reloads the file, and reports its errors
//! proxy health              shows the configuration in force, and the state of keys, store and mail
//! ```
//!
//! Exit codes: 0 done, or nothing to report; 1 refused, or something to report; 2 the command could not
//! be carried out.
mod administer;
mod check;
mod client;
mod completions;
mod demonstration;
mod diff;
mod explain;
mod format;
mod import;
mod log;
mod mail;
mod manual;
mod output;
mod restore;
mod schema;
mod test;
mod watch;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use tokio::net::TcpListener;
use tower_access::admin::AdminService;
use tower_access::clock::{Clock, SystemClock};
use tower_access::config::Environment;
use tower_access::inspect;
use tower_access::proxy::{AccessProxy, Reloader, ServeLimits, serve};

/// A request makes some sixty allocations, on several threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    name = "proxy",
    version,
    about = "Access in front of anything that speaks HTTP",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration. Default: a demonstration on http://localhost:8080.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Checks a configuration: errors, what it opens, and probable mistakes.
    Check(check::Arguments),
    /// Explains the decision about a request: the application, every policy, every rule.
    Explain(Box<explain::Arguments>),
    /// Makes a configuration from responses of Cloudflare's API.
    Import(import::Arguments),
    /// Runs the `tests` of a configuration.
    Test(test::Arguments),
    /// Compares two configurations: who gains or loses access, and where.
    Diff(diff::Arguments),
    /// Prints the JSON Schema of the configuration, for editors.
    ///
    /// Write `# yaml-language-server: $schema=access.schema.json` as the first line of the file after
    /// `proxy schema > access.schema.json`.
    Schema,
    /// Revokes sessions and tokens of the running proxy.
    #[command(subcommand)]
    Revoke(administer::Revoke),
    /// Lists the sessions of a user of the running proxy.
    Sessions(administer::Person),
    /// Rotates or shows the signing key of the running proxy.
    #[command(subcommand)]
    Keys(administer::Keys),
    /// Creates, lists, changes and deletes service tokens of the running proxy.
    #[command(subcommand)]
    ServiceToken(administer::ServiceToken),
    /// Sends a test mail, with the mail server of a configuration.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Revokes the sessions and keys of a restored state, before the proxy starts with it.
    Restore(restore::Arguments),
    /// Reloads the configuration of the running proxy.
    Reload(administer::Server),
    /// Shows the state of the running proxy: configuration, keys, store and mail.
    Health(administer::Server),
    /// Prints the completion script of a shell.
    Completions(completions::Arguments),
    /// Prints the manual page.
    ///
    /// `proxy man | man -l -` shows it.
    Man,
}

#[tokio::main]
async fn main() -> ExitCode {
    output::exit_code(run_command().await)
}

async fn run_command() -> ExitCode {
    log::init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return show_usage(&error),
    };
    let outcome = match (arguments.command, arguments.config) {
        (Some(Command::Check(arguments)), _) => return check::run(&arguments),
        (Some(Command::Explain(arguments)), _) => return explain::run(*arguments),
        (Some(Command::Import(arguments)), _) => return import::run(&arguments),
        (Some(Command::Test(arguments)), _) => return test::run(&arguments),
        (Some(Command::Diff(arguments)), _) => return diff::run(&arguments),
        (Some(Command::Schema), _) => return schema::run(),
        (Some(Command::Completions(arguments)), _) => {
            return completions::run(Arguments::command(), &arguments);
        }
        (Some(Command::Man), _) => return manual::run(&Arguments::command()),
        (Some(Command::Revoke(what)), _) => return administer::revoke(what).await,
        (Some(Command::Sessions(person)), _) => return administer::sessions(person).await,
        (Some(Command::Keys(what)), _) => return administer::keys(what).await,
        (Some(Command::ServiceToken(what)), _) => return administer::service_token(what).await,
        (Some(Command::Mail(what)), _) => return mail::run(what).await,
        (Some(Command::Restore(arguments)), _) => restore::run(&arguments).await,
        (Some(Command::Reload(server)), _) => return administer::reload(server).await,
        (Some(Command::Health(server)), _) => return administer::health(server).await,
        (None, Some(file)) => run_file(&file).await,
        (None, None) => demonstration::run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::warn(error);
            ExitCode::FAILURE
        }
    }
}

/// Prints the help or a usage error. A file without `--config` is shown the command that runs it.
fn show_usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && (Path::new(word).extension().is_some() || Path::new(word).exists())
    {
        output::warn(format_args!("\nto run a file: `proxy --config {}`", word.escape_debug()));
    }
    if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

/// Runs the proxy of a file, and follows its changes, until the program has to stop.
async fn run_file(file: &Path) -> Result<(), Error> {
    let _log = log::write_aside()?;
    let report = inspect::check(file, SystemClock.now())?;
    let summary = report.to_string();
    let config = report.into_config();
    let (limits, admin_limits) =
        (ServeLimits::from_config(&config), ServeLimits::for_admin(&config));
    let (listen, admin) = (config.listen, config.admin.as_ref().map(|admin| admin.listen));
    let reloader = Reloader::start(file, config, Environment::from_process()).await?;
    let watch = watch::Watch::start(reloader.clone())?;
    let listener = bind(listen).await?;
    let admin_listener = match admin {
        Some(address) => Some(bind(address).await?),
        None => None,
    };
    output::line(summary);
    if let Some(listener) = admin_listener {
        let service = AdminService::new(reloader.clone());
        tokio::spawn(serve(listener, service, admin_limits, std::future::pending::<()>()));
    }
    tokio::spawn(watch.run());
    run(listener, reloader.proxy(), limits).await;
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| format!("cannot listen on {address}: {error}").into())
}

/// Serves until the program has to stop.
async fn run(listener: TcpListener, proxy: AccessProxy, limits: ServeLimits) {
    let cut_off = serve(listener, proxy.clone(), limits, stop()).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were closed at the end of the grace period");
    }
    proxy.access().finish_mail(MAIL_GRACE_PERIOD).await;
}

/// For codes that are still to be mailed when the program ends. What is lost is logged.
const MAIL_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Waits for SIGINT or SIGTERM.
async fn stop() {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupt => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = interrupt.await;
}
