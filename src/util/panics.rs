//! Catches a panic while a request is handled: only that request is refused.
//!
//! The layers call external code: fact sources, clocks, random generators, pages, stores. A panic in
//! it, or in code of ours, ends as a refusal with 500. Other requests go on: no lock stays poisoned.
//! In a program built with `panic = "abort"` panics cannot be caught.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Returns what the function returns; `None` after a panic, which the panic hook has reported.
///
/// Callers must not use values that the function may have left half changed.
#[inline]
pub(crate) fn caught<T>(function: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(function)).ok()
}

/// As [`caught`], for a future.
pub(crate) async fn caught_future<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match caught(|| future.as_mut().poll(context)) {
        Some(poll) => poll.map(Some),
        None => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn dos_01_a_panic_is_no_value() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| -> u8 { panic!("of a test") }), None);
        assert_eq!(caught_future(async { 7 }).await, Some(7));
        let panics = async {
            tokio::task::yield_now().await;
            panic!("of a test")
        };
        assert_eq!(caught_future::<_>(panics).await, None::<()>);
    }
}
