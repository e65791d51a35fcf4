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
//! ```
#![allow(clippy::print_stdout, reason = "a command line program talks to its terminal")]

mod check;
mod demonstration;
mod diff;
mod explain;
mod format;
mod import;
mod test;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::net::TcpListener;
use tower::Layer;
use tower_access::AccessLayer;
use tower_access::clock::{Clock, SystemClock};
use tower_access::config::Config;
use tower_access::inspect;
use tower_access::proxy::{ReverseProxy, ServeLimits, serve};

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
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let outcome = match (arguments.command, arguments.config) {
        (Some(Command::Check(arguments)), _) => return check::run(&arguments),
        (Some(Command::Explain(arguments)), _) => return explain::run(*arguments),
        (Some(Command::Import(arguments)), _) => return import::run(&arguments),
        (Some(Command::Test(arguments)), _) => return test::run(&arguments),
        (Some(Command::Diff(arguments)), _) => return diff::run(&arguments),
        (None, Some(file)) => run_file(&file).await,
        (None, None) => demonstration::run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_file(file: &Path) -> Result<(), Error> {
    let report = inspect::check(file, SystemClock.now())?;
    println!("{report}");
    run(&report.into_config()).await
}

/// Runs what a configuration says until it is told to stop.
async fn run(config: &Config) -> Result<(), Error> {
    let service = AccessLayer::new(config.open().await?).layer(ReverseProxy::from_config(config)?);
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.listen))?;
    let cut_off = serve(listener, service, ServeLimits::default(), stop()).await;
    if cut_off > 0 {
        tracing::warn!(cut_off, "connections were cut off");
    }
    Ok(())
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
