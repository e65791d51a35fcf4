//! Lines between the threads that log and the one that writes.

use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A bounded queue of lines, written many at a time.
///
/// A line that comes alone is written at once; those of the following milliseconds are written together.
/// If the reader of the log is slow and the queue is full, whoever logs waits, so that no line is lost.
pub(crate) struct Lines {
    state: Mutex<State>,
    /// Wakes the writing thread.
    filled: Condvar,
    /// Wakes the threads that wait for room.
    emptied: Condvar,
}

struct State {
    mode: Mode,
    pending: Vec<u8>,
    /// Whether the writing thread waits for a line.
    is_idle: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Mode {
    /// Whoever logs writes.
    Direct,
    Queued,
    /// The writing thread ends when it has written everything.
    Closing,
}

impl Lines {
    pub(crate) const fn new() -> Self {
        let state = State { mode: Mode::Direct, pending: Vec::new(), is_idle: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), emptied: Condvar::new() }
    }

    /// Begins to queue: a thread calls [`write_to`](Self::write_to).
    pub(crate) fn open(&self) {
        self.lock().mode = Mode::Queued;
    }

    /// Asks the writing thread to write what is queued, and to end.
    pub(crate) fn close(&self) {
        self.lock().mode = Mode::Closing;
        self.filled.notify_all();
    }

    /// Ends queuing, when no thread writes.
    pub(crate) fn write_directly(&self) {
        self.lock().mode = Mode::Direct;
    }

    /// Queues whole lines. Returns `false` if the caller has to write them.
    pub(crate) fn push(&self, lines: &[u8]) -> bool {
        let is_full =
            |state: &mut State| state.mode != Mode::Direct && !state.has_room(lines.len());
        let waiting = self.emptied.wait_while(self.lock(), is_full);
        let mut state = waiting.unwrap_or_else(PoisonError::into_inner);
        if state.mode == Mode::Direct {
            return false;
        }
        let was_small = state.pending.len() < MANY_BYTES;
        state.pending.extend_from_slice(lines);
        if state.is_idle || (was_small && state.pending.len() >= MANY_BYTES) {
            state.is_idle = false;
            drop(state);
            self.filled.notify_one();
        }
        true
    }

    /// Writes lines as they come, until [`close`](Self::close) is called. Afterwards, whoever logs writes.
    ///
    /// An output that fails, for example because its reader has closed it, loses the lines.
    pub(crate) fn write_to(&self, output: &mut impl Write) {
        let mut batch = Vec::new();
        while self.take(&mut batch) {
            self.emptied.notify_all();
            let _ = write_pieces(&batch, output);
            batch.clear();
            batch.shrink_to(MANY_BYTES);
            self.pause();
        }
        self.emptied.notify_all();
    }

    /// Waits for lines, and moves them to an empty `batch`. Returns `false` at the end.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.pending.is_empty() {
            if state.mode == Mode::Closing {
                state.mode = Mode::Direct;
                return false;
            }
            state.is_idle = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_idle = false;
        mem::swap(&mut state.pending, batch);
        true
    }

    /// Lets lines gather.
    fn pause(&self) {
        let is_early =
            |state: &mut State| state.mode == Mode::Queued && state.pending.len() < MANY_BYTES;
        drop(self.filled.wait_timeout_while(self.lock(), PAUSE, is_early));
    }

    /// Lines are appended whole, so the queue is valid even after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A single line longer than the bound passes through an empty queue.
    fn has_room(&self, more: usize) -> bool {
        self.pending.is_empty() || self.pending.len() + more <= MAX_BYTES
    }
}

/// Writes lines in pieces that a pipe takes whole, so that lines of another process do not end up within one.
fn write_pieces(mut lines: &[u8], output: &mut impl Write) -> io::Result<()> {
    while !lines.is_empty() {
        let most = lines.len().min(PIECE_BYTES);
        let end_of_line = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let fitting = lines.iter().take(most).rposition(|byte| *byte == b'\n');
        // A line that is too long is written whole.
        let last = fitting.or_else(|| end_of_line(lines)).unwrap_or(lines.len() - 1);
        let (piece, rest) = lines.split_at(last + 1);
        output.write_all(piece)?;
        lines = rest;
    }
    output.flush()
}

