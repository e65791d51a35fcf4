//! The demonstration: a small origin, and the proxy in front of it.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Html;
use http::{HeaderMap, Method, Uri};
use tokio::net::TcpListener;
use tower_access::config::Config;
use tower_access::proxy::AccessProxy;

use super::{Error, log, output};

pub(crate) async fn run() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(show)).await });
    let config = Config::parse(&configuration(origin), "demonstration")?;
    let proxy = AccessProxy::new(&config).await?;
    let limits = super::ServeLimits::from_config(&config);
    let listener = super::bind(config.listen).await?;
    let port = config.listen.port();
    let program = std::env::args().next().unwrap_or_else(|| "proxy".to_owned());
    output::line(format_args!(
        "
  A demonstration of tower-access

  Private:         http://localhost:{port}/          addresses at example.com
  Open:            http://localhost:{port}/public/   everyone

  1. Open http://localhost:{port}/ in a browser on this machine.
  2. Type any address at example.com, such as ada@example.com.
  3. The mail with the code is printed here. Type the code in the browser.
  4. Log out at http://localhost:{port}/cdn-cgi/access/logout

  Check your own configuration:  {program} check FILE
  Run it:                        {program} --config FILE
"
    ));
    let _log = log::write_aside()?;
    super::run(listener, proxy, limits).await;
    Ok(())
}

fn configuration(origin: SocketAddr) -> String {
    format!(
        "
listen: 127.0.0.1:8080
trusted_proxies: []
ingress:
  - hostname: localhost
    service: http://{origin}
  - service: http_status:404
access:
  mail: console
  applications:
    - name: Demonstration
      domain: localhost
      policies:
        - name: People at example.com
          decision: allow
          include: [ {{ email_domain: {{ domain: example.com }} }} ]
    - name: Public part
      domain: localhost/public
      policies:
        - name: Everyone
          decision: bypass
          include: [ {{ everyone: {{}} }} ]
"
    )
}

/// The origin: a page that shows the request it received.
async fn show(method: Method, uri: Uri, headers: HeaderMap) -> Html<String> {
    let email =
        headers.get("cf-access-authenticated-user-email").and_then(|email| email.to_str().ok());
    let greeting = match email {
        Some(email) => format!("Hello, {}", escape(email)),
        None => "Hello, anonymous user".to_owned(),
    };
    let rows: String = headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            format!("<tr><th>{}</th><td>{}</td></tr>", escape(name.as_str()), escape(&value))
        })
        .collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>The origin</title>\
         <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:52rem;margin:3rem auto;padding:0 1rem}}\
         th{{text-align:left;vertical-align:top;padding-right:1rem;white-space:nowrap;font-weight:600}}\
         td{{overflow-wrap:anywhere;font-family:ui-monospace,monospace;font-size:.875rem}}</style>\
         <h1>{greeting}</h1><p>This is the origin. It received:</p>\
         <p><code>{method} {}</code></p><table>{rows}</table>\
         <p><a href=\"/\">Private page</a> · <a href=\"/public/\">Public page</a> · \
         <a href=\"/cdn-cgi/access/logout\">Log out</a></p></html>",
        escape(&uri.to_string())
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
