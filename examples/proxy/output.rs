//! Standard output and standard error, whose reader may go away: `check FILE | head -1` ends in
//! silence, and a proxy goes on serving when nobody reads what it prints.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes to standard output.
pub(crate) fn print(text: impl Display) {
    let written = write(&mut io::stdout().lock(), &text);
    if let Err(error) = written
        && !IS_INCOMPLETE.swap(true, Ordering::Relaxed)
    {
        warn(format_args!("standard output: {error}"));
    }
}

/// Writes a line to standard output.
pub(crate) fn line(text: impl Display) {
    print(format_args!("{text}\n"));
}

/// Writes a line to standard error. Nobody is left to hear of a failure.
pub(crate) fn warn(text: impl Display) {
    let _ = write(&mut io::stderr().lock(), &format_args!("{text}\n"));
}

/// The exit code of a command. What could not be printed, on a full disk for instance, is a failure.
pub(crate) fn exit_code(code: ExitCode) -> ExitCode {
    if IS_INCOMPLETE.load(Ordering::Relaxed) { ExitCode::from(2) } else { code }
}

/// Standard error for the log, which must not stop a proxy whose log nobody reads.
pub(crate) struct LogOutput;

impl Write for LogOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that has gone away has read all that it wanted.
fn write(output: &mut impl Write, text: &dyn Display) -> io::Result<()> {
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

static IS_INCOMPLETE: AtomicBool = AtomicBool::new(false);
