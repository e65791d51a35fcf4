//! `proxy revoke`, `sessions`, `keys`, `service-token`, `reload`, `health`: the administration of a
//! running proxy.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use tower_access::clock::{Clock, GoDuration, SystemClock, Timestamp};
use tower_access::config::{AdminConfig, Environment};
use tower_access::explain::Rfc3339Time;
use tower_access::secret::SecretText;

use crate::client::{AdminRequest, send};
use crate::format::{Format, unusable};
use crate::{Error, output};

/// The running proxy, and the output format.
#[derive(Args)]
pub(crate) struct Server {
    /// The configuration of the running proxy: only `admin` is read, so errors elsewhere do not matter.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The URL of its administration, such as http://127.0.0.1:9180. Overrides the configuration.
    #[arg(long, value_name = "URL")]
    admin: Option<url::Url>,
    /// The file with the token; `-` reads it from standard input. Overrides the configuration.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Output format.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What to revoke.
#[derive(Subcommand)]
pub(crate) enum Revoke {
    /// One session, by its id.
    Session {
        /// The id, from `proxy sessions`.
        id: String,
        #[command(flatten)]
        server: Server,
    },
    /// All sessions of a user.
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
    /// Everything: all users have to log in again.
    Everybody(Server),
}

/// A user.
#[derive(Args)]
pub(crate) struct Person {
    /// The email address.
    email: String,
    #[command(flatten)]
    server: Server,
}

/// An action on the signing keys.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Rotates the signing key now; the previous key verifies until its overlap ends.
    Rotate(Server),
    /// Shows when the signing key was made, and when it is rotated.
    Show(Server),
}

/// An action on service tokens.
#[derive(Subcommand)]
pub(crate) enum ServiceToken {
    /// Creates one, and prints its secret once.
    Create {
        /// The name.
        name: String,
        /// How long it is valid, such as 8760h, or forever.
        #[arg(long, default_value = "8760h")]
        duration: String,
        #[command(flatten)]
        server: Server,
    },
    /// Lists those of the store and the file.
    List(Server),
    /// Makes another secret, and prints it once.
    Rotate {
        /// Its id, as `list` tells it.
        id: String,
        /// How long the previous secret stays valid, such as 24h; at most 720h.
        #[arg(long, default_value = "0s")]
        overlap: GoDuration,
        #[command(flatten)]
        server: Server,
    },
    /// Extends the expiry by one year.
    Refresh(TokenId),
    /// Disables one.
    Disable(TokenId),
    /// Enables one again.
    Enable(TokenId),
    /// Deletes one.
    Delete(TokenId),
}

/// One service token.
#[derive(Args)]
pub(crate) struct TokenId {
    /// Its id, as `list` tells it.
    id: String,
    #[command(flatten)]
    server: Server,
}

