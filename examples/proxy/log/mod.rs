//! The log: lines on standard error.

mod fields;
mod lines;

use std::io::{self, IsTerminal, Stderr, Write};
use std::thread::{self, JoinHandle};

use tracing_subscriber::EnvFilter;

use fields::PlainFields;
use lines::Lines;

/// Logs what `RUST_LOG` selects, or from level `info` on.
pub(crate) fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| LogOutput);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.with_ansi(false).fmt_fields(PlainFields).init();
    }
}

/// Begins to write the log on a thread of its own, until the returned value is dropped.
///
/// For a program that serves. A command that reports and ends writes its lines at once, in their place
/// between its other output.
///
/// # Errors
///
/// If the thread cannot be started.
pub(crate) fn write_aside() -> io::Result<LogThread> {
    LINES.open();
    let thread = thread::Builder::new().name("log".to_owned());
    match thread.spawn(|| LINES.write_to(&mut io::stderr())) {
        Ok(thread) => Ok(LogThread(Some(thread))),
        Err(error) => {
            LINES.write_directly();
            Err(error)
        }
    }
}

/// The thread that writes the log. When dropped, it has written every line.
pub(crate) struct LogThread(Option<JoinHandle<()>>);

impl Drop for LogThread {
    fn drop(&mut self) {
        LINES.close();
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

/// Standard error for the log. A log whose reader has closed it does not stop the proxy.
struct LogOutput;

impl Write for LogOutput {
    /// Takes whole lines: the subscriber writes an event at a time.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if !LINES.push(lines) {
            let _ = Stderr::lock(&io::stderr()).write_all(lines);
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static LINES: Lines = Lines::new();
