//! The writer thread: all queued changes go into one commit.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redb::{Database, WriteTransaction};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::super::{StoreChange, StoreError};
use super::file::File;
use super::tables::{Applied, Tables};

/// Writes changes in order. Dropping it waits until all are written.
pub(super) struct Writer {
    file: Arc<File>,
    changes: Option<mpsc::Sender<QueuedChange>>,
    thread: Option<JoinHandle<()>>,
}

/// A change, and its caller, who waits until it is on the disk.
struct QueuedChange {
    change: StoreChange,
    done: oneshot::Sender<Result<Applied, StoreError>>,
}

impl Writer {
    pub(super) fn start(file: Arc<File>) -> std::io::Result<Self> {
        let (changes, queue) = mpsc::channel(MAX_QUEUED);
        let thread_file = Arc::clone(&file);
        let thread = thread::Builder::new()
            .name("tower-access-state".to_owned())
            .spawn(move || run(&thread_file, queue))?;
        Ok(Self { file, changes: Some(changes), thread: Some(thread) })
    }

    /// Waits while the queue is full. A change whose caller is gone may be skipped.
    pub(super) async fn write(&self, change: StoreChange) -> Result<Applied, StoreError> {
        let stopped = || StoreError::new(self.file.describe(&STOPPED));
        let (done, outcome) = oneshot::channel();
        let changes = self.changes.as_ref().ok_or_else(stopped)?;
        changes.send(QueuedChange { change, done }).await.map_err(|_| stopped())?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends after writing the queued changes.
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(file: &File, mut queue: mpsc::Receiver<QueuedChange>) {
    let mut swept = String::new();
    while let Some(first) = queue.blocking_recv() {
        let mut changes = vec![first];
        while changes.len() < MAX_COMMIT
            && let Ok(next) = queue.try_recv()
        {
            changes.push(next);
        }
        changes.retain(|queued| !queued.done.is_closed());
        if commit(file, changes, &mut swept) == Disk::Failed && !recovers(file, &mut queue) {
            return;
        }
    }
    finish(file);
}

#[derive(Eq, PartialEq)]
enum Disk {
    Works,
    /// Nothing is written or read until the file is reopened.
    Failed,
}

/// Reopens the file: at once, because a full disk is still readable, then again until that works.
/// Writes nothing for at least a second. Returns `false` when no caller is left.
fn recovers(file: &File, queue: &mut mpsc::Receiver<QueuedChange>) -> bool {
    loop {
        let is_open = reopens(file);
        let next_attempt = Instant::now() + RETRY_INTERVAL;
        while Instant::now() < next_attempt {
            match queue.try_recv() {
                Ok(queued) => drop(queued.done.send(Err(file.closed()))),
                Err(TryRecvError::Empty) => thread::sleep(Duration::from_millis(20)),
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        if is_open {
            return true;
        }
    }
}

fn reopens(file: &File) -> bool {
    let reopened = file.reopen();
    if let Err(error) = &reopened {
        tracing::error!(%error, "state file cannot be reopened");
    }
    reopened.is_ok()
}

/// Writes all changes or none, and reports to every caller.
fn commit(file: &File, changes: Vec<QueuedChange>, swept: &mut String) -> Disk {
    let (changes, waiting): (Vec<_>, Vec<_>) =
        changes.into_iter().map(|queued| (queued.change, queued.done)).unzip();
    let Ok(database) = file.database() else {
        waiting.into_iter().for_each(|done| drop(done.send(Err(file.closed()))));
        return Disk::Failed;
    };
    match write((file, &database), changes, swept) {
        Ok(outcomes) => {
            for (done, outcome) in waiting.into_iter().zip(outcomes) {
                let _ = done.send(Ok(outcome));
            }
            Disk::Works
        }
        Err(error) => {
            tracing::error!(path = %file.path().display(), %error, "state file cannot be written");
            for done in waiting {
                let _ = done.send(Err(file.failed(&error)));
            }
            match error {
                redb::Error::Io(_) | redb::Error::PreviousIo => Disk::Failed,
                _ => Disk::Works,
            }
        }
    }
}

fn write(
    (file, database): (&File, &Database),
    changes: Vec<StoreChange>,
    swept: &mut String,
) -> Result<Vec<Applied>, redb::Error> {
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction, file.entries_per_kind())?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        outcomes.push(tables.apply(change, file.now())?);
    }
    tables.sweep(swept, file.now())?;
    // Without changes there is nothing to flush: for example the value to take was absent.
    if tables.close()? {
        commit_with_witness((file, database), transaction, false)?;
    } else {
        transaction.abort()?;
    }
    Ok(outcomes)
}

/// Updates the witness before the changes are confirmed.
fn commit_with_witness(
    (file, database): (&File, &Database),
    transaction: WriteTransaction,
    is_last: bool,
) -> Result<(), redb::Error> {
    let mut witness = file.witness();
    let is_advanced = witness.advance(&transaction, is_last)?;
    transaction.commit()?;
    if is_advanced {
        witness.write();
        witness.remove_note(database)?;
    }
    Ok(())
}

/// Advances the witness after the last change, so that every earlier copy counts as older.
fn finish(file: &File) {
    let finished = || -> Result<(), redb::Error> {
        let Some(database) = file.database().ok().filter(|_| file.witness().is_behind()) else {
            return Ok(());
        };
        commit_with_witness((file, &database), database.begin_write()?, true)
    };
    if let Err(error) = finished() {
        tracing::warn!(path = %file.path().display(), %error, "state file was not closed cleanly");
    }
}

/// The queue length; further callers wait for room.
const MAX_QUEUED: usize = 1_024;
/// At 16 KiB each these are some megabytes in memory.
const MAX_COMMIT: usize = 256;
/// The pause before writing again after a disk error.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
const STOPPED: &str = "the writer thread has stopped; restart the program";
