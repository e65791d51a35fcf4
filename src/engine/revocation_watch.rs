//! Re-checks open responses after a change without keeping the engine or its store alive.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::util::changes::Changes;

use super::Engine;

/// Announces changes, and knows the engine that open responses are judged by.
pub(super) struct RevocationWatch {
    pub(super) changes: Arc<Changes>,
    engine: Mutex<Weak<Engine>>,
}

/// A thread's own handle: threads that serve one engine do not contend for one reference count.
pub(super) type LocalRevocationWatch = Arc<Arc<RevocationWatch>>;

thread_local! {
    static LOCAL: RefCell<Vec<LocalRevocationWatch>> = const { RefCell::new(Vec::new()) };
}

impl RevocationWatch {
    pub(super) fn new(changes: Arc<Changes>) -> Arc<Self> {
        Arc::new(Self { changes, engine: Mutex::default() })
    }

    /// Judges open responses by this engine from now on, and all of them once now.
    pub(super) fn set_engine(&self, engine: &Arc<Engine>) {
        *self.engine.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(engine);
        self.changes.notify();
    }

    /// Returns the engine in force; `None` once it is dropped.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Returns this thread's handle.
    pub(super) fn local(self: &Arc<Self>) -> LocalRevocationWatch {
        let found = LOCAL.try_with(|handles| {
            let mut handles = handles.try_borrow_mut().ok()?;
            if let Some(known) = handles.iter().find(|known| Arc::ptr_eq(known.as_ref(), self)) {
                return Some(Arc::clone(known));
            }
            if handles.len() >= MAX_LOCAL {
                handles.remove(0);
            }
            let new = Arc::new(Arc::clone(self));
            handles.push(Arc::clone(&new));
            Some(new)
        });
        // A thread that is ending has no thread-local handles.
        found.ok().flatten().unwrap_or_else(|| Arc::new(Arc::clone(self)))
    }
}

/// Handles of a thread, one for each engine it serves.
const MAX_LOCAL: usize = 4;
