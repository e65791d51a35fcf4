//! Mail put into a folder.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lettre::message::Mailbox;

use super::compose::compose;
use super::{Mail, MailError, MailFuture, Mailer};
use crate::clock::{Clock, SystemClock};
use crate::random::{SystemRandom, hex};

/// Puts mail into a folder in Maildir format, one file a mail: for a mail server on this machine that
/// fetches it, or to see during development how mail looks.
///
/// A file is written below `tmp`, and appears complete below `new`. Only its owner can read it: whoever can
/// read a code can log in. The folder and its `tmp`, `new` and `cur` are created if its parent exists. Nothing
/// deletes the mail.
///
/// ```no_run
/// use tower_access::login::mail::MaildirMailer;
///
/// let mailer = MaildirMailer::new("/var/spool/access", "Access <access@example.com>")?;
/// # Ok::<(), tower_access::login::mail::InvalidSender>(())
/// ```
#[derive(Clone)]
pub struct MaildirMailer {
    path: Arc<Path>,
    from: Mailbox,
}

/// The error of a sender that is not an email address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid sender address; write for example `Access <access@example.com>`")]
pub struct InvalidSender;

impl MaildirMailer {
    /// Creates a mailer. The folder is touched when the first mail is delivered.
    ///
    /// # Errors
    ///
    /// If `from` is not an email address.
    pub fn new(path: impl Into<PathBuf>, from: &str) -> Result<Self, InvalidSender> {
        let from = from.parse().map_err(|_| InvalidSender)?;
        Ok(Self { path: path.into().into(), from })
    }

    /// Does something with the folder on a thread that may block.
    async fn blocking(
        &self,
        work: impl FnOnce(&Path) -> io::Result<()> + Send + 'static,
    ) -> Result<(), MailError> {
        let path = Arc::clone(&self.path);
        let done = tokio::task::spawn_blocking(move || {
            prepare(&path).and_then(|()| work(&path)).map_err(|error| {
                // A full disk, or a folder that is mounted later.
                MailError::new(format!("{}: {error}", path.display()))
            })
        });
        done.await.unwrap_or_else(|error| Err(MailError::new(error)))
    }
}

impl Mailer for MaildirMailer {
    fn deliver(&self, mail: Mail) -> MailFuture<'_> {
        Box::pin(async move {
            let message = compose(&self.from, mail)?.formatted();
            self.blocking(move |path| deliver(path, &unix_lines(&message))).await
        })
    }

    /// Writes a file below `tmp`, and removes it.
    fn check(&self) -> MailFuture<'_> {
        Box::pin(self.blocking(|path| {
            let tmp = path.join("tmp").join(unique_name()?);
            write(&tmp, b"")?;
            fs::remove_file(&tmp)
        }))
    }
}

impl fmt::Debug for MaildirMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaildirMailer").field("path", &self.path).finish_non_exhaustive()
    }
}

fn prepare(path: &Path) -> io::Result<()> {
    for folder in [path, &path.join("tmp"), &path.join("new"), &path.join("cur")] {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn deliver(path: &Path, message: &[u8]) -> io::Result<()> {
    let name = unique_name()?;
    let tmp = path.join("tmp").join(&name);
    let moved = write(&tmp, message).and_then(|()| fs::rename(&tmp, path.join("new").join(&name)));
    if moved.is_err() {
        let _ = fs::remove_file(&tmp);
    }
    moved
}

/// Writes a new file through to the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Returns a name by the convention, which no other has: the time, what tells mails of that second
/// apart, and this machine.
fn unique_name() -> io::Result<String> {
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let random = hex::<8>(&SystemRandom).map_err(io::Error::other)?;
    let (seconds, process) = (SystemClock.now().as_unix_seconds(), std::process::id());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "localhost".to_owned(),
        host => host.replace('/', "\\057").replace(':', "\\072"),
    };
    Ok(format!("{seconds}.P{process}Q{count}R{random}.{host}"))
}

/// Mailboxes have the line ends of the system, not those of the protocol.
fn unix_lines(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(message.len());
    let mut bytes = message.iter().peekable();
    while let Some(byte) = bytes.next() {
        if !(*byte == b'\r' && bytes.peek() == Some(&&b'\n')) {
            lines.push(*byte);
        }
    }
    lines
}