/// Administers service tokens.
pub(crate) async fn service_token(what: ServiceToken) -> ExitCode {
    const TOKENS: [&str; 2] = ["access", "service_tokens"];
    let one =
        |id: &str| -> Vec<String> { TOKENS.into_iter().chain([id]).map(str::to_owned).collect() };
    let of = |id: &str, more: Option<&str>| -> Vec<String> {
        one(id).into_iter().chain(more.map(str::to_owned)).collect()
    };
    let ask = |make: fn(&[&str]) -> AdminRequest, segments: &[String]| {
        make(&segments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let switch = |id: &str, enabled: bool| {
        ask(AdminRequest::put, &of(id, None)).with(&serde_json::json!({ "enabled": enabled }))
    };
    let (request, server) = match what {
        ServiceToken::Create { name, duration, server } => {
            let body = serde_json::json!({ "name": name, "duration": duration });
            (AdminRequest::post(&TOKENS).with(&body), server)
        }
        ServiceToken::List(server) => (AdminRequest::get(&TOKENS), server),
        ServiceToken::Rotate { id, overlap, server } => {
            let until = Rfc3339Time(SystemClock.now().plus(overlap.get())).to_string();
            let body = serde_json::json!({ "previous_client_secret_expires_at": until });
            (ask(AdminRequest::post, &of(&id, Some("rotate"))).with(&body), server)
        }
        ServiceToken::Refresh(TokenId { id, server }) => {
            (ask(AdminRequest::post, &of(&id, Some("refresh"))), server)
        }
        ServiceToken::Disable(TokenId { id, server }) => (switch(&id, false), server),
        ServiceToken::Enable(TokenId { id, server }) => (switch(&id, true), server),
        ServiceToken::Delete(TokenId { id, server }) => {
            (ask(AdminRequest::delete, &of(&id, None)), server)
        }
    };
    carry_out(request, &server).await
}

/// Revokes sessions or tokens.
pub(crate) async fn revoke(what: Revoke) -> ExitCode {
    let (request, server) = match what {
        Revoke::Session { id, server } => {
            (AdminRequest::delete(&["access", "sessions", &id]), server)
        }
        Revoke::Person { email, server } => {
            let body = serde_json::json!({ "email": email });
            (AdminRequest::post(&["access", "organizations", "revoke_user"]).with(&body), server)
        }
        Revoke::Application { name, server } => {
            (AdminRequest::post(&["access", "apps", &name, "revoke_tokens"]), server)
        }
        Revoke::Everybody(server) => (AdminRequest::post(&["access", "revoke_everybody"]), server),
    };
    carry_out(request, &server).await
}

/// Lists sessions.
pub(crate) async fn sessions(person: Person) -> ExitCode {
    let request = AdminRequest::get(&["access", "users", &person.email, "active_sessions"]);
    carry_out(request, &person.server).await
}

/// Rotates or shows keys.
pub(crate) async fn keys(what: Keys) -> ExitCode {
    match what {
        Keys::Rotate(server) => {
            carry_out(AdminRequest::post(&["access", "keys", "rotate"]), &server).await
        }
        Keys::Show(server) => carry_out(AdminRequest::get(&["access", "keys"]), &server).await,
    }
}

/// Reloads the file.
pub(crate) async fn reload(server: Server) -> ExitCode {
    carry_out(AdminRequest::post(&["reload"]), &server).await
}

/// Shows the state of the proxy.
pub(crate) async fn health(server: Server) -> ExitCode {
    carry_out(AdminRequest::get(&["health"]), &server).await
}

async fn carry_out(request: AdminRequest, server: &Server) -> ExitCode {
    let outcome = async {
        let (address, token) = server.find()?;
        send(address, &token, request).await
    };
    match outcome.await {
        Ok((is_success, response)) => {
            server.format.print_response(&response);
            if is_success && !has_findings(&response) {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            }
        }
        Err(error) => unusable(&error),
    }
}

impl Server {
    /// Returns the address of the administration, and the token.
    fn find(&self) -> Result<(SocketAddr, SecretText), Error> {
        let given =
            (self.admin.as_ref().map(address_of), self.token_file.as_deref().map(read_token));
        if let (Some(address), Some(token)) = given {
            return Ok((address?, token?));
        }
        let Some(file) = &self.config else {
            return Err(format!("name the configuration with --config FILE, or {FLAGS}").into());
        };
        let configured = AdminConfig::load(file, &Environment::from_process());
        let explained = |error: Error| Error::from(format!("{error}\nwithout the file: {FLAGS}"));
        let config = configured.map_err(|errors| explained(errors.into()))?;
        let config = config.ok_or_else(|| format!("{}: {NO_ADMIN}", file.display()))?;
        let address = given.0.unwrap_or_else(|| Ok(reachable(config.listen)))?;
        let token = match given.1 {
            Some(token) => token?,
            None => config.token().map_err(|error| explained(error.into()))?,
        };
        Ok((address, token))
    }
}

/// Replaces an unspecified address by the loopback address.
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
    Ok(*addresses.first().ok_or("the host has no address")?)
}

fn read_token(file: &Path) -> Result<SecretText, Error> {
    let mut token = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(MAX_TOKEN).read_to_string(&mut token)
    } else {
        File::open(file).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut token))
    };
    read.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(SecretText::from(token.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Returns whether a command that succeeded has something to report: an invalid file, failing mail, or
/// nothing to revoke.
fn has_findings(response: &Value) -> bool {
    let errors = response.pointer("/result/configuration_errors").and_then(Value::as_array);
    let mail = response.pointer("/result/mail/state").and_then(Value::as_str);
    let mut messages = response["messages"].as_array().into_iter().flatten();
    errors.is_some_and(|errors| !errors.is_empty())
        || mail == Some("failing")
        || messages.any(|message| message["code"] == NOTHING_LIVE)
}

const NO_ADMIN: &str = "has no `admin`; add `admin: { listen: 127.0.0.1:9180, token_file: PATH }` and \
                        restart the proxy, or pass --admin URL and --token-file PATH";
const FLAGS: &str = "--admin http://127.0.0.1:9180 --token-file FILE are enough (`-` reads the token \
                     from standard input)";
const MAX_TOKEN: u64 = 64 << 10;
/// The code of the message that nothing was live.
const NOTHING_LIVE: u64 = 11_001;

impl Format {
    fn print_response(self, response: &Value) {
        match self {
            Self::Json => output::line(format_args!("{response:#}")),
            Self::Text => {
                for error in response["errors"].as_array().into_iter().flatten() {
                    output::warn(text(&error["message"]));
                }
                let messages = response["messages"].as_array().filter(|all| !all.is_empty());
                if let Some(messages) = messages {
                    for message in messages {
                        output::line(text(&message["message"]));
                    }
                    return;
                }
                match &response["result"] {
                    Value::Null if response["success"] == false => {}
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

/// Writes a line for each field.
fn fields(value: &Value) -> String {
    let Some(all) = value.as_object() else { return text(value) };
    let lines = all.iter().map(|(key, value)| match (time(key, value), value) {
        (Some(time), _) => format!("{key}: {time}"),
        (None, Value::Object(_)) => {
            let inner = fields(value);
            inner.lines().map(|line| format!("{key}.{line}")).collect::<Vec<_>>().join("\n")
        }
        (None, _) => format!("{key}: {}", text(value)),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns a field in seconds as a readable time.
fn time(key: &str, value: &Value) -> Option<Rfc3339Time> {
    let is_time = key.ends_with("_at") || key == "last_seen";
    value.as_u64().filter(|_| is_time).map(|at| Rfc3339Time(Timestamp::from_unix_seconds(at)))
}

/// Writes a value without control characters, which a terminal would obey.
fn text(value: &Value) -> String {
    let written = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    written.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
