//! What a test writes to the log at `TRACE`, as text and field by field.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// One record.
#[derive(Clone, Debug)]
pub struct Record {
    pub target: String,
    pub level: Level,
    pub fields: BTreeMap<&'static str, String>,
}

impl Record {
    pub fn is_audit(&self) -> bool {
        self.target == "tower_access::audit"
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    /// What it says beside its fields.
    pub fn message(&self) -> &str {
        self.field("message").unwrap_or_default()
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// Of one thread: that of a test, on which everything runs that it spawns in its runtime.
#[derive(Clone, Debug, Default)]
pub struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    records: Arc<Mutex<Vec<Record>>>,
}

impl Log {
    /// That of the current thread, from the first call on.
    pub fn of_this_test() -> Self {
        thread_local! {
            static LOG: (Log, DefaultGuard) = Log::begin();
        }
        LOG.with(|(log, _)| log.clone())
    }

    fn begin() -> (Self, DefaultGuard) {
        // While there is one subscriber alone, `tracing` asks that of the thread which comes first to
        // a place that logs: where it has none, the place would be silent in this test as well.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
        LazyLock::force(&ANOTHER);
        let log = Self::default();
        let writer = log.clone();
        let text =
            tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let guard = tracing_subscriber::registry().with(text).with(log.clone()).set_default();
        (log, guard)
    }

    /// All lines written so far.
    pub fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }

    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().clone()
    }

    /// The records with a field that has this value.
    pub fn with(&self, name: &str, value: &str) -> Vec<Record> {
        let records = self.records();
        records.into_iter().filter(|record| record.field(name) == Some(value)).collect()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.text.lock().unwrap().write(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let mut record = Record {
            target: metadata.target().to_owned(),
            level: *metadata.level(),
            fields: BTreeMap::new(),
        };
        event.record(&mut record);
        self.records.lock().unwrap().push(record);
    }
}
