//! The thread that writes: what is queued goes into one commit.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::super::StoreError;
use super::File;
use super::tables::{Change, Outcome, Tables};

/// Has changes written, in the order they come. Dropped, it waits until all of them are.
pub(super) struct Writer {
    file: Arc<File>,
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// A change, and who waits until it is on the disk.
struct Order {
    change: Change,
    done: oneshot::Sender<Result<Outcome, StoreError>>,
}

impl Writer {
    pub(super) fn start(file: Arc<File>) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::channel(LONGEST_QUEUE);
        let of_thread = Arc::clone(&file);
        let thread = thread::Builder::new()
            .name("tower-access-state".to_owned())
            .spawn(move || run(&of_thread, queue))?;
        Ok(Self { file, orders: Some(orders), thread: Some(thread) })
    }

    /// Waits while the queue is full. A change nobody waits for any longer may not be written.
    pub(super) async fn write(&self, change: Change) -> Result<Outcome, StoreError> {
        let stopped = || StoreError::new(self.file.says(&STOPPED));
        let (done, outcome) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(stopped)?;
        orders.send(Order { change, done }).await.map_err(|_| stopped())?;
        outcome.await.unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when it has written what is queued.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(file: &File, mut queue: mpsc::Receiver<Order>) {
    let mut swept = String::new();
    while let Some(first) = queue.blocking_recv() {
        let mut orders = vec![first];
        while orders.len() < LARGEST_COMMIT
            && let Ok(next) = queue.try_recv()
        {
            orders.push(next);
        }
        orders.retain(|order| !order.done.is_closed());
        commit(file, orders, &mut swept);
    }
}

/// Writes all changes or none, and answers everybody.
fn commit(file: &File, orders: Vec<Order>, swept: &mut String) {
    let (changes, waiting): (Vec<_>, Vec<_>) =
        orders.into_iter().map(|order| (order.change, order.done)).unzip();
    match write(file, changes, swept) {
        Ok(outcomes) => {
            for (done, outcome) in waiting.into_iter().zip(outcomes) {
                let _ = done.send(Ok(outcome));
            }
        }
        Err(error) => {
            tracing::error!(path = %file.path.display(), %error, "state cannot be written");
            for done in waiting {
                let _ = done.send(Err(file.failed(&error)));
            }
        }
    }
}

fn write(
    file: &File,
    changes: Vec<Change>,
    swept: &mut String,
) -> Result<Vec<Outcome>, redb::Error> {
    let database: &Database = &file.database;
    let transaction = database.begin_write()?;
    let mut tables = Tables::open(&transaction, file.entries_per_kind())?;
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        outcomes.push(tables.apply(change, file.clock.now())?);
    }
    tables.sweep(swept, file.clock.now())?;
    // Nothing to flush where nothing was changed: a value that was not there to take.
    if tables.close()? {
        transaction.commit()?
    } else {
        transaction.abort()?
    }
    Ok(outcomes)
}

/// Changes that wait; who comes then waits to be let in.
const LONGEST_QUEUE: usize = 1_024;
/// At 16 KiB each these are some megabytes in memory.
const LARGEST_COMMIT: usize = 256;
const STOPPED: &str = "the thread that writes has stopped; start the program again";
