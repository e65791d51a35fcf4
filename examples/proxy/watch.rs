//! Reads the file again when it has changed, and on SIGHUP.
//!
//! What is watched is the folder: editors and tools put another file in the place of the one that was
//! there, and Kubernetes another `..data` beside it. What happens in a folder comes in bursts; it is
//! waited until one is over, and looked whether the file itself is another: a log or the state may be
//! in the same folder. Files that the configuration names are read again on SIGHUP.

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

/// Everything that says when to read the file again.
pub(crate) struct Watch {
    reloader: Reloader,
    hangups: Hangups,
    changes: mpsc::Receiver<()>,
    folders: Option<Folders>,
}

impl Watch {
    /// Begins to listen, so that from now on nothing is missed.
    pub(crate) fn begin(reloader: Reloader) -> Result<Self, Error> {
        let hangups = Hangups::begin()?;
        let (changed, changes) = mpsc::channel(1);
        let folders = Folders::begin(reloader.file(), changed);
        let folders = folders
            .inspect_err(|error| {
                tracing::warn!(%error, "changes of the file are not noticed; SIGHUP reads it again");
            })
            .ok();
        Ok(Self { reloader, hangups, changes, folders })
    }

    /// Reloads whenever there is a reason to. What becomes of it stands in the log.
    pub(crate) async fn run(mut self) {
        let mut seen = content(self.reloader.file());
        loop {
            // At first too: it may have changed since it was read.
            let _ = self.reloader.reload().await;
            seen = self.next_reason(seen).await;
        }
    }

    /// Waits until there is a reason to reload; what the file has in it then.
    async fn next_reason(&mut self, seen: Content) -> Content {
        loop {
            if let Some(folders) = &mut self.folders {
                folders.follow_links(self.reloader.file());
            }
            tokio::select! {
                () = self.hangups.next() => return content(self.reloader.file()),
                Some(()) = self.changes.recv() => settled(&mut self.changes).await,
            }
            let present = content(self.reloader.file());
            if present != seen {
                return present;
            }
        }
    }
}

/// What is in a file; `None` where it cannot be read.
type Content = Option<Vec<u8>>;

fn content(file: &Path) -> Content {
    let mut content = Vec::new();
    File::open(file).ok()?.take(LARGEST_FILE).read_to_end(&mut content).ok()?;
    Some(content)
}

/// Waits until nothing has happened for a while, and not for ever.
async fn settled(changes: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + LONGEST_BURST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        match timeout_at(quiet, changes.recv()).await {
            Ok(Some(())) if Instant::now() < latest => {}
            _ => return,
        }
    }
}

/// The folders in which the file may be replaced: its own, and that of what it is a link to.
struct Folders {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
}

impl Folders {
    fn begin(file: &Path, changed: mpsc::Sender<()>) -> Result<Self, Error> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Errors say that something may have been missed.
            if event.is_ok_and(|event| is_a_reading(event.kind)) {
                return;
            }
            // One that waits to be seen is enough.
            let _ = changed.try_send(());
        })?;
        let mut folders = Self { watcher, watched: HashSet::new() };
        folders.follow_links(file);
        if folders.watched.is_empty() {
            Err("its folder cannot be watched".into())
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
            // It may not be there any more.
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

/// Our own reading is among what happens.
fn is_a_reading(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// SIGHUP, where there is such a thing.
struct Hangups(#[cfg(unix)] tokio::signal::unix::Signal);

impl Hangups {
    fn begin() -> Result<Self, Error> {
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

/// As much of a file as there is to compare; a configuration may be no larger.
const LARGEST_FILE: u64 = 16 << 20;
const QUIET: Duration = Duration::from_millis(200);
const LONGEST_BURST: Duration = Duration::from_secs(2);
