//! By what is open is looked at again: without keeping an engine, or a store, alive.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::util::changes::Changes;

use super::Engine;

/// Tells of changes, and knows the engine by which what is open is judged then.
pub(super) struct Oversight {
    pub(super) changes: Arc<Changes>,
    in_force: Mutex<Weak<Engine>>,
}

/// A thread's own handle: cores that serve requests of one engine count on no common line of memory.
pub(super) type NearOversight = Arc<Arc<Oversight>>;

thread_local! {
    static NEAR: RefCell<Vec<NearOversight>> = const { RefCell::new(Vec::new()) };
}

impl Oversight {
    pub(super) fn new(changes: Arc<Changes>) -> Arc<Self> {
        Arc::new(Self { changes, in_force: Mutex::default() })
    }

    /// From now on what is open is looked at by this engine, and so is everything at once.
    pub(super) fn put_in_force(&self, engine: &Arc<Engine>) {
        *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(engine);
        self.changes.tell();
    }

    /// The engine in force; `None` once nobody has one any more.
    pub(super) fn in_force(&self) -> Option<Arc<Engine>> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// This thread's handle.
    pub(super) fn near(self: &Arc<Self>) -> NearOversight {
        let found = NEAR.try_with(|near| {
            let mut near = near.try_borrow_mut().ok()?;
            if let Some(known) = near.iter().find(|known| Arc::ptr_eq(known.as_ref(), self)) {
                return Some(Arc::clone(known));
            }
            if near.len() >= MOST_NEAR {
                near.remove(0);
            }
            let new = Arc::new(Arc::clone(self));
            near.push(Arc::clone(&new));
            Some(new)
        });
        // A thread that ends has none.
        found.ok().flatten().unwrap_or_else(|| Arc::new(Arc::clone(self)))
    }
}

/// Engines that a thread serves by turns.
const MOST_NEAR: usize = 4;
