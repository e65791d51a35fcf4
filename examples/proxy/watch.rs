//! Reloads the file when it has changed, and on SIGHUP.
//!
//! Watches the folder: editors and tools replace the file by another one, and Kubernetes replaces the
//! link `..data` next to it. Events come in bursts: the watch waits until a burst is over, and compares
//! the content of the file, because a log or the state may be in the same folder. Only SIGHUP reloads
//! the files that the configuration names.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tower_access::proxy::Reloader;

use crate::Error;

/// The reasons to reload the file.
pub(crate) struct Watch {
    reloader: Reloader,
    hangups: Hangups,
    changes: mpsc::Receiver<()>,
    folders: Option<Folders>,
}

impl Watch {
    /// Starts to watch: no later change is missed.
    pub(crate) fn start(reloader: Reloader) -> Result<Self, Error> {
        let hangups = Hangups::start()?;
        let (changed, changes) = mpsc::channel(1);
        let folders = Folders::start(reloader.file(), changed);
        let folders = folders
            .inspect_err(|error| {
                tracing::warn!(%error, "the file cannot be watched; send SIGHUP after a change");
            })
            .ok();
        Ok(Self { reloader, hangups, changes, folders })
    }

    /// Reloads whenever there is a reason to. The log has the result.
    pub(crate) async fn run(mut self) {
        let mut seen = content(self.reloader.file());
        loop {
            // First of all: the file may have changed since it was loaded.
            let _ = self.reloader.reload().await;
            seen = self.next_reason(seen).await;
        }
    }

    /// Waits for a reason to reload, and returns the content of the file.
    async fn next_reason(&mut self, seen: Content) -> Content {
        loop {
            if let Some(folders) = &mut self.folders {
                folders.follow_links(self.reloader.file());
            }
            tokio::select! {
                () = self.hangups.next() => return content(self.reloader.file()),
                Some(()) = self.changes.recv() => burst_end(&mut self.changes).await,
            }
            let present = content(self.reloader.file());
            if present != seen {
                return present;
            }
        }
    }
}

/// The content of a file; `None` if it cannot be read.
type Content = Option<Vec<u8>>;

fn content(file: &Path) -> Content {
    let mut content = Vec::new();
    File::open(file).ok()?.take(MAX_FILE).read_to_end(&mut content).ok()?;
    Some(content)
}

/// Waits until a burst of events is over, within a limit.
async fn burst_end(changes: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + MAX_BURST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        match timeout_at(quiet, changes.recv()).await {
            Ok(Some(())) if Instant::now() < latest => {}
            _ => return,
        }
    }
}

/// The folders in which the file may be replaced: its own, and that of its link target.
struct Folders {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
}

impl Folders {
    fn start(file: &Path, changed: mpsc::Sender<()>) -> Result<Self, Error> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error means that events may have been missed.
            if event.is_ok_and(|event| is_read(event.kind)) {
                return;
            }
            // One pending message is enough.
            let _ = changed.try_send(());
        })?;
        let mut folders = Self { watcher, watched: HashSet::new() };
        folders.follow_links(file);
        if folders.watched.is_empty() {
            Err("the folder of the file cannot be watched".into())
        } else {
            Ok(folders)
        }
    }

    /// Watches where the file is now.
    fn follow_links(&mut self, file: &Path) {
        let real = std::fs::canonicalize(file).ok();
        let wanted: HashSet<PathBuf> =
            [Some(folder(file)), real.as_deref().map(folder)].into_iter().flatten().collect();
        for gone in self.watched.difference(&wanted) {
            // The folder may be deleted.
            let _ = self.watcher.unwatch(gone);
        }
        let watcher = &mut self.watcher;
        let is_watched = |folder: &PathBuf| {
            self.watched.contains(folder)
                || watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
        };
        self.watched = wanted.into_iter().filter(is_watched).collect();
    }
}

fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Returns whether an event is a read, such as our own.
fn is_read(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// SIGHUP, on systems that have it.
struct Hangups(#[cfg(unix)] tokio::signal::unix::Signal);

impl Hangups {
    fn start() -> Result<Self, Error> {
        Ok(Self(
            #[cfg(unix)]
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        ))
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if self.0.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}

/// Bytes that are compared: the maximum of a configuration.
const MAX_FILE: u64 = 16 << 20;
const QUIET: Duration = Duration::from_millis(200);
const MAX_BURST: Duration = Duration::from_secs(2);
