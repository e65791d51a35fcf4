//! Standard output and standard error, whose reader may close them: `check FILE | head -1` prints no
//! error, and a proxy continues to serve.

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

/// Writes a line to standard error. A failure cannot be reported.
pub(crate) fn warn(text: impl Display) {
    let _ = write(&mut io::stderr().lock(), &format_args!("{text}\n"));
}

/// Returns the exit code of a command: 2 if the output is incomplete, for example on a full disk.
pub(crate) fn exit_code(code: ExitCode) -> ExitCode {
    if IS_INCOMPLETE.load(Ordering::Relaxed) { ExitCode::from(2) } else { code }
}

/// Writes a text. A reader that has closed the pipe is not an error.
fn write(output: &mut impl Write, text: &dyn Display) -> io::Result<()> {
    match write!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

static IS_INCOMPLETE: AtomicBool = AtomicBool::new(false);
