//! A standalone proxy: Access in front of anything that speaks HTTP.
//!
//! ```text
//! proxy                     a demonstration on http://localhost:8080
//! proxy --config FILE       what the file says
//! proxy check FILE          whether the file is right, and what it means
//! proxy explain FILE --url  who would be let in, and why
//! proxy import FILE…        a configuration from what Cloudflare's API answers
//! proxy test FILE           whether the file decides as its `tests` say
//! proxy diff OLD NEW        what a change means for people
//! proxy mail test ADDRESS   whether mail arrives: sends one, with the mail server of --config FILE
//! ```
//!
//! A running proxy reads its file again when it has changed, however it was replaced, and on SIGHUP,
//! which also reads the files that it names: all of it takes effect or nothing does, and the log says
//! which. What is under way ends as it began; who may not stay any more is put out. `listen`,
//! `admin.listen`, `state` and `limits` are settled at the start, and who issues the tokens is as well.
//!
//! Where the file opens a listener for it (`admin: { listen: 127.0.0.1:9180, token_file: PATH }`), the
//! running proxy is told what to do, with `--config FILE`, or `--admin URL --token-file PATH`. Of a file
//! that is wrong elsewhere `admin` is enough:
//!
//! ```text
//! proxy revoke session ID   ends one session; or: person EMAIL, application NAME, everybody
//! proxy sessions EMAIL      the sessions of a person
//! proxy keys show           when the signing key was made, and is replaced; `rotate`: now
//! proxy service-token list   the service tokens; or: create NAME, and rotate, refresh,
//!                            disable, enable, delete by ID
//! proxy reload              reads the file again, and says what is wrong with it
//! proxy health              what is in force, and whether all serves
//! ```
//!
//! Exit codes: 0 done, or nothing to report; 1 refused, or something to report; 2 it could not be
//! asked.
mod administer;
mod check;
mod client;
mod demonstration;
mod diff;
mod explain;
mod format;
mod import;
mod mail;
mod output;
mod restore;
mod test;
mod watch;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tower_access::admin::AdminService;
use tower_access::clock::{Clock, SystemClock};
use tower_access::config::Environment;
use tower_access::inspect;
use tower_access::proxy::{AccessProxy, Reloader, ServeLimits, serve};

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(
    about = "Access in front of anything that speaks HTTP",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration; without one a demonstration runs on http://localhost:8080.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Says whether a configuration is right, what it means, and what in it may not be meant.
    Check(check::Arguments),
    /// Says who would be let in, and why: the application, every policy, every rule.
    Explain(Box<explain::Arguments>),
    /// Makes a configuration of what Cloudflare's API answered.
    Import(import::Arguments),
    /// Runs the `tests` of a configuration.
    Test(test::Arguments),
    /// Says what a change of a configuration means for people: who gains or loses access where.
    Diff(diff::Arguments),
    /// Ends sessions before their time, in the running proxy.
    #[command(subcommand)]
    Revoke(administer::Revoke),
    /// Lists the sessions of a person, in the running proxy.
    Sessions(administer::Person),
    /// Replaces or shows the signing key of the running proxy.
    #[command(subcommand)]
    Keys(administer::Keys),
    /// Makes, lists, changes and deletes service tokens of the running proxy.
    #[command(subcommand)]
    ServiceToken(administer::ServiceToken),
    /// Sends a test mail, with the mail server of a configuration.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Ends all that a restored state could open, before the proxy is started with it.
    Restore(restore::Arguments),
    /// Has the running proxy read its configuration again.
    Reload(administer::Server),
    /// Asks the running proxy what is in force, and whether all serves.
    Health(administer::Server),
}

#[tokio::main]
async fn main() -> ExitCode {
    output::exit_code(run_command().await)
}

async fn run_command() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| output::LogOutput)
        .init();
    let arguments = Arguments::parse();
    let outcome = match (arguments.command, arguments.config) {
        (Some(Command::Check(arguments)), _) => return check::run(&arguments),
        (Some(Command::Explain(arguments)), _) => return explain::run(*arguments),
        (Some(Command::Import(arguments)), _) => return import::run(&arguments),
        (Some(Command::Test(arguments)), _) => return test::run(&arguments),
        (Some(Command::Diff(arguments)), _) => return diff::run(&arguments),
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

/// Runs what a file says, and follows its changes, until the program is told to stop.
async fn run_file(file: &Path) -> Result<(), Error> {
    let report = inspect::check(file, SystemClock.now())?;
    output::line(&report);
    let config = report.into_config();
    let (limits, admin_limits) =
        (ServeLimits::from_config(&config), ServeLimits::of_admin(&config));
    let (listen, admin) = (config.listen, config.admin.as_ref().map(|admin| admin.listen));
    let reloader = Reloader::start(file, config, Environment::of_process()).await?;
    let watch = watch::Watch::begin(reloader.clone())?;
    let listener = bind(listen).await?;
    if let Some(address) = admin {
        let listener = bind(address).await?;
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

/// Serves until the program is told to stop.
async fn run(listener: TcpListener, proxy: AccessProxy, limits: ServeLimits) {
    let cut_off = serve(listener, proxy, limits, stop()).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were cut off");
    }
}

/// Ends when the program is told to stop.
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
