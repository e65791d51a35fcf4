//! A real mail server, as a process, and the mail that arrived at it.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// How a server behaves: see `tests/support/mail_server.py`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Settings {
    pub(super) port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls: Option<&'static str>,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<&'static str>,
    pub(super) password: &'static str,
    pub(super) acts: Vec<&'static str>,
}

/// A mail as it arrived, and what was seen of its connection.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Arrived {
    pub(super) to: Vec<String>,
    pub(super) from: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
    pub(super) hello: String,
    pub(super) peer: u16,
    pub(super) encrypted: bool,
    pub(super) login: bool,
}

/// Ends together with this value.
pub(super) struct MailServer {
    pub(super) port: u16,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    process: Child,
}

impl MailServer {
    pub(super) async fn start(settings: &Settings) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/mail_server.py");
        let mut process = Command::new("python3")
            .arg(script)
            .arg(serde_json::to_string(settings).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("`python3` cannot be started: install Python 3, and `pip install aiosmtpd`");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap();
        let port = port.expect("the mail server does not start: `pip install aiosmtpd`");
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let inbox = Arc::clone(&arrived);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                inbox.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { port: port.parse().unwrap(), arrived, process }
    }

    /// One that does this with the recipients of the first mails.
    pub(super) async fn that(acts: &[&'static str]) -> Self {
        Self::start(&Settings { acts: acts.to_vec(), ..Settings::default() }).await
    }

    /// Ends it, and closes its port.
    pub(super) async fn stop(mut self) {
        self.process.kill().await.unwrap();
    }

    pub(super) fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Waits for so many mails, which are all.
    pub(super) async fn wait_for(&self, count: usize) -> Vec<Arrived> {
        for _ in 0..3_000 {
            if self.all().len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.all().len(), count);
        self.all()
    }
}

/// An authority, and a certificate for 127.0.0.1 by it, in files.
pub(super) struct Authority {
    pub(super) pem: String,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let file = |kind: &str| {
            let name = format!("tower-access-mail-{name}-{}.{kind}", std::process::id());
            std::env::temp_dir().join(name)
        };
        let files = Self { pem: issuer.pem(), certificate: file("pem"), key: file("key") };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }

    pub(super) fn settings(&self, tls: &'static str) -> Settings {
        Settings {
            tls: Some(tls),
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            ..Settings::default()
        }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.certificate);
        let _ = std::fs::remove_file(&self.key);
    }
}
