//! A real mail server, and the mail that arrived at it.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::soon;

/// A mail as it arrived.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    pub(crate) from: String,
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Mail {
    /// The code: the one line of the text that has six digits and nothing else.
    pub(crate) fn code(&self) -> String {
        let is_code =
            |line: &&str| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit());
        self.text.lines().find(is_code).expect("a code in the mail").to_owned()
    }

    /// The link: the one address in the text.
    pub(crate) fn link(&self) -> String {
        let mut lines = self.text.lines().filter(|line| line.contains("://"));
        let link = lines.next().expect("a link in the mail").to_owned();
        assert_eq!(lines.next(), None);
        link
    }
}

/// Ends together with this value.
pub(crate) struct MailServer {
    pub(crate) port: u16,
    arrived: Arc<Mutex<Vec<Mail>>>,
    _process: Child,
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mail_server.py");
        let mut process = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("`python3` cannot be started: install Python 3, and `pip install aiosmtpd`");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = soon("the mail server starts", lines.next_line()).await.unwrap();
        let port = port.expect("the mail server does not start: `pip install aiosmtpd`");
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&arrived);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                inbox.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { port: port.parse().unwrap(), arrived, _process: process }
    }

    pub(crate) fn all(&self) -> Vec<Mail> {
        self.arrived.lock().unwrap().clone()
    }

    /// Waits for so many mails in all, and gives the last of them.
    pub(crate) async fn wait_for(&self, count: usize) -> Mail {
        let arrival = async {
            while self.all().len() < count {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        soon("mail arrives", arrival).await;
        self.all()[count - 1].clone()
    }
}