/// Longest time that lines gather.
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes that are written without waiting for more.
const MANY_BYTES: usize = 64 * 1024;
/// Bytes that every pipe takes in one piece (`PIPE_BUF` of Linux).
const PIECE_BYTES: usize = 4096;
/// Most bytes in the queue.
const MAX_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test states what it expects by failing")]

    use std::sync::mpsc;
    use std::thread;

    use super::*;

    /// An output that hands over each piece that is written, and waits until somebody takes it.
    struct Pieces(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pieces {
        fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
            self.0.send(piece.to_vec()).map_err(io::Error::other)?;
            Ok(piece.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(thread: usize, number: usize) -> String {
        format!("thread {thread} line {number}\n")
    }

    #[test]
    fn lines_are_written_whole_in_the_order_of_their_thread_and_none_is_lost() {
        const THREADS: usize = 4;
        const EACH: usize = 20_000;
        let lines = Lines::new();
        lines.open();
        let mut written = Vec::new();
        thread::scope(|scope| {
            let writing = scope.spawn(|| lines.write_to(&mut written));
            let logging: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let lines = &lines;
                    scope.spawn(move || {
                        for number in 0..EACH {
                            assert!(lines.push(line(thread, number).as_bytes()));
                        }
                    })
                })
                .collect();
            for thread in logging {
                thread.join().unwrap();
            }
            lines.close();
            writing.join().unwrap();
        });
        let written = String::from_utf8(written).unwrap();
        assert_eq!(written.lines().count(), THREADS * EACH);
        for thread in 0..THREADS {
            let own = format!("thread {thread} ");
            let found = written.lines().filter(|line| line.starts_with(&own));
            let expected = (0..EACH).map(|number| line(thread, number));
            assert!(found.eq(expected.map(|line| line.trim_end().to_owned())), "{thread}");
        }
    }

    #[test]
    fn a_full_queue_waits_for_its_reader_and_loses_nothing() {
        let (sender, pieces) = mpsc::sync_channel(0);
        let lines = Lines::new();
        lines.open();
        let mut long = vec![b'x'; MAX_BYTES / 4];
        long.push(b'\n');
        thread::scope(|scope| {
            scope.spawn(|| lines.write_to(&mut Pieces(sender)));
            let logging = scope.spawn(|| {
                for _ in 0..40 {
                    assert!(lines.push(&long));
                }
                lines.close();
            });
            let mut received = 0;
            for piece in pieces {
                // Nobody read while this piece waited: the queue stayed within its bound.
                assert!(piece.len() <= MAX_BYTES, "{}", piece.len());
                assert!(lines.lock().pending.len() <= MAX_BYTES);
                received += piece.len();
            }
            assert_eq!(received, 40 * long.len());
            logging.join().unwrap();
        });
    }

    #[test]
    fn no_piece_ends_within_a_line() {
        let (sender, pieces) = mpsc::channel();
        struct Sent(mpsc::Sender<Vec<u8>>);
        impl Write for Sent {
            fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
                self.0.send(piece.to_vec()).map_err(io::Error::other)?;
                Ok(piece.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut lines = Vec::new();
        for number in 0..2_000 {
            lines.extend(line(0, number).into_bytes());
            if number % 500 == 0 {
                lines.extend([b'x'; 3 * PIECE_BYTES]);
                lines.push(b'\n');
            }
        }
        write_pieces(&lines, &mut Sent(sender)).unwrap();
        let pieces: Vec<_> = pieces.iter().collect();
        for piece in &pieces {
            assert!(piece.ends_with(b"\n"));
            let lines_in_it = piece.iter().filter(|byte| **byte == b'\n').count();
            assert!(piece.len() <= PIECE_BYTES || lines_in_it == 1, "{}", piece.len());
        }
        assert_eq!(pieces.concat(), lines);
    }

    #[test]
    fn a_line_longer_than_the_bound_passes() {
        let lines = Lines::new();
        lines.open();
        let long = vec![b'x'; 2 * MAX_BYTES];
        assert!(lines.push(&long));
        lines.close();
        let mut written = Vec::new();
        lines.write_to(&mut written);
        assert_eq!(written, long);
    }

    #[test]
    fn before_and_after_the_thread_the_caller_writes() {
        let lines = Lines::new();
        assert!(!lines.push(b"before\n"));
        lines.open();
        assert!(lines.push(b"queued\n"));
        lines.close();
        assert!(lines.push(b"while it closes\n"));
        let mut written = Vec::new();
        lines.write_to(&mut written);
        assert_eq!(written, b"queued\nwhile it closes\n");
        assert!(!lines.push(b"after\n"));
    }

    #[test]
    fn an_output_that_fails_stops_nobody() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::new();
        lines.open();
        thread::scope(|scope| {
            scope.spawn(|| lines.write_to(&mut Closed));
            for number in 0..100_000 {
                assert!(lines.push(line(0, number).as_bytes()));
            }
            lines.close();
        });
    }
}
