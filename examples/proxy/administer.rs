//! `proxy revoke`, `sessions`, `keys`, `service-token`, `reload`, `health`: what a running proxy is
//! told.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use tower_access::clock::{Clock, GoDuration, SystemClock, Timestamp};
use tower_access::config::{AdminConfig, Environment};
use tower_access::explain::Moment;
use tower_access::secret::SecretText;

use crate::client::{Ask, ask};
use crate::format::{Format, unusable};
use crate::{Error, output};

/// Which proxy, and what to print.
#[derive(Args)]
pub(crate) struct Server {
    /// The configuration of the running proxy: `admin` in it says where it listens. Whatever else is
    /// wrong with the file does not matter.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where it listens, such as http://127.0.0.1:9180, in place of what the configuration says.
    #[arg(long, value_name = "URL")]
    admin: Option<url::Url>,
    /// The file with the token, in place of what the configuration says; `-` reads it from standard
    /// input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is ended.
#[derive(Subcommand)]
pub(crate) enum Revoke {
    /// One session, by its id.
    Session {
        /// The id, as `proxy sessions` tells it.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// All sessions of a person.
    Person {
        /// The email address.
        email: String,
        #[command(flatten)]
        server: Server,
    },
    /// All tokens of an application.
    Application {
        /// Its id, audience tag or name.
        name: String,
        #[command(flatten)]
        server: Server,
    },
    /// Everything: everybody logs in again.
    Everybody(Server),
}

/// A person.
#[derive(Args)]
pub(crate) struct Person {
    /// The email address.
    email: String,
    #[command(flatten)]
    server: Server,
}

/// What is done with the keys.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Replaces the signing key now; the one before it verifies until its overlap ends.
    Rotate(Server),
    /// Tells when the signing key was made, and when it is replaced.
    Show(Server),
}

/// What is done with service tokens.
#[derive(Subcommand)]
pub(crate) enum ServiceToken {
    /// Makes one; its secret is shown this once.
    Create {
        /// What it is called.
        name: String,
        /// How long it is good, such as 8760h, or forever.
        #[arg(long, default_value = "8760h")]
        duration: String,
        #[command(flatten)]
        server: Server,
    },
    /// Lists those of the store and of the file.
    List(Server),
    /// Gives one another secret, which is shown this once.
    Rotate {
        /// Its id, as `list` tells it.
        id: String,
        /// For how long the secret before stays good, such as 24h; 720h at most.
        #[arg(long, default_value = "0s")]
        overlap: GoDuration,
        #[command(flatten)]
        server: Server,
    },
    /// Gives one another year.
    Refresh(OneToken),
    /// Switches one off.
    Disable(OneToken),
    /// Switches one on again.
    Enable(OneToken),
    /// Deletes one.
    Delete(OneToken),
}

/// One service token.
#[derive(Args)]
pub(crate) struct OneToken {
    /// Its id, as `list` tells it.
    id: String,
    #[command(flatten)]
    server: Server,
}

/// Looks after service tokens.
pub(crate) async fn service_token(what: ServiceToken) -> ExitCode {
    const TOKENS: [&str; 2] = ["access", "service_tokens"];
    let one =
        |id: &str| -> Vec<String> { TOKENS.into_iter().chain([id]).map(str::to_owned).collect() };
    let of = |id: &str, more: Option<&str>| -> Vec<String> {
        one(id).into_iter().chain(more.map(str::to_owned)).collect()
    };
    let ask = |make: fn(&[&str]) -> Ask, segments: &[String]| {
        make(&segments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let switch = |id: &str, enabled: bool| {
        ask(Ask::put, &of(id, None)).with(&serde_json::json!({ "enabled": enabled }))
    };
    let (request, server) = match what {
        ServiceToken::Create { name, duration, server } => {
            let body = serde_json::json!({ "name": name, "duration": duration });
            (Ask::post(&TOKENS).with(&body), server)
        }
        ServiceToken::List(server) => (Ask::get(&TOKENS), server),
        ServiceToken::Rotate { id, overlap, server } => {
            let until = Moment(SystemClock.now().plus(overlap.get())).to_string();
            let body = serde_json::json!({ "previous_client_secret_expires_at": until });
            (ask(Ask::post, &of(&id, Some("rotate"))).with(&body), server)
        }
        ServiceToken::Refresh(OneToken { id, server }) => {
            (ask(Ask::post, &of(&id, Some("refresh"))), server)
        }
        ServiceToken::Disable(OneToken { id, server }) => (switch(&id, false), server),
        ServiceToken::Enable(OneToken { id, server }) => (switch(&id, true), server),
        ServiceToken::Delete(OneToken { id, server }) => (ask(Ask::delete, &of(&id, None)), server),
    };
    carry_out(request, &server).await
}

/// Ends something.
pub(crate) async fn revoke(what: Revoke) -> ExitCode {
    let (request, server) = match what {
        Revoke::Session { id, server } => (Ask::delete(&["access", "sessions", &id]), server),
        Revoke::Person { email, server } => {
            let body = serde_json::json!({ "email": email });
            (Ask::post(&["access", "organizations", "revoke_user"]).with(&body), server)
        }
        Revoke::Application { name, server } => {
            (Ask::post(&["access", "apps", &name, "revoke_tokens"]), server)
        }
        Revoke::Everybody(server) => (Ask::post(&["access", "revoke_everybody"]), server),
    };
    carry_out(request, &server).await
}

/// Lists sessions.
pub(crate) async fn sessions(person: Person) -> ExitCode {
    let request = Ask::get(&["access", "users", &person.email, "active_sessions"]);
    carry_out(request, &person.server).await
}

/// Replaces or shows keys.
pub(crate) async fn keys(what: Keys) -> ExitCode {
    match what {
        Keys::Rotate(server) => carry_out(Ask::post(&["access", "keys", "rotate"]), &server).await,
        Keys::Show(server) => carry_out(Ask::get(&["access", "keys"]), &server).await,
    }
}

/// Has the file read again.
pub(crate) async fn reload(server: Server) -> ExitCode {
    carry_out(Ask::post(&["reload"]), &server).await
}

/// Asks how all stands.
pub(crate) async fn health(server: Server) -> ExitCode {
    carry_out(Ask::get(&["health"]), &server).await
}

async fn carry_out(request: Ask, server: &Server) -> ExitCode {
    let answered = async {
        let (address, token) = server.find()?;
        ask(address, &token, request).await
    };
    match answered.await {
        Ok((is_fine, answer)) => {
            server.format.tell(&answer);
            if is_fine && !is_something_to_report(&answer) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => unusable(&error),
    }
}

impl Server {
    /// Where the proxy listens, and what has to be shown.
    fn find(&self) -> Result<(SocketAddr, SecretText), Error> {
        let given =
            (self.admin.as_ref().map(address_of), self.token_file.as_deref().map(read_token));
        if let (Some(address), Some(token)) = given {
            return Ok((address?, token?));
        }
        let Some(file) = &self.config else {
            return Err(format!("name the configuration with --config FILE, or {FLAGS}").into());
        };
        let configured =
            AdminConfig::load(file, &Environment::of_process()).map_err(Error::from).and_then(
                |config| config.ok_or_else(|| format!("{}: has no `admin`", file.display()).into()),
            );
        let explained = |error: Error| Error::from(format!("{error}\nwithout the file: {FLAGS}"));
        let config = configured.map_err(explained)?;
        let address = given.0.unwrap_or_else(|| Ok(reachable(config.listen)))?;
        let token = match given.1 {
            Some(token) => token?,
            None => config.token().map_err(|error| explained(error.into()))?,
        };
        Ok((address, token))
    }
}

/// Whoever listens everywhere listens on this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    address
}

fn address_of(url: &url::Url) -> Result<SocketAddr, Error> {
    if url.scheme() != "http" || url.path() != "/" || url.query().is_some() {
        return Err(format!("{url}: write http://127.0.0.1:9180").into());
    }
    let addresses = url.socket_addrs(|| None)?;
    Ok(*addresses.first().ok_or("this name has no address")?)
}

fn read_token(file: &Path) -> Result<SecretText, Error> {
    let mut token = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(LONGEST_TOKEN).read_to_string(&mut token)
    } else {
        File::open(file).and_then(|file| file.take(LONGEST_TOKEN).read_to_string(&mut token))
    };
    read.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(SecretText::from(token.trim_end_matches(['\r', '\n']).to_owned()))
}

/// What a command that was carried out should not be silent about: a file that is wrong, mail that
/// fails, nobody there to put out.
fn is_something_to_report(answer: &Value) -> bool {
    let errors = answer.pointer("/result/configuration_errors").and_then(Value::as_array);
    let mail = answer.pointer("/result/mail/state").and_then(Value::as_str);
    let mut messages = answer["messages"].as_array().into_iter().flatten();
    errors.is_some_and(|errors| !errors.is_empty())
        || mail == Some("failing")
        || messages.any(|message| message["code"] == NOTHING_TO_END)
}

const FLAGS: &str = "--admin http://127.0.0.1:9180 --token-file FILE are enough (`-` reads the token \
                     from standard input)";
const LONGEST_TOKEN: u64 = 64 << 10;
/// The code of the message that nothing was there to end.
const NOTHING_TO_END: u64 = 11_001;

impl Format {
    fn tell(self, answer: &Value) {
        match self {
            Self::Json => output::line(format_args!("{answer:#}")),
            Self::Text => {
                for error in answer["errors"].as_array().into_iter().flatten() {
                    output::warn(words(&error["message"]));
                }
                let messages = answer["messages"].as_array().filter(|all| !all.is_empty());
                if let Some(messages) = messages {
                    for message in messages {
                        output::line(words(&message["message"]));
                    }
                    return;
                }
                match &answer["result"] {
                    Value::Null if answer["success"] == false => {}
                    Value::Array(items) if items.is_empty() => output::line("none"),
                    Value::Array(items) => {
                        let all: Vec<_> = items.iter().map(fields).collect();
                        output::line(all.join("\n\n"));
                    }
                    result @ Value::Object(all) if !all.is_empty() => output::line(fields(result)),
                    _ => output::line("done"),
                }
            }
        }
    }
}

/// A line for each.
fn fields(value: &Value) -> String {
    let Some(all) = value.as_object() else { return words(value) };
    let lines = all.iter().map(|(key, value)| match (moment(key, value), value) {
        (Some(moment), _) => format!("{key}: {moment}"),
        (None, Value::Object(_)) => {
            let inner = fields(value);
            inner.lines().map(|line| format!("{key}.{line}")).collect::<Vec<_>>().join("\n")
        }
        (None, _) => format!("{key}: {}", words(value)),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Programs count seconds, people do not.
fn moment(key: &str, value: &Value) -> Option<Moment> {
    let is_moment = key.ends_with("_at") || key == "last_seen";
    value.as_u64().filter(|_| is_moment).map(|at| Moment(Timestamp::from_unix_seconds(at)))
}

/// A value for people: without what a terminal would take for a command.
fn words(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
