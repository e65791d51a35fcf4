//! `proxy revoke`, `sessions`, `keys`, `service-token`, `reload`, `health`: what a running proxy is
//! told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use tower_access::clock::{Clock, GoDuration, SystemClock, Timestamp};
use tower_access::config::{AdminConfig, Environment};
use tower_access::explain::Moment;
use tower_access::secret::SecretText;

use crate::Error;
use crate::client::{Ask, ask};
use crate::format::{Format, unusable};

/// Which proxy, and what to print.
#[derive(Args)]
pub(crate) struct Server {
    /// The configuration of the running proxy: `admin` in it says where it listens.
    #[arg(long, value_name = "FILE", required_unless_present = "admin")]
    config: Option<PathBuf>,
    /// Where it listens, such as http://127.0.0.1:9180.
    #[arg(long, value_name = "URL", requires = "token_file", conflicts_with = "config")]
    admin: Option<url::Url>,
    /// The file with the token.
    #[arg(long, value_name = "FILE", requires = "admin")]
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
            let ailing = answer.pointer("/result/configuration_errors").and_then(Value::as_array);
            let is_fine = is_fine && ailing.is_none_or(Vec::is_empty);
            if is_fine { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => unusable(&error),
    }
}

impl Server {
    /// Where the proxy listens, and what has to be shown.
    fn find(&self) -> Result<(SocketAddr, SecretText), Error> {
        if let Some(file) = &self.config {
            let config = AdminConfig::load(file, &Environment::of_process())?
                .ok_or_else(|| format!("{}: has no `admin`", file.display()))?;
            let mut address = config.listen;
            if address.ip().is_unspecified() {
                address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
            }
            return Ok((address, config.token()?));
        }
        let (Some(url), Some(file)) = (&self.admin, &self.token_file) else {
            return Err("name the configuration, or --admin and --token-file".into());
        };
        if url.scheme() != "http" || url.path() != "/" || url.query().is_some() {
            return Err(format!("{url}: write http://127.0.0.1:9180").into());
        }
        let addresses = url.socket_addrs(|| None)?;
        let address = *addresses.first().ok_or("this name has no address")?;
        let token = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        Ok((address, SecretText::from(token.trim_end_matches(['\r', '\n']).to_owned())))
    }
}

impl Format {
    fn tell(self, answer: &Value) {
        match self {
            Self::Json => println!("{answer:#}"),
            Self::Text => {
                for error in answer["errors"].as_array().into_iter().flatten() {
                    eprintln!("{}", words(&error["message"]));
                }
                match &answer["result"] {
                    Value::Null if answer["success"] == false => {}
                    Value::Array(items) if items.is_empty() => println!("none"),
                    Value::Array(items) => {
                        let all: Vec<_> = items.iter().map(fields).collect();
                        println!("{}", all.join("\n\n"));
                    }
                    result @ Value::Object(all) if !all.is_empty() => {
                        println!("{}", fields(result))
                    }
                    _ => println!("done"),
                }
            }
        }
    }
}

/// A line for each.
fn fields(value: &Value) -> String {
    let Some(all) = value.as_object() else { return words(value) };
    let said = all.iter().map(|(key, value)| match moment(key, value) {
        Some(moment) => format!("{key}: {moment}"),
        None => format!("{key}: {}", words(value)),
    });
    said.collect::<Vec<_>>().join("\n")
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
